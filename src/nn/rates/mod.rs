//! Learning rates: a range test that trains at many constant rates and compares held-out losses.
//!
//! A sweep that raises the rate within one training (fastai's `lr_find`, Lightning's `LRFinder`)
//! judges a rate by a few batches, and by the weights that smaller rates left. Here each rate has a
//! training of its own from the same weights on the same batches, and is judged by the loss on rows
//! that no training saw. Small networks are trained side by side, as in a [`Population`].
//!
//! ```
//! use gradus::rates::RangeTest;
//! use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Sgd};
//! use ndarray::Array2;
//!
//! let x = Array2::from_shape_fn((400, 3), |(row, column)| ((row * (column + 3)) % 17) as f32 / 8.0 - 1.0);
//! let y = x.map_axis(ndarray::Axis(1), |x| x[0] - 2.0 * x[1] + 0.5 * x[2]).insert_axis(ndarray::Axis(1));
//! let model = Sequential::new(3).then(Dense::new(1)).on(&Device::cpu())?.compile(Mse::new(), Sgd::new())?;
//! let found = RangeTest::new().run(&model, &x, &y, &Fit::new().batch_size(20))?;
//! assert!(found.band.0 <= found.vertex && found.vertex <= found.band.1);
//! assert!(found.suggestion > 0.01 && found.suggestion < found.diverges.unwrap());
//! # Ok::<(), gradus::Error>(())
//! ```
//!
//! [`Population`]: crate::Population

mod curve;
mod members;
mod rows;

use ndarray::{ArrayBase, Data, Dimension};

use crate::nn::model::Model;
use crate::nn::optimizers::Optimizer;
use crate::nn::rates::curve::rounded;
use crate::nn::rates::members::{Trial, Trials};
use crate::nn::rates::rows::TestRows;
use crate::nn::train::features::FeatureElement;
use crate::nn::train::options::Fit;
use crate::{Error, Result, Targets};

pub use curve::{LearningRates, RatePoint};

pub use crate::nn::train::diagnosis::{Diagnosis, Overfitting, Signs, Verdict};
pub use crate::nn::train::updates::UpdateSigns;

/// Updates of a test: an epoch, but at least and at most so many. With fewer than 100, rates that
/// diverge late still look best: on California's heavy-tailed features, those a rare row ends.
const STEPS: (usize, usize) = (100, 200);

/// Ranges of rates: of optimizers whose step is proportional to the gradient, and of those that
/// divide it by its own size.
const BY_GRADIENT: (f64, f64) = (1e-4, 30.0);
const NORMALIZED: (f64, f64) = (1e-5, 10.0);

/// The optimizers of the first kind; the default rate of `adadelta` is 1.
const PROPORTIONAL: [&str; 4] = ["sgd", "gradient_descent", "schedule_free_sgd", "adadelta"];

/// A learning-rate range test over a population: trainings at constant rates, `per_decade` of them
/// to a factor of ten, from the same weights on the same batches.
///
/// A rate's score is the loss on the held-out rows behind the last step, the mean over the seeds. A
/// training is dropped when a loss is not finite, or when the smoothed loss exceeds four times its
/// lowest value and the loss of the first batch. The suggestion is the vertex of the parabola
/// through the scores of the best rate and its two neighbours over ln(rate).
///
/// Measured on digits, California housing, breast cancer and Fashion-MNIST with SGD, momentum and
/// Adam: `examples/learning_rates.rs`.
///
/// Source: L. N. Smith, Cyclical learning rates for training neural networks, 2017, for the range
/// test; the population and the score by held-out loss are gradus's own.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeTest {
    range: Option<(f64, f64)>,
    per_decade: usize,
    steps: Option<usize>,
    seeds: usize,
}

impl Default for RangeTest {
    fn default() -> Self {
        RangeTest { range: None, per_decade: 4, steps: None, seeds: 2 }
    }
}

impl RangeTest {
    /// Four rates a decade, two seeds, one epoch of at least 100 and at most 200 steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lowest and the highest rate (default: 1e-5 to 10; 1e-4 to 30 for `sgd`,
    /// `gradient_descent`, `schedule_free_sgd` and `adadelta`).
    pub fn range(mut self, lowest: f64, highest: f64) -> Self {
        self.range = Some((lowest, highest));
        self
    }

    /// Rates to a factor of ten (default 4).
    pub fn per_decade(mut self, rates: usize) -> Self {
        self.per_decade = rates;
        self
    }

    /// Updates of each training (default: those of an epoch, at least 100 and at most 200).
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = Some(steps);
        self
    }

    /// Trainings at each rate (default 2): the first with the model's seed, the others with the
    /// following ones, for other initial weights and another order of rows. A model that was
    /// trained or has loaded weights keeps them, and only the order is another.
    pub fn seeds(mut self, seeds: usize) -> Self {
        self.seeds = seeds;
        self
    }

    /// Runs the test for a compiled model, on its device, with its loss and its optimizer; `fit` are
    /// the options of the training that the rate is for: batch size, clips, weights, penalties. The
    /// model stays as it is, bit for bit. Same input, device and seed: same bits.
    ///
    /// Features are [rows, features] or images, targets as for [`Model::fit`]. Held out are the
    /// rows of [`Fit::validation_data`] or [`Fit::validation_split`], else a fifth of the rows,
    /// chosen by the model's seed; for lists the last fifth. At most 2,000 of them are scored, and
    /// only as many training rows are taken as the steps use.
    ///
    /// # Errors
    /// As [`Model::fit`]; [`Error::Option`] for a range, a number of rates, steps or seeds outside
    /// its domain; [`Error::Input`] if no rate lowers the held-out loss.
    pub fn run<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &self,
        model: &Model,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
        fit: &Fit,
    ) -> Result<LearningRates> {
        let spec = model.training_spec("range test")?;
        let rates = self.rates(&*spec.optimizer)?;
        let fit = plain(fit);
        model.check(&fit)?;
        let features = FeatureElement::features(features);
        model.check_memory(&fit, features.shape().first().copied().unwrap_or(0))?;
        let targets = targets.into();
        let all = features.shape().first().copied().unwrap_or(0);
        let epoch = updates_of_epoch(all, &targets, &fit, &*spec.optimizer);
        let steps = self.steps.unwrap_or_else(|| epoch.clamp(STEPS.0, STEPS.1));
        let rows = TestRows::new(features, &targets, &fit, steps, model.description.seed)?;
        let trials: Vec<Trial> = (0..self.seeds)
            .flat_map(|seed| rates.iter().map(move |&rate| Trial { rate, seed }))
            .collect();
        let trained =
            Trials::new(model, spec, &rows, (steps, trials.len()))?.run(&trials, self.seeds)?;
        let planned = fit.until(0).map_or(fit.epochs.saturating_mul(epoch), |until| {
            (until as usize).min(fit.epochs.saturating_mul(epoch))
        });
        let has_schedule = fit.schedule.is_some();
        LearningRates::new(&rates, self.seeds, trained, (steps, planned, has_schedule))
    }

    /// The rates, from low to high.
    fn rates(&self, optimizer: &dyn Optimizer) -> Result<Vec<f64>> {
        let refused = |name: &str, found: String, allowed: &str| {
            Err(Error::option("range test", name, found, allowed))
        };
        for (name, found, most) in [
            ("per_decade", self.per_decade, 100),
            ("seeds", self.seeds, 100),
            ("steps", self.steps.unwrap_or(1), 1_000_000),
        ] {
            if !(1..=most).contains(&found) {
                return refused(name, found.to_string(), &format!("1 to {most}"));
            }
        }
        let own = if PROPORTIONAL.contains(&optimizer.name()) { BY_GRADIENT } else { NORMALIZED };
        let (low, high) = self.range.unwrap_or(own);
        if !(low > 0.0 && low < high && high.is_finite()) {
            let allowed = "two rates above 0, the lower one first";
            return refused("range", format!("{low} to {high}"), allowed);
        }
        let decades = (high / low).log10();
        if decades > 30.0 {
            return refused("range", format!("{low} to {high}"), "at most 30 decades");
        }
        let count = (decades * self.per_decade as f64 + 1e-9).floor() as i32;
        let first = low.log10();
        let rates = (0..=count).map(|k| 10_f64.powf(first + f64::from(k) / self.per_decade as f64));
        // Three significant digits are those that are shown: a rate can be typed again.
        let mut rates: Vec<f64> = rates.map(rounded).collect();
        rates.dedup();
        if rates.len() < 3 {
            let found = format!("{} rates", rates.len());
            return refused("range", found, "at least three rates");
        }
        Ok(rates)
    }
}

/// The options that the trainings of a test share with the one that it is for: the rate is the
/// trial's, and nothing is saved or reported.
fn plain(fit: &Fit) -> Fit {
    Fit {
        learning_rate: None,
        average: None,
        early_stopping: None,
        checkpoint: None,
        resume: false,
        on_step: None,
        on_epoch: None,
        progress: false,
        ..fit.clone()
    }
}

/// Updates in an epoch over all training rows.
fn updates_of_epoch(rows: usize, targets: &Targets, fit: &Fit, optimizer: &dyn Optimizer) -> usize {
    if optimizer.whole_batch() {
        return 1;
    }
    let rows = match targets {
        Targets::Grouped { groups, .. } => groups.len(),
        _ => rows,
    };
    let held_out = if fit.validation.is_some() { 0.0 } else { fit.validation_split };
    let training = rows - (rows as f64 * held_out) as usize;
    training.div_ceil(fit.batch_size.max(1)).div_ceil(fit.accumulate.max(1)).max(1)
}

#[cfg(test)]
mod tests;

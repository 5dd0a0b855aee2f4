//! The mean-predictor baseline of a regression, and the diagnosis of numbers too large for f32.

use std::sync::Arc;

use ndarray::{Array2, Axis};

use crate::error::text;
use crate::losses::{Domain, LossDefinition};
use crate::nn::train::history::{Baseline, Epoch, Stop};
use crate::nn::train::weights::Weighed;
use crate::{Criterion, Device, Inputs};

/// From here on squares overflow f32, whose maximum is 3.4e38.
const SQUARES_OVERFLOW: f64 = 1.8e19;

/// Reference values for the R² of a regression.
#[derive(Clone, Debug)]
pub(crate) struct Yardstick {
    pub baseline: Baseline,
    /// The loss is the squared error, from which R² follows.
    squared: bool,
    outputs: usize,
    /// An output is the logarithm of the predicted number.
    logarithms: bool,
    /// The mean squared distance of the targets from their means, on the training rows and the
    /// validation rows.
    spread: [f64; 2],
    /// The targets to predict for R² if it does not follow from the loss.
    targets: Vec<f32>,
    /// Their rows' weights; empty if all are 1.
    weights: Vec<f32>,
}

impl Yardstick {
    /// For a loss of numbers and rows with one number per output; `None` for classes, lists and
    /// distributions.
    pub fn new(
        loss: &Arc<dyn LossDefinition>,
        training: Weighed,
        validation: Option<Weighed>,
        outputs: usize,
    ) -> Option<Self> {
        if !is_of_numbers(&**loss) || training.targets.is_empty() {
            return None;
        }
        let means = means(training, outputs);
        let predictions: Option<Vec<f32>> =
            means.iter().map(|&mean| prediction(loss.predictions(), mean)).collect();
        let of = |targets: Weighed| of_constant(loss, predictions.as_deref()?, targets, outputs);
        let baseline = Baseline { loss: of(training)?, val_loss: validation.and_then(of) };
        let squared = loss.name() == "mse";
        let spread =
            [training, validation.unwrap_or_default()].map(|targets| spread(targets, outputs));
        let rows = if squared { Weighed::default() } else { validation.unwrap_or(training) };
        let (targets, weights) = (rows.targets.to_vec(), rows.weights.to_vec());
        let logarithms = loss.predictions() == Domain::Exponent;
        Some(Yardstick { baseline, squared, outputs, logarithms, spread, targets, weights })
    }

    /// Adds R² to an epoch's report: that of training and validation if it follows from their
    /// losses, else that of the validation rows, or of all rows without validation, from the
    /// predictions of `predict`.
    pub fn add_r2(
        &self,
        epoch: &mut Epoch,
        predict: impl FnOnce() -> crate::Result<Vec<f64>>,
    ) -> crate::Result<()> {
        let r2 = |loss: f64, spread: f64| (spread > 0.0).then_some(1.0 - loss / spread);
        if self.squared {
            epoch.r2 = r2(epoch.loss, self.spread[0]);
            epoch.val_r2 = epoch.val_loss.and_then(|loss| r2(loss, self.spread[1]));
            return Ok(());
        }
        let is_validated = epoch.val_loss.is_some();
        let spread = self.spread[usize::from(is_validated)];
        let found = predict()?;
        let number = |output: f64| if self.logarithms { output.exp() } else { output };
        let rows = Weighed { targets: &self.targets, weights: &self.weights };
        let outputs = self.outputs;
        let pairs = found.iter().zip(&self.targets).enumerate();
        let error = |(place, (&f, &y)): (usize, (&f64, &f32))| {
            rows.weight(place, outputs) * (number(f) - f64::from(y)).powi(2)
        };
        let errors = pairs.map(error).sum::<f64>();
        let r2 = r2(errors / self.targets.len() as f64, spread);
        *(if is_validated { &mut epoch.val_r2 } else { &mut epoch.r2 }) = r2;
        Ok(())
    }

    /// As [`Yardstick::add_r2`] if R² follows from the loss alone.
    pub fn add_r2_of_loss(&self, epoch: &mut Epoch) {
        if self.squared {
            let _ = self.add_r2(epoch, || Ok(Vec::new()));
        }
    }
}

/// True if a loss compares numbers, not classes, lists or distributions.
fn is_of_numbers(loss: &dyn LossDefinition) -> bool {
    matches!(loss.targets(), Domain::Real | Domain::Positive | Domain::NonNegative)
        && matches!(loss.predictions(), Domain::Real | Domain::Exponent | Domain::Positive)
        && loss.arguments().is_empty()
}

/// R² of targets in blocks, accumulated from their distances to their means and to the predictions:
/// as [`Yardstick::add_r2`].
#[derive(Clone, Debug)]
pub(crate) struct RunningR2 {
    /// The loss is the squared error, from which R² follows.
    squared: bool,
    logarithms: bool,
    /// The sum of the weights; unweighted rows count 1.
    rows: f64,
    /// Mean and Σ w (y − mean)² of each output.
    columns: Vec<(f64, f64)>,
    errors: f64,
}

impl RunningR2 {
    /// For a loss of numbers.
    pub fn new(loss: &dyn LossDefinition, outputs: usize) -> Option<Self> {
        let (squared, logarithms) = (loss.name() == "mse", loss.predictions() == Domain::Exponent);
        let columns = vec![(0.0, 0.0); outputs];
        is_of_numbers(loss).then_some(RunningR2 {
            squared,
            logarithms,
            rows: 0.0,
            columns,
            errors: 0.0,
        })
    }

    /// True if [`RunningR2::add_errors`] needs predictions.
    pub fn wants_predictions(&self) -> bool {
        !self.squared
    }

    pub fn add(&mut self, of: Weighed) {
        let outputs = self.columns.len();
        for (place, row) in of.targets.chunks_exact(outputs).enumerate() {
            let weight = of.weight(place * outputs, outputs);
            if weight == 0.0 {
                continue;
            }
            self.rows += weight;
            for ((mean, squares), &y) in self.columns.iter_mut().zip(row) {
                let before = f64::from(y) - *mean;
                *mean += weight * before / self.rows;
                *squares += weight * before * (f64::from(y) - *mean);
            }
        }
    }

    pub fn add_errors(&mut self, predicted: &[f64], of: Weighed) {
        let number = |output: f64| if self.logarithms { output.exp() } else { output };
        let outputs = self.columns.len();
        let pairs = predicted.iter().zip(of.targets).enumerate();
        let error = |(place, (&f, &y)): (usize, (&f64, &f32))| {
            of.weight(place, outputs) * (number(f) - f64::from(y)).powi(2)
        };
        self.errors += pairs.map(error).sum::<f64>();
    }

    /// R² from a mean loss, or from the added errors if it does not follow from the loss.
    pub fn r2(&self, loss: f64) -> Option<f64> {
        let count = self.rows * self.columns.len() as f64;
        let spread = self.columns.iter().map(|(_, squares)| squares).sum::<f64>() / count;
        let errors = if self.squared { loss } else { self.errors / count };
        (spread > 0.0 && (self.squared || self.errors > 0.0)).then(|| 1.0 - errors / spread)
    }
}

/// The output for a number: its logarithm if the loss takes the exponential.
fn prediction(domain: Domain, mean: f64) -> Option<f32> {
    match domain {
        Domain::Exponent => (mean > 0.0).then(|| mean.ln() as f32),
        Domain::Positive => (mean > 0.0).then_some(mean as f32),
        _ => Some(mean as f32),
    }
}

fn means(of: Weighed, outputs: usize) -> Vec<f64> {
    let mut sums = vec![0.0; outputs];
    for (place, &y) in of.targets.iter().enumerate() {
        sums[place % outputs] += of.weight(place, outputs) * f64::from(y);
    }
    // The weights have mean 1.
    let rows = (of.targets.len() / outputs).max(1) as f64;
    sums.into_iter().map(|sum| sum / rows).collect()
}

/// The mean squared distance of targets from the means of their columns.
fn spread(of: Weighed, outputs: usize) -> f64 {
    let means = means(of, outputs);
    let square = |(place, &y): (usize, &f32)| {
        of.weight(place, outputs) * (f64::from(y) - means[place % outputs]).powi(2)
    };
    of.targets.iter().enumerate().map(square).sum::<f64>() / of.targets.len().max(1) as f64
}

/// The loss of the same outputs for every row, as training would report it.
fn of_constant(
    loss: &Arc<dyn LossDefinition>,
    outputs: &[f32],
    of: Weighed,
    columns: usize,
) -> Option<f64> {
    // In chunks, so that millions of rows need no buffer of their own.
    const PIECE: usize = 1 << 18;
    let rows_at_once = (PIECE / columns).max(1);
    let criterion = Criterion::new(loss.clone(), &Device::Cpu).ok()?;
    let (mut sum, all) = (0.0, of.targets.len() / columns);
    for (number, piece) in of.targets.chunks(rows_at_once * columns).enumerate() {
        let rows = piece.len() / columns;
        let row = ndarray::ArrayView2::from_shape((1, columns), outputs).ok()?;
        let predictions: Array2<f32> = ndarray::concatenate(Axis(0), &vec![row; rows]).ok()?;
        let targets = ndarray::ArrayView2::from_shape((rows, columns), piece).ok()?;
        let first = number * rows_at_once;
        let weight = Array2::from_shape_fn((rows, columns), |(row, _)| {
            of.weights.get(first + row).copied().unwrap_or(1.0)
        });
        let inputs = Inputs::new(&predictions, &targets);
        let inputs = if of.weights.is_empty() { inputs } else { inputs.weight(&weight) };
        sum += criterion.evaluate(&inputs).ok()?.value() * rows as f64;
    }
    Some(sum / all as f64)
}

/// The largest magnitudes of features, after input scaling, and of targets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub features: f64,
    pub targets: f64,
}

impl Reach {
    pub fn of(features: &[f32], targets: &[f32]) -> Self {
        let largest =
            |of: &[f32]| f64::from(of.iter().fold(0.0_f32, |largest, x| largest.max(x.abs())));
        Reach { features: largest(features), targets: largest(targets) }
    }

    /// The elementwise maximum.
    pub fn max(self, other: Self) -> Self {
        Reach {
            features: self.features.max(other.features),
            targets: self.targets.max(other.targets),
        }
    }

    /// Sets the cause of a loss that was not finite, if it was not the learning rate: numbers whose
    /// squares overflow f32, or a first batch, whose loss precedes any update.
    pub fn explain(self, stopped: &mut Option<Stop>) {
        let Some(Stop::NotFinite { epoch, batch, cause, .. }) = stopped else { return };
        let overflows = |name: &str, size: f64| {
            format!(
                "the {name} reach {:e}, whose square is beyond f32 (up to 3.4e38): scale them first",
                size as f32
            )
        };
        *cause = if self.targets >= SQUARES_OVERFLOW {
            Some(overflows("targets", self.targets))
        } else if self.features >= SQUARES_OVERFLOW {
            Some(overflows("features", self.features))
        } else if (*epoch, *batch) == (1, 1) && cause.is_none() {
            let [features, targets] = [self.features, self.targets].map(text::number);
            Some(format!(
                "no update had a part in it: features reach {features}, targets {targets}; standardize them"
            ))
        } else {
            cause.take()
        };
    }
}

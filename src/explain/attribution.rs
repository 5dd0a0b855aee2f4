//! Integrated gradients of the loss.

use std::f64::consts::PI;

use ndarray::{Array1, Array2, ArrayBase, ArrayView1, Data, Dimension};

use crate::criterion::inputs::{Floats, shape_error};
use crate::explain::checks::refused;
use crate::nn::train::engine::{SampleTargets, Samples, TrainingSpec};
use crate::nn::train::features::{FeatureArray, FeatureElement, FlatView};
use crate::nn::train::row_results::RowRule;
use crate::nn::train::samples;
use crate::nn::train::trace::{self, Asked};
use crate::nn::train::weights::Weights;
use crate::{Error, Model, Result, Targets};

pub(super) const NAME: &str = "integrated gradients";

/// How often a part of a way is halved at most, to come within the tolerance.
const MOST_HALVINGS: usize = 10;

/// A part is halved if its own residual is more than this part of the tolerance: a way crosses
/// several kinks.
const PART_OF_TOLERANCE: f64 = 1.0 / 64.0;

/// Points that are on the device at a time, if they are small.
const POINTS_AT_ONCE: usize = 8192;

/// Numbers of such points, and of their outputs: 64 MiB in f32.
const NUMBERS_AT_ONCE: usize = 1 << 24;

/// Attributes the loss of each row to its features: integrated gradients (Sundararajan, Taly, Yan
/// 2017) of the *loss*, not of an output.
///
/// The attribution of feature j is (x_j − b_j) ∫₀¹ ∂loss/∂x_j (b + t (x − b)) dt with a baseline b:
/// what the feature's distance from the baseline adds to the row's loss. The attributions of a row
/// add up to loss(x) − loss(b); how far they miss it is its [`Attributions::residual`]. The integral
/// is a Gauss–Legendre sum of 32 points. The loss at both ends of a part of the way shows how far the
/// part's own sum misses it: while a row misses the tolerance, as one whose way crosses the kinks of
/// relus, such parts are halved, with 32 points in each half, up to ten times.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegratedGradients {
    points: usize,
    tolerance: f64,
    baseline: Option<Vec<f32>>,
}

/// The loss of rows by their features: [`IntegratedGradients::attribute`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Attributions {
    /// What each feature, or each token, adds to the loss of each row, [rows, features].
    pub values: Array2<f64>,
    /// The baseline, one number for each feature; of tokens the vector at each position.
    pub baseline: Vec<f32>,
    /// The loss of each row.
    pub loss: Vec<f64>,
    /// The loss of the baseline with each row's target.
    pub baseline_loss: Vec<f64>,
    /// loss − baseline loss − the sum of the attributions, for each row.
    pub residual: Vec<f64>,
}

impl Attributions {
    /// The mean size of each feature's attributions: which features the loss depends on.
    pub fn mean_size(&self) -> Vec<f64> {
        let rows = self.values.nrows().max(1) as f64;
        let size =
            |column: ArrayView1<f64>| column.iter().map(|value| value.abs()).sum::<f64>() / rows;
        self.values.columns().into_iter().map(size).collect()
    }

    /// The mean of each feature's attributions: below 0 for one that lowers the loss.
    pub fn mean(&self) -> Vec<f64> {
        let rows = self.values.nrows().max(1) as f64;
        self.values.columns().into_iter().map(|column| column.sum() / rows).collect()
    }

    /// The largest |residual|.
    pub fn largest_residual(&self) -> f64 {
        self.residual.iter().fold(0.0, |largest, residual| residual.abs().max(largest))
    }
}

impl Default for IntegratedGradients {
    fn default() -> Self {
        IntegratedGradients { points: 32, tolerance: 1e-3, baseline: None }
    }
}

impl IntegratedGradients {
    /// 32 points, a tolerance of 1e-3, the mean of the features as the baseline.
    pub fn new() -> Self {
        Self::default()
    }

    /// Points of the Gauss–Legendre sum (default 32).
    pub fn points(mut self, points: usize) -> Self {
        self.points = points;
        self
    }

    /// |residual| from which parts of a row's way are halved (default 1e-3).
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// The features of the baseline (default: their means over the rows); of tokens a vector of the
    /// table's width (default: the mean row of the table).
    pub fn baseline(mut self, baseline: Vec<f32>) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// The attributions of rows.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, losses::Mse, optimizers::Adam};
    /// use gradus::explain::IntegratedGradients;
    /// use ndarray::array;
    /// let mut model = Sequential::new(2)
    ///     .then(Dense::new(1))
    ///     .on(&Device::reference())?
    ///     .compile(Mse::new(), Adam::new())?;
    /// let (x, y) = (array![[1.0_f32, 2.0], [3.0, -2.0]], array![[0.5_f32], [0.5]]);
    /// let found = IntegratedGradients::new().attribute(&mut model, &x, &y)?;
    /// assert_eq!(found.baseline, [2.0, 0.0]);
    /// assert!(found.largest_residual() < 1e-6);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::evaluate_rows`]; [`Error::Option`] for 0 points, more than 1024, and a tolerance
    /// that is not positive; [`Error::Shape`] for a baseline of another length; [`Error::Input`] for
    /// a model of ids, which has no gradient by them, and one with batch norm.
    pub fn attribute<'a, S: Data<Elem = f32>, D: Dimension>(
        &self,
        model: &mut Model,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Attributions> {
        self.check()?;
        trace::check(&model.graph, NAME)?;
        if model.graph.takes_ids() {
            let allowed = "features that are numbers";
            return Err(refused(NAME, "the model", "takes ids, which have no gradient", allowed));
        }
        let given = FeatureElement::features(features);
        let (training_spec, rows) = model.checked_rows(NAME, given, &targets.into())?;
        let rule = model.row_rule(NAME, &training_spec)?;
        let all = rows.all();
        rule.check(NAME, all.targets, 1)?;
        let width = model.inputs();
        let baseline = match &self.baseline {
            Some(baseline) => baseline.clone(),
            None => means(features.iter().copied(), width, rows.rows),
        };
        if baseline.len() != width {
            let found = format!("the baseline has {} numbers", baseline.len());
            return Err(shape_error(NAME, found, &format!("it must have {width}")));
        }
        let own = ArrayBase::from_shape_vec((1, width), baseline.clone());
        let own: Array2<f32> =
            own.map_err(|error| shape_error(NAME, error.to_string(), "one row"))?;
        let shape = Floats::Narrow(own.view().into_dyn());
        let scaled = samples::features(model.input_spec(), NAME, FeatureArray::from(shape))?;
        let ways = Ways {
            features: all.features.numbers().into_owned(),
            baseline: scaled.all().numbers().into_owned(),
            width,
            targets: all.targets,
            parts_of_loss: vec![1.0; rows.rows],
            training_spec,
            rule,
        };
        self.of_ways(model, &ways, rows.rows, baseline)
    }

    /// Checks the options.
    pub(super) fn check(&self) -> Result<()> {
        if !(1..=1024).contains(&self.points) {
            return Err(Error::option(NAME, "points", self.points, "from 1 to 1024"));
        }
        if self.tolerance.is_nan() || self.tolerance <= 0.0 {
            return Err(Error::option(NAME, "tolerance", self.tolerance, "> 0"));
        }
        Ok(())
    }

    /// The baseline that was asked for.
    pub(super) fn asked_baseline(&self) -> Option<&[f32]> {
        self.baseline.as_deref()
    }

    pub(super) fn of_ways(
        &self,
        model: &mut Model,
        ways: &Ways,
        rows: usize,
        baseline: Vec<f32>,
    ) -> Result<Attributions> {
        let nodes = legendre(self.points);
        let ends = |t: f64| (0..rows).map(|row| (row, t)).collect::<Vec<_>>();
        let loss = ways.losses(model, &ends(1.0))?;
        let baseline_loss = ways.losses(model, &ends(0.0))?;
        let mut values = Array2::zeros((rows, ways.width));
        let mut residual = vec![0.0; rows];
        let whole =
            |row: usize| Part { row, at: [0.0, 1.0], losses: [baseline_loss[row], loss[row]] };
        let mut open: Vec<Part> = (0..rows).map(whole).collect();
        for halving in 0..=MOST_HALVINGS {
            let mut rough = Vec::new();
            for parts in open.chunks((ways.at_once(model) / nodes.len()).max(1)) {
                let found = ways.integrals(model, parts, &nodes)?;
                for (part, integral) in parts.iter().zip(found.chunks_exact(ways.width)) {
                    let integral = Array1::from(integral.to_vec());
                    let own = part.losses[1] - part.losses[0] - integral.sum();
                    residual[part.row] += own;
                    let mut row = values.row_mut(part.row);
                    row += &integral;
                    if own.abs() > PART_OF_TOLERANCE * self.tolerance {
                        rough.push((part.clone(), integral, own));
                    }
                }
            }
            let misses = |(part, ..): &(Part, Array1<f64>, f64)| {
                residual[part.row].abs() > self.tolerance && halving < MOST_HALVINGS
            };
            rough.retain(misses);
            let middles: Vec<(usize, f64)> =
                rough.iter().map(|(part, ..)| (part.row, part.middle())).collect();
            let middle_losses = ways.losses(model, &middles)?;
            open.clear();
            for ((part, integral, own), loss) in rough.into_iter().zip(middle_losses) {
                residual[part.row] -= own;
                let mut row = values.row_mut(part.row);
                row -= &integral;
                open.extend(part.halves(loss));
            }
            if open.is_empty() {
                break;
            }
        }
        for row in 0..rows {
            // Of the sums as they are, whatever was added and taken off again.
            residual[row] = loss[row] - baseline_loss[row] - values.row(row).sum();
        }
        if let Some(row) = residual.iter().position(|residual| !residual.is_finite()) {
            return Err(Error::NonFinite {
                operation: NAME.into(),
                name: "the gradients".into(),
                found: residual[row].to_string(),
                position: format!("row {row}"),
                count: residual.iter().filter(|residual| !residual.is_finite()).count(),
            });
        }
        Ok(Attributions { values, baseline, loss, baseline_loss, residual })
    }
}

/// The ways of rows from the baseline, in the model's own numbers.
pub(super) struct Ways<'a> {
    pub features: Vec<f32>,
    pub baseline: Vec<f32>,
    pub width: usize,
    pub targets: SampleTargets<'a>,
    /// Of a model with several targets for a row: what part of them is in the row's loss, the mean
    /// over those that are not ignored.
    pub parts_of_loss: Vec<f64>,
    pub training_spec: TrainingSpec,
    pub rule: RowRule,
}

/// Targets of rows that are repeated.
enum Repeated {
    Labels(Vec<i32>),
    Dense(Vec<f32>),
}

impl Repeated {
    fn view(&self) -> SampleTargets<'_> {
        match self {
            Repeated::Labels(labels) => SampleTargets::Labels(labels),
            Repeated::Dense(dense) => SampleTargets::Dense(dense),
        }
    }
}

/// A part of the way of a row.
#[derive(Clone, Debug)]
struct Part {
    row: usize,
    /// Where it begins and ends, from 0 to 1.
    at: [f64; 2],
    losses: [f64; 2],
}

impl Part {
    fn middle(&self) -> f64 {
        (self.at[0] + self.at[1]) / 2.0
    }

    /// Both halves, by the loss in the middle.
    fn halves(&self, loss: f64) -> [Part; 2] {
        let (row, middle) = (self.row, self.middle());
        [
            Part { row, at: [self.at[0], middle], losses: [self.losses[0], loss] },
            Part { row, at: [middle, self.at[1]], losses: [loss, self.losses[1]] },
        ]
    }
}

impl Ways<'_> {
    /// Points that are computed at a time.
    fn at_once(&self, model: &Model) -> usize {
        let numbers = self.width.max(model.graph.outputs()).max(1);
        (NUMBERS_AT_ONCE / numbers).clamp(1, POINTS_AT_ONCE)
    }

    /// Points of rows at t, and the targets of their rows.
    fn points(&self, at: &[(usize, f64)]) -> (Vec<f32>, Repeated) {
        let mut points = Vec::with_capacity(at.len() * self.width);
        for &(row, t) in at {
            let x = &self.features[row * self.width..][..self.width];
            let between =
                |(&b, &x): (&f32, &f32)| (f64::from(b) + t * (f64::from(x) - f64::from(b))) as f32;
            points.extend(self.baseline.iter().zip(x).map(between));
        }
        let targets = match self.targets {
            SampleTargets::Labels(labels) => {
                let positions = labels.len() * self.width / self.features.len().max(1);
                let of = |(row, _): &(usize, f64)| &labels[row * positions..][..positions];
                Repeated::Labels(at.iter().flat_map(of).copied().collect())
            }
            SampleTargets::Dense(dense) => {
                let columns = dense.len() * self.width / self.features.len().max(1);
                let of = |(row, _): &(usize, f64)| &dense[row * columns..][..columns];
                Repeated::Dense(at.iter().flat_map(of).copied().collect())
            }
            SampleTargets::None => Repeated::Dense(Vec::new()),
        };
        (points, targets)
    }

    /// The losses of rows at t.
    fn losses(&self, model: &mut Model, at: &[(usize, f64)]) -> Result<Vec<f64>> {
        let mut losses = Vec::with_capacity(at.len());
        for at in at.chunks(self.at_once(model)) {
            let (points, targets) = self.points(at);
            let data = model.engine.load(&samples_of(&points, targets.view(), at.len()))?;
            let outputs = model.engine.predict(data, model.graph.prediction_batch());
            model.engine.unload(data);
            let all = self.rule.losses(&outputs?, targets.view())?;
            let positions = all.len() / at.len().max(1);
            for (all, (row, _)) in all.chunks_exact(positions.max(1)).zip(at) {
                let mean = all.iter().sum::<f64>() / positions as f64;
                losses.push(mean / self.parts_of_loss[*row]);
            }
        }
        Ok(losses)
    }

    /// The attributions by some parts of ways, one after another.
    fn integrals(
        &self,
        model: &mut Model,
        parts: &[Part],
        nodes: &[(f64, f64)],
    ) -> Result<Vec<f64>> {
        let (width, each) = (self.width, nodes.len());
        let inside = |part: &Part, at: f64| part.at[0] + at * (part.at[1] - part.at[0]);
        let all = |part: &Part| {
            nodes.iter().map(|(at, _)| (part.row, inside(part, *at))).collect::<Vec<_>>()
        };
        let at: Vec<(usize, f64)> = parts.iter().flat_map(all).collect();
        let (points, targets) = self.points(&at);
        let data = model.engine.load(&samples_of(&points, targets.view(), at.len()))?;
        let mut sums = vec![0.0; parts.len() * width];
        let asked = Asked { layers: false, input_gradient: true };
        let done = model.traces(data, at.len(), &self.training_spec, asked, |first, trace| {
            for (place, gradient) in trace.input_gradient.chunks_exact(width).enumerate() {
                let (part, node) = ((first + place) / each, (first + place) % each);
                let length = parts[part].at[1] - parts[part].at[0];
                let weight = nodes[node].1 * length / self.parts_of_loss[parts[part].row];
                let sums = &mut sums[part * width..][..width];
                sums.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += weight * g);
            }
            Ok(())
        });
        model.engine.unload(data);
        done?;
        for (sums, part) in sums.chunks_exact_mut(width).zip(parts) {
            let x = &self.features[part.row * width..][..width];
            for ((sum, &x), &b) in sums.iter_mut().zip(x).zip(&self.baseline) {
                *sum *= f64::from(x) - f64::from(b);
            }
        }
        Ok(sums)
    }
}

fn samples_of<'a>(points: &'a [f32], targets: SampleTargets<'a>, rows: usize) -> Samples<'a> {
    let (features, weights) = (FlatView::Numbers(points), Weights::default());
    Samples { rows, features, targets, has_ignored: false, lists: None, weights }
}

/// The mean of each feature.
fn means(features: impl Iterator<Item = f32>, width: usize, rows: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    features.enumerate().for_each(|(place, x)| sums[place % width] += f64::from(x));
    sums.into_iter().map(|sum| (sum / rows.max(1) as f64) as f32).collect()
}

/// Points and weights of a Gauss–Legendre sum over [0, 1]: the roots of the Legendre
/// polynomial, by Newton's method.
fn legendre(points: usize) -> Vec<(f64, f64)> {
    let n = points as f64;
    let root = |index: usize| {
        let mut x = (PI * (index as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut now, mut before) = (1.0, 0.0);
            for k in 0..points {
                let k = k as f64;
                (now, before) = (((2.0 * k + 1.0) * x * now - k * before) / (k + 1.0), now);
            }
            slope = n * (x * now - before) / (x * x - 1.0);
            let step = now / slope;
            x -= step;
            if step.abs() < 1e-15 {
                break;
            }
        }
        ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
    };
    (0..points).map(root).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_exact_for_polynomials_below_twice_the_points() {
        for points in [1, 2, 5, 32] {
            let nodes = legendre(points);
            for power in 0..(2 * points).min(20) {
                let sum: f64 =
                    nodes.iter().map(|(at, weight)| weight * at.powi(power as i32)).sum();
                let exact = 1.0 / (power as f64 + 1.0);
                assert!((sum - exact).abs() < 1e-13, "{points} {power}: {sum}");
            }
        }
        // The first power beyond is not.
        let sum: f64 = legendre(1).iter().map(|(at, weight)| weight * at * at).sum();
        assert!((sum - 1.0 / 3.0).abs() > 0.05);
    }
}

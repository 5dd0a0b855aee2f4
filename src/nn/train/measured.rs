//! Metrics of a model's predictions.

use ndarray::{Array2, ArrayBase, Data, Dimension};

use crate::criterion::inputs::shape_error;
use crate::losses::{Domain, LossDefinition};
use crate::metrics::{Metric, Truth, measure};
use crate::nn::activations::Softmax;
use crate::nn::activations::activation::Activation;
use crate::nn::model::Model;
use crate::nn::train::engine::{self, SampleTargets};
use crate::nn::train::features::FeatureElement;
use crate::nn::train::samples::Rows;
use crate::{Error, Result, Targets};

impl Model {
    /// Metrics of the predictions of rows, in the order in which they are asked, by name.
    ///
    /// Features and targets are those of [`Model::evaluate`]: labels, or numbers that name one class
    /// per row, are classes; other numbers are compared as numbers. Rows with an ignored label are
    /// left out, and the tokens of a sequence count as rows. The predictions are computed on the
    /// model's device, the metrics in f64 on the host. Outputs under a cross-entropy or focal loss
    /// become probabilities by a softmax, and those of a loss that predicts logarithms of means, as
    /// Poisson's, become means; those of other losses are compared as they are.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, losses::CrossEntropy, metrics::Metric};
    /// use gradus::optimizers::Adam;
    /// use ndarray::array;
    /// let mut model = Sequential::new(1)
    ///     .then(Dense::new(3))
    ///     .on(&Device::cpu())?
    ///     .compile(CrossEntropy::new(), Adam::new())?;
    /// let (x, y) = (array![[0.0_f32], [0.0], [0.0]], array![0_i64, 1, 2]);
    /// // All outputs are 0: the first class is predicted, and each has the probability 1/3.
    /// let asked = [Metric::Accuracy, Metric::TopK(2), Metric::Perplexity];
    /// let found = model.evaluate_with(&x, &y, &asked)?;
    /// assert_eq!(found[0], ("accuracy".to_string(), 1.0 / 3.0));
    /// assert_eq!(found[1], ("top_2".to_string(), 2.0 / 3.0));
    /// assert!((found[2].1 - 3.0).abs() < 1e-12);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::evaluate`]; [`Error::Input`] for a metric that the targets do not have, and for
    /// rows in lists, which [`crate::metrics::ndcg`] measures; [`Error::Option`] for a `TopK`
    /// outside the classes.
    pub fn evaluate_with<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
        metrics: &[Metric],
    ) -> Result<Vec<(String, f64)>> {
        let loss = self.training_spec("evaluate_with")?.loss;
        let floats = FeatureElement::features(features);
        let targets = targets.into();
        let rows = Rows::new(self.input_spec(), &*loss, "evaluate_with", floats, &targets)?;
        if rows.lists.is_some() {
            return Err(refused("the rows", "are in lists", "metrics::ndcg and mrr measure those"));
        }
        let columns = self.graph.columns();
        let rule = engine::Metric::of(&*loss, rows.one_hot, columns);
        let samples = rows.all();
        let data = self.engine.load(&samples)?;
        let predictions = self.engine.predict(data, self.graph.prediction_batch());
        self.engine.unload(data);
        let outputs = array(predictions?, columns)?;
        let (outputs, truth) = match (rule, samples.targets) {
            (Some(_), SampleTargets::Labels(labels)) if columns > 1 => {
                let (outputs, classes) = of_labels(outputs, labels, loss.ignored())?;
                let is_softmax = self.graph.output_activation() == Softmax.name();
                let (outputs, has_probabilities) = logarithms(&*loss, is_softmax, outputs);
                (outputs, Truth::Classes { classes, has_probabilities })
            }
            (Some(rule), SampleTargets::Dense(dense)) if columns == 1 => {
                let of = |&value: &f32| usize::from(value > rule.truth_threshold);
                let threshold = f64::from(rule.threshold);
                // The first class is predicted at the threshold itself, as the first of equal ones.
                let pairs = outputs.iter().flat_map(|&output| [0.0, output - threshold]);
                let outputs = array(pairs.collect(), 2)?;
                let classes = dense.iter().map(of).collect();
                (outputs, Truth::Classes { classes, has_probabilities: false })
            }
            (Some(_), SampleTargets::Dense(dense)) => {
                let largest = |row: &[f32]| {
                    (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
                };
                let classes = dense.chunks_exact(columns).map(largest).collect();
                (outputs, Truth::Classes { classes, has_probabilities: false })
            }
            (None, SampleTargets::Dense(dense)) => {
                let numbers = dense.iter().map(|&number| f64::from(number)).collect();
                let outputs = if loss.predictions() == Domain::Exponent {
                    outputs.mapv(f64::exp)
                } else {
                    outputs
                };
                (outputs, Truth::Numbers(array(numbers, columns)?))
            }
            _ => {
                let found = format!("are the labels of {}", loss.name());
                let allowed = "classes with an output for each, or numbers";
                return Err(refused("the targets", &found, allowed));
            }
        };
        measure(&outputs, &truth, metrics)
    }
}

fn refused(name: &str, found: &str, allowed: &str) -> Error {
    Error::Input {
        operation: "evaluate_with".into(),
        name: name.into(),
        found: found.into(),
        allowed: allowed.into(),
    }
}

/// Rows of a number of columns.
fn array(values: Vec<f64>, columns: usize) -> Result<Array2<f64>> {
    let rows = values.len() / columns.max(1);
    Array2::from_shape_vec((rows, columns), values)
        .map_err(|error| shape_error("evaluate_with", error.to_string(), "[rows, outputs]"))
}

/// The rows whose labels are not ignored, and their classes.
fn of_labels(
    outputs: Array2<f64>,
    labels: &[i32],
    ignored: &[i64],
) -> Result<(Array2<f64>, Vec<usize>)> {
    let is_kept = |label: &i32| !ignored.contains(&i64::from(*label));
    let columns = outputs.ncols();
    let kept = outputs.rows().into_iter().zip(labels).filter(|(_, label)| is_kept(label));
    let values = kept.flat_map(|(row, _)| row.to_vec()).collect();
    let classes = labels.iter().filter(|label| is_kept(label));
    Ok((array(values, columns)?, classes.map(|&label| label as usize).collect()))
}

/// The logarithms of the probabilities, and true; the outputs as they are, and false, for a loss
/// whose outputs are neither probabilities nor logits.
fn logarithms(
    loss: &dyn LossDefinition,
    is_softmax: bool,
    mut outputs: Array2<f64>,
) -> (Array2<f64>, bool) {
    if is_softmax {
        return (outputs.mapv(f64::ln), true);
    }
    let is_entropy = loss.name().ends_with("cross_entropy") || loss.name() == "focal";
    match loss.predictions() {
        Domain::LogDistribution => (outputs, true),
        Domain::Real | Domain::Logits if is_entropy => {
            for mut row in outputs.rows_mut() {
                let largest = row.fold(f64::NEG_INFINITY, |most, &value| most.max(value));
                let sum: f64 = row.iter().map(|value| (value - largest).exp()).sum();
                let shift = largest + sum.ln();
                row.mapv_inplace(|value| value - shift);
            }
            (outputs, true)
        }
        _ => (outputs, false),
    }
}

//! Results of single rows, computed in f64 from a model's outputs.

use ndarray::Array2;

use crate::cpu::Broadcast;
use crate::criterion::inputs::shape_error;
use crate::losses::OneInput;
use crate::nn::train::engine::{Metric, SampleTargets, TrainingSpec};
use crate::nn::train::link::Link;
use crate::templates::pointwise::Points;
use crate::templates::precision::CpuReal;
use crate::templates::rowwise::rows::Rows;
use crate::templates::rowwise::target::Targets;
use crate::{Error, Result};

/// Results of single rows, in their order: [`crate::Model::evaluate_rows`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RowResults {
    /// The outputs of the last layer, [rows, outputs].
    pub outputs: Array2<f64>,
    /// The loss of each row; their mean is the loss of [`crate::Model::evaluate`].
    pub loss: Vec<f64>,
    /// What is known of the classes; `None` if a row does not have one class.
    pub classes: Option<RowClasses>,
    /// The squared norm of the gradient of each row's loss by all parameters, GraNd² of Paul,
    /// Ganguli, Dziugaite (2021), by Goodfellow's products (2015): Σ over the layers of
    /// ‖δ‖² (‖a‖² + 1) with a layer's inputs a and the gradient δ by its sums. `None` for a model
    /// with parameters outside of dense layers of rows.
    pub squared_gradient_norm: Option<Vec<f64>>,
}

/// Classes of single rows. A single output distinguishes class 0 from class 1.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RowClasses {
    /// Number of classes.
    pub count: usize,
    /// The class of each row's target.
    pub target: Vec<usize>,
    /// The class of the largest output, the first of equal ones.
    pub predicted: Vec<usize>,
    /// The output of the target's class minus the largest of the others, positive if the row is
    /// predicted right; for a single output its distance to the threshold.
    pub margin: Vec<f64>,
    /// The probability of each class, [rows, classes]; `None` for a loss that defines none, as a
    /// hinge loss.
    pub probabilities: Option<Array2<f64>>,
}

impl RowResults {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.loss.len()
    }

    /// The mean loss; 0 without rows.
    pub fn mean_loss(&self) -> f64 {
        self.loss.iter().sum::<f64>() / self.rows().max(1) as f64
    }
}

impl RowClasses {
    /// The probability of each row's target; `None` without probabilities.
    pub fn target_probability(&self) -> Option<Vec<f64>> {
        let probabilities = self.probabilities.as_ref()?;
        Some(
            self.target
                .iter()
                .enumerate()
                .map(|(row, &class)| probabilities[[row, class]])
                .collect(),
        )
    }

    /// True for each row whose class is predicted.
    pub fn is_right(&self) -> impl Iterator<Item = bool> + '_ {
        self.target.iter().zip(&self.predicted).map(|(target, predicted)| target == predicted)
    }
}

/// What the results of rows are computed by.
#[derive(Clone, Debug)]
pub(crate) struct RowRule {
    training_spec: TrainingSpec,
    columns: usize,
    link: Option<Link>,
}

impl RowRule {
    /// The rule of a model whose rows have one target each; `training_spec.metric` says what the
    /// classes are.
    pub fn new(
        training_spec: &TrainingSpec,
        operation: &str,
        [columns, positions]: [usize; 2],
        activation: &str,
    ) -> Result<Self> {
        let loss = &training_spec.loss;
        let refused = |found: &str, allowed: &str| {
            Err(Error::Input {
                operation: operation.into(),
                name: "the model".into(),
                found: found.into(),
                allowed: allowed.into(),
            })
        };
        if loss.targets().pads() {
            return refused("scores lists", "a loss that each row has by itself");
        }
        if positions > 1 {
            return refused("has a target for each token", "a model with one target for a row");
        }
        loss.one_input()?;
        let link = Link::of(&**loss, activation);
        Ok(RowRule { training_spec: training_spec.clone(), columns, link })
    }

    /// Rejects labels that are left out of the loss: they have no result. A row has so many of them.
    pub fn check(&self, operation: &str, targets: SampleTargets, of_row: usize) -> Result<()> {
        let ignored = self.training_spec.loss.ignored();
        let SampleTargets::Labels(labels) = targets else { return Ok(()) };
        match labels.iter().position(|&label| ignored.contains(&i64::from(label))) {
            None => Ok(()),
            Some(place) => {
                let (row, token) = (place / of_row.max(1), place % of_row.max(1));
                let token = if of_row > 1 { format!(", token {token}") } else { String::new() };
                Err(Error::Input {
                    operation: operation.into(),
                    name: format!("the label of row {row}{token}"),
                    found: format!("is {}, which the loss ignores", labels[place]),
                    allowed: "rows with a label: leave the others out".into(),
                })
            }
        }
    }

    /// The loss of each row: the mean over its columns for a loss of elements.
    pub fn losses(&self, outputs: &[f64], targets: SampleTargets) -> Result<Vec<f64>> {
        let (columns, rows) = (self.columns, outputs.len() / self.columns.max(1));
        let dense: Vec<f64> = match targets {
            SampleTargets::Dense(dense) => dense.iter().map(|&x| f64::from(x)).collect(),
            _ => Vec::new(),
        };
        let factor = self.training_spec.factor(1, columns);
        let mut gradient = vec![0.0; outputs.len()];
        match self.training_spec.loss.one_input()? {
            OneInput::Pointwise(cpu) => {
                let points = Points {
                    predictions: outputs,
                    targets: &dense,
                    weight: Broadcast::None,
                    mask: Broadcast::None,
                    column_weight: &[],
                    row_length: columns,
                    factor,
                    upstream: 1.0,
                    upstreams: &[],
                };
                let mut values = vec![0.0; outputs.len()];
                f64::pointwise(cpu, &points, &mut gradient, &mut values);
                Ok(values.chunks_exact(columns).map(|row| row.iter().sum()).collect())
            }
            OneInput::Rowwise(cpu) | OneInput::Listwise(cpu) => {
                let targets = match targets {
                    SampleTargets::Labels(labels) => Targets::Labels(labels),
                    _ => Targets::Dense(&dense),
                };
                let rows_of = Rows {
                    logits: outputs,
                    columns,
                    targets,
                    ignored: self.training_spec.loss.ignored(),
                    class_weight: &[],
                    pos_weight: &[],
                    class_mask: &[],
                    item_weight: &[],
                    weight: &[],
                    mask: &[],
                    factor,
                    upstream: 1.0,
                    upstreams: &[],
                };
                let mut values = vec![0.0; rows];
                f64::rowwise(cpu, &rows_of, &mut gradient, &mut values, &mut [])?;
                Ok(values)
            }
        }
    }

    /// The classes of the rows, if each has one.
    pub fn classes(&self, outputs: &[f64], targets: SampleTargets) -> Option<RowClasses> {
        let (metric, columns) = (self.training_spec.metric?, self.columns);
        let target = classes_of(metric, targets, columns)?;
        let count = columns.max(2);
        let rows = outputs.chunks_exact(columns);
        let (mut predicted, mut margin) = (Vec::new(), Vec::new());
        for (row, &class) in rows.clone().zip(&target) {
            if let [output] = *row {
                let above = output - f64::from(metric.threshold);
                predicted.push(usize::from(above > 0.0));
                margin.push(if class == 1 { above } else { -above });
                continue;
            }
            predicted.push(largest(row));
            let others = row.iter().enumerate().filter(|(column, _)| *column != class);
            let most = others.map(|(_, &output)| output).fold(f64::NEG_INFINITY, f64::max);
            margin.push(row[class] - most);
        }
        let probabilities = self.link.and_then(|link| {
            let all = rows.flat_map(|row| link.probabilities(row)).collect();
            Array2::from_shape_vec((target.len(), count), all).ok()
        });
        Some(RowClasses { count, target, predicted, margin, probabilities })
    }

    /// The results of rows from their outputs.
    pub fn results(&self, outputs: Vec<f64>, targets: SampleTargets) -> Result<RowResults> {
        let loss = self.losses(&outputs, targets)?;
        let classes = self.classes(&outputs, targets);
        let outputs = Array2::from_shape_vec((loss.len(), self.columns), outputs)
            .map_err(|error| shape_error("rows", error.to_string(), "[rows, outputs]"))?;
        Ok(RowResults { outputs, loss, classes, squared_gradient_norm: None })
    }
}

/// The class of each row's target, the first of equal columns.
fn classes_of(metric: Metric, targets: SampleTargets, columns: usize) -> Option<Vec<usize>> {
    match targets {
        SampleTargets::Labels(labels) => {
            labels.iter().map(|&label| usize::try_from(label).ok()).collect()
        }
        SampleTargets::Dense(dense) if columns == 1 => {
            Some(dense.iter().map(|&truth| usize::from(truth > metric.truth_threshold)).collect())
        }
        SampleTargets::Dense(dense) => Some(dense.chunks_exact(columns).map(largest).collect()),
        SampleTargets::None => None,
    }
}

/// The column of the largest number, the first of equal ones.
fn largest<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, column| if row[column] > row[best] { column } else { best })
}

//! Some of the rows, and what each section of the explanation is made of.

use gradus::Targets;
use gradus::data::{Dataset, shuffled_rows};
use ndarray::{Array1, Array2, Axis};

use crate::samples::Truth;

/// What was found, or the reason why it is not known.
pub type Section<T> = Result<T, String>;

/// A row with a large loss.
pub struct LargeLoss {
    pub row: usize,
    pub loss: f64,
    /// Its part of the sum of all losses.
    pub share: f64,
    pub gradient_norm: Option<f64>,
    /// Target, prediction and probability of the target, for classes.
    pub class: Option<(usize, usize, Option<f64>)>,
    /// Predicted numbers in the targets' unit.
    pub numbers: Vec<f64>,
}

/// Some rows with their targets.
pub struct Part {
    pub features: Array2<f32>,
    labels: Option<Array1<i64>>,
    values: Array2<f32>,
}

impl Part {
    /// So many rows, drawn by the seed.
    pub fn new(rows: &Dataset, truth: &Truth, count: usize, seed: u64) -> Result<Self, String> {
        let order = shuffled_rows(rows.rows(), seed).map_err(|error| error.to_string())?;
        Part::of(rows, truth, &order[..count.min(order.len())])
    }

    /// The rows of the given numbers, in their order.
    pub fn of(rows: &Dataset, truth: &Truth, order: &[usize]) -> Result<Self, String> {
        let features = rows.features.select(Axis(0), order);
        let none = || Array2::zeros((0, 0));
        match truth {
            Truth::Labels(labels) => {
                let labels = order.iter().map(|&row| labels[row]).collect();
                Ok(Part { features, labels: Some(labels), values: none() })
            }
            Truth::Values(values) => {
                Ok(Part { features, labels: None, values: values.select(Axis(0), order) })
            }
            Truth::Grouped(..) => Err("the rows are in lists".into()),
        }
    }

    pub fn targets(&self) -> Targets<'_> {
        match &self.labels {
            Some(labels) => labels.into(),
            None => (&self.values).into(),
        }
    }
}

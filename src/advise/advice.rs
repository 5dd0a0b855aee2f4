//! What an analysis of a data set gives: statistics, warnings, and the losses and settings that
//! follow from them.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::advise::task::Task;

/// Losses, optimizer and network for a data set, with the statistics that they follow from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Advice {
    /// What the targets are.
    pub task: Task,
    /// Rows with a target.
    pub rows: usize,
    /// Columns of numbers that the features become.
    pub features: usize,
    /// What to look at before training, the most harmful first.
    pub warnings: Vec<Warning>,
    /// Statistics with their thresholds.
    pub statistics: Vec<Statistic>,
    /// Two to five losses, the recommended one first.
    pub losses: Vec<Candidate>,
    /// Columns of the table to leave out of the features: they number the rows or give the answer.
    pub drop: Vec<String>,
    /// Optimizer and learning rate.
    pub optimizer: OptimizerAdvice,
    /// Layers and length of the training.
    pub network: NetworkAdvice,
    /// The targets: numbers in 40 bins, or the rows of each class.
    pub target_histogram: Histogram,
    /// The residuals of the pilot in units of their MADN, from −8 to 8; empty without a pilot.
    pub residual_histogram: Histogram,
}

/// A warning.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Warning {
    /// The kind: `leak`, `identifier`, `missing`, `capped`, …
    pub kind: &'static str,
    /// One or two sentences with the numbers.
    pub text: String,
}

/// A statistic of the data, beside the threshold that it is compared with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Statistic {
    /// The name: `outlier_share`, `hill_index`, `dispersion`, …
    pub name: &'static str,
    /// The value, finite.
    pub value: f64,
    /// The threshold; none if it is only reported.
    pub threshold: Option<f64>,
    /// True if the value is beyond its threshold.
    pub is_beyond: bool,
    /// What is measured.
    pub meaning: String,
    /// What follows from it.
    pub consequence: String,
    /// Author and year.
    pub source: &'static str,
}

/// A loss to train with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Candidate {
    /// The name in [`losses::CATALOGUE`](crate::losses::CATALOGUE).
    pub loss: &'static str,
    /// Its options, in the unit of the targets.
    pub options: Map<String, Value>,
    /// Its options for targets scaled by [`TargetKind::MedianStandardized`](crate::data::TargetKind),
    /// as `gradus train` scales them for losses with a threshold.
    pub scaled_options: Map<String, Value>,
    /// True if the classes are to count equally: [`ClassWeight::Balanced`](crate::ClassWeight).
    pub balanced: bool,
    /// Weight of the positive side of each label; empty without.
    pub pos_weight: Vec<f64>,
    /// What the prediction estimates: the mean, the median, probabilities.
    pub estimates: &'static str,
    /// A metric that is consistent with it.
    pub metric: &'static str,
    /// Why, with the numbers.
    pub reason: String,
    /// Author and year.
    pub source: &'static str,
    /// Why a file cannot give its inputs; empty if `gradus train` trains with it.
    pub library_only: &'static str,
}

/// An optimizer with its learning rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OptimizerAdvice {
    /// The name in [`optimizers::CATALOGUE`](crate::optimizers::CATALOGUE).
    pub optimizer: &'static str,
    /// Its options beside the learning rate.
    pub options: Map<String, Value>,
    /// The rate to begin with.
    pub learning_rate: f64,
    /// The rates that are worth a try, the smallest and the largest.
    pub band: [f64; 2],
    /// Why.
    pub reason: String,
    /// Author and year.
    pub source: &'static str,
}

/// Hidden layers and the length of the training.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct NetworkAdvice {
    /// Units of the hidden layers.
    pub hidden: Vec<usize>,
    /// Weights and biases of the network.
    pub parameters: usize,
    /// Rows of a batch, or queries.
    pub batch_size: usize,
    /// Passes over the rows.
    pub epochs: usize,
    /// Epochs without a lower validation loss after which to stop.
    pub patience: usize,
    /// Why.
    pub reason: String,
}

/// Counts of values in bins of equal width, or of classes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Histogram {
    /// The lower edge of the first bin.
    pub from: f64,
    /// The upper edge of the last bin.
    pub to: f64,
    /// Number of values in each bin.
    pub counts: Vec<usize>,
    /// Names of the bins, for classes; else empty.
    pub names: Vec<String>,
    /// Values below the first bin.
    pub below: usize,
    /// Values above the last bin.
    pub above: usize,
}

impl Histogram {
    /// The bin of each value; values outside are counted apart.
    pub(super) fn of(values: &[f64], from: f64, to: f64, bins: usize) -> Self {
        let mut found = Histogram { from, to, counts: vec![0; bins], ..Histogram::default() };
        let width = (to - from) / bins as f64;
        for &value in values {
            if value < from {
                found.below += 1;
            } else if value > to {
                found.above += 1;
            } else {
                let bin = if width > 0.0 { ((value - from) / width) as usize } else { 0 };
                found.counts[bin.min(bins - 1)] += 1;
            }
        }
        found
    }
}

impl Advice {
    /// The statistic of a name, if it was computed.
    pub fn statistic(&self, name: &str) -> Option<&Statistic> {
        self.statistics.iter().find(|statistic| statistic.name == name)
    }

    /// True if there is a warning of a kind.
    pub fn warns(&self, kind: &str) -> bool {
        self.warnings.iter().any(|warning| warning.kind == kind)
    }
}

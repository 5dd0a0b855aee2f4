//! How far a training has come, in such detail that it can go on as if it had never been cut.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::schedules::Watched;
use crate::nn::train::engine::Outcome;
use crate::nn::train::history::{Epoch, History, Stop};
use crate::nn::train::options::{EarlyStopping, Fit};
use crate::nn::train::weights::{ClassWeight, Weighting};

/// How far a model has been trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Updates of the parameters.
    pub steps: u64,
    /// Epochs, which choose the order of the rows.
    pub epochs: u32,
    /// Updates that went into the running average.
    #[serde(default)]
    pub averaged: u64,
    /// What a schedule remembers of the value that it watches.
    #[serde(default)]
    pub watched: Watched,
}

/// Weights to come back to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub parameters: Vec<f64>,
    pub states: Vec<Vec<f64>>,
    pub progress: Progress,
}

/// The best epoch so far.
#[derive(Debug)]
pub(crate) struct Best {
    pub snapshot: Snapshot,
    /// Counted from 1.
    pub epoch: usize,
    pub value: f64,
}

/// How one model fares, epoch by epoch.
#[derive(Debug, Default)]
pub(crate) struct EarlyStoppingMonitor {
    pub history: History,
    pub best: Option<Best>,
    /// Epochs in a row that were no better.
    pub waited: usize,
}

impl EarlyStoppingMonitor {
    /// Adds an epoch, and keeps a snapshot of it if it is the best so far; true where early stopping ends the training.
    pub fn add(
        &mut self,
        report: Epoch,
        early: Option<&EarlyStopping>,
        snapshot: impl FnOnce() -> Result<Snapshot>,
    ) -> Result<bool> {
        let value = report.watched();
        self.history.epochs.push(report);
        let Some(early) = early else { return Ok(false) };
        // Anything is better than NaN, which is less than nothing.
        let gains = self
            .best
            .as_ref()
            .is_none_or(|best| best.value.is_nan() || value < best.value - early.min_delta);
        if gains {
            self.best =
                Some(Best { snapshot: snapshot()?, epoch: self.history.epochs.len(), value });
            self.waited = 0;
            return Ok(false);
        }
        self.waited += 1;
        Ok(self.ends(early))
    }

    /// Whether early stopping has waited long enough; noted as the reason of the end.
    pub fn ends(&mut self, early: &EarlyStopping) -> bool {
        let Some(best) = self.best.as_ref().filter(|_| self.waited >= early.patience.max(1)) else {
            return false;
        };
        self.history.stopped = Some(Stop::Early { best_epoch: best.epoch, best: best.value });
        true
    }

    /// Notes that a batch's loss was not finite.
    pub fn abort(&mut self, batch: usize, loss: f64) {
        let epoch = self.history.epochs.len() + 1;
        self.history.stopped = Some(Stop::NotFinite { epoch, batch: batch + 1, loss, cause: None });
    }
}

/// The options of a training that belong to its numbers: it goes on with them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Options {
    batch_size: usize,
    shuffle: bool,
    validation_split: f64,
    learning_rate: Option<f64>,
    clip_norm: Option<f64>,
    clip_tensor_norm: Option<f64>,
    clip_value: Option<f64>,
    skip_non_finite: bool,
    early_stopping: Option<EarlyStopping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_weight: Option<ClassWeight>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pos_weight: Option<Vec<f64>>,
    /// Whether rows had weights, which a file does not keep.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) sample_weight: bool,
    /// The rows came in blocks: in another order than rows at hand.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_blocks: bool,
}

impl Options {
    pub fn of(fit: &Fit, in_blocks: bool) -> Self {
        Options {
            in_blocks,
            batch_size: fit.batch_size,
            shuffle: fit.shuffle,
            validation_split: fit.validation_split,
            learning_rate: fit.learning_rate,
            clip_norm: fit.clip_norm,
            clip_tensor_norm: fit.clip_tensor_norm,
            clip_value: fit.clip_value,
            skip_non_finite: fit.skip_non_finite,
            early_stopping: fit.early_stopping.clone(),
            class_weight: fit.weighting.classes.clone(),
            pos_weight: fit.weighting.positive.clone(),
            sample_weight: fit.weighting.rows.is_some(),
        }
    }

    pub fn fit(&self) -> Fit {
        Fit {
            batch_size: self.batch_size,
            shuffle: self.shuffle,
            validation_split: self.validation_split,
            learning_rate: self.learning_rate,
            clip_norm: self.clip_norm,
            clip_tensor_norm: self.clip_tensor_norm,
            clip_value: self.clip_value,
            skip_non_finite: self.skip_non_finite,
            early_stopping: self.early_stopping.clone(),
            weighting: Weighting {
                classes: self.class_weight.clone(),
                rows: None,
                validation: None,
                positive: self.pos_weight.clone(),
                is_of_validation: false,
            },
            ..Fit::default()
        }
    }

    /// Whether an epoch has the same batches.
    pub fn same_batches(&self, other: &Self) -> bool {
        (self.batch_size, self.shuffle, self.in_blocks)
            == (other.batch_size, other.shuffle, other.in_blocks)
    }
}

/// An epoch that a callback ended in its midst.
#[derive(Debug)]
pub(crate) struct Cut {
    /// What the epoch began with.
    pub before: Snapshot,
    /// What came of the batches that it had.
    pub outcomes: Vec<Outcome>,
    /// Updates that were left out.
    pub skipped: usize,
}

/// The training that a model is in, or was last in.
#[derive(Debug)]
pub(crate) struct Training {
    pub options: Options,
    /// Epochs that it shall have in all.
    pub planned: usize,
    /// A fingerprint of the rows that it goes over and validates on.
    pub rows: u64,
    pub monitor: EarlyStoppingMonitor,
    /// What the last epoch left, where the best one's weights were put back.
    pub last: Option<Snapshot>,
    pub cut: Option<Cut>,
}

impl Training {
    pub fn new(options: Options, planned: usize, rows: u64) -> Self {
        Training {
            options,
            planned,
            rows,
            monitor: EarlyStoppingMonitor::default(),
            last: None,
            cut: None,
        }
    }

    /// Epochs behind it.
    pub fn done(&self) -> usize {
        self.monitor.history.epochs.len()
    }

    /// How many epochs are left.
    pub fn left(&self) -> usize {
        self.planned.saturating_sub(self.done())
    }

    /// Nothing but the options: early stopping has ended it, and what comes is another.
    pub fn end(&mut self) {
        *self = Training::new(self.options.clone(), 0, self.rows);
    }
}

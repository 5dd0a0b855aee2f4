//! The state of a training, complete enough to resume it as if it had never been interrupted.

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::loss_scale::LossScale;
use crate::nn::ops::gather::augment::Augment;
use crate::nn::schedules::Watched;
use crate::nn::train::early_stopping::EarlyStopping;
use crate::nn::train::engine::{Outcome, TrainingSpec};
use crate::nn::train::exchange::Exchange;
use crate::nn::train::history::{Epoch, History, Stop};
use crate::nn::train::options::Fit;
use crate::nn::train::row_results::RowRule;
use crate::nn::train::weights::{ClassWeight, Weighting};

/// Training progress of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Updates of the parameters.
    pub steps: u64,
    /// Completed epochs, which index the row orders.
    pub epochs: u32,
    /// Updates of the running average.
    #[serde(default)]
    pub averaged: u64,
    /// The schedule's state for its monitored value.
    #[serde(default)]
    pub watched: Watched,
    /// The scale of gradients in mixed precision, as it was when this was taken.
    #[serde(default, skip_serializing_if = "LossScale::is_default")]
    pub loss_scale: LossScale,
}

/// Weights and states to restore.
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

/// What is known of losses that are not finite in mixed precision.
const BEYOND: &str = "in mixed precision an operand is infinite from 65520 on: standardize the \
    features, lower the learning rate, or train without it";

/// What is known of a number that was finite before an update.
const BEHIND: &str = "that batch's update made it so: try a lower learning rate";

/// Early-stopping monitor of one model: its history and best epoch.
#[derive(Debug, Default)]
pub(crate) struct EarlyStoppingMonitor {
    pub history: History,
    pub best: Option<Best>,
    /// Consecutive epochs without improvement.
    pub waited: usize,
}

impl EarlyStoppingMonitor {
    /// Adds an epoch, with a snapshot if it is the best so far; true if early stopping ends the
    /// training.
    pub fn add(
        &mut self,
        report: Epoch,
        early: Option<&EarlyStopping>,
        snapshot: impl FnOnce() -> Result<Snapshot>,
    ) -> Result<bool> {
        let value = report.watched();
        self.history.epochs.push(report);
        let Some(early) = early else { return Ok(false) };
        // Any number is better than NaN, which does not compare.
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

    /// True if early stopping has waited long enough; records it as the reason of the end.
    pub fn ends(&mut self, early: &EarlyStopping) -> bool {
        let Some(best) = self.best.as_ref().filter(|_| self.waited >= early.patience.max(1)) else {
            return false;
        };
        self.history.stopped = Some(Stop::Early { best_epoch: best.epoch, best: best.value });
        true
    }

    /// Records a number that was not finite: the loss of a batch or, if `outcomes` has a finite one
    /// for it, what the batch's update has left.
    pub fn abort(&mut self, spec: &TrainingSpec, batch: usize, loss: f64, outcomes: &[Outcome]) {
        let epoch = self.history.epochs.len() + 1;
        let is_behind = outcomes.get(batch).is_some_and(|outcome| outcome.loss.is_finite());
        let cause = match spec.step_options.mixed_precision {
            true => Some(BEYOND.to_string()),
            false => is_behind.then(|| BEHIND.to_string()),
        };
        self.history.stopped = Some(Stop::NotFinite { epoch, batch: batch + 1, loss, cause });
    }
}

/// The training options that affect its numbers, saved for resuming.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Options {
    batch_size: usize,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    accumulate: usize,
    shuffle: bool,
    validation_split: f64,
    learning_rate: Option<f64>,
    clip_norm: Option<f64>,
    clip_tensor_norm: Option<f64>,
    clip_value: Option<f64>,
    skip_non_finite: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mixed_precision: bool,
    early_stopping: Option<EarlyStopping>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    augment: Option<Augment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_weight: Option<ClassWeight>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pos_weight: Option<Vec<f64>>,
    /// True if rows had weights, which a file does not contain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) sample_weight: bool,
    /// True if validation rows had weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    validation_weight: Option<bool>,
    /// The rows came in blocks: in another order than loaded rows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_blocks: bool,
    /// The number of updates since the model was compiled at which the training ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Options {
    /// The options of a training that begins behind `steps` updates.
    pub fn of(fit: &Fit, in_blocks: bool, steps: u64) -> Self {
        Options {
            in_blocks,
            until: fit.until(steps),
            batch_size: fit.batch_size,
            accumulate: fit.batches_per_update(),
            shuffle: fit.shuffle,
            validation_split: fit.validation_split,
            learning_rate: fit.learning_rate,
            clip_norm: fit.clip_norm,
            clip_tensor_norm: fit.clip_tensor_norm,
            clip_value: fit.clip_value,
            skip_non_finite: fit.skip_non_finite,
            mixed_precision: fit.mixed_precision,
            early_stopping: fit.early_stopping.clone(),
            augment: Some(fit.augment).filter(Augment::changes),
            class_weight: fit.weighting.classes.clone(),
            pos_weight: fit.weighting.positive.clone(),
            sample_weight: fit.weighting.rows.is_some(),
            validation_weight: Some(fit.weighting.validation.is_some()),
        }
    }

    pub fn fit(&self) -> Fit {
        Fit {
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            saved_accumulate: Some(self.accumulate),
            shuffle: self.shuffle,
            validation_split: self.validation_split,
            learning_rate: self.learning_rate,
            clip_norm: self.clip_norm,
            clip_tensor_norm: self.clip_tensor_norm,
            clip_value: self.clip_value,
            skip_non_finite: self.skip_non_finite,
            mixed_precision: self.mixed_precision,
            early_stopping: self.early_stopping.clone(),
            augment: self.augment.unwrap_or_default(),
            weighting: Weighting {
                classes: self.class_weight.clone(),
                rows: None,
                validation: None,
                positive: self.pos_weight.clone(),
                prior: None,
                is_of_validation: false,
            },
            ..Fit::default()
        }
    }

    /// True if an epoch has the same batches.
    pub fn same_batches(&self, other: &Self) -> bool {
        let of = |options: &Self| {
            (options.batch_size, options.accumulate, options.shuffle, options.in_blocks)
        };
        of(self) == of(other)
    }

    /// What weighs the losses that early stopping compares in another way than `other` does, if
    /// anything; `validates` if they are of rows of their own.
    pub fn other_weights(&self, other: &Self, validates: bool) -> Option<&'static str> {
        let classes = |options: &Self| (options.class_weight.clone(), options.pos_weight.clone());
        // A file from before this was kept does not say it.
        let of_validation = self.validation_weight.zip(other.validation_weight);
        match () {
            () if classes(self) != classes(other) => Some("weights of the classes"),
            () if !validates && self.sample_weight != other.sample_weight => {
                Some("weights of the rows")
            }
            () if validates && of_validation.is_some_and(|(before, now)| before != now) => {
                Some("weights of the validation rows")
            }
            () => None,
        }
    }
}

fn one() -> usize {
    1
}

fn is_one(batches: &usize) -> bool {
    *batches == 1
}

/// An epoch that a callback ended midway.
#[derive(Debug)]
pub(crate) struct Cut {
    /// The state at the beginning of the epoch.
    pub before: Snapshot,
    /// Outcomes of its completed batches.
    pub outcomes: Vec<Outcome>,
    /// Skipped updates.
    pub skipped: usize,
}

/// The current or last training of a model.
#[derive(Debug)]
pub(crate) struct Training {
    pub options: Options,
    /// Planned epochs in total.
    pub planned: usize,
    /// A fingerprint of its training and validation rows.
    pub rows: u64,
    pub monitor: EarlyStoppingMonitor,
    /// State after the last epoch, if the best weights were restored.
    pub last: Option<Snapshot>,
    pub cut: Option<Cut>,
    /// The rule of the rows that are watched.
    pub watch: Option<RowRule>,
    /// What happens to the gradient before an update.
    pub exchange: Option<Exchange>,
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
            watch: None,
            exchange: None,
        }
    }

    /// Completed epochs.
    pub fn done(&self) -> usize {
        self.monitor.history.epochs.len()
    }

    /// Remaining epochs.
    pub fn left(&self) -> usize {
        self.planned.saturating_sub(self.done())
    }

    /// Resets everything but the options: early stopping has ended the training, and the next one
    /// is new.
    pub fn end(&mut self) {
        *self = Training::new(self.options.clone(), 0, self.rows);
    }
}

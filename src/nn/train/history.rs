//! Training history: per-epoch reports and the reason for the end.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::text;
use crate::nn::train::row_history::RowHistory;
use crate::nn::train::updates::{Known, UpdateSigns};

/// One pass over the training data.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Epoch {
    /// Mean loss over the epoch's rows, each batch evaluated before its own update. Excludes
    /// penalties `l1` and `l2`.
    pub loss: f64,
    /// Fraction of rows predicted right, if the targets are classes.
    pub accuracy: Option<f64>,
    /// Mean loss over the validation rows after the epoch.
    pub val_loss: Option<f64>,
    /// Fraction of validation rows predicted right.
    pub val_accuracy: Option<f64>,
    /// R², if the targets are numbers: the fraction of their variance that is explained, 0 for
    /// predicting the mean. For the squared error over the epoch's rows, as `loss`; for other
    /// losses after the epoch, and only without validation.
    #[serde(default)]
    pub r2: Option<f64>,
    /// R² on the validation rows after the epoch.
    #[serde(default)]
    pub val_r2: Option<f64>,
    /// Updates skipped because their gradient was not finite ([`crate::Fit::skip_non_finite`]).
    pub skipped: usize,
    /// The learning rate of the last update, if a schedule is set.
    pub learning_rate: Option<f64>,
    /// Wall time in seconds, validation included; 0 for an epoch completed before a training was
    /// resumed.
    pub seconds: f64,
}

impl Epoch {
    /// The value monitored by early stopping and schedules.
    pub(crate) fn watched(&self) -> f64 {
        self.val_loss.unwrap_or(self.loss)
    }
}

/// The loss of predicting each output's mean over the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// On the training rows.
    pub loss: f64,
    /// On the validation rows.
    pub val_loss: Option<f64>,
}

/// The result of [`crate::Model::fit`]: Keras' `History`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The epochs of the training; for a resumed one ([`crate::Fit::resume`]) including those
    /// completed before.
    pub epochs: Vec<Epoch>,
    /// Number of epochs completed before this call.
    pub before: usize,
    /// The loss of each batch of this call, in order.
    pub steps: Vec<f64>,
    /// Numbers of the first updates of this call, in order: those of [`crate::Fit::watch_updates`].
    pub updates: Vec<UpdateSigns>,
    /// The loss of predicting the mean of the training targets, if the targets are numbers.
    pub baseline: Option<Baseline>,
    /// The reason for an early end, if any.
    pub stopped: Option<Stop>,
    /// The epoch, counted from 1, whose weights the model has, if it is not the last one: the best
    /// that [`crate::EarlyStopping`] has restored.
    pub restored: Option<usize>,
    /// What the diagnosis needs besides.
    pub(crate) known: Known,
    /// What each training row did over the epochs of this call: [`crate::Fit::watch_rows`].
    pub rows: Option<RowHistory>,
}

/// Reason why a training ended early.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// The monitored value stopped improving.
    Early {
        /// The best epoch, counted from 1.
        best_epoch: usize,
        /// Its value.
        best: f64,
    },
    /// A batch's loss was NaN or infinite. The weights are those of the last good epoch.
    NotFinite {
        /// The epoch, counted from 1.
        epoch: usize,
        /// The batch, counted from 1 in its epoch.
        batch: usize,
        /// Its loss.
        loss: f64,
        /// The cause, if known to be other than the learning rate: numbers too large for f32.
        cause: Option<String>,
    },
    /// A callback requested the end ([`crate::Fit::on_step`], [`crate::Fit::on_epoch`]). The
    /// weights are those of the last step.
    Asked {
        /// Completed epochs.
        epochs: usize,
        /// Completed batches of the next epoch.
        batches: usize,
        /// Number of batches in that epoch.
        of: usize,
    },
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Early { best_epoch, best } => {
                write!(
                    f,
                    "stopped early: epoch {best_epoch} was the best, at {}",
                    text::number(*best)
                )
            }
            Stop::NotFinite { epoch, batch, loss, cause } => write!(
                f,
                "stopped: the loss was {loss} in batch {batch} of epoch {epoch}; the weights {} are kept; {}",
                if *epoch == 1 { "before the training" } else { "of the last good epoch" },
                cause.as_deref().unwrap_or("try a lower learning rate")
            ),
            Stop::Asked { epochs, batches: 0, .. } => write!(f, "stopped after epoch {epochs}"),
            Stop::Asked { epochs, batches, of } => {
                write!(f, "stopped after {batches} of the {of} batches of epoch {}", epochs + 1)
            }
        }
    }
}

impl History {
    /// Values by name, as Keras' `history.history`: `loss`, and `accuracy`, `val_loss`,
    /// `val_accuracy`, `r2`, `val_r2`, `learning_rate` if present in any epoch. Each column has one
    /// entry per epoch, `None` if missing: a resumed training may have begun without validation or
    /// a schedule.
    pub fn columns(&self) -> Vec<(&'static str, Vec<Option<f64>>)> {
        let column = |value: fn(&Epoch) -> Option<f64>| {
            self.epochs.iter().map(value).collect::<Vec<Option<f64>>>()
        };
        let columns = vec![
            ("loss", column(|epoch| Some(epoch.loss))),
            ("accuracy", column(|epoch| epoch.accuracy)),
            ("val_loss", column(|epoch| epoch.val_loss)),
            ("val_accuracy", column(|epoch| epoch.val_accuracy)),
            ("r2", column(|epoch| epoch.r2)),
            ("val_r2", column(|epoch| epoch.val_r2)),
            ("learning_rate", column(|epoch| epoch.learning_rate)),
        ];
        columns.into_iter().filter(|(_, values)| values.iter().any(Option::is_some)).collect()
    }
}

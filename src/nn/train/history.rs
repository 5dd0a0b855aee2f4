//! What is told of a training: epoch by epoch, and why it ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::text;

/// One pass over the training data.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Epoch {
    /// Mean loss over the epoch's rows, each batch as it was when its turn came. Penalties of `l1` and `l2` not counted.
    pub loss: f64,
    /// Share of rows predicted right, where the targets are classes.
    pub accuracy: Option<f64>,
    /// Mean loss over the validation rows after the epoch.
    pub val_loss: Option<f64>,
    /// Share of validation rows predicted right.
    pub val_accuracy: Option<f64>,
    /// R², where the targets are numbers: the share of their variance that is explained, 0 for predicting the mean. Of the squared
    /// error over the epoch's rows, as `loss`; of other losses after the epoch, and only where nothing is validated.
    #[serde(default)]
    pub r2: Option<f64>,
    /// R² on the validation rows after the epoch.
    #[serde(default)]
    pub val_r2: Option<f64>,
    /// Updates that were left out because their gradient was not finite ([`crate::Fit::skip_non_finite`]).
    pub skipped: usize,
    /// The learning rate of the last update, where a schedule chose it.
    pub learning_rate: Option<f64>,
    /// Wall time, validation included; 0 for an epoch that was done before a training was resumed.
    pub seconds: f64,
}

impl Epoch {
    /// What early stopping and schedules watch.
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

/// What [`crate::Model::fit`] gives back: Keras' `History`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The epochs of the training: of a resumed one ([`crate::Fit::resume`]) those too that it had behind it.
    pub epochs: Vec<Epoch>,
    /// How many of them were done before this call.
    pub before: usize,
    /// The loss of each batch of this call, in order.
    pub steps: Vec<f64>,
    /// What predicting the mean of the training targets comes to, where the targets are numbers.
    pub baseline: Option<Baseline>,
    /// Why it ended before its last epoch, if it did.
    pub stopped: Option<Stop>,
}

/// Why a training ended early.
#[derive(Clone, Debug, PartialEq)]
pub enum Stop {
    /// What was watched no longer got better.
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
        /// Why, where it is known that the learning rate had no part in it: numbers too large for f32.
        cause: Option<String>,
    },
    /// A callback asked for it ([`crate::Fit::on_step`], [`crate::Fit::on_epoch`]). The weights are those of the last step.
    Asked {
        /// Epochs that were done.
        epochs: usize,
        /// Batches that were done of the next one.
        batches: usize,
        /// How many it has.
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
                "stopped: the loss was {loss} in batch {batch} of epoch {epoch}; the weights of the last good epoch are \
                 kept; {}",
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
    /// Values by name, as Keras' `history.history`: `loss`, and `accuracy`, `val_loss`, `val_accuracy`, `r2`, `val_r2`, `learning_rate`
    /// where there are any. Each column has a place for each epoch: a resumed training may have begun without validation or a schedule.
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

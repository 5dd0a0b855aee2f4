//! Early stopping.

use crate::{Error, Result};

/// Early stopping on the validation loss, or the training loss without validation.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EarlyStopping {
    pub(crate) patience: usize,
    pub(crate) min_delta: f64,
    pub(crate) restore_best: bool,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping { patience: 0, min_delta: 0.0, restore_best: true }
    }
}

impl EarlyStopping {
    /// Stops at the first epoch without improvement, and restores the best weights.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of epochs without improvement before stopping, as in Keras; 0 counts as 1 (default
    /// 0).
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// Minimum decrease of the loss to count as an improvement, ≥ 0 (default 0).
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Restores the weights of the best epoch (default true; Keras' default is false).
    pub fn restore_best(mut self, restore_best: bool) -> Self {
        self.restore_best = restore_best;
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.min_delta >= 0.0 && self.min_delta.is_finite() {
            return Ok(());
        }
        Err(Error::option("early stopping", "min_delta", self.min_delta, ">= 0"))
    }
}

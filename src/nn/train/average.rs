//! A running average of the weights for prediction.

use crate::{Error, Result};

/// A running average of the weights: a ← δa + (1 − δ)w after each update ([`crate::Fit::average`],
/// [`crate::Model::averaged`]).
///
/// ```
/// use gradus::Average;
/// let average = Average::new(0.99).debias(true);
/// # let _ = average;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Average {
    decay: f64,
    debias: bool,
}

impl Average {
    /// An average with decay δ, in [0, 1), initialized with the current weights.
    ///
    /// Keras `use_ema`, PyTorch `AveragedModel` with `get_ema_multi_avg_fn`.
    pub fn new(decay: f64) -> Self {
        Average { decay, debias: false }
    }

    /// Starts at 0 and divides by 1 − δᵗ when read, so that the initial weights have no influence:
    /// optax `ema(decay, debias=True)` (default false).
    pub fn debias(mut self, debias: bool) -> Self {
        self.debias = debias;
        self
    }

    /// The factor 1 − δ of the weights in an update of the average.
    pub(crate) fn weight(&self) -> f64 {
        1.0 - self.decay
    }

    /// Its initial value.
    pub(crate) fn start(&self, parameters: &[f64]) -> Vec<f64> {
        if self.debias { vec![0.0; parameters.len()] } else { parameters.to_vec() }
    }

    /// The averaged weights after `updates` updates.
    pub(crate) fn weights(&self, mut average: Vec<f64>, updates: u64) -> Vec<f64> {
        if self.debias && updates > 0 {
            let correction = 1.0 - self.decay.powf(updates as f64);
            average.iter_mut().for_each(|weight| *weight /= correction);
        }
        average
    }

    pub(crate) fn check(&self) -> Result<()> {
        if (0.0..1.0).contains(&self.decay) {
            return Ok(());
        }
        Err(Error::option("average", "decay", self.decay, "in [0, 1)"))
    }
}

//! Reduction on a plateau of a monitored value.

use serde::{Deserialize, Serialize};

use crate::catalogue::options;
use crate::nn::schedules::schedule::{Entry, Schedule, Watched, common, line};

/// Direction of improvement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Lower values are better.
    #[default]
    Min,
    /// Higher values are better.
    Max,
}

/// Meaning of `threshold`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdMode {
    /// Relative to the best value.
    #[default]
    Rel,
    /// Absolute.
    Abs,
}

options! {
    /// Multiplied by `factor` when the monitored value has not improved for more than `patience`
    /// epochs: PyTorch `ReduceLROnPlateau`.
    ///
    /// [`crate::Fit`] passes the validation loss of each epoch, or the training loss without
    /// validation.
    ///
    /// ```
    /// use gradus::schedules::{ReduceOnPlateau, Schedule, Watched};
    /// let plateau = ReduceOnPlateau::new().learning_rate(0.1).factor(0.5).patience(1_u32);
    /// let mut watched = Watched::default();
    /// [1.0, 0.9, 0.9, 0.9].into_iter().for_each(|loss| plateau.observe(&mut watched, loss));
    /// assert_eq!(plateau.rate_after(4, &watched), 0.05);
    /// ```
    pub struct ReduceOnPlateau of "reduce_on_plateau" {
        /// The initial learning rate λ.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Factor of each reduction.
        factor: f64 = 0.1, "in [0, 1)" if |factor| (0.0..1.0).contains(&factor);
        /// Number of successive values without improvement that are tolerated.
        patience: u32 = 10u32, "a whole number from 0 on" if |_| true;
        /// Smallest improvement that counts.
        threshold: f64 = 1e-4, "finite and >= 0" if |threshold| threshold.is_finite() && threshold >= 0.0;
        /// Relative or absolute `threshold`.
        threshold_mode: ThresholdMode = ThresholdMode::Rel, "\"rel\" or \"abs\"" if |_| true;
        /// Number of values ignored after a reduction.
        cooldown: u32 = 0u32, "a whole number from 0 on" if |_| true;
        /// The smallest learning rate.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Smallest reduction that is applied.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Direction of improvement.
        mode: Mode = Mode::Min, "\"min\" or \"max\"" if |_| true;
    }
}

pub(crate) static ENTRY: Entry = line!(
    "reduce_on_plateau",
    ReduceOnPlateau,
    "down when the loss no longer gets better",
    "η ← max(η factor, min)",
    ["ReduceLROnPlateau", "ReduceLROnPlateau", "contrib.reduce_on_plateau"]
);

impl ReduceOnPlateau {
    fn is_better(&self, value: f64, best: f64) -> bool {
        match (self.mode, self.threshold_mode) {
            (Mode::Min, ThresholdMode::Rel) => value < best * (1.0 - self.threshold),
            (Mode::Min, ThresholdMode::Abs) => value < best - self.threshold,
            (Mode::Max, ThresholdMode::Rel) => value > best * (1.0 + self.threshold),
            (Mode::Max, ThresholdMode::Abs) => value > best + self.threshold,
        }
    }
}

impl Schedule for ReduceOnPlateau {
    common!(ENTRY);

    fn rate(&self, _: u64) -> f64 {
        self.learning_rate
    }

    fn rate_after(&self, _: u64, watched: &Watched) -> f64 {
        watched.learning_rate.unwrap_or(self.learning_rate)
    }

    fn observe(&self, watched: &mut Watched, value: f64) {
        if watched.best.is_none_or(|best| self.is_better(value, best)) {
            // NaN must not become the best value: no later value would improve on it.
            watched.best = Some(value).filter(|value| !value.is_nan()).or(watched.best);
            watched.worse = 0;
        } else {
            watched.worse += 1;
        }
        if watched.cooldown > 0 {
            watched.cooldown -= 1;
            watched.worse = 0;
        }
        if watched.worse > self.patience {
            let before = self.rate_after(0, watched);
            let reduced = (before * self.factor).max(self.minimum);
            if before - reduced > self.epsilon {
                watched.learning_rate = Some(reduced);
            }
            (watched.cooldown, watched.worse) = (self.cooldown, 0);
        }
    }

    fn monitors(&self) -> bool {
        true
    }
}

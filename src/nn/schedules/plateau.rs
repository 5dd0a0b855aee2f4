//! Down when a value no longer gets better.

use serde::{Deserialize, Serialize};

use crate::catalogue::options;
use crate::nn::schedules::schedule::{Entry, Schedule, Watched, common, line};

/// Which values are better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Lower ones.
    #[default]
    Min,
    /// Higher ones.
    Max,
}

/// What `threshold` is a part of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThresholdMode {
    /// Of the best value.
    #[default]
    Rel,
    /// Nothing: it is a value itself.
    Abs,
}

options! {
    /// Times `factor` when the watched value was no better for more than `patience` epochs: PyTorch `ReduceLROnPlateau`.
    ///
    /// [`crate::Fit`] hands it the validation loss of each epoch, or the training loss where nothing is validated.
    ///
    /// ```
    /// use gradus::schedules::{ReduceOnPlateau, Schedule, Watched};
    /// let plateau = ReduceOnPlateau::new().learning_rate(0.1).factor(0.5).patience(1_u32);
    /// let mut watched = Watched::default();
    /// [1.0, 0.9, 0.9, 0.9].into_iter().for_each(|loss| plateau.observe(&mut watched, loss));
    /// assert_eq!(plateau.rate_after(4, &watched), 0.05);
    /// ```
    pub struct ReduceOnPlateau of "reduce_on_plateau" {
        /// The learning rate λ at first.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// What it is multiplied with.
        factor: f64 = 0.1, "in [0, 1)" if |factor| (0.0..1.0).contains(&factor);
        /// How many values in a row may be no better.
        patience: u32 = 10u32, "a whole number from 0 on" if |_| true;
        /// How much better a value must be to count.
        threshold: f64 = 1e-4, "finite and >= 0" if |threshold| threshold.is_finite() && threshold >= 0.0;
        /// Whether that is a part of the best value.
        threshold_mode: ThresholdMode = ThresholdMode::Rel, "\"rel\" or \"abs\"" if |_| true;
        /// How many values are left alone after a fall.
        cooldown: u32 = 0u32, "a whole number from 0 on" if |_| true;
        /// Where it ends.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// The least fall that is made.
        epsilon: f64 = 1e-8, "finite and >= 0" if |epsilon| epsilon.is_finite() && epsilon >= 0.0;
        /// Which values are better.
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
            // NaN is no best: every value would be worse.
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

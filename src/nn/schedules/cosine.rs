//! Cosine schedules.

use crate::catalogue::options;
use crate::nn::schedules::schedule::{Entry, Schedule, common, line};
use crate::nn::schedules::shape::half_wave;

options! {
    /// Cosine decay to `minimum`, then constant, as Keras' `CosineDecay` and optax; with `periodic`
    /// the rate rises again as in PyTorch's `CosineAnnealingLR`.
    ///
    /// Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm
    /// Restarts, 2017.
    pub struct Cosine of "cosine" {
        /// The initial learning rate λ.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps of the decay (half a period).
        steps: u64 = 100u64, "a whole number > 0" if |steps| steps > 0;
        /// The final learning rate.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// True to continue the cosine beyond `steps`, up and down again.
        periodic: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static COSINE: Entry = line!(
    "cosine",
    Cosine,
    "down along half a wave",
    "η = min + ½(λ − min)(1 + cos(πt/steps)), up to steps",
    ["CosineAnnealingLR", "CosineDecay", "cosine_decay_schedule"]
);

impl Schedule for Cosine {
    common!(COSINE);

    fn rate(&self, step: u64) -> f64 {
        let place = if self.periodic { step } else { step.min(self.steps) };
        half_wave(self.learning_rate, self.minimum, place as f64 / self.steps as f64)
    }
}

options! {
    /// Cosine decay with warm restarts, each cycle `multiplier` times as long as the previous one:
    /// PyTorch `CosineAnnealingWarmRestarts`.
    ///
    /// Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm
    /// Restarts, 2017.
    pub struct CosineRestarts of "cosine_restarts" {
        /// The learning rate λ at each restart.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps of the first cycle.
        steps: u64 = 10u64, "a whole number > 0" if |steps| steps > 0;
        /// The learning rate at the end of each cycle.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Ratio of the lengths of successive cycles.
        multiplier: u64 = 1u64, "a whole number > 0" if |multiplier| multiplier > 0;
    }
}

pub(crate) static COSINE_RESTARTS: Entry = line!(
    "cosine_restarts",
    CosineRestarts,
    "down along half a wave, again and again",
    "η = min + ½(λ − min)(1 + cos(πs/n)), s steps into a wave of n",
    ["CosineAnnealingWarmRestarts", "CosineDecayRestarts", "sgdr_schedule"]
);

impl Schedule for CosineRestarts {
    common!(COSINE_RESTARTS);

    fn rate(&self, step: u64) -> f64 {
        let (mut place, mut length) = (step, self.steps);
        if self.multiplier == 1 {
            place %= length;
        }
        while place >= length {
            place -= length;
            length = length.saturating_mul(self.multiplier);
        }
        half_wave(self.learning_rate, self.minimum, place as f64 / length as f64)
    }
}

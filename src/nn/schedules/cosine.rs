//! Schedules along a cosine.

use crate::catalogue::options;
use crate::nn::schedules::schedule::{Entry, Schedule, common, line};
use crate::nn::schedules::shape::half_wave;

options! {
    /// Down to `minimum` along half a wave, and no further, as Keras' `CosineDecay` and optax; PyTorch's `CosineAnnealingLR` goes up
    /// again, which `periodic` asks for.
    ///
    /// Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    pub struct Cosine of "cosine" {
        /// The learning rate λ at first.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps of half a wave.
        steps: u64 = 100u64, "a whole number > 0" if |steps| steps > 0;
        /// Where it ends.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Whether it goes up again beyond `steps`, and down again.
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
    /// Down along half a wave, again and again, each `multiplier` times as long as the one before: PyTorch
    /// `CosineAnnealingWarmRestarts`.
    ///
    /// Source: I. Loshchilov, F. Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017.
    pub struct CosineRestarts of "cosine_restarts" {
        /// The learning rate λ at each start.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps of the first half wave.
        steps: u64 = 10u64, "a whole number > 0" if |steps| steps > 0;
        /// Where each ends.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// How many times as long each is as the one before.
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

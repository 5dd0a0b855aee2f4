//! Schedules with a warm-up.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::{Options, options};
use crate::nn::schedules::schedule::{Entry, Schedule, common, line};
use crate::nn::schedules::shape::{between, half_wave, share};
use crate::{Error, Result, catalogue};

options! {
    /// Linear from `initial` to `peak`, then constant: optax `warmup_constant_schedule`.
    pub struct Warmup of "warmup" {
        /// The initial learning rate.
        initial: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// The learning rate after the warm-up.
        peak: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps of the warm-up.
        warmup_steps: u64 = 100u64, "a whole number from 0 on" if |_| true;
    }
}

pub(crate) static WARMUP: Entry = line!(
    "warmup",
    Warmup,
    "up along a line, and there it stays",
    "η = initial + (peak − initial) min(t/warmup_steps, 1)",
    ["LinearLR", "", "warmup_constant_schedule"]
);

impl Schedule for Warmup {
    common!(WARMUP);

    fn rate(&self, step: u64) -> f64 {
        between(self.initial, self.peak, share(step, self.warmup_steps))
    }
}

options! {
    /// Linear from `initial` to `peak`, then cosine decay to `minimum`, then constant: optax
    /// `warmup_cosine_decay_schedule`. `steps` includes the warm-up.
    pub struct WarmupCosine of "warmup_cosine" {
        /// The initial learning rate.
        initial: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// The learning rate at the end of the warm-up.
        peak: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps of the warm-up.
        warmup_steps: u64 = 10u64, "a whole number below steps" if |_| true;
        /// Total steps.
        steps: u64 = 100u64, "a whole number > 0" if |steps| steps > 0;
        /// The final learning rate.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Exponent of the cosine factor, which falls from 1 to 0.
        exponent: f64 = 1.0, "finite and > 0" if |power| power.is_finite() && power > 0.0;
    }
}

pub(crate) static WARMUP_COSINE: Entry = line!(
    "warmup_cosine",
    WarmupCosine,
    "up along a line, then down along half a wave",
    "η = min + (peak − min)(½(1 + cos(πs)))^exponent, s the share of the steps behind the warm-up",
    [
        "SequentialLR of LinearLR and CosineAnnealingLR",
        "CosineDecay(warmup_target=…)",
        "warmup_cosine_decay_schedule"
    ]
);

impl Schedule for WarmupCosine {
    fn entry(&self) -> &'static Entry {
        &WARMUP_COSINE
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn check(&self) -> Result<()> {
        self.check_domains()?;
        if self.warmup_steps >= self.steps {
            let allowed = format!("below steps, which is {}", self.steps);
            return Err(Error::option(
                "warmup_cosine",
                "warmup_steps",
                self.warmup_steps,
                &allowed,
            ));
        }
        Ok(())
    }

    fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return between(self.initial, self.peak, share(step, self.warmup_steps));
        }
        let wave =
            half_wave(1.0, 0.0, share(step - self.warmup_steps, self.steps - self.warmup_steps));
        between(self.minimum, self.peak, wave.powf(self.exponent))
    }
}

/// Interpolation of [`OneCycle`] between learning rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anneal {
    /// Half-cosine interpolation.
    #[default]
    Cos,
    /// Linear interpolation.
    Linear,
}

options! {
    /// Up to `maximum` and down to below the initial rate: PyTorch `OneCycleLR` (without momentum
    /// cycling). Constant beyond `steps`.
    ///
    /// Source: L. Smith, N. Topin, Super-Convergence: Very Fast Training of Neural Networks Using
    /// Large Learning Rates, 2018.
    pub struct OneCycle of "one_cycle" {
        /// The largest learning rate.
        maximum: f64 = 1e-2, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Total steps.
        steps: u64 = 100u64, "a whole number > 1" if |steps| steps > 1;
        /// Fraction of the steps spent increasing the rate.
        pct_start: f64 = 0.3, "in [0, 1]" if |share| (0.0..=1.0).contains(&share);
        /// The initial rate is `maximum` divided by this.
        div_factor: f64 = 25.0, "finite and > 0" if |factor| factor.is_finite() && factor > 0.0;
        /// The final rate is the initial rate divided by this.
        final_div_factor: f64 = 1e4, "finite and > 0" if |factor| factor.is_finite() && factor > 0.0;
        /// Interpolation between the rates.
        anneal_strategy: Anneal = Anneal::Cos, "\"cos\" or \"linear\"" if |_| true;
        /// True for a symmetric decrease to the initial rate before the final decay.
        three_phase: bool = false, "true or false" if |_| true;
    }
}

pub(crate) static ONE_CYCLE: Entry = line!(
    "one_cycle",
    OneCycle,
    "up to a maximum and down again, further than where it began",
    "η = maximum/div_factor → maximum → maximum/(div_factor final_div_factor)",
    ["OneCycleLR", "", "cosine_onecycle_schedule"]
);

impl Schedule for OneCycle {
    common!(ONE_CYCLE);

    fn rate(&self, step: u64) -> f64 {
        let (top, total) = (self.maximum, self.steps as f64);
        let bottom = top / self.div_factor;
        let end = bottom / self.final_div_factor;
        let up = self.pct_start * total - 1.0;
        let phases = match self.three_phase {
            true => {
                vec![
                    (up, bottom, top),
                    (2.0 * self.pct_start * total - 2.0, top, bottom),
                    (total - 1.0, bottom, end),
                ]
            }
            false => vec![(up, bottom, top), (total - 1.0, top, end)],
        };
        let step = (step as f64).min(total - 1.0);
        let mut start = 0.0;
        for (number, &(stop, from, to)) in phases.iter().enumerate() {
            if step <= stop || number + 1 == phases.len() {
                // A phase of length 0 is complete.
                let share = if stop > start { (step - start) / (stop - start) } else { 1.0 };
                return match self.anneal_strategy {
                    Anneal::Cos => half_wave(from, to, share),
                    Anneal::Linear => between(from, to, share),
                };
            }
            start = stop;
        }
        end
    }
}

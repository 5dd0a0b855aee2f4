//! Constant and decaying schedules.

use serde::{Deserialize, Serialize};

use crate::catalogue::{OptionDoc, Options, options};
use crate::nn::schedules::schedule::{Entry, Schedule, common, line};
use crate::nn::schedules::shape::{between, share};
use crate::{Error, Result};

options! {
    /// Constant learning rate, multiplied by `factor` during the first `steps`.
    ///
    /// PyTorch `ConstantLR` (whose defaults are a third over five steps), optax
    /// `constant_schedule`.
    pub struct Constant of "constant" {
        /// The learning rate λ.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Factor during the first `steps`.
        factor: f64 = 1.0, "finite and >= 0" if |factor| factor.is_finite() && factor >= 0.0;
        /// Number of steps with `factor`.
        steps: u64 = 0u64, "a whole number from 0 on" if |_| true;
    }
}

pub(crate) static CONSTANT: Entry = line!(
    "constant",
    Constant,
    "the same rate in each step",
    "η = λ (times factor while t < steps)",
    ["ConstantLR", "", "constant_schedule"]
);

impl Schedule for Constant {
    common!(CONSTANT);

    fn rate(&self, step: u64) -> f64 {
        if step < self.steps { self.learning_rate * self.factor } else { self.learning_rate }
    }
}

options! {
    /// Multiplied by `factor` every `every` steps: PyTorch `StepLR`.
    pub struct Step of "step" {
        /// The initial learning rate λ.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps between reductions.
        every: u64 = 30u64, "a whole number > 0" if |every| every > 0;
        /// Factor of each reduction.
        factor: f64 = 0.1, "finite and >= 0" if |factor| factor.is_finite() && factor >= 0.0;
    }
}

pub(crate) static STEP: Entry = line!(
    "step",
    Step,
    "down by a factor every so many steps",
    "η = λ factor^⌊t/every⌋",
    ["StepLR", "", "exponential_decay(staircase=True)"]
);

impl Schedule for Step {
    common!(STEP);

    fn rate(&self, step: u64) -> f64 {
        self.learning_rate * self.factor.powf((step / self.every) as f64)
    }
}

options! {
    /// Multiplied by `factor` at each of the `milestones`: PyTorch `MultiStepLR`. A milestone
    /// listed twice counts twice.
    pub struct MultiStep of "multi_step" {
        /// The initial learning rate λ.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps at which the rate is reduced.
        milestones: Vec<u64> = Vec::new(), "a list of whole numbers" if |_| true;
        /// Factor of each reduction.
        factor: f64 = 0.1, "finite and >= 0" if |factor| factor.is_finite() && factor >= 0.0;
    }
}

pub(crate) static MULTI_STEP: Entry = line!(
    "multi_step",
    MultiStep,
    "down by a factor at each milestone",
    "η = λ factor^(milestones ≤ t)",
    ["MultiStepLR", "PiecewiseConstantDecay", "piecewise_constant_schedule"]
);

impl Schedule for MultiStep {
    common!(MULTI_STEP);

    fn rate(&self, step: u64) -> f64 {
        let passed = self.milestones.iter().filter(|&&milestone| milestone <= step).count();
        self.learning_rate * self.factor.powf(passed as f64)
    }
}

options! {
    /// Multiplied by `factor` in each step: PyTorch `ExponentialLR`.
    pub struct Exponential of "exponential" {
        /// The initial learning rate λ.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Factor of each step.
        factor: f64 = 0.95, "finite and >= 0" if |factor| factor.is_finite() && factor >= 0.0;
    }
}

pub(crate) static EXPONENTIAL: Entry = line!(
    "exponential",
    Exponential,
    "down by a factor in each step",
    "η = λ factorᵗ",
    ["ExponentialLR", "ExponentialDecay", "exponential_decay"]
);

impl Schedule for Exponential {
    common!(EXPONENTIAL);

    fn rate(&self, step: u64) -> f64 {
        self.learning_rate * self.factor.powf(step as f64)
    }
}

options! {
    /// Polynomial decay to `minimum`, then constant: PyTorch `PolynomialLR`.
    pub struct Polynomial of "polynomial" {
        /// The initial learning rate λ.
        learning_rate: f64 = 1e-3, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
        /// Steps of the decay.
        steps: u64 = 5u64, "a whole number > 0" if |steps| steps > 0;
        /// Exponent of the polynomial.
        power: f64 = 1.0, "finite and >= 0" if |power| power.is_finite() && power >= 0.0;
        /// The final learning rate.
        minimum: f64 = 0.0, "finite and >= 0" if |rate| rate.is_finite() && rate >= 0.0;
    }
}

pub(crate) static POLYNOMIAL: Entry = line!(
    "polynomial",
    Polynomial,
    "down to a minimum along a power",
    "η = min + (λ − min)(1 − t/steps)^power, min beyond",
    ["PolynomialLR", "PolynomialDecay", "polynomial_schedule"]
);

impl Schedule for Polynomial {
    common!(POLYNOMIAL);

    fn rate(&self, step: u64) -> f64 {
        let left = 1.0 - share(step, self.steps);
        between(self.minimum, self.learning_rate, left.powf(self.power))
    }
}

/// Linear from `initial` to `final`, then constant: optax `linear_schedule`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    initial: f64,
    #[serde(rename = "final")]
    last: f64,
    steps: u64,
}

impl Default for Linear {
    fn default() -> Self {
        Linear { initial: 1e-3, last: 0.0, steps: 100 }
    }
}

impl Linear {
    // Written by hand: `final` is a reserved word and cannot be a field name.
    const OPTIONS: &'static [OptionDoc] = &[
        OptionDoc {
            name: "initial",
            domain: "finite and >= 0",
            meaning: "The learning rate at first.",
        },
        OptionDoc {
            name: "final",
            domain: "finite and >= 0",
            meaning: "The learning rate at the end.",
        },
        OptionDoc { name: "steps", domain: "a whole number > 0", meaning: "Steps on the way." },
    ];

    /// From 1e-3 to 0 in 100 steps.
    pub fn new() -> Self {
        Self::default()
    }

    /// The initial learning rate.
    #[must_use]
    pub fn initial(mut self, rate: f64) -> Self {
        self.initial = rate;
        self
    }

    /// The final learning rate: the option `final`.
    #[must_use]
    pub fn last(mut self, rate: f64) -> Self {
        self.last = rate;
        self
    }

    /// Steps of the transition.
    #[must_use]
    pub fn steps(mut self, steps: u64) -> Self {
        self.steps = steps;
        self
    }
}

impl Options for Linear {
    fn check_domains(&self) -> Result<()> {
        for (name, rate) in [("initial", self.initial), ("final", self.last)] {
            if !(rate.is_finite() && rate >= 0.0) {
                return Err(Error::option("linear", name, format!("{rate:?}"), "finite and >= 0"));
            }
        }
        if self.steps == 0 {
            return Err(Error::option("linear", "steps", 0, "a whole number > 0"));
        }
        Ok(())
    }
}

pub(crate) static LINEAR: Entry = line!(
    "linear",
    Linear,
    "from one rate to another along a line",
    "η = initial + (final − initial) min(t/steps, 1)",
    ["LinearLR", "", "linear_schedule"]
);

impl Schedule for Linear {
    common!(LINEAR);

    fn rate(&self, step: u64) -> f64 {
        between(self.initial, self.last, share(step, self.steps))
    }
}

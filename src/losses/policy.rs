//! Shared parts of the policy-gradient losses: the inputs, and the clipped ratio of probabilities.

use crate::Result;
use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::losses::prelude::require;
use crate::templates::argument::{Argument, Domain, Role};
use crate::templates::definition::LossDefinition;

pub(super) const ADVANTAGES: Argument = Argument {
    name: "advantages",
    shape: "[completions], or [completions, tokens]",
    role: Role::Fixed,
    domain: Domain::Real,
};

pub(super) const OLD_LOG_PROBS: Argument = Argument {
    name: "old_log_probs",
    shape: "[completions, tokens]: log-probabilities under the policy that drew the tokens",
    role: Role::Optional,
    domain: Domain::Exponent,
};

pub(super) const REF_LOG_PROBS: Argument = Argument {
    name: "ref_log_probs",
    shape: "[completions, tokens]: log-probabilities under a reference model",
    role: Role::Optional,
    domain: Domain::Exponent,
};

/// The inputs of a loss over given log-probabilities of tokens.
pub(super) const TOKENS: &[Argument] = &[
    Argument {
        name: "log_probs",
        shape: "[completions, tokens]: log-probabilities of the tokens under the policy",
        role: Role::Differentiated,
        domain: Domain::Exponent,
    },
    ADVANTAGES,
    OLD_LOG_PROBS,
    REF_LOG_PROBS,
    Argument {
        name: "completion_mask",
        shape: "[completions, tokens]: 1 for a token of the completion, 0 for padding",
        role: Role::Optional,
        domain: Domain::ZeroOne,
    },
];

/// The bounds of the ratio of two probabilities.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clip {
    low: f64,
    high: f64,
    /// Bound of the ratio where the other two do not hold it; 0 for none.
    delta: f64,
}

impl Clip {
    pub fn of(epsilon: f64, epsilon_high: Option<f64>, delta: Option<f64>) -> Self {
        let high = 1.0 + epsilon_high.unwrap_or(epsilon);
        Clip { low: 1.0 - epsilon, high, delta: delta.unwrap_or(0.0) }
    }

    pub fn check(&self, entry: &Entry<dyn LossDefinition>) -> Result<()> {
        let holds = self.delta == 0.0 || self.delta >= self.high && self.delta.is_finite();
        require(holds, entry, "delta", self.delta)
    }

    pub fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("LOW", self.low), ("HIGH", self.high), ("DELTA", self.delta)]
    }

    /// CPU implementation of `shaders/templates/policy/clipped_ratio.wgsl`.
    pub fn token<R: Real>(&self, log_ratio: R, advantage: R) -> [R; 2] {
        if advantage == R::ZERO {
            return [R::ZERO; 2];
        }
        let [low, high, delta] = [self.low, self.high, self.delta].map(R::new);
        let ratio = log_ratio.exp();
        let is_over = self.delta > 0.0 && ratio > delta;
        let held = R::select(is_over, delta, ratio);
        let is_gain = advantage > R::ZERO;
        let cut = if is_gain { Real::min(held, high) } else { Real::max(held, low) };
        let passes = !is_over && if is_gain { ratio <= high } else { ratio >= low };
        [-advantage * cut, R::select(passes, -advantage * ratio, R::ZERO)]
    }
}

/// The definition of a loss of the clipped ratio: what its aggregation leaves open is the same for
/// all of them.
macro_rules! clipped_policy {
    ($name:ident, |$self:ident| $aggregation:expr) => {
        impl $name {
            fn clip(&self) -> Clip {
                Clip::of(self.epsilon, self.epsilon_high, self.delta)
            }
        }

        impl LossDefinition for $name {
            catalogued!(entry, options);

            fn check(&self) -> Result<()> {
                self.check_domains()?;
                self.clip().check(&ENTRY)
            }

            fn spec(&self) -> Spec<'_> {
                Spec {
                    helpers: const {
                        &[crate::runtime::wgsl::shader!("templates/policy/clipped_ratio.wgsl")]
                    },
                    ..Spec::policy(self, TOKENS)
                }
            }

            fn constants(&self) -> Vec<(&'static str, f64)> {
                self.clip().constants()
            }
        }

        impl PolicyGradient for $name {
            fn rule(&self) -> PolicyRule {
                let $self = self;
                PolicyRule { beta: self.beta, aggregation: $aggregation }
            }

            fn token<R: Real>(&self, _: R, log_ratio: R, advantage: R) -> [R; 2] {
                self.clip().token(log_ratio, advantage)
            }
        }
    };
}
pub(super) use clipped_policy;

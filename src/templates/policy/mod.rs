//! Kernel template of policy-gradient losses: the log-probabilities of the tokens of completions,
//! one value per completion.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// How the values of tokens become the value of a completion, and what a mean divides by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// The mean over the tokens of each completion; a mean divides by the number of completions.
    CompletionMean,
    /// The sum over the tokens; a mean divides by the number of tokens of all completions.
    TokenMean,
    /// The sum over the tokens divided by this length, or by the number of columns if it is 0; a
    /// mean divides by the number of completions.
    Length(u32),
}

/// Properties of a loss that the policy template needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PolicyRule {
    /// Weight of the divergence from the reference.
    pub beta: f64,
    /// The aggregation of the tokens.
    pub aggregation: Aggregation,
}

/// CPU implementation of a shader over the tokens of completions.
pub trait PolicyGradient: Clone + Send + Sync {
    /// The weight of the divergence and the aggregation.
    fn rule(&self) -> PolicyRule;

    /// Value and derivative of one token without the divergence from the reference. `log_ratio` is
    /// `log_prob` less that of the policy which drew the token.
    fn token<R: Real>(&self, log_prob: R, log_ratio: R, advantage: R) -> [R; 2];

    /// True if the gradients are the derivatives of the values. False if part of the loss is held
    /// constant.
    fn derives_its_value(&self) -> bool {
        true
    }
}

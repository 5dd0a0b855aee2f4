//! Kernel template of losses of up to four log-probabilities per value.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over up to four numbers for each value.
pub trait Preference: Clone + Send + Sync {
    /// Value and derivatives; an input that was left out is 0.
    fn terms<R: Real>(&self, numbers: [R; 4]) -> PreferenceTerms<R>;
}

/// What a loss over four numbers gives for one value.
#[derive(Clone, Copy, Debug)]
pub struct PreferenceTerms<R> {
    /// The value.
    pub value: R,
    /// Its derivatives by the first two numbers.
    pub derivatives: [R; 2],
}

//! Kernel template of losses of two numbers per value and an optional target.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over pairs.
pub trait TwoInput: Clone + Send + Sync {
    /// Value and both derivatives at one pair; `truth` is 0 where the loss has none.
    fn pair<R: Real>(&self, first: R, second: R, truth: R) -> TwoInputTerms<R>;

    /// Whether the second numbers may be one for each row.
    fn second_per_row(&self) -> bool {
        false
    }
}

/// What a loss over pairs gives for one.
#[derive(Clone, Copy, Debug)]
pub struct TwoInputTerms<R> {
    /// The value.
    pub value: R,
    /// Its derivative by the first number.
    pub first: R,
    /// Its derivative by the second.
    pub second: R,
}

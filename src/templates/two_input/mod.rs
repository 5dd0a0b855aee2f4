//! Kernel template of losses of two numbers per value and an optional target.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over pairs.
pub trait TwoInput: Clone + Send + Sync {
    /// Value and both derivatives of one pair; `truth` is 0 if the loss has no target.
    fn pair<R: Real>(&self, first: R, second: R, truth: R) -> TwoInputTerms<R>;

    /// True if the gradients are the derivatives of the values. False if part of the loss is held
    /// constant.
    fn derives_its_value(&self) -> bool {
        true
    }

    /// True if the second input may have one number per row.
    fn second_per_row(&self) -> bool {
        false
    }
}

/// Result of a two-input loss for one pair.
#[derive(Clone, Copy, Debug)]
pub struct TwoInputTerms<R> {
    /// The value.
    pub value: R,
    /// Its derivative with respect to the first number.
    pub first: R,
    /// Its derivative with respect to the second number.
    pub second: R,
}

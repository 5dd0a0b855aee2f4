//! The kernels of an optimizer's step: clipping, the move itself, and what rules that look at whole tensors need besides.

pub(crate) mod job;
pub(crate) mod maker;
mod per_tensor;
mod programs;
mod runner;

pub(crate) use crate::nn::optimizers::update::job::{Buffers, span_words};
pub(crate) use crate::nn::optimizers::update::maker::update;
pub(crate) use programs::{STEP, programs, programs_of};
pub(crate) use runner::Runner;

#[cfg(test)]
mod tests;

//! Kernels of an optimizer step: clipping, the update, and the reductions of per-tensor rules.

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

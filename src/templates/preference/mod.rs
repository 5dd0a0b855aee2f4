//! Kernel template of losses of up to four log-probabilities per value.

pub mod cpu;
pub(crate) mod gpu;

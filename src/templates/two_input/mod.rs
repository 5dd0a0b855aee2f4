//! Kernel template of losses of two numbers per value and an optional target.

pub mod cpu;
pub(crate) mod gpu;

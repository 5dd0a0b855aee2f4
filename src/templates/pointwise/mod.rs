//! Kernel template of elementwise losses: one value per prediction and target.

pub mod cpu;
pub(crate) mod gpu;

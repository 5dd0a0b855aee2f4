//! Kernel template of losses over rows: one value per row of class scores.

pub mod cpu;
pub(crate) mod gpu;

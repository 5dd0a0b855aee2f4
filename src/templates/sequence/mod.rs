//! Kernel template of alignment losses: rows of logits over time against labels whose positions are unknown (CTC).

pub mod cpu;
pub(crate) mod gpu;

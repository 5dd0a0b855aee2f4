//! Kernel template of preference losses fused with the output layer: log-probabilities of token
//! sequences.

pub mod cpu;
pub(crate) mod gpu;

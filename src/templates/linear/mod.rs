//! Kernel template of losses fused with the linear layer before them: logits are never stored.

pub mod cpu;
pub(crate) mod gpu;

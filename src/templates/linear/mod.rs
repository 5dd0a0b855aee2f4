//! Kernel template of losses fused with the preceding linear layer: logits are never stored.

pub mod cpu;
pub(crate) mod gpu;

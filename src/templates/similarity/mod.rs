//! Kernel template of contrastive losses: every embedding against all others.

pub mod cpu;
pub(crate) mod gpu;

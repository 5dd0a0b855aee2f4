//! Kernel template of ranking losses: one value per list; the gradient of each item depends on the
//! whole list.

pub mod cpu;
pub(crate) mod gpu;

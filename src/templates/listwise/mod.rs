//! Kernel template of ranking losses: one value per list, each item's gradient depends on the whole list.

pub mod cpu;
pub(crate) mod gpu;

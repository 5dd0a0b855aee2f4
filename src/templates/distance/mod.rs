//! Kernel template of losses over two or three vectors per row.

pub mod cpu;
pub(crate) mod gpu;

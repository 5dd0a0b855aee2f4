//! Losses of several named inputs: shapes, arguments and the dispatch to the template of each.

pub mod cpu;
pub(crate) mod gpu;
pub(crate) mod job;

//! Losses of several named inputs: shapes, arguments and the dispatch to each template.

pub mod cpu;
pub(crate) mod gpu;
pub(crate) mod job;
pub(crate) mod template;

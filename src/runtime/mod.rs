//! Runtime: devices, pipelines, tensors and persistent files; independent of losses.

pub(crate) mod adaptor;
pub(crate) mod cache;
pub(crate) mod device;
pub(crate) mod file_tensors;
pub mod files;
pub(crate) mod kernel;
pub(crate) mod launch;
#[doc(hidden)]
pub mod memory;
pub(crate) mod pipeline;
pub(crate) mod recorder;
pub(crate) mod sort;
pub(crate) mod tensor;
#[doc(hidden)]
pub mod wgsl;

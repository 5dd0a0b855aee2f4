//! Devices, pipelines, tensors and the files that outlive a process: what runs a shader and knows nothing of losses.

pub(crate) mod adaptor;
pub(crate) mod cache;
pub(crate) mod device;
pub mod files;
pub(crate) mod launch;
pub(crate) mod pipeline;
pub(crate) mod recorder;
pub(crate) mod sort;
pub(crate) mod tensor;
pub(crate) mod tune;
#[doc(hidden)]
pub mod wgsl;

//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

pub mod cases;
mod criterion;
mod device;
mod error;
pub mod host;
mod inputs;
mod kernel;
mod kernels;
pub mod losses;
pub mod real;
mod tensor;
#[doc(hidden)]
pub mod wgsl;

pub use criterion::{Auxiliaries, Criterion, DeviceEvaluation, Evaluation, OnEmpty, Reduction};
pub use device::{Device, Gpu, adapters, describe};
pub use error::{Error, Result};
pub use inputs::{Inputs, TargetElement, Targets};
pub use tensor::Tensor;

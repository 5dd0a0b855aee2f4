//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

pub mod activations;
pub mod cases;
mod catalogue;
mod criterion;
#[cfg(feature = "data")]
pub mod data;
mod device;
mod error;
pub mod host;
mod inputs;
mod kernel;
mod kernels;
pub mod layers;
pub mod losses;
pub mod optimizers;
pub mod random;
pub mod real;
mod tensor;
pub mod testing;
#[doc(hidden)]
pub mod wgsl;

pub use catalogue::{Choice, Entry};
pub use criterion::{Auxiliaries, Criterion, DeviceEvaluation, Evaluation, OnEmpty, Reduction};
pub use device::{Device, Gpu, adapters, describe};
pub use error::{Error, Result};
pub use inputs::{Inputs, TargetElement, Targets};
pub use real::Real;
pub use tensor::Tensor;

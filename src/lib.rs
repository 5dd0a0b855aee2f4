//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

pub mod activations;
pub mod bench;
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
mod model;
pub mod optimizers;
pub mod random;
pub mod real;
mod tensor;
mod train;
#[doc(hidden)]
pub mod wgsl;

pub use catalogue::{Choice, Entry};
pub use criterion::{Auxiliaries, Criterion, DeviceEvaluation, Evaluation, OnEmpty, Reduction};
pub use device::{Device, Gpu, adapters, describe};
pub use error::{Error, Result};
pub use inputs::{Inputs, TargetElement, Targets};
pub use layers::{Dense, Initializer};
pub use model::{Model, Sequential};
pub use tensor::Tensor;
pub use train::{EarlyStopping, Epoch, Fit, History, Score, Stop};

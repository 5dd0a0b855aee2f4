//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

pub mod device;
mod error;
pub mod host;
mod kernel;
mod kernels;
mod real;
mod tensor;
pub mod wgsl;

pub use error::{Error, Result};
pub use real::Real;

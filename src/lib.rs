//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

pub mod activations;
mod catalogue;
mod error;
pub mod host;
pub mod optimizers;
mod real;
pub mod wgsl;

pub use catalogue::{Choice, Entry};
pub use error::{Error, Result};
pub use real::Real;

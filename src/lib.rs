//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

pub mod data;
mod error;
pub mod layers;
pub mod random;

pub use error::{Error, Result};

//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

mod error;
pub mod host;
mod real;

pub use error::{Error, Result};
pub use real::Real;

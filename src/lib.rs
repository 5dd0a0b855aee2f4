//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

mod error;
pub mod layers;
pub mod random;

pub use error::{Error, Result};

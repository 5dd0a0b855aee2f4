//! gradus: loss functions with their gradients on any GPU.
#![warn(missing_docs)]

mod error;

pub use error::{Error, Result};

//! Training: steps, epochs, what is told of them, and what is kept of them.

pub(crate) mod average;
mod averaged;
pub(crate) mod baseline;
mod checkpoint;
pub(crate) mod course;
pub(crate) mod crowd;
pub(crate) mod engine;
mod fit;
pub(crate) mod gpu;
mod history;
pub(crate) mod host;
mod options;
pub(crate) mod pace;
mod progress;
pub(crate) mod samples;

pub use average::Average;
pub use baseline::Baseline;
pub use fit::Score;
pub use history::{Epoch, History, Stop};
pub use options::{EarlyStopping, Fit};

#[cfg(test)]
mod lookup_tests;

//! Schedules: the learning rate of each step.
//!
//! A new schedule needs an options struct with its rule in a file here, and a line in `list.rs`.
//! Steps count from 0: updates, or epochs with [`crate::Fit::schedule_by_epoch`]. The rate is
//! uploaded with each step; changing it compiles nothing.
//!
//! ```
//! use gradus::schedules::{self, Cosine, Schedule};
//! let cosine = Cosine::new().learning_rate(0.1).steps(100_u64).minimum(0.0);
//! assert_eq!((cosine.rate(0), cosine.rate(50)), (0.1, 0.05));
//! let step = schedules::from_name("step", &serde_json::json!({"learning_rate": 0.1, "every": 7, "factor": 0.5}))?;
//! assert_eq!((step.rate(6), step.rate(7), step.rate(14)), (0.1, 0.05, 0.025));
//! # Ok::<(), gradus::Error>(())
//! ```

mod cosine;
mod decay;
mod list;
mod plateau;
mod schedule;
mod shape;
mod warmup;

pub use cosine::{Cosine, CosineRestarts};
pub use decay::{Constant, Exponential, Linear, MultiStep, Polynomial, Step};
pub use list::{CATALOGUE, Join, entry, from_name};
pub use plateau::{Mode, ReduceOnPlateau, ThresholdMode};
pub use schedule::{Entry, Schedule, Watched};
pub use warmup::{Anneal, OneCycle, Warmup, WarmupCosine};

#[cfg(test)]
mod tests;

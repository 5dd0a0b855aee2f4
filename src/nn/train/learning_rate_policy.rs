//! Learning-rate policy: the rate of each update.

use std::sync::Arc;

use crate::nn::schedules::{Schedule, Watched};

/// A schedule and its unit, steps or epochs.
#[derive(Clone, Debug)]
pub(crate) struct LearningRatePolicy {
    pub schedule: Arc<dyn Schedule>,
    pub by_epoch: bool,
}

impl LearningRatePolicy {
    /// The rate of the next update after the given numbers of updates and epochs.
    pub fn rate(&self, steps: u64, epochs: u32, watched: &Watched) -> f64 {
        self.schedule.rate_after(if self.by_epoch { u64::from(epochs) } else { steps }, watched)
    }
}

//! The batches of an epoch with their common data.

use crate::nn::train::callback::Callback;
use crate::nn::train::engine::{Batch, Outcome, TrainingSpec};
use crate::nn::train::exchange::Exchange;
use crate::nn::train::options::StepReport;
use crate::nn::train::progress::Bar;

/// Batches of the loaded rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadedBatches<'a> {
    pub batches: &'a [Batch],
    /// Number of the epoch's batches before them.
    pub before: usize,
}

/// The common data of the batches of an epoch.
pub(crate) struct Pass<'p> {
    pub training_spec: &'p TrainingSpec,
    /// All batches of the epoch.
    pub batches: &'p [Batch],
    /// Of these, the first ones whose updates are measured.
    pub watched: usize,
    pub(super) watcher: &'p Watcher<'p>,
    /// What happens to the gradient before an update.
    pub exchange: Option<&'p Exchange>,
}

/// The observers of an epoch: progress bar and callback.
pub(super) struct Watcher<'f> {
    pub(super) bar: Option<Bar>,
    pub(super) on_step: Option<&'f Callback<StepReport>>,
    pub(super) epoch: usize,
    /// Batches of a whole epoch; those of a pass may be fewer.
    pub(super) of_epoch: usize,
}

impl Watcher<'_> {
    /// Passes the steps from `first` on to the callback; returns true if it requests the end.
    pub(super) fn asks(
        &self,
        training_spec: &TrainingSpec,
        batches: &[Batch],
        outcomes: &[Outcome],
        first: usize,
    ) -> bool {
        let Some(call) = self.on_step else { return false };
        let (all, batches) = (batches, self.of_epoch);
        if training_spec.optimizer.whole_batch() {
            // All batches are one step.
            let loss = outcomes.iter().map(|outcome| outcome.loss).sum();
            return outcomes.len() == all.len()
                && call.ends(self.epoch, &StepReport { batch: batches, batches, loss });
        }
        // Each is reported, also after one that would end the training. `first` begins an update.
        let (mut ends, mut loss) = (false, 0.0);
        for (place, outcome) in outcomes.iter().enumerate().skip(first) {
            loss += outcome.loss;
            if all[place].update.is_some() {
                ends |= call.ends(self.epoch, &StepReport { batch: place + 1, batches, loss });
                loss = 0.0;
            }
        }
        ends
    }
}

//! The options of a training.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::nn::train::callback::Callback;
use crate::nn::train::options::StepReport;
use crate::recommend::model::Epoch;

/// How [`crate::recommend::Model::train`] goes: how long, where it is saved, and who is told.
///
/// ```
/// use gradus::recommend::Fit;
/// let fit = Fit::new().epochs(20).checkpoint("recommender.safetensors");
/// # let _ = fit;
/// ```
#[derive(Clone, Debug)]
pub struct Fit {
    pub(super) epochs: usize,
    pub(super) checkpoint: Option<PathBuf>,
    pub(super) on_step: Option<Callback<StepReport>>,
    pub(super) on_epoch: Option<Callback<Epoch>>,
}

impl Default for Fit {
    fn default() -> Self {
        Fit { epochs: 1, checkpoint: None, on_step: None, on_epoch: None }
    }
}

impl Fit {
    /// One epoch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes over the interactions, beyond those that the recommender has behind it.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Saves the recommender to this file after each epoch and at the end. That the file can be written is found out first.
    pub fn checkpoint(mut self, path: impl AsRef<Path>) -> Self {
        self.checkpoint = Some(path.as_ref().into());
        self
    }

    /// Calls a function behind some batches, about seven times a second, with the number of the epoch, counted from 1, how many of its
    /// batches are done and the mean loss of the epoch so far. Where it breaks, the training ends with [`crate::Stop::Asked`], and the
    /// checkpoint, if there is one, is saved with what the epoch has done: [`crate::recommend::Model::train`] goes on with the next batch.
    pub fn on_step(
        mut self,
        call: impl FnMut(usize, &StepReport) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_step = Some(Callback::new(call));
        self
    }

    /// Calls a function behind each epoch with its number, counted from 1; where it breaks, the training ends with
    /// [`crate::Stop::Asked`].
    pub fn on_epoch(
        mut self,
        call: impl FnMut(usize, &Epoch) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_epoch = Some(Callback::new(call));
        self
    }
}

//! Options of a training run.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::nn::train::callback::Callback;
use crate::nn::train::options::StepReport;
use crate::recommend::model::Epoch;

/// Options of [`crate::recommend::Model::train`]: epochs, checkpoint, callbacks.
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

    /// Number of epochs to train, in addition to those already trained.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Saves the recommender to this file after each epoch and at the end. Checks first that the
    /// file can be written.
    pub fn checkpoint(mut self, path: impl AsRef<Path>) -> Self {
        self.checkpoint = Some(path.as_ref().into());
        self
    }

    /// Calls a function after some batches, about seven times a second, with the epoch's number
    /// (from 1), the number of batches done and the mean loss of the epoch so far. If it breaks,
    /// training ends with [`crate::Stop::Asked`] and the checkpoint, if any, is saved with the
    /// progress within the epoch: [`crate::recommend::Model::train`] resumes at the next batch.
    pub fn on_step(
        mut self,
        call: impl FnMut(usize, &StepReport) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_step = Some(Callback::new(call));
        self
    }

    /// Calls a function after each epoch with its number (from 1); if it breaks, training ends with
    /// [`crate::Stop::Asked`].
    pub fn on_epoch(
        mut self,
        call: impl FnMut(usize, &Epoch) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_epoch = Some(Callback::new(call));
        self
    }
}

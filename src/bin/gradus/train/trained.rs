//! A model after its training, and how it went.

use gradus::{History, Model};

use crate::output::Outcome;
use crate::scores::Scores;
use crate::train::options::Settings;

/// Result of a training run.
pub struct Trained {
    pub model: Model,
    pub history: History,
    pub chosen: Settings,
    pub validation: Option<Scores>,
    pub test: Option<Scores>,
    pub seconds: f64,
    /// Error if not all epochs are in the file given by --log.
    pub logged: Outcome,
    /// The table was read in chunks.
    pub in_pieces: bool,
}

impl Trained {
    /// Number of epochs of this run alone.
    pub fn epochs(&self) -> usize {
        self.history.epochs.len() - self.history.before
    }
}

/// The epoch that the model is of, if all epochs were trained and another than the last was better.
pub fn restored_in_words(history: &History) -> Option<String> {
    let epoch = history.restored.filter(|_| history.stopped.is_none())?;
    Some(format!("epoch {epoch} was the best: the model has its weights"))
}

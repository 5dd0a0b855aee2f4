//! What the demo trains on, and how a training went.

use gradus::Model;
use gradus::data::Dataset;

/// Training and test images.
pub struct Images {
    pub train: Dataset,
    pub test: Dataset,
}

/// How a training went.
pub struct Training {
    pub model: Model,
    /// The loss of each batch.
    pub steps: Vec<f64>,
    /// Loss and accuracy on the test images after each epoch.
    pub tested: Vec<[f64; 2]>,
}

impl Training {
    pub fn test_accuracy(&self) -> f64 {
        self.tested.last().map_or(f64::NAN, |tested| tested[1])
    }
}

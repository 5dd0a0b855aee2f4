//! Preparation of a ratings file before training.

use crate::nn::model::HeldOut;
use crate::recommend::confidence::Confidence;

/// Preparation of a ratings file before training: saved with the recommender, so that resumed
/// training holds out the same data.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Preparation {
    /// The lowest rating that counts as a like.
    pub min_rating: f32,
    /// The held-out test set ([`crate::recommend::Interactions::split`] or
    /// [`crate::recommend::Interactions::split_latest`]).
    pub held_out: HeldOut,
    /// True if the latest interactions were held out, false if random ones.
    #[serde(default)]
    pub by_time: bool,
    /// Weighting of counts. Files of gradus 0.1.0 use them unscaled.
    #[serde(default = "raw")]
    pub confidence: Confidence,
    /// State of the refit on all data after the test.
    #[serde(default)]
    pub refit: Refit,
}

/// Training on all data after a tested run (scikit-learn's `refit`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refit {
    /// No refit.
    #[default]
    No,
    /// Not yet started.
    Planned,
    /// This run is the refit.
    Done,
}

fn raw() -> Confidence {
    Confidence::Raw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_file_does_not_say_is_as_it_was() {
        let old = r#"{"min_rating":4.0,"held_out":{"seed":7,"share":0.2}}"#;
        let found: Preparation = serde_json::from_str(old).unwrap();
        assert_eq!(
            (found.confidence, found.refit, found.by_time),
            (Confidence::Raw, Refit::No, false)
        );
    }
}

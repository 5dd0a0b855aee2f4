//! What became of a file of ratings before a recommender saw it.

use crate::nn::model::HeldOut;
use crate::recommend::confidence::Confidence;

/// What became of a file of ratings before a recommender saw it: saved with it, so that the same is held out where its training goes on.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Preparation {
    /// The rating from which on one counts.
    pub min_rating: f32,
    /// What was held out to test on ([`crate::recommend::Interactions::split`], or [`crate::recommend::Interactions::split_latest`]).
    pub held_out: HeldOut,
    /// Whether the latest were held out, not random ones.
    #[serde(default)]
    pub by_time: bool,
    /// What became of counts. A file of gradus 0.1.0 has them as they are.
    #[serde(default = "raw")]
    pub confidence: Confidence,
    /// Whether a training on everything follows the test.
    #[serde(default)]
    pub refit: Refit,
}

/// Whether a training on everything follows one that was tested (scikit-learn's `refit`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refit {
    /// None does.
    #[default]
    No,
    /// It is still to come.
    Planned,
    /// This is it.
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

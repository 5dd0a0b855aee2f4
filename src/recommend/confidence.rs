//! Confidence of implicit feedback: counts as sample weights.

use crate::recommend::interactions::Interactions;

/// Maps counts (of plays, clicks, purchases) to interaction weights.
///
/// A count is not a rating: it measures the confidence that the user likes the item (Y. Hu, Y.
/// Koren and C. Volinsky, *Collaborative filtering for implicit feedback datasets*, 2008). The loss
/// of an interaction is multiplied by its weight, on every device. Weights are scaled to a mean of
/// 1, so the learning rate keeps its meaning.
///
/// ```
/// use gradus::recommend::{Confidence, Interactions};
///
/// let plays = Interactions::weighted(1, 2, &[(0, 0, 1.0), (0, 1, 3.0)])?;
/// let weights = |confidence| plays.clone().with_confidence(confidence).weights_of(0).to_vec();
/// assert_eq!(weights(Confidence::Linear), [0.5, 1.5]); // 1 and 3 by their mean
/// assert_eq!(weights(Confidence::Log), [2.0 / 3.0, 4.0 / 3.0]); // ln 2 and ln 4 by their mean
/// assert_eq!(weights(Confidence::Binary), [1.0, 1.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Proportional to ln(1 + count): counts have heavy tails, and the thousandth play says little
    /// more than the hundredth.
    #[default]
    Log,
    /// Proportional to the count.
    Linear,
    /// 1 for every interaction; counts are ignored.
    Binary,
    /// The count itself, unscaled (LightFM's `sample_weight`).
    Raw,
}

impl Interactions {
    /// The same interactions with their weights read as counts; signs are kept.
    pub fn with_confidence(mut self, confidence: Confidence) -> Self {
        let of = |weight: f32| {
            let count = f64::from(weight.abs());
            match confidence {
                Confidence::Log => count.ln_1p(),
                Confidence::Linear | Confidence::Raw => count,
                Confidence::Binary => 1.0,
            }
        };
        let mean = match confidence {
            Confidence::Raw => 1.0,
            _ => {
                self.weights.iter().map(|&weight| of(weight)).sum::<f64>()
                    / self.weights.len() as f64
            }
        };
        // Counts near 0 must not round to 0, which would not be an interaction.
        let scaled =
            |weight: f32| ((of(weight) / mean) as f32).max(f32::MIN_POSITIVE).copysign(weight);
        self.weights.iter_mut().for_each(|weight| *weight = scaled(*weight));
        self
    }
}

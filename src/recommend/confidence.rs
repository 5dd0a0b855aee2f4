//! What counts are worth as weights: the confidence of implicit feedback.

use crate::recommend::interactions::Interactions;

/// How counts (of plays, clicks, purchases) become the weights of interactions.
///
/// A count is no rating: it says how sure it is that the user likes the item, Y. Hu, Y. Koren and C. Volinsky's confidence
/// (*Collaborative filtering for implicit feedback datasets*, 2008). The loss of an interaction is multiplied by its weight, on every device.
/// Weights are scaled to a mean of 1, so that the learning rate means what it means without them.
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
    /// In proportion to ln(1 + count): counts have heavy tails, and the thousandth play says little more than the hundredth.
    #[default]
    Log,
    /// In proportion to the count.
    Linear,
    /// 1: that there was an interaction is all that counts.
    Binary,
    /// The count itself, unscaled (LightFM's `sample_weight`).
    Raw,
}

impl Interactions {
    /// The same interactions, their weights taken for counts; signs stay.
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
        // Of counts near 0 none becomes 0, which would be no interaction.
        let scaled =
            |weight: f32| ((of(weight) / mean) as f32).max(f32::MIN_POSITIVE).copysign(weight);
        self.weights.iter_mut().for_each(|weight| *weight = scaled(*weight));
        self
    }
}

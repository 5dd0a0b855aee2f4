//! Triplet loss with mining in the batch.

use serde::{Deserialize, Serialize};

use crate::losses::prelude::*;
use crate::templates::similarity::{Candidates, SimilarityRows};

/// Mining of triplets in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mining {
    /// The farthest positive and the nearest negative of each row.
    #[default]
    BatchHard,
    /// For each row and positive, the nearest negative farther than the positive; otherwise the
    /// farthest negative.
    SemiHard,
}

options! {
    /// Triplet loss over labels: each embedding should be nearer to those of its own label than to
    /// all others by a margin; the triplets are mined in the batch.
    ///
    /// Σ [d_ip − d_in + m]₊ over the pairs (p, n) mined for row i, d_ij = ‖x̂_i − x̂_j‖ = √(2 − 2
    /// x̂_i·x̂_j) of the L2-normalised embeddings. `batch_hard`: one pair, the farthest p and the
    /// nearest n; `semi_hard`: a pair for each p, whose n is the nearest one farther than p,
    /// otherwise the farthest of all. Ties resolve to the first. `mean` divides by the number of
    /// pairs, including those of value 0; a row without a positive or without a negative is
    /// skipped. The derivative is that of the chosen pairs, 0 where a sum or a distance is 0. Two
    /// embeddings that differ only in the last digits of f32 have distance √10⁻⁷ or 0.
    /// `predictions` are [rows, columns], `targets` labels `[rows]`.
    ///
    /// A masked row has no value of its own but remains a candidate for all other rows and receives
    /// their gradients; a NaN in one row makes every value NaN. On a software adapter `semi_hard`
    /// supports up to 3,800 rows.
    ///
    /// pytorch-metric-learning `TripletMarginLoss` with `BatchHardMiner` (its mean skips zeros),
    /// TensorFlow Addons `TripletSemiHardLoss`, `TripletHardLoss`.
    /// Source: A. Hermans, L. Beyer and B. Leibe, In defense of the triplet loss for person
    /// re-identification, 2017; semi-hard: F. Schroff, D. Kalenichenko and J. Philbin,
    /// FaceNet, 2015.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{BatchTriplet, Loss}};
    /// use ndarray::array;
    ///
    /// let (embeddings, labels) = (array![[1.0, 0.0], [-2.0, 0.0], [0.0, 1.0]], array![7_i64, 7, 3]);
    /// let inputs = Inputs::new(&embeddings, &labels);
    /// let step = BatchTriplet::new().margin(0.5).on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (2.5 - 2.0_f64.sqrt())).abs() < 1e-12); // 2 − √2 + ½, twice
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct BatchTriplet of "batch_triplet" {
        /// Margin between the distances.
        margin: f64 = 0.3, "> 0" if |margin| margin > 0.0 && margin.is_finite();
        /// Mining of the triplets.
        mining: Mining = Mining::BatchHard, "\"batch_hard\" or \"semi_hard\"" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "batch_triplet",
    summary: "triplets mined in the batch from labels",
    formula: "Σ [d(i,p) − d(i,n) + m]₊ over mined p, n",
    options: BatchTriplet::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "A. Hermans, L. Beyer and B. Leibe, In defense of the triplet loss for person re-identification, 2017",
    variants: &[r#"{"mining": "semi_hard", "margin": 0.7}"#],
    shader: crate::runtime::wgsl::shader!("losses/batch_triplet.wgsl"),
    make: make::<BatchTriplet>,
};

const ARGUMENTS: &[Argument] = LABELLED_EMBEDDINGS;

impl LossDefinition for BatchTriplet {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::similarity(self, ENTRY.name, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("MARGIN", self.margin),
            ("SEMI_HARD", f64::from(u8::from(self.mining == Mining::SemiHard))),
        ]
    }
}

/// Column of the lowest score of a row among the candidates; ties resolve to the first.
fn lowest<R: Real>(scores: &[R], counts: impl Fn(usize) -> bool) -> Option<usize> {
    let mut found: Option<usize> = None;
    for (column, &score) in scores.iter().enumerate() {
        if counts(column) && found.is_none_or(|best| score < scores[best]) {
            found = Some(column);
        }
    }
    found
}

/// As [`lowest`], for the highest score.
fn highest<R: Real>(scores: &[R], counts: impl Fn(usize) -> bool) -> Option<usize> {
    let mut found: Option<usize> = None;
    for (column, &score) in scores.iter().enumerate() {
        if counts(column) && found.is_none_or(|best| score > scores[best]) {
            found = Some(column);
        }
    }
    found
}

fn distance<R: Real>(score: R) -> R {
    (R::new(2.0) - R::new(2.0) * score).max(R::ZERO).sqrt()
}

/// Derivative of the distance with respect to the score.
fn derivative<R: Real>(score: R) -> R {
    let distance = distance(score);
    if distance > R::ZERO { -distance.recip() } else { R::ZERO }
}

impl BatchTriplet {
    /// Pairs of a positive and a negative mined for a row.
    fn pairs<R: Real>(&self, rows: &Candidates<'_>, scores: &[R]) -> Vec<(usize, usize)> {
        let is_positive = |column: usize| rows.is_positive(column);
        let is_negative = |column: usize| rows.labels[column] != rows.label;
        if self.mining == Mining::BatchHard {
            return lowest(scores, is_positive)
                .zip(highest(scores, is_negative))
                .into_iter()
                .collect();
        }
        let Some(farthest) = lowest(scores, is_negative) else { return Vec::new() };
        let positives = (0..scores.len()).filter(|&column| is_positive(column));
        let with_negative = positives.map(|positive| {
            let farther =
                highest(scores, |column| is_negative(column) && scores[column] < scores[positive]);
            (positive, farther.unwrap_or(farthest))
        });
        with_negative.collect()
    }
}

impl SimilarityRows for BatchTriplet {
    fn is_mined(&self) -> bool {
        true
    }

    fn divisor_rule(&self) -> DivisorRule {
        DivisorRule {
            needs_positives: true,
            needs_negatives: true,
            per_positive: self.mining == Mining::SemiHard,
        }
    }

    fn row<R: Real>(&self, rows: &Candidates<'_>, scale: R, scores: &mut [R]) -> R {
        let pairs = self.pairs(rows, scores);
        let mut derivatives = vec![R::ZERO; scores.len()];
        let mut value = R::ZERO;
        for (positive, negative) in pairs {
            let short =
                distance(scores[positive]) - distance(scores[negative]) + R::new(self.margin);
            if short > R::ZERO {
                value += short;
                derivatives[positive] += derivative(scores[positive]);
                derivatives[negative] -= derivative(scores[negative]);
            }
        }
        scores
            .iter_mut()
            .zip(derivatives)
            .for_each(|(score, derivative)| *score = scale * derivative);
        value
    }
}

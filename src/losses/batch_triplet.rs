//! Triplets mined in the batch from labels.

use serde::{Deserialize, Serialize};

use crate::losses::prelude::*;
use crate::templates::traits::{Candidates, SimilarityRows};

/// Which triplets of a batch count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mining {
    /// Of each row one: its farthest positive and its nearest negative.
    #[default]
    BatchHard,
    /// Of each row and positive one: the nearest negative that is farther than the positive; where there is none, the farthest.
    SemiHard,
}

options! {
    /// Triplet loss over labels: each embedding shall be nearer to those of its own label than to all others, by a margin; the triplets
    /// are mined in the batch.
    ///
    /// Σ [d_ip − d_in + m]₊ over the pairs (p, n) that are mined for row i, d_ij = ‖x̂_i − x̂_j‖ = √(2 − 2 x̂_i·x̂_j) of the embeddings
    /// divided by their lengths. `batch_hard`: one pair, the farthest p and the nearest n; `semi_hard`: a pair for each p, its n the
    /// nearest that is farther than p, and the farthest of all where there is none. Of equal distances the first. `mean` divides by
    /// the number of pairs, also those of value 0; a row without a positive or without a negative is left out. The derivative is
    /// that of the pairs chosen, 0 where a sum or a distance is 0. Two embeddings that are equal but for the last digits of f32 are
    /// √10⁻⁷ apart or not at all. `predictions` are [rows, columns], `targets` labels `[rows]`.
    ///
    /// A row that a mask leaves out has no value of its own, and is still a candidate of all others, with its part of their
    /// gradients; so does a NaN in one row make every value NaN. On a software adapter `semi_hard` takes up to 3,800 rows.
    ///
    /// pytorch-metric-learning `TripletMarginLoss` with `BatchHardMiner` (its mean leaves out the zeros), TensorFlow Addons
    /// `TripletSemiHardLoss`, `TripletHardLoss`.
    /// Source: A. Hermans, L. Beyer and B. Leibe, In defense of the triplet loss for person re-identification, 2017; semi-hard:
    /// F. Schroff, D. Kalenichenko and J. Philbin, FaceNet, 2015.
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
        /// By how much nearer.
        margin: f64 = 0.3, "> 0" if |margin| margin > 0.0 && margin.is_finite();
        /// Which triplets count.
        mining: Mining = Mining::BatchHard, "\"batch_hard\" or \"semi_hard\"" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn Loss> = Entry {
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

impl Filling for BatchTriplet {
    const ENTRY: &'static Entry<dyn Loss> = &ENTRY;
    const ARGUMENTS: &'static [Argument] = LABELLED_EMBEDDINGS;

    fn family(&self) -> Family<'_> {
        Family::similarity(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("MARGIN", self.margin),
            ("SEMI_HARD", f64::from(u8::from(self.mining == Mining::SemiHard))),
        ]
    }
}

/// Of a row the column of the first lowest score among those that count.
fn lowest<R: Real>(scores: &[R], counts: impl Fn(usize) -> bool) -> Option<usize> {
    let mut found: Option<usize> = None;
    for (column, &score) in scores.iter().enumerate() {
        if counts(column) && found.is_none_or(|best| score < scores[best]) {
            found = Some(column);
        }
    }
    found
}

/// As [`lowest`], of the highest.
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

/// Of the distance by the score.
fn slope<R: Real>(score: R) -> R {
    let distance = distance(score);
    if distance > R::ZERO { -distance.recip() } else { R::ZERO }
}

impl BatchTriplet {
    /// The pairs of a positive and a negative that are mined for a row.
    fn pairs<R: Real>(&self, rows: &Candidates<'_>, scores: &[R]) -> Vec<(usize, usize)> {
        let is_positive = |column: usize| rows.is_positive(column);
        let is_negative = |column: usize| rows.labels[column] != rows.labels[rows.row];
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

    fn share(&self) -> Share {
        Share {
            needs_positives: true,
            needs_negatives: true,
            per_positive: self.mining == Mining::SemiHard,
        }
    }

    fn row<R: Real>(&self, rows: &Candidates<'_>, scale: R, scores: &mut [R]) -> R {
        let pairs = self.pairs(rows, scores);
        let mut slopes = vec![R::ZERO; scores.len()];
        let mut value = R::ZERO;
        for (positive, negative) in pairs {
            let short =
                distance(scores[positive]) - distance(scores[negative]) + R::new(self.margin);
            if short > R::ZERO {
                value += short;
                slopes[positive] += slope(scores[positive]);
                slopes[negative] -= slope(scores[negative]);
            }
        }
        scores.iter_mut().zip(slopes).for_each(|(score, slope)| *score = scale * slope);
        value
    }
}

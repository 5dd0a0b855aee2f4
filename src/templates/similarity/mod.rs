//! Kernel template of contrastive losses: every embedding against all others.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// Properties of a loss that the similarity template needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// True if the embeddings are divided by their norms first.
    pub normalizes: bool,
    /// True if the columns are compared in the same way as the rows, each direction with factor ½.
    pub is_symmetric: bool,
    /// True if single candidates are mined, false if they are pooled.
    pub is_mined: bool,
    /// Contribution of a row to the mean.
    pub divisor_rule: DivisorRule,
}

/// Contribution of a row of a similarity to a mean, given the number of candidates with the same
/// label and with another label. Rows with contribution 0 are excluded. Used if the loss has
/// labels. By default each row counts 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DivisorRule {
    /// If set, a row without a candidate of its label counts 0.
    pub needs_positives: bool,
    /// If set, a row without a candidate of another label counts 0.
    pub needs_negatives: bool,
    /// If set, a row counts 1 for each candidate of its label instead of 1.
    pub per_positive: bool,
}

impl DivisorRule {
    /// Contribution of a row with the given number of positives and negatives.
    pub fn of(self, positives: usize, negatives: usize) -> f64 {
        let is_out =
            self.needs_positives && positives == 0 || self.needs_negatives && negatives == 0;
        match (is_out, self.per_positive) {
            (true, _) => 0.0,
            (false, true) => positives as f64,
            (false, false) => 1.0,
        }
    }
}

/// A loss over rows of similarity scores, one row at a time. [`Similarity`] is the form of losses
/// that pool their candidates.
pub trait SimilarityRows: Clone + Send + Sync {
    /// True if the embeddings are divided by their norms first.
    fn normalizes(&self) -> bool {
        true
    }

    /// True if the columns are compared in the same way as the rows, each direction with factor ½.
    fn is_symmetric(&self) -> bool {
        false
    }

    /// True if single candidates are mined, false if they are pooled:
    /// `shaders/templates/similarity/triplets.wgsl`.
    fn is_mined(&self) -> bool {
        false
    }

    /// True if the gradients are the derivatives of the values. False if part of the loss is held
    /// constant.
    fn derives_its_value(&self) -> bool {
        true
    }

    /// Contribution of a row to the mean.
    fn divisor_rule(&self) -> DivisorRule;

    /// Replaces the scores of a row by the derivatives with respect to them, times `scale`. Returns
    /// the value of the row.
    fn row<R: Real>(&self, rows: &Candidates<'_>, scale: R, scores: &mut [R]) -> R;
}

/// CPU implementation of a similarity shader whose candidates are pooled. Pairs of numbers belong
/// to the two pools.
pub trait Similarity: Clone + Send + Sync {
    /// As [`SimilarityRows::normalizes`].
    fn normalizes(&self) -> bool {
        true
    }

    /// As [`SimilarityRows::is_symmetric`].
    fn is_symmetric(&self) -> bool {
        false
    }

    /// As [`SimilarityRows::derives_its_value`].
    fn derives_its_value(&self) -> bool {
        true
    }

    /// As [`SimilarityRows::divisor_rule`].
    fn divisor_rule(&self) -> DivisorRule {
        DivisorRule::default()
    }

    /// The contribution of a candidate to the pools.
    fn term<R: Real>(&self, candidate: Candidate<R>) -> Term<R>;

    /// The contribution of a candidate to two further sums, which may depend on the logarithms of
    /// the pools.
    #[inline(always)]
    fn extra<R: Real>(&self, _candidate: Candidate<R>, _lse: [R; 2]) -> [R; 2] {
        [R::ZERO; 2]
    }

    /// The value of a row and the factors of its derivatives, computed from the logarithms of its
    /// pools and its sums.
    fn finish<R: Real>(&self, lse: [R; 2], extras: [R; 2], positives: R) -> PoolOutcome<R>;

    /// The derivative with respect to a candidate's score, excluding that of the pools.
    #[inline(always)]
    fn extra_derivative<R: Real>(&self, _candidate: Candidate<R>, _outcome: &PoolOutcome<R>) -> R {
        R::ZERO
    }
}

/// A row and its candidates.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// One label per column.
    pub labels: &'a [i32],
    /// The label of the row.
    pub label: i32,
    /// The row's own column; beyond all columns if it is compared with references alone.
    pub own: usize,
}

/// Relation of a column to a row: its own (with two matrices the partner, with one matrix the row
/// itself), same label, or neither.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<R> {
    /// The dot product of the two embeddings.
    pub score: R,
    /// True if it is the row's own.
    pub is_own: bool,
    /// True if it is another candidate of the same label.
    pub is_positive: bool,
}

/// The contribution of a candidate to the pools. Each pool is the logarithm of a sum of
/// exponentials.
#[derive(Clone, Copy, Debug)]
pub struct Term<R> {
    /// The exponent.
    pub exponent: R,
    /// Its derivative with respect to the score.
    pub derivative: R,
    /// Membership in the two pools.
    pub inside: [bool; 2],
}

/// Result of a pooled similarity loss for one row.
#[derive(Clone, Copy, Debug)]
pub struct PoolOutcome<R> {
    /// The value.
    pub value: R,
    /// The logarithms of the pools.
    pub lse: [R; 2],
    /// The derivatives of the value with respect to them.
    pub pools: [R; 2],
    /// Input of `extra_derivative`.
    pub extra: R,
}

//! Kernel template of contrastive losses: every embedding against all others.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// What the frame over similarities must know of its loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Whether the embeddings are divided by their lengths first.
    pub normalizes: bool,
    /// Whether the columns are compared as the rows are, half and half.
    pub is_symmetric: bool,
    /// Whether single candidates are chosen, not pools of them.
    pub is_mined: bool,
    /// What a row counts for.
    pub share: Share,
}

/// What a row of a similarity counts for in a mean, from how many candidates have its label and how many another one; what counts
/// 0 is left out. Asked where there are labels. By default each row counts 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// Nothing without a candidate of its label.
    pub needs_positives: bool,
    /// Nothing without a candidate of another label.
    pub needs_negatives: bool,
    /// 1 for each candidate of its label, not for the row.
    pub per_positive: bool,
}

impl Share {
    /// What a row with so many positives and negatives counts for.
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

/// What the frame over similarities asks of its loss: the rows of scores, one by one. [`Similarity`] is the form of those that
/// pool their candidates.
pub trait SimilarityRows: Clone + Send + Sync {
    /// Whether the embeddings are divided by their lengths first.
    fn normalizes(&self) -> bool {
        true
    }

    /// Whether the columns are compared as the rows are, half and half.
    fn is_symmetric(&self) -> bool {
        false
    }

    /// Whether single candidates are chosen, not pools of them: `shaders/templates/similarity/triplets.wgsl`.
    fn is_mined(&self) -> bool {
        false
    }

    /// Whether the gradients are the derivatives of the values: not where a part is held constant.
    fn derives_its_value(&self) -> bool {
        true
    }

    /// What a row counts for in a mean.
    fn share(&self) -> Share;

    /// Turns the scores of a row into `scale` times the derivatives by them, and gives the row's value.
    fn row<R: Real>(&self, rows: &Candidates<'_>, scale: R, scores: &mut [R]) -> R;
}

/// CPU implementation of a shader over similarities whose candidates are pooled. Numbers in twos belong to the two pools.
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

    /// As [`SimilarityRows::share`].
    fn share(&self) -> Share {
        Share::default()
    }

    /// What a candidate adds to the pools.
    fn term<R: Real>(&self, candidate: Candidate<R>) -> Term<R>;

    /// What a candidate adds to two sums besides, which may be made of the logarithms of the pools.
    #[inline(always)]
    fn extra<R: Real>(&self, _candidate: Candidate<R>, _lse: [R; 2]) -> [R; 2] {
        [R::ZERO; 2]
    }

    /// The value of a row from the logarithms of its pools and its sums, and what its derivatives are made of.
    fn finish<R: Real>(&self, lse: [R; 2], extras: [R; 2], positives: R) -> PoolOutcome<R>;

    /// The derivative by a candidate's score besides that of the pools.
    #[inline(always)]
    fn extra_derivative<R: Real>(&self, _candidate: Candidate<R>, _outcome: &PoolOutcome<R>) -> R {
        R::ZERO
    }
}

/// A row among its candidates.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// One for each row and column.
    pub labels: &'a [i32],
    /// Its number.
    pub row: usize,
}

/// What a column is to a row: its own (of two matrices the partner, of one matrix the row itself), of the same label, or neither.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<R> {
    /// The product of the two embeddings.
    pub score: R,
    /// Whether it is the row's own.
    pub is_own: bool,
    /// Whether it is another of the same label.
    pub is_positive: bool,
}

/// What a candidate adds to the pools, each of them the logarithm of a sum of exponentials.
#[derive(Clone, Copy, Debug)]
pub struct Term<R> {
    /// The exponent.
    pub exponent: R,
    /// Its derivative by the score.
    pub derivative: R,
    /// Which pools it belongs to.
    pub inside: [bool; 2],
}

/// What a loss over similarities gives for a row.
#[derive(Clone, Copy, Debug)]
pub struct PoolOutcome<R> {
    /// The value.
    pub value: R,
    /// The logarithms of the pools.
    pub lse: [R; 2],
    /// The derivatives of the value by them.
    pub pools: [R; 2],
    /// What `extra_derivative` wants to know.
    pub extra: R,
}

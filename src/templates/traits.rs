//! The frames: which there are, and what a loss states to be one's filling, in Rust; the twins of `shaders/kernels`.

use crate::Result;
use crate::cpu::real::Real;
use crate::losses::Loss;
use crate::templates::completions::cpu::CompletionsTemplate;
use crate::templates::distance::cpu::DistanceTemplate;
use crate::templates::linear::cpu::LinearTemplate;
use crate::templates::multi_input::cpu::MultiInputCpu;
use crate::templates::pointwise::cpu::PointwiseCpu;
use crate::templates::preference::cpu::PreferenceTemplate;
use crate::templates::rowwise::cpu::{Auxiliary, Row, Rows, RowwiseCpu};
use crate::templates::sequence::cpu::{Item, SequenceTemplate};
use crate::templates::similarity::cpu as similarity;
use crate::templates::similarity::cpu::SimilarityTemplate;
use crate::templates::two_input::cpu::TwoInputTemplate;

/// The frames. Closed: the host has to know how to run each.
pub enum Family<'a> {
    /// One value for each element.
    Pointwise(&'a dyn PointwiseCpu),
    /// One value for each row.
    Rowwise(&'a dyn RowwiseCpu),
    /// One value for each list, where an item's derivative needs all the others. On the host a list is a row.
    Listwise(&'a dyn RowwiseCpu),
    /// Several inputs, named by [`Loss::arguments`]: which frame takes them, and that frame on the host.
    MultiInput(Frame, Box<dyn MultiInputCpu + 'a>),
}

/// The frames of losses of several inputs. Closed, as [`Family`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frame {
    /// Two numbers for each value, and perhaps a truth: `src/host/pairs.rs`.
    TwoInput,
    /// Rows of logits in time, and labels whose places in time are not known: `src/host/sequence.rs`.
    Sequence {
        /// The class that stands for no label.
        blank: usize,
    },
    /// Two or three vectors for each value, and perhaps a truth: `src/host/vectors.rs`.
    Distance,
    /// The inputs of a linear layer, its weights and its bias, and the targets of its outputs: `src/host/linear.rs`.
    Linear,
    /// The inputs of a linear layer whose outputs are the logits of answers' tokens, and what a loss of the answers'
    /// log-probabilities takes besides: `src/host/answers.rs`.
    Completions {
        /// Whether an answer's log-probability is the mean over its tokens, not the sum.
        averages: bool,
    },
    /// Up to four numbers for each value, the first two differentiated: `src/host/preference.rs`.
    Preference,
    /// Embeddings, each against all others: `src/host/similarity.rs`.
    Similarity(Comparison),
}

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

impl<'a> Family<'a> {
    pub(crate) fn pairs<L: TwoInput>(loss: &'a L) -> Self {
        Family::MultiInput(Frame::TwoInput, Box::new(TwoInputTemplate(loss)))
    }

    pub(crate) fn sequence<L: Sequence>(loss: &'a L) -> Self {
        Family::MultiInput(
            Frame::Sequence { blank: loss.blank() },
            Box::new(SequenceTemplate(loss)),
        )
    }

    pub(crate) fn vectors<L: Distance>(loss: &'a L) -> Self {
        Family::MultiInput(Frame::Distance, Box::new(DistanceTemplate(loss)))
    }

    pub(crate) fn preference<L: Preference>(loss: &'a L) -> Self {
        Family::MultiInput(Frame::Preference, Box::new(PreferenceTemplate(loss)))
    }

    pub(crate) fn linear(name: &'static str, inner: &'a dyn Loss) -> Self {
        Family::MultiInput(Frame::Linear, Box::new(LinearTemplate { name, inner }))
    }

    pub(crate) fn completions(name: &'static str, inner: &'a dyn Loss, averages: bool) -> Self {
        Family::MultiInput(
            Frame::Completions { averages },
            Box::new(CompletionsTemplate { name, inner, averages }),
        )
    }

    pub(crate) fn similarity<L: SimilarityRows>(loss: &'a L) -> Self {
        let comparison = Comparison {
            normalizes: loss.normalizes(),
            is_symmetric: loss.is_symmetric(),
            is_mined: loss.is_mined(),
            share: loss.share(),
        };
        Family::MultiInput(Frame::Similarity(comparison), Box::new(SimilarityTemplate(loss)))
    }

    /// Whether each row has a value.
    pub fn is_rowwise(&self) -> bool {
        matches!(self, Family::Rowwise(_))
    }
}

/// The twin of a pointwise shader: written once, run as f64 by the reference and as f32 by the CPU.
pub trait Pointwise: Loss + Clone {
    /// Value and derivative at one element.
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R);

    /// As [`Pointwise::loss`] with the weight of the element's column, for the losses that take one.
    #[inline(always)]
    fn loss_at<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> (R, R) {
        self.loss(prediction, truth)
    }

    /// The second derivative at one element, where [`Loss::has_curvature`].
    #[inline(always)]
    fn curvature<R: Real>(&self, _prediction: R, _truth: R, _column_weight: R) -> R {
        R::NAN
    }
}

/// The twin of a shader over pairs.
pub trait TwoInput: Loss + Clone {
    /// Value and both derivatives at one pair; `truth` is 0 where the loss has none.
    fn pair<R: Real>(&self, first: R, second: R, truth: R) -> TwoInputTerms<R>;

    /// Whether the second numbers may be one for each row.
    fn second_per_row(&self) -> bool {
        false
    }
}

/// What a loss over pairs gives for one.
#[derive(Clone, Copy, Debug)]
pub struct TwoInputTerms<R> {
    /// The value.
    pub value: R,
    /// Its derivative by the first number.
    pub first: R,
    /// Its derivative by the second.
    pub second: R,
}

/// The twin of a shader over sequences.
pub trait Sequence: Loss {
    /// The class that stands for no label.
    fn blank(&self) -> usize;

    /// Refuses labels that the loss does not take; those that are no class were refused before.
    ///
    /// # Errors
    /// [`crate::Error::Input`] with the first item, [`crate::Error::Option`].
    fn check_sequence(
        &self,
        targets: &[i32],
        lengths: &[i32],
        length: usize,
        classes: usize,
    ) -> Result<()>;

    /// The value of one item; writes its derivative, [time, classes].
    fn item<R: Real>(&self, item: &Item<'_, R>, gradient: &mut [R]) -> R;
}

/// The twin of a shader over vectors. Numbers in threes belong to the first, the second and the third vector of a row, of which
/// the third may be missing, or to the three sums over its columns.
pub trait Distance: Loss + Clone {
    /// Whether a pass over the row for its peaks comes first. Else `peaks` below are scales: 1, and powers of two that bring the peaks
    /// near 1 where [`Vectors::leaves_range`] asks for them.
    fn is_scaled(&self) -> bool {
        false
    }

    /// Whether sums of squares left f32, or nearly, above or below: they are then taken anew, of scaled numbers.
    #[inline(always)]
    fn leaves_range<R: Real>(&self, _sums: [R; 3]) -> bool {
        false
    }

    /// Numbers of which the largest in the row are wanted, none below 0.
    #[inline(always)]
    fn peaks<R: Real>(&self, _cells: [R; 3]) -> [R; 3] {
        [R::ZERO; 3]
    }

    /// What one column adds to the sums.
    fn fold<R: Real>(&self, peaks: [R; 3], cells: [R; 3]) -> [R; 3];

    /// The value of a row from its sums, and what its derivatives are made of.
    fn finish<R: Real>(&self, peaks: [R; 3], sums: [R; 3], truth: R) -> DistanceTerms<R>;

    /// The derivatives of the value by the numbers of one column.
    fn derivatives<R: Real>(&self, outcome: &DistanceTerms<R>, peaks: [R; 3], cells: [R; 3]) -> [R; 3];
}

/// What a loss over vectors gives for a row.
#[derive(Clone, Copy, Debug)]
pub struct DistanceTerms<R> {
    /// The value.
    pub value: R,
    /// What the derivatives are made of.
    pub factors: [R; 4],
}

/// The twin of a shader over up to four numbers for each value.
pub trait Preference: Loss + Clone {
    /// Value and derivatives; an input that was left out is 0.
    fn terms<R: Real>(&self, numbers: [R; 4]) -> PreferenceTerms<R>;
}

/// What a loss over four numbers gives for one value.
#[derive(Clone, Copy, Debug)]
pub struct PreferenceTerms<R> {
    /// The value.
    pub value: R,
    /// Its derivatives by the first two numbers.
    pub derivatives: [R; 2],
}

/// What the frame over similarities asks of its loss: the rows of scores, one by one. [`Similarity`] is the form of those that
/// pool their candidates.
pub trait SimilarityRows: Loss + Clone {
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

/// The twin of a shader over similarities whose candidates are pooled. Numbers in twos belong to the two pools.
pub trait Similarity: Loss + Clone {
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

impl<L: Similarity> SimilarityRows for L {
    fn normalizes(&self) -> bool {
        Similarity::normalizes(self)
    }

    fn is_symmetric(&self) -> bool {
        Similarity::is_symmetric(self)
    }

    fn derives_its_value(&self) -> bool {
        Similarity::derives_its_value(self)
    }

    fn share(&self) -> Share {
        Similarity::share(self)
    }

    #[inline(always)]
    fn row<R: Real>(&self, rows: &Candidates<'_>, scale: R, scores: &mut [R]) -> R {
        similarity::pooled(self, rows, scale, scores)
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

/// The twin of a row-wise shader.
pub trait Rowwise: Loss {
    /// The value of one row. Writes `scale` times its derivative into `gradient`, and what else is asked for.
    fn row<R: Real>(
        &self,
        row: &Row<'_, R>,
        scale: R,
        gradient: &mut [R],
        auxiliary: Option<&mut Auxiliary<R>>,
    ) -> R;

    /// Writes `scale` times the second derivative by each prediction of one row, where [`Loss::has_curvature`].
    #[inline(always)]
    fn curvature<R: Real>(&self, _row: &Row<'_, R>, _scale: R, hessian: &mut [R]) {
        hessian.fill(R::NAN);
    }

    /// Value and gradient of the rows from `first` on by a shorter way of the CPU, where the loss has one for these inputs; says
    /// whether it has. Marked `#[inline(always)]`, as everything that is to become vector instructions.
    #[inline(always)]
    fn plain_rows(
        &self,
        _rows: &Rows<'_, f32>,
        _first: usize,
        _gradient: &mut [f32],
        _values: &mut [f32],
    ) -> bool {
        false
    }
}

//! The losses: one file each, with the stem of its shader, and one line in the list below.
//!
//! A loss says what it is (its [`Entry`]), what its options become in the shader ([`Loss::constants`]) and how one
//! element or one row is computed, once in WGSL and once here. Reductions, weights, masks, loops and chunks belong
//! to the frames (`shaders/kernels`, `src/host`), the checks of what is handed in to [`crate::Criterion`].
//!
//! To add one: a shader in `shaders/losses`, a file here, a line in the list. The tests, `gradus losses`, `check`,
//! `eval` and `bench` take it from there.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use serde::de::DeserializeOwned;

use crate::catalogue::{self, Entry, catalogue};
use crate::device::Device;
use crate::host::joint::JointHost;
use crate::host::linear::LinearFrame;
use crate::host::pairs::PairsFrame;
use crate::host::pointwise::PointwiseHost;
use crate::host::quads::QuadsFrame;
use crate::host::rowwise::{Auxiliary, Row, Rows, RowwiseHost};
use crate::host::sequence::{Item, SequenceFrame};
use crate::host::similarity::{self, SimilarityFrame};
use crate::host::vectors::VectorsFrame;
use crate::real::Real;
use crate::wgsl::File;
use crate::{Criterion, Error, Result};

catalogue! {
    /// Every loss there is.
    pub static CATALOGUE: dyn Loss =
        mse::Mse,
        mae::Mae,
        huber::Huber,
        smooth_l1::SmoothL1,
        log_cosh::LogCosh,
        pseudo_huber::PseudoHuber,
        cauchy::Cauchy,
        lp::Lp,
        quantile::Quantile,
        expectile::Expectile,
        epsilon_insensitive::EpsilonInsensitive,
        squared_epsilon_insensitive::SquaredEpsilonInsensitive,
        mape::Mape,
        msle::Msle,
        poisson_nll::PoissonNll,
        gaussian_nll::GaussianNll,
        gamma_deviance::GammaDeviance,
        tweedie::Tweedie,
        bce::Bce,
        bce_with_logits::BceWithLogits,
        binary_focal::BinaryFocal,
        soft_margin::SoftMargin,
        hinge::Hinge,
        squared_hinge::SquaredHinge,
        perceptron::Perceptron,
        modified_huber::ModifiedHuber,
        exponential::Exponential,
        hinge_embedding::HingeEmbedding,
        cross_entropy::CrossEntropy,
        nll::Nll,
        focal::Focal,
        poly1_cross_entropy::Poly1CrossEntropy,
        poly_cross_entropy::PolyCrossEntropy,
        generalized_cross_entropy::GeneralizedCrossEntropy,
        multi_margin::MultiMargin,
        multiclass_hinge::MulticlassHinge,
        categorical_hinge::CategoricalHinge,
        ordinal::Ordinal,
        multilabel_soft_margin::MultilabelSoftMargin,
        linear_cross_entropy::LinearCrossEntropy,
        kl_div::KlDiv,
        jsd::Jsd,
        distillation::Distillation,
        total_variation::TotalVariation,
        multilabel_margin::MultilabelMargin,
        sparsemax::Sparsemax,
        entmax::Entmax,
        dice::Dice,
        tversky::Tversky,
        pairwise_logistic::PairwiseLogistic,
        pairwise_hinge::PairwiseHinge,
        pairwise_soft_zero_one::PairwiseSoftZeroOne,
        ranking_softmax::RankingSoftmax,
        list_net::ListNet,
        list_mle::ListMle,
        approx_ndcg::ApproxNdcg,
        lambda_rank::LambdaRank,
        unique_softmax::UniqueSoftmax,
        calibrated_softmax::CalibratedSoftmax,
        approx_mrr::ApproxMrr,
        margin_ranking::MarginRanking,
        bpr::Bpr,
        ctc::Ctc,
        cosine_similarity::CosineSimilarity,
        cosine_embedding::CosineEmbedding,
        triplet_margin::TripletMargin,
        contrastive::Contrastive,
        info_nce::InfoNce,
        sup_con::SupCon,
        nt_xent::NtXent,
        multi_similarity::MultiSimilarity,
        circle::Circle,
        batch_triplet::BatchTriplet,
        dpo::Dpo,
        simpo::Simpo,
        orpo::Orpo,
        kto::Kto;
}

pub use cross_entropy::TargetLogitTransform;

mod custom;
mod precision;

pub use batch_triplet::Mining;
pub use custom::{Custom, custom};
pub(crate) use precision::HostReal;

/// An optional input of a loss, for people.
#[derive(Debug)]
pub struct Input {
    /// The name: `class_weight`.
    pub name: &'static str,
    /// Its shape in words.
    pub shape: &'static str,
}

/// An input of a loss of several inputs ([`Family::Joint`]), in the order in which its frame takes them.
#[derive(Debug)]
pub struct Argument {
    /// The name: `anchor`.
    pub name: &'static str,
    /// Its shape in words.
    pub shape: &'static str,
    /// What it is to the loss.
    pub role: Role,
    /// What its numbers are.
    pub domain: Domain,
}

/// What an input is to a loss of several inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    /// Numbers that must be given; the loss gives a gradient for them.
    Differentiated,
    /// As `Differentiated`, and may be left out.
    OptionalDifferentiated,
    /// Numbers that must be given.
    Fixed,
    /// Numbers that may be left out.
    Optional,
    /// Whole numbers that must be given: labels, lengths.
    Integers,
    /// Whole numbers that may be left out.
    OptionalIntegers,
}

impl Role {
    /// Whether the loss gives a gradient for it.
    pub fn is_differentiated(self) -> bool {
        matches!(self, Role::Differentiated | Role::OptionalDifferentiated)
    }

    /// Whether it may be left out.
    pub fn is_optional(self) -> bool {
        matches!(self, Role::OptionalDifferentiated | Role::Optional | Role::OptionalIntegers)
    }

    /// Whether it holds whole numbers.
    pub fn is_integers(self) -> bool {
        matches!(self, Role::Integers | Role::OptionalIntegers)
    }
}
/// The row-wise kernel holds this many ignored labels in its uniform.
const MOST_IGNORED: usize = 16;

const CLASS_WEIGHT: Input = Input { name: "class_weight", shape: "[classes]: weight of each class" };
const CLASS_MASK: Input = Input { name: "class_mask", shape: "[classes] or [rows, classes]: false leaves a class out" };

/// What the numbers of an input are: checked where the host sees them, and drawn from by the tests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Domain {
    /// Any number.
    Real,
    /// Any number, of which the exponential is taken: that is ∞ in f32 from 88.8 on.
    Exponent,
    /// Any numbers, of which the softmax of each row is what counts.
    Logits,
    /// Above 0.
    Positive,
    /// From 0 on.
    NonNegative,
    /// From 0 on; near 0 the loss takes another number in its place, where no derivative can be checked.
    Variance,
    /// −1 or +1.
    Sign,
    /// 0 or 1.
    ZeroOne,
    /// From −1 to 1.
    Cosine,
    /// From 0 to 1.
    Probability,
    /// Logarithms of probabilities that add up to 1 in each row.
    LogDistribution,
    /// The logarithm of a probability: 0 or below.
    LogProbability,
    /// Not negative; a distribution in each row.
    Distribution,
    /// A class label for each row, or a distribution in each row.
    Class,
    /// A class label for each row.
    Label,
    /// How relevant each item of a list is, from 0 on; below 0 it is padding.
    Relevance,
    /// As `Relevance`, of which 2 to the power is taken: up to 100.
    Grade,
    /// Several classes for each row, as numbers: [rows, classes], a row's list ended by its first −1.
    ClassList,
}

impl Domain {
    /// Whether targets of this kind may be labels.
    pub fn takes_labels(self) -> bool {
        matches!(self, Domain::Class | Domain::Label)
    }

    /// Whether targets of this kind may be numbers, as many as predictions.
    pub fn takes_dense(self) -> bool {
        self != Domain::Label
    }

    /// Whether a target below 0 takes its item out of the list.
    pub fn pads(self) -> bool {
        matches!(self, Domain::Relevance | Domain::Grade)
    }
}

/// How the targets of a two-class loss are written. Said by the caller, never guessed from the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// −1 and +1.
    #[default]
    Sign,
    /// 0 and 1, taken to −1 and +1.
    ZeroOne,
}

impl Labels {
    fn constant(self) -> (&'static str, f64) {
        ("LABELS_ZERO_ONE", f64::from(u8::from(self == Labels::ZeroOne)))
    }

    fn domain(self) -> Domain {
        if self == Labels::ZeroOne { Domain::ZeroOne } else { Domain::Sign }
    }

    #[inline(always)]
    fn signed<R: Real>(self, truth: R) -> R {
        // As numbers, not as a branch: with one in it the loop over the elements is not vectorised (16.6 against 6 ms for 2²⁴).
        let (slope, offset) = if self == Labels::ZeroOne { (2.0, 1.0) } else { (1.0, 0.0) };
        R::new(slope) * truth - R::new(offset)
    }
}

pub use dpo::DpoType;

/// A loss with its options. Object-safe: the lists, the models and the command hold `dyn Loss`.
pub trait Loss: Debug + Send + Sync {
    /// Its line in the list: name, formula, filling.
    fn entry(&self) -> &'static Entry<dyn Loss>;

    /// Its name in the command, in files and in messages: `huber`.
    fn name(&self) -> &'static str {
        self.entry().name
    }

    /// The options as JSON, in the form that [`from_name`] takes.
    fn options(&self) -> Value;

    /// Which frame runs it.
    fn family(&self) -> Family<'_>;

    /// The options as the shader's `override`s see them.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// What the predictions are.
    fn predictions(&self) -> Domain {
        Domain::Real
    }

    /// What the targets are with these options.
    fn targets(&self) -> Domain {
        Domain::Real
    }

    /// Inputs beyond `predictions`, `targets`, `weight` and `mask`.
    fn inputs(&self) -> &'static [Input] {
        &[]
    }

    /// All inputs of a loss of several inputs; empty for one of predictions and targets.
    fn arguments(&self) -> &'static [Argument] {
        &[]
    }

    /// The loss of the outputs of a linear layer, if this one is it fused with the layer.
    fn inner(&self) -> Option<&dyn Loss> {
        None
    }

    /// The inputs that the loss gives a gradient for, the first first.
    fn differentiated(&self) -> Vec<&'static str> {
        match self.arguments() {
            [] => vec!["predictions"],
            arguments => arguments.iter().filter(|a| a.role.is_differentiated()).map(|a| a.name).collect(),
        }
    }

    /// Labels that leave their row out.
    fn ignored(&self) -> &[i64] {
        &[]
    }

    /// Whether `mean` divides by the number of elements though the frame is row-wise, as PyTorch does for some.
    fn mean_over_elements(&self) -> bool {
        false
    }

    /// Whether `mean` divides by the sum of the class weights of the labels, as PyTorch does for some.
    fn mean_over_class_weights(&self) -> bool {
        false
    }

    /// How many classes a label may name where the predictions have so many columns.
    fn classes(&self, columns: usize) -> usize {
        columns
    }

    /// Whether it hands back [`crate::Auxiliaries`] when asked.
    fn has_auxiliary(&self) -> bool {
        false
    }

    /// Whether it has the diagonal of its Hessian, which [`crate::Inputs::hessian`] asks for.
    fn has_curvature(&self) -> bool {
        false
    }

    /// How often the row-wise frame folds a row: more than once where a threshold is sought.
    fn passes(&self) -> u32 {
        1
    }

    /// Shader files that its own is linked with: what several losses fold alike.
    fn helpers(&self) -> &'static [File] {
        &[]
    }

    /// Whether `mean` divides by the number of pairs of items whose targets differ, over all lists.
    fn mean_over_pairs(&self) -> bool {
        false
    }

    /// Whether the options are in their domains.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The loss made ready on a device, its options checked.
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its domain.
    fn on(self, device: &Device) -> Result<Criterion>
    where
        Self: Sized + 'static,
    {
        Criterion::new(std::sync::Arc::new(self), device)
    }
}

/// What the file of a loss states. The blanket [`Loss`] makes the rest of it.
pub(crate) trait Filling: Debug + Send + Sync + Serialize {
    const ENTRY: &'static Entry<dyn Loss>;
    const PREDICTIONS: Domain = Domain::Real;
    const TARGETS: Domain = Domain::Real;
    const INPUTS: &'static [Input] = &[];
    const ARGUMENTS: &'static [Argument] = &[];
    const HELPERS: &'static [File] = &[];
    const MEAN_OVER_CLASS_WEIGHTS: bool = false;
    const HAS_AUXILIARY: bool = false;
    const MEAN_OVER_PAIRS: bool = false;
    const PASSES: u32 = 1;

    fn family(&self) -> Family<'_>;
    fn check_options(&self) -> Result<()>;

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    fn predictions(&self) -> Domain {
        Self::PREDICTIONS
    }

    fn targets(&self) -> Domain {
        Self::TARGETS
    }

    fn inner(&self) -> Option<&dyn Loss> {
        None
    }

    fn ignored(&self) -> &[i64] {
        &[]
    }

    fn mean_over_elements(&self) -> bool {
        false
    }

    fn has_curvature(&self) -> bool {
        false
    }

    fn classes(&self, columns: usize) -> usize {
        columns
    }
}

impl<T: Filling> Loss for T {
    fn entry(&self) -> &'static Entry<dyn Loss> {
        T::ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn family(&self) -> Family<'_> {
        Filling::family(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Filling::constants(self)
    }

    fn predictions(&self) -> Domain {
        Filling::predictions(self)
    }

    fn targets(&self) -> Domain {
        Filling::targets(self)
    }

    fn inputs(&self) -> &'static [Input] {
        T::INPUTS
    }

    fn arguments(&self) -> &'static [Argument] {
        T::ARGUMENTS
    }

    fn inner(&self) -> Option<&dyn Loss> {
        Filling::inner(self)
    }

    fn ignored(&self) -> &[i64] {
        Filling::ignored(self)
    }

    fn mean_over_elements(&self) -> bool {
        Filling::mean_over_elements(self)
    }

    fn mean_over_class_weights(&self) -> bool {
        T::MEAN_OVER_CLASS_WEIGHTS
    }

    fn classes(&self, columns: usize) -> usize {
        Filling::classes(self, columns)
    }

    fn has_auxiliary(&self) -> bool {
        T::HAS_AUXILIARY
    }

    fn has_curvature(&self) -> bool {
        Filling::has_curvature(self)
    }

    fn passes(&self) -> u32 {
        T::PASSES
    }

    fn helpers(&self) -> &'static [File] {
        T::HELPERS
    }

    fn mean_over_pairs(&self) -> bool {
        T::MEAN_OVER_PAIRS
    }

    fn check(&self) -> Result<()> {
        self.check_options()
    }
}

/// The `make` of a loss's entry.
fn make<T: Filling + Default + DeserializeOwned + 'static>(options: &Value) -> Result<Box<dyn Loss>> {
    Ok(Box::new(catalogue::read::<T>(T::ENTRY.name, T::ENTRY.options, options)?))
}

/// The frames. Closed: the host has to know how to run each.
pub enum Family<'a> {
    /// One value for each element.
    Pointwise(&'a dyn PointwiseHost),
    /// One value for each row.
    Rowwise(&'a dyn RowwiseHost),
    /// One value for each list, where an item's derivative needs all the others. On the host a list is a row.
    Listwise(&'a dyn RowwiseHost),
    /// Several inputs, named by [`Loss::arguments`]: which frame takes them, and that frame on the host.
    Joint(Frame, Box<dyn JointHost + 'a>),
}

/// The frames of losses of several inputs. Closed, as [`Family`] is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Frame {
    /// Two numbers for each value, and perhaps a truth: `src/host/pairs.rs`.
    Pairs,
    /// Rows of logits in time, and labels whose places in time are not known: `src/host/sequence.rs`.
    Sequence {
        /// The class that stands for no label.
        blank: usize,
    },
    /// Two or three vectors for each value, and perhaps a truth: `src/host/vectors.rs`.
    Vectors,
    /// The inputs of a linear layer, its weights and its bias, and the targets of its outputs: `src/host/linear.rs`.
    Linear,
    /// Up to four numbers for each value, the first two differentiated: `src/host/quads.rs`.
    Quads,
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
}

impl<'a> Family<'a> {
    fn pairs<L: Pairs>(loss: &'a L) -> Self {
        Family::Joint(Frame::Pairs, Box::new(PairsFrame(loss)))
    }

    fn sequence<L: Sequence>(loss: &'a L) -> Self {
        Family::Joint(Frame::Sequence { blank: loss.blank() }, Box::new(SequenceFrame(loss)))
    }

    fn vectors<L: Vectors>(loss: &'a L) -> Self {
        Family::Joint(Frame::Vectors, Box::new(VectorsFrame(loss)))
    }

    fn quads<L: Quads>(loss: &'a L) -> Self {
        Family::Joint(Frame::Quads, Box::new(QuadsFrame(loss)))
    }

    fn linear(name: &'static str, inner: &'a dyn Loss) -> Self {
        Family::Joint(Frame::Linear, Box::new(LinearFrame { name, inner }))
    }

    fn similarity<L: SimilarityRows>(loss: &'a L) -> Self {
        let comparison =
            Comparison { normalizes: loss.normalizes(), is_symmetric: loss.is_symmetric(), is_mined: loss.is_mined() };
        Family::Joint(Frame::Similarity(comparison), Box::new(SimilarityFrame(loss)))
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
pub trait Pairs: Loss + Clone {
    /// Value and both derivatives at one pair; `truth` is 0 where the loss has none.
    fn pair<R: Real>(&self, first: R, second: R, truth: R) -> Pair<R>;

    /// Whether the second numbers may be one for each row.
    fn second_per_row(&self) -> bool {
        false
    }
}

/// What a loss over pairs gives for one.
#[derive(Clone, Copy, Debug)]
pub struct Pair<R> {
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
    /// [`Error::Input`] with the first item, [`Error::Option`].
    fn check_sequence(&self, targets: &[i32], lengths: &[i32], length: usize, classes: usize) -> Result<()>;

    /// The value of one item; writes its derivative, [time, classes].
    fn item<R: Real>(&self, item: &Item<'_, R>, gradient: &mut [R]) -> R;
}

/// The twin of a shader over vectors. Numbers in threes belong to the first, the second and the third vector of a row, of which
/// the third may be missing, or to the three sums over its columns.
pub trait Vectors: Loss + Clone {
    /// Whether a pass over the row for its peaks comes first.
    fn is_scaled(&self) -> bool {
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
    fn finish<R: Real>(&self, peaks: [R; 3], sums: [R; 3], truth: R) -> VectorOutcome<R>;

    /// The derivatives of the value by the numbers of one column.
    fn slopes<R: Real>(&self, outcome: &VectorOutcome<R>, peaks: [R; 3], cells: [R; 3]) -> [R; 3];
}

/// What a loss over vectors gives for a row.
#[derive(Clone, Copy, Debug)]
pub struct VectorOutcome<R> {
    /// The value.
    pub value: R,
    /// What the derivatives are made of.
    pub factors: [R; 3],
}

/// The twin of a shader over up to four numbers for each value.
pub trait Quads: Loss + Clone {
    /// Value and derivatives; an input that was left out is 0.
    fn quad<R: Real>(&self, numbers: [R; 4]) -> Quad<R>;
}

/// What a loss over four numbers gives for one value.
#[derive(Clone, Copy, Debug)]
pub struct Quad<R> {
    /// The value.
    pub value: R,
    /// Its derivatives by the first two numbers.
    pub slopes: [R; 2],
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

    /// Whether single candidates are chosen, not pools of them: `shaders/kernels/triplets.wgsl`.
    fn is_mined(&self) -> bool {
        false
    }

    /// Whether the gradients are the derivatives of the values: not where a part is held constant.
    fn derives_its_value(&self) -> bool {
        true
    }

    /// What a row with so many positives and negatives counts for in a mean; 0 leaves it out. Asked where there are labels.
    fn share(&self, positives: usize, negatives: usize) -> f64;

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
    fn share(&self, _positives: usize, _negatives: usize) -> f64 {
        1.0
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
    fn extra_slope<R: Real>(&self, _candidate: Candidate<R>, _outcome: &PoolOutcome<R>) -> R {
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

    fn share(&self, positives: usize, negatives: usize) -> f64 {
        Similarity::share(self, positives, negatives)
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
    pub slope: R,
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
    /// What `extra_slope` wants to know.
    pub extra: R,
}

/// The twin of a row-wise shader.
pub trait Rowwise: Loss {
    /// The value of one row. Writes `scale` times its derivative into `gradient`, and what else is asked for.
    fn row<R: Real>(&self, row: &Row<'_, R>, scale: R, gradient: &mut [R], auxiliary: Option<&mut Auxiliary<R>>) -> R;

    /// Writes `scale` times the second derivative by each prediction of one row, where [`Loss::has_curvature`].
    #[inline(always)]
    fn curvature<R: Real>(&self, _row: &Row<'_, R>, _scale: R, hessian: &mut [R]) {
        hessian.fill(R::NAN);
    }

    /// Value and gradient of the rows from `first` on by a shorter way of the CPU, where the loss has one for these inputs; says
    /// whether it has. Marked `#[inline(always)]`, as everything that is to become vector instructions.
    #[inline(always)]
    fn plain_rows(&self, _rows: &Rows<'_, f32>, _first: usize, _gradient: &mut [f32], _values: &mut [f32]) -> bool {
        false
    }
}

/// The loss of a name with options as a JSON object; options left out take their defaults.
///
/// # Errors
/// [`Error::Unknown`] for a name or an option that there is not, [`Error::Option`] for a value outside its domain.
///
/// ```
/// let loss = gradus::losses::from_name("huber", &serde_json::json!({ "delta": 0.5 }))?;
/// assert_eq!(loss.options()["delta"], 0.5);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Loss>> {
    let loss = (entry(name)?.make)(options)?;
    loss.check()?;
    Ok(loss)
}

/// The entry of a name.
///
/// # Errors
/// [`Error::Unknown`] with the names there are.
pub fn entry(name: &str) -> Result<&'static Entry<dyn Loss>> {
    catalogue::find("loss", CATALOGUE, name)
}

/// Refuses a loss that no model is trained with: of lists, whose mean depends on the targets of each batch, and of other inputs than
/// predictions and targets.
pub(crate) fn check_trainable(loss: &dyn Loss) -> Result<()> {
    let found = match loss.arguments() {
        [] if loss.targets().pads() || loss.targets() == Domain::ClassList => "is one of lists".to_string(),
        [] => return Ok(()),
        arguments => format!("takes {}", arguments.iter().map(|argument| argument.name).collect::<Vec<_>>().join(", ")),
    };
    Err(Error::Input {
        operation: loss.name().into(),
        name: "the loss".into(),
        found,
        allowed:
            "a model takes one of predictions and targets; make a criterion of this one (`Loss::on`) and hand its \
                  gradients on"
                .into(),
    })
}

/// Reads one label or a list of labels.
fn one_or_several<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Vec<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrSeveral {
        One(i64),
        Several(Vec<i64>),
    }
    Ok(match OneOrSeveral::deserialize(deserializer)? {
        OneOrSeveral::One(label) => vec![label],
        OneOrSeveral::Several(labels) => labels,
    })
}

/// What the loss behind a linear layer refuses, as the fused loss's own refusal.
fn in_the_name_of(fused: &Entry<dyn Loss>, checked: Result<()>) -> Result<()> {
    checked.map_err(|error| match error {
        Error::Option { name, found, allowed, .. } => Error::Option { owner: fused.name.into(), name, found, allowed },
        other => other,
    })
}

/// Refuses an option whose value does not hold; written so that NaN is refused.
pub(crate) fn require(holds: bool, owner: &Entry<dyn Loss>, name: &str, found: f64) -> Result<()> {
    if holds {
        return Ok(());
    }
    let choice = owner.options.iter().find(|choice| choice.name == name);
    Err(Error::option(owner.name, name, found, choice.map_or("in its domain", |choice| choice.domain)))
}

pub(crate) mod prelude {
    //! What every loss's file needs.
    pub(super) use super::{
        Argument, CLASS_MASK, CLASS_WEIGHT, Candidate, Domain, Family, Filling, Input, Loss, MOST_IGNORED, Pair, Pairs,
        Pointwise, PoolOutcome, Quad, Quads, Role, Rowwise, Sequence, Similarity, Term, VectorOutcome, Vectors, make,
    };
    pub(super) use crate::Result;
    pub(super) use crate::catalogue::{Entry, options};
    pub(super) use crate::real::Real;
}

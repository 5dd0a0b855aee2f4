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

use crate::catalogue::{self, Entry, Options, catalogue};
use crate::device::Device;
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
        linear_distillation::LinearDistillation,
        linear_multilabel_soft_margin::LinearMultilabelSoftMargin,
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
        kto::Kto,
        linear_dpo::LinearDpo,
        linear_simpo::LinearSimpo,
        linear_orpo::LinearOrpo,
        linear_kto::LinearKto;
}

pub use cross_entropy::TargetLogitTransform;

mod custom;
mod domain;
mod frames;
mod fused;
mod precision;

pub use batch_triplet::Mining;
pub use custom::{Custom, custom};
pub use domain::{Argument, Domain, Input, Labels, Role};
use domain::{CLASS_MASK, CLASS_WEIGHT, LABELLED_EMBEDDINGS, MOST_IGNORED, POS_WEIGHT};
pub use frames::*;
pub(crate) use fused::tokens;
pub(crate) use precision::HostReal;

pub use distillation::Divergence;
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

    /// The loss of the outputs of a linear layer, or of answers' log-probabilities under it, if this one is it fused with the layer.
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
pub(crate) trait Filling: Options + Debug + Send + Sync + Serialize {
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

    /// The options against their domains, and against each other where that matters.
    fn check_options(&self) -> Result<()> {
        self.check_domains()
    }

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

    fn passes(&self) -> u32 {
        Self::PASSES
    }

    fn helpers(&self) -> &'static [File] {
        Self::HELPERS
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
        Filling::passes(self)
    }

    fn helpers(&self) -> &'static [File] {
        Filling::helpers(self)
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

/// Refuses a loss that no model is trained with: of lists of classes, whose padding a model's rows have no room for, and of other
/// inputs than predictions and targets.
pub(crate) fn check_trainable(loss: &dyn Loss) -> Result<()> {
    let found = match loss.arguments() {
        [] if loss.targets() == Domain::ClassList => "is one of lists of classes".to_string(),
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
        Argument, CLASS_MASK, CLASS_WEIGHT, Candidate, Domain, Family, Filling, Input, LABELLED_EMBEDDINGS, Loss,
        MOST_IGNORED, POS_WEIGHT, Pair, Pairs, Pointwise, PoolOutcome, Quad, Quads, Role, Rowwise, Sequence, Share,
        Similarity, Term, VectorOutcome, Vectors, make,
    };
    pub(super) use crate::Result;
    pub(super) use crate::catalogue::{Entry, Options, options};
    pub(super) use crate::real::Real;
}

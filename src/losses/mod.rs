//! The losses: one file each, with the stem of its shader, and one line in the list below.
//!
//! A loss says what it is (its [`Entry`]), what its options become in the shader ([`Loss::constants`]) and how one
//! element or one row is computed, once in WGSL and once here. Reductions, weights, masks, loops and chunks belong
//! to the frames (`shaders/templates`, `src/templates`), the checks of what is handed in to [`crate::Criterion`].
//!
//! To add one: a shader in `shaders/losses`, a file here, a line in the list. The tests, `gradus losses`, `check`,
//! `eval` and `bench` take it from there.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::catalogue;
use crate::catalogue::{Entry, catalogue};
use crate::{Error, Result};

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
mod fused;
mod loss;
mod outputs;
mod precision;

pub use crate::templates::rowwise::cpu::{Auxiliary, Row, Target};
pub use crate::templates::traits::*;
pub use batch_triplet::Mining;
pub use custom::{Custom, custom};
pub use domain::{Argument, Domain, Input, Labels, Role};
use domain::{CLASS_MASK, CLASS_WEIGHT, LABELLED_EMBEDDINGS, MOST_IGNORED, POS_WEIGHT};
pub(crate) use fused::tokens;
pub(crate) use loss::Filling;
pub use loss::Loss;
pub(crate) use outputs::check_outputs;
pub(crate) use precision::CpuReal;

pub use distillation::Divergence;
pub use dpo::DpoType;

/// The `make` of a loss's entry.
fn make<T: Filling + Default + DeserializeOwned + 'static>(
    options: &Value,
) -> Result<Box<dyn Loss>> {
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
        arguments => format!(
            "takes {}",
            arguments.iter().map(|argument| argument.name).collect::<Vec<_>>().join(", ")
        ),
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
fn one_or_several<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Vec<i64>, D::Error> {
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
    Err(Error::option(
        owner.name,
        name,
        found,
        choice.map_or("in its domain", |choice| choice.domain),
    ))
}

pub(crate) mod prelude {
    //! What every loss's file needs.
    pub(super) use super::{
        Argument, CLASS_MASK, CLASS_WEIGHT, Candidate, Distance, DistanceTerms, Domain, Family,
        Filling, Input, LABELLED_EMBEDDINGS, Loss, MOST_IGNORED, POS_WEIGHT, Pointwise,
        PoolOutcome, Preference, PreferenceTerms, Role, Rowwise, Sequence, Share, Similarity, Term,
        TwoInput, TwoInputTerms, make,
    };
    pub(super) use crate::Result;
    pub(super) use crate::catalogue::{Entry, Options, options};
    pub(super) use crate::cpu::real::Real;
}

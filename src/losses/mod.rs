//! Loss functions: one file each, with the stem of its shader, and one line in the list below.
//!
//! A loss file defines the [`Entry`] of the loss, the mapping of its options to shader constants
//! ([`LossDefinition::constants`]) and the computation of one element or one row, once in WGSL and
//! once in Rust. Reductions, weights, masks, loops and chunks belong to the kernel templates
//! (`shaders/templates`, `src/templates`), input validation to [`crate::Criterion`].
//!
//! A new loss needs a shader in `shaders/losses`, a file here and a line in the list. The tests,
//! `gradus losses`, `check`, `eval` and `bench` read the list.

use serde_json::Value;

use crate::catalogue::{Entry, catalogue};
use crate::{Error, Result, catalogue};

catalogue! {
    /// Every loss, by name.
    pub static CATALOGUE: dyn LossDefinition =
        mse::Mse,
        mae::Mae,
        huber::Huber,
        smooth_l1::SmoothL1,
        log_cosh::LogCosh,
        pseudo_huber::PseudoHuber,
        cauchy::Cauchy,
        barron::Barron,
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
        aft::Aft,
        bce::Bce,
        bce_with_logits::BceWithLogits,
        binary_focal::BinaryFocal,
        asymmetric::Asymmetric,
        soft_margin::SoftMargin,
        hinge::Hinge,
        squared_hinge::SquaredHinge,
        perceptron::Perceptron,
        modified_huber::ModifiedHuber,
        exponential::Exponential,
        binary_sparsemax::BinarySparsemax,
        hinge_embedding::HingeEmbedding,
        cross_entropy::CrossEntropy,
        nll::Nll,
        focal::Focal,
        poly1_cross_entropy::Poly1CrossEntropy,
        poly_cross_entropy::PolyCrossEntropy,
        generalized_cross_entropy::GeneralizedCrossEntropy,
        logit_adjusted_cross_entropy::LogitAdjustedCrossEntropy,
        ldam::Ldam,
        sampled_softmax::SampledSoftmax,
        multi_margin::MultiMargin,
        multiclass_hinge::MulticlassHinge,
        categorical_hinge::CategoricalHinge,
        ordinal::Ordinal,
        multilabel_soft_margin::MultilabelSoftMargin,
        linear_cross_entropy::LinearCrossEntropy,
        linear_distillation::LinearDistillation,
        linear_multilabel_soft_margin::LinearMultilabelSoftMargin,
        kl_div::KlDiv,
        generalized_kl::GeneralizedKl,
        jsd::Jsd,
        distillation::Distillation,
        total_variation::TotalVariation,
        multilabel_margin::MultilabelMargin,
        sparsemax::Sparsemax,
        entmax::Entmax,
        dice::Dice,
        generalized_dice::GeneralizedDice,
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
        pairwise_mse::PairwiseMse,
        rank_xendcg::RankXendcg,
        cox::Cox,
        margin_ranking::MarginRanking,
        bpr::Bpr,
        ctc::Ctc,
        rnnt::Rnnt,
        iou::Iou,
        giou::Giou,
        diou::Diou,
        ciou::Ciou,
        cosine_similarity::CosineSimilarity,
        cosine_embedding::CosineEmbedding,
        triplet_margin::TripletMargin,
        contrastive::Contrastive,
        info_nce::InfoNce,
        n_pairs::NPairs,
        sup_con::SupCon,
        nt_xent::NtXent,
        multi_similarity::MultiSimilarity,
        circle::Circle,
        batch_triplet::BatchTriplet,
        proxy_nca::ProxyNca,
        proxy_anchor::ProxyAnchor,
        barlow_twins::BarlowTwins,
        vicreg::Vicreg,
        dpo::Dpo,
        simpo::Simpo,
        orpo::Orpo,
        cpo::Cpo,
        kto::Kto,
        grpo::Grpo,
        bnpo::Bnpo,
        dr_grpo::DrGrpo,
        dapo::Dapo,
        cispo::Cispo,
        sapo::Sapo,
        linear_dpo::LinearDpo,
        linear_simpo::LinearSimpo,
        linear_orpo::LinearOrpo,
        linear_cpo::LinearCpo,
        linear_kto::LinearKto,
        linear_grpo::LinearGrpo,
        linear_bnpo::LinearBnpo,
        linear_dr_grpo::LinearDrGrpo,
        linear_dapo::LinearDapo,
        linear_cispo::LinearCispo,
        linear_sapo::LinearSapo;
}

mod custom;
mod fused;
mod inputs;
mod outputs;
mod policy;
mod prelude;
mod trainable;

pub use crate::criterion::Loss;
pub use crate::templates::argument::{Argument, Domain, Input, Role};
pub use crate::templates::definition::{
    HessianDiagonal, ItemWeight, LossDefinition, Mean, OneInput, SeveralInputs, Spec,
    TargetDerivative, Template,
};
pub use crate::templates::listwise::cpu::{Discount, Gain, Lambda};
pub use crate::templates::pointwise::{Pointwise, PointwiseHessian, PointwiseTarget};
pub use crate::templates::rowwise::rows::{Auxiliary, Row};
pub use crate::templates::rowwise::target::{RowTarget, Target};
pub use crate::templates::rowwise::{Rowwise, RowwiseHessian, RowwiseTarget};
pub use aft::LogTime;
pub use batch_triplet::Mining;
pub use cox::Ties;
pub use cross_entropy::TargetLogitTransform;
pub use custom::Custom;
pub use distillation::Divergence;
pub use dpo::DpoType;
pub use inputs::Labels;
pub(crate) use outputs::check_outputs;
pub(crate) use trainable::{check_trainable, takes_class_prior};
pub use tweedie::Link;

/// The loss with the given name, with options from a JSON object; missing options take their
/// defaults.
///
/// # Errors
/// [`Error::Unknown`] for an unknown name or option, [`Error::Option`] for a value outside its
/// domain.
///
/// ```
/// let loss = gradus::losses::from_name("huber", &serde_json::json!({ "delta": 0.5 }))?;
/// assert_eq!(loss.options()["delta"], 0.5);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn LossDefinition>> {
    let loss = (entry(name)?.make)(options)?;
    loss.check()?;
    Ok(loss)
}

/// The entry with the given name.
///
/// # Errors
/// [`Error::Unknown`] with the list of valid names.
pub fn entry(name: &str) -> Result<&'static Entry<dyn LossDefinition>> {
    catalogue::find("loss", CATALOGUE, name)
}

/// A user-defined pointwise loss: one WGSL function and its CPU implementation as a closure over
/// f64.
///
/// `text` defines `fn loss(prediction: f32, truth: f32) -> Loss`, which returns
/// `Loss(value, derivative)`, with any helper functions and constants. It may call the functions of
/// `shaders/lib/numbers.wgsl` (`softplus`, `ln_positive`, `is_nan`, …). The closure computes the
/// same on the devices `cpu` and `reference`. Reductions, weights, masks, NaN handling and chunks
/// are provided by the kernel template, as for every loss in the catalogue. Models can be trained
/// with the loss. The text is always compiled with wgpu's bounds and loop checks.
///
/// [`crate::testing::check`] tests it like a catalogue loss: the derivative against central
/// differences of the closure, the shader against the closure. Text and name stay in memory until
/// the program ends, so create a loss once and clone it.
///
/// ```
/// use gradus::{Device, losses::{self, Loss}, testing};
/// use ndarray::array;
///
/// let wgsl = "fn loss(prediction: f32, truth: f32) -> Loss {
///     let e = prediction - truth;
///     return Loss(e * e * e * e, 4.0 * e * e * e);
/// }";
/// let fourth = losses::custom("fourth_power", wgsl, |x, y| ((x - y).powi(4), 4.0 * (x - y).powi(3)))?;
/// println!("{}", testing::check(&fourth, &Device::cpu())?); // an error with a table where something is wrong
/// let step = fourth.on(&Device::cpu())?.value_and_gradient(&array![3.0, 0.0], &array![1.0, 0.0])?;
/// assert_eq!(step.value(), 8.0);
/// assert_eq!(step.gradient.as_slice().unwrap(), [16.0, 0.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// [`Error::Option`] for a name in the catalogue. [`Error::Wgsl`] with the line for invalid WGSL, a
/// missing function, entry points, bindings, or private arrays of more than 16 KiB.
pub fn custom(
    name: &str,
    text: &str,
    cpu: impl Fn(f64, f64) -> (f64, f64) + Send + Sync + 'static,
) -> Result<Custom> {
    if name.is_empty() || entry(name).is_ok() {
        return Err(Error::option(
            "custom",
            "name",
            format!("`{name}`"),
            "a name that is not in the catalogue",
        ));
    }
    Custom::new(name, text, cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::templates::rowwise::rows::Rows;
    use crate::templates::rowwise::target::Targets;

    /// The kind of targets that the CPU implementation takes is a type, the kind that a caller may
    /// pass a domain.
    #[test]
    fn a_row_wise_loss_takes_the_targets_that_its_domain_names() {
        let mut count = 0;
        for entry in CATALOGUE {
            for options in std::iter::once("{}").chain(entry.variants.iter().copied()) {
                let loss = from_name(entry.name, &serde_json::from_str(options).unwrap()).unwrap();
                let Ok(cpu) = loss.rowwise() else { continue };
                let takes = |targets| {
                    let rows = Rows {
                        logits: &[0.5, 0.25, 0.25],
                        columns: 3,
                        targets,
                        ignored: &[],
                        class_weight: &[],
                        pos_weight: &[],
                        class_mask: &[],
                        item_weight: &[],
                        weight: &[],
                        mask: &[],
                        factor: 1.0,
                        upstream: 1.0,
                        upstreams: &[],
                    };
                    let (mut gradient, mut values) = ([f64::NAN; 3], [f64::NAN]);
                    let found = cpu.run_f64(&rows, &mut gradient, &mut values, &mut []);
                    assert_eq!(found.is_ok(), !values[0].is_nan(), "{}", entry.name);
                    found.is_ok()
                };
                let domain = loss.targets();
                let found = [takes(Targets::Labels(&[1])), takes(Targets::Dense(&[1.0, 0.0, 0.0]))];
                let named = [domain.takes_labels(), domain.takes_dense()];
                // An option may leave less than the type: a margin is one of labels.
                let narrows = options != "{}" && found == [true; 2];
                assert!(found == named || narrows && named[0], "{} {options}", entry.name);
                count += 1;
            }
        }
        assert!(count > 40, "{count} losses and variants");
    }

    #[test]
    fn targets_of_the_other_kind_are_an_error_and_not_nan() {
        let rows = Rows {
            logits: &[0.5_f32, 0.5],
            columns: 2,
            targets: Targets::Labels(&[1]),
            ignored: &[],
            class_weight: &[],
            pos_weight: &[],
            class_mask: &[],
            item_weight: &[],
            weight: &[],
            mask: &[],
            factor: 1.0,
            upstream: 1.0,
            upstreams: &[],
        };
        let loss = from_name("dice", &Value::Null).unwrap();
        let error = loss.rowwise().unwrap().run_f32(&rows, &mut [0.0; 2], &mut [0.0], &mut []);
        assert_eq!(
            error.unwrap_err().to_string(),
            "a row-wise loss: targets are one label per row; its CPU implementation takes one \
             number per prediction"
        );
    }
}

//! The interface of a loss to the rest of the crate.

use std::fmt::Debug;

use serde_json::Value;

use crate::catalogue::Entry;
use crate::runtime::wgsl::File;
use crate::templates::argument::{Argument, Domain, Input};
use crate::templates::boxes::cpu::BoxesTemplate;
use crate::templates::boxes::{self, BoxLoss};
use crate::templates::covariance::cpu::CovarianceTemplate;
use crate::templates::covariance::{Covariance, CovarianceRule};
use crate::templates::distance::Distance;
use crate::templates::distance::cpu::DistanceTemplate;
use crate::templates::multi_input::cpu::MultiInputCpu;
use crate::templates::pointwise::{
    Pointwise, PointwiseCpu, PointwiseHessianCpu, PointwiseTargetCpu,
};
use crate::templates::policy::cpu::PolicyTemplate;
use crate::templates::policy::{PolicyGradient, PolicyRule};
use crate::templates::preference::Preference;
use crate::templates::preference::cpu::PreferenceTemplate;
use crate::templates::proxies::Proxies;
use crate::templates::proxies::cpu::ProxiesTemplate;
use crate::templates::regions::Regions;
use crate::templates::regions::cpu::RegionsTemplate;
use crate::templates::rowwise::{Rowwise, RowwiseCpu, RowwiseHessianCpu, RowwiseTargetCpu};
use crate::templates::sequence::Sequence;
use crate::templates::sequence::cpu::SequenceTemplate;
use crate::templates::similarity::cpu::SimilarityTemplate;
use crate::templates::similarity::{Comparison, SimilarityRows};
use crate::templates::survival::Survival;
use crate::templates::survival::cpu::SurvivalTemplate;
use crate::templates::transducer::Transducer;
use crate::templates::transducer::cpu::TransducerTemplate;
use crate::templates::two_input::TwoInput;
use crate::templates::two_input::cpu::TwoInputTemplate;
use crate::{Error, Result};

/// A loss with its options. Object-safe: the lists, the models and the command hold `dyn
/// LossDefinition`.
pub trait LossDefinition: Debug + Send + Sync {
    /// Its entry in the list: name, formula, options, shader.
    fn entry(&self) -> &'static Entry<dyn LossDefinition>;

    /// The options as JSON, in the form that [`crate::losses::from_name`] accepts.
    fn options(&self) -> Value;

    /// The template that runs the loss, its inputs and its normalizer, for these options.
    fn spec(&self) -> Spec<'_>;

    /// The options as values of the shader's `override` constants.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Checks that the options are in their domains.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option out of its domain.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Everything that a loss declares except its formula. Created by the constructor of its template;
/// fields that differ are set by name: `Spec { targets: Domain::Sign, ..Spec::pointwise(self) }`.
pub struct Spec<'a> {
    /// The template that runs the loss.
    pub template: Template<'a>,
    /// Domain of the predictions.
    pub predictions: Domain,
    /// Domain of the targets.
    pub targets: Domain,
    /// Inputs beyond `predictions`, `targets`, `weight` and `mask`.
    pub inputs: &'static [Input],
    /// All inputs of a multi-input loss. Empty for a loss of predictions and targets.
    pub arguments: &'static [Argument],
    /// The inner loss, if this loss is fused with a linear layer: the loss of the layer's outputs,
    /// or of the log-probabilities of completions.
    pub inner: Option<&'a dyn LossDefinition>,
    /// Labels that exclude their row (`ignore_index`).
    pub ignored: &'a [i64],
    /// Normalizer of the reduction `mean`.
    pub mean: Mean,
    /// Number of classes that a label may name beyond the columns of the predictions.
    pub extra_classes: usize,
    /// True if the loss returns [`crate::Auxiliaries`] on request.
    pub auxiliary: bool,
    /// The second derivatives of a loss that has them, requested by [`crate::Inputs::hessian`].
    pub hessian_diagonal: Option<HessianDiagonal<'a>>,
    /// The derivatives with respect to the targets of a loss that has them, requested by
    /// [`crate::Inputs::target_gradient`].
    pub target_derivative: Option<TargetDerivative<'a>>,
    /// Number of passes in which the row-wise template folds a row. More than one if the loss
    /// searches for a threshold.
    pub passes: u32,
    /// The same for rows with a label.
    pub label_passes: u32,
    /// True if the derivative with respect to a cell of a row depends on that cell alone. The
    /// row-wise template then writes it during the fold.
    pub separable: bool,
    /// Meaning of a weight [lists, items].
    pub item_weight: ItemWeight,
    /// True if a row-wise loss of labels, with its options, can find the maximum of a row before it
    /// sums.
    pub peaks_first: bool,
    /// Most groups of four elements that a thread of a GPU works on in unrolled code: those that it
    /// keeps in registers between two passes over a row, or loads at once. Fewer for a loss of long
    /// code.
    pub unrolled: usize,
    /// Shader files that are linked with the loss's own: folds that several losses share.
    pub helpers: &'static [File],
}

/// [`Spec::unrolled`] of most losses: a row of 64 cells, by one thread.
const MOST_UNROLLED: usize = 16;

/// Normalizer of the reduction `mean`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mean {
    /// The number of values.
    #[default]
    OverValues,
    /// The number of elements, although there is one value per row. PyTorch does this for some
    /// losses.
    OverElements,
    /// The sum of the class weights of the labels. PyTorch does this for some losses.
    OverClassWeights,
    /// The number of pairs of items whose targets differ, over all lists.
    OverPairs,
}

/// Meaning of a weight [lists, items] of a loss over lists.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ItemWeight {
    /// The loss takes one weight for each list.
    #[default]
    None,
    /// A factor of each item's target.
    OfTargets,
    /// A factor of the pairs in which the item is the higher one: the input `item_weight`.
    OfPairs,
    /// The weight of a list is the mean of its items' weights under their targets, Σ wy / Σ y.
    OfLists,
}

/// The template that runs a loss, with the loss as the template calls it.
pub enum Template<'a> {
    /// Predictions and targets.
    OneInput(OneInput<'a>),
    /// Several inputs, named by [`Spec::arguments`]: the GPU kernel and its CPU implementation.
    Several(SeveralInputs, Box<dyn MultiInputCpu + 'a>),
}

/// Templates of losses of predictions and targets.
#[derive(Clone, Copy)]
pub enum OneInput<'a> {
    /// One value per element.
    Pointwise(&'a dyn PointwiseCpu),
    /// One value per row.
    Rowwise(&'a dyn RowwiseCpu),
    /// One value per list. The derivative of an item depends on all other items. On the CPU a list
    /// is a row.
    Listwise(&'a dyn RowwiseCpu),
}

/// The second derivatives of a loss of predictions and targets, by its template.
#[derive(Clone, Copy)]
pub enum HessianDiagonal<'a> {
    /// Of each element.
    Pointwise(&'a dyn PointwiseHessianCpu),
    /// Of each element, from its whole row.
    Rowwise(&'a dyn RowwiseHessianCpu),
}

/// The derivatives of a loss with respect to its targets.
#[derive(Clone, Copy)]
pub enum TargetDerivative<'a> {
    /// The opposite of those with respect to the predictions: the loss is a function of the
    /// difference of both.
    Opposite,
    /// Of each element.
    Pointwise(&'a dyn PointwiseTargetCpu),
    /// Of each element, from its whole row.
    Rowwise(&'a dyn RowwiseTargetCpu),
}

/// Templates of multi-input losses.
#[derive(Clone, Copy, Debug)]
pub enum SeveralInputs {
    /// Two numbers per value, and an optional target.
    TwoInput,
    /// Rows of logits over time, and labels whose positions in time are unknown.
    Sequence {
        /// The class that represents no label.
        blank: usize,
    },
    /// Rows of logits over time and labels given out, and labels whose positions in time are unknown.
    Transducer {
        /// The class that gives out no label.
        blank: usize,
    },
    /// Two or three vectors per value, and an optional target.
    Distance,
    /// The inputs, weights and bias of a linear layer, and the targets of its outputs.
    Linear,
    /// The inputs of a linear layer whose outputs are the logits of completion tokens, and the
    /// remaining inputs of a loss of the completions' log-probabilities.
    Completions {
        /// The loss of each token: its negative log-probability.
        tokens: &'static dyn LossDefinition,
        /// True if the log-probability of a completion is the mean over its tokens, false if it is
        /// the sum.
        averages: bool,
    },
    /// Up to four numbers per value, the first two differentiated.
    Preference,
    /// The regions of all classes per value.
    Regions,
    /// A predicted box and a true one per value.
    Boxes,
    /// Log-probabilities of the tokens of completions, with advantages.
    Policy(PolicyRule),
    /// Two matrices of embeddings, by the covariances of their columns.
    Covariance(CovarianceRule),
    /// Lists of risk scores with times and events.
    Survival,
    /// Embeddings, each compared with learned proxies of the classes.
    Proxies {
        /// True if there is a value for each proxy, false if there is one for each embedding.
        by_proxy: bool,
    },
    /// Embeddings, each compared with all others.
    Similarity(Comparison),
}

impl<'a> Spec<'a> {
    fn of(template: Template<'a>, arguments: &'static [Argument]) -> Self {
        Spec {
            template,
            predictions: Domain::Real,
            targets: Domain::Real,
            inputs: &[],
            arguments,
            inner: None,
            ignored: &[],
            mean: Mean::OverValues,
            extra_classes: 0,
            auxiliary: false,
            hessian_diagonal: None,
            target_derivative: None,
            passes: 1,
            label_passes: 1,
            separable: false,
            item_weight: ItemWeight::None,
            peaks_first: false,
            unrolled: MOST_UNROLLED,
            helpers: &[],
        }
    }

    /// Specification of a loss with one value per element.
    pub fn pointwise<L: Pointwise>(loss: &'a L) -> Self {
        Self::of(Template::OneInput(OneInput::Pointwise(loss)), &[])
    }

    /// Specification of a loss with one value per row.
    pub fn rowwise<L: Rowwise>(loss: &'a L) -> Self {
        Self::of(Template::OneInput(OneInput::Rowwise(loss)), &[])
    }

    /// Specification of a loss with one value per list.
    pub fn listwise<L: Rowwise>(loss: &'a L) -> Self {
        Self::of(Template::OneInput(OneInput::Listwise(loss)), &[])
    }

    /// Specification of a multi-input loss.
    pub(crate) fn several(
        kernel: SeveralInputs,
        cpu: Box<dyn MultiInputCpu + 'a>,
        arguments: &'static [Argument],
    ) -> Self {
        Self::of(Template::Several(kernel, cpu), arguments)
    }

    pub(crate) fn two_input<L: TwoInput>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        let cpu = TwoInputTemplate { loss, arguments };
        Self::several(SeveralInputs::TwoInput, Box::new(cpu), arguments)
    }

    pub(crate) fn sequence<L: Sequence>(
        loss: &'a L,
        name: &'static str,
        arguments: &'static [Argument],
    ) -> Self {
        let cpu = SequenceTemplate { loss, name };
        Self::several(SeveralInputs::Sequence { blank: loss.blank() }, Box::new(cpu), arguments)
    }

    pub(crate) fn transducer<L: Transducer>(
        loss: &'a L,
        name: &'static str,
        arguments: &'static [Argument],
    ) -> Self {
        let cpu = TransducerTemplate { loss, name };
        Self::several(SeveralInputs::Transducer { blank: loss.blank() }, Box::new(cpu), arguments)
    }

    pub(crate) fn distance<L: Distance>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        Self::several(
            SeveralInputs::Distance,
            Box::new(DistanceTemplate { loss, arguments }),
            arguments,
        )
    }

    pub(crate) fn preference<L: Preference>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        let cpu = PreferenceTemplate { loss, arguments };
        Self::several(SeveralInputs::Preference, Box::new(cpu), arguments)
    }

    pub(crate) fn regions<L: Regions>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        Self::several(SeveralInputs::Regions, Box::new(RegionsTemplate { loss }), arguments)
    }

    pub(crate) fn boxes<L: BoxLoss>(loss: &'a L) -> Self {
        let cpu = BoxesTemplate { loss };
        Self::several(SeveralInputs::Boxes, Box::new(cpu), boxes::ARGUMENTS)
    }

    pub(crate) fn policy<L: PolicyGradient>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        let cpu = PolicyTemplate { loss, arguments };
        Self::several(SeveralInputs::Policy(loss.rule()), Box::new(cpu), arguments)
    }

    pub(crate) fn survival<L: Survival>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        let cpu = SurvivalTemplate { loss, arguments };
        Self::several(SeveralInputs::Survival, Box::new(cpu), arguments)
    }

    pub(crate) fn proxies<L: Proxies>(
        loss: &'a L,
        name: &'static str,
        arguments: &'static [Argument],
    ) -> Self {
        let kernel = SeveralInputs::Proxies { by_proxy: loss.by_proxy() };
        let cpu = ProxiesTemplate { loss, name };
        Self::several(kernel, Box::new(cpu), arguments)
    }

    pub(crate) fn covariance<L: Covariance>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        let cpu = CovarianceTemplate { loss, arguments };
        Self::several(SeveralInputs::Covariance(loss.rule()), Box::new(cpu), arguments)
    }

    pub(crate) fn similarity<L: SimilarityRows>(
        loss: &'a L,
        name: &'static str,
        arguments: &'static [Argument],
    ) -> Self {
        let comparison = Comparison {
            normalizes: loss.normalizes(),
            is_symmetric: loss.is_symmetric(),
            is_mined: loss.is_mined(),
            divisor_rule: loss.divisor_rule(),
        };
        let cpu = SimilarityTemplate { loss, name, arguments };
        Self::several(SeveralInputs::Similarity(comparison), Box::new(cpu), arguments)
    }
}

impl<'l> dyn LossDefinition + 'l {
    /// Its name in the command, in files and in messages: `huber`.
    pub fn name(&self) -> &'static str {
        self.entry().name
    }

    /// [`Spec::template`].
    pub fn template(&self) -> Template<'_> {
        self.spec().template
    }

    /// [`Spec::predictions`].
    pub fn predictions(&self) -> Domain {
        self.spec().predictions
    }

    /// [`Spec::targets`].
    pub fn targets(&self) -> Domain {
        self.spec().targets
    }

    /// [`Spec::inputs`].
    pub fn inputs(&self) -> &'static [Input] {
        self.spec().inputs
    }

    /// [`Spec::arguments`].
    pub fn arguments(&self) -> &'static [Argument] {
        self.spec().arguments
    }

    /// [`Spec::inner`].
    pub fn inner(&self) -> Option<&dyn LossDefinition> {
        self.spec().inner
    }

    /// [`Spec::ignored`].
    pub fn ignored(&self) -> &[i64] {
        self.spec().ignored
    }

    /// The inputs that the loss computes a gradient for, in order.
    pub fn differentiated(&self) -> Vec<&'static str> {
        match self.arguments() {
            [] => vec!["predictions"],
            arguments => {
                arguments.iter().filter(|a| a.role.is_differentiated()).map(|a| a.name).collect()
            }
        }
    }

    /// Number of classes that a label may name if the predictions have `columns` columns.
    pub fn classes(&self, columns: usize) -> usize {
        columns + self.spec().extra_classes
    }

    /// True if there is one value per element.
    pub fn is_pointwise(&self) -> bool {
        matches!(self.template(), Template::OneInput(OneInput::Pointwise(_)))
    }

    /// The inner loss of a loss that is fused with a linear layer.
    ///
    /// # Errors
    /// [`Error::Input`] for a loss that is not fused with a linear layer.
    pub(crate) fn fused_inner(&self) -> Result<&dyn LossDefinition> {
        self.inner().ok_or_else(|| Error::Input {
            operation: self.name().into(),
            name: "the loss".into(),
            found: "is not fused with a linear layer".into(),
            allowed: "a loss that is".into(),
        })
    }

    /// The template of a loss of predictions and targets.
    ///
    /// # Errors
    /// [`Error::Input`] for a multi-input loss.
    pub(crate) fn one_input(&self) -> Result<OneInput<'_>> {
        match self.template() {
            Template::OneInput(template) => Ok(template),
            Template::Several(..) => Err(self.other_template("predictions and targets")),
        }
    }

    /// The loss as called by the row-wise loops of the CPU.
    ///
    /// # Errors
    /// [`Error::Input`] for a loss that has no value per row or list.
    pub(crate) fn rowwise(&self) -> Result<&dyn RowwiseCpu> {
        match self.template() {
            Template::OneInput(OneInput::Rowwise(cpu) | OneInput::Listwise(cpu)) => Ok(cpu),
            _ => Err(self.other_template("rows")),
        }
    }

    /// The template of a multi-input loss, and its loops on the CPU.
    ///
    /// # Errors
    /// [`Error::Input`] for a loss of predictions and targets.
    pub(crate) fn several(&self) -> Result<(SeveralInputs, Box<dyn MultiInputCpu + '_>)> {
        match self.template() {
            Template::Several(kernel, cpu) => Ok((kernel, cpu)),
            Template::OneInput(_) => Err(self.other_template("several inputs")),
        }
    }

    fn other_template(&self, wanted: &str) -> Error {
        let names: Vec<&str> = match self.arguments() {
            [] => vec!["predictions", "targets"],
            arguments => arguments.iter().map(|argument| argument.name).collect(),
        };
        Error::Input {
            operation: self.name().into(),
            name: "the loss".into(),
            found: format!("takes {}", names.join(", ")),
            allowed: format!("a loss of {wanted}"),
        }
    }
}

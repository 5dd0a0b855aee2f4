//! What a loss is to everything else.

use std::fmt::Debug;

use serde_json::Value;

use crate::catalogue::Entry;
use crate::runtime::wgsl::File;
use crate::templates::argument::{Argument, Domain, Input};
use crate::templates::distance::Distance;
use crate::templates::distance::cpu::DistanceTemplate;
use crate::templates::multi_input::cpu::MultiInputCpu;
use crate::templates::pointwise::{Pointwise, PointwiseCpu};
use crate::templates::preference::Preference;
use crate::templates::preference::cpu::PreferenceTemplate;
use crate::templates::rowwise::{Rowwise, RowwiseCpu};
use crate::templates::sequence::Sequence;
use crate::templates::sequence::cpu::SequenceTemplate;
use crate::templates::similarity::cpu::SimilarityTemplate;
use crate::templates::similarity::{Comparison, SimilarityRows};
use crate::templates::two_input::TwoInput;
use crate::templates::two_input::cpu::TwoInputTemplate;
use crate::{Error, Result};

/// A loss with its options: what all else holds it by. Object-safe: the lists, the models and the command hold
/// `dyn LossDefinition`.
pub trait LossDefinition: Debug + Send + Sync {
    /// Its entry in the list: name, formula, options, shader.
    fn entry(&self) -> &'static Entry<dyn LossDefinition>;

    /// The options as JSON, in the form that [`crate::losses::from_name`] takes.
    fn options(&self) -> Value;

    /// The template that runs it, its inputs and its means, with these options.
    fn spec(&self) -> Spec<'_>;

    /// The options as the shader's `override`s see them.
    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Whether the options are in their domains.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Everything that a loss states about itself besides its formula. Made by the constructor of its template; what differs
/// from there is set by name: `Spec { hessian_diagonal: true, ..Spec::pointwise(self) }`.
pub struct Spec<'a> {
    /// The template that runs the loss.
    pub template: Template<'a>,
    /// What the predictions are.
    pub predictions: Domain,
    /// What the targets are.
    pub targets: Domain,
    /// Inputs beyond `predictions`, `targets`, `weight` and `mask`.
    pub inputs: &'static [Input],
    /// All inputs of a loss of several inputs; empty for one of predictions and targets.
    pub arguments: &'static [Argument],
    /// The loss of the outputs of a linear layer, or of completions' log-probabilities under it, if this one is fused
    /// with the layer.
    pub inner: Option<&'a dyn LossDefinition>,
    /// Labels that leave their row out.
    pub ignored: &'a [i64],
    /// What `mean` divides by.
    pub mean: Mean,
    /// How many classes a label may name beyond the columns of the predictions.
    pub extra_classes: usize,
    /// Whether it hands back [`crate::Auxiliaries`] when asked.
    pub auxiliary: bool,
    /// Whether it has the diagonal of its Hessian, which [`crate::Inputs::hessian`] asks for.
    pub hessian_diagonal: bool,
    /// How often the row-wise template folds a row: more than once where a threshold is sought.
    pub passes: u32,
    /// Whether the derivative by a cell of a row depends on that cell alone: the row-wise template then writes it as it
    /// folds.
    pub separable: bool,
    /// Shader files that its own is linked with: what several losses fold alike.
    pub helpers: &'static [File],
}

/// What `mean` divides by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Mean {
    /// The number of values.
    #[default]
    OverValues,
    /// The number of elements though there is a value for each row, as PyTorch does for some.
    OverElements,
    /// The sum of the class weights of the labels, as PyTorch does for some.
    OverClassWeights,
    /// The number of pairs of items whose targets differ, over all lists.
    OverPairs,
}

/// The template that runs a loss, with the loss as it calls it.
pub enum Template<'a> {
    /// Predictions and targets.
    OneInput(OneInput<'a>),
    /// Several inputs, named by [`Spec::arguments`]: the kernel that takes them, and the same on the CPU.
    Several(SeveralInputs, Box<dyn MultiInputCpu + 'a>),
}

/// The templates of losses of predictions and targets.
#[derive(Clone, Copy)]
pub enum OneInput<'a> {
    /// One value for each element.
    Pointwise(&'a dyn PointwiseCpu),
    /// One value for each row.
    Rowwise(&'a dyn RowwiseCpu),
    /// One value for each list, where an item's derivative needs all the others. On the CPU a list is a row.
    Listwise(&'a dyn RowwiseCpu),
}

/// The templates of losses of several inputs.
#[derive(Clone, Copy, Debug)]
pub enum SeveralInputs {
    /// Two numbers for each value, and perhaps a truth.
    TwoInput,
    /// Rows of logits in time, and labels whose places in time are not known.
    Sequence {
        /// The class that stands for no label.
        blank: usize,
    },
    /// Two or three vectors for each value, and perhaps a truth.
    Distance,
    /// The inputs of a linear layer, its weights and its bias, and the targets of its outputs.
    Linear,
    /// The inputs of a linear layer whose outputs are the logits of answers' tokens, and what a loss of the answers'
    /// log-probabilities takes besides.
    Completions {
        /// The loss of each token: its negative log-probability.
        tokens: &'static dyn LossDefinition,
        /// Whether an answer's log-probability is the mean over its tokens, not the sum.
        averages: bool,
    },
    /// Up to four numbers for each value, the first two differentiated.
    Preference,
    /// Embeddings, each against all others.
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
            hessian_diagonal: false,
            passes: 1,
            separable: false,
            helpers: &[],
        }
    }

    /// Of a loss with one value for each element.
    pub fn pointwise<L: Pointwise>(loss: &'a L) -> Self {
        Self::of(Template::OneInput(OneInput::Pointwise(loss)), &[])
    }

    /// Of a loss with one value for each row.
    pub fn rowwise<L: Rowwise>(loss: &'a L) -> Self {
        Self::of(Template::OneInput(OneInput::Rowwise(loss)), &[])
    }

    /// Of a loss with one value for each list.
    pub fn listwise<L: Rowwise>(loss: &'a L) -> Self {
        Self::of(Template::OneInput(OneInput::Listwise(loss)), &[])
    }

    /// Of a loss of several inputs.
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

    pub(crate) fn similarity<L: SimilarityRows>(
        loss: &'a L,
        name: &'static str,
        arguments: &'static [Argument],
    ) -> Self {
        let comparison = Comparison {
            normalizes: loss.normalizes(),
            is_symmetric: loss.is_symmetric(),
            is_mined: loss.is_mined(),
            share: loss.share(),
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

    /// The inputs that the loss gives a gradient for, the first first.
    pub fn differentiated(&self) -> Vec<&'static str> {
        match self.arguments() {
            [] => vec!["predictions"],
            arguments => {
                arguments.iter().filter(|a| a.role.is_differentiated()).map(|a| a.name).collect()
            }
        }
    }

    /// How many classes a label may name if the predictions have `columns` columns.
    pub fn classes(&self, columns: usize) -> usize {
        columns + self.spec().extra_classes
    }

    /// Whether there is one value for each element.
    pub fn is_pointwise(&self) -> bool {
        matches!(self.template(), Template::OneInput(OneInput::Pointwise(_)))
    }

    /// The loss that this one is fused with a linear layer.
    ///
    /// # Errors
    /// [`Error::Input`] for a loss that is not fused with one.
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
    /// [`Error::Input`] for a loss of several inputs.
    pub(crate) fn one_input(&self) -> Result<OneInput<'_>> {
        match self.template() {
            Template::OneInput(template) => Ok(template),
            Template::Several(..) => Err(self.other_template("predictions and targets")),
        }
    }

    /// The loss as the row-wise loops of the CPU call it.
    ///
    /// # Errors
    /// [`Error::Input`] for a loss without a value for each row or list.
    pub(crate) fn rowwise(&self) -> Result<&dyn RowwiseCpu> {
        match self.template() {
            Template::OneInput(OneInput::Rowwise(cpu) | OneInput::Listwise(cpu)) => Ok(cpu),
            _ => Err(self.other_template("rows")),
        }
    }

    /// The template of a loss of several inputs, and its loops on the CPU.
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

//! What a loss is to everything else.

use std::fmt::Debug;

use serde_json::Value;

use crate::Result;
use crate::catalogue::Entry;
use crate::runtime::wgsl::File;
use crate::templates::argument::{Argument, Domain, Input};
use crate::templates::distance::Distance;
use crate::templates::distance::cpu::DistanceTemplate;
use crate::templates::multi_input::cpu::MultiInputCpu;
use crate::templates::pointwise::PointwiseCpu;
use crate::templates::preference::Preference;
use crate::templates::preference::cpu::PreferenceTemplate;
use crate::templates::rowwise::RowwiseCpu;
use crate::templates::sequence::Sequence;
use crate::templates::sequence::cpu::SequenceTemplate;
use crate::templates::similarity::cpu::SimilarityTemplate;
use crate::templates::similarity::{Comparison, SimilarityRows};
use crate::templates::two_input::TwoInput;
use crate::templates::two_input::cpu::TwoInputTemplate;

#[cfg(doc)]
use crate::Error;

/// A loss with its options. Object-safe: the lists, the models and the command hold `dyn LossDefinition`.
pub trait LossDefinition: Debug + Send + Sync {
    /// Its line in the list: name, formula, shader.
    fn entry(&self) -> &'static Entry<dyn LossDefinition>;

    /// Its name in the command, in files and in messages: `huber`.
    fn name(&self) -> &'static str {
        self.entry().name
    }

    /// The options as JSON, in the form that [`super::from_name`] takes.
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
    fn inner(&self) -> Option<&dyn LossDefinition> {
        None
    }

    /// The inputs that the loss gives a gradient for, the first first.
    fn differentiated(&self) -> Vec<&'static str> {
        match self.arguments() {
            [] => vec!["predictions"],
            arguments => {
                arguments.iter().filter(|a| a.role.is_differentiated()).map(|a| a.name).collect()
            }
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

    /// Whether the derivative by a cell of a row depends on that cell alone: the row-wise frame then writes it as it folds.
    fn is_separable(&self) -> bool {
        false
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
}

/// The frames. Closed: the host has to know how to run each.
pub enum Family<'a> {
    /// One value for each element.
    Pointwise(&'a dyn PointwiseCpu),
    /// One value for each row.
    Rowwise(&'a dyn RowwiseCpu),
    /// One value for each list, where an item's derivative needs all the others. On the host a list is a row.
    Listwise(&'a dyn RowwiseCpu),
    /// Several inputs, named by [`LossDefinition::arguments`]: which frame takes them, and that frame on the host.
    MultiInput(Frame, Box<dyn MultiInputCpu + 'a>),
}

/// The frames of losses of several inputs. Closed, as [`Family`] is.
#[derive(Clone, Copy, Debug)]
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
        /// The loss of each token: its negative log-probability.
        tokens: &'static dyn LossDefinition,
        /// Whether an answer's log-probability is the mean over its tokens, not the sum.
        averages: bool,
    },
    /// Up to four numbers for each value, the first two differentiated: `src/host/preference.rs`.
    Preference,
    /// Embeddings, each against all others: `src/host/similarity.rs`.
    Similarity(Comparison),
}

impl<'a> Family<'a> {
    pub(crate) fn pairs<L: TwoInput>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        Family::MultiInput(Frame::TwoInput, Box::new(TwoInputTemplate { loss, arguments }))
    }

    pub(crate) fn sequence<L: Sequence>(loss: &'a L, name: &'static str) -> Self {
        Family::MultiInput(
            Frame::Sequence { blank: loss.blank() },
            Box::new(SequenceTemplate { loss, name }),
        )
    }

    pub(crate) fn vectors<L: Distance>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        Family::MultiInput(Frame::Distance, Box::new(DistanceTemplate { loss, arguments }))
    }

    pub(crate) fn preference<L: Preference>(loss: &'a L, arguments: &'static [Argument]) -> Self {
        Family::MultiInput(Frame::Preference, Box::new(PreferenceTemplate { loss, arguments }))
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
        Family::MultiInput(
            Frame::Similarity(comparison),
            Box::new(SimilarityTemplate { loss, name, arguments }),
        )
    }

    /// Whether each row has a value.
    pub fn is_rowwise(&self) -> bool {
        matches!(self, Family::Rowwise(_))
    }
}

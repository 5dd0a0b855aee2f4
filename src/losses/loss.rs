//! What a loss is: the trait that all else holds it by, and the shorter one that its file states.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

#[cfg(doc)]
use crate::Error;
use crate::catalogue::{Entry, Options};
use crate::losses::domain::{Argument, Domain, Input};
use crate::runtime::device::Device;
use crate::runtime::wgsl::File;
use crate::templates::traits::Family;
use crate::{Criterion, Result, catalogue};

/// A loss with its options. Object-safe: the lists, the models and the command hold `dyn Loss`.
pub trait Loss: Debug + Send + Sync {
    /// Its line in the list: name, formula, filling.
    fn entry(&self) -> &'static Entry<dyn Loss>;

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
    fn inner(&self) -> Option<&dyn Loss> {
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
    const IS_SEPARABLE: bool = false;

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

    fn is_separable(&self) -> bool {
        T::IS_SEPARABLE
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

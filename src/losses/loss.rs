//! What a loss is: the trait that all else holds it by, and the shorter one that its file states.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::{Entry, Options};
use crate::runtime::wgsl::File;
use crate::templates::argument::{Argument, Domain, Input};
use crate::templates::definition::{Family, LossDefinition};
use crate::{Result, catalogue};

#[cfg(doc)]
use crate::Error;

/// What the file of a loss states. The blanket [`Loss`] makes the rest of it.
pub(crate) trait LossSpec: Options + Debug + Send + Sync + Serialize {
    const ENTRY: &'static Entry<dyn LossDefinition>;
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

    fn inner(&self) -> Option<&dyn LossDefinition> {
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

impl<T: LossSpec> LossDefinition for T {
    fn entry(&self) -> &'static Entry<dyn LossDefinition> {
        T::ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn family(&self) -> Family<'_> {
        LossSpec::family(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        LossSpec::constants(self)
    }

    fn predictions(&self) -> Domain {
        LossSpec::predictions(self)
    }

    fn targets(&self) -> Domain {
        LossSpec::targets(self)
    }

    fn inputs(&self) -> &'static [Input] {
        T::INPUTS
    }

    fn arguments(&self) -> &'static [Argument] {
        T::ARGUMENTS
    }

    fn inner(&self) -> Option<&dyn LossDefinition> {
        LossSpec::inner(self)
    }

    fn ignored(&self) -> &[i64] {
        LossSpec::ignored(self)
    }

    fn mean_over_elements(&self) -> bool {
        LossSpec::mean_over_elements(self)
    }

    fn mean_over_class_weights(&self) -> bool {
        T::MEAN_OVER_CLASS_WEIGHTS
    }

    fn classes(&self, columns: usize) -> usize {
        LossSpec::classes(self, columns)
    }

    fn has_auxiliary(&self) -> bool {
        T::HAS_AUXILIARY
    }

    fn has_curvature(&self) -> bool {
        LossSpec::has_curvature(self)
    }

    fn passes(&self) -> u32 {
        LossSpec::passes(self)
    }

    fn is_separable(&self) -> bool {
        T::IS_SEPARABLE
    }

    fn helpers(&self) -> &'static [File] {
        LossSpec::helpers(self)
    }

    fn mean_over_pairs(&self) -> bool {
        T::MEAN_OVER_PAIRS
    }

    fn check(&self) -> Result<()> {
        self.check_options()
    }
}

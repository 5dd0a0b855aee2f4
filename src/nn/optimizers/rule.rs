//! The [`Rule`] trait implemented by each optimizer file, and its loops over all parameters.

use std::fmt::Debug;

use serde::Serialize;

use crate::Result;
use crate::catalogue::{Entry, Options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::slices::MOST_STATES;
use crate::nn::optimizers::step::{PerTensor, Step};

/// States of one parameter; unused states stay 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct State<R> {
    pub first: R,
    pub second: R,
    pub third: R,
    pub fourth: R,
}

impl<R: Real> State<R> {
    pub fn zero() -> Self {
        State { first: R::ZERO, second: R::ZERO, third: R::ZERO, fourth: R::ZERO }
    }
}

/// A parameter and its state after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update<R> {
    pub parameter: R,
    pub state: State<R>,
}

/// Properties of a tensor passed to a per-tensor rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layer<R> {
    /// √Σw².
    pub parameter_norm: R,
    /// √Σd² of the direction.
    pub direction_norm: R,
    pub rows: R,
    /// 1 for a vector.
    pub columns: R,
}

/// CPU implementation of an optimizer's WGSL file. The blanket [`Optimizer`] provides the loops.
pub(crate) trait Rule: Options + Clone + Debug + Send + Sync + Serialize {
    const ENTRY: &'static Entry<dyn Optimizer>;
    const WHOLE_BATCH: bool = false;

    /// Checks the options against their domains, and against each other where needed.
    fn check_options(&self) -> Result<()> {
        self.check_domains()
    }

    fn constants(&self) -> Vec<(&'static str, f64)>;
    fn states(&self) -> usize;
    fn initial_learning_rate(&self) -> f64;

    fn initial_states(&self) -> [f64; MOST_STATES] {
        [0.0; MOST_STATES]
    }

    fn averaged_state(&self) -> Option<usize> {
        None
    }

    fn per_tensor(&self) -> Option<PerTensor> {
        None
    }

    /// (β₁, β₂), whose powers correct the bias of the running means; 0 if unused.
    fn betas(&self) -> (f64, f64) {
        (0.0, 0.0)
    }

    /// Learning rate of step `t`, if the rule modifies it.
    fn learning_rate_at(&self, _t: u64, learning_rate: f64) -> f64 {
        learning_rate
    }

    /// Rule-specific numbers of step `t`.
    fn own_numbers(&self, _t: u64, _learning_rate: f64) -> [f64; 3] {
        [0.0; 3]
    }

    /// One parameter, one step. A per-tensor rule returns its direction instead of the parameter.
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R>;

    /// The parameter moved along its direction, for per-tensor rules.
    fn apply_update<R: Real>(
        &self,
        parameter: R,
        direction: R,
        _layer: &Layer<R>,
        step: &Step<R>,
    ) -> R {
        parameter - step.learning_rate * direction
    }
}

//! What the file of an optimizer states of its rule, and the loops over all parameters that follow from it.

use std::fmt::Debug;

use serde::Serialize;

use crate::Result;
use crate::catalogue::{Entry, Options};
use crate::cpu::real::Real;
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::slices::MOST_STATES;
use crate::nn::optimizers::step::{PerTensor, Step};

/// What an optimizer remembers of one parameter; what it does not use stays 0.
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

/// What a rule that looks at whole tensors is told of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layer<R> {
    /// √Σw².
    pub parameter_norm: R,
    /// √Σd² of its direction.
    pub direction_norm: R,
    pub rows: R,
    /// 1 for a vector.
    pub columns: R,
}

/// The twin of a filling. The loops are those of the blanket [`Optimizer`].
pub(crate) trait Rule: Options + Clone + Debug + Send + Sync + Serialize {
    const ENTRY: &'static Entry<dyn Optimizer>;
    const WHOLE_BATCH: bool = false;

    /// The options against their domains, and against each other where that matters.
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

    /// (β₁, β₂), whose powers correct the running means; 0 where there is none.
    fn betas(&self) -> (f64, f64) {
        (0.0, 0.0)
    }

    /// The learning rate of step `t`, where the rule has a part in it.
    fn learning_rate_at(&self, _t: u64, learning_rate: f64) -> f64 {
        learning_rate
    }

    /// The numbers of step `t` that are the rule's own.
    fn own_numbers(&self, _t: u64, _learning_rate: f64) -> [f64; 3] {
        [0.0; 3]
    }

    /// One parameter, one step. A rule that looks at whole tensors gives back its direction in the place of the parameter.
    fn update<R: Real>(
        &self,
        parameter: R,
        gradient: R,
        state: State<R>,
        step: &Step<R>,
    ) -> Update<R>;

    /// The parameter moved along its direction, by a rule that looks at whole tensors.
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

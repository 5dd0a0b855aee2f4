//! The [`Rule`] trait of an optimizer file, and the loops over all parameters derived from it.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::{Entry, Options};
use crate::cpu::real::Real;
use crate::cpu::{parallel, simd};
use crate::nn::optimizers::clip::{Clip, Factors};
use crate::nn::optimizers::step::{GradientTransform, PerTensor, Step};
use crate::nn::optimizers::sweep::{Frame, Rows, Slices, update_rows};
use crate::nn::optimizers::{MOST_STATES, Optimizer, per_tensor};
use crate::{Result, catalogue};

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

impl<T: Rule> Optimizer for T {
    fn entry(&self) -> &'static Entry<dyn Optimizer> {
        T::ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn check(&self) -> Result<()> {
        self.check_options()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Rule::constants(self)
    }

    fn states(&self) -> usize {
        Rule::states(self)
    }

    fn initial_states(&self) -> [f64; MOST_STATES] {
        Rule::initial_states(self)
    }

    fn averaged_state(&self) -> Option<usize> {
        Rule::averaged_state(self)
    }

    fn per_tensor(&self) -> Option<PerTensor> {
        Rule::per_tensor(self)
    }

    fn initial_learning_rate(&self) -> f64 {
        Rule::initial_learning_rate(self)
    }

    fn whole_batch(&self) -> bool {
        T::WHOLE_BATCH
    }

    fn step(&self, t: u64, learning_rate: f64) -> Step {
        let (beta1, beta2) = self.betas();
        // βᵗ = e^(t ln β) for any t; 0 stays 0.
        let correction = |beta: f64| 1.0 - beta.powf(t as f64);
        Step {
            learning_rate: self.learning_rate_at(t, learning_rate),
            correction_first: correction(beta1),
            correction_second: correction(beta2),
            is_first: if t <= 1 { 1.0 } else { 0.0 },
            own: self.own_numbers(t, learning_rate),
            is_matrix: 0.0,
        }
    }

    fn update_single(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, f32>,
    ) {
        let (step, limit) = (step.cast(), value_limit(gradient_transform.clip));
        slices.by_span(gradient_transform.spans, |number, span, slices| {
            let frame = Frame::of(span, factors.of(number), limit);
            if Rule::per_tensor(self).is_some() {
                return per_tensor::update(self, &step, &frame, span, slices);
            }
            slices.in_pieces(parallel::PIECE, &|slices: Slices<'_, f32>| {
                simd::dispatch(
                    #[inline(always)]
                    || slices.update_all(self, &step, &frame),
                );
            });
        });
    }

    fn update_double(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, f64>,
    ) {
        let limit = value_limit(gradient_transform.clip);
        slices.by_span(gradient_transform.spans, |number, span, slices| {
            let frame = Frame::of(span, factors.of(number), limit);
            match Rule::per_tensor(self) {
                Some(_) => per_tensor::update(self, step, &frame, span, slices),
                None => slices.update_all(self, step, &frame),
            }
        });
    }

    fn update_rows_single(&self, step: &Step, rows: &mut dyn Rows<f32>) {
        let step = step.cast();
        simd::dispatch(
            #[inline(always)]
            || update_rows(rows, self, &step),
        );
    }

    fn update_rows_double(&self, step: &Step, rows: &mut dyn Rows<f64>) {
        update_rows(rows, self, step);
    }
}

fn value_limit(clip: Option<Clip>) -> f64 {
    match clip {
        Some(Clip::Value(limit)) => limit,
        _ => f64::INFINITY,
    }
}

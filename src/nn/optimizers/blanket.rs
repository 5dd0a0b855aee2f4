//! The blanket implementation of [`Optimizer`] for rules.

use serde_json::Value;

use crate::catalogue::Entry;
use crate::cpu::{parallel, simd};
use crate::nn::optimizers::clip::{Clip, Factors};
use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::per_tensor;
use crate::nn::optimizers::rule::Rule;
use crate::nn::optimizers::slices::{MOST_STATES, Rows, Slices};
use crate::nn::optimizers::step::{GradientTransform, PerTensor, Step};
use crate::nn::optimizers::sweep::{SpanTransform, update_rows};
use crate::{Result, catalogue};

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
        let (step, limit) = (step.cast::<f32>(), value_limit(gradient_transform.clip));
        slices.by_span(gradient_transform.spans, |number, span, slices| {
            if span.is_frozen() {
                return;
            }
            let transform = SpanTransform::of(span, factors.of(number), limit);
            let step = step.at_rate(span.rate);
            if let Some(kind) = Rule::per_tensor(self) {
                return per_tensor::update(self, &kind, &step, &transform, span, slices);
            }
            slices.in_pieces(parallel::PIECE, &|slices: Slices<'_, f32>| {
                simd::dispatch(
                    #[inline(always)]
                    || slices.update_all(self, &step, &transform),
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
            if span.is_frozen() {
                return;
            }
            let transform = SpanTransform::of(span, factors.of(number), limit);
            let step = step.at_rate(span.rate);
            match Rule::per_tensor(self) {
                Some(kind) => per_tensor::update(self, &kind, &step, &transform, span, slices),
                None => slices.update_all(self, &step, &transform),
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

pub(super) fn value_limit(clip: Option<Clip>) -> f64 {
    match clip {
        Some(Clip::Value(limit)) => limit,
        _ => f64::INFINITY,
    }
}

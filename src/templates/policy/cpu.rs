//! Policy-gradient losses on the CPU: rows of tokens, one row per completion. CPU implementation of
//! `shaders/templates/policy/policy.wgsl`.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::argument::Argument;
use crate::templates::multi_input::cpu::{
    DivisorTerms, Example, MultiInput, Shapes, Units, missing,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::policy::{Aggregation, PolicyGradient, PolicyRule};
use crate::templates::precision::CpuReal;

/// Kernel template around a loss.
pub struct PolicyTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's inputs.
    pub arguments: &'static [Argument],
}

/// The inputs of a call. An omitted array is empty.
struct Tokens<'a, R> {
    columns: usize,
    log_probs: &'a [R],
    /// One per completion or one per token.
    advantages: &'a [R],
    old: &'a [R],
    reference: &'a [R],
    mask: &'a [R],
}

impl<'a, R: Real> Tokens<'a, R> {
    fn of(call: &'a MultiInput<'_, R>) -> Result<Self> {
        let log_probs = call.required("log_probs")?;
        let optional = |name: &str| call.array(name).map_or(&[][..], |array| &array.values);
        Ok(Tokens {
            columns: log_probs.shape.last().copied().unwrap_or(1).max(1),
            log_probs: &log_probs.values,
            advantages: &call.required("advantages")?.values,
            old: optional("old_log_probs"),
            reference: optional("ref_log_probs"),
            mask: optional("completion_mask"),
        })
    }

    /// A NaN in the mask counts as a token, which it makes NaN.
    fn includes(&self, token: usize) -> bool {
        self.mask.get(token).is_none_or(|&keeps| keeps != R::ZERO)
    }

    fn tokens_of(&self, completion: usize) -> std::ops::Range<usize> {
        completion * self.columns..(completion + 1) * self.columns
    }

    fn count(&self, completion: usize) -> usize {
        self.tokens_of(completion).filter(|&token| self.includes(token)).count()
    }

    /// The factor of a completion's sum.
    fn share(&self, completion: usize, aggregation: Aggregation) -> R {
        let of = |length: usize| R::new(1.0 / length.max(1) as f64);
        match aggregation {
            Aggregation::CompletionMean => of(self.count(completion)),
            Aggregation::TokenMean => R::ONE,
            Aggregation::Length(0) => of(self.columns),
            Aggregation::Length(length) => of(length as usize),
        }
    }

    /// Value and derivative of one token.
    fn terms<L: PolicyGradient>(&self, loss: &L, rule: &PolicyRule, token: usize) -> [R; 2] {
        let log_prob = self.log_probs[token];
        let is_shared = self.advantages.len() != self.log_probs.len();
        let advantage = self.advantages[if is_shared { token / self.columns } else { token }];
        let old = self.old.get(token).copied().unwrap_or(log_prob);
        let reference = self.reference.get(token).copied();
        let mask = self.mask.get(token).copied().unwrap_or(R::ONE);
        let sum = log_prob + advantage + old + reference.unwrap_or(R::ZERO) + mask;
        let numbers = [log_prob, advantage, old, reference.unwrap_or(R::ZERO), mask];
        // NaN in, NaN out: a comparison in the loss function would hide it.
        if numbers.iter().any(|x| x.is_nan()) {
            return [sum; 2];
        }
        // Without the old log-probabilities those of the policy itself, held constant.
        let log_ratio = if self.old.is_empty() { R::ZERO } else { log_prob - old };
        let divergent = reference.filter(|_| rule.beta != 0.0);
        // ∞ − ∞: neither the ratio nor the divergence of two impossible tokens is defined.
        if log_ratio.is_nan() || divergent.is_some_and(|reference| (reference - log_prob).is_nan())
        {
            return [R::NAN; 2];
        }
        let [mut value, mut derivative] = loss.token(log_prob, log_ratio, advantage);
        if let Some(reference) = divergent {
            let beta = R::new(rule.beta);
            let apart = reference - log_prob;
            let risen = apart.exp_m1();
            value += beta * R::select(risen == R::INFINITY, risen, risen - apart);
            derivative -= beta * risen;
        }
        [value, derivative]
    }
}

impl<L: PolicyGradient> MultiInputTemplate for PolicyTemplate<'_, L> {
    fn derives_its_value(&self) -> bool {
        self.loss.derives_its_value()
    }

    fn units(&self, shapes: &Shapes) -> Result<Units> {
        shapes.require_axes("log_probs", 2, "[completions, tokens]")?;
        let shape = shapes.of("log_probs")?.to_vec();
        let completions = shape[0];
        if shapes.of("advantages")?.len() == 1 {
            shapes.require("advantages", &[completions], "log_probs")?;
        } else {
            shapes.require("advantages", &shape, "log_probs")?;
        }
        for name in ["old_log_probs", "ref_log_probs", "completion_mask"] {
            shapes.require(name, &shape, "log_probs")?;
        }
        Ok(Units { shape: vec![completions], rows: completions })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        let is_given = |name: &str| match name {
            "ref_log_probs" => !rows.is_multiple_of(3),
            "completion_mask" => rows % 3 != 1,
            // Without the old log-probabilities the value is constant.
            _ => true,
        };
        let given = self.arguments.iter().filter(|argument| is_given(argument.name));
        given
            .map(|argument| {
                let is_shared = argument.name == "advantages" && rows.is_multiple_of(2);
                let shape: &[usize] = if is_shared { &[rows] } else { &[rows, columns] };
                Example::of(argument.name, shape)
            })
            .collect()
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        if self.loss.rule().aggregation != Aggregation::TokenMean {
            return Ok(DivisorTerms::default());
        }
        let tokens = Tokens::of(call)?;
        let mean: Vec<f64> = (0..call.units).map(|i| tokens.count(i) as f64).collect();
        let kept = mean.iter().map(|&count| count > 0.0).collect();
        Ok(DivisorTerms { kept, mean, scale: Vec::new() })
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let tokens = Tokens::of(call)?;
        let rule = self.loss.rule();
        let gradient = gradients.first_mut().ok_or_else(|| missing("a gradient"))?;
        let rows = gradient.par_chunks_mut(tokens.columns).zip(values.par_iter_mut());
        rows.enumerate().for_each(|(completion, (gradient, value))| {
            gradient.fill(R::ZERO);
            *value = R::ZERO;
            let Some(weight) = call.weight_of(completion) else { return };
            let weight = weight * tokens.share(completion, rule.aggregation);
            let scale = weight * call.upstream_of(completion);
            let mut sum = 0.0;
            for (slot, token) in gradient.iter_mut().zip(tokens.tokens_of(completion)) {
                if tokens.includes(token) {
                    let [term, derivative] = tokens.terms(self.loss, &rule, token);
                    sum += term.to_f64();
                    *slot = scale * derivative;
                }
            }
            *value = weight * R::new(sum);
        });
        Ok(())
    }
}

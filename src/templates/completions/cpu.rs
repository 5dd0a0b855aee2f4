//! Losses of the log-probabilities of whole completions, fused with the linear layer that computes
//! the token logits.
//!
//! Two passes over the rows in chunks; each row is one token of a completion. The first pass
//! computes −ln p of each token. The sum (or the mean) over the kept tokens of a completion is the
//! input of the inner loss. The derivative with respect to a completion's log-probability
//! multiplies the cross-entropies of its tokens in the second, backward pass, which is that of
//! `templates::linear`. The logits are computed twice, and only one chunk of them is stored at a
//! time.

use crate::cpu::parallel::pairwise;
use crate::cpu::real::Real;
use crate::templates::argument::Domain;
use crate::templates::definition::{LossDefinition, SeveralInputs, Template};
use crate::templates::linear::cpu::{LinearTemplate, MOST_BYTES_ON_CPU, check_labels, chunk_rows};
use crate::templates::multi_input::cpu::{
    Array, DivisorTerms, Example, MultiInput, Shapes, Units, clear_rows,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::policy::{Aggregation, PolicyRule};
use crate::templates::precision::CpuReal;
use crate::templates::rowwise::rows::is_ignored;
use crate::{Error, Result};

/// Kernel template around the loss of the log-probabilities.
pub struct CompletionsTemplate<'a> {
    /// The name of the fused loss, for messages.
    pub name: &'static str,
    /// The inner loss: of the log-probabilities of a chosen and a rejected completion, or of one
    /// completion.
    pub inner: &'a dyn LossDefinition,
    /// The loss of each token: its negative log-probability.
    pub tokens: &'a dyn LossDefinition,
    /// True if the log-probability of a completion is the mean over its tokens, false if it is the
    /// sum.
    pub averages: bool,
}

/// Name of an inner loss's input in the fused loss. The inner loss's `targets` is renamed, because
/// the fused loss's `targets` holds the token labels.
pub(crate) fn outer_name(inner: &'static str) -> &'static str {
    if inner == "targets" { "desirable" } else { inner }
}

/// Number of completions per value.
pub(crate) fn completions_per_value(inner: &dyn LossDefinition) -> usize {
    inner.differentiated().len()
}

/// The inner loss's input that the labels give: which tokens are not ignored.
pub(crate) const TOKEN_MASK: &str = "completion_mask";

/// The rule of an inner loss of the log-probabilities of single tokens; none for one of whole
/// completions.
pub(crate) fn rule_by_token(inner: &dyn LossDefinition) -> Option<PolicyRule> {
    match inner.template() {
        Template::Several(SeveralInputs::Policy(rule), _) => Some(rule),
        _ => None,
    }
}

/// The tokens of the completions of one call.
struct Tokens {
    /// Number of tokens per completion.
    length: usize,
    /// Number of values.
    values: usize,
    /// Kept tokens: neither ignored nor part of a masked value.
    kept: Vec<bool>,
}

impl Tokens {
    fn of<R: Real>(call: &MultiInput<'_, R>, ignored: &[i64]) -> Result<Self> {
        let labels = call.required_integers("targets")?;
        let length = call.required("predictions")?.shape[1];
        let values = call.units;
        let value_counts =
            |token: usize| call.mask.get(token / length % values).copied().unwrap_or(true);
        let kept = labels
            .iter()
            .enumerate()
            .map(|(token, &label)| value_counts(token) && !is_ignored(ignored, label));
        Ok(Tokens { length, values, kept: kept.collect() })
    }

    /// Number of kept tokens of each completion.
    fn counts(&self) -> impl Iterator<Item = usize> {
        self.kept
            .chunks(self.length)
            .map(|completion| completion.iter().filter(|kept| **kept).count())
    }
}

impl CompletionsTemplate<'_> {
    /// The factor of each completion's sum; 0 for a completion without tokens.
    fn shares<R: Real>(&self, tokens: &Tokens) -> Vec<R> {
        let share = |count: usize| match (count, self.averages) {
            (0, _) => R::ZERO,
            (_, false) => R::ONE,
            (count, true) => R::new(1.0 / count as f64),
        };
        tokens.counts().map(share).collect()
    }

    /// As [`of_completions`](Self::of_completions), for an inner loss of the log-probabilities of the
    /// tokens.
    fn of_tokens<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        tokens: &Tokens,
        logs: &[R],
        values: &mut [R],
    ) -> Result<Vec<R>> {
        let shape = vec![call.units, tokens.length];
        let (first, others) = (&self.inner.arguments()[0], &self.inner.arguments()[1..]);
        let keeps = |&kept: &bool| R::select(kept, R::ONE, R::ZERO);
        let mask: Vec<R> = tokens.kept.iter().map(keeps).collect();
        let mut arrays =
            vec![Array { name: first.name, shape: shape.clone(), values: logs.into() }];
        arrays.extend(
            others.iter().filter_map(|argument| call.array(argument.name)).map(Array::lent),
        );
        arrays.push(Array { name: TOKEN_MASK, shape, values: mask.into() });
        let mut derivatives = vec![vec![R::ZERO; logs.len()]];
        self.run_inner(call, arrays, &mut derivatives, values)?;
        Ok(derivatives.concat())
    }

    /// Evaluates the inner loss with the call's weights and factors.
    fn run_inner<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        arrays: Vec<Array<'_, R>>,
        derivatives: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let inner = MultiInput {
            arrays,
            integers: Vec::new(),
            units: call.units,
            weight: (&*call.weight).into(),
            mask: (&*call.mask).into(),
            factor: call.factor,
            upstream: call.upstream,
            upstreams: (&*call.upstreams).into(),
        };
        let (_, host) = self.inner.several()?;
        R::multi_input(&*host, &inner, derivatives, values)
    }

    /// Evaluates the inner loss on the log-probabilities of the completions. Writes its values and
    /// returns its derivatives with respect to the log-probabilities, in the order of the
    /// completions.
    fn of_completions<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        logs: &[R],
        values: &mut [R],
    ) -> Result<Vec<R>> {
        let arguments = self.inner.arguments();
        let (policies, others) = arguments.split_at(completions_per_value(self.inner));
        let parts = policies.iter().zip(logs.chunks(call.units));
        let mut arrays: Vec<Array<'_, R>> = parts
            .map(|(policy, logs)| Array {
                name: policy.name,
                shape: vec![call.units],
                values: logs.into(),
            })
            .collect();
        arrays.extend(others.iter().filter_map(|argument| {
            let given = call.array(outer_name(argument.name))?;
            Some(Array { name: argument.name, ..given.lent() })
        }));
        let mut derivatives = vec![vec![R::ZERO; call.units]; policies.len()];
        self.run_inner(call, arrays, &mut derivatives, values)?;
        Ok(derivatives.concat())
    }
}

/// Limits an infinite derivative to the largest finite number: the cross-entropy of a token with
/// probability 1 has derivative 0, and 0·∞ is NaN.
fn limited<R: Real>(derivative: R) -> R {
    Real::clamp(derivative, R::LOWEST, -R::LOWEST)
}

impl MultiInputTemplate for CompletionsTemplate<'_> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let given = shapes.of("predictions")?;
        let &[completions, tokens, features] = given else {
            return Err(shapes.unfit("predictions", given, "[answers, tokens, features]"));
        };
        shapes.require_axes("linear_weight", 2, "[classes, features]")?;
        let classes = shapes.of("linear_weight")?[0];
        shapes.require("linear_weight", &[classes, features], "predictions")?;
        shapes.require("linear_bias", &[classes], "linear_weight")?;
        shapes.require("targets", &[completions, tokens], "predictions")?;
        let per_value = completions_per_value(self.inner);
        if !completions.is_multiple_of(per_value) {
            return Err(Error::Shape {
                operation: self.name.into(),
                found: format!("predictions is {:?}", shapes.of("predictions")?),
                allowed:
                    "its first axis must be even: all chosen completions, then all rejected ones"
                        .into(),
            });
        }
        let values = completions / per_value;
        if rule_by_token(self.inner).is_some() {
            let log_probs = (self.inner.arguments()[0].name, vec![completions, tokens]);
            let given = shapes.given.iter().cloned().chain([log_probs]).collect();
            return self.inner.several()?.1.units(&Shapes { loss: self.name, given });
        }
        for argument in &self.inner.arguments()[per_value..] {
            shapes.require(outer_name(argument.name), &[values], "predictions")?;
        }
        Ok(Units { rows: values, shape: vec![values] })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        let per_value = completions_per_value(self.inner);
        // As `LinearTemplate`: with wide hidden states the vocabulary is 128 times as wide, and
        // `rows` is the total number of tokens.
        let is_wide = columns >= 256;
        let classes = if is_wide { 128 * columns } else { columns + 3 };
        let values = if is_wide { (rows / 16).clamp(1, 4) } else { rows };
        let tokens = if is_wide { (rows / (values * per_value)).max(1) } else { 1 + rows % 4 };
        let mut inputs = vec![
            Example::of("predictions", &[per_value * values, tokens, columns]),
            Example::of("linear_weight", &[classes, columns]),
        ];
        if !rows.is_multiple_of(3) {
            inputs.push(Example::of("linear_bias", &[classes]));
        }
        inputs.push(Example::whole("targets", &[per_value * values, tokens], 0, classes));
        if let (Some(_), Ok((_, inner))) = (rule_by_token(self.inner), self.inner.several()) {
            // With many features the drawn logits are in the hundreds, and so are the distances of
            // two log-probabilities, whose exponential overflows f32.
            let is_far = |name: &str| columns > 7 && name == "ref_log_probs";
            let own = [self.inner.arguments()[0].name, TOKEN_MASK];
            let others = inner.example(values, tokens).into_iter();
            inputs.extend(others.filter(|other| !own.contains(&other.name) && !is_far(other.name)));
            return inputs;
        }
        let is_given = |optional: bool| !optional || !rows.is_multiple_of(3);
        let others = self.inner.arguments()[per_value..]
            .iter()
            .filter(|other| is_given(other.role.is_optional()));
        inputs.extend(others.map(|other| Example::of(outer_name(other.name), &[values])));
        inputs
    }

    fn derives_its_value(&self) -> bool {
        self.inner.several().is_ok_and(|(_, inner)| inner.derives_its_value())
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        let of_tokens = Tokens::of(call, self.tokens.ignored())?;
        let labels = call.required_integers("targets")?;
        let classes = call.required("linear_weight")?.shape[0];
        check_labels(self.name, labels, classes, self.tokens.ignored(), |token| {
            of_tokens.kept[token]
        })?;
        let aggregation = rule_by_token(self.inner).map(|rule| rule.aggregation);
        if aggregation == Some(Aggregation::TokenMean) {
            let mean: Vec<f64> = of_tokens.counts().map(|count| count as f64).collect();
            let kept = mean.iter().map(|&count| count > 0.0).collect();
            return Ok(DivisorTerms { kept, mean, scale: Vec::new() });
        }
        if self.inner.arguments()[0].domain != Domain::LogProbability {
            return Ok(DivisorTerms::default());
        }
        // A completion without tokens has probability 1 and infinite odds: its pair is excluded.
        let mut kept = vec![true; of_tokens.values];
        for (completion, _) in of_tokens.counts().enumerate().filter(|(_, count)| *count == 0) {
            kept[completion % of_tokens.values] = false;
        }
        Ok(DivisorTerms { kept, ..DivisorTerms::default() })
    }

    fn clear(&self, call: &mut MultiInput<'_, f32>) -> Result<()> {
        let of_tokens = Tokens::of(call, self.tokens.ignored())?;
        clear_rows(call, "predictions", |token| of_tokens.kept[token])
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let weight = call.required("linear_weight")?;
        let of_tokens = Tokens::of(call, self.tokens.ignored())?;
        let rows = of_tokens.kept.len();
        let chunk = chunk_rows(rows, weight.shape[0], MOST_BYTES_ON_CPU);
        let template = LinearTemplate { name: self.name, inner: self.tokens };
        let mut layer = MultiInput {
            arrays: call.arrays.iter().map(Array::lent).collect(),
            integers: call.integers.iter().map(Array::lent).collect(),
            units: rows,
            weight: Vec::new().into(),
            mask: of_tokens.kept.as_slice().into(),
            factor: R::ONE,
            upstream: R::ONE,
            upstreams: Vec::new().into(),
        };
        let mut costs = vec![R::ZERO; rows];
        template.values(&layer, chunk, &mut costs)?;
        if rule_by_token(self.inner).is_some() {
            let logs: Vec<R> = costs.iter().map(|&cost| Real::min(-cost, R::ZERO)).collect();
            let derivatives = self.of_tokens(call, &of_tokens, &logs, values)?;
            let upstreams = derivatives.iter().map(|&derivative| limited(-derivative));
            layer.upstreams = upstreams.collect::<Vec<R>>().into();
            return template.run_in_chunks(&layer, chunk, gradients, &mut costs);
        }
        let shares: Vec<R> = self.shares(&of_tokens);
        // Rounding may leave a probability slightly above 1.
        let sums = costs.chunks(of_tokens.length).map(|costs| R::new(-pairwise(costs)));
        let logs: Vec<R> =
            sums.zip(&shares).map(|(sum, &share)| Real::min(share * sum, R::ZERO)).collect();
        let derivatives = self.of_completions(call, &logs, values)?;
        let of_answer = derivatives
            .iter()
            .zip(&shares)
            .map(|(&derivative, &share)| limited(-derivative) * share);
        layer.upstreams = of_answer
            .flat_map(|derivative| std::iter::repeat_n(derivative, of_tokens.length))
            .collect::<Vec<R>>()
            .into();
        template.run_in_chunks(&layer, chunk, gradients, &mut costs)
    }
}

//! Survival losses on the CPU: a sort by time, a scan over the risk sets, and one over the events
//! before each item. CPU implementation of `shaders/templates/survival/survival_*.wgsl`.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::argument::Argument;
use crate::templates::listwise::cpu::{difference, log_add_exp};
use crate::templates::multi_input::cpu::{
    DivisorTerms, Example, MultiInput, Shapes, Units, missing,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::survival::Survival;

/// Kernel template around a loss.
pub struct SurvivalTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's inputs.
    pub arguments: &'static [Argument],
}

/// The items of a list that are not padding, with the latest first.
struct Cohort {
    scores: Vec<f64>,
    times: Vec<f64>,
    events: Vec<bool>,
    /// The places of the items in the list.
    places: Vec<usize>,
}

/// Sum over the items of a range of e^score, as a logarithm.
fn log_sum(scores: impl Iterator<Item = f64>) -> f64 {
    scores.fold(f64::NEG_INFINITY, log_add_exp)
}

impl Cohort {
    /// The items, or none if one of them makes the list NaN.
    fn of<R: Real>(scores: &[R], times: &[R], events: &[R]) -> Option<Self> {
        let is_item = |&place: &usize| times[place].is_nan() || times[place] >= R::ZERO;
        let mut places: Vec<usize> = (0..scores.len()).filter(is_item).collect();
        let is_invalid = |&place: &usize| {
            let score = scores[place];
            score.is_nan()
                || score == R::INFINITY
                || times[place].is_nan()
                || events[place].is_nan()
        };
        if places.iter().any(is_invalid) {
            return None;
        }
        // −0 equals 0.
        let time = |place: usize| times[place].to_f64() + 0.0;
        places.sort_by(|&a, &b| time(b).total_cmp(&time(a)));
        Some(Cohort {
            scores: places.iter().map(|&place| scores[place].to_f64()).collect(),
            times: places.iter().map(|&place| time(place)).collect(),
            events: places.iter().map(|&place| events[place] != R::ZERO).collect(),
            places,
        })
    }

    /// The ranges of equal times, the latest first.
    fn groups(&self) -> Vec<std::ops::Range<usize>> {
        let mut groups = Vec::new();
        let mut start = 0;
        for end in 1..=self.times.len() {
            if end == self.times.len() || self.times[end] != self.times[start] {
                groups.push(start..end);
                start = end;
            }
        }
        groups
    }

    /// Value of the list; writes the derivatives by the items in their order here. In f64 for both
    /// precisions: differences of sums of large scores would lose the digits of f32.
    fn evaluate<L: Survival>(&self, loss: &L, derivatives: &mut [f64]) -> f64 {
        let groups = self.groups();
        let mut value = 0.0;
        // For each event the logarithm of its risk set, and what is left of the tied events in it.
        let mut risks = vec![(f64::NEG_INFINITY, 1.0); self.scores.len()];
        let mut behind = f64::NEG_INFINITY;
        for group in &groups {
            let of = |is_event: bool| {
                let those = group.clone().filter(move |&i| self.events[i] == is_event);
                those.map(|i| self.scores[i])
            };
            let (tied, others) = (log_sum(of(true)), log_add_exp(behind, log_sum(of(false))));
            let ties = of(true).count() as f64;
            for (rank, i) in group.clone().filter(|&i| self.events[i]).enumerate() {
                let left = 1.0 - loss.tied_share(rank as f64, ties);
                let risk = log_add_exp(others, tied + left.ln());
                value += difference(risk, self.scores[i]);
                risks[i] = (risk, left);
            }
            behind = log_add_exp(others, tied);
        }
        // Over the events before an item: ln Σ e^(−risk).
        let mut before = f64::NEG_INFINITY;
        for group in groups.iter().rev() {
            let of_group = || {
                let events = group.clone().filter(|&i| self.events[i]);
                events.map(|i| risks[i]).filter(|(risk, _)| *risk != f64::NEG_INFINITY)
            };
            let whole = log_add_exp(before, log_sum(of_group().map(|(risk, _)| -risk)));
            let left =
                log_add_exp(before, log_sum(of_group().map(|(risk, left)| left.ln() - risk)));
            for i in group.clone().filter(|&i| self.scores[i] != f64::NEG_INFINITY) {
                derivatives[i] = if self.events[i] {
                    (self.scores[i] + left).exp_m1()
                } else {
                    (self.scores[i] + whole).exp()
                };
            }
            before = whole;
        }
        value
    }
}

/// The lists and items of a shape [lists, items] or `[items]`.
pub(crate) fn sizes(shape: &[usize]) -> [usize; 2] {
    match shape {
        [lists, items] => [*lists, *items],
        [items] => [1, *items],
        _ => [1, 1],
    }
}

impl<L: Survival> MultiInputTemplate for SurvivalTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let first = self.arguments[0].name;
        let shape = shapes.of(first)?.to_vec();
        if !(1..=2).contains(&shape.len()) {
            return Err(shapes.unfit(first, &shape, "[lists, items] or [items]"));
        }
        for argument in &self.arguments[1..] {
            shapes.require(argument.name, &shape, first)?;
        }
        let [lists, _] = sizes(&shape);
        Ok(Units { shape: vec![lists], rows: lists })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        self.arguments.iter().map(|a| Example::of(a.name, &[rows, columns])).collect()
    }

    /// A list contributes its number of events.
    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        let (times, events) = (call.required("times")?, call.required("events")?);
        let items = times.values.len() / call.units.max(1);
        let lists = times.values.chunks(items.max(1)).zip(events.values.chunks(items.max(1)));
        let is_event = |time: f32, event: f32| (time.is_nan() || time >= 0.0) && event != 0.0;
        let counts = lists.map(|(times, events)| {
            let items = times.iter().zip(events);
            items.filter(|(time, event)| is_event(**time, **event)).count() as f64
        });
        let mean: Vec<f64> = counts.collect();
        let kept = mean.iter().map(|&count| count > 0.0).collect();
        Ok(DivisorTerms { kept, mean, scale: Vec::new() })
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let scores = call.required(self.arguments[0].name)?;
        let (times, events) = (call.required("times")?, call.required("events")?);
        let items = (scores.values.len() / call.units.max(1)).max(1);
        let gradient = gradients.first_mut().ok_or_else(|| missing("a gradient"))?;
        let lists = gradient.par_chunks_mut(items).zip(values.par_iter_mut());
        lists.enumerate().for_each(|(list, (gradient, value))| {
            gradient.fill(R::ZERO);
            *value = R::ZERO;
            let Some(weight) = call.weight_of(list) else { return };
            let scale = weight * call.upstream_of(list);
            let own = list * items..(list + 1) * items;
            let times = &times.values[own.clone()];
            let Some(cohort) = Cohort::of(&scores.values[own.clone()], times, &events.values[own])
            else {
                *value = R::NAN;
                let is_item = |time: R| time.is_nan() || time >= R::ZERO;
                for (slot, _) in gradient.iter_mut().zip(times).filter(|(_, time)| is_item(**time))
                {
                    *slot = R::NAN;
                }
                return;
            };
            let mut derivatives = vec![0.0; cohort.scores.len()];
            *value = weight * R::new(cohort.evaluate(self.loss, &mut derivatives));
            for (&place, derivative) in cohort.places.iter().zip(derivatives) {
                gradient[place] = scale * R::new(derivative);
            }
        });
        Ok(())
    }
}

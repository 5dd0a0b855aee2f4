//! Loops of an optimizer step over the parameters, their gradients and their states.

use crate::cpu::real::Real;
use crate::nn::optimizers::rule::{Rule, State, Update};
use crate::nn::optimizers::slices::{Rows, Slices};
use crate::nn::optimizers::span::ParameterSpan;
use crate::nn::optimizers::step::Step;

/// The step on each row, in one loop: dispatching each row separately costs as much as updating 256
/// numbers.
#[inline(always)]
pub(crate) fn update_rows<R: Real>(rows: &mut dyn Rows<R>, rule: &impl Rule, step: &Step<R>) {
    let (rule, step) = (&rule.clone(), &step.clone());
    while let Some(slices) = rows.next() {
        slices.update_each(
            rule.states(),
            #[inline(always)]
            |parameter, gradient, state| rule.update(parameter, gradient, state, step),
        );
    }
}

/// Operations around a rule: g ← factor · clip(g + l1 sign w + 2 l2 w), then w shrunk by
/// `proximal` · lr.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SpanTransform {
    /// Factor of the whole gradient; 1 leaves its bits unchanged.
    pub factor: f64,
    /// Largest |g|; infinite without clipping by value.
    pub limit: f64,
    pub l1: f64,
    pub l2: f64,
    pub proximal: f64,
}

impl SpanTransform {
    /// Passes the gradient through unchanged.
    const PLAIN: SpanTransform =
        SpanTransform { factor: 1.0, limit: f64::INFINITY, l1: 0.0, l2: 0.0, proximal: 0.0 };

    pub fn of(span: &ParameterSpan, factor: f64, limit: f64) -> Self {
        SpanTransform { factor, limit, l1: span.l1, l2: span.l2, proximal: span.proximal }
    }

    /// The gradient passed to the rule.
    #[inline(always)]
    pub fn gradient<R: Real>(&self, parameter: R, gradient: R) -> R {
        let penalized =
            gradient + R::new(self.l1) * parameter.sign() + R::new(2.0 * self.l2) * parameter;
        let limit = R::new(self.limit);
        R::new(self.factor) * penalized.clamp(-limit, limit)
    }

    /// sign(w) max(|w| − lr · proximal, 0): the proximal step of λΣ|w|, which leaves exact zeros.
    #[inline(always)]
    pub fn shrunk<R: Real>(&self, parameter: R, learning_rate: R) -> R {
        let by = learning_rate * R::new(self.proximal);
        R::select(by > R::ZERO, parameter.sign() * (parameter.abs() - by).max(R::ZERO), parameter)
    }
}

impl<R: Real> Slices<'_, R> {
    /// The step itself, with one loop per number of states so that each vectorises.
    #[inline(always)]
    pub(crate) fn update_all(self, rule: &impl Rule, step: &Step<R>, transform: &SpanTransform) {
        // Cloned because options behind a reference would be reloaded for each parameter (possible
        // aliasing).
        let (rule, step, transform) = (&rule.clone(), &step.clone(), &transform.clone());
        if *transform == SpanTransform::PLAIN {
            return self.update_each(
                rule.states(),
                #[inline(always)]
                |parameter, gradient, state| rule.update(parameter, gradient, state, step),
            );
        }
        self.update_each(
            rule.states(),
            #[inline(always)]
            |parameter, gradient, state| {
                let mut update =
                    rule.update(parameter, transform.gradient(parameter, gradient), state, step);
                update.parameter = transform.shrunk(update.parameter, step.learning_rate);
                update
            },
        );
    }

    #[inline(always)]
    pub(super) fn update_each(self, states: usize, update: impl Fn(R, R, State<R>) -> Update<R>) {
        let Slices { parameters, gradients, states: [first, second, third, fourth] } = self;
        let moves = parameters.iter_mut().zip(gradients);
        let none = State::zero();
        match states {
            0 => moves.for_each(|(w, &g)| *w = update(*w, g, none).parameter),
            1 => moves.zip(first).for_each(|((w, &g), a)| {
                let moved = update(*w, g, State { first: *a, ..none });
                (*w, *a) = (moved.parameter, moved.state.first);
            }),
            2 => moves.zip(first).zip(second).for_each(|(((w, &g), a), b)| {
                let moved = update(*w, g, State { first: *a, second: *b, ..none });
                (*w, *a, *b) = (moved.parameter, moved.state.first, moved.state.second);
            }),
            3 => moves.zip(first).zip(second).zip(third).for_each(|((((w, &g), a), b), c)| {
                let moved = update(*w, g, State { first: *a, second: *b, third: *c, ..none });
                (*w, *a, *b, *c) =
                    (moved.parameter, moved.state.first, moved.state.second, moved.state.third);
            }),
            _ => moves.zip(first).zip(second).zip(third).zip(fourth).for_each(
                |(((((w, &g), a), b), c), d)| {
                    let moved =
                        update(*w, g, State { first: *a, second: *b, third: *c, fourth: *d });
                    (*w, *a, *b, *c) =
                        (moved.parameter, moved.state.first, moved.state.second, moved.state.third);
                    *d = moved.state.fourth;
                },
            ),
        }
    }
}

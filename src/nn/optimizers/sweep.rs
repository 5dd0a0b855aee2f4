//! Loops of an optimizer step over the parameters, their gradients and their states.

use crate::cpu::real::Real;
use crate::nn::optimizers::step::{ParameterSpan, Step};
use crate::nn::optimizers::{MOST_STATES, Rule, State};

/// Buffers of one step, all of the same length; unused states are empty.
#[derive(Debug)]
pub struct Slices<'a, R> {
    pub(crate) parameters: &'a mut [R],
    pub(crate) gradients: &'a [R],
    pub(crate) states: [&'a mut [R]; MOST_STATES],
}

/// Rows of a table updated by a step, in order. Each row is borrowed until the next call.
pub trait Rows<R> {
    /// The next row with its gradient and states.
    fn next(&mut self) -> Option<Slices<'_, R>>;
}

/// Rows of any precision converted to those of precision `R`.
pub(crate) struct InOnePrecision<'a, R>(pub &'a mut dyn Rows<R>);

impl<R: Real> Rows<f32> for InOnePrecision<'_, R> {
    fn next(&mut self) -> Option<Slices<'_, f32>> {
        self.0.next()?.into_single().ok()
    }
}

impl<R: Real> Rows<f64> for InOnePrecision<'_, R> {
    fn next(&mut self) -> Option<Slices<'_, f64>> {
        self.0.next()?.into_double()
    }
}

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
pub(crate) struct Frame {
    /// Factor of the whole gradient; 1 leaves its bits unchanged.
    pub factor: f64,
    /// Largest |g|; infinite without clipping by value.
    pub limit: f64,
    pub l1: f64,
    pub l2: f64,
    pub proximal: f64,
}

impl Frame {
    /// Passes the gradient through unchanged.
    const PLAIN: Frame =
        Frame { factor: 1.0, limit: f64::INFINITY, l1: 0.0, l2: 0.0, proximal: 0.0 };

    pub fn of(span: &ParameterSpan, factor: f64, limit: f64) -> Self {
        Frame { factor, limit, l1: span.l1, l2: span.l2, proximal: span.proximal }
    }

    /// The gradient that the rule sees.
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

impl<'a, R: Real> Slices<'a, R> {
    /// Returns the slices if R is f32.
    pub(crate) fn into_single(self) -> Result<Slices<'a, f32>, Self> {
        if R::as_single(self.gradients).is_none() {
            return Err(self);
        }
        Ok(Slices {
            parameters: R::as_single_mut(self.parameters).unwrap_or_default(),
            gradients: R::as_single(self.gradients).unwrap_or_default(),
            states: self.states.map(|state| R::as_single_mut(state).unwrap_or_default()),
        })
    }

    /// Returns the slices if R is f64.
    pub(crate) fn into_double(self) -> Option<Slices<'a, f64>> {
        Some(Slices {
            parameters: R::as_double_mut(self.parameters)?,
            gradients: R::as_double(self.gradients)?,
            states: self.states.map(|state| R::as_double_mut(state).unwrap_or_default()),
        })
    }

    /// Splits at an index; a missing state is missing on both sides.
    fn split_at(self, index: usize) -> (Self, Self) {
        let (parameters, parameters_behind) = self.parameters.split_at_mut(index);
        let (gradients, gradients_behind) = self.gradients.split_at(index);
        let mut states_behind: [&mut [R]; MOST_STATES] = Default::default();
        let mut states: [&mut [R]; MOST_STATES] = Default::default();
        for (place, state) in self.states.into_iter().enumerate() {
            let middle = index.min(state.len());
            (states[place], states_behind[place]) = state.split_at_mut(middle);
        }
        let behind = Slices {
            parameters: parameters_behind,
            gradients: gradients_behind,
            states: states_behind,
        };
        (Slices { parameters, gradients, states }, behind)
    }

    /// Runs `work` on each span with its index and properties, or on everything if there are no
    /// spans.
    pub(crate) fn by_span(
        self,
        spans: &[ParameterSpan],
        mut work: impl FnMut(usize, &ParameterSpan, Slices<'_, R>),
    ) {
        let whole = [ParameterSpan { end: self.parameters.len(), ..ParameterSpan::default() }];
        let spans = if spans.is_empty() { &whole } else { spans };
        let (mut rest, mut start) = (self, 0);
        for (number, span) in spans.iter().enumerate() {
            let (part, behind) = rest.split_at(span.end - start);
            work(number, span, part);
            (rest, start) = (behind, span.end);
        }
    }

    /// Runs `work` on chunks of at most `length`, on all cores. Elements are independent, so the
    /// result does not depend on the chunking.
    pub(crate) fn in_pieces(self, length: usize, work: &(impl Fn(Slices<'_, R>) + Sync)) {
        let count = self.parameters.len();
        if count <= length {
            return work(self);
        }
        // Rounded down to whole chunks; with more than one chunk neither side is empty.
        let middle = (count.div_ceil(length) / 2) * length;
        let (left, right) = self.split_at(middle);
        rayon::join(|| left.in_pieces(length, work), || right.in_pieces(length, work));
    }

    /// The step, with one loop for each number of states so that each vectorises.
    #[inline(always)]
    pub(crate) fn update_all(self, rule: &impl Rule, step: &Step<R>, frame: &Frame) {
        // Cloned because options behind a reference would be reloaded for each parameter (possible
        // aliasing).
        let (rule, step, frame) = (&rule.clone(), &step.clone(), &frame.clone());
        if *frame == Frame::PLAIN {
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
                    rule.update(parameter, frame.gradient(parameter, gradient), state, step);
                update.parameter = frame.shrunk(update.parameter, step.learning_rate);
                update
            },
        );
    }

    #[inline(always)]
    fn update_each(
        self,
        states: usize,
        update: impl Fn(R, R, State<R>) -> crate::nn::optimizers::Update<R>,
    ) {
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

//! Parameters, gradients and states of one step, split at common indices.

use std::fmt::Debug;

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::optimizers::span::ParameterSpan;

/// The buffers of one step, split at common indices; unused states are empty.
#[derive(Debug)]
pub struct Slices<'a, R> {
    pub(crate) parameters: &'a mut [R],
    pub(crate) gradients: &'a [R],
    pub(crate) states: [&'a mut [R]; MOST_STATES],
}

/// Successive rows of a table in a step. Each row is borrowed until the next call.
pub trait Rows<R> {
    /// The next row with its gradient and states.
    fn next(&mut self) -> Option<Slices<'_, R>>;
}

/// Converts rows of a generic precision to rows of its concrete precision.
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

impl<'a, R: Real> Slices<'a, R> {
    /// The slices at f32 if R is f32.
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

    /// The slices at f64 if R is f64.
    pub(crate) fn into_double(self) -> Option<Slices<'a, f64>> {
        Some(Slices {
            parameters: R::as_double_mut(self.parameters)?,
            gradients: R::as_double(self.gradients)?,
            states: self.states.map(|state| R::as_double_mut(state).unwrap_or_default()),
        })
    }

    /// Splits at an index; an unused state is empty on both sides.
    pub(super) fn split_at(self, index: usize) -> (Self, Self) {
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

    /// Calls `work` on each span with its number and properties; once on everything if there are no
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

    /// Calls `work` on pieces of at most `length`, on all cores. Elements are independent, so the
    /// bits do not depend on the split.
    pub(crate) fn in_pieces(self, length: usize, work: &(impl Fn(Slices<'_, R>) + Sync)) {
        let count = self.parameters.len();
        if count <= length {
            return work(self);
        }
        // Rounded down to whole pieces; with more than one piece both sides are non-empty.
        let middle = (count.div_ceil(length) / 2) * length;
        let (left, right) = self.split_at(middle);
        rayon::join(|| left.in_pieces(length, work), || right.in_pieces(length, work));
    }
}

/// Maximum number of states of an optimizer.
pub const MOST_STATES: usize = 4;

//! Parameters, gradients and states of one step, cut alike.

use std::fmt::Debug;

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::optimizers::span::ParameterSpan;

/// The buffers of one step, all cut alike; a state that the optimizer has not is empty.
#[derive(Debug)]
pub struct Slices<'a, R> {
    pub(crate) parameters: &'a mut [R],
    pub(crate) gradients: &'a [R],
    pub(crate) states: [&'a mut [R]; MOST_STATES],
}

/// Rows of a table that a step moves, one after the other. Each is lent until the next is asked for.
pub trait Rows<R> {
    /// The next row with its gradient and states.
    fn next(&mut self) -> Option<Slices<'_, R>>;
}

/// Rows of any precision as those of the one that they are of.
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
    /// Itself at f32 if that is what R is.
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

    /// Itself at f64 if that is what R is.
    pub(crate) fn into_double(self) -> Option<Slices<'a, f64>> {
        Some(Slices {
            parameters: R::as_double_mut(self.parameters)?,
            gradients: R::as_double(self.gradients)?,
            states: self.states.map(|state| R::as_double_mut(state).unwrap_or_default()),
        })
    }

    /// Cut at an index; a missing state is missing on both sides.
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

    /// `work` on each span with its number and what is true of it; on all at once where there is no span.
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

    /// `work` on pieces of at most `length`, on all cores. The elements do not depend on each other, so neither do the bits on the cut.
    pub(crate) fn in_pieces(self, length: usize, work: &(impl Fn(Slices<'_, R>) + Sync)) {
        let count = self.parameters.len();
        if count <= length {
            return work(self);
        }
        // Rounded down to whole pieces; above one piece that leaves something on both sides.
        let middle = (count.div_ceil(length) / 2) * length;
        let (left, right) = self.split_at(middle);
        rayon::join(|| left.in_pieces(length, work), || right.in_pieces(length, work));
    }
}

/// States of an optimizer at the most.
pub const MOST_STATES: usize = 4;

//! Parameters, gradients and states of one step, split at common indices.

use std::fmt::Debug;
use std::marker::PhantomData;

use crate::cpu::real::{OfPrecision, Real};
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

/// [`Slices`] in either precision.
pub(crate) struct SlicesOf<'a>(PhantomData<&'a ()>);

impl<'a> OfPrecision for SlicesOf<'a> {
    type Of<R: Real> = Slices<'a, R>;
}

/// [`Rows`] in either precision.
pub(crate) struct RowsOf<'a>(PhantomData<&'a ()>);

impl<'a> OfPrecision for RowsOf<'a> {
    type Of<R: Real> = &'a mut dyn Rows<R>;
}

impl<'a, R: Real> Slices<'a, R> {
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

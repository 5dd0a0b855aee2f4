//! Gradients of weights and bias: what they are computed from, and sums over parts of the pixels.

use std::marker::PhantomData;
use std::slice::ChunksExact;

use rayon::prelude::*;

use crate::cpu::real::{OfPrecision, Real};
use crate::cpu::scratch::with_scratch;

/// Parts of the pixels with a sum of the weights' gradient each, at most.
pub(super) const MOST_SLICES: usize = 16;

/// The gradients of a convolution's parameters: from x and dL/dY, written, or added to what is
/// there. `bias` is empty if there is none.
pub(super) struct ParameterGradients<'a, R> {
    pub x: &'a [R],
    pub grad_output: &'a [R],
    pub weight: &'a mut [R],
    pub bias: &'a mut [R],
    pub accumulate: bool,
}

/// [`ParameterGradients`] in either precision.
pub(super) struct ParameterGradientsOf<'a>(PhantomData<&'a ()>);

impl<'a> OfPrecision for ParameterGradientsOf<'a> {
    type Of<R: Real> = ParameterGradients<'a, R>;
}

/// Calls `of_slice` with the number of each slice and its `length` sums, which are 0, on all cores;
/// then `add` with the sums of the slices in order, so that the bits do not depend on the threads.
pub(super) fn sum_by_slices(
    slices: usize,
    length: usize,
    of_slice: impl Fn(usize, &mut [f32]) + Sync,
    add: impl FnOnce(ChunksExact<f32>),
) {
    with_scratch(slices * length, |partials| {
        partials.par_chunks_mut(length).enumerate().for_each(|(slice, partial)| {
            partial.fill(0.0);
            of_slice(slice, partial);
        });
        add(partials.chunks_exact(length));
    });
}

//! Two-input losses on the CPU: two numbers per value, and an optional target. CPU implementation
//! of `shaders/templates/two_input/two_input.wgsl`.
//!
//! The second input may have one number per row. Its gradient is then the sum over the row.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::argument::Argument;
use crate::templates::multi_input::cpu::{Example, MultiInput, Shapes, Units, missing};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::two_input::{TwoInput, TwoInputTerms};

/// Minimum number of elements in the rows that one thread processes at a time.
const PIECE: usize = 1 << 14;

/// Kernel template around a loss.
pub struct TwoInputTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's inputs.
    pub arguments: &'static [Argument],
}

/// Pairs of unweighted numbers, and where their derivatives and values are written.
struct PlainPairs<'a, R> {
    firsts: &'a [R],
    seconds: &'a [R],
    /// Multiplies the values.
    value_scale: R,
    /// Multiplies the derivatives.
    derivative_scale: R,
    first_derivatives: &'a mut [R],
    second_derivatives: &'a mut [R],
    values: &'a mut [R],
}

/// Values and derivatives of unweighted pairs, each with its own second number.
#[inline(always)]
fn plain<R: Real, L: TwoInput>(loss: &L, pairs: PlainPairs<R>, truth_of: impl Fn(usize) -> R) {
    let PlainPairs { firsts, seconds, value_scale, derivative_scale, values, .. } = pairs;
    let PlainPairs { first_derivatives, second_derivatives, .. } = pairs;
    // A copy: options behind a reference would be read again for each pair.
    let loss = &loss.clone();
    let length = values.len();
    let (firsts, seconds) = (&firsts[..length], &seconds[..length]);
    let (first_derivatives, second_derivatives) =
        (&mut first_derivatives[..length], &mut second_derivatives[..length]);
    for k in 0..length {
        let pair = guarded(loss, firsts[k], seconds[k], truth_of(k));
        values[k] = value_scale * pair.value;
        first_derivatives[k] = derivative_scale * pair.first;
        second_derivatives[k] = derivative_scale * pair.second;
    }
}

/// NaN in, NaN out: a comparison in the loss function would hide it.
#[inline(always)]
fn guarded<R: Real, L: TwoInput>(loss: &L, first: R, second: R, truth: R) -> TwoInputTerms<R> {
    let pair = loss.pair(first, second, truth);
    let broken = first.is_nan() || second.is_nan() || truth.is_nan();
    let nan_value = first + second + truth;
    TwoInputTerms {
        value: R::select(broken, nan_value, pair.value),
        first: R::select(broken, nan_value, pair.first),
        second: R::select(broken, nan_value, pair.second),
    }
}

impl<L: TwoInput> MultiInputTemplate for TwoInputTemplate<'_, L> {
    fn derives_its_value(&self) -> bool {
        self.loss.derives_its_value()
    }

    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let arguments = self.arguments;
        let (first, second) = (arguments[0].name, arguments[1].name);
        let shape = shapes.of(first)?.to_vec();
        let rows = &shape[..shape.len().saturating_sub(1)];
        let found = shapes.of(second)?;
        // [rows, 1] is equivalent to [rows].
        let is_per_row = self.loss.second_per_row()
            && shape.len() > 1
            && (found == rows || found == [rows, &[1]].concat());
        if !is_per_row {
            shapes.require(second, &shape, first)?;
        }
        for argument in &arguments[2..] {
            shapes.require(argument.name, &shape, first)?;
        }
        Ok(Units { rows: shape.first().copied().unwrap_or(1), shape })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        let shape = |number: usize| {
            // For odd numbers of rows, so that the tests cover both forms.
            let is_per_row =
                number == 1 && self.loss.second_per_row() && rows % 2 == 1 && columns > 1;
            if is_per_row { vec![rows] } else { vec![rows, columns] }
        };
        let arguments = self.arguments.iter().enumerate();
        arguments.map(|(number, argument)| Example::of(argument.name, &shape(number))).collect()
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let (first, second) = (self.arguments[0].name, self.arguments[1].name);
        let (firsts, seconds) = (call.required(first)?, call.required(second)?);
        let truths = call.arrays.get(2);
        let [first_gradient, second_gradient] = gradients else {
            return Err(missing("a gradient"));
        };
        let width = firsts.values.len() / seconds.values.len().max(1);
        // A piece consists of whole rows, so that each row sum belongs to one thread.
        let rows = (PIECE / width.max(1)).max(1);
        let length = rows * width;
        let pieces =
            first_gradient.par_chunks_mut(length).zip(second_gradient.par_chunks_mut(rows));
        let is_plain = width == 1 && call.is_plain();
        let truths = truths.map(|truths| &truths.values[..]);
        pieces.zip(values.par_chunks_mut(length)).enumerate().for_each(
            |(piece, ((firsts_out, seconds_out), values))| {
                if is_plain {
                    let range = piece * length..piece * length + values.len();
                    let pairs = PlainPairs {
                        firsts: &firsts.values[range.clone()],
                        seconds: &seconds.values[range.clone()],
                        value_scale: call.factor,
                        derivative_scale: call.factor * call.upstream,
                        first_derivatives: firsts_out,
                        second_derivatives: seconds_out,
                        values,
                    };
                    R::dispatch(
                        #[inline(always)]
                        || match truths.map(|truths| &truths[range]) {
                            Some(truths) => plain(self.loss, pairs, |k| truths[k]),
                            None => plain(self.loss, pairs, |_| R::ZERO),
                        },
                    );
                    return;
                }
                seconds_out.fill(R::ZERO);
                for k in 0..values.len() {
                    let i = piece * length + k;
                    let second = seconds.values[i / width];
                    let truth = truths.map_or(R::ZERO, |truths| truths[i]);
                    let (mut value, mut derivatives) = (R::ZERO, [R::ZERO; 2]);
                    if let Some(weight) = call.weight_of(i) {
                        let pair = guarded(self.loss, firsts.values[i], second, truth);
                        let derivative = weight * call.upstream_of(i);
                        (value, derivatives) = (
                            weight * pair.value,
                            [derivative * pair.first, derivative * pair.second],
                        );
                    }
                    values[k] = value;
                    firsts_out[k] = derivatives[0];
                    seconds_out[k / width] += derivatives[1];
                }
            },
        );
        Ok(())
    }
}

//! Vector losses on the CPU: two or three vectors per row, and an optional target per row. CPU
//! implementation of `shaders/templates/distance/distance.wgsl`.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::cpu::simd::LANES;
use crate::templates::argument::Argument;
use crate::templates::distance::{Distance, DistanceTerms};
use crate::templates::multi_input::cpu::{Example, MultiInput, Shapes, Units};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;

/// Kernel template around a loss.
pub struct DistanceTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's inputs.
    pub arguments: &'static [Argument],
}

/// The vectors of one row. With only two vectors, the third repeats the first and is not read.
type Vectors3<'a, R> = [&'a [R]; 3];

/// Rows processed by one thread at a time: their values and gradients.
struct Piece<'a, R> {
    values: &'a mut [R],
    gradients: Vec<&'a mut [R]>,
}

impl<L: Distance> DistanceTemplate<'_, L> {
    fn truth_name(&self) -> Option<&'static str> {
        self.arguments
            .get(2)
            .filter(|argument| !argument.role.is_differentiated())
            .map(|argument| argument.name)
    }
}

#[inline(always)]
fn take<R: Real, L: Distance>(
    loss: &L,
    call: &MultiInput<'_, R>,
    first: usize,
    columns: usize,
    piece: Piece<'_, R>,
) {
    // A copy: options behind a reference would be read again for each element, because the
    // gradients might alias them.
    let loss = &loss.clone();
    let Piece { values, mut gradients } = piece;
    for (k, value) in values.iter_mut().enumerate() {
        let unit = first + k;
        let row_of =
            |number: usize| -> &[R] { &call.arrays[number].values[unit * columns..][..columns] };
        let vectors =
            [row_of(0), row_of(1), if gradients.len() == 3 { row_of(2) } else { row_of(0) }];
        // A third input without a gradient is the target of each row.
        let truth = call
            .arrays
            .get(2)
            .filter(|_| gradients.len() < 3)
            .map_or(R::ZERO, |array| array.values[unit]);
        let rows = gradients.iter_mut().map(|gradient| &mut gradient[k * columns..][..columns]);
        let Some(weight) = call.weight_of(unit) else {
            rows.for_each(|row| row.fill(R::ZERO));
            *value = R::ZERO;
            continue;
        };
        let scale = weight * call.upstream_of(unit);
        *value = weight * take_row(loss, vectors, truth, scale, rows);
    }
}

/// Writes the gradients of a row, multiplied by `scale`, and returns its value.
#[inline(always)]
fn take_row<'g, R: Real, L: Distance>(
    loss: &L,
    vectors: Vectors3<'_, R>,
    truth: R,
    scale: R,
    mut gradients: impl Iterator<Item = &'g mut [R]>,
) -> R {
    let mut peaks = if loss.is_scaled() { largest(loss, vectors) } else { [R::ONE; 3] };
    let (mut sums, broken) = folded(loss, vectors, peaks);
    if !loss.is_scaled() && loss.leaves_range(sums) {
        peaks = largest(loss, vectors).map(R::scale_to_one);
        (sums, _) = folded(loss, vectors, peaks);
    }
    if broken || truth.is_nan() {
        // A comparison in the loss function would hide it.
        gradients.for_each(|row| row.fill(R::NAN));
        return R::NAN;
    }
    let outcome = loss.finish(peaks, sums, truth);
    if let Some(row) = gradients.next() {
        write::<R, L, 0>(loss, &outcome, peaks, vectors, scale, row);
    }
    if let Some(row) = gradients.next() {
        write::<R, L, 1>(loss, &outcome, peaks, vectors, scale, row);
    }
    if let Some(row) = gradients.next() {
        write::<R, L, 2>(loss, &outcome, peaks, vectors, scale, row);
    }
    outcome.value
}

#[inline(always)]
fn write<R: Real, L: Distance, const WHICH: usize>(
    loss: &L,
    outcome: &DistanceTerms<R>,
    peaks: [R; 3],
    [first, second, third]: Vectors3<'_, R>,
    scale: R,
    gradient: &mut [R],
) {
    for (((slot, &a), &b), &c) in gradient.iter_mut().zip(first).zip(second).zip(third) {
        *slot = scale * loss.derivatives(outcome, peaks, [a, b, c])[WHICH];
    }
}

#[inline(always)]
fn largest<R: Real, L: Distance>(loss: &L, [first, second, third]: Vectors3<'_, R>) -> [R; 3] {
    let mut peaks = [R::ZERO; 3];
    for ((&a, &b), &c) in first.iter().zip(second).zip(third) {
        for (peak, found) in peaks.iter_mut().zip(loss.peaks([a, b, c])) {
            *peak = R::select(found > *peak, found, *peak);
        }
    }
    peaks
}

/// The three sums over the columns, in a fixed number of lanes, and a flag that is true if a
/// number is NaN or infinite: an infinite component has no direction, and no distance to another.
#[inline(always)]
fn folded<R: Real, L: Distance>(
    loss: &L,
    [first, second, third]: Vectors3<'_, R>,
    peaks: [R; 3],
) -> ([R; 3], bool) {
    let mut lanes = [[R::ZERO; LANES]; 3];
    // Not a sum of the numbers themselves: ∞ − ∞ is NaN without a NaN in the input.
    let mut invalid = [R::ZERO; LANES];
    let (firsts, last_firsts) = first.as_chunks::<LANES>();
    let (seconds, last_seconds) = second.as_chunks::<LANES>();
    let (thirds, last_thirds) = third.as_chunks::<LANES>();
    for ((a, b), c) in firsts.iter().zip(seconds).zip(thirds) {
        for lane in 0..LANES {
            let cells = [a[lane], b[lane], c[lane]];
            let more = loss.fold(peaks, cells);
            for k in 0..3 {
                lanes[k][lane] += more[k];
            }
            invalid[lane] = R::select(any_invalid(cells), R::ONE, invalid[lane]);
        }
    }
    for lane in 0..last_firsts.len() {
        let cells = [last_firsts[lane], last_seconds[lane], last_thirds[lane]];
        let more = loss.fold(peaks, cells);
        for k in 0..3 {
            lanes[k][lane] += more[k];
        }
        invalid[lane] = R::select(any_invalid(cells), R::ONE, invalid[lane]);
    }
    let broken = invalid.iter().any(|&found| found > R::ZERO);
    (lanes.map(halved), broken)
}

#[inline(always)]
fn any_invalid<R: Real>([a, b, c]: [R; 3]) -> bool {
    !(a.is_finite() & b.is_finite() & c.is_finite())
}

/// Sum of the lanes by pairwise halving.
#[inline(always)]
fn halved<R: Real>(mut lanes: [R; LANES]) -> R {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

impl<L: Distance> MultiInputTemplate for DistanceTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let first = self.arguments[0].name;
        shapes.require_axes(first, 2, "[rows, columns]: a vector in each row")?;
        let shape = shapes.of(first)?.to_vec();
        for argument in &self.arguments[1..] {
            let is_truth = self.truth_name() == Some(argument.name);
            // [rows, 1] is equivalent to [rows].
            if is_truth && shapes.of(argument.name)? == [shape[0], 1] {
                continue;
            }
            shapes.require(argument.name, if is_truth { &shape[..1] } else { &shape }, first)?;
        }
        Ok(Units { shape: shape[..1].to_vec(), rows: shape[0] })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        // With one column the only angles are 0 and π, where every derivative is a difference that
        // cancels completely, so a relative error cannot be checked.
        let shape = [rows, columns.max(3)];
        let truth = self.truth_name();
        let arguments = self.arguments.iter();
        arguments
            .map(|argument| {
                Example::of(
                    argument.name,
                    if truth == Some(argument.name) { &shape[..1] } else { &shape },
                )
            })
            .collect()
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let firsts = call.required(self.arguments[0].name)?;
        let columns = firsts.values.len() / call.units.max(1);
        let rows = parallel::rows_per_piece(columns);
        let mut pieces: Vec<Piece<'_, R>> =
            values.chunks_mut(rows).map(|values| Piece { values, gradients: Vec::new() }).collect();
        for gradient in gradients {
            let parts = gradient.chunks_mut(rows * columns);
            pieces.iter_mut().zip(parts).for_each(|(piece, part)| piece.gradients.push(part));
        }
        pieces.into_par_iter().enumerate().for_each(|(index, piece)| {
            R::dispatch(
                #[inline(always)]
                || {
                    self.loss.with_constants(
                        #[inline(always)]
                        |loss| take(loss, call, index * rows, columns, piece),
                    );
                },
            );
        });
        Ok(())
    }
}

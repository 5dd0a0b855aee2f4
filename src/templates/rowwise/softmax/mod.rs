//! Softmax cross-entropy of labels, the fast path: each row is read from memory once, later passes
//! read the caches.
//!
//! With m the row's maximum, S the sum of e^(x − m) over all classes but the label, l = e^(x_label
//! − m) and T = S + l, the value is ln T − (x_label − m) and the gradient e^(x − m)/T, at the label
//! −S/T, which stays accurate as l/T approaches 1. Label smoothing and z-loss change the factors,
//! not the passes.
//!
//! A long row takes three passes (maximum; exponentials and their sum; the factor), the second and
//! third from the second-level cache. Short rows are transposed in tiles of [`short::TILE`], so
//! that each vector holds the same class of many rows: 10 classes would not fill a vector, and a
//! sum along them would be a horizontal reduction. Rows with NaN, with infinities that determine
//! the result, or without a finite maximum are computed by the general path, one at a time.

pub(crate) mod label;
mod short;

use crate::cpu::real::{Real, single};
use crate::templates::rowwise::rows::{Rows, is_ignored};
use crate::templates::rowwise::softmax::label::{Derivatives, LabelOptions, LabelRow};
use crate::templates::rowwise::softmax::short::{SHORT, short_rows};
use crate::templates::rowwise::target::Targets;

/// Numbers per chunk: one vector on AVX-512, two on AVX2, four on NEON.
const CHUNK: usize = 16;

/// Number of longer rows processed together, limited to as many as fit the second-level cache.
const GROUP: usize = 16;

/// Value and gradient of the rows from `first` on, one row per value. `otherwise` is called for
/// each row that needs the general path, with its index, its gradient and its value.
#[inline(always)]
pub(crate) fn label_rows(
    rows: &Rows<'_, f32>,
    labels: &[i32],
    options: &LabelOptions,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    mut otherwise: impl FnMut(usize, &mut [f32], &mut f32),
) {
    if rows.columns <= SHORT {
        return short_rows(rows, labels, options, first, gradient, values, otherwise);
    }
    let pieces = gradient.chunks_mut(GROUP * rows.columns).zip(values.chunks_mut(GROUP));
    for (number, (gradient, values)) in pieces.enumerate() {
        long_rows(rows, labels, options, first + number * GROUP, gradient, values, &mut otherwise);
    }
}

/// As [`label_rows`] for up to [`GROUP`] rows: per-row operations of all rows share one vector.
#[inline(always)]
fn long_rows(
    rows: &Rows<'_, f32>,
    labels: &[i32],
    options: &LabelOptions,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    otherwise: &mut impl FnMut(usize, &mut [f32], &mut f32),
) {
    let mut plain = [false; GROUP];
    let mut found = [LabelRow::default(); GROUP];
    let (mut weights, mut scales) = ([0.0; GROUP], [0.0; GROUP]);
    for (k, gradient) in gradient.chunks_exact_mut(rows.columns).enumerate() {
        let index = first + k;
        plain[k] = rows.keeps(index) && !is_ignored(rows.ignored, labels[index]);
        if plain[k] {
            let logits = &rows.logits[index * rows.columns..][..rows.columns];
            found[k] = row_sums(logits, labels[index] as usize, options, gradient);
            (weights[k], scales[k]) = rows.weight_and_scale(index);
        }
    }
    let mut derivatives = [Derivatives::default(); GROUP];
    for (derivatives, (row, &scale)) in derivatives.iter_mut().zip(found.iter().zip(&scales)) {
        *derivatives = row.derivatives(options, rows.columns, scale);
    }
    for (k, (gradient, value)) in gradient.chunks_exact_mut(rows.columns).zip(values).enumerate() {
        let index = first + k;
        if !(plain[k] && derivatives[k].value.is_finite()) {
            otherwise(index, gradient, value);
            continue;
        }
        *value = weights[k] * derivatives[k].value;
        for cell in gradient.iter_mut() {
            *cell = derivatives[k].factor * *cell - derivatives[k].share;
        }
        gradient[labels[index] as usize] = derivatives[k].label;
    }
}

/// The first two passes over a row: `gradient` contains e^(x − maximum) afterwards.
#[inline(always)]
fn row_sums(
    logits: &[f32],
    label: usize,
    options: &LabelOptions,
    gradient: &mut [f32],
) -> LabelRow {
    let maximum = largest(logits);
    let others = exponentials(logits, maximum, label, gradient) as f32;
    let spread = if options.smoothing == 0.0 { 0.0 } else { sum_below(logits, maximum) };
    LabelRow { maximum, below: logits[label] - maximum, others, spread }
}

/// The largest value, ignoring NaN.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let (whole, tail) = row.as_chunks::<CHUNK>();
    let (fours, rest) = whole.as_chunks::<4>();
    let mut lanes = [[f32::NEG_INFINITY; CHUNK]; 4];
    for four in fours {
        for (lanes, chunk) in lanes.iter_mut().zip(four) {
            keep_larger(lanes, chunk);
        }
    }
    for chunk in rest {
        keep_larger(&mut lanes[0], chunk);
    }
    let [mut found, second, third, fourth] = lanes;
    keep_larger(&mut found, &padded(tail, f32::NEG_INFINITY));
    keep_larger(&mut found, &second);
    keep_larger(&mut found, &third);
    keep_larger(&mut found, &fourth);
    found
        .into_iter()
        .fold(f32::NEG_INFINITY, |found, value| f32::select(value > found, value, found))
}

#[inline(always)]
fn keep_larger(found: &mut [f32; CHUNK], chunk: &[f32; CHUNK]) {
    for (found, &value) in found.iter_mut().zip(chunk) {
        *found = f32::select(value > *found, value, *found);
    }
}

/// The end of a row, padded to a chunk.
#[inline(always)]
fn padded(tail: &[f32], with: f32) -> [f32; CHUNK] {
    let mut chunk = [with; CHUNK];
    chunk[..tail.len()].copy_from_slice(tail);
    chunk
}

/// Writes e^(x − maximum), 0 at the label, and returns their sum.
#[inline(always)]
fn exponentials(logits: &[f32], maximum: f32, label: usize, output: &mut [f32]) -> f64 {
    /// Number of values written before they are summed. The value at the label is set to zero
    /// before the sum.
    const BLOCK: usize = 512;
    let mut sums = [0.0; CHUNK];
    let blocks = logits.chunks(BLOCK).zip(output.chunks_mut(BLOCK));
    for (number, (logits, output)) in blocks.enumerate() {
        let (whole, tail) = logits.as_chunks::<CHUNK>();
        let (whole_output, tail_output) = output.as_chunks_mut::<CHUNK>();
        for (chunk, output) in whole.iter().zip(whole_output) {
            *output = exp_chunk(chunk, maximum);
        }
        if !tail.is_empty() {
            let chunk = exp_chunk(&padded(tail, f32::NEG_INFINITY), maximum);
            tail_output.copy_from_slice(&chunk[..tail.len()]);
        }
        if let Some(slot) =
            label.checked_sub(number * BLOCK).and_then(|place| output.get_mut(place))
        {
            *slot = 0.0;
        }
        let (whole, tail) = output.as_chunks::<CHUNK>();
        for chunk in whole {
            add(&mut sums, chunk);
        }
        if !tail.is_empty() {
            add(&mut sums, &padded(tail, 0.0));
        }
    }
    fold(sums)
}

#[inline(always)]
fn exp_chunk(chunk: &[f32; CHUNK], maximum: f32) -> [f32; CHUNK] {
    let mut output = [0.0; CHUNK];
    for (slot, &value) in output.iter_mut().zip(chunk) {
        *slot = single::exp_below(value - maximum);
    }
    output
}

#[inline(always)]
fn add(sums: &mut [f64; CHUNK], chunk: &[f32; CHUNK]) {
    for (sum, &value) in sums.iter_mut().zip(chunk) {
        *sum += f64::from(value);
    }
}

#[inline(always)]
fn fold(mut sums: [f64; CHUNK]) -> f64 {
    let mut width = CHUNK / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

/// Σ (x − maximum).
#[inline(always)]
fn sum_below(logits: &[f32], maximum: f32) -> f32 {
    let mut sums = [0.0; CHUNK];
    let (whole, tail) = logits.as_chunks::<CHUNK>();
    for chunk in whole {
        add(&mut sums, &chunk.map(|x| x - maximum));
    }
    add(&mut sums, &padded(tail, maximum).map(|x| x - maximum));
    fold(sums) as f32
}

/// The labels, if the targets are labels and no class has a weight or a mask.
pub(crate) fn plain_labels<'a>(rows: &Rows<'a, f32>) -> Option<&'a [i32]> {
    match rows.targets {
        Targets::Labels(labels) if rows.has_all_classes_alike() => Some(labels),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

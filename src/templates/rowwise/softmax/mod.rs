//! Losses that are a function of the softmax at a label, the fast path: each row is read from
//! memory once, later passes read the caches.
//!
//! With m the row's maximum, S the sum of e^(x − m) over all classes but the label, l = e^(x_label
//! − m) and T = S + l, cross-entropy is ln T − (x_label − m) and its gradient e^(x − m)/T, at the
//! label −S/T, which stays accurate as l/T approaches 1. Label smoothing and z-loss change the
//! factors, not the passes; so do the other losses (focal, PolyLoss …).
//!
//! A long row takes three passes (maximum; exponentials and their sum; the factor), the second and
//! third from the second-level cache. Short rows are transposed in [tiles](super::tiles). Rows with
//! NaN, with infinities that determine the result, or without a finite maximum are computed by the
//! general path, one at a time.

pub(crate) mod label;
mod short;

use crate::cpu::real::{Real, single};
use crate::templates::rowwise::rows::{Rows, is_ignored};
use crate::templates::rowwise::softmax::label::{Derivatives, LabelRow};
use crate::templates::rowwise::softmax::short::short_tile;
use crate::templates::rowwise::target::Targets;
use crate::templates::rowwise::tiles::{self, SHORT};

/// Numbers per chunk: one vector on AVX-512, two on AVX2, four on NEON.
const CHUNK: usize = 16;

/// Number of longer rows processed together, limited to as many as fit the second-level cache.
const GROUP: usize = 16;

/// Value and gradient of the rows from `first` on, one row per value. `derivatives` turns the sums
/// of a row and its scale into its value and the factors of its gradient; `with_spread` says whether
/// it needs [`LabelRow::spread`]. `otherwise` is called for each row that needs the general path,
/// with its index, its gradient and its value.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "the rows of a piece, what a loss is, the general path"
)]
pub(crate) fn label_rows<T: Copy>(
    rows: &Rows<'_, f32, T>,
    labels: &[i32],
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    with_spread: bool,
    derivatives: impl Fn(LabelRow, f32) -> Derivatives,
    mut otherwise: impl FnMut(usize, &mut [f32], &mut f32),
) {
    if rows.columns <= SHORT {
        return tiles::label_tiles(
            rows,
            labels,
            first,
            gradient,
            values,
            #[inline(always)]
            |tile| short_tile(tile, with_spread, &derivatives),
            otherwise,
        );
    }
    let pieces = gradient.chunks_mut(GROUP * rows.columns).zip(values.chunks_mut(GROUP));
    for (number, (gradient, values)) in pieces.enumerate() {
        let first = first + number * GROUP;
        let mut plain = [false; GROUP];
        let mut found = [LabelRow::default(); GROUP];
        let (mut weights, mut scales) = ([0.0; GROUP], [0.0; GROUP]);
        for (k, gradient) in gradient.chunks_exact_mut(rows.columns).enumerate() {
            let index = first + k;
            plain[k] = rows.keeps(index) && !is_ignored(rows.ignored, labels[index]);
            if plain[k] {
                let logits = &rows.logits[index * rows.columns..][..rows.columns];
                let label = labels[index] as usize;
                found[k] = row_sums(logits, label, with_spread, gradient);
                let class_weight = rows.class_weight.get(label).copied().unwrap_or(1.0);
                let (weight, scale) = rows.weight_and_scale(index);
                (weights[k], scales[k]) = (weight * class_weight, scale * class_weight);
            }
        }
        // Per-row operations of all rows of a group share one vector.
        let mut of_rows = [Derivatives::default(); GROUP];
        for (of_row, (row, &scale)) in of_rows.iter_mut().zip(found.iter().zip(&scales)) {
            *of_row = derivatives(*row, scale);
        }
        let outputs = gradient.chunks_exact_mut(rows.columns).zip(values);
        for (k, (gradient, value)) in outputs.enumerate() {
            let index = first + k;
            if !(plain[k] && of_rows[k].value.is_finite()) {
                otherwise(index, gradient, value);
                continue;
            }
            *value = weights[k] * of_rows[k].value;
            for cell in gradient.iter_mut() {
                *cell = of_rows[k].factor * *cell - of_rows[k].share;
            }
            gradient[labels[index] as usize] = of_rows[k].label;
        }
    }
}

/// The first two passes over a row: `gradient` contains e^(x − maximum) afterwards.
#[inline(always)]
fn row_sums(logits: &[f32], label: usize, with_spread: bool, gradient: &mut [f32]) -> LabelRow {
    let maximum = largest(logits);
    let others = exponentials(logits, maximum, label, gradient) as f32;
    let spread = if with_spread { sum_below(logits, maximum) } else { 0.0 };
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

//! Short rows of labels, transposed in tiles: each vector holds the same class of many rows.

use crate::cpu::real::{Real, single};
use crate::templates::rowwise::rows::{Rows, is_ignored};
use crate::templates::rowwise::softmax::label::{LabelOptions, LabelRow};

/// Rows in a tile.
pub(crate) const TILE: usize = 64;

/// Maximum number of classes of rows processed in tiles.
pub(crate) const SHORT: usize = 64;

/// One number per row of a tile.
type Lanes = [f32; TILE];

/// As [`label_rows`], tile by tile.
#[inline(always)]
pub(crate) fn short_rows(
    rows: &Rows<'_, f32>,
    labels: &[i32],
    options: &LabelOptions,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
    mut otherwise: impl FnMut(usize, &mut [f32], &mut f32),
) {
    let columns = rows.columns;
    let mut cells = [[0.0; TILE]; SHORT];
    let cells = &mut cells[..columns];
    let pieces = gradient.chunks_mut(TILE * columns).zip(values.chunks_mut(TILE));
    for (number, (gradient, values)) in pieces.enumerate() {
        let first = first + number * TILE;
        let logits = &rows.logits[first * columns..][..gradient.len()];
        let mut places = [0_usize; TILE];
        let mut plain = [false; TILE];
        let (mut weights, mut scales) = ([0.0; TILE], [0.0; TILE]);
        for (k, &label) in labels[first..][..values.len()].iter().enumerate() {
            plain[k] = rows.keeps(first + k) && !is_ignored(rows.ignored, label);
            places[k] = if plain[k] { label as usize } else { 0 };
            (weights[k], scales[k]) = rows.weight_and_scale(first + k);
        }
        for (lane, row) in logits.chunks_exact(columns).enumerate() {
            for (column, &x) in cells.iter_mut().zip(row) {
                column[lane] = x;
            }
        }
        let found = tile(cells, &places, options, &scales);
        for (lane, row) in gradient.chunks_exact_mut(columns).enumerate() {
            for (column, slot) in cells.iter().zip(row.iter_mut()) {
                *slot = column[lane];
            }
            row[places[lane]] = found.label[lane];
            values[lane] = weights[lane] * found.value[lane];
            if !(plain[lane] && found.value[lane].is_finite()) {
                otherwise(first + lane, row, &mut values[lane]);
            }
        }
    }
}

/// Value and derivative at the label for each row of a tile; a value that is not finite marks a row
/// for the general path.
struct TileFound {
    value: Lanes,
    label: Lanes,
}

/// Replaces the logits of a tile, [classes][rows], with their gradient, except at the labels.
#[inline(always)]
fn tile(
    cells: &mut [Lanes],
    places: &[usize; TILE],
    options: &LabelOptions,
    scales: &Lanes,
) -> TileFound {
    let mut maxima = [f32::NEG_INFINITY; TILE];
    for column in cells.iter() {
        for (maximum, &x) in maxima.iter_mut().zip(column) {
            *maximum = f32::select(x > *maximum, x, *maximum);
        }
    }
    let mut spread = [0.0_f32; TILE];
    if options.smoothing != 0.0 {
        for column in cells.iter() {
            for (spread, (&x, &maximum)) in spread.iter_mut().zip(column.iter().zip(&maxima)) {
                *spread += x - maximum;
            }
        }
    }
    let mut below = [0.0; TILE];
    for (lane, &place) in places.iter().enumerate() {
        let cell = &mut cells[place][lane];
        below[lane] = *cell - maxima[lane];
        *cell = f32::NEG_INFINITY;
    }
    let mut others = [0.0_f64; TILE];
    for column in cells.iter_mut() {
        for ((cell, &maximum), sum) in column.iter_mut().zip(&maxima).zip(&mut others) {
            *cell = single::exp_below(*cell - maximum);
            *sum += f64::from(*cell);
        }
    }
    let (mut value, mut factor, mut share, mut label) =
        ([0.0; TILE], [0.0; TILE], [0.0; TILE], [0.0; TILE]);
    for lane in 0..TILE {
        let row = LabelRow {
            maximum: maxima[lane],
            below: below[lane],
            others: others[lane] as f32,
            spread: spread[lane],
        };
        let derivatives = row.derivatives(options, cells.len(), scales[lane]);
        (value[lane], factor[lane], share[lane], label[lane]) =
            (derivatives.value, derivatives.factor, derivatives.share, derivatives.label);
    }
    for column in cells.iter_mut() {
        for ((cell, &factor), &share) in column.iter_mut().zip(&factor).zip(&share) {
            *cell = factor * *cell - share;
        }
    }
    TileFound { value, label }
}

//! The softmax of short rows, in tiles.

use crate::cpu::real::single;
use crate::templates::rowwise::softmax::label::{Derivatives, LabelRow};
use crate::templates::rowwise::tiles::{TILE, Tile, TileFound};

/// Replaces the logits of a tile with their gradient, except at the labels.
#[inline(always)]
pub(super) fn short_tile(
    mut tile: Tile<'_>,
    with_spread: bool,
    derivatives: &impl Fn(LabelRow, f32) -> Derivatives,
) -> TileFound {
    let maxima = tile.maxima();
    let mut spread = [0.0_f32; TILE];
    if with_spread {
        for column in tile.cells.iter() {
            for (spread, (&x, &maximum)) in spread.iter_mut().zip(column.iter().zip(&maxima)) {
                *spread += x - maximum;
            }
        }
    }
    let mut below = tile.take_labels();
    below.iter_mut().zip(&maxima).for_each(|(below, maximum)| *below -= maximum);
    let mut others = [0.0_f64; TILE];
    for column in tile.cells.iter_mut() {
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
        let of_row = derivatives(row, tile.scales[lane]);
        (value[lane], factor[lane], share[lane], label[lane]) =
            (of_row.value, of_row.factor, of_row.share, of_row.label);
    }
    for column in tile.cells.iter_mut() {
        for ((cell, &factor), &share) in column.iter_mut().zip(&factor).zip(&share) {
            *cell = factor * *cell - share;
        }
    }
    TileFound { value, label }
}

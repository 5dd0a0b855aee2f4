//! Softmax cross-entropy of a label with shifted logits: the CPU implementation of
//! `shaders/templates/rowwise/softmax_shifted.wgsl`.

use crate::cpu::real::{Real, single};
use crate::cpu::simd;
use crate::templates::rowwise::Rowwise;
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Row, Rows};
use crate::templates::rowwise::tiles::{SHORT, TILE, Tile, TileFound, are_short, label_tiles};

/// How the logits of a row are shifted, from a number of each class, 1 without that input.
pub(crate) trait Shift {
    /// Factor of the shifted logits.
    fn scale(&self) -> f64;

    /// Added to the logit of a class.
    fn shift<R: Real>(&self, number: R) -> R;

    /// Also subtracted from the logit of the label, from its own number and the smallest above 0.
    #[inline(always)]
    fn label_shift<R: Real>(&self, _number: R, _least: R) -> R {
        R::ZERO
    }

    /// True if `label_shift` reads the smallest number.
    const USES_LEAST: bool = false;
}

/// Value of a row; writes the scaled derivative to `gradient`.
#[inline(always)]
pub(crate) fn row<R: Real, S: Shift>(
    shift: &S,
    row: &Row<'_, R, usize>,
    upstream: R,
    gradient: &mut [R],
) -> R {
    let label = row.target;
    let gradient = &mut gradient[..row.logits.len()];
    let scale = R::new(shift.scale());
    let alike = shift.shift(R::ONE);
    let shift_of = |column: usize| {
        if row.has_class_weight() { shift.shift(row.class_weight(column)) } else { alike }
    };
    // By slices alone where there is nothing to look up: such a loop is vectorised.
    let is_simple = !row.has_class_mask() && !row.has_class_weight();
    if is_simple {
        gradient.iter_mut().zip(row.logits).for_each(|(z, &x)| *z = x + alike);
    } else {
        for (column, (z, &x)) in gradient.iter_mut().zip(row.logits).enumerate() {
            let added = shift_of(column);
            let is_closed = !row.keeps(column) || added == R::NEG_INFINITY;
            *z = R::select(is_closed, R::NEG_INFINITY, x + added);
        }
    }
    let least = if S::USES_LEAST { least_number(row) } else { R::ONE };
    let own = gradient[label];
    let is_open = own != R::NEG_INFINITY;
    gradient[label] = R::NEG_INFINITY;
    let maximum = simd::maximum(gradient);
    let is_alone = maximum == R::NEG_INFINITY;
    // If every class is masked, any finite number avoids (−∞) − (−∞).
    let maximum = R::select(is_alone, R::select(is_open, own, R::ZERO), maximum);
    // Subtracted before the scale, whose products would round as much as large logits differ.
    // Relative to the largest of the others, and to the label where that is ahead or alone.
    let margin = shift.label_shift(row.class_weight(label), least);
    let above = scale * ((own - maximum) - margin);
    let leads = is_alone || above > R::ZERO;
    let lead = R::select(is_open && leads, above, R::ZERO);
    for z in gradient.iter_mut() {
        *z = scale * (*z - maximum);
    }
    let others = simd::exp_in_place(gradient, lead);
    // Not above − lead, which is ∞ − ∞ where the scale overflows.
    let below = R::select(is_open, R::select(leads, R::ZERO, above), R::NEG_INFINITY);
    let label_exp = R::select(is_open, below.exp(), R::ZERO);
    let total = others + label_exp;
    let log_total = R::select(label_exp == R::ONE, others.ln_1p(), total.ln());
    let log_total = R::select(total == R::ZERO, R::ZERO, log_total);
    let inverse = R::select(total == R::ZERO, R::ZERO, R::ONE / total);
    let factor = upstream * scale * inverse;
    // A masked class has derivative 0 even in a row that is NaN.
    if is_simple {
        for (cell, &x) in gradient.iter_mut().zip(row.logits) {
            *cell = R::select(x == R::NEG_INFINITY, R::ZERO, factor * *cell);
        }
    } else {
        for (column, (cell, &x)) in gradient.iter_mut().zip(row.logits).enumerate() {
            let is_closed = x == R::NEG_INFINITY
                || !row.keeps(column)
                || row.has_class_weight() && shift_of(column) == R::NEG_INFINITY;
            *cell = R::select(is_closed, R::ZERO, factor * *cell);
        }
    }
    gradient[label] = R::select(is_open, -factor * others, R::ZERO);
    log_total - below
}

/// Value and gradient of short rows as in [`row`], many rows at once; false if the rows are not
/// short or a number takes a class out.
#[inline(always)]
pub(crate) fn short_rows<L>(
    loss: &L,
    rows: &Rows<'_, f32, &[i32]>,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
) -> bool
where
    L: Shift + for<'a> Rowwise<Target<'a, f32> = usize>,
{
    let columns = rows.columns;
    let numbers = rows.class_weight;
    if !are_short(rows) || columns < 2 || numbers.iter().any(|x| !(*x > 0.0 && x.is_finite())) {
        return false;
    }
    let least = numbers.iter().fold(f32::MAX, |least, &x| if x < least { x } else { least });
    let (mut shifts, mut margins) = ([0.0; SHORT], [0.0; SHORT]);
    for column in 0..columns {
        let number = numbers.get(column).copied().unwrap_or(1.0);
        shifts[column] = loss.shift(number);
        let least = if L::USES_LEAST && !numbers.is_empty() { least } else { 1.0 };
        margins[column] = loss.label_shift(number, least);
    }
    let scale = loss.scale() as f32;
    // The numbers are no factors of the rows.
    label_tiles(
        &Rows { class_weight: &[], ..*rows },
        rows.targets,
        first,
        gradient,
        values,
        #[inline(always)]
        |tile| short_tile(tile, scale, &shifts, &margins),
        |index, gradient, value| by_itself(loss, rows, index, gradient, value),
    );
    true
}

#[inline(always)]
fn short_tile(
    mut tile: Tile<'_>,
    scale: f32,
    shifts: &[f32; SHORT],
    margins: &[f32; SHORT],
) -> TileFound {
    for (column, &shift) in tile.cells.iter_mut().zip(shifts) {
        column.iter_mut().for_each(|x| *x += shift);
    }
    let own = tile.take_labels();
    let maxima = tile.maxima();
    let (mut above, mut lead) = ([0.0; TILE], [0.0; TILE]);
    for lane in 0..TILE {
        let margin = margins[tile.labels[lane]];
        above[lane] = scale * ((own[lane] - maxima[lane]) - margin);
        lead[lane] = Real::max(above[lane], 0.0);
    }
    let mut sums = [0.0_f64; TILE];
    for column in tile.cells.iter_mut() {
        for (lane, z) in column.iter_mut().enumerate() {
            *z = single::exp_below(scale * (*z - maxima[lane]) - lead[lane]);
            sums[lane] += f64::from(*z);
        }
    }
    let (mut value, mut label, mut factor) = ([0.0; TILE], [0.0; TILE], [0.0; TILE]);
    for lane in 0..TILE {
        let below = Real::min(above[lane], 0.0);
        let label_exp = single::exp_below(below);
        let others = sums[lane] as f32;
        let total = others + label_exp;
        let log_total = f32::select(label_exp == 1.0, single::ln_1p(others), single::ln(total));
        value[lane] = log_total - below;
        factor[lane] = tile.scales[lane] * scale / total;
        label[lane] = -factor[lane] * others;
    }
    for column in tile.cells.iter_mut() {
        column.iter_mut().zip(&factor).for_each(|(cell, factor)| *cell *= factor);
    }
    TileFound { value, label }
}

/// The smallest number above 0 of the unmasked classes.
#[inline(always)]
fn least_number<R: Real>(row: &Row<'_, R, usize>) -> R {
    let mut least = R::new(f64::from(f32::MAX));
    if !row.has_class_mask() {
        if !row.has_class_weight() {
            return R::ONE;
        }
        for &number in row.class_weight {
            least = R::select(number > R::ZERO && number < least, number, least);
        }
        return least;
    }
    for column in 0..row.logits.len() {
        let number = row.class_weight(column);
        let is_less = row.keeps(column) && number > R::ZERO && number < least;
        least = R::select(is_less, number, least);
    }
    least
}

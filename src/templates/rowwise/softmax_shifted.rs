//! Softmax cross-entropy of a label with shifted logits: the CPU implementation of
//! `shaders/templates/rowwise/softmax_shifted.wgsl`.

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::templates::rowwise::rows::Row;

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
    for (column, (z, &x)) in gradient.iter_mut().zip(row.logits).enumerate() {
        let added = shift_of(column);
        let is_closed = !row.keeps(column) || added == R::NEG_INFINITY;
        *z = R::select(is_closed, R::NEG_INFINITY, x + added);
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
    let lead = R::select(is_open && (is_alone || above > R::ZERO), above, R::ZERO);
    for z in gradient.iter_mut() {
        *z = scale * (*z - maximum);
    }
    let others = simd::exp_in_place(gradient, lead);
    let below = R::select(is_open, above - lead, R::NEG_INFINITY);
    let label_exp = R::select(is_open, below.exp(), R::ZERO);
    let total = others + label_exp;
    let log_total = R::select(label_exp == R::ONE, others.ln_1p(), total.ln());
    let log_total = R::select(total == R::ZERO, R::ZERO, log_total);
    let inverse = R::select(total == R::ZERO, R::ZERO, R::ONE / total);
    let factor = upstream * scale * inverse;
    // A masked class has derivative 0 even in a row that is NaN.
    for (column, (cell, &x)) in gradient.iter_mut().zip(row.logits).enumerate() {
        let is_closed = x == R::NEG_INFINITY
            || !row.keeps(column)
            || row.has_class_weight() && shift_of(column) == R::NEG_INFINITY;
        *cell = R::select(is_closed, R::ZERO, factor * *cell);
    }
    gradient[label] = R::select(is_open, -factor * others, R::ZERO);
    log_total - below
}

/// The smallest number above 0 of the unmasked classes.
#[inline(always)]
fn least_number<R: Real>(row: &Row<'_, R, usize>) -> R {
    let mut least = R::new(f64::from(f32::MAX));
    for column in 0..row.logits.len() {
        let number = row.class_weight(column);
        let is_less = row.keeps(column) && number > R::ZERO && number < least;
        least = R::select(is_less, number, least);
    }
    least
}

//! Softmax of a row against its target: the CPU implementation of
//! `shaders/templates/rowwise/softmax_target.wgsl`.

use crate::cpu::real::{Real, single};
use crate::cpu::simd;
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Auxiliary, Row};
use crate::templates::rowwise::softmax;
use crate::templates::rowwise::softmax::label::{Derivatives, LabelRow};
use crate::templates::rowwise::target::{RowTarget, Target};
use crate::templates::rowwise::{RowsOf, Rowwise};

/// Softmax statistics that a loss is a function of; t is the target, p the probabilities.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxStatistics<R> {
    /// Σ t (lse − z): −ln p_y for a label.
    pub cross: R,
    /// Σ t p.
    pub probability: R,
    /// Σ p (1 − t): the probability off the target, accurate even as the target's probability
    /// approaches 1.
    pub rest: R,
    /// Σ t: 1 for a label and for a distribution.
    pub mass: R,
}

/// The loss and its derivatives with respect to `cross` and `rest`. A label has one degree of
/// freedom: the loss may put its whole derivative on `cross`.
#[derive(Clone, Copy, Debug)]
pub struct ValueWithPartials<R> {
    pub loss: R,
    pub cross_derivative: R,
    pub rest_derivative: R,
}

/// A loss that is a function of the softmax statistics of a row: all that its file needs to state.
pub trait OfSoftmax: Send + Sync {
    /// As [`Rowwise::Target`].
    type Target<'a, R: Real>: RowTarget<'a, R>;

    /// The loss of a row and its derivatives. Without branches, so that the fast path computes many
    /// rows at once.
    fn of_softmax<R: Real>(&self, statistics: SoftmaxStatistics<R>) -> ValueWithPartials<R>;

    /// False if rows with a label are no function of its statistics, with these options.
    #[inline(always)]
    fn has_plain_labels(&self) -> bool {
        true
    }

    /// A row that is no function of its statistics: its value, with the derivative times `scale` in
    /// `gradient`.
    #[inline(always)]
    fn own_row<'a, R: Real>(
        &self,
        _row: &Row<'a, R, Self::Target<'a, R>>,
        _scale: R,
        _gradient: &mut [R],
    ) -> Option<R> {
        None
    }
}

impl<L: OfSoftmax> Rowwise for L {
    type Target<'a, R: Real> = L::Target<'a, R>;

    #[inline(always)]
    fn row<'a, R: Real>(
        &self,
        row: &Row<'a, R, L::Target<'a, R>>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        if let Some(value) = self.own_row(row, scale, gradient) {
            return value;
        }
        self::row(
            row,
            scale,
            gradient,
            #[inline(always)]
            |statistics| self.of_softmax(statistics),
        )
    }

    #[inline(always)]
    fn plain_rows<'a>(
        &self,
        rows: &RowsOf<'a, f32, L>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        let Some(labels) = L::Target::<'a, f32>::labels(rows.targets) else { return false };
        if !rows.class_mask.is_empty() || !self.has_plain_labels() {
            return false;
        }
        softmax::label_rows(
            rows,
            labels,
            first,
            gradient,
            values,
            false,
            #[inline(always)]
            |sums, scale| derivatives(self, sums, scale),
            |index, gradient, value| by_itself(self, rows, index, gradient, value),
        );
        true
    }
}

/// What the sums of a row of a label give, as in [`of_label`].
#[inline(always)]
fn derivatives(loss: &impl OfSoftmax, row: LabelRow, scale: f32) -> Derivatives {
    let label_exp = single::exp_below(row.below);
    let total = row.others + label_exp;
    let log_total = f32::select(label_exp == 1.0, single::ln_1p(row.others), single::ln(total));
    let inverse = 1.0 / total;
    let rest = row.others * inverse;
    let statistics = SoftmaxStatistics {
        cross: log_total - row.below,
        probability: label_exp * inverse,
        rest,
        mass: 1.0,
    };
    let found = loss.of_softmax(statistics);
    let derivative = scale * combined_derivative(&statistics, &found);
    Derivatives {
        value: found.loss,
        factor: derivative * inverse,
        share: 0.0,
        label: -derivative * rest,
    }
}

/// Value of a row; writes the scaled derivative to `gradient`. The row weight is the class weight
/// of its label, or the mean of the class weights under its dense target.
#[inline(always)]
fn row<'a, R: Real>(
    row: &Row<'a, R, impl RowTarget<'a, R>>,
    scale: R,
    gradient: &mut [R],
    loss: impl Fn(SoftmaxStatistics<R>) -> ValueWithPartials<R>,
) -> R {
    let gradient = &mut gradient[..row.logits.len()];
    gradient.copy_from_slice(row.logits);
    if row.has_class_mask() {
        for (column, z) in gradient.iter_mut().enumerate() {
            *z = R::select(row.keeps(column), *z, R::NEG_INFINITY);
        }
    }
    // If every class is masked there is no maximum: any finite number avoids (−∞) − (−∞).
    let maximum = simd::maximum(gradient);
    let maximum = R::select(maximum == R::NEG_INFINITY, R::ZERO, maximum);
    match row.target.either() {
        Target::Label(label) => of_label(row, label, maximum, scale, gradient, loss),
        Target::Dense(dense) => of_dense(row, dense, maximum, scale, gradient, loss),
    }
}

#[inline(always)]
fn of_label<'a, R: Real>(
    row: &Row<'a, R, impl RowTarget<'a, R>>,
    label: usize,
    maximum: R,
    scale: R,
    gradient: &mut [R],
    loss: impl Fn(SoftmaxStatistics<R>) -> ValueWithPartials<R>,
) -> R {
    let is_open = gradient[label] != R::NEG_INFINITY;
    let below = gradient[label] - maximum;
    gradient[label] = R::NEG_INFINITY;
    let others = simd::exp_in_place(gradient, maximum);
    let label_exp = R::select(is_open, below.exp(), R::ZERO);
    let total = others + label_exp;
    let log_total = R::select(label_exp == R::ONE, others.ln_1p(), total.ln());
    let (log_total, inverse) = log_and_inverse(total, log_total);
    let rest = R::select(total == R::ZERO, R::ONE, others * inverse);
    let statistics = SoftmaxStatistics {
        cross: log_total - below,
        probability: label_exp * inverse,
        rest,
        mass: R::ONE,
    };
    let found = loss(statistics);
    let weight = row.class_weight(label);
    let derivative = scale * weight * combined_derivative(&statistics, &found);
    let factor = derivative * inverse;
    for cell in gradient.iter_mut() {
        *cell = factor * *cell;
    }
    gradient[label] = R::select(is_open, -derivative * rest, R::ZERO);
    close(row, gradient);
    R::select(weight == R::ZERO, R::ZERO, weight * found.loss)
}

#[inline(always)]
fn of_dense<'a, R: Real>(
    row: &Row<'a, R, impl RowTarget<'a, R>>,
    dense: &[R],
    maximum: R,
    scale: R,
    gradient: &mut [R],
    loss: impl Fn(SoftmaxStatistics<R>) -> ValueWithPartials<R>,
) -> R {
    // The target of a class that the mask takes out is left out.
    let kept: Vec<R>;
    let dense = if row.has_class_mask() {
        let of = |(column, &t): (usize, &R)| R::select(row.keeps(column), t, R::ZERO);
        kept = dense.iter().enumerate().map(of).collect();
        &kept[..gradient.len()]
    } else {
        &dense[..gradient.len()]
    };
    let mass = R::new(simd::sum(dense));
    // A logit of −∞ has an infinite cross-entropy, which counts only if its target is not 0.
    let dot = R::new(simd::sum_of(dense.len(), |column| {
        let (t, z) = (dense[column], gradient[column]);
        R::select(t == R::ZERO, R::ZERO, t * (z - maximum))
    }));
    let total = simd::exp_in_place(gradient, maximum);
    let (log_total, inverse) = log_and_inverse(total, total.ln());
    let inside = simd::dot(gradient, dense);
    let outside =
        R::new(simd::sum_of(dense.len(), |column| gradient[column] * (R::ONE - dense[column])));
    let rest = R::select(total == R::ZERO, R::ONE, outside * inverse);
    let statistics = SoftmaxStatistics {
        cross: mass * log_total - dot,
        probability: inside * inverse,
        rest,
        mass,
    };
    let found = loss(statistics);
    let weight = if row.has_class_weight() && mass != R::ZERO {
        R::new(simd::sum_of(dense.len(), |column| row.class_weight(column) * dense[column])) / mass
    } else {
        R::ONE
    };
    let (cross_derivative, rest_derivative) =
        (scale * weight * found.cross_derivative, scale * weight * found.rest_derivative);
    // Two differences, each exactly 0 for a single class. Differences of larger sums would leave
    // rounding errors.
    let is_near = statistics.probability > R::new(0.5);
    for (cell, &t) in gradient.iter_mut().zip(dense) {
        let p = inverse * *cell;
        let apart = R::select(is_near, (R::ONE - t) - statistics.rest, statistics.probability - t);
        *cell = cross_derivative * (p * mass - t) + rest_derivative * p * apart;
    }
    close(row, gradient);
    R::select(weight == R::ZERO, R::ZERO, weight * found.loss)
}

/// cross_derivative + rest_derivative P, written so that no digits are lost for a label probability
/// P near 0 or 1.
#[inline(always)]
fn combined_derivative<R: Real>(
    statistics: &SoftmaxStatistics<R>,
    found: &ValueWithPartials<R>,
) -> R {
    let near =
        (found.cross_derivative + found.rest_derivative) - found.rest_derivative * statistics.rest;
    let far = found.cross_derivative + found.rest_derivative * statistics.probability;
    R::select(statistics.probability > R::new(0.5), near, far)
}

/// ln Σ and 1/Σ of the exponentials; 0 for both if all classes are masked.
#[inline(always)]
fn log_and_inverse<R: Real>(total: R, log_total: R) -> (R, R) {
    (
        R::select(total == R::ZERO, R::ZERO, log_total),
        R::select(total == R::ZERO, R::ZERO, R::ONE / total),
    )
}

/// Zeroes the gradient at masked classes, even if the row's is NaN.
#[inline(always)]
fn close<'a, R: Real>(row: &Row<'a, R, impl RowTarget<'a, R>>, gradient: &mut [R]) {
    for (cell, &x) in gradient.iter_mut().zip(row.logits) {
        *cell = R::select(x == R::NEG_INFINITY, R::ZERO, *cell);
    }
    if row.has_class_mask() {
        for (column, cell) in gradient.iter_mut().enumerate() {
            *cell = R::select(row.keeps(column), *cell, R::ZERO);
        }
    }
}

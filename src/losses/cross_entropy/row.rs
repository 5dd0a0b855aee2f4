//! One row of cross-entropy: CPU implementation of `shaders/losses/cross_entropy.wgsl`. f32 rows
//! with plain labels take the fast path in `templates/rowwise/softmax` (`plain_rows`).

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::losses::cross_entropy::CrossEntropy;
use crate::losses::cross_entropy::margin::{Margin, TargetLogitTransform};
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::target::Target;
use crate::templates::rowwise::{Rowwise, RowwiseHessian, RowwiseTarget, softmax};

impl Rowwise for CrossEntropy {
    type Target<'a, R: Real> = Target<'a, R>;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R>,
        scale: R,
        gradient: &mut [R],
        auxiliary: Option<&mut Auxiliary<R>>,
    ) -> R {
        // Working buffer of the row: first the logits, then their exponentials, then the
        // derivatives.
        let gradient = &mut gradient[..row.logits.len()];
        self.write_logits(row, gradient);
        // If every class is masked there is no maximum: any finite number avoids (-inf) - (-inf).
        let maximum = simd::maximum(gradient);
        let maximum = R::select(maximum == R::NEG_INFINITY, R::ZERO, maximum);
        let target = self.target_sums(row, gradient, maximum);
        let sums = Sums::of(row, gradient, maximum, auxiliary.is_some());
        if let Some(auxiliary) = auxiliary {
            sums.report(row, auxiliary);
        }
        let z_loss = R::new(self.z_loss);
        let d_lse = R::new(2.0) * z_loss * sums.lse;
        self.write_derivatives(row, scale, gradient, &target, &sums, d_lse);
        target.mass * sums.log_total - target.dot
            + R::select(self.z_loss != 0.0, z_loss * sums.lse * sums.lse, R::ZERO)
    }

    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        let Some(labels) = softmax::plain_labels(rows) else { return false };
        if self.softcap.is_some()
            || self.temperature != 1.0
            || self.target_logit_transform.is_some()
        {
            return false;
        }
        let options = softmax::label::LabelOptions {
            smoothing: self.label_smoothing as f32,
            z_loss: self.z_loss as f32,
        };
        softmax::label_rows(
            rows,
            labels,
            first,
            gradient,
            values,
            options.smoothing != 0.0,
            #[inline(always)]
            |row, scale| row.derivatives(&options, rows.columns, scale),
            |index, gradient, value| by_itself(self, rows, index, gradient, value),
        );
        true
    }
}

impl RowwiseHessian for CrossEntropy {
    #[inline(always)]
    fn hessian_diagonal<R: Real>(&self, row: &Row<'_, R>, scale: R, hessian: &mut [R]) {
        let temperature = R::new(self.temperature);
        for (column, (z, &x)) in hessian.iter_mut().zip(row.logits).enumerate() {
            *z = R::select(row.keeps(column), x / temperature, R::NEG_INFINITY);
        }
        let maximum = simd::maximum(hessian);
        let Some(top) = hessian.iter().position(|&z| z == maximum && maximum > R::NEG_INFINITY)
        else {
            return hessian.fill(R::ZERO);
        };
        let hard = Mass::of_target(row, hessian, maximum).mass;
        let smooth = Mass::of_classes(row, hessian, maximum, self.label_smoothing != 0.0);
        let smoothing = R::new(self.label_smoothing);
        let share = R::select(smooth.cells > R::ZERO, smoothing / smooth.cells, R::ZERO);
        let mass = (R::ONE - smoothing) * hard + share * smooth.mass;
        // 1 − p cancels if p is near 1, which is only possible for the maximum: there it is the sum
        // of the others divided by the total.
        hessian[top] = R::NEG_INFINITY;
        let rest = simd::exp_in_place(hessian, maximum);
        // e⁰, but NaN if the maximum is ∞.
        hessian[top] = R::select(maximum.is_finite(), R::ONE, R::NAN);
        let total = hessian[top] + rest;
        let z_loss = R::new(2.0 * self.z_loss);
        let d_lse = mass + z_loss * (maximum + rest.ln_1p());
        let scale = scale / (temperature * temperature);
        for (column, e) in hessian.iter_mut().enumerate() {
            let p = *e / total;
            let others = R::select(column == top, rest / total, R::ONE - p);
            let is_open = row.keeps(column) && row.logits[column] != R::NEG_INFINITY;
            *e = R::select(is_open, scale * (d_lse * p * others + z_loss * p * p), R::ZERO);
        }
    }
}

impl RowwiseTarget for CrossEntropy {
    /// (1 − s) w_c (lse − z_c), 0 for a masked class.
    #[inline(always)]
    fn target_derivative<R: Real>(&self, row: &Row<'_, R>, scale: R, gradient: &mut [R]) {
        let gradient = &mut gradient[..row.logits.len()];
        self.write_logits(row, gradient);
        let maximum = simd::maximum(gradient);
        let maximum = R::select(maximum == R::NEG_INFINITY, R::ZERO, maximum);
        let total = simd::sum_of(gradient.len(), |column| {
            let z = gradient[column];
            R::select(z == R::NEG_INFINITY, R::ZERO, (z - maximum).exp())
        });
        let log_total = R::new(total).ln();
        let share = scale * R::new(1.0 - self.label_smoothing);
        for (column, cell) in gradient.iter_mut().enumerate() {
            let found = share * row.class_weight(column) * (log_total - (*cell - maximum));
            *cell = R::select(*cell == R::NEG_INFINITY, R::ZERO, found);
        }
    }
}

impl CrossEntropy {
    #[inline(always)]
    pub(super) fn label_margin(&self) -> Option<Margin> {
        let transform = self.target_logit_transform?;
        let usual = match transform {
            TargetLogitTransform::ArcFace => 0.5,
            TargetLogitTransform::CosFace => 0.35,
            TargetLogitTransform::SphereFace => 4.0,
        };
        Some(Margin { transform, size: self.margin.unwrap_or(usual) })
    }

    /// Factor of the logits.
    #[inline(always)]
    fn stretch<R: Real>(&self) -> R {
        let scale = if self.target_logit_transform.is_some() { self.scale } else { 1.0 };
        R::new(scale) / R::new(self.temperature)
    }

    #[inline(always)]
    fn scaled_logit<R: Real>(&self, x: R) -> R {
        let temperature = R::new(self.temperature);
        match self.softcap {
            Some(cap) => R::new(cap) * (x / R::new(cap)).tanh() / temperature,
            None if self.target_logit_transform.is_some() => self.stretch::<R>() * x,
            None => x / temperature,
        }
    }

    #[inline(always)]
    fn scaled_logit_derivative<R: Real>(&self, x: R) -> R {
        let temperature = R::new(self.temperature);
        match self.softcap {
            Some(cap) => {
                // 1 − tanh²u = 4e/(1 + e)², e = e^(−2|u|): the difference would cancel where tanh
                // is near 1.
                let e = (R::new(-2.0) * (x / R::new(cap)).abs()).exp();
                R::new(4.0) * e / ((R::ONE + e) * (R::ONE + e)) / temperature
            }
            None => self.stretch(),
        }
    }

    /// z: the scaled logits, −∞ for masked classes.
    #[inline(always)]
    fn write_logits<R: Real>(&self, row: &Row<'_, R>, z: &mut [R]) {
        let margin = self.label_margin();
        if self.softcap.is_none() && self.temperature == 1.0 && margin.is_none() {
            z.copy_from_slice(row.logits);
        } else {
            for (z, &x) in z.iter_mut().zip(row.logits) {
                *z = self.scaled_logit(x);
            }
        }
        if let (Some(margin), Target::Label(label)) = (margin, row.target) {
            z[label] = self.scaled_logit(margin.apply(row.logits[label]));
        }
        if row.has_class_mask() {
            for (column, z) in z.iter_mut().enumerate() {
                *z = R::select(row.keeps(column), *z, R::NEG_INFINITY);
            }
        }
    }

    /// The target after label smoothing.
    #[inline(always)]
    fn target_sums<R: Real>(&self, row: &Row<'_, R>, z: &[R], maximum: R) -> TargetSums<R> {
        let smooth = Mass::of_classes(row, z, maximum, self.label_smoothing != 0.0);
        let hard = Mass::of_target(row, z, maximum);
        let smoothing = R::new(self.label_smoothing);
        let share = R::select(smooth.cells > R::ZERO, smoothing / smooth.cells, R::ZERO);
        let mass = (R::ONE - smoothing) * hard.mass + share * smooth.mass;
        let dot = (R::ONE - smoothing) * hard.dot + share * smooth.dot;
        TargetSums { mass, dot, share }
    }

    /// Replaces the exponentials in `gradient` by the scaled derivatives.
    #[inline(always)]
    fn write_derivatives<R: Real>(
        &self,
        row: &Row<'_, R>,
        scale: R,
        gradient: &mut [R],
        target: &TargetSums<R>,
        sums: &Sums<R>,
        d_lse: R,
    ) {
        let (smoothing, share) = (R::new(self.label_smoothing), target.share);
        let factor = (target.mass + d_lse) * sums.inverse;
        match row.target {
            Target::Label(label) => {
                let q = row.class_weight(label) * ((R::ONE - smoothing) + share);
                // p_y - 1 = -others/total avoids cancellation when p_y approaches 1.
                let own = (target.mass - q) - target.mass * sums.others * sums.inverse
                    + d_lse * sums.label_exp * sums.inverse;
                self.derivatives(row, scale, gradient, |column, e| {
                    factor * e - row.class_weight(column) * share
                });
                let derivative = R::select(sums.label_is_open, own, R::ZERO);
                let x = row.logits[label];
                let derivative =
                    derivative * self.label_margin().map_or(R::ONE, |margin| margin.derivative(x));
                gradient[label] = scale * derivative * self.scaled_logit_derivative(x);
            }
            Target::Dense(dense) => {
                let dense = &dense[..gradient.len()];
                let q = |column: usize| (R::ONE - smoothing) * dense[column] + share;
                if row.has_all_classes_alike() {
                    self.derivatives(row, scale, gradient, |column, e| factor * e - q(column));
                } else {
                    self.derivatives(row, scale, gradient, |column, e| {
                        factor * e - row.class_weight(column) * q(column)
                    });
                }
            }
        }
    }

    /// Replaces e^(z − maximum) in `gradient` by the scaled derivative with respect to the input
    /// logits.
    #[inline(always)]
    fn derivatives<R: Real>(
        &self,
        row: &Row<'_, R>,
        scale: R,
        gradient: &mut [R],
        derivative: impl Fn(usize, R) -> R,
    ) {
        let plain = self.softcap.is_none() && !row.has_class_mask();
        if plain {
            let scale = scale * self.stretch::<R>();
            for (column, (cell, &x)) in gradient.iter_mut().zip(row.logits).enumerate() {
                let masked = x == R::NEG_INFINITY;
                *cell = R::select(masked, R::ZERO, scale * derivative(column, *cell));
            }
            return;
        }
        for (column, (cell, &x)) in gradient.iter_mut().zip(row.logits).enumerate() {
            let masked = !row.keeps(column) || x == R::NEG_INFINITY && self.softcap.is_none();
            *cell = R::select(
                masked,
                R::ZERO,
                scale * derivative(column, *cell) * self.scaled_logit_derivative(x),
            );
        }
    }
}

/// Sums over the target: Σ q, Σ q (z − maximum), and the smoothing of each class.
struct TargetSums<R> {
    mass: R,
    dot: R,
    share: R,
}

/// Sums of the exponentials e^(z − maximum) of a row.
struct Sums<R> {
    /// Sum over all classes except the label.
    others: R,
    /// z − maximum and its exponential for the label; −∞ and 0 without a label.
    label_below: R,
    label_exp: R,
    label_is_open: bool,
    log_total: R,
    lse: R,
    /// 1/total, or 0 if the total is 0.
    inverse: R,
    /// Σ e^(z − maximum)(z − maximum) over the others, if requested.
    below: R,
}

impl<R: Real> Sums<R> {
    /// Replaces z by its exponentials; that of the label is set to 0.
    #[inline(always)]
    fn of(row: &Row<'_, R>, z: &mut [R], maximum: R, wants_entropy: bool) -> Self {
        let (mut label_below, mut label_is_open) = (R::NEG_INFINITY, false);
        if let Target::Label(label) = row.target {
            label_below = z[label] - maximum;
            label_is_open = z[label] != R::NEG_INFINITY;
            z[label] = R::NEG_INFINITY;
        }
        let below = if wants_entropy { weighted_below(z, maximum) } else { R::ZERO };
        let others = simd::exp_in_place(z, maximum);
        let label_exp = R::select(label_below == R::NEG_INFINITY, R::ZERO, label_below.exp());
        let total = others + label_exp;
        let log_total = R::select(label_exp == R::ONE, others.ln_1p(), total.ln());
        let log_total = R::select(total == R::ZERO, R::ZERO, log_total);
        let lse = maximum + log_total;
        let inverse =
            R::select(total > R::ZERO, R::ONE / total, R::select(total.is_nan(), total, R::ZERO));
        Sums { others, label_below, label_exp, label_is_open, log_total, lse, inverse, below }
    }

    #[inline(always)]
    fn report(&self, row: &Row<'_, R>, auxiliary: &mut Auxiliary<R>) {
        let label_dot =
            R::select(self.label_exp == R::ZERO, R::ZERO, self.label_exp * self.label_below);
        auxiliary.lse = self.lse;
        auxiliary.entropy = self.log_total - (self.below + label_dot) * self.inverse;
        auxiliary.label(row, self.label_exp * self.inverse);
    }
}

/// Sum of weights, and of weights times (z − maximum).
struct Mass<R> {
    mass: R,
    dot: R,
    cells: R,
}

impl<R: Real> Mass<R> {
    /// Over the unmasked classes with their class weights: the support of label smoothing.
    #[inline(always)]
    fn of_classes(row: &Row<'_, R>, z: &[R], maximum: R, wanted: bool) -> Self {
        let mut sums = Mass { mass: R::ZERO, dot: R::ZERO, cells: R::ZERO };
        if !wanted {
            return sums;
        }
        for (column, &z) in z.iter().enumerate() {
            if z == R::NEG_INFINITY {
                continue;
            }
            let weight = row.class_weight(column);
            sums.mass += weight;
            sums.dot += weight * (z - maximum);
            sums.cells += R::ONE;
        }
        sums
    }

    /// Over the target: one cell for a label, all cells for dense targets. 0·(−∞) counts as 0.
    #[inline(always)]
    fn of_target(row: &Row<'_, R>, z: &[R], maximum: R) -> Self {
        let dot = |weight: R, z: R| R::select(weight == R::ZERO, R::ZERO, weight * (z - maximum));
        let dense = match row.target {
            Target::Label(label) => {
                let weight = row.class_weight(label);
                return Mass { mass: weight, dot: dot(weight, z[label]), cells: R::ZERO };
            }
            Target::Dense(dense) => &dense[..z.len()],
        };
        let (mass, dots) = if row.has_all_classes_alike() {
            (simd::sum(dense), simd::sum_of(z.len(), |column| dot(dense[column], z[column])))
        } else {
            // The target of a class that the mask takes out is left out.
            let weight = |column: usize| {
                R::select(row.keeps(column), row.class_weight(column) * dense[column], R::ZERO)
            };
            (
                simd::sum_of(z.len(), weight),
                simd::sum_of(z.len(), |column| dot(weight(column), z[column])),
            )
        };
        Mass { mass: R::new(mass), dot: R::new(dots), cells: R::ZERO }
    }
}

/// Σ e^(z − maximum)(z − maximum), for the entropy.
fn weighted_below<R: Real>(z: &[R], maximum: R) -> R {
    let mut sum = R::ZERO;
    for &z in z.iter().filter(|&&z| z != R::NEG_INFINITY) {
        sum += (z - maximum).exp() * (z - maximum);
    }
    sum
}

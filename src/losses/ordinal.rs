//! Ordinal regression by cumulative logits.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows, is_ignored};
use crate::templates::rowwise::tiles::SHORT;

options! {
    /// Ordinal regression: K ordered classes (stars, grades, ages), with K − 1 logits that each
    /// predict whether the label is above a class.
    ///
    /// Σ_k sp(x_k) − \[y > k\] x_k for k = 0 … K − 2, sp(x) = ln(1 + e^x): binary cross-entropy of
    /// "above class k"; derivative σ(x_k) − \[y > k\]. Predictions are logits [rows, K − 1],
    /// targets labels `[rows]` from 0 to K − 1: one class more than columns. `mean` divides by the
    /// number of rows. The predicted class is the number of logits above 0. Decreasing logits from
    /// left to right are not enforced: CORAL shares one weight vector among them.
    ///
    /// TF-Ranking `OrdinalLoss`, coral-pytorch `coral_loss`.
    /// Sources: L. Li and H.-T. Lin, Ordinal regression by extended binary classification, 2006; W.
    /// Cao, V. Mirjalili and S. Raschka, Rank consistent ordinal regression (CORAL), 2020.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, Ordinal}};
    /// use ndarray::array;
    ///
    /// let criterion = Ordinal::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0], [0.0, 0.0]], &array![1_i64, 2])?; // 3 classes
    /// assert!((step.value() - 2.0 * 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, 0.25, -0.25, -0.25]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Ordinal of "ordinal" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "ordinal",
    summary: "classes in an order, one logit for each step between them",
    formula: "Σ_k sp(x_k) − [y > k] x_k",
    options: Ordinal::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "L. Li and H.-T. Lin, Ordinal regression by extended binary classification, 2006; W. Cao et al., CORAL, 2020",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/ordinal.wgsl"),
    make: make::<Ordinal>,
};

impl LossDefinition for Ordinal {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Label, separable: true, extra_classes: 1, ..Spec::rowwise(self) }
    }
}

impl Rowwise for Ordinal {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let label = row.target;
        R::new(simd::sum_blocks(
            row.logits.len(),
            #[inline(always)]
            |range, values: &mut [R]| {
                let outputs = values.iter_mut().zip(&mut gradient[range.clone()]);
                for ((column, &x), (value, derivative)) in
                    range.clone().zip(&row.logits[range]).zip(outputs)
                {
                    // Below the label x should be large, from the label on small.
                    let sign = R::select(column < label, -R::ONE, R::ONE);
                    let (tail, high, low) = x.logistic();
                    *value = Real::max(sign * x, R::ZERO) + tail;
                    *derivative = scale * sign * R::select(sign * x >= R::ZERO, high, low);
                }
            },
        ))
    }

    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32, &[i32]>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        if rows.columns > SHORT || !rows.has_all_classes_alike() {
            return false;
        }
        short_rows(self, rows, first, gradient, values);
        true
    }
}

/// Numbers processed together: whole rows, so that one loop is long where the rows are not.
const BLOCK: usize = 1024;

#[inline(always)]
fn short_rows(
    loss: &Ordinal,
    rows: &Rows<'_, f32, &[i32]>,
    first: usize,
    gradient: &mut [f32],
    values: &mut [f32],
) {
    let columns = rows.columns;
    let at_once = BLOCK / columns;
    let mut signs = [0.0_f32; BLOCK];
    let mut terms = [0.0_f32; BLOCK];
    let pieces = gradient.chunks_mut(at_once * columns).zip(values.chunks_mut(at_once));
    for (number, (gradient, values)) in pieces.enumerate() {
        let first = first + number * at_once;
        let logits = &rows.logits[first * columns..][..gradient.len()];
        let (signs, terms) = (&mut signs[..gradient.len()], &mut terms[..gradient.len()]);
        let mut scales = [0.0_f32; BLOCK];
        for (k, signs) in signs.chunks_exact_mut(columns).enumerate() {
            let (_, scale) = rows.weight_and_scale(first + k);
            scales[k * columns..][..columns].fill(scale);
            for (column, sign) in signs.iter_mut().enumerate() {
                *sign = f32::select((column as i32) < rows.targets[first + k], -1.0, 1.0);
            }
        }
        let outputs = terms.iter_mut().zip(gradient.iter_mut());
        let inputs = logits.iter().zip(signs.iter()).zip(&scales);
        for (((&x, &sign), &scale), (term, derivative)) in inputs.zip(outputs) {
            let (tail, high, low) = Real::logistic(x);
            *term = Real::max(sign * x, 0.0) + tail;
            *derivative = scale * sign * f32::select(sign * x >= 0.0, high, low);
        }
        let outputs = gradient.chunks_exact_mut(columns).zip(values);
        for (k, (terms, (gradient, value))) in terms.chunks_exact(columns).zip(outputs).enumerate()
        {
            let index = first + k;
            let sum = terms.iter().fold(0.0, |sum, &term| sum + f64::from(term)) as f32;
            *value = rows.weight_and_scale(index).0 * sum;
            let counts = rows.keeps(index) && !is_ignored(rows.ignored, rows.targets[index]);
            if !(counts && sum.is_finite()) {
                by_itself(loss, rows, index, gradient, value);
            }
        }
    }
}

//! Multi-label soft margin loss.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Multi-label soft margin: binary cross-entropy of each class, averaged over the classes of a
    /// row.
    ///
    /// (1/C) Σ_c w_c (p_c t_c sp(−x_c) + (1 − t_c) sp(x_c)), sp(x) = ln(1 + e^x), C the number of
    /// unmasked classes, w the input `class_weight`, p the input `pos_weight`, the weight of the
    /// positive class (both default to 1); derivative (w_c/C)((1 − t_c)σ(x_c) − p_c t_c σ(−x_c)).
    /// With reduction `mean` this is [`crate::losses::BceWithLogits`] with the same `pos_weight`.
    /// Predictions are logits, targets from 0 to 1, both [rows, classes]. `none` gives one value
    /// per row, `mean` divides by the number of rows.
    ///
    /// PyTorch `MultiLabelSoftMarginLoss`.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, MultilabelSoftMargin}};
    /// use ndarray::array;
    ///
    /// let criterion = MultilabelSoftMargin::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![[1.0, 0.0]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, 0.25]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct MultilabelSoftMargin of "multilabel_soft_margin" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "multilabel_soft_margin",
    summary: "each class by itself: tags, of which a sample may have many",
    formula: "(1/C) Σ w_c (p_c t_c sp(−x_c) + (1 − t_c) sp(x_c))",
    options: MultilabelSoftMargin::OPTIONS,
    torch: "MultiLabelSoftMarginLoss",
    keras: "",
    optax: "",
    source: "J. Berkson, Application of the logistic function to bio-assay, 1944",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/multilabel_soft_margin.wgsl"),
    make: make::<MultilabelSoftMargin>,
};

impl LossDefinition for MultilabelSoftMargin {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Probability,
            inputs: &[CLASS_WEIGHT, POS_WEIGHT, CLASS_MASK],
            ..Spec::rowwise(self)
        }
    }
}

impl Rowwise for MultilabelSoftMargin {
    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let dense = row.target;
        if row.has_all_classes_alike() {
            return cells(
                row.logits,
                dense,
                scale,
                gradient,
                R::new(row.logits.len() as f64),
                |_| Class::alike(),
            );
        }
        let kept = (0..row.logits.len()).filter(|&column| row.keeps(column)).count();
        let class = |column| Class {
            keeps: row.keeps(column),
            weight: row.class_weight(column),
            positive: row.pos_weight(column),
        };
        cells(row.logits, dense, scale, gradient, R::new(kept as f64), class)
    }
}

/// Mask and weight of a class; `positive` is the additional weight of its positive side.
struct Class<R> {
    keeps: bool,
    weight: R,
    positive: R,
}

impl<R: Real> Class<R> {
    #[inline(always)]
    fn alike() -> Self {
        Class { keeps: true, weight: R::ONE, positive: R::ONE }
    }
}

/// Processes the cells of a row.
#[inline(always)]
fn cells<R: Real>(
    logits: &[R],
    truths: &[R],
    scale: R,
    gradient: &mut [R],
    classes: R,
    class: impl Fn(usize) -> Class<R>,
) -> R {
    let share = R::select(classes == R::ZERO, R::ZERO, R::ONE / classes);
    let total = R::new(simd::sum_blocks(
        logits.len(),
        #[inline(always)]
        |range, values: &mut [R]| {
            let inputs = logits[range.clone()].iter().zip(&truths[range.clone()]);
            let outputs = values.iter_mut().zip(&mut gradient[range.clone()]);
            for ((column, (value, derivative)), (&x, &truth)) in range.zip(outputs).zip(inputs) {
                let Class { keeps, weight, positive } = class(column);
                let positive = positive * truth;
                let (tail, high, low) = x.logistic();
                let is_positive = x >= R::ZERO;
                let (up, down) =
                    (R::select(is_positive, high, low), R::select(is_positive, low, high));
                // A side of weight 0 contributes 0, even at ±∞.
                let side = |part: R, x: R| {
                    R::select(part == R::ZERO, R::ZERO, part * (x.max(R::ZERO) + tail))
                };
                let cost = side(weight * positive, -x) + side(weight * (R::ONE - truth), x);
                *value = R::select(keeps, cost, R::ZERO);
                let d_logit = scale * share * weight * ((R::ONE - truth) * up - positive * down);
                *derivative = R::select(keeps, d_logit, R::ZERO);
            }
        },
    ));
    share * total
}

//! Total variation distance.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Total variation distance of predicted probabilities p from t: the largest difference in the
    /// probability of any event.
    ///
    /// Per row ½ Σ w_c |p_c − t_c|, w the input `class_weight`; derivative (w_c/2) sign(p_c − t_c),
    /// 0 where they are equal. Predictions (probabilities after a softmax, not logarithms) and
    /// targets are [rows, classes]. `mean` and `batch_mean` divide by the number of rows.
    ///
    /// Liger `LigerTVDLoss`, whose default is `batch_mean` and whose derivative is −½ where p = t.
    /// Source: B. Wen, Z. Li, W. Du and L. Mou, f-divergence minimization for sequence-level
    /// knowledge distillation, 2023.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, TotalVariation}};
    /// use ndarray::array;
    ///
    /// let criterion = TotalVariation::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.75, 0.25, 0.0]], &array![[0.5, 0.5, 0.0]])?;
    /// assert_eq!(step.value(), 0.25);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.5, -0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct TotalVariation of "total_variation" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "total_variation",
    summary: "half the absolute difference of two distributions: distillation without logarithms",
    formula: "½ Σ w_c |p_c − t_c|",
    options: TotalVariation::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "B. Wen et al., f-divergence minimization for sequence-level knowledge distillation, 2023",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/total_variation.wgsl"),
    make: make::<TotalVariation>,
};

impl LossDefinition for TotalVariation {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Probability,
            targets: Domain::Distribution,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            separable: true,
            ..Spec::rowwise(self)
        }
    }
}

impl Rowwise for TotalVariation {
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
            return cells(row.logits, dense, scale, gradient, |_| R::ONE);
        }
        cells(row.logits, dense, scale, gradient, |column| row.kept_weight(column))
    }
}

#[inline(always)]
fn cells<R: Real>(
    predictions: &[R],
    truths: &[R],
    scale: R,
    gradient: &mut [R],
    weight: impl Fn(usize) -> R,
) -> R {
    R::new(simd::sum_blocks(
        predictions.len(),
        #[inline(always)]
        |range, values: &mut [R]| {
            let inputs = predictions[range.clone()].iter().zip(&truths[range.clone()]);
            let outputs = values.iter_mut().zip(&mut gradient[range.clone()]);
            for ((column, (value, derivative)), (&p, &t)) in range.zip(outputs).zip(inputs) {
                let half = R::new(0.5) * weight(column);
                *value = R::select(half == R::ZERO, R::ZERO, half * (p - t).abs());
                *derivative = R::select(half == R::ZERO, R::ZERO, scale * half * (p - t).sign());
            }
        },
    ))
}

//! Generalized Kullback–Leibler divergence.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Generalized Kullback–Leibler divergence of the targets t from predictions given as logarithms
    /// x, where neither need sum to 1: the I-divergence, the Bregman divergence of t ln t − t.
    ///
    /// Per row Σ w_c (t_c(ln t_c − x_c) − t_c + e^x_c), e^x_c where t_c = 0, w the input
    /// `class_weight`; derivative w_c(e^x_c − t_c). 0 exactly where e^x = t. Both are [rows,
    /// classes], targets at least 0. `mean` divides by the number of rows. Of two distributions it
    /// is [`crate::losses::KlDiv`] with `batch_mean`, but its derivative also keeps e^x from growing.
    ///
    /// optax `generalized_kl_divergence`.
    /// Source: L. M. Bregman, The relaxation method of finding the common point of convex sets,
    /// 1967.
    ///
    /// ```
    /// use gradus::{Device, losses::{GeneralizedKl, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = GeneralizedKl::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![[1.0, 2.0]])?;
    /// assert!((step.value() - (2.0 * 2.0_f64.ln() - 1.0)).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, -1.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct GeneralizedKl of "generalized_kl" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "generalized_kl",
    summary: "Kullback-Leibler divergence of amounts that need not sum to 1",
    formula: "Σ t(ln t − x) − t + eˣ",
    options: GeneralizedKl::OPTIONS,
    torch: "",
    keras: "",
    optax: "generalized_kl_divergence",
    source: "L. M. Bregman, The relaxation method of finding the common point of convex sets, 1967",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/generalized_kl.wgsl"),
    make: make::<GeneralizedKl>,
};

impl LossDefinition for GeneralizedKl {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Exponent,
            targets: Domain::NonNegative,
            separable: true,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            ..Spec::rowwise(self)
        }
    }
}

impl Rowwise for GeneralizedKl {
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
    logits: &[R],
    truths: &[R],
    scale: R,
    gradient: &mut [R],
    weight: impl Fn(usize) -> R,
) -> R {
    R::new(simd::sum_blocks(
        logits.len(),
        #[inline(always)]
        |range, values: &mut [R]| {
            let inputs = logits[range.clone()].iter().zip(&truths[range.clone()]);
            let outputs = values.iter_mut().zip(&mut gradient[range.clone()]);
            for ((column, (value, derivative)), (&x, &t)) in range.zip(outputs).zip(inputs) {
                let mass = x.exp();
                let d = x - t.ln();
                // t (e^d − 1 − d): the difference cancels near 0.
                let near = t * d * d * after_linear(d);
                let far = (mass - t) - t * d;
                let found = R::select(d.abs() < R::new(0.5), near, far);
                let is_mass = t == R::ZERO || x == R::INFINITY;
                let found = R::select(is_mass, mass, found);
                let weight = weight(column);
                *value = R::select(weight == R::ZERO, R::ZERO, weight * found);
                *derivative = R::select(weight == R::ZERO, R::ZERO, scale * weight * (mass - t));
            }
        },
    ))
}

/// (e^d − 1 − d)/d² for |d| < ½ by its series; the first term left out is d¹³/15!, 1e-16 of the
/// first.
#[inline(always)]
fn after_linear<R: Real>(d: R) -> R {
    let mut found = R::ZERO;
    let mut factorial = 87_178_291_200.0; // 14!
    let mut last = 14.0;
    while last >= 2.0 {
        found = R::new(1.0 / factorial) + d * found;
        factorial /= last;
        last -= 1.0;
    }
    found
}

//! Kullback–Leibler divergence.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Kullback–Leibler divergence of the targets t from predictions x given as log-probabilities.
    ///
    /// Per row Σ t(ln t − x), 0 where t = 0; derivative −t. With `log_target` the targets are
    /// log-probabilities too: Σ e^t(t − x). Both are [rows, classes]. `mean` divides by the number
    /// of elements as PyTorch does; `batch_mean`, which is the divergence itself, divides by the
    /// number of rows; `none` gives one value per row.
    ///
    /// PyTorch `KLDivLoss`, Keras `KLDivergence` (which takes probabilities), optax
    /// `kl_divergence`.
    /// Source: S. Kullback and R. A. Leibler, On information and sufficiency, 1951.
    ///
    /// ```
    /// use gradus::{Device, Reduction, losses::{KlDiv, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = KlDiv::new().on(&Device::reference())?.reduction(Reduction::BatchMean);
    /// let half = 0.5_f32.ln();
    /// let step = criterion.value_and_gradient(&array![[half, half]], &array![[1.0, 0.0]])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-7); // the logarithm of f32
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct KlDiv of "kl_div" {
        /// True if the targets are log-probabilities too.
        log_target: bool = false, "true or false" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "kl_div",
    summary: "Kullback-Leibler divergence: towards a whole distribution, as in distillation",
    formula: "Σ t(ln t − x)",
    options: KlDiv::OPTIONS,
    torch: "KLDivLoss",
    keras: "KLDivergence",
    optax: "kl_divergence",
    source: "S. Kullback and R. A. Leibler, On information and sufficiency, 1951",
    variants: &[r#"{"log_target": true}"#],
    shader: crate::runtime::wgsl::shader!("losses/kl_div.wgsl"),
    make: make::<KlDiv>,
};

impl LossDefinition for KlDiv {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::LogDistribution,
            targets: if self.log_target { Domain::LogDistribution } else { Domain::Distribution },
            separable: true,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            mean: Mean::OverElements,
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("LOG_TARGET", f64::from(u8::from(self.log_target)))]
    }
}

impl Rowwise for KlDiv {
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
        match (self.log_target, row.has_all_classes_alike()) {
            (false, true) => cells::<R, false>(row.logits, dense, scale, gradient, |_| R::ONE),
            (true, true) => cells::<R, true>(row.logits, dense, scale, gradient, |_| R::ONE),
            (false, false) => cells::<R, false>(row.logits, dense, scale, gradient, |column| {
                row.kept_weight(column)
            }),
            (true, false) => cells::<R, true>(row.logits, dense, scale, gradient, |column| {
                row.kept_weight(column)
            }),
        }
    }
}

/// Processes the cells of a row, each with its weight. The kind of targets is a compile-time
/// constant: a branch in each cell would prevent vectorisation.
#[inline(always)]
fn cells<R: Real, const LOG_TARGET: bool>(
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
            for ((column, (value, derivative)), (&x, &truth)) in range.zip(outputs).zip(inputs) {
                let (t, log_t) =
                    if LOG_TARGET { (truth.exp(), truth) } else { (truth, truth.ln()) };
                let weight = weight(column);
                *value =
                    R::select(t == R::ZERO || weight == R::ZERO, R::ZERO, weight * t * (log_t - x));
                *derivative = -scale * weight * t;
            }
        },
    ))
}

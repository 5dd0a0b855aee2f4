//! Kullback–Leibler divergence.

use crate::losses::prelude::*;

options! {
    /// Kullback–Leibler divergence of the targets t from predictions x given as log-probabilities.
    ///
    /// Per element t(ln t − x), 0 where t = 0; derivative −t. With `log_target` the targets are
    /// log-probabilities too: e^t(t − x). Both have the same shape, the distribution of a row on its
    /// last axes. The divergence of a row is the sum of its elements: `batch_mean` is the mean of
    /// the divergences, while `mean` divides by the number of elements and `none` gives one value
    /// per element, all as PyTorch does.
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
    formula: "t(ln t − x)",
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
            target_derivative: Some(TargetDerivative::Pointwise(self)),
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("LOG_TARGET", f64::from(u8::from(self.log_target)))]
    }
}

impl Pointwise for KlDiv {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let (t, log_t) = if self.log_target { (truth.exp(), truth) } else { (truth, truth.ln()) };
        // 0 ln 0 = 0, also where the prediction is −∞.
        (R::select(t == R::ZERO, R::ZERO, t * (log_t - prediction)), -t)
    }
}

impl PointwiseTarget for KlDiv {
    /// ln t − x + 1, −∞ at t = 0; of logarithms e^t (t − x + 1).
    #[inline(always)]
    fn target_derivative<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> R {
        if self.log_target {
            let t = truth.exp();
            return R::select(t == R::ZERO, R::ZERO, t * ((truth - prediction) + R::ONE));
        }
        (truth.ln() - prediction) + R::ONE
    }
}

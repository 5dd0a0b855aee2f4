//! Huber loss.

use crate::losses::prelude::*;

options! {
    /// Huber loss: quadratic for errors up to `delta`, linear beyond.
    ///
    /// With q = min(|e|, δ): ½q² + δ(|e| − q); derivative: e clipped to ±δ. Predictions and targets
    /// have the same shape; `delta` has their unit.
    ///
    /// PyTorch `HuberLoss`, Keras `Huber`, optax `huber_loss`.
    /// Source: P. J. Huber, Robust estimation of a location parameter, 1964.
    ///
    /// ```
    /// use gradus::{Device, losses::{Huber, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Huber::new().delta(1.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.5, 3.0], &array![0.0, 0.0])?;
    /// assert_eq!(step.value(), 1.3125); // (0.125 + 2.5) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.25, 0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Huber of "huber" {
        /// Error at which the loss becomes linear.
        delta: f64 = 1.0, "> 0" if |delta| delta > 0.0 && delta.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "huber",
    summary: "squared near zero, absolute beyond: regression with some outliers",
    formula: "½q² + δ(|e| − q), q = min(|e|, δ)",
    options: Huber::OPTIONS,
    torch: "HuberLoss",
    keras: "Huber",
    optax: "huber_loss",
    source: "P. J. Huber, Robust estimation of a location parameter, 1964",
    variants: &[r#"{"delta": 0.25}"#],
    shader: crate::runtime::wgsl::shader!("losses/huber.wgsl"),
    make: make::<Huber>,
};

impl LossDefinition for Huber {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("DELTA", self.delta)]
    }
}

impl Pointwise for Huber {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let delta = R::new(self.delta);
        let error = prediction - truth;
        let inside = error.abs().min(delta);
        let value = R::new(0.5) * inside * inside + delta * (error.abs() - inside);
        (value, error.clamp(-delta, delta))
    }
}

//! Smooth L1 loss.

use crate::losses::prelude::*;

options! {
    /// Smooth L1: Huber loss divided by its threshold, so that the linear part has slope 1.
    ///
    /// With q = min(|e|, β): ½q²/β + |e| − q; derivative: e/β clipped to ±1. `beta` 0 is the
    /// absolute error.
    ///
    /// PyTorch `SmoothL1Loss`. Source: R. Girshick, Fast R-CNN, 2015.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, SmoothL1}};
    /// use ndarray::array;
    ///
    /// let criterion = SmoothL1::new().beta(0.5).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.25, 3.0], &array![0.0, 0.0])?;
    /// assert_eq!(step.value(), 1.40625); // (0.0625 + 2.75) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.25, 0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct SmoothL1 of "smooth_l1" {
        /// Error at which the loss becomes linear; 0 is mae.
        beta: f64 = 1.0, ">= 0" if |beta| beta >= 0.0 && beta.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "smooth_l1",
    summary: "Huber's loss with slope 1 outside: box regression",
    formula: "½q²/β + |e| − q, q = min(|e|, β)",
    options: SmoothL1::OPTIONS,
    torch: "SmoothL1Loss",
    keras: "",
    optax: "",
    source: "R. Girshick, Fast R-CNN, 2015",
    variants: &[r#"{"beta": 0.5}"#, r#"{"beta": 0.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/smooth_l1.wgsl"),
    make: make::<SmoothL1>,
};

impl LossDefinition for SmoothL1 {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("BETA", self.beta)]
    }
}

impl Pointwise for SmoothL1 {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        if self.beta == 0.0 {
            return (error.abs(), error.sign());
        }
        let beta = R::new(self.beta);
        let inside = error.abs().min(beta);
        let value = R::new(0.5) * inside * inside / beta + (error.abs() - inside);
        (value, (error / beta).clamp(-R::ONE, R::ONE))
    }
}

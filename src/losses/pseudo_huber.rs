//! Pseudo-Huber loss.

use crate::losses::prelude::*;

options! {
    /// Pseudo-Huber: a smooth [`super::Huber`], e²/2 for errors e far below `delta`, δ|e| far
    /// above.
    ///
    /// δ²(√(1 + (e/δ)²) − 1); derivative: e/√(1 + (e/δ)²). Predictions and targets have the same
    /// shape; `delta` has their unit.
    ///
    /// XGBoost `reg:pseudohubererror`. Source: P. Charbonnier, L. Blanc-Féraud, G. Aubert and M.
    /// Barlaud, Two deterministic half-quadratic regularization algorithms for computed
    /// imaging, 1994.
    ///
    /// ```
    /// use gradus::{Device, losses::{PseudoHuber, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = PseudoHuber::new().delta(4.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![3.0], &array![0.0])?;
    /// assert_eq!(step.value(), 4.0); // 16 (5/4 − 1)
    /// assert_eq!(step.gradient[0], 2.4); // 3 / (5/4)
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct PseudoHuber of "pseudo_huber" {
        /// Error at which the loss changes from quadratic to linear.
        delta: f64 = 1.0, "> 0" if |delta| delta > 0.0 && delta.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "pseudo_huber",
    summary: "Huber without a seam: smooth everywhere",
    formula: "δ²(√(1 + (e/δ)²) − 1)",
    options: PseudoHuber::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Charbonnier et al., Two deterministic half-quadratic regularization algorithms for computed imaging, 1994",
    variants: &[r#"{"delta": 0.25}"#],
    shader: crate::runtime::wgsl::shader!("losses/pseudo_huber.wgsl"),
    make: make::<PseudoHuber>,
};

impl LossDefinition for PseudoHuber {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("DELTA", self.delta)]
    }
}

impl Pointwise for PseudoHuber {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let delta = R::new(self.delta);
        let error = prediction - truth;
        let ratio = error.abs() / delta;
        // √(1 + r²) = s for r ≤ 1 and rs beyond, s = √(1 + m²), m = min(r, 1/r): no square
        // overflows. And √(1 + r²) − 1 = r · r/(√(1 + r²) + 1), which avoids cancellation.
        let inverse = ratio.recip();
        let smaller = R::min(ratio, inverse);
        let s = (R::ONE + smaller * smaller).sqrt();
        let beyond = ratio > R::ONE;
        let share = R::select(beyond, R::ONE / (s + smaller), ratio / (s + R::ONE));
        let derivative = R::select(beyond, delta * error.sign(), error) / s;
        (delta * error.abs() * share, derivative)
    }
}

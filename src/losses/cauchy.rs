//! Cauchy loss.

use crate::losses::prelude::*;

options! {
    /// Cauchy (Lorentzian) loss: quadratic near zero, logarithmic for large errors, so that
    /// outliers have almost no influence.
    ///
    /// ½c² ln(1 + (e/c)²) with e = prediction − target and c = `scale`; derivative: e/(1 + (e/c)²),
    /// largest at |e| = c.
    /// Predictions and targets have the same shape; `scale` has their unit.
    ///
    /// Up to a factor, Barron's general robust loss with α = 0 and scale c√2. Source: P. W. Holland
    /// and R. E. Welsch, Robust regression using iteratively reweighted least-squares, 1977.
    ///
    /// ```
    /// use gradus::{Device, losses::{Cauchy, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Cauchy::new().scale(2.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![2.0], &array![0.0])?;
    /// assert!((step.value() - 2.0 * 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient[0], 1.0); // 2 / (1 + 1)
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Cauchy of "cauchy" {
        /// Error with the largest gradient, c.
        scale: f64 = 1.0, "> 0 and <= 1e18" if |scale| scale > 0.0 && scale <= 1e18;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "cauchy",
    summary: "squared near zero, logarithmic beyond: many or gross outliers",
    formula: "½c² ln(1 + (e/c)²)",
    options: Cauchy::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. W. Holland and R. E. Welsch, Robust regression using iteratively reweighted least-squares, 1977",
    variants: &[r#"{"scale": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/cauchy.wgsl"),
    make: make::<Cauchy>,
};

impl LossDefinition for Cauchy {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("SCALE", self.scale)]
    }
}

impl Pointwise for Cauchy {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let scale = R::new(self.scale);
        let error = prediction - truth;
        let ratio = error.abs() / scale;
        // Beyond 1, ln(1 + r²) = 2 ln r + ln(1 + 1/r²), as r² may overflow; r/(1 + r²) is the same
        // for r and 1/r.
        let smaller = R::min(ratio, ratio.recip());
        let square = smaller * smaller;
        let far = R::select(ratio > R::ONE, R::new(2.0) * ratio.ln(), R::ZERO);
        let value = R::new(0.5) * scale * scale * (far + square.ln_1p());
        (value, error.sign() * scale * (smaller / (R::ONE + square)))
    }
}

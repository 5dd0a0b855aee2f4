//! Cauchy's loss.

use super::prelude::*;

options! {
    /// Cauchy's (Lorentzian) loss: squared near zero, logarithmic far out, so that far outliers hardly pull at all.
    ///
    /// ½c² ln(1 + (e/c)²) with e = prediction − target and c = `scale`; derivative: e/(1 + (e/c)²), largest at |e| = c.
    /// Predictions and targets have one shape; `scale` has their unit.
    ///
    /// Barron's general robust loss with α = 0 is this with c√2, but for a factor. Source: P. W. Holland and
    /// R. E. Welsch, Robust regression using iteratively reweighted least-squares, 1977.
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
        /// The error that pulls most.
        scale: f64 = 1.0, "> 0 and <= 1e18" if |scale| scale > 0.0 && scale <= 1e18;
    }
}

pub(super) static ENTRY: Entry<dyn Loss> = Entry {
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

impl Filling for Cauchy {
    const ENTRY: &'static Entry<dyn Loss> = &ENTRY;

    fn family(&self) -> Family<'_> {
        Family::Pointwise(self)
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
        // ln(1 + r²) = 2 ln r + ln(1 + 1/r²) beyond 1, where r² may overflow; r/(1 + r²) is the same of r and of 1/r.
        let smaller = R::min(ratio, ratio.recip());
        let square = smaller * smaller;
        let far = R::select(ratio > R::ONE, R::new(2.0) * ratio.ln(), R::ZERO);
        let value = R::new(0.5) * scale * scale * (far + square.ln_1p());
        (value, error.sign() * scale * (smaller / (R::ONE + square)))
    }
}

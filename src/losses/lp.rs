//! The p-th power of the error.

use crate::losses::prelude::*;

options! {
    /// |e|^p with e = prediction − target: [`super::Mae`] at 1, [`super::Mse`] at 2.
    ///
    /// Derivative: p |e|^(p − 1) sign e, 0 at 0. Predictions and targets have the same shape. For
    /// p < 1 the derivative is unbounded near 0.
    ///
    /// burn `LpLoss`. Source: R. Gonin and A. H. Money, Nonlinear Lp-norm estimation, 1989.
    ///
    /// ```
    /// use gradus::{Device, losses::{Lp, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Lp::new().p(3.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![2.0, -1.0], &array![0.0, 0.0])?;
    /// assert_eq!(step.value(), 4.5); // (8 + 1) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [6.0, -1.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Lp of "lp" {
        /// The power.
        p: f64 = 2.0, "> 0" if |p| p > 0.0 && p.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "lp",
    summary: "any power of the absolute error: between mae and mse, or beyond",
    formula: "|e|^p",
    options: Lp::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "R. Gonin and A. H. Money, Nonlinear Lp-norm estimation, 1989",
    variants: &[r#"{"p": 1.5}"#, r#"{"p": 1.0}"#, r#"{"p": 0.5}"#, r#"{"p": 3.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/lp.wgsl"),
    make: make::<Lp>,
};

impl LossDefinition for Lp {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("P", self.p), ("P_LESS_ONE", self.p - 1.0)]
    }
}

impl Pointwise for Lp {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        let size = error.abs();
        let power = if self.p == 2.0 { size } else { size.powf(R::new(self.p - 1.0)) };
        // At 0 and ∞ a power with a negative exponent times the error would be 0 · ∞.
        let ends = size == R::ZERO || size == R::INFINITY;
        let derivative = R::select(size == R::ZERO, R::ZERO, R::new(self.p) * power * error.sign());
        (R::select(ends, size, size * power), derivative)
    }

    #[inline(always)]
    fn with_constants<T>(&self, run: impl FnOnce(&Self) -> T) -> T {
        // The square needs no logarithm.
        if self.p == 2.0 { run(&Lp { p: 2.0 }) } else { run(self) }
    }
}

//! Logarithm of the hyperbolic cosine.

use crate::losses::prelude::*;

options! {
    /// Log-cosh, ln cosh e with e = prediction − target: e²/2 near 0, |e| − ln 2 for large errors.
    ///
    /// |e| + ln(1 + e^(−2|e|)) − ln 2; derivative: tanh e. Predictions and targets have the same
    /// shape. Smooth everywhere, with a gradient of at most 1 for outliers, as [`super::Huber`].
    ///
    /// Keras `LogCosh`, optax `log_cosh`.
    /// Source: R. Neuneier and H. G. Zimmermann, How to train neural networks, 1998.
    ///
    /// ```
    /// use gradus::{Device, losses::{LogCosh, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = LogCosh::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![2.0], &array![0.0])?;
    /// assert!((step.value() - 2.0_f64.cosh().ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient[0], 2.0_f64.tanh() as f32);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LogCosh of "log_cosh" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "log_cosh",
    summary: "smooth absolute error: regression with outliers",
    formula: "|e| + ln(1 + exp(−2|e|)) − ln 2",
    options: LogCosh::OPTIONS,
    torch: "",
    keras: "LogCosh",
    optax: "log_cosh",
    source: "R. Neuneier and H. G. Zimmermann, How to train neural networks, 1998",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/log_cosh.wgsl"),
    make: make::<LogCosh>,
};

impl LossDefinition for LogCosh {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }
}

impl Pointwise for LogCosh {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        let size = error.abs();
        // With t = e^−|e| − 1: cosh e − 1 = t²/2(1 + t), which is accurate near 0 where |e| − ln 2
        // would cancel.
        let t = (-size).exp_m1();
        let near = size < R::ONE;
        let argument =
            R::select(near, R::new(0.5) * t * t / (R::ONE + t), (R::ONE + t) * (R::ONE + t));
        let straight = R::select(near, R::ZERO, size - R::new(std::f64::consts::LN_2));
        (straight + argument.ln_1p(), error.tanh())
    }
}

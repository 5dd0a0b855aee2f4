//! Epsilon-insensitive loss of support vector regression.

use crate::losses::prelude::*;

options! {
    /// ε-insensitive loss: 0 for errors up to `epsilon`, linear beyond.
    ///
    /// [|e| − ε]₊ with e = prediction − target; derivative: sign e where |e| > ε, else 0.
    /// Predictions and targets have the same shape; `epsilon` has their unit.
    ///
    /// scikit-learn `SGDRegressor(loss="epsilon_insensitive")`, `LinearSVR`.
    /// Source: V. N. Vapnik, The nature of statistical learning theory, 1995.
    ///
    /// ```
    /// use gradus::{Device, losses::{EpsilonInsensitive, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = EpsilonInsensitive::new().epsilon(0.5).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![2.0, 0.25], &array![0.0, 0.0])?;
    /// assert_eq!(step.value(), 0.75); // (1.5 + 0) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct EpsilonInsensitive of "epsilon_insensitive" {
        /// Largest error with a loss of 0.
        epsilon: f64 = 0.1, ">= 0" if |epsilon| epsilon >= 0.0 && epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "epsilon_insensitive",
    summary: "absolute error with a free band: support vector regression",
    formula: "[|e| − ε]₊",
    options: EpsilonInsensitive::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "V. N. Vapnik, The nature of statistical learning theory, 1995",
    variants: &[r#"{"epsilon": 1.5}"#, r#"{"epsilon": 0.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/epsilon_insensitive.wgsl"),
    make: make::<EpsilonInsensitive>,
};

impl LossDefinition for EpsilonInsensitive {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon)]
    }
}

impl Pointwise for EpsilonInsensitive {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        let excess = error.abs() - R::new(self.epsilon);
        (excess.max(R::ZERO), R::select(excess > R::ZERO, error.sign(), R::ZERO))
    }
}

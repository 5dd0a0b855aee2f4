//! Squared epsilon-insensitive loss of support vector regression.

use crate::losses::prelude::*;

options! {
    /// Squared ε-insensitive loss: 0 for errors up to `epsilon`, the square of the excess beyond.
    ///
    /// [|e| − ε]₊² with e = prediction − target; derivative: 2[|e| − ε]₊ sign e. Predictions and
    /// targets have the same shape; `epsilon` has their unit.
    ///
    /// scikit-learn `SGDRegressor(loss="squared_epsilon_insensitive")`.
    /// Source: H. Drucker, C. J. C. Burges, L. Kaufman, A. Smola and V. Vapnik, Support vector
    /// regression machines, 1997.
    ///
    /// ```
    /// use gradus::{Device, losses::{SquaredEpsilonInsensitive, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = SquaredEpsilonInsensitive::new().epsilon(0.5).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![2.0, 0.25], &array![0.0, 0.0])?;
    /// assert_eq!(step.value(), 1.125); // (1.5² + 0) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [1.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct SquaredEpsilonInsensitive of "squared_epsilon_insensitive" {
        /// Largest error with a loss of 0.
        epsilon: f64 = 0.1, ">= 0" if |epsilon| epsilon >= 0.0 && epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "squared_epsilon_insensitive",
    summary: "squared error with a free band: support vector regression",
    formula: "[|e| − ε]₊²",
    options: SquaredEpsilonInsensitive::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "H. Drucker et al., Support vector regression machines, 1997",
    variants: &[r#"{"epsilon": 1.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/squared_epsilon_insensitive.wgsl"),
    make: make::<SquaredEpsilonInsensitive>,
};

impl LossDefinition for SquaredEpsilonInsensitive {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon)]
    }
}

impl Pointwise for SquaredEpsilonInsensitive {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        let excess = (error.abs() - R::new(self.epsilon)).max(R::ZERO);
        (excess * excess, R::new(2.0) * excess * error.sign())
    }
}

//! Mean squared error.

use crate::losses::prelude::*;

options! {
    /// Squared error, e² with e = prediction − target.
    ///
    /// Predictions and targets have the same shape. Sensitive to outliers: one can dominate the
    /// gradient ([`super::Huber`] bounds it).
    ///
    /// PyTorch `MSELoss`, Keras `MeanSquaredError`, optax `squared_error` (its `l2_loss` is half of
    /// it).
    /// Source: A.-M. Legendre, Nouvelles méthodes pour la détermination des orbites des
    /// comètes, 1805.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, Mse}};
    /// use ndarray::array;
    ///
    /// let criterion = Mse::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![1.0, 2.0], &array![0.0, 4.0])?;
    /// assert_eq!(step.value(), 2.5); // (1 + 4) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [1.0, -2.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Mse of "mse" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "mse",
    summary: "squared error: regression with errors of one size",
    formula: "e², e = x − y",
    options: Mse::OPTIONS,
    torch: "MSELoss",
    keras: "MeanSquaredError",
    optax: "squared_error",
    source: "A.-M. Legendre, Nouvelles méthodes pour la détermination des orbites des comètes, 1805",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/mse.wgsl"),
    make: make::<Mse>,
};

impl LossDefinition for Mse {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            hessian_diagonal: Some(HessianDiagonal::Pointwise(self)),
            target_derivative: Some(TargetDerivative::Opposite),
            ..Spec::pointwise(self)
        }
    }
}

impl Pointwise for Mse {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        (error * error, R::new(2.0) * error)
    }
}

impl PointwiseHessian for Mse {
    #[inline(always)]
    fn hessian_diagonal<R: Real>(&self, _prediction: R, _truth: R, _column_weight: R) -> R {
        R::new(2.0)
    }
}

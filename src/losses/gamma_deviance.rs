//! Deviance of the gamma distribution.

use crate::losses::prelude::*;

options! {
    /// Half the gamma deviance of a target y, up to terms that do not depend on the prediction x,
    /// the logarithm of the mean.
    ///
    /// x + y e^−x; derivative: 1 − y e^−x. Predictions and targets have the same shape; targets are
    /// above 0. Errors are relative: for claim sizes, durations, rainfall.
    ///
    /// scikit-learn `HalfGammaLoss`. Source: P. McCullagh and J. A. Nelder, Generalized linear
    /// models, 1989.
    ///
    /// ```
    /// use gradus::{Device, losses::{GammaDeviance, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = GammaDeviance::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0], &array![3.0])?;
    /// assert_eq!(step.value(), 3.0); // 0 + 3 e⁰
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-2.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct GammaDeviance of "gamma_deviance" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "gamma_deviance",
    summary: "positive targets whose spread grows with the mean: gamma likelihood",
    formula: "x + y exp(−x), x = ln of the mean",
    options: GammaDeviance::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. McCullagh and J. A. Nelder, Generalized linear models, 1989",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/gamma_deviance.wgsl"),
    make: make::<GammaDeviance>,
};

impl LossDefinition for GammaDeviance {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Exponent,
            targets: Domain::Positive,
            hessian_diagonal: Some(HessianDiagonal::Pointwise(self)),
            ..Spec::pointwise(self)
        }
    }
}

impl Pointwise for GammaDeviance {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        // Above −∞, which avoids ∞ − ∞.
        let x = prediction.max(R::new(-1e38));
        let ratio = truth * (-x).exp();
        (x + ratio, R::ONE - ratio)
    }
}

impl PointwiseHessian for GammaDeviance {
    #[inline(always)]
    fn hessian_diagonal<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> R {
        truth * (-prediction.max(R::new(-1e38))).exp()
    }
}

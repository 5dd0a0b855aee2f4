//! Quantile (pinball) loss.

use crate::losses::prelude::*;

options! {
    /// Quantile (pinball) loss: its minimum is the `quantile` of the targets, the median at ½.
    ///
    /// With d = target − prediction: q d where d > 0, (q − 1) d elsewhere; derivative: −q where the
    /// prediction is too low, 1 − q where it is too high, 0 where they are equal. Predictions and
    /// targets have the same shape.
    ///
    /// scikit-learn `PinballLoss`, `QuantileRegressor`. Source: R. Koenker and G. Bassett,
    /// Regression quantiles, 1978.
    ///
    /// ```
    /// use gradus::{Device, losses::{Quantile, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Quantile::new().quantile(0.75).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![1.0, 1.0], &array![3.0, 0.0])?;
    /// assert_eq!(step.value(), 0.875); // (1.5 + 0.25) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.375, 0.125]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Quantile of "quantile" {
        /// Fraction of targets that should be below the prediction.
        quantile: f64 = 0.5, "in (0, 1)" if |quantile| quantile > 0.0 && quantile < 1.0;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "quantile",
    summary: "pinball: predicts a quantile",
    formula: "max(q(y − x), (q − 1)(y − x))",
    options: Quantile::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "R. Koenker and G. Bassett, Regression quantiles, 1978",
    variants: &[r#"{"quantile": 0.1}"#],
    shader: crate::runtime::wgsl::shader!("losses/quantile.wgsl"),
    make: make::<Quantile>,
};

impl LossDefinition for Quantile {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("QUANTILE", self.quantile)]
    }
}

impl Pointwise for Quantile {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let quantile = R::new(self.quantile);
        let short = truth - prediction;
        let rest = R::new(1.0 - self.quantile);
        let derivative =
            R::select(short > R::ZERO, -quantile, R::select(short < R::ZERO, rest, R::ZERO));
        (-derivative * short, derivative)
    }
}

//! Deviance of the Tweedie distributions.

use crate::losses::prelude::*;

options! {
    /// Half the Tweedie deviance of a target y; x is the logarithm of the mean, `power` p the
    /// exponent of the mean in the variance.
    ///
    /// With a = 2 − p and b = 1 − p: e^(ax)/a − y e^(bx)/b + y^a/ab; derivative: e^(ax) − y e^(bx).
    /// Predictions and targets have the same shape. p = 1 is Poisson (targets from 0), 1 < p < 2
    /// has a mass at 0 and a density above (sums of claims), 2 is gamma, 3 inverse Gaussian
    /// (targets above 0 from 2 on). p = 0 would be [`super::Mse`]. The minimum is 0, at e^x = y.
    ///
    /// scikit-learn `HalfTweedieLoss`, LightGBM and XGBoost `tweedie`.
    /// Source: B. Jørgensen, Exponential dispersion models, 1987.
    ///
    /// ```
    /// use gradus::{Device, losses::{Tweedie, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Tweedie::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0, 0.0], &array![1.0, 4.0])?;
    /// assert_eq!(step.value(), 1.0); // (0 + 2 + 8 − 8) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, -1.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Tweedie of "tweedie" {
        /// Exponent p of the mean in the variance.
        power: f64 = 1.5, ">= 1" if |power| power >= 1.0 && power.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "tweedie",
    summary: "claims, rainfall: many zeros and a long tail",
    formula: "e^(ax)/a − y e^(bx)/b + y^a/ab, a = 2 − p, b = 1 − p",
    options: Tweedie::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "B. Jørgensen, Exponential dispersion models, 1987",
    variants: &[r#"{"power": 1.0}"#, r#"{"power": 1.9}"#, r#"{"power": 2.0}"#, r#"{"power": 3.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/tweedie.wgsl"),
    make: make::<Tweedie>,
};

impl LossDefinition for Tweedie {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Exponent,
            hessian_diagonal: Some(HessianDiagonal::Pointwise(self)),
            targets: if self.power < 2.0 { Domain::NonNegative } else { Domain::Positive },
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("TO_TWO", 2.0 - self.power), ("TO_ONE", 1.0 - self.power)]
    }
}

/// (e^(kd) − 1)/k, which is d for k = 0.
#[inline(always)]
fn grown<R: Real>(k: R, distance: R) -> R {
    if k == R::ZERO { distance } else { (k * distance).exp_m1() / k }
}

impl Pointwise for Tweedie {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let (a, b) = (R::new(2.0 - self.power), R::new(1.0 - self.power));
        // Finite, which avoids ∞ − ∞ and 0 · ∞.
        let x = prediction.clamp(R::new(-1e30), R::new(1e30));
        let distance = x - truth.ln();
        let scale = truth.powf(a);
        // y^a((e^(ad) − 1)/a − (e^(bd) − 1)/b), d = x − ln y: 0 at d = 0, where the original terms
        // would cancel.
        let near = scale * (grown(a, distance) - grown(b, distance));
        // y^a(e^(ad) − e^(bd)), a − b = 1.
        let derivative = scale * (b * distance).exp() * distance.exp_m1();
        let rise = (a * x).exp();
        let power_term = R::select(truth == R::ZERO, R::ZERO, truth * (b * x).exp());
        let far = if self.power == 1.0 {
            rise - R::select(truth == R::ZERO, R::ZERO, truth * (R::ONE + distance))
        } else if self.power == 2.0 {
            distance + power_term - R::ONE
        } else {
            rise / a - power_term / b + scale / (a * b)
        };
        let is_near = truth > R::ZERO && distance.abs() * (a.abs() + b.abs()) < R::new(40.0);
        (R::select(is_near, near, far), R::select(is_near, derivative, rise - power_term))
    }
}

impl PointwiseHessian for Tweedie {
    #[inline(always)]
    fn hessian_diagonal<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> R {
        let (a, b) = (R::new(2.0 - self.power), R::new(1.0 - self.power));
        let x = prediction.clamp(R::new(-1e30), R::new(1e30));
        let rise = R::select(a == R::ZERO, R::ZERO, a * (a * x).exp());
        let power_term =
            R::select(b == R::ZERO || truth == R::ZERO, R::ZERO, b * (truth * (b * x).exp()));
        rise - power_term
    }
}

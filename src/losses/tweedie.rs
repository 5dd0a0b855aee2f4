//! Deviance of the Tweedie distributions.

use serde::{Deserialize, Serialize};

use crate::losses::prelude::*;

/// What the predictions of a generalized linear model are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// The logarithm of the mean.
    #[default]
    Log,
    /// The mean itself, above 0 (any number at power 0).
    Identity,
}

options! {
    /// Half the Tweedie deviance of a target y; x is the logarithm of the mean, `power` p the
    /// exponent of the mean in the variance.
    ///
    /// With a = 2 − p and b = 1 − p: e^(ax)/a − y e^(bx)/b + y^a/ab; derivative: e^(ax) − y e^(bx).
    /// Predictions and targets have the same shape. p = 1 is Poisson (targets from 0), 1 < p < 2
    /// has a mass at 0 and a density above (sums of claims), 2 is gamma, 3 inverse Gaussian
    /// (targets above 0 from 2 on), 0 half the squared error. No distribution belongs to 0 < p < 1;
    /// up to p = 0 targets may be negative: below it their y^a counts as 0. For a y above 0 the minimum
    /// is 0, at e^x = y.
    ///
    /// With `link` `identity` the predictions are the means m: the same value at x = ln m, and its
    /// derivative m^−p (m − y); NaN for a mean that is not above 0, except at p = 0.
    ///
    /// scikit-learn `HalfTweedieLoss` (without the part of y alone) and `HalfTweedieLossIdentity`,
    /// LightGBM and XGBoost `tweedie`.
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
    ///
    /// use gradus::losses::Link; // the same of the means 1 and 1
    /// let criterion = Tweedie::new().link(Link::Identity).on(&Device::reference())?;
    /// assert_eq!(criterion.value_and_gradient(&array![1.0, 1.0], &array![1.0, 4.0])?.value(), 1.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Tweedie of "tweedie" {
        /// Exponent p of the mean in the variance.
        power: f64 = 1.5, "from -20 to 20" if |power| (-20.0..=20.0).contains(&power);
        /// Whether the predictions are logarithms of the mean or the mean.
        link: Link = Link::Log, "\"log\" or \"identity\"" if |_| true;
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
    variants: &[
        r#"{"power": 1.0}"#,
        r#"{"power": 1.9}"#,
        r#"{"power": 2.0}"#,
        r#"{"power": 3.0}"#,
        r#"{"power": 0.5}"#,
        r#"{"power": 0.0, "link": "identity"}"#,
        r#"{"power": 1.5, "link": "identity"}"#,
        r#"{"power": 2.0, "link": "identity"}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/tweedie.wgsl"),
    make: make::<Tweedie>,
};

impl LossDefinition for Tweedie {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: match self.link {
                Link::Log => Domain::Exponent,
                Link::Identity if self.power == 0.0 => Domain::Real,
                Link::Identity => Domain::Positive,
            },
            hessian_diagonal: Some(HessianDiagonal::Pointwise(self)),
            targets: if self.power <= 0.0 {
                Domain::Real
            } else if self.power < 2.0 {
                Domain::NonNegative
            } else {
                Domain::Positive
            },
            unrolled: 1,
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("TO_TWO", 2.0 - self.power),
            ("TO_ONE", 1.0 - self.power),
            ("IDENTITY", f64::from(u8::from(self.link == Link::Identity))),
        ]
    }
}

/// (e^(kd) − 1)/k, which is d for k = 0.
#[inline(always)]
fn grown<R: Real>(k: R, distance: R) -> R {
    if k == R::ZERO { distance } else { (k * distance).exp_m1() / k }
}

/// (e^(ad) − 1)/a − (e^(bd) − 1)/b for a = b + 1 and |a d|, |b d|, |d| ≤ 1, where the two terms
/// would cancel: Σ (a^(k−1) − b^(k−1)) d^k/k! from k = 2. The first term left out is below half an
/// ulp of the first.
#[inline(always)]
fn series<R: Real>(a: R, b: R, distance: R) -> R {
    let terms = if R::EPSILON > R::new(1e-10) { 11 } else { 20 };
    let (mut sum, mut coefficient, mut power) = (R::ZERO, R::ONE, b);
    let mut term = R::new(0.5) * distance * distance;
    for k in 2..=terms {
        sum += coefficient * term;
        coefficient = a * coefficient + power;
        power *= b;
        term *= distance * R::new(1.0 / f64::from(k + 1));
    }
    sum
}

impl Tweedie {
    /// Value and derivative by the logarithm of the mean.
    #[inline(always)]
    fn of_logarithm<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        // Finite, which avoids ∞ − ∞ and 0 · ∞.
        let x = prediction.clamp(R::new(-1e30), R::new(1e30));
        self.of_distance(x, x - truth.ln(), truth)
    }

    /// As [`Self::of_logarithm`] of the logarithm of a mean. Its distance to ln y comes from their
    /// ratio where they are near each other: both logarithms are rounded.
    #[inline(always)]
    fn of_mean<R: Real>(&self, mean: R, truth: R) -> (R, R) {
        let x = mean.ln().clamp(R::new(-1e30), R::new(1e30));
        let apart = mean - truth;
        let is_near = apart.abs() <= R::new(0.5) * truth;
        let distance = R::select(is_near, (apart / truth).ln_1p(), x - truth.ln());
        self.of_distance(x, distance, truth)
    }

    #[inline(always)]
    fn of_distance<R: Real>(&self, x: R, distance: R, truth: R) -> (R, R) {
        let (a, b) = (R::new(2.0 - self.power), R::new(1.0 - self.power));
        // y² of a y of any sign: with power 0 the value is half the squared error.
        let scale = if self.power == 0.0 { truth * truth } else { truth.max(R::ZERO).powf(a) };
        // y^a((e^(ad) − 1)/a − (e^(bd) − 1)/b), d = x − ln y: 0 at d = 0, where the original terms
        // would cancel.
        let steepest = R::new(1.0_f64.max((2.0 - self.power).abs()).max((1.0 - self.power).abs()));
        let risen = grown(a, distance) - grown(b, distance);
        let is_small = distance.abs() * steepest <= R::ONE;
        let near = scale * R::select(is_small, series(a, b, distance), risen);
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
        // Where both exponentials grow, one factor holds the larger part: no ∞ − ∞.
        let grows = b * x > R::ZERO && truth != R::ZERO && b != R::ZERO && a != R::ZERO;
        let (common, own) = ((b * x).exp(), x.exp());
        let far = R::select(grows, common * (own / a - truth / b) + scale / (a * b), far);
        let far_derivative = R::select(grows, common * (own - truth), rise - power_term);
        let is_near = truth > R::ZERO && distance.abs() * (a.abs() + b.abs()) < R::new(40.0);
        (R::select(is_near, near, far), R::select(is_near, derivative, far_derivative))
    }

    /// The second derivative by the logarithm of the mean.
    #[inline(always)]
    fn second_of_logarithm<R: Real>(&self, prediction: R, truth: R) -> R {
        let (a, b) = (R::new(2.0 - self.power), R::new(1.0 - self.power));
        let x = prediction.clamp(R::new(-1e30), R::new(1e30));
        let rise = R::select(a == R::ZERO, R::ZERO, a * (a * x).exp());
        let power_term =
            R::select(b == R::ZERO || truth == R::ZERO, R::ZERO, b * (truth * (b * x).exp()));
        rise - power_term
    }
}

impl Pointwise for Tweedie {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        if self.link == Link::Log {
            return self.of_logarithm(prediction, truth);
        }
        if self.power == 0.0 {
            let error = prediction - truth;
            return (R::new(0.5) * error * error, error);
        }
        let (value, derivative) = self.of_mean(prediction, truth);
        let is_mean = prediction > R::ZERO;
        (R::select(is_mean, value, R::NAN), R::select(is_mean, derivative / prediction, R::NAN))
    }
}

impl PointwiseHessian for Tweedie {
    #[inline(always)]
    fn hessian_diagonal<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> R {
        if self.link == Link::Log {
            return self.second_of_logarithm(prediction, truth);
        }
        if self.power == 0.0 {
            return R::ONE;
        }
        let x = prediction.ln();
        let bend = self.second_of_logarithm(x, truth) - self.of_mean(prediction, truth).1;
        R::select(prediction > R::ZERO, bend / prediction / prediction, R::NAN)
    }
}

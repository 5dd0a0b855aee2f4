//! Accelerated failure time: survival times of which some are only bounded.

use std::f64::consts::{LN_2, PI};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::losses::prelude::*;
use crate::templates::multi_input::cpu::MultiInput;

/// Distribution of the logarithm of a time in [`Aft`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogTime {
    /// Normal: times are log-normal.
    #[default]
    Normal,
    /// Logistic: times are log-logistic.
    Logistic,
    /// Extreme value of the smallest, F(z) = 1 − exp(−e^z): times have a Weibull distribution.
    Extreme,
}

options! {
    /// Accelerated failure time: the negative log-likelihood of a time, from its predicted logarithm,
    /// where some times are known only to lie between two bounds (censored).
    ///
    /// Inputs of one shape: `predictions` x, `lower` and, optionally, `upper` bounds of the time. With
    /// z = (ln t − x)/σ and F the `distribution` of z: −ln(F(z_upper) − F(z_lower)) where upper >
    /// lower. `upper` is ∞ where the event has not been seen until `lower` (right-censored), `lower`
    /// is 0 where it was before `upper` (left-censored). Where `upper` is missing or equals `lower`
    /// the time is exactly `lower`: −ln F′(z) + ln σ + ln t; exactly 0 gives NaN. An `upper` below
    /// its `lower` is an error, and NaN in tensors on a device, which are not read back. The
    /// derivative is −1/σ times that by z. Predict the time by e^x: its median for the symmetric distributions.
    ///
    /// XGBoost `survival:aft`, whose gradients are clipped to ±15.
    /// Source: L. J. Wei, The accelerated failure time model: a useful alternative to the Cox
    /// regression model, 1992; A. Barnwal, H. Cho and T. Hocking, Survival regression with
    /// accelerated failure time model in XGBoost, 2022.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Aft, LogTime, Loss}};
    /// use ndarray::array;
    ///
    /// // One died at time 1, the other was still alive then.
    /// let (logarithms, lower, upper) = (array![0.0, 0.0], array![1.0, 1.0], array![1.0, f32::INFINITY]);
    /// let inputs = Inputs::named("predictions", &logarithms).input("lower", &lower).input("upper", &upper);
    /// let criterion = Aft::new().distribution(LogTime::Logistic).on(&Device::reference())?;
    /// let step = criterion.evaluate(&inputs)?;
    /// assert!((step.value() - 1.5 * 2.0_f64.ln()).abs() < 1e-15); // densities ¼, chances ½
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, -0.25]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Aft of "aft" {
        /// Distribution of the logarithm of a time around its prediction.
        distribution: LogTime = LogTime::Normal, "\"normal\", \"logistic\" or \"extreme\"" if |_| true;
        /// Scale σ of the logarithm.
        sigma: f64 = 1.0, "> 0" if |sigma| sigma > 0.0 && sigma.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "aft",
    summary: "survival times, of which some are only known to be before, after or between bounds",
    formula: "−ln(F(z_upper) − F(z_lower)), z = (ln t − x)/σ",
    options: Aft::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "L. J. Wei, The accelerated failure time model, 1992; A. Barnwal et al., Survival regression with accelerated failure time model in XGBoost, 2022",
    variants: &[
        r#"{"distribution": "logistic", "sigma": 0.5}"#,
        r#"{"distribution": "extreme", "sigma": 2.0}"#,
        r#"{"sigma": 0.25}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/aft.wgsl"),
    make: make::<Aft>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "any: logarithms of times",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "lower",
        shape: "of the same shape: times, or their lower bounds",
        role: Role::Fixed,
        // 0 is a bound; an exact time of 0 has no logarithm.
        domain: Domain::Variance,
    },
    Argument {
        name: "upper",
        shape: "of the same shape: upper bounds, not below the lower; where equal, the time is exact",
        role: Role::Optional,
        domain: Domain::NonNegative,
    },
];

impl LossDefinition for Aft {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::preference(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("DISTRIBUTION", f64::from(self.distribution as u8)),
            ("SIGMA", self.sigma),
            ("LOG_SIGMA", self.sigma.ln()),
        ]
    }
}

impl Preference for Aft {
    fn check_numbers(&self, call: &MultiInput<'_, f32>) -> Result<()> {
        let (Some(upper), lower) = (call.array("upper"), call.required("lower")?) else {
            return Ok(());
        };
        let is_swapped = |unit: usize| upper.values[unit] < lower.values[unit];
        let mut counted = (0..call.units).filter(|&unit| call.weight_of(unit).is_some());
        let Some(unit) = counted.find(|&unit| is_swapped(unit)) else { return Ok(()) };
        let rows = upper.shape.first().copied().unwrap_or(1).max(1);
        let (row, bounds) =
            (unit / (call.units / rows).max(1), (upper.values[unit], lower.values[unit]));
        Err(Error::Input {
            operation: ENTRY.name.into(),
            name: "upper".into(),
            found: format!("is {} in row {row}, below the lower bound {}", bounds.0, bounds.1),
            allowed: "it must be at least the lower bound; where both are equal the time is exact"
                .into(),
        })
    }

    /// In f64, whatever the precision: there are few times, and the probability between two bounds
    /// is a difference.
    fn terms<R: Real>(&self, [x, lower, upper, _]: [R; 4]) -> PreferenceTerms<R> {
        let (x, lower, upper) = (x.to_f64(), lower.to_f64(), upper.to_f64());
        let z = |time: f64| (time.ln() - x) / self.sigma;
        let (value, by_z) = if upper > lower {
            // From their ratio: near each other the difference of two z has few digits.
            let width = (upper / lower).ln() / self.sigma;
            self.between(z(lower), z(upper), width)
        } else if lower > 0.0 && (upper == lower || upper == 0.0) {
            let (value, by_z) = self.exact(z(lower));
            (value + self.sigma.ln() + lower.ln(), by_z)
        } else {
            (f64::NAN, f64::NAN)
        };
        PreferenceTerms { value: R::new(value), derivatives: [R::new(-by_z / self.sigma), R::ZERO] }
    }
}

impl Aft {
    /// −ln F′(z) and its derivative.
    fn exact(&self, z: f64) -> (f64, f64) {
        match self.distribution {
            LogTime::Normal => (0.5 * z * z + half_log_of_two_pi(), z),
            LogTime::Logistic => (z.abs() + 2.0 * (-z.abs()).exp().ln_1p(), (0.5 * z).tanh()),
            LogTime::Extreme => (z.exp() - z, z.exp_m1()),
        }
    }

    /// −ln(F(high) − F(low)) and its derivative when both move, for high = low + width.
    fn between(&self, low: f64, high: f64, width: f64) -> (f64, f64) {
        match self.distribution {
            LogTime::Normal => normal_between(low, high, width),
            LogTime::Logistic => {
                let value = low.softplus() + (-high).softplus() - log_of_rest(width, width.ln());
                (value, low.sigmoid() - (-high).sigmoid())
            }
            LogTime::Extreme => {
                let before = low.exp();
                let d = high.exp() * -(-width).exp_m1();
                let log_d = high + log_of_rest(width, width.ln());
                let share = if d == f64::INFINITY {
                    0.0
                } else if d < 1e-12 {
                    1.0
                } else {
                    d / d.exp_m1()
                };
                (before - log_of_rest(d, log_d), before - share)
            }
        }
    }
}

/// ln(1 − e^−d) for d > 0; `log_d` is ln d, for a d below the range of f64.
fn log_of_rest(d: f64, log_d: f64) -> f64 {
    if d < 1e-12 {
        log_d
    } else if d < LN_2 {
        (-(-d).exp_m1()).ln()
    } else {
        (-(-d).exp()).ln_1p()
    }
}

fn half_log_of_two_pi() -> f64 {
    0.5 * (2.0 * PI).ln()
}

/// −ln(Φ(high) − Φ(low)) and its derivative when both move.
fn normal_between(low: f64, high: f64, width: f64) -> (f64, f64) {
    let middle = 0.5 * low + 0.5 * high;
    if width * (1.0 + middle.abs()) < 0.02 {
        // Density in the middle times width (1 + series), where the difference would cancel. The
        // terms are Hermite's polynomials of the middle; the first left out is below 1e-20.
        let (s, m) = (width * width, middle * middle);
        let sixth = (m * m * m - 15.0 * m * m + 45.0 * m - 15.0) / 322_560.0;
        let series = s * ((m - 1.0) / 24.0 + s * ((m * m - 6.0 * m + 3.0) / 1920.0 + s * sixth));
        let last = (m * m - 10.0 * m + 15.0) / 53_760.0;
        let by_middle = middle * s * (1.0 / 12.0 + s * ((m - 3.0) / 480.0 + s * last));
        let value = 0.5 * m + half_log_of_two_pi() - width.ln() - series.ln_1p();
        return (value, middle - by_middle / (1.0 + series));
    }
    let density = |z: f64| (-0.5 * z * z - half_log_of_two_pi()).exp();
    let tail = |z: f64| if z == f64::INFINITY { 0.0 } else { density(z) * mills(z) };
    if low < 0.0 && high > 0.0 {
        let tails = tail(-low) + tail(high);
        return (-(-tails).ln_1p(), (density(low) - density(high)) / (1.0 - tails));
    }
    let (near, far) = (low.abs().min(high.abs()), low.abs().max(high.abs()));
    let exponent = if far == f64::INFINITY { far } else { 0.5 * width * (near + far) };
    let beyond = if exponent == f64::INFINITY { 0.0 } else { mills(far) * (-exponent).exp() };
    let share = mills(near) - beyond;
    let derivative = -(-exponent).exp_m1() / share;
    let value = 0.5 * near * near + half_log_of_two_pi() - share.ln();
    (value, if low < 0.0 { -derivative } else { derivative })
}

/// Mills' ratio (1 − Φ(a))/φ(a) for a ≥ 0: by Laplace's continued fraction, near 0 by the series of
/// Φ.
fn mills(a: f64) -> f64 {
    if a >= 1.5 {
        // The error falls as exp(−2a √(2n)) with the number of terms n: here below 1e-25.
        return 1.0 / (1..200).rev().fold(a, |rest, n| a + f64::from(n) / rest);
    }
    let (mut term, mut sum, mut odd) = (a, a, 1.0);
    while term > 1e-17 * sum {
        odd += 2.0;
        term *= a * a / odd;
        sum += term;
    }
    (0.5 * PI).sqrt() * (0.5 * a * a).exp() - sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of tables of the normal distribution, with the digits of f64.
    #[test]
    fn mills_ratio_is_that_of_the_tables_on_both_sides_of_its_two_forms() {
        for (a, expected) in [
            (0.0, 1.253_314_137_315_500_3),
            (1.0, 0.655_679_542_418_798_5),
            (1.499_999, 0.515_815_864_494_594_2),
            (1.5, 0.515_815_638_217_963_4),
            (3.0, 0.304_590_298_710_103_3),
            (10.0, 0.099_028_596_471_731_92),
        ] {
            let found = mills(a);
            assert!((found / expected - 1.0).abs() < 4e-15, "{a}: {found:e}");
        }
    }
}

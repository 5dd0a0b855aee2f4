//! Poisson negative log-likelihood.

use crate::losses::prelude::*;

options! {
    /// Poisson negative log-likelihood of a count y, given the logarithm of the mean (default) or
    /// the mean itself.
    ///
    /// `log_input`: e^x − yx, derivative e^x − y. Otherwise: x − y ln(x + ε), derivative
    /// 1 − y/(x + ε). `full` adds Stirling's y ln y − y + ½ ln 2πy where y > 1. Predictions and
    /// targets have the same shape; targets are not negative. A mean of 0 (x = −∞) has loss 0 for a
    /// count of 0.
    ///
    /// PyTorch `PoissonNLLLoss`, Keras `Poisson` (`log_input` off), burn `PoissonNllLoss`.
    /// Source: J. A. Nelder and R. W. M. Wedderburn, Generalized linear models, 1972.
    ///
    /// ```
    /// use gradus::{Device, losses::{PoissonNll, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = PoissonNll::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0], &array![3.0])?;
    /// assert_eq!(step.value(), 1.0); // e⁰ − 3·0
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-2.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct PoissonNll of "poisson_nll" {
        /// True if predictions are logarithms of means.
        log_input: bool = true, "true or false" if |_| true;
        /// True to add Stirling's approximation of ln y! where y > 1.
        full: bool = false, "true or false" if |_| true;
        /// Added to the mean to keep its logarithm finite if `log_input` is off.
        epsilon: f64 = 1e-8, "> 0" if |epsilon| epsilon > 0.0 && epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "poisson_nll",
    summary: "counts: Poisson likelihood",
    formula: "e^x − yx",
    options: PoissonNll::OPTIONS,
    torch: "PoissonNLLLoss",
    keras: "Poisson (log_input=False)",
    optax: "",
    source: "J. A. Nelder and R. W. M. Wedderburn, Generalized linear models, 1972",
    variants: &[
        r#"{"full": true}"#,
        r#"{"log_input": false}"#,
        r#"{"log_input": false, "full": true, "epsilon": 0.001}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/poisson_nll.wgsl"),
    make: make::<PoissonNll>,
};

impl LossDefinition for PoissonNll {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::NonNegative,
            hessian_diagonal: Some(HessianDiagonal::Pointwise(self)),
            predictions: if self.log_input { Domain::Exponent } else { Domain::Positive },
            target_derivative: Some(TargetDerivative::Pointwise(self)),
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("LOG_INPUT", f64::from(u8::from(self.log_input))),
            ("FULL", f64::from(u8::from(self.full))),
            ("EPSILON", self.epsilon),
        ]
    }
}

impl PoissonNll {
    #[inline(always)]
    fn of_logarithm<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        // e^1000 is ∞ in both precisions, and the subtracted term stays finite: no ∞ − ∞.
        let x = prediction.min(R::new(1000.0));
        let mean = x.exp();
        let reward = R::select(truth == R::ZERO, R::ZERO, truth * x);
        if !self.full {
            return (mean - reward, mean - truth);
        }
        // e^x − yx + y ln y − y = y(e^d − 1 − d), d = x − ln y: the four terms would cancel for
        // huge counts.
        let distance = x - truth.ln();
        let whole = truth * (distance.exp_m1() - distance) + stirling(truth);
        (R::select(truth > R::ONE, whole, mean - reward), mean - truth)
    }

    #[inline(always)]
    fn of_mean<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let epsilon = R::new(self.epsilon);
        let mean = prediction + epsilon;
        let (plain, derivative) = (prediction - truth * mean.ln(), R::ONE - truth / mean);
        if !self.full {
            return (plain, derivative);
        }
        // x − y − y ln(m/y) = y(r − ln(1 + r)) − ε, r = (m − y)/y, m = x + ε.
        let excess = (mean - truth) / truth;
        let near = excess.abs() <= R::new(0.5);
        let logarithm = R::select(near, excess.ln_1p(), (mean / truth).ln());
        let whole = truth * (excess - logarithm) - epsilon + stirling(truth);
        (R::select(truth > R::ONE, whole, plain), derivative)
    }
}

/// Stirling's approximation of ln y! minus (y ln y − y): ½ ln 2πy.
#[inline(always)]
fn stirling<R: Real>(y: R) -> R {
    R::new(0.5) * (R::new(std::f64::consts::TAU) * y).ln()
}

impl Pointwise for PoissonNll {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        if self.log_input {
            self.of_logarithm(prediction, truth)
        } else {
            self.of_mean(prediction, truth)
        }
    }
}

impl PointwiseHessian for PoissonNll {
    #[inline(always)]
    fn hessian_diagonal<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> R {
        let mean = prediction + R::new(self.epsilon);
        R::select(self.log_input, prediction.min(R::new(1000.0)).exp(), truth / mean / mean)
    }
}

impl PointwiseTarget for PoissonNll {
    /// −x, or −ln(x + ε); with `full` and y > 1 also ln y + 1/(2y).
    #[inline(always)]
    fn target_derivative<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> R {
        let log_mean = match self.log_input {
            true => prediction.min(R::new(1000.0)),
            false => (prediction + R::new(self.epsilon)).ln(),
        };
        let is_whole = self.full && truth > R::ONE;
        let stirling = R::select(is_whole, truth.ln() + R::new(0.5) / truth, R::ZERO);
        stirling - log_mean
    }
}

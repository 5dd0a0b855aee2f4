//! Negative log-likelihood of a normal distribution with predicted variance.

use crate::losses::prelude::*;

options! {
    /// Gaussian negative log-likelihood of a target y, from a predicted mean x and a predicted
    /// variance.
    ///
    /// ½(ln v + e²/v), e = x − y, v = max(variance, ε); `full` adds ½ ln 2π. Derivatives: e/v for
    /// `predictions`, and ½(1/v − e²/v²) for `variance`, which is nonzero below ε too, as in
    /// PyTorch. `predictions` and `targets` have the same shape; `variance` has it too, or is one
    /// number per row, `[rows]` or [rows, 1]: its gradient is then summed over the row.
    ///
    /// With `beta` above 0 value and gradients are multiplied by v^β, which is held constant: the
    /// gradients are then not the derivatives of the value. At 1 the mean is trained as by the squared
    /// error; 0.5 keeps rows of a large variance from being left aside.
    ///
    /// PyTorch `GaussianNLLLoss`, burn `GaussianNLLLoss`.
    /// Sources: D. A. Nix and A. S. Weigend, Estimating the mean and variance of the target
    /// probability distribution, 1994; M. Seitzer et al., On the pitfalls of heteroscedastic
    /// uncertainty estimation with probabilistic neural networks, 2022 (β).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{GaussianNll, Loss}};
    /// use ndarray::array;
    ///
    /// let (mean, variance, truth) = (array![3.0], array![4.0], array![1.0]);
    /// let inputs = Inputs::new(&mean, &truth).input("variance", &variance);
    /// let step = GaussianNll::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 0.5 * (4.0_f64.ln() + 1.0)).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.5]);
    /// assert_eq!(step.gradient_of("variance").unwrap().as_slice().unwrap(), [0.0]); // the variance fits
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct GaussianNll of "gaussian_nll" {
        /// True to add ½ ln 2π.
        full: bool = false, "true or false" if |_| true;
        /// Lower bound ε of the variance.
        epsilon: f64 = 1e-6, "> 0" if |epsilon| epsilon > 0.0 && epsilon.is_finite();
        /// Power β of the variance that weighs each row, without a gradient of its own.
        beta: f64 = 0.0, "in [0, 1]" if |beta| (0.0..=1.0).contains(&beta);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "gaussian_nll",
    summary: "mean and variance predicted together: how sure a prediction is",
    formula: "½(ln v + e²/v)",
    options: GaussianNll::OPTIONS,
    torch: "GaussianNLLLoss",
    keras: "",
    optax: "",
    source: "D. A. Nix and A. S. Weigend, Estimating the mean and variance of the target probability distribution, 1994; M. Seitzer et al., 2022 (beta)",
    variants: &[r#"{"full": true, "epsilon": 0.01}"#, r#"{"beta": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/gaussian_nll.wgsl"),
    make: make::<GaussianNll>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "any: the means",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "variance",
        shape: "of the predictions' shape, or one for each row: [rows] or [rows, 1]",
        role: Role::Differentiated,
        domain: Domain::Variance,
    },
    Argument {
        name: "targets",
        shape: "of the predictions' shape",
        role: Role::Fixed,
        domain: Domain::Real,
    },
];

impl LossDefinition for GaussianNll {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            target_derivative: Some(TargetDerivative::Opposite),
            ..Spec::two_input(self, ARGUMENTS)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("FULL", f64::from(u8::from(self.full))),
            ("EPSILON", self.epsilon),
            ("BETA", self.beta),
        ]
    }
}

impl TwoInput for GaussianNll {
    #[inline(always)]
    fn pair<R: Real>(&self, first: R, second: R, truth: R) -> TwoInputTerms<R> {
        let half = R::new(0.5);
        let error = first - truth;
        let variance = second.max(R::new(self.epsilon));
        let derivative = error / variance;
        // Combined before the division for accuracy where they are close; separate where the square
        // leaves the range of f32.
        let square = error * error;
        let constant = if self.full { half * R::new(std::f64::consts::TAU.ln()) } else { R::ZERO };
        let weight = if self.beta > 0.0 { variance.powf(R::new(self.beta)) } else { R::ONE };
        let share = R::select(
            square.is_finite(),
            (variance - square) / variance,
            R::ONE - error * derivative,
        );
        TwoInputTerms {
            value: weight * (half * (variance.ln() + error * derivative) + constant),
            first: weight * derivative,
            second: weight * (half * share / variance),
        }
    }

    fn derives_its_value(&self) -> bool {
        self.beta == 0.0
    }

    fn second_per_row(&self) -> bool {
        true
    }
}

//! Variance-invariance-covariance regularization.

use crate::losses::inputs::TWO_VIEWS;
use crate::losses::prelude::*;
use crate::templates::covariance::{Covariance, CovarianceRule};

options! {
    /// VICReg: two views' embeddings should be near each other, each column should vary over the
    /// batch, and different columns should not vary together.
    ///
    /// λ mean (x − y)² + μ/2 (v(x) + v(y)) + ν (c(x) + c(y)), with v the mean over the columns of
    /// [1 − √(variance + ε)]₊ and c = 1/columns Σ_(i≠j) covᵢⱼ²; variances and covariances are divided
    /// by rows − 1. `first` and `second` are [rows, columns], two views of one thing in each row;
    /// there is one value, `[1]`. The covariances of one matrix, columns², are held at once.
    ///
    /// pytorch-metric-learning `VICRegLoss`, whose mean over the columns of (x − y)² and halves of v
    /// these are, as in the authors' program; the paper's invariance is the sum over the columns, and
    /// its v has no half.
    /// Source: A. Bardes, J. Ponce and Y. LeCun, VICReg: variance-invariance-covariance
    /// regularization for self-supervised learning, 2022.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, Vicreg}};
    /// use ndarray::array;
    ///
    /// // Columns that vary enough and not together; the views are 1 apart in one column of two.
    /// let first = array![[2.0, 2.0], [2.0, -2.0], [-2.0, 2.0], [-2.0, -2.0]];
    /// let second = array![[3.0, 2.0], [3.0, -2.0], [-1.0, 2.0], [-1.0, -2.0]];
    /// let inputs = Inputs::named("first", &first).input("second", &second);
    /// let step = Vicreg::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert_eq!(step.value(), 12.5); // 25/2
    /// assert_eq!(step.gradient[[0, 0]], -6.25); // 2 · 25 · (−1)/8
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Vicreg of "vicreg" {
        /// Weight λ of the distance of the views.
        invariance_lambda: f64 = 25.0, ">= 0" if |weight| weight >= 0.0 && weight.is_finite();
        /// Weight μ of the variances.
        variance_mu: f64 = 25.0, ">= 0" if |weight| weight >= 0.0 && weight.is_finite();
        /// Weight ν of the covariances.
        covariance_v: f64 = 1.0, ">= 0" if |weight| weight >= 0.0 && weight.is_finite();
        /// Added to the variances, ε.
        epsilon: f64 = 1e-4, "> 0" if |epsilon| epsilon > 0.0 && epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "vicreg",
    summary: "two views without negatives: near each other, each column varied, none twice",
    formula: "λ mean (x − y)² + μ/2 Σ mean [1 − √(var + ε)]₊ + ν Σ 1/d Σ_(i≠j) covᵢⱼ²",
    options: Vicreg::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "A. Bardes, J. Ponce and Y. LeCun, VICReg: variance-invariance-covariance regularization for self-supervised learning, 2022",
    variants: &[
        r#"{"invariance_lambda": 1.0, "variance_mu": 2.0, "covariance_v": 0.5, "epsilon": 0.01}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/vicreg.wgsl"),
    make: make::<Vicreg>,
};

impl LossDefinition for Vicreg {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::covariance(self, TWO_VIEWS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("INVARIANCE_LAMBDA", self.invariance_lambda),
            ("VARIANCE_MU", self.variance_mu),
            ("COVARIANCE_V", self.covariance_v),
        ]
    }
}

impl Covariance for Vicreg {
    fn rule(&self) -> CovarianceRule {
        CovarianceRule { correlates: false, epsilon: self.epsilon }
    }

    fn entry<R: Real>(&self, covariance: R, is_diagonal: bool, columns: R) -> [R; 2] {
        if is_diagonal {
            return [R::ZERO; 2];
        }
        let scaled = R::new(self.covariance_v) / columns * covariance;
        [scaled * covariance, R::new(2.0) * scaled]
    }

    fn deviation<R: Real>(&self, deviation: R, columns: R) -> [R; 2] {
        // A comparison would hide NaN.
        if deviation.is_nan() {
            return [deviation; 2];
        }
        let scale = R::new(0.5 * self.variance_mu) / columns;
        let lacks = R::ONE - deviation;
        [scale * lacks.max(R::ZERO), R::select(lacks > R::ZERO, -scale, R::ZERO)]
    }

    fn apart<R: Real>(&self, difference: R, elements: R) -> [R; 2] {
        let scaled = R::new(self.invariance_lambda) / elements * difference;
        [scaled * difference, R::new(2.0) * scaled]
    }
}

//! Barlow Twins.

use crate::losses::inputs::TWO_VIEWS;
use crate::losses::prelude::*;
use crate::templates::covariance::{Covariance, CovarianceRule};

options! {
    /// Barlow Twins: the columns of two views' embeddings should correlate each with itself and not
    /// with the others, which keeps them from being the same for all.
    ///
    /// Σᵢ (1 − Cᵢᵢ)² + λ Σ_(i≠j) Cᵢⱼ², C the correlations of the columns of `first` with those of
    /// `second` over the rows: columns less their means, divided by √(variance + ε), as in a batch
    /// norm without parameters. Derivatives −2(1 − Cᵢᵢ) and 2λCᵢⱼ by C. `first` and `second` are
    /// [rows, columns], two views of one thing in each row; there is one value, `[1]`. The
    /// correlations, columns², are held at once.
    ///
    /// Lightly `BarlowTwinsLoss`.
    /// Source: J. Zbontar, L. Jing, I. Misra, Y. LeCun and S. Deny, Barlow Twins: self-supervised
    /// learning via redundancy reduction, 2021.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{BarlowTwins, Loss}};
    /// use ndarray::array;
    ///
    /// // The columns do not correlate; each does with itself.
    /// let first = array![[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
    /// let inputs = Inputs::named("first", &first).input("second", &first);
    /// let step = BarlowTwins::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// let off = 1.0 - 1.0 / (1.0 + 1e-5); // of the variance 1 + ε
    /// assert!((step.value() - 2.0 * off * off).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct BarlowTwins of "barlow_twins" {
        /// Weight λ of the correlations of different columns.
        lambda: f64 = 0.005, ">= 0" if |lambda| lambda >= 0.0 && lambda.is_finite();
        /// Added to the variances, ε.
        epsilon: f64 = 1e-5, "> 0" if |epsilon| epsilon > 0.0 && epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "barlow_twins",
    summary: "two views without negatives: columns that correlate with themselves alone",
    formula: "Σᵢ (1 − Cᵢᵢ)² + λ Σ_(i≠j) Cᵢⱼ²",
    options: BarlowTwins::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "J. Zbontar et al., Barlow Twins: self-supervised learning via redundancy reduction, 2021",
    variants: &[r#"{"lambda": 0.5, "epsilon": 0.001}"#],
    shader: crate::runtime::wgsl::shader!("losses/barlow_twins.wgsl"),
    make: make::<BarlowTwins>,
};

impl LossDefinition for BarlowTwins {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::covariance(self, TWO_VIEWS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("LAMBDA", self.lambda)]
    }
}

impl Covariance for BarlowTwins {
    fn rule(&self) -> CovarianceRule {
        CovarianceRule { correlates: true, epsilon: self.epsilon }
    }

    fn entry<R: Real>(&self, covariance: R, is_diagonal: bool, _: R) -> [R; 2] {
        let two = R::new(2.0);
        if is_diagonal {
            let off = R::ONE - covariance;
            return [off * off, -two * off];
        }
        let other = R::new(self.lambda) * covariance;
        [other * covariance, two * other]
    }
}

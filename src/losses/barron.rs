//! Barron's general loss.

use crate::losses::prelude::*;

options! {
    /// Barron's general loss: one option from the squared error to a loss without influence of
    /// outliers.
    ///
    /// b/α ((1 + r²/b)^(α/2) − 1) with e = prediction − target, r = e/c, c = `scale`, α = `alpha`, b
    /// = |α − 2|; derivative: e/c² (1 + r²/b)^(α/2 − 1). The limits are ½r² at α = 2 and ln(1 + r²/2)
    /// at α = 0. α = 1 is [`super::PseudoHuber`] over δ² = c², α = 0 [`super::Cauchy`] of scale c√2
    /// over c², α = −2 Geman and McClure's loss; at α = −10⁸ it is Welsch's 1 − exp(−r²/2) to the
    /// last digit of f32, the limit at −∞. Predictions and targets have the same shape; `scale` has
    /// their unit.
    ///
    /// `robust_loss_pytorch` `lossfun`. Source: J. T. Barron, A general and adaptive robust loss
    /// function, 2019.
    ///
    /// ```
    /// use gradus::{Device, losses::{Barron, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Barron::new().alpha(-2.0).scale(2.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![4.0], &array![0.0])?;
    /// assert!((step.value() - 1.0).abs() < 1e-15); // 2 r²/(r² + 4) of r = 2
    /// assert!((step.gradient[0] - 0.25).abs() < 1e-15); // 4/4 (1 + 4/4)^−2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Barron of "barron" {
        /// Shape α: 2 squares all errors, 1 is linear in large ones, 0 logarithmic, below bounded.
        alpha: f64 = 1.0, "from -1e8 to 8" if |alpha| (-1e8..=8.0).contains(&alpha);
        /// Size of the errors above which it is no longer quadratic, c.
        scale: f64 = 1.0, ">= 1e-15 and <= 1e15" if |scale| (1e-15..=1e15).contains(&scale);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "barron",
    summary: "a robust loss with its shape as an option: squared, Charbonnier, Cauchy, Welsch",
    formula: "b/α ((1 + (e/c)²/b)^(α/2) − 1), b = |α − 2|",
    options: Barron::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "J. T. Barron, A general and adaptive robust loss function, 2019",
    variants: &[
        r#"{"alpha": 2.0, "scale": 0.5}"#,
        r#"{"alpha": 0.0}"#,
        r#"{"alpha": -2.0, "scale": 2.0}"#,
        r#"{"alpha": -1e8}"#,
        r#"{"alpha": 1.5}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/barron.wgsl"),
    make: make::<Barron>,
};

/// An α below this is 0: its reciprocal must not overflow in f32.
const LEAST_ALPHA: f64 = 1e-12;

impl Barron {
    /// α, with the limit at 0.
    fn shape(&self) -> f64 {
        if self.alpha.abs() < LEAST_ALPHA { 0.0 } else { self.alpha }
    }

    /// b/α, 0 for an α of 0.
    fn factor(&self) -> f64 {
        if self.shape() == 0.0 { 0.0 } else { self.b() / self.shape() }
    }

    /// |α − 2|, 0 for the squared error.
    fn b(&self) -> f64 {
        let b = (self.alpha - 2.0).abs();
        if b < LEAST_ALPHA { 0.0 } else { b }
    }
}

impl LossDefinition for Barron {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            target_derivative: Some(TargetDerivative::Opposite),
            unrolled: 1,
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        let alpha = self.shape();
        vec![
            ("ALPHA", alpha),
            ("SCALE", self.scale),
            ("B", self.b()),
            ("FACTOR", self.factor()),
            ("ALPHA_LESS_ONE", alpha - 1.0),
            ("HALF_LESS_ONE", 0.5 * alpha - 1.0),
        ]
    }
}

impl Pointwise for Barron {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let (alpha, b) = (self.shape(), self.b());
        let scale = R::new(self.scale);
        let error = prediction - truth;
        let ratio = error.abs() / scale;
        if b == 0.0 {
            return (R::new(0.5) * ratio * ratio, error.sign() * (ratio / scale));
        }
        // 1 + q² is 1 + m² up to q = 1 and q² (1 + m²) beyond, m = min(q, 1/q): no square overflows.
        let root = R::new(b.sqrt());
        let q = ratio / root;
        let is_far = q > R::ONE;
        let smaller = R::min(q, q.recip());
        let near = (smaller * smaller).ln_1p();
        let far = R::select(is_far, q.ln(), R::ZERO);
        let size = R::select(is_far, q.powf(R::new(alpha - 1.0)), q);
        let inside = (R::new(0.5 * alpha - 1.0) * near).exp();
        let derivative = error.sign() * (root / scale) * size * inside;
        if alpha == 0.0 {
            return (R::new(2.0) * far + near, derivative);
        }
        let half = R::new(0.5 * alpha) * near;
        let exponent = R::new(alpha) * far + half;
        // A power less 1 has its digits where it is not near 1, the exponential less 1 where it is.
        let whole = R::select(is_far, q.powf(R::new(alpha)), R::ONE) * half.exp() - R::ONE;
        let above = R::select(exponent.abs() < R::new(0.5), exponent.exp_m1(), whole);
        (R::new(self.factor()) * above, derivative)
    }
}

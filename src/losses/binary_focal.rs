//! Focal loss of logits against binary targets.

use crate::losses::prelude::{require, *};

options! {
    /// Focal loss of a logit x against a target y: binary cross-entropy, down-weighted for
    /// well-classified elements.
    ///
    /// a q^γ (y sp(−x) + (1 − y) sp(x)), where q = yσ(−x) + (1 − y)σ(x) is the probability of the
    /// wrong class, sp(x) = ln(1 + e^x), a = αy + (1 − α)(1 − y), 1 without `alpha`. Derivative: a
    /// q^γ (γ(1 − 2y) (σ(x)σ(−x)/q) (…) + (1 − y)σ(x) − yσ(−x)). Predictions and targets have the
    /// same shape, targets are from 0 to 1.
    ///
    /// torchvision `sigmoid_focal_loss`, Keras `BinaryFocalCrossentropy(from_logits=True)`, optax
    /// `sigmoid_focal_loss`.
    /// Source: T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, Focal loss for dense object
    /// detection, 2017.
    ///
    /// ```
    /// use gradus::{Device, losses::{BinaryFocal, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = BinaryFocal::new().alpha(0.25).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0], &array![1.0])?;
    /// assert!((step.value() - 2.0_f64.ln() / 16.0).abs() < 1e-15); // ¼ · ½² · ln 2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct BinaryFocal of "binary_focal" {
        /// Focusing parameter γ: larger values down-weight well-classified elements more; 0 is
        /// binary cross-entropy.
        gamma: f64 = 2.0, ">= 0" if |gamma| gamma >= 0.0 && gamma.is_finite();
        /// Weight α of the positive class, 1 − α of the negative one; none weights both by 1.
        alpha: Option<f64> = None, "in [0, 1] or null" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "binary_focal",
    summary: "focal: few positives among many easy negatives, as in detection",
    formula: "a q^γ bce(x, y), q = 1 − p_t",
    options: BinaryFocal::OPTIONS,
    torch: "",
    keras: "BinaryFocalCrossentropy(from_logits=True)",
    optax: "sigmoid_focal_loss",
    source: "T.-Y. Lin et al., Focal loss for dense object detection, 2017",
    variants: &[
        r#"{"gamma": 2.0, "alpha": 0.25}"#,
        r#"{"gamma": 1.5}"#,
        r#"{"gamma": 0.0, "alpha": 0.75}"#,
        r#"{"gamma": 0.5}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/binary_focal.wgsl"),
    make: make::<BinaryFocal>,
};

impl LossDefinition for BinaryFocal {
    catalogued!(entry, options);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Probability, ..Spec::pointwise(self) }
    }

    fn check(&self) -> Result<()> {
        self.check_domains()?;
        let alpha = self.alpha.unwrap_or(0.0);
        require((0.0..=1.0).contains(&alpha), &ENTRY, "alpha", alpha)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("GAMMA", self.gamma), ("ALPHA", self.alpha.unwrap_or(-1.0))]
    }
}

impl Pointwise for BinaryFocal {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let (gamma, y, not_y) = (R::new(self.gamma), truth, R::ONE - truth);
        // σ and softplus of ±x, all from e = e^−|x|.
        let e = (-prediction.abs()).exp();
        let tail = e.ln_1p();
        let high = R::ONE / (R::ONE + e);
        let low = e * high;
        let is_positive = prediction >= R::ZERO;
        let (up, down) = (R::select(is_positive, high, low), R::select(is_positive, low, high));
        // A side of weight 0 contributes 0, even at ±∞.
        let side =
            |share: R, x: R| R::select(share == R::ZERO, R::ZERO, share * (x.max(R::ZERO) + tail));
        let cross = side(y, -prediction) + side(not_y, prediction);
        let wrong = not_y * up + y * down;
        // σ(x)σ(−x)/q is at most 1. A lower bound on e avoids 0/0; there q = e or is so much larger
        // that the bound has no effect.
        let (at_high, at_low) =
            (R::select(is_positive, not_y, y), R::select(is_positive, y, not_y));
        let floored = Real::max(e, R::new(1e-30));
        let share = floored * high / (at_high + at_low * floored);
        let alpha =
            self.alpha.map_or(R::ONE, |alpha| R::new(alpha) * y + R::new(1.0 - alpha) * not_y);
        let power = if self.gamma == 2.0 { wrong * wrong } else { wrong.powf(gamma) };
        let weight = alpha * power;
        // x e^−|x| is 0 well before 10⁴; beyond, the lower bound would compensate for it, and ∞ · 0
        // would be NaN.
        let derivative =
            gamma * (not_y - y) * share * cross.min(R::new(1e4)) + (not_y * up - y * down);
        (weight * cross, weight * derivative)
    }

    #[inline(always)]
    fn with_constants<T>(&self, run: impl FnOnce(&Self) -> T) -> T {
        // The usual exponent needs no logarithm.
        match self.gamma {
            2.0 => run(&BinaryFocal { gamma: 2.0, ..self.clone() }),
            _ => run(self),
        }
    }
}

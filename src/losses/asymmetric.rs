//! Asymmetric loss of many labels at once.

use crate::losses::prelude::*;

options! {
    /// Asymmetric loss of a logit x against a target y, for many labels of which few are positive:
    /// negatives are down-weighted more than positives, and very easy ones are left out.
    ///
    /// y q^γ₊ sp(−x) − (1 − y) s^γ₋ ln(1 − s) with q = σ(−x), sp(x) = ln(1 + e^x) and the shifted
    /// probability s = [σ(x) − m]₊, m = `clip`: a negative of a probability of at most m has value
    /// and derivative 0. Derivative of the first term −q^γ₊ (γ₊ σ(x) sp(−x) + q), of the second
    /// s^γ₋ σ(x) q (−γ₋ ln(1 − s)/s + 1/(1 − s)). Predictions and targets have the same shape,
    /// targets are from 0 to 1. `mean` divides by the number of elements; the authors' code sums.
    ///
    /// With both γ and m at 0 it is [`crate::losses::BceWithLogits`]. timm
    /// `AsymmetricLossMultiLabel`, whose defaults these are.
    /// Source: T. Ridnik et al., Asymmetric loss for multi-label classification, 2021.
    ///
    /// ```
    /// use gradus::{Device, losses::{Asymmetric, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Asymmetric::new().gamma_negative(2.0).clip(0.25).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0, -3.0], &array![0.0, 0.0])?;
    /// // ½ is shifted to ¼, and the second, e^-3/(1 + e^-3), is below ¼.
    /// assert!((step.value() + 0.5 * 0.75_f64.ln() / 16.0).abs() < 1e-15);
    /// assert_eq!(step.gradient[1], 0.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Asymmetric of "asymmetric" {
        /// Focusing parameter γ₊ of positives; 0 weighs all alike.
        gamma_positive: f64 = 1.0, ">= 0" if |gamma| gamma >= 0.0 && gamma.is_finite();
        /// Focusing parameter γ₋ of negatives; 0 weighs all alike.
        gamma_negative: f64 = 4.0, ">= 0" if |gamma| gamma >= 0.0 && gamma.is_finite();
        /// Shift m of the probability of negatives.
        clip: f64 = 0.05, "from 0 to below 1" if |clip| (0.0..1.0).contains(&clip);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "asymmetric",
    summary: "many labels, few of them positive: easy negatives count little or nothing",
    formula: "y q^γ₊ sp(−x) − (1 − y) s^γ₋ ln(1 − s), s = [σ(x) − m]₊",
    options: Asymmetric::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "T. Ridnik et al., Asymmetric loss for multi-label classification, 2021",
    variants: &[
        r#"{"gamma_positive": 0.0, "gamma_negative": 0.0, "clip": 0.0}"#,
        r#"{"gamma_positive": 0.5, "gamma_negative": 1.5, "clip": 0.0}"#,
        r#"{"gamma_positive": 2.0, "gamma_negative": 0.5, "clip": 0.2}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/asymmetric.wgsl"),
    make: make::<Asymmetric>,
};

impl LossDefinition for Asymmetric {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Probability, ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("GAMMA_POSITIVE", self.gamma_positive),
            ("GAMMA_NEGATIVE", self.gamma_negative),
            ("CLIP", self.clip),
        ]
    }
}

impl Pointwise for Asymmetric {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let (gamma_positive, gamma_negative) =
            (R::new(self.gamma_positive), R::new(self.gamma_negative));
        let (clip, not_truth) = (R::new(self.clip), R::ONE - truth);
        let (tail, high, low) = prediction.logistic();
        let is_positive = prediction >= R::ZERO;
        let (up, down) = (R::select(is_positive, high, low), R::select(is_positive, low, high));
        let cross = (-prediction).max(R::ZERO) + tail;
        let ease = down.powf(gamma_positive);
        // p x is 0 long before x = −10⁴; at infinity 0 times it would be NaN.
        let most = R::new(1e4);
        let positive = -ease * (gamma_positive * up * cross.min(most) + down);
        let shifted = (up - clip).max(R::ZERO);
        // 1 − s, which keeps its digits as p goes to 1.
        let rest = (down + clip).min(R::ONE);
        let (away, share) = if self.clip == 0.0 {
            (prediction.max(R::ZERO) + tail, R::ONE)
        } else {
            let near = -(-shifted).ln_1p();
            (R::select(shifted > R::new(0.5), -rest.ln(), near), down / rest)
        };
        let hardness = shifted.powf(gamma_negative);
        // The limit of −ln(1 − s)/s at 0 is 1.
        let ratio = R::select(shifted == R::ZERO, R::ONE, away.min(most) / shifted);
        let negative = hardness * (gamma_negative * (up * down) * ratio + up * share);
        let negative = R::select(shifted > R::ZERO, negative, R::ZERO);
        // A side of weight 0 contributes 0, even at ±∞.
        let side = |weight: R, cost: R| R::select(weight == R::ZERO, R::ZERO, weight * cost);
        (
            side(truth, ease * cross) + side(not_truth, hardness * away),
            truth * positive + not_truth * negative,
        )
    }
}

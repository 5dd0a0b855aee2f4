//! Binary cross-entropy of logits.

use crate::losses::prelude::*;

options! {
    /// Binary cross-entropy of a logit x against a probability y, overflow-free.
    ///
    /// p y ln(1 + e^−x) + (1 − y) ln(1 + e^x), p the input `pos_weight` (one per column, the
    /// last axis; default 1). Derivative (1 − y)σ(x) − p y σ(−x), accurate in both tails.
    /// Predictions and targets have the same shape, targets are from 0 to 1. `label_smoothing` s
    /// replaces y by (1 − s)y + s/2.
    ///
    /// PyTorch `BCEWithLogitsLoss`, Keras `BinaryCrossentropy(from_logits=True)`, optax
    /// `sigmoid_binary_cross_entropy`.
    /// Source: D. R. Cox, The regression analysis of binary sequences, 1958.
    ///
    /// ```
    /// use gradus::{Device, losses::{BceWithLogits, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = BceWithLogits::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0], &array![1.0])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-12);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct BceWithLogits of "bce_with_logits" {
        /// Label smoothing s: y becomes (1 − s)y + s/2.
        label_smoothing: f64 = 0.0, "in [0, 1]" if |s| (0.0..=1.0).contains(&s);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "bce_with_logits",
    summary: "binary cross-entropy of logits: two classes, or many labels at once",
    formula: "p y softplus(−x) + (1 − y) softplus(x)",
    options: BceWithLogits::OPTIONS,
    torch: "BCEWithLogitsLoss",
    keras: "BinaryCrossentropy(from_logits=True)",
    optax: "sigmoid_binary_cross_entropy",
    source: "D. R. Cox, The regression analysis of binary sequences, 1958",
    variants: &[r#"{"label_smoothing": 0.1}"#],
    shader: crate::runtime::wgsl::shader!("losses/bce_with_logits.wgsl"),
    make: make::<BceWithLogits>,
};

impl LossDefinition for BceWithLogits {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Probability,
            inputs: &[Input {
                name: "pos_weight",
                shape: "[columns]: weight of the positive side of each column",
            }],
            hessian_diagonal: Some(HessianDiagonal::Pointwise(self)),
            target_derivative: Some(TargetDerivative::Pointwise(self)),
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("LABEL_SMOOTHING", self.label_smoothing)]
    }
}

impl Pointwise for BceWithLogits {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        self.loss_at(prediction, truth, R::ONE)
    }

    #[inline(always)]
    fn loss_at<R: Real>(&self, prediction: R, truth: R, column_weight: R) -> (R, R) {
        let smoothing = R::new(self.label_smoothing);
        let y = truth * (R::ONE - smoothing) + R::new(0.5) * smoothing;
        let (positive, negative) = (column_weight * y, R::ONE - y);
        let (tail, high, low) = prediction.logistic();
        // A side of weight 0 contributes 0, even for an infinite logit.
        let part = |share: R, size: R| R::select(share == R::ZERO, R::ZERO, share * size);
        let value = part(positive, (-prediction).max(R::ZERO) + tail)
            + part(negative, prediction.max(R::ZERO) + tail);
        let is_positive = prediction >= R::ZERO;
        let (up, down) = (R::select(is_positive, high, low), R::select(is_positive, low, high));
        (value, negative * up - positive * down)
    }
}

impl PointwiseHessian for BceWithLogits {
    #[inline(always)]
    fn hessian_diagonal<R: Real>(&self, prediction: R, truth: R, column_weight: R) -> R {
        let smoothing = R::new(self.label_smoothing);
        let y = truth * (R::ONE - smoothing) + R::new(0.5) * smoothing;
        let (_, high, low) = prediction.logistic();
        (column_weight * y + (R::ONE - y)) * (high * low)
    }
}

impl PointwiseTarget for BceWithLogits {
    /// (1 − s)(p softplus(−x) − softplus(x)), p the weight of positives.
    #[inline(always)]
    fn target_derivative<R: Real>(&self, prediction: R, _truth: R, column_weight: R) -> R {
        let (tail, _, _) = prediction.logistic();
        let excess = column_weight - R::ONE;
        let straight = R::select(prediction > R::ZERO, -prediction, column_weight * -prediction);
        // A weight of 1 leaves −x, whose digits the two logarithms would lose.
        let bent = R::select(excess == R::ZERO, R::ZERO, excess * tail);
        R::new(1.0 - self.label_smoothing) * (straight + bent)
    }
}

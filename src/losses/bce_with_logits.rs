//! Binary cross-entropy of logits.

use super::prelude::*;

/// Binary cross-entropy of a logit x against a probability y, in the form that never overflows.
///
/// p y ln(1 + e^−x) + (1 − y) ln(1 + e^x), p the input `pos_weight` (one for each column, the last axis; 1 without).
/// Derivative (1 − y)σ(x) − p y σ(−x), which keeps its digits at both ends. Predictions and targets have one shape,
/// targets are from 0 to 1. `label_smoothing` s takes y to (1 − s)y + s/2.
///
/// PyTorch `BCEWithLogitsLoss`, Keras `BinaryCrossentropy(from_logits=True)`, optax `sigmoid_binary_cross_entropy`.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BceWithLogits {
    label_smoothing: f64,
}

pub(super) static ENTRY: Entry = Entry {
    name: "bce_with_logits",
    summary: "binary cross-entropy of logits: two classes, or many labels at once",
    formula: "p y softplus(−x) + (1 − y) softplus(x)",
    options: &[Choice { name: "label_smoothing", domain: "in [0, 1]", meaning: "takes y to (1 − s)y + s/2" }],
    inputs: &[Input { name: "pos_weight", shape: "[columns]: weight of the positive side of each column" }],
    predictions: Domain::Real,
    targets: Domain::Probability,
    torch: "BCEWithLogitsLoss",
    keras: "BinaryCrossentropy(from_logits=True)",
    optax: "sigmoid_binary_cross_entropy",
    source: "D. R. Cox, The regression analysis of binary sequences, 1958",
    variants: &[r#"{"label_smoothing": 0.1}"#],
    shader: crate::wgsl::shader!("losses/bce_with_logits.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<BceWithLogits>("bce_with_logits", ENTRY.options, options)?)),
};

impl BceWithLogits {
    /// Binary cross-entropy of logits without smoothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How far targets are drawn to ½, from 0 to 1 (default 0).
    pub fn label_smoothing(mut self, label_smoothing: f64) -> Self {
        self.label_smoothing = label_smoothing;
        self
    }
}

impl Loss for BceWithLogits {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn family(&self) -> Family<'_> {
        Family::Pointwise(self)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("LABEL_SMOOTHING", self.label_smoothing)]
    }

    fn check(&self) -> Result<()> {
        require((0.0..=1.0).contains(&self.label_smoothing), &ENTRY, "label_smoothing", self.label_smoothing)
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
        let value = positive * ((-prediction).max(R::ZERO) + tail) + negative * (prediction.max(R::ZERO) + tail);
        let is_positive = prediction >= R::ZERO;
        let (up, down) = (R::select(is_positive, high, low), R::select(is_positive, low, high));
        (value, negative * up - positive * down)
    }
}

//! Soft margin (logistic) loss.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Soft margin (logistic) loss, ln(1 + e^−yx) for labels y = −1 or +1: [`super::BceWithLogits`]
    /// for signed labels.
    ///
    /// Derivative: −yσ(−yx). Predictions and targets have the same shape. Targets of 0 and 1 need
    /// `labels(Labels::ZeroOne)`: the encoding is never inferred from the data.
    ///
    /// PyTorch `SoftMarginLoss`. Source: J. Friedman, T. Hastie and R. Tibshirani, Additive
    /// logistic regression, 2000.
    ///
    /// ```
    /// use gradus::{Device, losses::{SoftMargin, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = SoftMargin::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0], &array![-1.0])?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct SoftMargin of "soft_margin" {
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "soft_margin",
    summary: "logistic loss of labels -1 and +1",
    formula: "ln(1 + exp(−yx))",
    options: SoftMargin::OPTIONS,
    torch: "SoftMarginLoss",
    keras: "",
    optax: "sigmoid_binary_cross_entropy, of labels 0 and 1",
    source: "J. Friedman, T. Hastie and R. Tibshirani, Additive logistic regression, 2000",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/soft_margin.wgsl"),
    make: make::<SoftMargin>,
};

impl LossDefinition for SoftMargin {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: self.labels.domain(), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }
}

impl Pointwise for SoftMargin {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let y = self.labels.signed(truth);
        let against = -(y * prediction);
        (against.softplus(), -y * against.sigmoid())
    }
}

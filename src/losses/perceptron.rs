//! Perceptron loss.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Perceptron loss, [−yx]₊ for labels y = −1 or +1: nonzero only for misclassified predictions.
    ///
    /// Derivative: −y where yx < 0, 0 at 0 and above. Predictions and targets have the same shape.
    /// Targets of 0 and 1 need `labels(Labels::ZeroOne)`: the encoding is never inferred from the
    /// data.
    ///
    /// optax `perceptron_loss`, scikit-learn `SGDClassifier(loss="perceptron")`. Source: F.
    /// Rosenblatt, The perceptron, 1958.
    ///
    /// ```
    /// use gradus::{Device, losses::{Perceptron, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Perceptron::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.5, 2.0], &array![1.0, -1.0])?;
    /// assert_eq!(step.value(), 1.0); // (0 + 2) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, 0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Perceptron of "perceptron" {
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "perceptron",
    summary: "perceptron: only what is on the wrong side counts",
    formula: "[−yx]₊",
    options: Perceptron::OPTIONS,
    torch: "",
    keras: "",
    optax: "perceptron_loss",
    source: "F. Rosenblatt, The perceptron, 1958",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/perceptron.wgsl"),
    make: make::<Perceptron>,
};

impl LossDefinition for Perceptron {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: self.labels.domain(), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }
}

impl Pointwise for Perceptron {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let y = self.labels.signed(truth);
        let against = -(y * prediction);
        (against.max(R::ZERO), R::select(against > R::ZERO, -y, R::ZERO))
    }
}

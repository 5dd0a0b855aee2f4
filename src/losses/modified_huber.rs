//! Squared hinge with a linear tail.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Modified Huber loss for labels y = −1 or +1: squared hinge near the margin, linear for badly
    /// misclassified predictions.
    ///
    /// [1 − yx]₊² where yx ≥ −1, else −4yx; derivative: −2y[1 − yx]₊, else −4y. Predictions and
    /// targets have the same shape. Targets of 0 and 1 need `labels(Labels::ZeroOne)`: the encoding
    /// is never inferred from the data.
    ///
    /// scikit-learn `SGDClassifier(loss="modified_huber")`. Source: T. Zhang, Solving large scale
    /// linear prediction problems using stochastic gradient descent algorithms, 2004.
    ///
    /// ```
    /// use gradus::{Device, losses::{ModifiedHuber, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = ModifiedHuber::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.5, 2.0], &array![1.0, -1.0])?;
    /// assert_eq!(step.value(), 4.125); // (0.25 + 8) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 2.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct ModifiedHuber of "modified_huber" {
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "modified_huber",
    summary: "squared hinge, linear far out: classification with outliers",
    formula: "[1 − yx]₊² where yx ≥ −1, else −4yx",
    options: ModifiedHuber::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "T. Zhang, Solving large scale linear prediction problems using stochastic gradient descent algorithms, 2004",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/modified_huber.wgsl"),
    make: make::<ModifiedHuber>,
};

impl LossDefinition for ModifiedHuber {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: self.labels.domain(), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }
}

impl Pointwise for ModifiedHuber {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let y = self.labels.signed(truth);
        let right = y * prediction;
        let margin = (R::ONE - right).max(R::ZERO);
        let is_far = right < -R::ONE;
        let four = R::new(4.0);
        let value = R::select(is_far, -(four * right), margin * margin);
        (value, -y * R::select(is_far, four, R::new(2.0) * margin))
    }
}

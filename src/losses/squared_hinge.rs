//! Squared hinge loss.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Squared hinge loss, [1 − yx]₊² for labels y = −1 or +1.
    ///
    /// Derivative: −2y[1 − yx]₊. Predictions and targets have the same shape. Targets of 0 and 1
    /// need `labels(Labels::ZeroOne)`: the encoding is never inferred from the data (Keras infers
    /// it).
    ///
    /// Keras `SquaredHinge`. Source: C.-C. Chang and C.-J. Lin, Training ν-support vector
    /// classifiers, 2001.
    ///
    /// ```
    /// use gradus::{Device, losses::{SquaredHinge, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = SquaredHinge::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.5, -2.0], &array![1.0, -1.0])?;
    /// assert_eq!(step.value(), 0.125); // (0.25 + 0) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct SquaredHinge of "squared_hinge" {
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "squared_hinge",
    summary: "squared hinge: maximum margin with a smooth edge",
    formula: "[1 − yx]₊²",
    options: SquaredHinge::OPTIONS,
    torch: "",
    keras: "SquaredHinge",
    optax: "",
    source: "C.-C. Chang and C.-J. Lin, Training ν-support vector classifiers, 2001",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/squared_hinge.wgsl"),
    make: make::<SquaredHinge>,
};

impl LossDefinition for SquaredHinge {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: self.labels.domain(), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }
}

impl Pointwise for SquaredHinge {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let y = self.labels.signed(truth);
        let margin = (R::ONE - y * prediction).max(R::ZERO);
        (margin * margin, R::new(-2.0) * y * margin)
    }
}

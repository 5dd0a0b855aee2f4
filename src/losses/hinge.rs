//! Hinge loss.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Hinge loss, [1 − yx]₊ for labels y = −1 or +1.
    ///
    /// Derivative: −y inside the margin, 0 at its edge and beyond. Predictions and targets have the
    /// same shape. Targets of 0 and 1 need `labels(Labels::ZeroOne)`: the encoding is never
    /// inferred from the data (Keras infers it).
    ///
    /// Keras `Hinge`, optax `hinge_loss`. Source: C. Cortes and V. Vapnik, Support-vector
    /// networks, 1995.
    ///
    /// ```
    /// use gradus::{Device, losses::{Hinge, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Hinge::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.5, -2.0], &array![1.0, -1.0])?;
    /// assert_eq!(step.value(), 0.25); // (0.5 + 0) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Hinge of "hinge" {
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "hinge",
    summary: "hinge: maximum-margin classification",
    formula: "[1 − yx]₊",
    options: Hinge::OPTIONS,
    torch: "",
    keras: "Hinge",
    optax: "hinge_loss",
    source: "C. Cortes and V. Vapnik, Support-vector networks, 1995",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/hinge.wgsl"),
    make: make::<Hinge>,
};

impl LossDefinition for Hinge {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: self.labels.domain(), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }
}

impl Pointwise for Hinge {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let y = self.labels.signed(truth);
        let margin = R::ONE - y * prediction;
        (margin.max(R::ZERO), R::select(margin > R::ZERO, -y, R::ZERO))
    }
}

//! Hinge embedding loss.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Hinge embedding loss of a distance x: x for similar pairs (y = +1), [m − x]₊ for dissimilar
    /// pairs (y = −1).
    ///
    /// Derivative: 1 for y = +1; for y = −1 it is −1 up to and including the margin m, as in
    /// PyTorch, and 0 beyond. Predictions and targets have the same shape; `margin` has the unit of
    /// the distance. Targets of 0 and 1 need `labels(Labels::ZeroOne)`.
    ///
    /// PyTorch `HingeEmbeddingLoss`. Source: R. Hadsell, S. Chopra and Y. LeCun, Dimensionality
    /// reduction by learning an invariant mapping, 2006.
    ///
    /// ```
    /// use gradus::{Device, losses::{HingeEmbedding, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = HingeEmbedding::new().margin(2.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.5, 0.5], &array![1.0, -1.0])?;
    /// assert_eq!(step.value(), 1.0); // (0.5 + 1.5) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.5, -0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct HingeEmbedding of "hinge_embedding" {
        /// Distance from which dissimilar pairs have a loss of 0.
        margin: f64 = 1.0, "finite" if |margin| margin.is_finite();
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "hinge_embedding",
    summary: "distances of pairs that belong together or do not",
    formula: "y = 1: x; y = −1: [m − x]₊",
    options: HingeEmbedding::OPTIONS,
    torch: "HingeEmbeddingLoss",
    keras: "",
    optax: "",
    source: "R. Hadsell, S. Chopra and Y. LeCun, Dimensionality reduction by learning an invariant mapping, 2006",
    variants: &[r#"{"margin": 0.5}"#, r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/hinge_embedding.wgsl"),
    make: make::<HingeEmbedding>,
};

impl LossDefinition for HingeEmbedding {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: self.labels.domain(), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("MARGIN", self.margin), self.labels.constant()]
    }
}

impl Pointwise for HingeEmbedding {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let together = self.labels.signed(truth) > R::ZERO;
        let rest = R::new(self.margin) - prediction;
        let derivative = R::select(rest >= R::ZERO, -R::ONE, R::ZERO);
        (
            R::select(together, prediction, rest.max(R::ZERO)),
            R::select(together, R::ONE, derivative),
        )
    }
}

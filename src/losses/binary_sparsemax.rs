//! Binary sparsemax loss.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Binary sparsemax loss of a score x for labels y = −1 or +1: as the logistic loss, but exactly
    /// 0 from yx = 1 on, with probabilities of exactly 0 and 1.
    ///
    /// 0 for yx ≥ 1, (1 − yx)²/4 between −1 and 1, −yx below; derivative −y t, t = (1 − yx)/2
    /// within [0, 1]. Predictions and targets have the same shape. Targets of 0 and 1 need
    /// `labels(Labels::ZeroOne)`: the encoding is never inferred from the data. Its probability of
    /// the class +1 is (1 + x)/2 within [0, 1].
    ///
    /// optax `sparsemax_loss`, whose labels are 0 and 1. For several classes
    /// [`crate::losses::Sparsemax`].
    /// Source: M. Blondel, A. F. T. Martins and V. Niculae, Learning with Fenchel–Young losses,
    /// 2020.
    ///
    /// ```
    /// use gradus::{Device, losses::{BinarySparsemax, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = BinarySparsemax::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.5, -2.0], &array![1.0, 1.0])?;
    /// assert_eq!(step.value(), 1.03125); // ½(½²/4 + 2)
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.125, -0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct BinarySparsemax of "binary_sparsemax" {
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "binary_sparsemax",
    summary: "two classes, with probabilities of exactly 0 and 1",
    formula: "0 where yx ≥ 1, (1 − yx)²/4 where |yx| < 1, else −yx",
    options: BinarySparsemax::OPTIONS,
    torch: "",
    keras: "",
    optax: "sparsemax_loss",
    source: "M. Blondel, A. F. T. Martins and V. Niculae, Learning with Fenchel-Young losses, 2020",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/binary_sparsemax.wgsl"),
    make: make::<BinarySparsemax>,
};

impl LossDefinition for BinarySparsemax {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: self.labels.domain(), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }
}

impl Pointwise for BinarySparsemax {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let y = self.labels.signed(truth);
        let u = -y * prediction;
        let half = R::new(0.5);
        let t = (half + half * u).clamp(R::ZERO, R::ONE);
        (R::select(u >= R::ONE, u, t * t), -y * t)
    }
}

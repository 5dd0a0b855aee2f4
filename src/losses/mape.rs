//! Mean absolute percentage error.

use crate::losses::prelude::*;

options! {
    /// Absolute error in percent of the target: 100 |e| / max(|y|, 1e-7) with
    /// e = prediction − target y.
    ///
    /// Derivative: 100 sign e / max(|y|, 1e-7), 0 where e is 0. Predictions and targets have the
    /// same shape; the value is in percent. A target of 0 counts as 1e-7, as in Keras: one such
    /// element dominates all others.
    ///
    /// Keras `MeanAbsolutePercentageError`.
    /// Source: S. Makridakis, Accuracy measures: theoretical and practical concerns, 1993.
    ///
    /// ```
    /// use gradus::{Device, losses::{Mape, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Mape::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![3.0, 1.0], &array![4.0, -2.0])?;
    /// assert_eq!(step.value(), 87.5); // (25 + 150) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-12.5, 25.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Mape of "mape" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "mape",
    summary: "absolute error in percent of the target",
    formula: "100 |e| / max(|y|, 1e-7)",
    options: Mape::OPTIONS,
    torch: "",
    keras: "MeanAbsolutePercentageError",
    optax: "",
    source: "S. Makridakis, Accuracy measures: theoretical and practical concerns, 1993",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/mape.wgsl"),
    make: make::<Mape>,
};

impl LossDefinition for Mape {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::pointwise(self)
    }
}

impl Pointwise for Mape {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        let percent = R::new(100.0) / Real::max(truth.abs(), R::new(1e-7));
        (percent * error.abs(), percent * error.sign())
    }
}

//! Mean absolute error.

use crate::losses::prelude::*;

options! {
    /// Absolute error, |e| with e = prediction − target; its derivative is sign e, 0 at 0.
    ///
    /// Predictions and targets have the same shape. Every error has the same gradient magnitude,
    /// which makes it robust to outliers; the minimum is the median.
    ///
    /// PyTorch `L1Loss`, Keras `MeanAbsoluteError`.
    /// Source: R. J. Boscovich, De litteraria expeditione per pontificiam ditionem, 1757.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, Mae}};
    /// use ndarray::array;
    ///
    /// let criterion = Mae::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![1.0, 2.0], &array![0.0, 4.0])?;
    /// assert_eq!(step.value(), 1.5);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.5, -0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Mae of "mae" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "mae",
    summary: "absolute error: regression that outliers cannot rule",
    formula: "|e|, e = x − y",
    options: Mae::OPTIONS,
    torch: "L1Loss",
    keras: "MeanAbsoluteError",
    optax: "",
    source: "R. J. Boscovich, De litteraria expeditione per pontificiam ditionem, 1757",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/mae.wgsl"),
    make: make::<Mae>,
};

impl LossDefinition for Mae {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }
}

impl Pointwise for Mae {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        (error.abs(), error.sign())
    }
}

//! Mean squared logarithmic error.

use crate::losses::prelude::*;

options! {
    /// Squared error of logarithms, (ln(1 + x) − ln(1 + y))²: errors are relative rather than
    /// absolute.
    ///
    /// With d = ln(1 + x) − ln(1 + y): d²; derivative: 2d/(1 + x). Predictions x and targets y have
    /// the same shape; both are first clamped to at least 1e-7, as in Keras, so that a prediction
    /// at or below it has derivative 0.
    ///
    /// Keras `MeanSquaredLogarithmicError`.
    /// Source: L. Törnqvist, P. Vartia and Y. O. Vartia, How should relative changes be
    /// measured?, 1985.
    ///
    /// ```
    /// use gradus::{Device, losses::{Msle, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Msle::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![3.0], &array![1.0])?;
    /// let d = 2.0_f64.ln(); // ln 4 − ln 2; the raising to 1e-7 does not show
    /// assert!((step.value() - d * d).abs() < 1e-15);
    /// assert_eq!(step.gradient[0], (d / 2.0) as f32);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Msle of "msle" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "msle",
    summary: "squared error of logarithms: targets over orders of magnitude",
    formula: "(ln(1 + x) − ln(1 + y))²",
    options: Msle::OPTIONS,
    torch: "",
    keras: "MeanSquaredLogarithmicError",
    optax: "",
    source: "L. Törnqvist, P. Vartia and Y. O. Vartia, How should relative changes be measured?, 1985",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/msle.wgsl"),
    make: make::<Msle>,
};

impl LossDefinition for Msle {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::pointwise(self)
    }
}

impl Pointwise for Msle {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let floor = R::new(1e-7);
        let (x, y) = (prediction.max(floor), truth.max(floor));
        // ln(1 + x) − ln(1 + y) = ln(1 + (x − y)/(1 + y)); with the smaller in the denominator, the
        // argument is never near −1.
        let distance = ((x - y).abs() / (R::ONE + Real::min(x, y))).ln_1p() * (x - y).sign();
        let derivative = R::new(2.0) * distance / (R::ONE + x);
        (distance * distance, R::select(prediction > floor, derivative, R::ZERO))
    }
}

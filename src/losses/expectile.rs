//! Asymmetric squared error.

use crate::losses::prelude::*;

options! {
    /// Expectile loss: squared error e², weighted by τ where the prediction is too low and by 1 − τ
    /// where it is too high.
    ///
    /// `|τ − [y < x]| e²` with e = prediction − target and τ = `expectile`; derivative: `2
    /// |τ − [y < x]| e`. Predictions and targets have the same shape. At ½ it is half of
    /// [`super::Mse`].
    ///
    /// Source: W. K. Newey and J. L. Powell, Asymmetric least squares estimation and testing, 1987.
    ///
    /// ```
    /// use gradus::{Device, losses::{Expectile, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Expectile::new().expectile(0.75).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![1.0, 1.0], &array![3.0, 0.0])?;
    /// assert_eq!(step.value(), 1.625); // (0.75 · 4 + 0.25 · 1) / 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.5, 0.25]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Expectile of "expectile" {
        /// Weight τ of predictions that are too low; 1 − τ is that of predictions that are too
        /// high.
        expectile: f64 = 0.5, "in (0, 1)" if |expectile| expectile > 0.0 && expectile < 1.0;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "expectile",
    summary: "asymmetric squared error: predicts an expectile",
    formula: "|τ − [y < x]| e²",
    options: Expectile::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "W. K. Newey and J. L. Powell, Asymmetric least squares estimation and testing, 1987",
    variants: &[r#"{"expectile": 0.2}"#],
    shader: crate::runtime::wgsl::shader!("losses/expectile.wgsl"),
    make: make::<Expectile>,
};

impl LossDefinition for Expectile {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { target_derivative: Some(TargetDerivative::Opposite), ..Spec::pointwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EXPECTILE", self.expectile)]
    }
}

impl Pointwise for Expectile {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        let error = prediction - truth;
        // In f32 on every device, as in the reference values; in f64 τ would differ from them by
        // 1.5e-8.
        let weigh = |weight: f64| R::from_f32(weight as f32);
        let weight = R::select(error > R::ZERO, weigh(1.0 - self.expectile), weigh(self.expectile));
        (weight * error * error, R::new(2.0) * weight * error)
    }
}

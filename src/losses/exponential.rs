//! Exponential loss of AdaBoost.

use crate::losses::inputs::Labels;
use crate::losses::prelude::*;

options! {
    /// Exponential loss, e^−yx for labels y = −1 or +1, as minimised by AdaBoost. ∞ in f32 where
    /// −yx exceeds 88.7.
    ///
    /// Derivative: −y e^−yx. Predictions and targets have the same shape. Targets of 0 and 1 need
    /// `labels(Labels::ZeroOne)`: the encoding is never inferred from the data. A target between
    /// them is a probability t: t e^−x + (1 − t) e^x.
    ///
    /// scikit-learn `GradientBoostingClassifier(loss="exponential")`. Source: Y. Freund and R. E.
    /// Schapire, A decision-theoretic generalization of on-line learning and an application to
    /// boosting, 1997.
    ///
    /// ```
    /// use gradus::{Device, losses::{Exponential, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Exponential::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.0], &array![1.0])?;
    /// assert_eq!(step.value(), 1.0);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Exponential of "exponential" {
        /// Encoding of the two classes.
        labels: Labels = Labels::Sign, "\"sign\" (-1, +1) or \"zero_one\" (0, 1)" if |_| true;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "exponential",
    summary: "exponential: boosting",
    formula: "exp(−yx)",
    options: Exponential::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Y. Freund and R. E. Schapire, A decision-theoretic generalization of on-line learning and an application to boosting, 1997",
    variants: &[r#"{"labels": "zero_one"}"#],
    shader: crate::runtime::wgsl::shader!("losses/exponential.wgsl"),
    make: make::<Exponential>,
};

impl LossDefinition for Exponential {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Exponent,
            targets: match self.labels {
                Labels::Sign => Domain::Sign,
                Labels::ZeroOne => Domain::Probability,
            },
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![self.labels.constant()]
    }
}

impl Pointwise for Exponential {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        if self.labels == Labels::ZeroOne {
            // A side of weight 0 counts 0, also where its exponential is ∞.
            let rest = R::ONE - truth;
            let own = R::select(truth == R::ZERO, R::ZERO, truth * (-prediction).exp());
            let other = R::select(rest == R::ZERO, R::ZERO, rest * prediction.exp());
            return (own + other, other - own);
        }
        let y = truth;
        let value = (-(y * prediction)).exp();
        (value, -y * value)
    }
}

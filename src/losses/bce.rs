//! Binary cross-entropy of probabilities.

use crate::losses::prelude::*;

options! {
    /// Binary cross-entropy of a probability x against a probability y. For logits use
    /// [`super::BceWithLogits`], which avoids the rounding of the probability.
    ///
    /// −y max(ln x, −100) − (1 − y) max(ln(1 − x), −100); derivative: (x − y)/max(x(1 − x), 1e-12),
    /// as PyTorch.
    /// Predictions and targets have the same shape, both from 0 to 1; a prediction outside gives
    /// NaN. With `clip` c above 0 the predictions are first clipped to [c, 1 − c], and their
    /// derivative is 0 where that changes them, as in Keras.
    ///
    /// PyTorch `BCELoss`, Keras `BinaryCrossentropy` (with `clip` 1e-7).
    /// Source: E. B. Baum and F. Wilczek, Supervised learning of probability distributions by
    /// neural networks, 1988.
    ///
    /// ```
    /// use gradus::{Device, losses::{Bce, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Bce::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![0.25, 0.0], &array![0.0, 1.0])?;
    /// assert!((step.value() - (-(0.75_f64.ln()) + 100.0) / 2.0).abs() < 1e-12);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.25 / 0.1875 / 2.0, -0.5e12]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Bce of "bce" {
        /// Distance c from 0 and 1 to which predictions are clipped; 0 for none.
        clip: f64 = 0.0, "in [0, 0.5)" if |clip| (0.0..0.5).contains(&clip);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "bce",
    summary: "binary cross-entropy of probabilities; of logits, bce_with_logits is better",
    formula: "−y max(ln x, −100) − (1 − y) max(ln(1 − x), −100)",
    options: Bce::OPTIONS,
    torch: "BCELoss",
    keras: "BinaryCrossentropy (clip 1e-7)",
    optax: "",
    source: "E. B. Baum and F. Wilczek, Supervised learning of probability distributions by neural networks, 1988",
    variants: &[r#"{"clip": 1e-7}"#, r#"{"clip": 0.125}"#],
    shader: crate::runtime::wgsl::shader!("losses/bce.wgsl"),
    make: make::<Bce>,
};

impl LossDefinition for Bce {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Probability,
            targets: Domain::Probability,
            target_derivative: Some(TargetDerivative::Pointwise(self)),
            ..Spec::pointwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("CLIP", self.clip)]
    }
}

impl Pointwise for Bce {
    #[inline(always)]
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R) {
        if self.clip > 0.0 {
            let (least, most) = (R::new(self.clip), R::ONE - R::new(self.clip));
            let x = prediction.max(least).min(most);
            // 1 − x has lost its digits near 1, and the clipped distance from 1 is c itself.
            let is_above = prediction > most;
            let log_rest = R::select(is_above, least.ln(), (-x).ln_1p());
            let log_x = R::select(is_above, (-least).ln_1p(), x.ln());
            let value = -(truth * log_x + (R::ONE - truth) * log_rest);
            let is_inside = prediction >= least && prediction <= most;
            let derivative = (x - truth) / (x * (R::ONE - x));
            return (value, R::select(is_inside, derivative, R::ZERO));
        }
        let floor = R::new(-100.0);
        let (log_x, log_rest) = (prediction.ln().max(floor), (-prediction).ln_1p().max(floor));
        let rest = R::ONE - prediction;
        let derivative = (prediction - truth) / Real::max(prediction * rest, R::new(1e-12));
        let inside = prediction >= R::ZERO && prediction <= R::ONE;
        let value = -(truth * log_x + (R::ONE - truth) * log_rest);
        (R::select(inside, value, R::NAN), R::select(inside, derivative, R::NAN))
    }
}

impl PointwiseTarget for Bce {
    /// max(ln(1 − x), −100) − max(ln x, −100), of the clipped x.
    #[inline(always)]
    fn target_derivative<R: Real>(&self, prediction: R, _truth: R, _column_weight: R) -> R {
        let is_inside = prediction >= R::ZERO && prediction <= R::ONE;
        let floor = R::new(-100.0);
        let is_low = prediction <= R::new(0.5);
        // The smaller of x and 1 − x is exact, and clipped to the option itself.
        let smaller = R::select(is_low, prediction, R::ONE - prediction);
        let smaller = if self.clip > 0.0 { smaller.max(R::new(self.clip)) } else { smaller };
        let apart = (-smaller).ln_1p() - smaller.ln().max(floor);
        let found = R::select(is_low, apart, -apart);
        R::select(is_inside || self.clip > 0.0, found, R::NAN)
    }
}

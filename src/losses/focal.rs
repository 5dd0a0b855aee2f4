//! Focal loss over classes.

use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::softmax_target::{OfSoftmax, SoftmaxStatistics, ValueWithPartials};

options! {
    /// Focal loss of logits against class labels: cross-entropy, down-weighted for well-classified
    /// rows.
    ///
    /// −α w_y (1 − p_y)^γ ln p_y with p the softmax, w the input `class_weight` (an α for each
    /// class). Derivative α w_y (1 − p_y)^γ (1 − γ p_y ln p_y/(1 − p_y)) (p_c − [c = y]).
    /// Predictions are logits [rows, classes], targets labels `[rows]`. `mean` divides by the
    /// number of rows. 1 − p_y is computed as the sum of the other probabilities, which avoids
    /// cancellation where p_y approaches 1. A logit of −∞ is a masked class unless it is the label:
    /// then the loss is ∞.
    ///
    /// Keras `CategoricalFocalCrossentropy(from_logits=True)`, whose `alpha` is 0.25.
    /// Source: T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, Focal loss for dense object
    /// detection, 2017.
    ///
    /// ```
    /// use gradus::{Device, losses::{Focal, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Focal::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![1_i64])?;
    /// assert!((step.value() - 2.0_f64.ln() / 4.0).abs() < 1e-15); // ½² ln 2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Focal of "focal" {
        /// Focusing parameter γ: larger values down-weight well-classified rows more; 0 is
        /// cross-entropy.
        gamma: f64 = 2.0, ">= 0" if |gamma| gamma >= 0.0 && gamma.is_finite();
        /// Weight α of all classes; the input `class_weight` weights each class.
        alpha: f64 = 1.0, ">= 0" if |alpha| alpha >= 0.0 && alpha.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "focal",
    summary: "focal: few hard examples among many easy ones",
    formula: "−α w_y (1 − p_y)^γ ln p_y",
    options: Focal::OPTIONS,
    torch: "",
    keras: "CategoricalFocalCrossentropy(from_logits=True)",
    optax: "",
    source: "T.-Y. Lin et al., Focal loss for dense object detection, 2017",
    variants: &[r#"{"gamma": 0.5}"#, r#"{"gamma": 0.0, "alpha": 0.25}"#, r#"{"gamma": 3.5}"#],
    shader: shader!("losses/focal.wgsl"),
    make: make::<Focal>,
};

impl LossDefinition for Focal {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Logits,
            targets: Domain::Label,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            helpers: const { &[shader!("templates/rowwise/softmax_target.wgsl")] },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("GAMMA", self.gamma), ("ALPHA", self.alpha)]
    }
}

impl OfSoftmax for Focal {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn of_softmax<R: Real>(&self, statistics: SoftmaxStatistics<R>) -> ValueWithPartials<R> {
        let gamma = R::new(self.gamma);
        // The usual exponent needs no logarithm.
        let power = if self.gamma == 2.0 {
            statistics.rest * statistics.rest
        } else {
            statistics.rest.powf(gamma)
        };
        let ease = R::new(self.alpha) * power;
        // cross/rest tends to 1 as rest tends to 0, and p ln p to 0 as p does.
        let ratio =
            R::select(statistics.rest == R::ZERO, R::ONE, statistics.cross / statistics.rest);
        let share =
            R::select(statistics.probability == R::ZERO, R::ZERO, statistics.probability * ratio);
        ValueWithPartials {
            loss: R::select(ease == R::ZERO, R::ZERO, ease * statistics.cross),
            cross_derivative: ease * (R::ONE + gamma * share),
            rest_derivative: R::ZERO,
        }
    }
}

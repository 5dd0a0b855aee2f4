//! Generalized cross-entropy.

use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::softmax_target::{OfSoftmax, SoftmaxStatistics, ValueWithPartials};

options! {
    /// Generalized cross-entropy of logits against noisy class labels: bounded by 1/q, between
    /// cross-entropy (q → 0) and the mean absolute error of the probabilities (q = 1).
    ///
    /// w_y (1 − p_y^q)/q with p the softmax, w the input `class_weight`; derivative w_y p_y^q
    /// (p_c − [c = y]). Predictions are logits [rows, classes], targets labels `[rows]`. `mean`
    /// divides by the number of rows. A logit of −∞ is a masked class; at the label the loss is
    /// then 1/q.
    ///
    /// Keras `CategoricalGeneralizedCrossEntropy` (which takes probabilities).
    /// Source: Z. Zhang and M. R. Sabuncu, Generalized cross entropy loss for training deep neural
    /// networks with noisy labels, 2018.
    ///
    /// ```
    /// use gradus::{Device, losses::{GeneralizedCrossEntropy, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = GeneralizedCrossEntropy::new().q(0.5).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![1_i64])?;
    /// assert!((step.value() - 2.0 * (1.0 - 0.5_f64.sqrt())).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct GeneralizedCrossEntropy of "generalized_cross_entropy" {
        /// Position q between cross-entropy (0) and the absolute error (1).
        q: f64 = 0.7, "in (0, 1]" if |q| q > 0.0 && q <= 1.0;
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "generalized_cross_entropy",
    summary: "cross-entropy that a wrong label cannot pull without bound",
    formula: "w_y (1 − p_y^q)/q",
    options: GeneralizedCrossEntropy::OPTIONS,
    torch: "",
    keras: "CategoricalGeneralizedCrossEntropy",
    optax: "",
    source: "Z. Zhang and M. R. Sabuncu, Generalized cross entropy loss, 2018",
    variants: &[r#"{"q": 1.0}"#, r#"{"q": 0.001}"#],
    shader: shader!("losses/generalized_cross_entropy.wgsl"),
    make: make::<GeneralizedCrossEntropy>,
};

impl LossDefinition for GeneralizedCrossEntropy {
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
        vec![("Q", self.q)]
    }
}

impl OfSoftmax for GeneralizedCrossEntropy {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn of_softmax<R: Real>(&self, statistics: SoftmaxStatistics<R>) -> ValueWithPartials<R> {
        // p = e^−cross: 1 − p^q = −(e^(−q cross) − 1).
        let exponent = -R::new(self.q) * statistics.cross;
        let loss = -exponent.exp_m1() / R::new(self.q);
        ValueWithPartials { loss, cross_derivative: exponent.exp(), rest_derivative: R::ZERO }
    }
}

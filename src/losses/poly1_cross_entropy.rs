//! First-order PolyLoss.

use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::softmax_target::{OfSoftmax, SoftmaxStatistics, ValueWithPartials};
use crate::templates::rowwise::target::Target;

options! {
    /// First-order PolyLoss of logits: cross-entropy with ε added to the first coefficient of its
    /// series in 1 − p.
    ///
    /// W (Σ t_c (lse − x_c) + ε Σ t_c (1 − p_c)), p the softmax, t the target (one-hot for a label),
    /// P = Σ t_c p_c; W is the input `class_weight` at the label, or its mean under dense targets.
    /// Derivative W (p_c Σt − t_c − ε p_c (t_c − P)). Predictions are logits [rows, classes],
    /// targets labels `[rows]` or dense [rows, classes]. `mean` divides by the number of rows. A
    /// logit of −∞ is a masked class unless it is a target: then the loss is ∞.
    ///
    /// optax `poly_loss_cross_entropy`. Source: Z. Leng et al., PolyLoss: a polynomial expansion
    /// perspective of classification loss functions, 2022.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, Poly1CrossEntropy}};
    /// use ndarray::array;
    ///
    /// let criterion = Poly1CrossEntropy::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![1_i64])?;
    /// assert!((step.value() - (2.0_f64.ln() + 1.0)).abs() < 1e-15); // ln 2 + 2 · ½
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Poly1CrossEntropy of "poly1_cross_entropy" {
        /// Added to the first coefficient, ε.
        epsilon: f64 = 2.0, "a finite number" if |epsilon| epsilon.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "poly1_cross_entropy",
    summary: "cross-entropy with one more coefficient to tune",
    formula: "Σ t_c (lse − x_c) + ε Σ t_c (1 − p_c)",
    options: Poly1CrossEntropy::OPTIONS,
    torch: "",
    keras: "",
    optax: "poly_loss_cross_entropy",
    source: "Z. Leng et al., PolyLoss, 2022",
    variants: &[r#"{"epsilon": -1.0}"#],
    shader: shader!("losses/poly1_cross_entropy.wgsl"),
    make: make::<Poly1CrossEntropy>,
};

impl LossDefinition for Poly1CrossEntropy {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Logits,
            targets: Domain::Class,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            helpers: const { &[shader!("templates/rowwise/softmax_target.wgsl")] },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON", self.epsilon)]
    }
}

impl OfSoftmax for Poly1CrossEntropy {
    type Target<'a, R: Real> = Target<'a, R>;

    #[inline(always)]
    fn of_softmax<R: Real>(&self, statistics: SoftmaxStatistics<R>) -> ValueWithPartials<R> {
        let epsilon = R::new(self.epsilon);
        ValueWithPartials {
            // Σ t(1 − p) is Σ p(1 − t), which keeps its digits, unless Σ t is not 1.
            loss: statistics.cross + epsilon * (statistics.rest + (statistics.mass - R::ONE)),
            cross_derivative: R::ONE,
            rest_derivative: epsilon,
        }
    }
}

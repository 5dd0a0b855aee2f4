//! Tversky loss.

use crate::losses::prelude::*;
use crate::templates::rowwise::rows::{Auxiliary, Row};

options! {
    /// Tversky loss of probabilities p against t: overlap of two sets, with separate weights for
    /// false positives and false negatives.
    ///
    /// Per row 1 − (I + s)/(I + αF + βM + s) with I = Σ w_c p_c t_c, F = Σ w_c p_c(1 − t_c), M = Σ
    /// w_c(1 − p_c)t_c, w the input `class_weight`; α = β = ½ is [`crate::losses::Dice`] with twice
    /// the `smooth`, α = β = 1 the Jaccard index. With E = αF + βM and B the denominator it is
    /// computed as E/B, and the derivative is w_c((1 − t_c)α(I + s) − t_c(β(I + s) + E))/B². Where
    /// B = 0 both are 0. Predictions (after a sigmoid or softmax) and targets [rows, classes], from
    /// 0 to 1. `mean` divides by the number of rows.
    ///
    /// The two weights have names of their own because their letters differ: α is that of false
    /// positives in the paper and in optax, and that of false negatives in Keras. Keras `Tversky`
    /// (all rows as one, `alpha` the weight of false negatives), optax `dice_loss`.
    /// Source: S. S. M. Salehi, D. Erdogmus and A. Gholipour, Tversky loss function for image
    /// segmentation, 2017.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, Tversky}};
    /// use ndarray::array;
    ///
    /// let criterion = Tversky::new().false_negative_weight(1.0).smooth(0.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.5, 0.5]], &array![[1.0, 0.0]])?;
    /// assert!((step.value() - 0.6).abs() < 1e-15); // 1 − ½/(½ + ¼ + ½)
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Tversky of "tversky" {
        /// Weight α of false positives.
        false_positive_weight: f64 = 0.5, ">= 0" if |weight| weight >= 0.0 && weight.is_finite();
        /// Weight β of false negatives.
        false_negative_weight: f64 = 0.5, ">= 0" if |weight| weight >= 0.0 && weight.is_finite();
        /// Added to numerator and denominator; avoids 0/0 in rows without a target.
        smooth: f64 = 1.0, ">= 0" if |smooth| smooth >= 0.0 && smooth.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "tversky",
    summary: "overlap of two sets, false alarms and misses weighed apart",
    formula: "1 − (I + s)/(I + αF + βM + s)",
    options: Tversky::OPTIONS,
    torch: "",
    keras: "Tversky (alpha is the weight of false negatives)",
    optax: "",
    source: "S. S. M. Salehi et al., Tversky loss function for image segmentation, 2017",
    variants: &[
        r#"{"false_positive_weight": 0.3, "false_negative_weight": 0.7}"#,
        r#"{"false_positive_weight": 0.0, "false_negative_weight": 1.0, "smooth": 0.25}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/tversky.wgsl"),
    make: make::<Tversky>,
};

impl LossDefinition for Tversky {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            predictions: Domain::Probability,
            targets: Domain::Probability,
            inputs: &[CLASS_WEIGHT, CLASS_MASK],
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("FALSE_POSITIVE_WEIGHT", self.false_positive_weight),
            ("FALSE_NEGATIVE_WEIGHT", self.false_negative_weight),
            ("SMOOTH", self.smooth),
        ]
    }
}

impl Rowwise for Tversky {
    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let dense = row.target;
        let (alpha, beta) =
            (R::new(self.false_positive_weight), R::new(self.false_negative_weight));
        let found = row.sum_over_classes(
            dense,
            #[inline(always)]
            |w, p, t| w * (p * t),
        );
        let errors = row.sum_over_classes(
            dense,
            #[inline(always)]
            |w, p, t| w * (alpha * (p * (R::ONE - t)) + beta * ((R::ONE - p) * t)),
        );
        let right = found + R::new(self.smooth);
        let whole = right + errors;
        if whole == R::ZERO {
            gradient.fill(R::ZERO);
            return R::ZERO;
        }
        let (loss, kept) = (errors / whole, right / whole);
        let (near, far) = (scale * alpha * kept / whole, -scale * (beta * kept + loss) / whole);
        row.write_derivatives(
            dense,
            gradient,
            #[inline(always)]
            |w, t| w * ((R::ONE - t) * near + t * far),
        );
        loss
    }
}

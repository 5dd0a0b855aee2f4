//! Distillation from a teacher's logits.

mod both;
mod jsd;
mod kl;

use serde::{Deserialize, Serialize};

use crate::losses::distillation::both::Both;
use crate::losses::prelude::*;
use crate::runtime::wgsl::File;
use crate::templates::rowwise::rows::{Auxiliary, Row};

/// Divergence of the student's distribution q from the teacher's p in [`Distillation`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// Kullback–Leibler divergence KL(p‖q).
    #[default]
    Kl,
    /// Generalised Jensen–Shannon divergence β KL(p‖m) + (1 − β) KL(q‖m) with m = βp + (1 − β)q.
    Jsd,
}

options! {
    /// Distillation: matches the softened distribution of the student's logits x to that of the
    /// teacher's logits y.
    ///
    /// T² KL(p‖q) = T² Σ p_c (ln p_c − ln q_c) with p = softmax(y/T), q = softmax(x/T), T the
    /// `temperature`; derivative T (q_c − p_c). T² keeps the size of the gradient independent of T;
    /// `scaled` false omits it. Predictions and targets are logits [rows, classes]. `mean` divides
    /// by the number of rows. A class masked for both (input `class_mask`, or a teacher's logit of
    /// −∞) contributes 0; a student's −∞ where the teacher's logit is finite makes the loss ∞.
    ///
    /// With `divergence` "jsd": T² (β KL(p‖m) + (1 − β) KL(q‖m)), m = βp + (1 − β)q, derivative T
    /// (1 − β) q_c (ln(q_c/m_c) − KL(q‖m)), where β is the weight of the teacher in m. β = 0 is
    /// KL(p‖q), β = 1 KL(q‖p) with derivative T q_c (ln(q_c/p_c) − KL(q‖p)), as in
    /// [`crate::losses::Jsd`] and Liger. For β between the ends, classes with probability 0 under
    /// one of the two contribute at most T² ln 2; at β = 1 a class with probability 0 under the
    /// teacher alone makes the loss ∞, and the gradient of its row is undefined.
    ///
    /// Liger `LigerFusedLinearJSD` (with `scaled` false).
    /// Sources: G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network,
    /// 2015; R. Agarwal et al., On-policy distillation of language models, 2023 (JSD).
    ///
    /// ```
    /// use gradus::{Device, losses::{Distillation, Divergence, Loss}};
    /// use ndarray::array;
    ///
    /// let (student, teacher) = (array![[0.0, 0.0]], array![[0.0, f32::NEG_INFINITY]]);
    /// let criterion = Distillation::new().temperature(1.0).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&student, &teacher)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.5, 0.5]);
    ///
    /// let criterion = Distillation::new().temperature(1.0).divergence(Divergence::Jsd).on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&student, &teacher)?;
    /// // m is ¾ and ¼: ½ ln 4/3 + ½ (½ ln 2/3 + ½ ln 2)
    /// assert!((step.value() - (0.75 * (4.0_f64 / 3.0).ln())).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Distillation of "distillation" {
        /// Temperature T that divides both logits; larger values give more weight to less likely
        /// classes.
        temperature: f64 = 2.0, "> 0" if |temperature| temperature > 0.0 && temperature.is_finite();
        /// True to multiply the loss by the square of the temperature.
        scaled: bool = true, "true or false" if |_| true;
        /// Divergence of the two distributions.
        divergence: Divergence = Divergence::Kl, "kl or jsd" if |_| true;
        /// Weight β of the teacher in the mixture of jsd; unused by kl.
        beta: f64 = 0.5, "in [0, 1]" if |beta| (0.0..=1.0).contains(&beta);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "distillation",
    summary: "a student learns a teacher's whole distribution from its logits",
    formula: "T² KL(softmax(y/T)‖softmax(x/T))",
    options: Distillation::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "G. Hinton et al., Distilling the knowledge in a neural network, 2015",
    variants: &[
        r#"{"temperature": 1.0}"#,
        r#"{"temperature": 4.0, "scaled": false}"#,
        r#"{"divergence": "jsd"}"#,
        r#"{"divergence": "jsd", "beta": 0.1, "temperature": 1.0}"#,
        r#"{"divergence": "jsd", "beta": 0.0, "scaled": false}"#,
        r#"{"divergence": "jsd", "beta": 1.0, "temperature": 3.0}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/distillation.wgsl"),
    make: make::<Distillation>,
};

impl LossDefinition for Distillation {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Logits,
            inputs: &[CLASS_MASK],
            helpers: {
                const KL: &[File] =
                    &[crate::runtime::wgsl::shader!("templates/rowwise/distillation_kl.wgsl")];
                const JSD: &[File] =
                    &[crate::runtime::wgsl::shader!("templates/rowwise/distillation_jsd.wgsl")];
                if self.divergence == Divergence::Jsd { JSD } else { KL }
            },
            passes: if self.divergence == Divergence::Jsd { 2 } else { 1 },
            unrolled: if self.divergence == Divergence::Jsd { 0 } else { 4 },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("TEMPERATURE", self.temperature),
            ("SCALED", f64::from(u8::from(self.scaled))),
            ("BETA", self.beta),
        ]
    }
}

impl Rowwise for Distillation {
    type Target<'a, R: Real> = &'a [R];

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, &[R]>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let teacher = row.target;
        let temperature = R::new(self.temperature);
        if row.has_class_mask() {
            let both = Both::of(row.logits, teacher, temperature, |column| row.keeps(column));
            return self.of_both(&both, scale, gradient);
        }
        // With a mask lookup inside them the loops would not be vectorised.
        let both = Both::of(
            row.logits,
            teacher,
            temperature,
            #[inline(always)]
            |_| true,
        );
        self.of_both(&both, scale, gradient)
    }
}

impl Distillation {
    #[inline(always)]
    fn of_both<R: Real>(
        &self,
        both: &Both<'_, R, impl Fn(usize) -> bool>,
        scale: R,
        gradient: &mut [R],
    ) -> R {
        let gradient = &mut gradient[..both.student.len()];
        match self.divergence {
            Divergence::Kl => kl::row(self.factor(), both, scale, gradient),
            Divergence::Jsd => jsd::row(self.beta, self.factor(), both, scale, gradient),
        }
    }

    /// Factor of the divergences.
    #[inline(always)]
    fn factor<R: Real>(&self) -> R {
        let temperature = R::new(self.temperature);
        if self.scaled { temperature * temperature } else { R::ONE }
    }
}

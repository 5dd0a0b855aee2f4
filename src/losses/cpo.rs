//! Contrastive preference optimization: likelihood and preference without a reference model.

use crate::losses::prelude::*;

options! {
    /// CPO: the chosen completion above the rejected one, as [`crate::losses::Dpo`] with a uniform
    /// reference, and the likelihood of the chosen one; needs no reference model.
    ///
    /// Inputs of one shape, `[pairs]`: `policy_chosen` and `policy_rejected`, the log-probabilities
    /// of whole completions. With h = β(policy_chosen − policy_rejected): ln(1 + e^−h) + s h −
    /// α policy_chosen, s the label smoothing. Derivatives: β(s − σ(−h)) − α for `policy_chosen`,
    /// β(σ(−h) − s) for `policy_rejected`. The last term is the negative log-likelihood of the chosen
    /// completion. TRL and Liger use the mean over the tokens of the batch in its place; the
    /// equivalent is `alpha` 0 plus [`crate::losses::CrossEntropy`].
    ///
    /// TRL `CPOTrainer` (`cpo_alpha`), Liger `LigerFusedLinearCPOLoss`.
    /// Source: H. Xu et al., Contrastive preference optimization: pushing the boundaries of LLM
    /// performance in machine translation, 2024.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Cpo, Loss}};
    /// use ndarray::array;
    ///
    /// let (chosen, rejected) = (array![-10.0], array![-10.0]);
    /// let inputs = Inputs::named("policy_chosen", &chosen).input("policy_rejected", &rejected);
    /// let step = Cpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (10.0 + 2.0_f64.ln())).abs() < 1e-14);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.05]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Cpo of "cpo" {
        /// Scale β of the difference.
        beta: f64 = 0.1, "> 0" if |beta| beta > 0.0 && beta.is_finite();
        /// Fraction s of pairs assumed to be mislabelled.
        label_smoothing: f64 = 0.0, "in [0, 0.5)" if |s| (0.0..0.5).contains(&s);
        /// Weight α of the negative log-likelihood of the chosen completion.
        alpha: f64 = 1.0, ">= 0" if |alpha| alpha >= 0.0 && alpha.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "cpo",
    summary: "language models from preferences: likelihood and preference, no reference model",
    formula: "ln(1 + e^−β(x⁺ − x⁻)) − αx⁺",
    options: Cpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "H. Xu et al., Contrastive preference optimization: pushing the boundaries of LLM performance in machine translation, 2024",
    variants: &[r#"{"beta": 0.5, "label_smoothing": 0.1, "alpha": 0.0}"#, r#"{"alpha": 0.25}"#],
    shader: crate::runtime::wgsl::shader!("losses/cpo.wgsl"),
    make: make::<Cpo>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "policy_chosen",
        shape: "[pairs]: log-probabilities",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "policy_rejected",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
];

impl LossDefinition for Cpo {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::preference(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("BETA", self.beta), ("LABEL_SMOOTHING", self.label_smoothing), ("ALPHA", self.alpha)]
    }
}

impl Preference for Cpo {
    fn terms<R: Real>(&self, [chosen, rejected, ..]: [R; 4]) -> PreferenceTerms<R> {
        let [beta, smoothing, alpha] = [self.beta, self.label_smoothing, self.alpha].map(R::new);
        let h = beta * (chosen - rejected);
        let derivative = beta * (smoothing - (-h).sigmoid());
        let tilt = R::select(smoothing == R::ZERO, R::ZERO, smoothing * h);
        let likelihood = R::select(alpha == R::ZERO, R::ZERO, alpha * chosen);
        PreferenceTerms {
            value: (-h).softplus() + tilt - likelihood,
            derivatives: [derivative - alpha, -derivative],
        }
    }
}

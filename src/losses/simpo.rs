//! Simple preference optimization: with a margin, without a reference model.

use crate::losses::prelude::*;

options! {
    /// SimPO: the mean log-probability of the chosen completion should exceed that of the rejected
    /// one by a margin; needs no reference model.
    ///
    /// Inputs of one shape, `[pairs]`: `policy_chosen` and `policy_rejected`, the log-probabilities
    /// of the completions divided by their lengths. With
    /// h = β(policy_chosen − policy_rejected) − γ: ln(1 + e^−h) + s h, s the label smoothing;
    /// derivatives β(s − σ(−h)) for `policy_chosen` and its negative for `policy_rejected`.
    ///
    /// TRL `CPOTrainer` (`loss_type="simpo"`), Liger `LigerFusedLinearSimPOLoss`.
    /// Source: Y. Meng, M. Xia and D. Chen, SimPO: simple preference optimization with a
    /// reference-free reward, 2024.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, Simpo}};
    /// use ndarray::array;
    ///
    /// let (chosen, rejected) = (array![-1.0], array![-1.5]);
    /// let inputs = Inputs::named("policy_chosen", &chosen).input("policy_rejected", &rejected);
    /// let step = Simpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15); // 2 · 0.5 is the margin
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Simpo of "simpo" {
        /// Scale β of the difference.
        beta: f64 = 2.0, "> 0" if |beta| beta > 0.0 && beta.is_finite();
        /// Margin γ of the scaled difference.
        gamma: f64 = 1.0, ">= 0" if |gamma| gamma >= 0.0 && gamma.is_finite();
        /// Fraction s of pairs assumed to be mislabelled.
        label_smoothing: f64 = 0.0, "in [0, 0.5)" if |s| (0.0..0.5).contains(&s);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "simpo",
    summary: "language models from preferences without a reference model",
    formula: "ln(1 + e^−(β(x⁺ − x⁻) − γ))",
    options: Simpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Y. Meng et al., SimPO: simple preference optimization with a reference-free reward, 2024",
    variants: &[r#"{"beta": 0.5, "gamma": 0.25, "label_smoothing": 0.1}"#],
    shader: crate::runtime::wgsl::shader!("losses/simpo.wgsl"),
    make: make::<Simpo>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "policy_chosen",
        shape: "[pairs]: mean log-probabilities",
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

impl LossDefinition for Simpo {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::preference(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("BETA", self.beta), ("GAMMA", self.gamma), ("LABEL_SMOOTHING", self.label_smoothing)]
    }
}

impl Preference for Simpo {
    fn terms<R: Real>(&self, [chosen, rejected, ..]: [R; 4]) -> PreferenceTerms<R> {
        let (beta, smoothing) = (R::new(self.beta), R::new(self.label_smoothing));
        let h = beta * (chosen - rejected) - R::new(self.gamma);
        let derivative = beta * (smoothing - (-h).sigmoid());
        PreferenceTerms {
            value: (-h).softplus() + R::select(smoothing == R::ZERO, R::ZERO, smoothing * h),
            derivatives: [derivative, -derivative],
        }
    }
}

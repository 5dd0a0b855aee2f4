//! Odds-ratio preference optimization: likelihood and preference combined.

use crate::losses::prelude::*;

options! {
    /// ORPO: raises the likelihood of the chosen completion and its odds relative to the rejected
    /// one; needs no reference model.
    ///
    /// Inputs of one shape, `[pairs]`: `policy_chosen` and `policy_rejected`, the log-probabilities
    /// of the completions divided by their lengths, at most 0. With odds(x) = x − ln(1 − eˣ) and o
    /// = odds(policy_chosen) − odds(policy_rejected) the loss is β ln(1 + e^−o) − `nll` ·
    /// policy_chosen. The second term is the negative log-likelihood of the chosen completion, a
    /// mean over its tokens. TRL and Liger use the mean over the tokens of the batch; the
    /// equivalent is `nll` 0 plus [`crate::losses::CrossEntropy`]. Derivatives: −βσ(−o)/(1 − e^x) −
    /// `nll` for `policy_chosen`, βσ(−o)/(1 − e^x) for `policy_rejected`.
    ///
    /// TRL `ORPOTrainer`, Liger `LigerFusedLinearORPOLoss`.
    /// Source: J. Hong, N. Lee and J. Thorne, ORPO: monolithic preference optimization without
    /// reference model, 2024.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, Orpo}};
    /// use ndarray::array;
    ///
    /// let (chosen, rejected) = (array![-1.0], array![-1.0]);
    /// let inputs = Inputs::named("policy_chosen", &chosen).input("policy_rejected", &rejected);
    /// let step = Orpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (1.0 + 0.1 * 2.0_f64.ln())).abs() < 1e-15); // the same odds
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Orpo of "orpo" {
        /// Weight β (the paper's λ) of the odds ratio.
        beta: f64 = 0.1, ">= 0" if |beta| beta >= 0.0 && beta.is_finite();
        /// Weight of the negative log-likelihood of the chosen completion.
        nll: f64 = 1.0, ">= 0" if |nll| nll >= 0.0 && nll.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "orpo",
    summary: "language models from preferences: likelihood and odds ratio in one step",
    formula: "β ln(1 + e^−(odds x⁺ − odds x⁻)) − x⁺, odds x = x − ln(1 − eˣ)",
    options: Orpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "J. Hong, N. Lee and J. Thorne, ORPO: monolithic preference optimization without reference model, 2024",
    variants: &[r#"{"beta": 0.5, "nll": 0.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/orpo.wgsl"),
    make: make::<Orpo>,
};

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "policy_chosen",
        shape: "[pairs]: mean log-probabilities",
        role: Role::Differentiated,
        domain: Domain::LogProbability,
    },
    Argument {
        name: "policy_rejected",
        shape: "of the same shape",
        role: Role::Differentiated,
        domain: Domain::LogProbability,
    },
];

impl LossDefinition for Orpo {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::preference(self, ARGUMENTS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("BETA", self.beta), ("NLL", self.nll)]
    }
}

/// ln(p/(1 − p)) of p = eˣ.
fn log_odds<R: Real>(x: R) -> R {
    // 1 − eˣ is accurate near 0 via eˣ − 1, and ln(1 − eˣ) far from it via ln(1 + y).
    x - R::select(x > R::new(-std::f64::consts::LN_2), (-x.exp_m1()).ln(), (-x.exp()).ln_1p())
}

impl Preference for Orpo {
    fn terms<R: Real>(&self, [chosen, rejected, ..]: [R; 4]) -> PreferenceTerms<R> {
        let (beta, nll) = (R::new(self.beta), R::new(self.nll));
        let odds = [chosen, rejected].map(log_odds);
        // A completion of probability 1 has infinite odds; equal odds give a difference of 0.
        let o = R::select(chosen == rejected, R::ZERO, odds[0] - odds[1]);
        let d_odds = beta * (-o).sigmoid();
        // σ(−o)/(1 − eˣ) is 0/0 for a chosen completion of probability near 1; computed as e^(odds
        // of the other − x)/(1 + e^−o).
        let near = -beta * (odds[1] - chosen).exp() / (R::ONE + (-o).exp());
        let derivative = R::select(o > R::ZERO, near, d_odds / chosen.exp_m1());
        PreferenceTerms {
            value: beta * (-o).softplus() - nll * chosen,
            derivatives: [derivative - nll, -d_odds / rejected.exp_m1()],
        }
    }
}

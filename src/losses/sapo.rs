//! Soft adaptive policy optimization.

use crate::losses::policy::TOKENS;
use crate::losses::prelude::*;

options! {
    /// SAPO: as [`crate::losses::Grpo`] with a smooth gate in place of the clipped ratio, so that a
    /// token's gradient fades where the policy has moved far from the one that drew it.
    ///
    /// Per token −4/τ σ(τ(r − 1)) A + β (eᵘ − 1 − u), with r = e^(log_prob − old), A the advantage,
    /// u = ref − log_prob, and τ the temperature of the advantage's sign; derivative
    /// −4 r σ(τ(r − 1)) σ(τ(1 − r)) A − β (eᵘ − 1), which is −A at r = 1.
    ///
    /// The value of a completion is the mean over its tokens, and `mean` divides by the number of
    /// completions; a completion without tokens has value 0 and counts.
    ///
    /// Inputs: `log_probs` [completions, tokens], the log-probabilities of the tokens under the
    /// policy, which get the gradient; `advantages` `[completions]` or [completions, tokens];
    /// optional, of the shape of `log_probs`: `old_log_probs` under the policy that drew the tokens
    /// (default: those of the policy itself, held constant), `ref_log_probs` under a reference model
    /// (without it there is no divergence), and `completion_mask`, 0 for a token that is left out.
    ///
    /// TRL `GRPOTrainer` (`loss_type="sapo"`; its β is 0), Liger `LigerFusedLinearGRPOLoss`.
    /// Source: C. Gao et al., Soft adaptive policy optimization, 2025.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Sapo, Loss}};
    /// use ndarray::array;
    ///
    /// // Two completions, of two tokens and of one; the policy has not moved yet.
    /// let (log_probs, advantages) = (array![[-1.0, -2.0], [-3.0, 0.0]], array![1.0, -2.0]);
    /// let completion_mask = array![[1.0, 1.0], [1.0, 0.0]];
    /// let inputs = Inputs::named("log_probs", &log_probs).input("advantages", &advantages);
    /// let inputs = inputs.input("completion_mask", &completion_mask);
    /// let step = Sapo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - (2.0 / 1.05 - 1.0)).abs() < 1e-15); // (−2 + 2 · 2/1.05)/2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, -0.25, 1.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Sapo of "sapo" {
        /// Temperature τ of tokens with a positive advantage.
        sapo_temperature_pos: f64 = 1.0, "> 0" if |t| t > 0.0 && t.is_finite();
        /// Temperature τ of all other tokens; the higher, the faster their gradient fades.
        sapo_temperature_neg: f64 = 1.05, "> 0" if |t| t > 0.0 && t.is_finite();
        /// Weight β of the divergence from the reference; has no effect without `ref_log_probs`.
        beta: f64 = 0.04, ">= 0" if |beta| beta >= 0.0 && beta.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "sapo",
    summary: "reinforcement learning of language models: a smooth gate in place of the clipped ratio",
    formula: "mean_t −4/τ σ(τ(r − 1)) A + β KL",
    options: Sapo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "C. Gao et al., Soft adaptive policy optimization, 2025",
    variants: &[r#"{"sapo_temperature_pos": 0.5, "sapo_temperature_neg": 2.0, "beta": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/sapo.wgsl"),
    make: make::<Sapo>,
};

impl LossDefinition for Sapo {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::policy(self, TOKENS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("TEMPERATURE_POS", self.sapo_temperature_pos),
            ("TEMPERATURE_NEG", self.sapo_temperature_neg),
        ]
    }
}

impl PolicyGradient for Sapo {
    fn rule(&self) -> PolicyRule {
        PolicyRule { beta: self.beta, aggregation: Aggregation::CompletionMean }
    }

    fn token<R: Real>(&self, _: R, log_ratio: R, advantage: R) -> [R; 2] {
        let four = R::new(4.0);
        let temperature = R::select(
            advantage > R::ZERO,
            R::new(self.sapo_temperature_pos),
            R::new(self.sapo_temperature_neg),
        );
        let moved = temperature * log_ratio.exp_m1();
        let (high, low) = (moved.sigmoid(), (-moved).sigmoid());
        // The gate falls faster than the ratio grows: 0·∞ is 0 there.
        let gate = R::select(low == R::ZERO, R::ZERO, log_ratio.exp() * high * low);
        [-advantage * high * four / temperature, -advantage * four * gate]
    }
}

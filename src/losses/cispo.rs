//! Policy optimization with clipped importance weights.

use crate::losses::policy::TOKENS;
use crate::losses::prelude::*;

options! {
    /// CISPO: the policy gradient with clipped importance weights, so that every token contributes,
    /// also one whose probability has changed much.
    ///
    /// Per token −min(r, ε_high) A log_prob + β (eᵘ − 1 − u), with r = e^(log_prob − old), A the
    /// advantage and u = ref − log_prob; min(r, ε_high) is held constant, so that the derivative,
    /// −min(r, ε_high) A − β (eᵘ − 1), is not that of the value.
    ///
    /// The value of a completion is the sum over its tokens, and `mean` divides by the number of
    /// tokens of all completions; a completion without tokens is left out.
    ///
    /// Inputs: `log_probs` [completions, tokens], the log-probabilities of the tokens under the
    /// policy, which get the gradient; `advantages` `[completions]` or [completions, tokens];
    /// optional, of the shape of `log_probs`: `old_log_probs` under the policy that drew the tokens
    /// (default: those of the policy itself, held constant), `ref_log_probs` under a reference model
    /// (without it there is no divergence), and `completion_mask`, 0 for a token that is left out.
    ///
    /// TRL `GRPOTrainer` (`loss_type="cispo"`; its β is 0), Liger `LigerFusedLinearGRPOLoss`.
    /// Source: MiniMax, MiniMax-M1: scaling test-time compute efficiently with lightning attention,
    /// 2025.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Cispo, Loss}};
    /// use ndarray::array;
    ///
    /// // Two completions, of two tokens and of one; the policy has not moved yet.
    /// let (log_probs, advantages) = (array![[-1.0, -2.0], [-3.0, 0.0]], array![1.0, -2.0]);
    /// let completion_mask = array![[1.0, 1.0], [1.0, 0.0]];
    /// let inputs = Inputs::named("log_probs", &log_probs).input("advantages", &advantages);
    /// let inputs = inputs.input("completion_mask", &completion_mask);
    /// let step = Cispo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert_eq!(step.value(), -1.0); // (1 + 2 − 6)/3
    /// assert!((step.gradient[[1, 0]] - 2.0 / 3.0).abs() < 1e-7);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Cispo of "cispo" {
        /// Upper bound of the importance weight itself, as in TRL; the paper's is 1 + ε_high.
        epsilon_high: f64 = 5.0, "> 0" if |high| high > 0.0 && high.is_finite();
        /// Weight β of the divergence from the reference; has no effect without `ref_log_probs`.
        beta: f64 = 0.04, ">= 0" if |beta| beta >= 0.0 && beta.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "cispo",
    summary: "reinforcement learning of language models: the importance weight is clipped, no token is lost",
    formula: "−min(r, ε_high) A ln p + β KL, the weight held constant",
    options: Cispo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "MiniMax, MiniMax-M1: scaling test-time compute efficiently with lightning attention, 2025",
    variants: &[r#"{"epsilon_high": 1.5, "beta": 0.5}"#],
    shader: crate::runtime::wgsl::shader!("losses/cispo.wgsl"),
    make: make::<Cispo>,
};

impl LossDefinition for Cispo {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec::policy(self, TOKENS)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("EPSILON_HIGH", self.epsilon_high)]
    }
}

impl PolicyGradient for Cispo {
    fn rule(&self) -> PolicyRule {
        PolicyRule { beta: self.beta, aggregation: Aggregation::TokenMean }
    }

    fn token<R: Real>(&self, log_prob: R, log_ratio: R, advantage: R) -> [R; 2] {
        let weight = -advantage * Real::min(log_ratio.exp(), R::new(self.epsilon_high));
        // A token of probability 0 has weight 0 and the logarithm −∞.
        [R::select(weight == R::ZERO, R::ZERO, weight * log_prob), weight]
    }

    fn derives_its_value(&self) -> bool {
        false
    }
}

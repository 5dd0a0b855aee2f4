//! Decoupled clip and dynamic sampling policy optimization.

use crate::losses::policy::{Clip, TOKENS, clipped_policy};
use crate::losses::prelude::*;

options! {
    /// DAPO: as [`crate::losses::Bnpo`], with a higher upper bound of the ratio, so that unlikely
    /// tokens may become likely.
    ///
    /// Per token −min(min(r, δ) A, clip(r, 1 − ε, 1 + ε_high) A) + β (eᵘ − 1 − u), with
    /// r = e^(log_prob − old), A the advantage and u = ref − log_prob; derivative −r A where r is not
    /// cut, else 0, less β (eᵘ − 1).
    ///
    /// The value of a completion is the sum over its tokens, and `mean` divides by the number of
    /// tokens of all completions; a completion without tokens is left out. With several devices or
    /// accumulated gradients the number of tokens of all of them is the divisor of
    /// [`crate::Reduction::Divisor`]. The paper has no divergence: leave out `ref_log_probs`.
    ///
    /// Inputs: `log_probs` [completions, tokens], the log-probabilities of the tokens under the
    /// policy, which get the gradient; `advantages` `[completions]` or [completions, tokens];
    /// optional, of the shape of `log_probs`: `old_log_probs` under the policy that drew the tokens
    /// (default: those of the policy itself, held constant), `ref_log_probs` under a reference model
    /// (without it there is no divergence), and `completion_mask`, 0 for a token that is left out.
    ///
    /// TRL `GRPOTrainer` (`loss_type="dapo"`, `epsilon_high=0.28`), Liger `LigerFusedLinearGRPOLoss`.
    /// Source: Q. Yu et al., DAPO: an open-source LLM reinforcement learning system at scale, 2025.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Dapo, Loss}};
    /// use ndarray::array;
    ///
    /// // Two completions, of two tokens and of one; the policy has not moved yet.
    /// let (log_probs, advantages) = (array![[-1.0, -2.0], [-3.0, 0.0]], array![1.0, -2.0]);
    /// let completion_mask = array![[1.0, 1.0], [1.0, 0.0]];
    /// let inputs = Inputs::named("log_probs", &log_probs).input("advantages", &advantages);
    /// let inputs = inputs.input("completion_mask", &completion_mask);
    /// let step = Dapo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert_eq!(step.value(), 0.0); // (−1 − 1 + 2)/3
    /// assert!((step.gradient[[1, 0]] - 2.0 / 3.0).abs() < 1e-7);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Dapo of "dapo" {
        /// How far the ratio may fall below 1 for a negative advantage, ε.
        epsilon: f64 = 0.2, "in [0, 1]" if |epsilon| (0.0..=1.0).contains(&epsilon);
        /// How far the ratio may rise above 1 for a positive advantage; null for ε.
        epsilon_high: Option<f64> = Some(0.28), ">= 0 or null" if |high| high.is_none_or(|high| high >= 0.0 && high.is_finite());
        /// Upper bound of the ratio for a negative advantage (two-sided clipping); null for none.
        delta: Option<f64> = None, "at least 1 + epsilon_high, or null" if |delta| delta.is_none_or(|delta| delta > 0.0);
        /// Weight β of the divergence from the reference; has no effect without `ref_log_probs`.
        beta: f64 = 0.04, ">= 0" if |beta| beta >= 0.0 && beta.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "dapo",
    summary: "reinforcement learning of language models: a higher upper clip, a mean over all tokens",
    formula: "Σ_t −min(r A, clip(r, 1 − ε, 1 + ε_high) A) + β KL, ε_high > ε, mean over the tokens",
    options: Dapo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Q. Yu et al., DAPO: an open-source LLM reinforcement learning system at scale, 2025",
    variants: &[
        r#"{"epsilon": 0.1, "epsilon_high": null, "beta": 0.5}"#,
        r#"{"delta": 4.0, "beta": 0.0}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/dapo.wgsl"),
    make: make::<Dapo>,
};

clipped_policy!(Dapo, |_loss| Aggregation::TokenMean);

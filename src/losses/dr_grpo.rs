//! Group relative policy optimization without a bias by length.

use crate::losses::policy::{Clip, TOKENS, clipped_policy};
use crate::losses::prelude::*;

options! {
    /// Dr. GRPO: as [`crate::losses::Grpo`], but divided by a constant length, so that a completion's
    /// own length has no influence on the weight of its tokens.
    ///
    /// Per token −min(min(r, δ) A, clip(r, 1 − ε, 1 + ε_high) A) + β (eᵘ − 1 − u), with
    /// r = e^(log_prob − old), A the advantage and u = ref − log_prob; derivative −r A where r is not
    /// cut, else 0, less β (eᵘ − 1).
    ///
    /// The value of a completion is the sum over its tokens divided by `max_completion_length`, and
    /// `mean` divides by the number of completions.
    ///
    /// Inputs: `log_probs` [completions, tokens], the log-probabilities of the tokens under the
    /// policy, which get the gradient; `advantages` `[completions]` or [completions, tokens];
    /// optional, of the shape of `log_probs`: `old_log_probs` under the policy that drew the tokens
    /// (default: those of the policy itself, held constant), `ref_log_probs` under a reference model
    /// (without it there is no divergence), and `completion_mask`, 0 for a token that is left out.
    ///
    /// TRL `GRPOTrainer` (`loss_type="dr_grpo"`; its β is 0), Liger `LigerFusedLinearGRPOLoss`.
    /// Source: Z. Liu et al., Understanding R1-Zero-like training: a critical perspective, 2025.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{DrGrpo, Loss}};
    /// use ndarray::array;
    ///
    /// // Two completions, of two tokens and of one; the policy has not moved yet.
    /// let (log_probs, advantages) = (array![[-1.0, -2.0], [-3.0, 0.0]], array![1.0, -2.0]);
    /// let completion_mask = array![[1.0, 1.0], [1.0, 0.0]];
    /// let inputs = Inputs::named("log_probs", &log_probs).input("advantages", &advantages);
    /// let inputs = inputs.input("completion_mask", &completion_mask);
    /// let step = DrGrpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert_eq!(step.value(), 0.0); // (−2 + 2)/(2 · 2)
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, -0.25, 0.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct DrGrpo of "dr_grpo" {
        /// How far the ratio may fall below 1 for a negative advantage, ε.
        epsilon: f64 = 0.2, "in [0, 1]" if |epsilon| (0.0..=1.0).contains(&epsilon);
        /// How far the ratio may rise above 1 for a positive advantage; null for ε.
        epsilon_high: Option<f64> = None, ">= 0 or null" if |high| high.is_none_or(|high| high >= 0.0 && high.is_finite());
        /// Upper bound of the ratio for a negative advantage (two-sided clipping); null for none.
        delta: Option<f64> = None, "at least 1 + epsilon_high, or null" if |delta| delta.is_none_or(|delta| delta > 0.0);
        /// Weight β of the divergence from the reference; has no effect without `ref_log_probs`.
        beta: f64 = 0.04, ">= 0" if |beta| beta >= 0.0 && beta.is_finite();
        /// Length that the sum over a completion is divided by; null for the number of columns.
        max_completion_length: Option<u32> = None, "at least 1, or null" if |length| length != Some(0);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "dr_grpo",
    summary: "reinforcement learning of language models: clipped ratios, no bias by length",
    formula: "1/L Σ_t −min(r A, clip(r, 1 − ε, 1 + ε_high) A) + β KL",
    options: DrGrpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "Z. Liu et al., Understanding R1-Zero-like training: a critical perspective, 2025",
    variants: &[
        r#"{"epsilon": 0.1, "epsilon_high": 0.3, "beta": 0.5}"#,
        r#"{"delta": 4.0, "beta": 0.0}"#,
        r#"{"max_completion_length": 10}"#,
    ],
    shader: crate::runtime::wgsl::shader!("losses/dr_grpo.wgsl"),
    make: make::<DrGrpo>,
};

clipped_policy!(DrGrpo, |loss| Aggregation::Length(loss.max_completion_length.unwrap_or(0)));

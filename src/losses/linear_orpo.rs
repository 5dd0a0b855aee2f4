//! Odds-ratio preference optimization, fused with the last linear layer of the policy.

use crate::losses::fused::*;
use crate::losses::orpo::{ENTRY as ORPO, Orpo};
use crate::losses::prelude::*;

fused! {
    /// [`Orpo`] of completions whose token logits are the outputs of a linear layer, fused with the
    /// layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [2 pairs, tokens, features], the input of the layer, all chosen
    /// completions first, then all rejected ones in the same order; `linear_weight` [classes,
    /// features]; `linear_bias` `[classes]` (optional); labels `targets` [2 pairs, tokens], −100
    /// for an ignored token (prompt, padding).
    ///
    /// The log-probability of a completion is the mean over its tokens (the sum with
    /// `average_log_prob` false); that of a completion without tokens is 0, with infinite odds: its
    /// pair is skipped like a masked one. One value per pair; gradients for predictions,
    /// weights and bias. Only the logits of one chunk of tokens, at most 32 MiB, are held at a
    /// time; they are computed twice. All other options are those of [`Orpo`]: its likelihood is
    /// the mean over the tokens of each chosen completion.
    ///
    /// Liger `LigerFusedLinearORPOLoss`, whose likelihood is a mean over the tokens of all chosen
    /// completions; the equivalent is `nll` 0 plus [`crate::losses::LinearCrossEntropy`] of them.
    /// Sources: J. Hong, N. Lee and J. Thorne, ORPO: monolithic preference optimization without
    /// reference model, 2024; P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM
    /// training, 2024 (chunks of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearOrpo, Loss}};
    /// use ndarray::array;
    ///
    /// let (states, weight) = (array![[[1.0], [2.0]], [[1.0], [0.0]]], array![[0.0], [0.0]]);
    /// let targets = array![[0_i64, 1], [1, -100]];
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearOrpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 1.1 * 2.0_f64.ln()).abs() < 1e-15); // the same odds, and each token costs ln 2
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearOrpo of Orpo { average_log_prob: bool = true };
    takes &[ANSWERS, LINEAR_WEIGHT, LINEAR_BIAS, COMPLETION_LABELS];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_orpo",
    summary: "language models from preferences: likelihood and odds ratio without holding logits",
    formula: "orpo(mean ln softmax(X Wᵀ + b)_y)",
    options: LinearOrpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[r#"{"beta": 0.5, "nll": 0.0}"#, r#"{"average_log_prob": false}"#],
    shader: ORPO.shader,
    make: make::<LinearOrpo>,
};

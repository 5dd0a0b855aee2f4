//! Simple preference optimization, fused with the last linear layer of the policy.

use crate::losses::fused::*;
use crate::losses::prelude::*;
use crate::losses::simpo::{ENTRY as SIMPO, Simpo};

fused! {
    /// [`Simpo`] of completions whose token logits are the outputs of a linear layer, fused with
    /// the layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [2 pairs, tokens, features], the input of the layer, all chosen
    /// completions first, then all rejected ones in the same order; `linear_weight` [classes,
    /// features]; `linear_bias` `[classes]` (optional); labels `targets` [2 pairs, tokens], −100
    /// for an ignored token (prompt, padding).
    ///
    /// The log-probability of a completion is the mean over its tokens (the sum with
    /// `average_log_prob` false), 0 for a completion without tokens. One value per pair;
    /// gradients for predictions, weights and bias. Only the logits of one chunk of tokens, at most
    /// 32 MiB, are held at a time; they are computed twice. All other options are those of
    /// [`Simpo`].
    ///
    /// Liger `LigerFusedLinearSimPOLoss`, whose `compute_nll_loss` adds the negative log-likelihood
    /// of the chosen completions; the equivalent is to add their
    /// [`crate::losses::LinearCrossEntropy`].
    /// Sources: Y. Meng, M. Xia and D. Chen, SimPO: simple preference optimization with a
    /// reference-free reward, 2024; P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM
    /// training, 2024 (chunks of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearSimpo, Loss}};
    /// use ndarray::array;
    ///
    /// let (states, weight) = (array![[[1.0], [2.0]], [[1.0], [0.0]]], array![[0.0], [0.0]]);
    /// let targets = array![[0_i64, 1], [1, -100]];
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearSimpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 1.0_f64.exp().ln_1p()).abs() < 1e-15); // the same mean: only the margin of 1 is missed
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearSimpo of Simpo { average_log_prob: bool = true };
    takes &[ANSWERS, LINEAR_WEIGHT, LINEAR_BIAS, COMPLETION_LABELS];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_simpo",
    summary: "language models from preferences: without a reference and without holding logits",
    formula: "simpo(mean ln softmax(X Wᵀ + b)_y)",
    options: LinearSimpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[
        r#"{"beta": 0.5, "gamma": 0.25, "label_smoothing": 0.1}"#,
        r#"{"beta": 0.1, "average_log_prob": false}"#,
    ],
    shader: SIMPO.shader,
    make: make::<LinearSimpo>,
};

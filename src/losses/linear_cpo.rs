//! Contrastive preference optimization, fused with the last linear layer of the policy.

use crate::losses::cpo::{Cpo, ENTRY as CPO};
use crate::losses::fused::*;
use crate::losses::prelude::*;

fused! {
    /// [`Cpo`] of completions whose token logits are the outputs of a linear layer, fused with
    /// the layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [2 pairs, tokens, features], the input of the layer, all chosen
    /// completions first, then all rejected ones in the same order; `linear_weight` [classes,
    /// features]; `linear_bias` `[classes]` (optional); labels `targets` [2 pairs, tokens], −100
    /// for an ignored token (prompt, padding).
    ///
    /// The log-probability of a completion is the sum over its tokens (the mean with
    /// `average_log_prob` true), 0 for a completion without tokens. One value per pair;
    /// gradients for predictions, weights and bias. Only the logits of one chunk of tokens, at most
    /// 32 MiB, are held at a time; they are computed twice. All other options are those of [`Cpo`]:
    /// its likelihood is that of each chosen completion.
    ///
    /// Liger `LigerFusedLinearCPOLoss`, whose likelihood is a mean over the tokens of all chosen
    /// completions; the equivalent is `alpha` 0 plus [`crate::losses::LinearCrossEntropy`] of them.
    /// Sources: H. Xu et al., Contrastive preference optimization: pushing the boundaries of LLM
    /// performance in machine translation, 2024; P. Hsu et al., Liger Kernel: efficient Triton
    /// kernels for LLM training, 2024 (chunks of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearCpo, Loss}};
    /// use ndarray::array;
    ///
    /// let (states, weight) = (array![[[1.0], [2.0]], [[1.0], [0.0]]], array![[0.0], [0.0]]);
    /// let targets = array![[0_i64, 1], [1, -100]];
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearCpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// // Each token has probability ½; the chosen completion has one more: h = β ln ½.
    /// let likelihood = 2.0 * 2.0_f64.ln();
    /// assert!((step.value() - likelihood - 2.0_f64.powf(0.1).ln_1p()).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearCpo of Cpo { average_log_prob: bool = false };
    takes &[ANSWERS, LINEAR_WEIGHT, LINEAR_BIAS, COMPLETION_LABELS];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_cpo",
    summary: "language models from preferences: likelihood and preference without holding logits",
    formula: "cpo(Σ ln softmax(X Wᵀ + b)_y)",
    options: LinearCpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[
        r#"{"beta": 0.5, "label_smoothing": 0.1, "alpha": 0.0}"#,
        r#"{"alpha": 0.25, "average_log_prob": true}"#,
    ],
    shader: CPO.shader,
    make: make::<LinearCpo>,
};

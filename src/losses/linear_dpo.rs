//! Direct preference optimization, fused with the last linear layer of the policy.

use crate::losses::dpo::{Dpo, ENTRY as DPO};
use crate::losses::fused::*;
use crate::losses::prelude::*;

fused! {
    /// [`Dpo`] of completions whose token logits are the outputs of a linear layer, fused with the
    /// layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [2 pairs, tokens, features], the input of the layer, all chosen
    /// completions first, then all rejected ones in the same order; `linear_weight` [classes,
    /// features]; `linear_bias` `[classes]` (optional); labels `targets` [2 pairs, tokens],
    /// −100 for an ignored token (prompt, padding); and the log-probabilities `reference_chosen`
    /// and `reference_rejected` `[pairs]` of the completions under a reference model, which default
    /// to 0.
    ///
    /// The log-probability of a completion is the sum over its tokens (the mean with
    /// `average_log_prob` true), 0 for a completion without tokens. One value per pair;
    /// gradients for predictions, weights and bias. Only the logits of one chunk of tokens, at most
    /// 32 MiB, are held at a time; they are computed twice. All other options are those of [`Dpo`].
    ///
    /// Liger `LigerFusedLinearDPOLoss`, whose `compute_nll_loss` adds the negative log-likelihood
    /// of the chosen completions; the equivalent is to add their
    /// [`crate::losses::LinearCrossEntropy`].
    /// Sources: R. Rafailov et al., Direct preference optimization: your language model is secretly
    /// a reward model, 2023; P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM
    /// training, 2024 (chunks of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearDpo, Loss}};
    /// use ndarray::array;
    ///
    /// // One pair of completions of two tokens each. The second token of the rejected one is
    /// // padding. Each token has probability ½.
    /// let (states, weight) = (array![[[1.0], [2.0]], [[1.0], [0.0]]], array![[0.0], [0.0]]);
    /// let targets = array![[0_i64, 1], [1, -100]];
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearDpo::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// // The chosen completion has one factor of ½ more: h = β ln ½.
    /// assert!((step.value() - (1.0 + 2.0_f64.powf(0.1)).ln()).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearDpo of Dpo { average_log_prob: bool = false };
    takes &[ANSWERS, LINEAR_WEIGHT, LINEAR_BIAS, COMPLETION_LABELS, REFERENCE_CHOSEN, REFERENCE_REJECTED];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_dpo",
    summary: "language models from preferences: without holding the logits of the completions",
    formula: "dpo(Σ ln softmax(X Wᵀ + b)_y)",
    options: LinearDpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[
        r#"{"loss_type": "ipo", "average_log_prob": true}"#,
        r#"{"beta": 0.5, "label_smoothing": 0.1}"#,
        r#"{"loss_type": "robust", "label_smoothing": 0.2}"#,
        r#"{"loss_type": "hinge"}"#,
        r#"{"loss_type": "apo_zero", "average_log_prob": true}"#,
        r#"{"loss_type": "apo_down"}"#,
        r#"{"loss_type": "nca_pair"}"#,
        r#"{"loss_type": "sppo_hard", "average_log_prob": true}"#,
    ],
    shader: DPO.shader,
    make: make::<LinearDpo>,
};

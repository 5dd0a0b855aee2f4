//! Kahneman-Tversky optimization, fused with the last linear layer of the policy.

use crate::losses::fused::*;
use crate::losses::kto::{ENTRY as KTO, Kto};
use crate::losses::prelude::*;

fused! {
    /// [`Kto`] of completions whose token logits are the outputs of a linear layer, fused with the
    /// layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [completions, tokens, features], the input of the layer;
    /// `linear_weight` [classes, features]; `linear_bias` `[classes]` (optional); labels `targets`
    /// [completions, tokens], −100 for an ignored token (prompt, padding); and for each completion,
    /// `[completions]`, its log-probability `reference` under a reference model, `desirable` +1 or
    /// −1, and `kl`, the estimate of the divergence of policy and reference on the batch
    /// (optional).
    ///
    /// The log-probability of a completion is the sum over its tokens (the mean with
    /// `average_log_prob` true), 0 for a completion without tokens. One value per completion;
    /// gradients for predictions, weights and bias. Only the logits of one chunk of tokens, at most
    /// 32 MiB, are held at a time; they are computed twice. All other options are those of [`Kto`].
    ///
    /// Liger `LigerFusedLinearKTOLoss`.
    /// Sources: K. Ethayarajh et al., KTO: model alignment as prospect theoretic optimization,
    /// 2024; P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024 (chunks
    /// of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearKto, Loss}};
    /// use ndarray::array;
    ///
    /// let (states, weight) = (array![[[1.0], [2.0]]], array![[0.0], [0.0]]);
    /// let (targets, reference, desirable) = (array![[0_i64, 1]], array![-1.5], array![1.0]);
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let inputs = inputs.input("reference", &reference).input("desirable", &desirable);
    /// let step = LinearKto::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// let z: f64 = 0.1 * (-2.0 * 2.0_f64.ln() + 1.5); // two tokens of probability ½
    /// assert!((step.value() - 1.0 / (1.0 + z.exp())).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearKto of Kto { average_log_prob: bool = false };
    takes &[
        ANSWERS,
        LINEAR_WEIGHT,
        LINEAR_BIAS,
        COMPLETION_LABELS,
        Argument { name: "reference", shape: "[completions]: log-probabilities", role: Role::Fixed, domain: Domain::Real },
        Argument {
            name: "desirable",
            shape: "[completions]: +1 for a desirable completion, else -1",
            role: Role::Fixed,
            domain: Domain::Sign,
        },
        Argument { name: "kl", shape: "[completions]", role: Role::Optional, domain: Domain::Real },
    ];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_kto",
    summary: "language models from completions that are good or bad: without holding their logits",
    formula: "kto(Σ ln softmax(X Wᵀ + b)_y)",
    options: LinearKto::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[
        r#"{"beta": 0.5, "desirable_weight": 1.5, "undesirable_weight": 0.5}"#,
        r#"{"average_log_prob": true}"#,
    ],
    shader: KTO.shader,
    make: make::<LinearKto>,
};

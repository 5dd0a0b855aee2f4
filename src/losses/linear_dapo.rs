//! DAPO, fused with the last linear layer of the policy.

use crate::losses::dapo::{Dapo, ENTRY as DAPO};
use crate::losses::fused::*;
use crate::losses::policy::{ADVANTAGES, OLD_LOG_PROBS, REF_LOG_PROBS};
use crate::losses::prelude::*;

fused! {
    /// [`Dapo`] of completions whose token logits are the outputs of a linear layer, fused with the
    /// layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [completions, tokens, features], the input of the layer;
    /// `linear_weight` [classes, features]; `linear_bias` `[classes]` (optional); labels `targets`
    /// [completions, tokens], −100 for an ignored token (prompt, padding); `advantages`
    /// `[completions]` or [completions, tokens]; and optional, of the shape of `targets`,
    /// `old_log_probs` and `ref_log_probs` as in [`Dapo`].
    ///
    /// One value per completion; gradients for predictions, weights and bias. Only the logits of one
    /// chunk of tokens, at most 32 MiB, are held at a time; they are computed twice. All other options are
    /// those of [`Dapo`].
    ///
    /// Liger `LigerFusedLinearGRPOLoss` (`loss_type="dapo"`).
    /// Sources: Q. Yu et al., DAPO: an open-source LLM reinforcement learning system at scale, 2025;
    /// P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024 (chunks of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearDapo, Loss}};
    /// use ndarray::array;
    ///
    /// // A completion of one token of probability ½, and a token of padding.
    /// let (states, weight) = (array![[[1.0], [2.0]]], array![[0.0], [0.0]]);
    /// let (targets, advantages) = (array![[0_i64, -100]], array![3.0]);
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearDapo::new().on(&Device::reference())?.evaluate(&inputs.input("advantages", &advantages))?;
    /// assert_eq!(step.value(), -3.0); // the policy has not moved: −A
    /// assert_eq!(step.gradient_of("linear_weight").unwrap().as_slice().unwrap(), [-1.5, 1.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearDapo of Dapo by tokens;
    takes &[
        ANSWERS,
        LINEAR_WEIGHT,
        LINEAR_BIAS,
        COMPLETION_LABELS,
        ADVANTAGES,
        OLD_LOG_PROBS,
        REF_LOG_PROBS,
    ];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_dapo",
    summary: "reinforcement learning of language models: a higher upper clip without holding the logits",
    formula: "dapo(ln softmax(X Wᵀ + b)_y)",
    options: LinearDapo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[
        r#"{"epsilon": 0.1, "epsilon_high": null, "beta": 0.5}"#,
        r#"{"delta": 4.0, "beta": 0.0}"#,
    ],
    shader: DAPO.shader,
    make: make::<LinearDapo>,
};

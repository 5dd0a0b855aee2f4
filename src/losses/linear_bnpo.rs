//! BNPO, fused with the last linear layer of the policy.

use crate::losses::bnpo::{Bnpo, ENTRY as BNPO};
use crate::losses::fused::*;
use crate::losses::policy::{ADVANTAGES, OLD_LOG_PROBS, REF_LOG_PROBS};
use crate::losses::prelude::*;

fused! {
    /// [`Bnpo`] of completions whose token logits are the outputs of a linear layer, fused with the
    /// layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [completions, tokens, features], the input of the layer;
    /// `linear_weight` [classes, features]; `linear_bias` `[classes]` (optional); labels `targets`
    /// [completions, tokens], −100 for an ignored token (prompt, padding); `advantages`
    /// `[completions]` or [completions, tokens]; and optional, of the shape of `targets`,
    /// `old_log_probs` and `ref_log_probs` as in [`Bnpo`].
    ///
    /// One value per completion; gradients for predictions, weights and bias. Only the logits of one
    /// chunk of tokens, at most 32 MiB, are held at a time; they are computed twice. All other options are
    /// those of [`Bnpo`].
    ///
    /// Liger `LigerFusedLinearGRPOLoss` (`loss_type="bnpo"`).
    /// Sources: L. von Werra et al., TRL: transformers reinforcement learning, 2020;
    /// P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024 (chunks of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearBnpo, Loss}};
    /// use ndarray::array;
    ///
    /// // A completion of one token of probability ½, and a token of padding.
    /// let (states, weight) = (array![[[1.0], [2.0]]], array![[0.0], [0.0]]);
    /// let (targets, advantages) = (array![[0_i64, -100]], array![3.0]);
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearBnpo::new().on(&Device::reference())?.evaluate(&inputs.input("advantages", &advantages))?;
    /// assert_eq!(step.value(), -3.0); // the policy has not moved: −A
    /// assert_eq!(step.gradient_of("linear_weight").unwrap().as_slice().unwrap(), [-1.5, 1.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearBnpo of Bnpo by tokens;
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
    name: "linear_bnpo",
    summary: "reinforcement learning of language models: a mean over all tokens without holding the logits",
    formula: "bnpo(ln softmax(X Wᵀ + b)_y)",
    options: LinearBnpo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[
        r#"{"epsilon": 0.1, "epsilon_high": 0.3, "beta": 0.5}"#,
        r#"{"delta": 4.0, "beta": 0.0}"#,
    ],
    shader: BNPO.shader,
    make: make::<LinearBnpo>,
};

//! Policy optimization with clipped importance weights, fused with the last linear layer of the policy.

use crate::losses::cispo::{Cispo, ENTRY as CISPO};
use crate::losses::fused::*;
use crate::losses::policy::{ADVANTAGES, OLD_LOG_PROBS, REF_LOG_PROBS};
use crate::losses::prelude::*;

fused! {
    /// [`Cispo`] of completions whose token logits are the outputs of a linear layer, fused with the
    /// layer: the log-probabilities of all tokens without holding all their logits at once.
    ///
    /// Inputs: `predictions` [completions, tokens, features], the input of the layer;
    /// `linear_weight` [classes, features]; `linear_bias` `[classes]` (optional); labels `targets`
    /// [completions, tokens], −100 for an ignored token (prompt, padding); `advantages`
    /// `[completions]` or [completions, tokens]; and optional, of the shape of `targets`,
    /// `old_log_probs` and `ref_log_probs` as in [`Cispo`].
    ///
    /// One value per completion; gradients for predictions, weights and bias. Only the logits of one
    /// chunk of tokens, at most 32 MiB, are held at a time; they are computed twice. All other options are
    /// those of [`Cispo`].
    ///
    /// Liger `LigerFusedLinearGRPOLoss` (`loss_type="cispo"`).
    /// Sources: MiniMax, MiniMax-M1: scaling test-time compute efficiently with lightning attention, 2025;
    /// P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024 (chunks of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{LinearCispo, Loss}};
    /// use ndarray::array;
    ///
    /// // A completion of one token of probability ½, and a token of padding.
    /// let (states, weight) = (array![[[1.0], [2.0]]], array![[0.0], [0.0]]);
    /// let (targets, advantages) = (array![[0_i64, -100]], array![3.0]);
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearCispo::new().on(&Device::reference())?.evaluate(&inputs.input("advantages", &advantages))?;
    /// assert!((step.value() - 3.0 * 2.0_f64.ln()).abs() < 1e-12); // −A ln ½
    /// assert_eq!(step.gradient_of("linear_weight").unwrap().as_slice().unwrap(), [-1.5, 1.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearCispo of Cispo by tokens;
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
    name: "linear_cispo",
    summary: "reinforcement learning of language models: clipped importance weights without holding the logits",
    formula: "cispo(ln softmax(X Wᵀ + b)_y)",
    options: LinearCispo::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[r#"{"epsilon_high": 1.5, "beta": 0.5}"#],
    shader: CISPO.shader,
    make: make::<LinearCispo>,
};

//! Simple preference optimization, fused with the last linear layer of the policy.

use super::answers::{IGNORED, LINEAR_BIAS, LINEAR_WEIGHT, PREDICTIONS, TARGETS, with_average};
use super::prelude::*;
use super::simpo::{ENTRY as SIMPO, Simpo};
use crate::catalogue::Choice;

/// [`Simpo`] of answers whose tokens' logits are the outputs of a linear layer, fused with the layer: the log-probabilities of all tokens
/// without their logits at once.
///
/// Inputs: `predictions` [2 pairs, tokens, features], what goes into the layer, all chosen answers first, then all rejected ones in the
/// same order; `linear_weight` [classes, features]; `linear_bias` `[classes]`, if there is one; labels `targets` [2 pairs, tokens],
/// −100 for a token that is left out (a prompt, padding).
///
/// The log-probability of an answer is the mean of those of its tokens (the sum with `average_log_prob` false); that of an answer
/// without tokens is 0. One value for each pair, gradients of predictions, weights and bias. The logits are held for a
/// chunk of tokens at a time, at most 32 MiB of them, and computed twice.
/// All other options are those of [`Simpo`].
///
/// Liger `LigerFusedLinearSimPOLoss`, whose `compute_nll_loss` adds the negative log-likelihood of the chosen answers: for
/// that add [`crate::losses::LinearCrossEntropy`] of them.
/// Sources: Y. Meng, M. Xia and D. Chen, SimPO: simple preference optimization with a reference-free reward, 2024; P. Hsu et al., Liger
/// Kernel: efficient Triton kernels for LLM training, 2024 (chunks of rows).
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
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LinearSimpo {
    #[serde(flatten)]
    inner: Simpo,
    average_log_prob: bool,
}

const OPTIONS: [Choice; Simpo::OPTIONS.len() + 1] = with_average(Simpo::OPTIONS);

pub(super) static ENTRY: Entry<dyn Loss> = Entry {
    name: "linear_simpo",
    summary: "language models from preferences: without a reference and without holding logits",
    formula: "simpo(mean ln softmax(X Wᵀ + b)_y)",
    options: &OPTIONS,
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

impl Default for LinearSimpo {
    fn default() -> Self {
        LinearSimpo { inner: Simpo::default(), average_log_prob: true }
    }
}

impl LinearSimpo {
    /// With the default options of [`Simpo`].
    pub fn new() -> Self {
        Self::default()
    }

    /// With the options of this one.
    pub fn of(inner: Simpo) -> Self {
        LinearSimpo { inner, ..Self::default() }
    }

    /// Whether an answer's log-probability is the mean over its tokens, not the sum (default true).
    #[must_use]
    pub fn average_log_prob(mut self, average_log_prob: bool) -> Self {
        self.average_log_prob = average_log_prob;
        self
    }
}

impl Filling for LinearSimpo {
    const ENTRY: &'static Entry<dyn Loss> = &ENTRY;
    const ARGUMENTS: &'static [Argument] = &[PREDICTIONS, LINEAR_WEIGHT, LINEAR_BIAS, TARGETS];

    fn check_options(&self) -> Result<()> {
        super::in_the_name_of(&ENTRY, self.inner.check_options())
    }

    fn family(&self) -> Family<'_> {
        Family::answers(ENTRY.name, &self.inner, self.average_log_prob)
    }

    fn inner(&self) -> Option<&dyn Loss> {
        Some(&self.inner)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Filling::constants(&self.inner)
    }

    fn ignored(&self) -> &[i64] {
        IGNORED
    }
}

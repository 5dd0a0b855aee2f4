//! Odds-ratio preference optimization, fused with the last linear layer of the policy.

use super::answers::{IGNORED, LINEAR_BIAS, LINEAR_WEIGHT, PREDICTIONS, TARGETS, with_average};
use super::orpo::{ENTRY as ORPO, Orpo};
use super::prelude::*;
use crate::catalogue::Choice;

/// [`Orpo`] of answers whose tokens' logits are the outputs of a linear layer, fused with the layer: the log-probabilities of all tokens
/// without their logits at once.
///
/// Inputs: `predictions` [2 pairs, tokens, features], what goes into the layer, all chosen answers first, then all rejected ones in the
/// same order; `linear_weight` [classes, features]; `linear_bias` `[classes]`, if there is one; labels `targets` [2 pairs, tokens],
/// −100 for a token that is left out (a prompt, padding).
///
/// The log-probability of an answer is the mean of those of its tokens (the sum with `average_log_prob` false); that of an answer
/// without tokens is 0, whose odds are infinite: its pair is
/// left out, as a masked one is. One value for each pair, gradients of predictions, weights and bias. The logits are held for a
/// chunk of tokens at a time, at most 32 MiB of them, and computed twice.
/// All other options are those of [`Orpo`]: its likelihood is the mean over the tokens of each chosen answer.
///
/// Liger `LigerFusedLinearORPOLoss`, whose likelihood is a mean over the tokens of all chosen answers: for that leave it out with `nll` 0
/// and add [`crate::losses::LinearCrossEntropy`] of them.
/// Sources: J. Hong, N. Lee and J. Thorne, ORPO: monolithic preference optimization without reference model, 2024; P. Hsu et al., Liger
/// Kernel: efficient Triton kernels for LLM training, 2024 (chunks of rows).
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
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LinearOrpo {
    #[serde(flatten)]
    inner: Orpo,
    average_log_prob: bool,
}

const OPTIONS: [Choice; Orpo::OPTIONS.len() + 1] = with_average(Orpo::OPTIONS);

pub(super) static ENTRY: Entry<dyn Loss> = Entry {
    name: "linear_orpo",
    summary: "language models from preferences: likelihood and odds ratio without holding logits",
    formula: "orpo(mean ln softmax(X Wᵀ + b)_y)",
    options: &OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: &[r#"{"beta": 0.5, "nll": 0.0}"#, r#"{"average_log_prob": false}"#],
    shader: ORPO.shader,
    make: make::<LinearOrpo>,
};

impl Default for LinearOrpo {
    fn default() -> Self {
        LinearOrpo { inner: Orpo::default(), average_log_prob: true }
    }
}

impl LinearOrpo {
    /// With the default options of [`Orpo`].
    pub fn new() -> Self {
        Self::default()
    }

    /// With the options of this one.
    pub fn of(inner: Orpo) -> Self {
        LinearOrpo { inner, ..Self::default() }
    }

    /// Whether an answer's log-probability is the mean over its tokens, not the sum (default true).
    #[must_use]
    pub fn average_log_prob(mut self, average_log_prob: bool) -> Self {
        self.average_log_prob = average_log_prob;
        self
    }
}

impl Filling for LinearOrpo {
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

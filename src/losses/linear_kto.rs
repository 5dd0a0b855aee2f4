//! Kahneman-Tversky optimization, fused with the last linear layer of the policy.

use super::answers::{IGNORED, LINEAR_BIAS, LINEAR_WEIGHT, PREDICTIONS, TARGETS, with_average};
use super::kto::{ENTRY as KTO, Kto};
use super::prelude::*;
use crate::catalogue::Choice;

/// [`Kto`] of answers whose tokens' logits are the outputs of a linear layer, fused with the layer: the log-probabilities of all tokens
/// without their logits at once.
///
/// Inputs: `predictions` [answers, tokens, features], what goes into the layer; `linear_weight` [classes, features]; `linear_bias`
/// `[classes]`, if there is one; labels `targets` [answers, tokens], −100 for a token that is left out (a prompt, padding); and of
/// each answer, `[answers]`, its log-probability `reference` under a reference model, `desirable` +1 or −1, and `kl`, the
/// estimate of the divergence of policy and reference on the batch, if there is one.
///
/// The log-probability of an answer is the sum of those of its tokens (the mean with `average_log_prob` true); that of an answer
/// without tokens is 0. One value for each answer, gradients of predictions, weights and bias. The logits are held for a
/// chunk of tokens at a time, at most 32 MiB of them, and computed twice.
/// All other options are those of [`Kto`].
///
/// Liger `LigerFusedLinearKTOLoss`.
/// Sources: K. Ethayarajh et al., KTO: model alignment as prospect theoretic optimization, 2024; P. Hsu et al., Liger Kernel: efficient
/// Triton kernels for LLM training, 2024 (chunks of rows).
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
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LinearKto {
    #[serde(flatten)]
    inner: Kto,
    average_log_prob: bool,
}

const OPTIONS: [Choice; Kto::OPTIONS.len() + 1] = with_average(Kto::OPTIONS);

pub(super) static ENTRY: Entry<dyn Loss> = Entry {
    name: "linear_kto",
    summary: "language models from answers that are good or bad: without holding their logits",
    formula: "kto(Σ ln softmax(X Wᵀ + b)_y)",
    options: &OPTIONS,
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

impl LinearKto {
    /// With the default options of [`Kto`].
    pub fn new() -> Self {
        Self::default()
    }

    /// With the options of this one.
    pub fn of(inner: Kto) -> Self {
        LinearKto { inner, ..Self::default() }
    }

    /// Whether an answer's log-probability is the mean over its tokens, not the sum (default false).
    #[must_use]
    pub fn average_log_prob(mut self, average_log_prob: bool) -> Self {
        self.average_log_prob = average_log_prob;
        self
    }
}

impl Filling for LinearKto {
    const ENTRY: &'static Entry<dyn Loss> = &ENTRY;
    const ARGUMENTS: &'static [Argument] = &[
        PREDICTIONS,
        LINEAR_WEIGHT,
        LINEAR_BIAS,
        TARGETS,
        Argument { name: "reference", shape: "[answers]: log-probabilities", role: Role::Fixed, domain: Domain::Real },
        Argument {
            name: "desirable",
            shape: "[answers]: +1 for a desirable answer, else -1",
            role: Role::Fixed,
            domain: Domain::Sign,
        },
        Argument { name: "kl", shape: "[answers]", role: Role::Optional, domain: Domain::Real },
    ];

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

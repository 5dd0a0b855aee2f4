//! Binary cross-entropy of many tags, fused with the linear layer before it.

use super::multilabel_soft_margin::{ENTRY as MULTILABEL_SOFT_MARGIN, MultilabelSoftMargin};
use super::prelude::*;

/// [`MultilabelSoftMargin`] of the outputs of a linear layer, fused with the layer: the head of a model with many tags. Binary cross-entropy with
/// logits of each output, averaged over the classes of a row; its mean over the rows is the mean of [`crate::losses::BceWithLogits`] over all cells.
///
/// Inputs: `predictions` [rows, features], what goes into the layer; `linear_weight` [classes, features]; `linear_bias` `[classes]`,
/// if there is one; `targets` [rows, classes] from 0 to 1; and `class_weight` and `pos_weight` (the weight of the
/// positive side) `[classes]`, if wanted. The outputs and their gradient are held for a chunk of rows at a time, at most 32 MiB of each; the gradients are those of predictions, weights and bias.
///
/// Source: P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024 (chunks of rows).
///
/// ```
/// use gradus::{Device, Inputs, losses::{LinearMultilabelSoftMargin, Loss}};
/// use ndarray::array;
///
/// let (states, weight, targets) = (array![[1.0]], array![[0.0], [0.0]], array![[1.0, 0.0]]);
/// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
/// let step = LinearMultilabelSoftMargin::new().on(&Device::reference())?.evaluate(&inputs)?;
/// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15);
/// assert_eq!(step.gradient_of("linear_weight").unwrap().as_slice().unwrap(), [-0.25, 0.25]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct LinearMultilabelSoftMargin {
    inner: MultilabelSoftMargin,
}

pub(super) static ENTRY: Entry<dyn Loss> = Entry {
    name: "linear_multilabel_soft_margin",
    summary: "many tags: binary cross-entropy of a linear layer's outputs without holding them",
    formula: "multilabel_soft_margin(X Wᵀ + b)",
    options: MULTILABEL_SOFT_MARGIN.options,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: MULTILABEL_SOFT_MARGIN.variants,
    shader: MULTILABEL_SOFT_MARGIN.shader,
    make: make::<LinearMultilabelSoftMargin>,
};

impl LinearMultilabelSoftMargin {
    /// With the default options of [`MultilabelSoftMargin`].
    pub fn new() -> Self {
        Self::default()
    }

    /// With the options of this one.
    pub fn of(inner: MultilabelSoftMargin) -> Self {
        LinearMultilabelSoftMargin { inner }
    }
}

impl Filling for LinearMultilabelSoftMargin {
    const ENTRY: &'static Entry<dyn Loss> = &ENTRY;
    const ARGUMENTS: &'static [Argument] = &[
        Argument {
            name: "predictions",
            shape: "[rows, features]: what goes into the layer",
            role: Role::Differentiated,
            domain: Domain::Real,
        },
        Argument {
            name: "linear_weight",
            shape: "[classes, features]",
            role: Role::Differentiated,
            domain: Domain::Real,
        },
        Argument { name: "linear_bias", shape: "[classes]", role: Role::OptionalDifferentiated, domain: Domain::Real },
        Argument {
            name: "targets",
            shape: "[rows, classes]: from 0 to 1",
            role: Role::Fixed,
            domain: Domain::Probability,
        },
        Argument {
            name: "class_weight",
            shape: "[classes]: weight of each class",
            role: Role::Optional,
            domain: Domain::NonNegative,
        },
        Argument {
            name: "pos_weight",
            shape: "[classes]: weight of the positive side of each class",
            role: Role::Optional,
            domain: Domain::NonNegative,
        },
    ];

    fn check_options(&self) -> Result<()> {
        super::in_the_name_of(&ENTRY, self.inner.check_options())
    }

    fn family(&self) -> Family<'_> {
        Family::linear(ENTRY.name, &self.inner)
    }

    fn inner(&self) -> Option<&dyn Loss> {
        Some(&self.inner)
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Filling::constants(&self.inner)
    }
}

//! Multi-label binary cross-entropy, fused with the linear layer before it.

use crate::losses::fused::*;
use crate::losses::multilabel_soft_margin::{
    ENTRY as MULTILABEL_SOFT_MARGIN, MultilabelSoftMargin,
};
use crate::losses::prelude::*;

fused! {
    /// [`MultilabelSoftMargin`] of the outputs of a linear layer, fused with the layer: for models
    /// with many tags. Binary cross-entropy with logits of each output, averaged over the classes
    /// of a row; its mean over the rows is the mean of [`crate::losses::BceWithLogits`] over all
    /// cells.
    ///
    /// Inputs: `predictions` [rows, features], the input of the layer; `linear_weight` [classes,
    /// features]; `linear_bias` `[classes]` (optional); `targets` [rows, classes] from 0 to 1; and
    /// `class_weight` and `pos_weight` (weight of the positive class) `[classes]` (optional). The
    /// outputs and their gradient are held for one chunk of rows at a time, at most 32 MiB of each;
    /// the gradients are those of predictions, weights and bias.
    ///
    /// Source: P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024 (chunks
    /// of rows).
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
    pub struct LinearMultilabelSoftMargin of MultilabelSoftMargin;
    takes &[
        PREDICTIONS,
        LINEAR_WEIGHT,
        LINEAR_BIAS,
        Argument {
            name: "targets",
            shape: "[rows, classes]: from 0 to 1",
            role: Role::Fixed,
            domain: Domain::Probability,
        },
        WEIGHT_OF_CLASSES,
        Argument {
            name: "pos_weight",
            shape: "[classes]: weight of the positive side of each class",
            role: Role::Optional,
            domain: Domain::NonNegative,
        },
    ];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_multilabel_soft_margin",
    summary: "many tags: binary cross-entropy of a linear layer's outputs without holding them",
    formula: "multilabel_soft_margin(X Wᵀ + b)",
    options: LinearMultilabelSoftMargin::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: MULTILABEL_SOFT_MARGIN.variants,
    shader: MULTILABEL_SOFT_MARGIN.shader,
    make: make::<LinearMultilabelSoftMargin>,
};

//! Distillation of a teacher's logits, fused with the student's last linear layer.

use crate::losses::distillation::{Distillation, ENTRY as DISTILLATION};
use crate::losses::fused::*;
use crate::losses::prelude::*;

fused! {
    /// [`Distillation`] of the outputs of a linear layer, fused with the layer: the student's
    /// logits and their gradient are held for one chunk of rows at a time, at most 32 MiB of each.
    ///
    /// Inputs: `predictions` [rows, features], the student's hidden states; `linear_weight`
    /// [classes, features]; `linear_bias` `[classes]` (optional); `targets` [rows, classes], the
    /// teacher's logits. The value is that of distillation of
    /// predictions · linear_weightᵀ + linear_bias, with gradients for predictions, weights and
    /// bias. All options are those of [`Distillation`], including the divergence: with "jsd" it is
    /// Liger's `LigerFusedLinearJSD`, given the teacher's logits.
    ///
    /// Sources: G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network,
    /// 2015; P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024 (chunks
    /// of rows).
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Distillation, LinearDistillation, Loss}};
    /// use ndarray::array;
    ///
    /// let (states, weight, teacher) = (array![[1.0]], array![[2.0], [2.0]], array![[0.0, f32::NEG_INFINITY]]);
    /// let loss = LinearDistillation::of(Distillation::new().temperature(1.0));
    /// let inputs = Inputs::new(&states, &teacher).input("linear_weight", &weight);
    /// let step = loss.on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15); // the student holds both classes for equally likely
    /// assert_eq!(step.gradient_of("linear_weight").unwrap().as_slice().unwrap(), [-0.5, 0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearDistillation of Distillation;
    takes &[
        PREDICTIONS,
        LINEAR_WEIGHT,
        LINEAR_BIAS,
        Argument {
            name: "targets",
            shape: "[rows, classes]: the teacher's logits",
            role: Role::Fixed,
            domain: Domain::Logits,
        },
    ];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_distillation",
    summary: "a student's last layer learns a teacher's distribution without holding its own logits",
    formula: "distillation(X Wᵀ + b)",
    options: LinearDistillation::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "G. Hinton et al., Distilling the knowledge in a neural network, 2015",
    variants: DISTILLATION.variants,
    shader: DISTILLATION.shader,
    make: make::<LinearDistillation>,
};

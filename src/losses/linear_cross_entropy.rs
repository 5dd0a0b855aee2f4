//! Softmax cross-entropy fused with the linear layer before it.

use crate::Device;
use crate::losses::cross_entropy::{CrossEntropy, ENTRY as CROSS_ENTROPY};
use crate::losses::fused::*;
use crate::losses::prelude::*;
use crate::templates::linear::cpu::{extra_bytes_on_cpu, extra_bytes_on_gpu};

fused! {
    /// [`CrossEntropy`] of the outputs of a linear layer, fused with the layer: for the head of a
    /// language model, whose logits would otherwise dominate memory.
    ///
    /// Inputs: `predictions` [rows, features], the input of the layer (more leading axes are more
    /// rows); `linear_weight` [classes, features]; `linear_bias` `[classes]` (optional); `targets`,
    /// labels `[rows]` or probabilities [rows, classes]; and `class_weight` `[classes]` (optional). The value is that of
    /// cross-entropy of predictions · linear_weightᵀ + linear_bias, with gradients for predictions,
    /// weights and bias. Rows are processed in chunks: only the logits of one chunk are held at a
    /// time ([`LinearCrossEntropy::extra_bytes`]).
    ///
    /// A `linear_weight` [classes, d₁, …, features] has one layer for each position d₁, …: targets are
    /// then [rows, d₁, …], or [rows, classes, d₁, …], and `linear_bias` [classes, d₁, …]; arrays
    /// alone.
    ///
    /// All options are those of [`CrossEntropy`], from which it is created. `mean` divides in the
    /// same way; a row with an ignored label contributes 0 to all gradients; a bias of −∞ masks its
    /// class.
    ///
    /// Liger `LigerFusedLinearCrossEntropyLoss`, PyTorch `LinearCrossEntropyLoss`.
    /// Sources: P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024
    /// (chunks of rows); E. Wijmans et al., Cut your losses in large-vocabulary language
    /// models, 2024.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{self, LinearCrossEntropy, Loss, LossDefinition}};
    /// use ndarray::array;
    ///
    /// let (states, weight) = (array![[1.0, 0.0]], array![[2.0, 1.0], [2.0, -1.0]]);
    /// let targets = array![1_i64];
    /// let inputs = Inputs::new(&states, &targets).input("linear_weight", &weight);
    /// let step = LinearCrossEntropy::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 2.0_f64.ln()).abs() < 1e-15); // both logits are 2
    /// assert_eq!(step.gradient.as_slice().unwrap(), [0.0, 1.0]);
    /// assert_eq!(step.gradient_of("linear_weight").unwrap().as_slice().unwrap(), [0.5, 0.0, -0.5, 0.0]);
    ///
    /// let smoothed = LinearCrossEntropy::of(losses::CrossEntropy::new().label_smoothing(0.1));
    /// assert_eq!(smoothed.options()["label_smoothing"], 0.1);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct LinearCrossEntropy of CrossEntropy;
    takes &[
        PREDICTIONS,
        LINEAR_WEIGHT,
        LINEAR_BIAS,
        Argument {
            name: "targets",
            shape: "[rows]: labels; or [rows, classes]: probabilities",
            role: Role::Classes,
            domain: Domain::Class,
        },
        WEIGHT_OF_CLASSES,
    ];
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "linear_cross_entropy",
    summary: "language models: cross-entropy of a linear layer's outputs without holding them",
    formula: "cross_entropy(X Wᵀ + b)",
    options: LinearCrossEntropy::OPTIONS,
    torch: "LinearCrossEntropyLoss",
    keras: "",
    optax: "",
    source: "P. Hsu et al., Liger Kernel: efficient Triton kernels for LLM training, 2024",
    variants: CROSS_ENTROPY.variants,
    shader: CROSS_ENTROPY.shader,
    make: make::<LinearCrossEntropy>,
};

impl LinearCrossEntropy {
    /// Bytes that a call allocates beyond its inputs and gradients: at most 32 MiB for any number
    /// of rows, as long as one row fits.
    ///
    /// ```
    /// use gradus::{Device, losses::LinearCrossEntropy};
    /// // The logits of 8192 rows would be 1 GiB, and so would their gradient.
    /// assert!(LinearCrossEntropy::extra_bytes(8192, 32_768, &Device::cpu()) <= 32 << 20);
    /// ```
    pub fn extra_bytes(rows: usize, classes: usize, device: &Device) -> u64 {
        match device {
            Device::Gpu(gpu) => {
                extra_bytes_on_gpu(rows, classes, gpu.limits().max_storage_buffer_binding_size)
            }
            Device::Cpu => extra_bytes_on_cpu(rows, classes, 4),
            Device::Reference => extra_bytes_on_cpu(rows, classes, 8),
        }
    }
}

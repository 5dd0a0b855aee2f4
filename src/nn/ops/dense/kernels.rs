//! Dense layer kernels: matrix products with fused bias, activation and derivative.

use crate::Result;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul::half::Half;
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::record;
use crate::nn::ops::matmul::{Epilogue, Layout, Params};
use crate::runtime::kernel::Slice;
use crate::runtime::recorder::Recorder;

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// The output of a layer: y = activation(x W + b), with an elementwise activation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forward<'a> {
    pub activation: &'a dyn Activation,
    pub bias: bool,
    pub params: Params,
    pub half: Option<Half<'a>>,
    pub x: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    pub y: &'a wgpu::Buffer,
    /// Receives the activation's input, if its derivative needs it; else any buffer without another
    /// binding.
    pub sums: &'a wgpu::Buffer,
}

/// Records a layer's output.
pub(crate) fn forward(recorder: &mut Recorder, layer: &Forward) -> Result<()> {
    let constants =
        [("HAS_BIAS", flag(layer.bias)), ("KEEP_INPUT", flag(layer.activation.needs_input()))];
    let storage =
        [layer.x, layer.parameters, layer.parameters, layer.y, layer.sums].map(Slice::from);
    let kind = Kind {
        layout: Layout::NN,
        epilogue: Epilogue::Forward,
        activation: Some(layer.activation),
        constants: &constants,
        half: layer.half,
    };
    record(recorder, &kind, &layer.params, &storage)
}

/// Records the gradient of a layer's W and b: Xᵀ dZ, with a row of ones below Xᵀ for b.
pub(crate) fn weight_gradient(
    recorder: &mut Recorder,
    params: &Params,
    half: Option<Half>,
    [x, grad_sums, gradients]: [&wgpu::Buffer; 3],
) -> Result<()> {
    let kind = Kind { half, ..Kind::plain(Layout::TN) };
    record(recorder, &kind, params, &[x, grad_sums, gradients].map(Slice::from))
}

/// The gradient of a layer's input, times the derivative of the activation that produced it: dZ Wᵀ
/// ∘ f'.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputGradient<'a> {
    /// The elementwise activation that produced the input; none: the plain product, which leaves
    /// `sums_of_input` and `x` unread.
    pub activation: Option<&'a dyn Activation>,
    pub params: Params,
    pub half: Option<Half<'a>>,
    pub grad_sums: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    pub grad_input: &'a wgpu::Buffer,
    /// The activation's input, if its derivative needs it.
    pub sums_of_input: &'a wgpu::Buffer,
    pub x: &'a wgpu::Buffer,
}

/// Records the gradient of a layer's input.
pub(crate) fn input_gradient(recorder: &mut Recorder, layer: &InputGradient) -> Result<()> {
    let mut storage = vec![layer.grad_sums, layer.parameters, layer.grad_input];
    let needs_input = layer.activation.is_some_and(|activation| activation.needs_input());
    let constants = [("KEEP_INPUT", flag(needs_input))];
    let mut kind = Kind { half: layer.half, ..Kind::plain(Layout::NT) };
    if let Some(activation) = layer.activation {
        storage.extend([layer.sums_of_input, layer.x]);
        let (epilogue, activation) = (Epilogue::InputGradient, Some(activation));
        kind = Kind { epilogue, activation, constants: &constants, ..kind };
    }
    let storage: Vec<Slice> = storage.into_iter().map(Slice::from).collect();
    record(recorder, &kind, &layer.params, &storage)
}

//! The kernels of a dense network: matrix products with what goes before and after them, batches, metrics.

use std::sync::Arc;

use crate::nn::activations;
use crate::nn::activations::{Activation, Identity};
use crate::nn::ops::matmul::product::{Kind, product};
use crate::nn::ops::matmul::{Epilogue, Layout, Params};
use crate::runtime::device::Gpu;
use crate::runtime::launch::lanes_of;
use crate::runtime::pipeline::{Command, Kernel, Program, Slice};
use crate::runtime::wgsl::File;
use crate::templates::{MOST_IGNORED, ignored_words};
use crate::{Error, Result};

const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");
const RANDOM: File = crate::runtime::wgsl::shader!("lib/random.wgsl");
const GATHER: File = crate::runtime::wgsl::shader!("ops/gather/gather.wgsl");
const GATHER_LISTS: File = crate::runtime::wgsl::shader!("ops/gather/gather_lists.wgsl");
const SOFTMAX_FORWARD: File = crate::runtime::wgsl::shader!("ops/softmax/softmax_forward.wgsl");
const SOFTMAX_BACKWARD: File = crate::runtime::wgsl::shader!("ops/softmax/softmax_backward.wgsl");
const ACTIVATION_BACKWARD: File =
    crate::runtime::wgsl::shader!("ops/activation/activation_backward.wgsl");
const CORRECT: File = crate::runtime::wgsl::shader!("ops/metrics/correct.wgsl");
const SUMMARY: File = crate::runtime::wgsl::shader!("ops/metrics/summary.wgsl");

/// Uniforms with a dynamic offset lie this far apart: the most that WebGPU lets a device ask for.
pub(crate) const UNIFORM_STRIDE: u64 = 256;

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// A program of a frame and its helpers without a filling.
fn plain(label: &str, files: &[File], constants: Vec<(&'static str, f64)>) -> Program {
    Program { label: label.into(), header: String::new(), files: files.to_vec(), constants }
}

/// The output of a layer: y = activation(x W + b). Softmax, whose outputs depend on each other, has a kernel of its own
/// behind the product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forward<'a> {
    pub activation: &'a dyn Activation,
    pub bias: bool,
    pub params: Params,
    pub x: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    pub y: &'a wgpu::Buffer,
    /// What the activation was given, if its derivative asks for it; else any buffer that is bound to nothing else.
    pub kept: &'a wgpu::Buffer,
}

/// The commands of a layer's output.
pub(crate) fn forward(gpu: &Gpu, layer: &Forward) -> Result<Vec<Command>> {
    let pointwise: &dyn Activation =
        if layer.activation.rowwise() { &Identity } else { layer.activation };
    let constants = [("HAS_BIAS", flag(layer.bias)), ("KEEP_INPUT", flag(pointwise.needs_input()))];
    let storage =
        [layer.x, layer.parameters, layer.parameters, layer.y, layer.kept].map(Slice::from);
    let kind = Kind {
        layout: Layout::NN,
        epilogue: Epilogue::Forward,
        activation: Some(pointwise),
        constants: &constants,
    };
    let mut commands = product(gpu, &kind, &layer.params, &storage)?;
    if layer.activation.rowwise() {
        check_softmax(gpu, layer.params.n)?;
        let kernel = gpu.kernel(&plain(
            "softmax",
            &[SOFTMAX_FORWARD, NUMBERS],
            vec![("WORKGROUP", lanes_of(gpu.is_software()).into())],
        ))?;
        let rows = layer.params.m;
        let params = [rows, layer.params.n, 0, 0];
        commands.push(gpu.dispatch(
            &kernel,
            &params,
            &[layer.y.into()],
            rows.div_ceil(lanes_of(gpu.is_software())),
        )?);
    }
    Ok(commands)
}

/// One lane goes through a row of softmax three times, and Mesa's software Vulkan leaves the loops of an invocation,
/// without a word, after 65,535 turns in all.
fn check_softmax(gpu: &Gpu, units: u32) -> Result<()> {
    const MOST: u32 = 16_384;
    if !gpu.is_software() || units <= MOST {
        return Ok(());
    }
    Err(Error::Shape {
        operation: "softmax".into(),
        found: format!("a layer of {units} units on a software adapter"),
        allowed: format!(
            "up to {MOST} there; use the loss cross_entropy on logits, or the device `cpu`"
        ),
    })
}

/// dL/dx of an activation from dL/dy, where it stands.
pub(crate) fn activation_backward(
    gpu: &Gpu,
    activation: &dyn Activation,
    [rows, columns]: [u32; 2],
    kept: &wgpu::Buffer,
    y: &wgpu::Buffer,
    gradient: &wgpu::Buffer,
) -> Result<Vec<Command>> {
    let lanes = lanes_of(gpu.is_software());
    if activation.rowwise() {
        let kernel =
            gpu.kernel(&plain("softmax", &[SOFTMAX_BACKWARD], vec![("WORKGROUP", lanes.into())]))?;
        let storage = [y.into(), gradient.into()];
        return Ok(vec![gpu.dispatch(
            &kernel,
            &[rows, columns, 0, 0],
            &storage,
            rows.div_ceil(lanes),
        )?]);
    }
    if activation.name() == Identity.name() {
        return Ok(Vec::new());
    }
    let program = backward_program(activation, lanes.into());
    let length = rows * columns;
    let storage = [kept.into(), y.into(), gradient.into()];
    Ok(vec![gpu.dispatch(
        &gpu.kernel(&program)?,
        &[length, 0, 0, 0],
        &storage,
        length.div_ceil(lanes),
    )?])
}

/// The programs of one activation by itself; its forward pass is the epilogue of a product, but for a softmax.
pub(crate) fn activation_programs(activation: &dyn Activation) -> Vec<Program> {
    let workgroup = || vec![("WORKGROUP", 64.0)];
    if activation.rowwise() {
        let forward = plain("softmax", &[SOFTMAX_FORWARD, NUMBERS], workgroup());
        return vec![forward, plain("softmax, backward", &[SOFTMAX_BACKWARD], workgroup())];
    }
    vec![backward_program(activation, 64.0)]
}

fn backward_program(activation: &dyn Activation, lanes: f64) -> Program {
    let constants = vec![("WORKGROUP", lanes), ("KEEP_INPUT", flag(activation.needs_input()))];
    let mut program = plain(activation.name(), &[ACTIVATION_BACKWARD, NUMBERS], constants);
    activations::link(&mut program, activation);
    program
}

/// The gradient of a layer's W and b: Xᵀ dZ, with a row of ones below Xᵀ for b.
pub(crate) fn weight_gradient(
    gpu: &Gpu,
    params: &Params,
    x: &wgpu::Buffer,
    gradient: &wgpu::Buffer,
    gradients: &wgpu::Buffer,
) -> Result<Vec<Command>> {
    product(gpu, &Kind::plain(Layout::TN), params, &[x.into(), gradient.into(), gradients.into()])
}

/// The gradient of a layer's input, times the derivative of the activation below: dZ Wᵀ ∘ f'.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputGradient<'a> {
    /// The activation of the layer below.
    pub activation: &'a dyn Activation,
    pub params: Params,
    pub gradient: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    /// dL/dx of the activation below.
    pub below: &'a wgpu::Buffer,
    pub kept: &'a wgpu::Buffer,
    pub y: &'a wgpu::Buffer,
}

/// The commands of the gradient of a layer's input.
pub(crate) fn input_gradient(gpu: &Gpu, layer: &InputGradient) -> Result<Vec<Command>> {
    let pointwise: &dyn Activation =
        if layer.activation.rowwise() { &Identity } else { layer.activation };
    let constants = [("KEEP_INPUT", flag(pointwise.needs_input()))];
    let storage =
        [layer.gradient, layer.parameters, layer.below, layer.kept, layer.y].map(Slice::from);
    let kind = Kind {
        layout: Layout::NT,
        epilogue: Epilogue::InputGradient,
        activation: Some(pointwise),
        constants: &constants,
    };
    let mut commands = product(gpu, &kind, &layer.params, &storage)?;
    if layer.activation.rowwise() {
        let sizes = [layer.params.m, layer.params.n];
        commands.extend(activation_backward(
            gpu,
            layer.activation,
            sizes,
            layer.kept,
            layer.y,
            layer.below,
        )?);
    }
    Ok(commands)
}

/// Parameters of the gather kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct GatherParams {
    pub rows: u32,
    pub width: u32,
    pub part_first: u32,
    pub part_rows: u32,
    pub start: u32,
    pub length: u32,
    pub shuffled: u32,
    /// Places of a list in the batch; not read where rows are gathered.
    pub places: u32,
    pub keys: [u32; 8],
}

/// The gather kernel; a workgroup for each row of the batch.
pub(crate) fn gather(gpu: &Gpu) -> Result<Arc<Kernel>> {
    gpu.kernel(&plain(
        "gather",
        &[GATHER, RANDOM],
        vec![("WORKGROUP", lanes_of(gpu.is_software()).into())],
    ))
}

/// The gather kernel of lists, which writes `padding` behind each; a workgroup for each place of the batch.
pub(crate) fn gather_lists(gpu: &Gpu, padding: f32) -> Result<Arc<Kernel>> {
    gpu.kernel(&gather_lists_program(lanes_of(gpu.is_software()).into(), padding))
}

fn gather_lists_program(lanes: f64, padding: f32) -> Program {
    let constants = vec![("WORKGROUP", lanes), ("PADDING", padding.to_bits().into())];
    plain("gather of lists", &[GATHER_LISTS, RANDOM], constants)
}

/// Which rows are right, behind the partial values of the loss.
pub(crate) fn correct(
    gpu: &Gpu,
    [rows, columns, offset]: [u32; 3],
    labels: bool,
    ignored: &[i64],
    thresholds: [f32; 2],
    [predictions, targets, parts]: [&wgpu::Buffer; 3],
) -> Result<Command> {
    let lanes = lanes_of(gpu.is_software());
    let constants = vec![
        ("WORKGROUP", lanes.into()),
        ("HAS_LABELS", flag(labels)),
        ("THRESHOLD", thresholds[0].into()),
        ("TRUTH_THRESHOLD", thresholds[1].into()),
    ];
    let kernel = gpu.kernel(&plain("accuracy", &[CORRECT], constants))?;
    let storage = [predictions.into(), targets.into(), parts.into()];
    let (ignored_count, ignored) = ignored_words(ignored);
    let params = CorrectParams { rows, columns, offset, ignored_count, ignored };
    gpu.dispatch(&kernel, &params, &storage, rows.div_ceil(lanes))
}

/// Parameters of the accuracy kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct CorrectParams {
    rows: u32,
    columns: u32,
    offset: u32,
    ignored_count: u32,
    ignored: [i32; MOST_IGNORED],
}

/// Parameters of the summary kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct SummaryParams {
    pub length: u32,
    pub rows: u32,
    pub slot: u32,
    pub reserved: u32,
}

/// The summary kernel of so many numbers; one workgroup.
pub(crate) fn summary(gpu: &Gpu, numbers: usize) -> Result<Arc<Kernel>> {
    // A batch of the whole data set has many rows, and eight lanes of software Vulkan would leave their loop at 65,535 turns.
    let lanes = if gpu.is_software() && numbers <= 1 << 17 { 8 } else { 256 };
    gpu.kernel(&plain("summary", &[SUMMARY], vec![("WORKGROUP", lanes.into())]))
}

/// Every program of this file but the products: for the checks of the shaders.
pub(crate) fn programs(activations: &[Box<dyn Activation>]) -> Vec<Program> {
    let mut programs = Vec::new();
    for lanes in [8.0, 64.0] {
        let workgroup = || vec![("WORKGROUP", lanes)];
        programs.push(plain("softmax", &[SOFTMAX_FORWARD, NUMBERS], workgroup()));
        programs.push(plain("softmax", &[SOFTMAX_BACKWARD], workgroup()));
        programs.push(plain("gather", &[GATHER, RANDOM], workgroup()));
        programs.push(gather_lists_program(lanes, -1.0));
        programs.push(plain(
            "summary",
            &[SUMMARY],
            vec![("WORKGROUP", if lanes == 8.0 { 8.0 } else { 256.0 })],
        ));
        for labels in [0.0, 1.0] {
            programs.push(plain(
                "accuracy",
                &[CORRECT],
                vec![("WORKGROUP", lanes), ("HAS_LABELS", labels)],
            ));
        }
        for activation in activations.iter().filter(|activation| !activation.rowwise()) {
            programs.push(backward_program(&**activation, lanes));
        }
    }
    programs
}

#[cfg(test)]
mod tests;

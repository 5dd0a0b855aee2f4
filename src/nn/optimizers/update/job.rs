//! An optimizer step on a GPU: its description and its buffers.

use crate::nn::optimizers::optimizer::Optimizer;
use crate::nn::optimizers::span::ParameterSpan;
use crate::nn::optimizers::step::{GradientTransform, Step};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;

/// Partial sums of a tensor (`BLOCKS` in the shaders).
pub(super) const BLOCKS: usize = 64;

/// Lanes of a workgroup with one element per lane.
pub(super) const EACH: u32 = 256;

/// A step without its per-step numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<'a> {
    pub optimizer: &'a dyn Optimizer,
    /// Length of the flat buffer.
    pub length: usize,
    pub gradient_transform: GradientTransform<'a>,
    /// Weight of the parameters in their running average, stored in the state after the optimizer's
    /// own.
    pub average: Option<f64>,
}

/// The buffers of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers<'a> {
    /// [`span_words`].
    pub spans: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    /// All states, [`state_stride`] numbers each.
    pub states: &'a wgpu::Buffer,
    /// Counts the steps with a non-finite gradient, if requested.
    pub not_finite: &'a wgpu::Buffer,
    /// Holds [`OptimizerParams`].
    pub uniform: &'a wgpu::Buffer,
    /// In mixed precision: updated behind the step.
    pub loss_scale: Option<&'a wgpu::Buffer>,
}

/// A command of a step, and whether it reads the step's uniform.
#[derive(Clone, Debug)]
pub(crate) struct Stepped {
    pub command: Command,
    pub reads_step: bool,
}

/// Offset between states in their buffer, in numbers: each starts at a valid binding offset.
pub(crate) fn state_stride(length: usize) -> usize {
    length.next_multiple_of(64)
}

/// Parameters of the kernels of a step.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct OptimizerParams {
    pub length: u32,
    pub spans: u32,
    pub limit: f32,
    pub reserved: u32,
    pub step: [f32; 8],
}

impl OptimizerParams {
    pub fn new(length: usize, gradient_transform: &GradientTransform, step: &Step) -> Self {
        OptimizerParams {
            length: length as u32,
            spans: gradient_transform.spans.len() as u32,
            limit: gradient_transform.clip.map_or(0.0, |clip| clip.limit() as f32),
            reserved: 0,
            step: step.cast::<f32>().words(),
        }
    }
}

/// Words of a span.
pub(crate) const SPAN_WORDS: usize = 9;

/// The spans in the layout of the kernels.
pub(crate) fn span_words(spans: &[ParameterSpan]) -> Vec<u32> {
    let (mut start, mut lines) = (0, 0);
    let mut words = Vec::with_capacity(SPAN_WORDS * spans.len());
    for span in spans {
        let [rows, columns] = span.shape((span.end - start).saturating_sub(span.padding));
        if span.columns > 0 {
            lines += rows + columns;
        }
        let factors = [span.l1, span.l2, span.proximal, span.rate];
        let factors = factors.map(|factor| (factor as f32).to_bits());
        words.push(span.end as u32);
        words.extend(factors);
        words.extend([start, rows, span.columns, lines].map(|number| number as u32));
        start = span.end;
    }
    words
}

/// Lanes per workgroup of the sums over a whole gradient.
pub(super) fn summing_lanes(gpu: &Gpu) -> u32 {
    if gpu.is_software() { 8 } else { 256 }
}

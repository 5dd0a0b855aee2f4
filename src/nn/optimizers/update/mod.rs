//! Kernels of an optimizer step: clipping, the update, and the reductions of per-tensor rules.

use crate::Result;
use crate::nn::optimizers::clip::Clip;
use crate::nn::optimizers::step::{GradientTransform, ParameterSpan, Step};
use crate::nn::optimizers::update::programs::*;
use crate::nn::optimizers::{MOST_STATES, Optimizer};
use crate::runtime::device::Gpu;
use crate::runtime::pipeline::{Command, Program, Slice};

mod per_tensor;
mod programs;
mod runner;

pub(crate) use programs::{STEP, programs, programs_of};
pub(crate) use runner::Runner;

/// Partial sums of a tensor (`BLOCKS` in the shaders).
const BLOCKS: usize = 64;

/// Workgroup size of elementwise kernels, one element per thread.
const EACH: u32 = 256;

/// Limit of a norm that is computed only to detect non-finite gradients.
const ANY: f64 = f32::MAX as f64;

/// An optimizer step without its numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update<'a> {
    pub optimizer: &'a dyn Optimizer,
    /// Length of the flat buffer.
    pub length: usize,
    pub gradient_transform: GradientTransform<'a>,
    /// Weight of the parameters in their running average, the state after the optimizer's own.
    pub average: Option<f64>,
}

/// Buffers of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers<'a> {
    /// [`span_words`].
    pub spans: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    /// All states, [`state_stride`] numbers each.
    pub states: &'a wgpu::Buffer,
    /// Counts the steps whose gradient was not finite, if requested.
    pub not_finite: &'a wgpu::Buffer,
    /// Holds [`OptimizerParams`].
    pub uniform: &'a wgpu::Buffer,
}

/// A command of a step; true if it reads the step's uniform.
#[derive(Clone, Debug)]
pub(crate) struct Stepped {
    pub command: Command,
    pub reads_step: bool,
}

/// Distance between states in their buffer, rounded up to the binding alignment.
pub(crate) fn state_stride(length: usize) -> usize {
    length.next_multiple_of(64)
}

/// Parameters of the step's kernels.
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

/// Parameters of the kernel that sums the squared gradient.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct NormParams {
    pub length: u32,
    pub spans: u32,
    pub block: u32,
    pub reserved: u32,
}

/// Parameters of the kernel that combines the partial sums.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct ClipParams {
    pub length: u32,
    pub limit: f32,
    pub epsilon: f32,
    pub reserved: u32,
}

/// The spans in the layout that the kernels read.
pub(crate) fn span_words(spans: &[ParameterSpan]) -> Vec<u32> {
    let (mut start, mut lines) = (0, 0);
    let mut words = Vec::with_capacity(8 * spans.len());
    for span in spans {
        let [rows, columns] = span.shape((span.end - start).saturating_sub(span.padding));
        if span.columns > 0 {
            lines += rows + columns;
        }
        let factors = [span.l1, span.l2, span.proximal].map(|factor| (factor as f32).to_bits());
        words.push(span.end as u32);
        words.extend(factors);
        words.extend([start, rows, span.columns, lines].map(|number| number as u32));
        start = span.end;
    }
    words
}

/// Workgroup size of the reductions over a whole gradient.
fn summing_lanes(gpu: &Gpu) -> u32 {
    if gpu.is_software() { 8 } else { 256 }
}

/// Commands that write to `factor[0]` the factor that clips the gradient's norm to `limit`; if the
/// norm is not finite, they write NaN and increment `not_finite[0]`.
pub(crate) fn clip(
    gpu: &Gpu,
    [limit, epsilon]: [f64; 2],
    [length, spans]: [usize; 2],
    [table, parameters, gradients, factor, not_finite]: [&wgpu::Buffer; 5],
) -> Result<[Command; 2]> {
    let lanes = summing_lanes(gpu);
    // 4096 elements per workgroup keep several loads per thread in flight; at most a thousand
    // partial sums.
    let block = length.div_ceil(1024).max(4096).next_multiple_of(lanes as usize);
    let workgroups = length.div_ceil(block);
    let partials = gpu.buffer("partial sums of a norm", 2 * workgroups)?;
    let params =
        NormParams { length: length as u32, spans: spans as u32, block: block as u32, reserved: 0 };
    let storage = [table, parameters, gradients, &partials].map(Slice::from);
    let norm =
        gpu.dispatch(&gpu.kernel(&norm_program(lanes))?, &params, &storage, workgroups as u32)?;
    let params = ClipParams {
        length: workgroups as u32,
        limit: limit as f32,
        epsilon: epsilon as f32,
        reserved: 0,
    };
    let storage = [(&partials).into(), factor.into(), not_finite.into()];
    Ok([norm, gpu.dispatch(&gpu.kernel(&clip_program(lanes))?, &params, &storage, 1)?])
}

/// Builds the commands of one step.
struct Maker<'a> {
    gpu: &'a Gpu,
    update: &'a Update<'a>,
    buffers: &'a Buffers<'a>,
    /// Clipping factors.
    factors: wgpu::Buffer,
    commands: Vec<Stepped>,
}

/// The commands of an optimizer's step, in order.
pub(crate) fn update(gpu: &Gpu, update: &Update, buffers: &Buffers) -> Result<Vec<Stepped>> {
    let factors = gpu.buffer("factors of a clip", 4 + update.gradient_transform.spans.len())?;
    let mut maker = Maker { gpu, update, buffers, factors, commands: Vec::new() };
    maker.clip()?;
    match update.optimizer.per_tensor() {
        None => maker.elementwise()?,
        Some(per_tensor) => {
            maker.tensor_directions(per_tensor.factored)?;
            if let Some(newton_schulz) = per_tensor.orthogonal {
                maker.orthogonalize(&newton_schulz)?;
            }
            maker.tensor_apply_update()?;
        }
    }
    if let Some(weight) = update.average {
        maker.average(weight)?;
    }
    Ok(maker.commands)
}

impl Maker<'_> {
    /// A dispatch that reads the step's uniform.
    fn stepped(&mut self, program: &Program, storage: &[Slice], workgroups: usize) -> Result<()> {
        let kernel = self.gpu.kernel(program)?;
        let size = (size_of::<OptimizerParams>() as u64).next_multiple_of(16);
        let uniform = Slice { buffer: self.buffers.uniform, offset: 0, size: Some(size) };
        let bindings = self.gpu.bind(&kernel, uniform, storage)?;
        let command =
            Command::Dispatch { kernel, bindings, parameters: 0, workgroups: workgroups as u32 };
        self.commands.push(Stepped { command, reads_step: true });
        Ok(())
    }

    fn fixed(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.commands
            .extend(commands.into_iter().map(|command| Stepped { command, reads_step: false }));
    }

    fn state(&self, number: usize) -> Slice<'_> {
        let bytes = 4 * state_stride(self.update.length) as u64;
        Slice { buffer: self.buffers.states, offset: number as u64 * bytes, size: Some(bytes) }
    }

    fn dummy(&self) -> Result<wgpu::Buffer> {
        self.gpu.buffer("no state", 64 * MOST_STATES)
    }

    fn clip(&mut self) -> Result<()> {
        let GradientTransform { spans, clip, skip_non_finite } = self.update.gradient_transform;
        let Buffers { spans: table, parameters, gradients, not_finite, .. } = *self.buffers;
        let global = match clip {
            Some(Clip::GlobalNorm { limit, epsilon }) => Some([limit, epsilon]),
            _ => skip_non_finite.then_some([ANY, 0.0]),
        };
        if let Some(limit) = global {
            let lengths = [self.update.length, spans.len()];
            let buffers = [table, parameters, gradients, &self.factors, not_finite];
            let commands = crate::nn::optimizers::update::clip(self.gpu, limit, lengths, buffers)?;
            self.fixed(commands);
        }
        if let Some(Clip::Norm(_)) = clip {
            let factors = self.factors.clone();
            self.tensor_norms(true, &factors)?;
        }
        Ok(())
    }

    fn elementwise(&mut self) -> Result<()> {
        let (dummy, factors, buffers) = (self.dummy()?, self.factors.clone(), *self.buffers);
        let mut storage =
            [buffers.spans, buffers.parameters, buffers.gradients].map(Slice::from).to_vec();
        storage.extend(state_slices(&buffers, self.update, &dummy, MOST_STATES));
        storage.push((&factors).into());
        let program = optimizer_program(self.update.optimizer, &self.update.gradient_transform);
        self.stepped(&program, &storage, self.update.length.div_ceil(256))
    }

    /// average += weight (parameters − average), in the state after the optimizer's own.
    fn average(&mut self, weight: f64) -> Result<()> {
        let number = self.update.optimizer.states();
        let params = AverageParams {
            length: self.update.length as u32,
            weight: weight as f32,
            reserved: [0; 2],
        };
        let kernel = self.gpu.kernel(&average_program(&self.update.gradient_transform))?;
        let storage = [self.buffers.parameters.into(), self.state(number), (&self.factors).into()];
        let command = self.gpu.dispatch(
            &kernel,
            &params,
            &storage,
            (self.update.length as u32).div_ceil(64),
        )?;
        self.fixed([command]);
        Ok(())
    }
}

/// The states of the optimizer, with a separate dummy binding for each unused one.
fn state_slices<'b>(
    buffers: &Buffers<'b>,
    update: &Update,
    dummy: &'b wgpu::Buffer,
    count: usize,
) -> Vec<Slice<'b>> {
    let bytes = 4 * state_stride(update.length) as u64;
    let place = |number: usize| match number < update.optimizer.states() {
        true => Slice { buffer: buffers.states, offset: number as u64 * bytes, size: Some(bytes) },
        false => Slice { buffer: dummy, offset: 256 * number as u64, size: Some(256) },
    };
    (0..count).map(place).collect()
}

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct AverageParams {
    length: u32,
    weight: f32,
    reserved: [u32; 2],
}

#[cfg(test)]
mod tests;

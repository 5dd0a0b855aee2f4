//! Runs a loss's fused kernel: the frame, its variant for the adapter and the row length, the parts that a tensor
//! over the binding limit falls into, and the sum of the partial values.

pub(crate) mod adaptor;
pub(crate) mod completions;
pub(crate) mod distance;
pub(crate) mod multi_input;
pub(crate) mod normalizer;
pub(crate) mod on_device;
pub(crate) mod preference;
pub(crate) mod traits;
pub(crate) mod two_input;

pub(crate) mod linear;
pub(crate) mod listwise;
pub(crate) mod pointwise;
pub(crate) mod rowwise;
pub(crate) mod sequence;
pub(crate) mod similarity;
pub(crate) mod variant;

use std::sync::Arc;

use crate::Result;
use crate::losses::{Family, Loss};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Kernel, Program, Slice};
use crate::runtime::tensor::padded;
use crate::runtime::wgsl::File;

const LANES: File = crate::runtime::wgsl::shader!("lib/lanes.wgsl");
const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");
const HALF: File = crate::runtime::wgsl::shader!("lib/half.wgsl");
const PARTIALS_LANE: File = crate::runtime::wgsl::shader!("lib/partials_lane.wgsl");
const PARTIALS_TREE: File = crate::runtime::wgsl::shader!("lib/partials_tree.wgsl");
const SUM: File = crate::runtime::wgsl::shader!("ops/reduce/sum.wgsl");

/// An element or row with these bits for a weight is masked out (`MASKED` in lib/numbers.wgsl).
pub(crate) const MASKED: u32 = u32::MAX;

/// Ignored labels that a uniform holds.
pub(crate) const MOST_IGNORED: usize = 16;

/// Planes of the row-wise results where each is asked for: the value and five auxiliary ones.
pub(crate) const RESULT_KINDS: usize = 6;

/// Parts begin at a multiple of this many elements or rows: 256 bytes, what every driver takes as an offset.
const ALIGNMENT: usize = 64;

/// The shape of a loss's inputs and what is asked of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Rows of the row-wise frame; leading axis of the pointwise one.
    pub rows: usize,
    /// Elements in a row.
    pub row_length: usize,
    /// Length of the last axis.
    pub columns: usize,
    /// Class labels rather than dense targets.
    pub labels: bool,
    /// Reduction `none`.
    pub each: bool,
    pub factor: f32,
    pub upstream: f32,
    /// The divisor is summed on the device from the labels there.
    pub divisor: Divisor,
    pub auxiliary: bool,
    /// The diagonal of the Hessian goes where the gradient would; the values are the same.
    pub second: bool,
    /// Predictions, dense targets and gradient are f16.
    pub half: bool,
}

impl Job {
    /// Parts begin at a multiple of so many elements or rows: 256 bytes of the smallest numbers.
    fn alignment(&self) -> usize {
        if self.half { 2 * ALIGNMENT } else { ALIGNMENT }
    }
}

/// Where the divisor of a mean comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Divisor {
    /// It is in the factor.
    Known,
    /// The sum of the class weights of the rows kept, from labels on the device.
    OfLabels,
    /// The sum of the weights of the rows kept, from labels on the device.
    OfRowWeights,
    /// It is in `result[2]` when the kernel runs.
    Ready,
}

/// The buffers of a loss. What is absent is bound to `absent`, which the kernel then never reads.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub predictions: wgpu::Buffer,
    pub targets: wgpu::Buffer,
    /// Weights with the mask folded in, for each element or for each row.
    pub weights: Option<(wgpu::Buffer, Per)>,
    /// `class_weight`, or `pos_weight` of a pointwise loss.
    pub column_weights: Option<wgpu::Buffer>,
    /// Whether the weights of the classes' positive sides lie behind those of the classes.
    pub pos_weights: bool,
    pub class_mask: Option<(wgpu::Buffer, Per)>,
    pub upstreams: Option<wgpu::Buffer>,
    /// Where it is the predictions' own buffer, the gradient is written over them.
    pub gradient: wgpu::Buffer,
    /// Partial sums, values, or the planes of the row-wise frame: [`values_length`] elements.
    pub values: wgpu::Buffer,
    /// Value, nothing, divisor.
    pub result: wgpu::Buffer,
    pub dummy: wgpu::Buffer,
}

impl Buffers {
    fn in_place(&self) -> bool {
        self.gradient == self.predictions
    }

    /// What the kernel reads the predictions from: where it writes over them, the gradient's binding is the only one.
    fn read_predictions(&self, part: &Part, width: usize, half: bool) -> Slice<'_> {
        if self.in_place() {
            (&self.dummy).into()
        } else {
            cells(&self.predictions, part, width, half)
        }
    }
}

/// What a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Per {
    Element,
    Row,
    /// The same for all rows.
    Column,
}

/// Parameters of the sum kernel.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct SumParams {
    pub length: u32,
    pub slot: u32,
    pub reserved: [u32; 2],
}

/// What the sum kernel adds up after a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parts {
    pub length: usize,
}

/// A part of a tensor that fits one binding.
struct Part {
    first: usize,
    length: usize,
}

/// Splits `total` into parts of at most `most`, each but the last a multiple of [`ALIGNMENT`].
fn parts(total: usize, most: usize) -> impl Iterator<Item = Part> {
    let most = (most / ALIGNMENT * ALIGNMENT).max(ALIGNMENT);
    (0..total.div_ceil(most))
        .map(move |i| Part { first: i * most, length: most.min(total - i * most) })
}

/// Elements of a binding that the device takes.
fn binding_elements(gpu: &Gpu) -> usize {
    (gpu.limits().max_storage_buffer_binding_size / 4) as usize
}

/// A part of a buffer that runs along with the part of the tensor, or all of it.
fn along<'a>(buffer: &'a wgpu::Buffer, part: &Part, width: usize, runs: bool) -> Slice<'a> {
    if !runs {
        return buffer.into();
    }
    Slice {
        buffer,
        offset: 4 * (part.first * width) as u64,
        size: Some(padded(part.length * width)),
    }
}

/// The part of a buffer of numbers in f32, or in f16, that runs along with the part of the tensor.
fn cells<'a>(buffer: &'a wgpu::Buffer, part: &Part, width: usize, half: bool) -> Slice<'a> {
    if !half {
        return along(buffer, part, width, true);
    }
    let size = Some(padded((part.length * width).div_ceil(2)));
    Slice { buffer, offset: 2 * (part.first * width) as u64, size }
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// How many elements `Buffers::values` needs.
pub(crate) fn values_length(gpu: &Gpu, loss: &dyn Loss, job: &Job) -> usize {
    match loss.family() {
        Family::Pointwise(_) => pointwise::gpu::values_length(gpu, job),
        Family::Rowwise(_) => rowwise::gpu::values_length(gpu, loss, job),
        Family::MultiInput(..) => 0,
        Family::Listwise(_) => listwise::gpu::values_length(gpu, job),
    }
}

/// A loss's kernel: its frame, its filling, the switches of both.
fn program(loss: &dyn Loss, frame: &[File], constants: Vec<(&'static str, f64)>) -> Program {
    program_of(loss, false, frame, constants)
}

/// As [`program`], for the gradient or for the diagonal of the Hessian.
fn program_of(
    loss: &dyn Loss,
    hessian: bool,
    frame: &[File],
    mut constants: Vec<(&'static str, f64)>,
) -> Program {
    let mut files = frame.to_vec();
    let shader = loss.entry().shader;
    files.push(shader);
    files.extend(loss.helpers());
    constants.extend(crate::runtime::adaptor::options(&shader, loss.constants()));
    let header = adaptor::adaptor(loss, hessian);
    Program { label: format!("{} ({})", loss.name(), frame[0].name), header, files, constants }
}

/// Every program of a loss, with all its inputs and with none: for the checks of the shaders.
pub(crate) fn programs(loss: &dyn Loss) -> Vec<Program> {
    match loss.family() {
        Family::Pointwise(_) => pointwise::gpu::programs(loss),
        Family::Rowwise(_) => rowwise::gpu::programs(loss),
        Family::MultiInput(..) => multi_input::gpu::programs(loss),
        Family::Listwise(_) => listwise::gpu::programs(loss),
    }
}

/// The commands that compute value and gradient: afterwards `result[0]` holds the value unless each is wanted.
pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn Loss,
    job: &Job,
    buffers: &Buffers,
) -> Result<Vec<Command>> {
    let (mut commands, parts) = kernel_commands(gpu, loss, job, buffers)?;
    if !job.each {
        commands.push(sum(gpu, &buffers.values, parts.length, &buffers.result, 0)?);
    }
    Ok(commands)
}

/// The loss's own commands without the sum, and what is left to be summed.
pub(crate) fn kernel_commands(
    gpu: &Gpu,
    loss: &dyn Loss,
    job: &Job,
    buffers: &Buffers,
) -> Result<(Vec<Command>, Parts)> {
    match loss.family() {
        Family::Pointwise(_) => pointwise::gpu::commands(gpu, loss, job, buffers),
        Family::Rowwise(_) => rowwise::gpu::commands(gpu, loss, job, buffers),
        // Their inputs are not predictions and targets: `multi_input::gpu::commands`.
        Family::MultiInput(..) => Ok((Vec::new(), Parts { length: 0 })),
        Family::Listwise(_) => listwise::gpu::commands(gpu, loss, job, buffers),
    }
}

/// Sums so many values into a slot of the results.
fn sum(
    gpu: &Gpu,
    values: &wgpu::Buffer,
    length: usize,
    results: &wgpu::Buffer,
    slot: u32,
) -> Result<Command> {
    let params = SumParams { length: length as u32, slot, reserved: [0; 2] };
    let kernel: Arc<Kernel> =
        gpu.kernel(&sum_program(if gpu.is_software() { 8.0 } else { 256.0 }))?;
    gpu.dispatch(&kernel, &params, &[values.into(), results.into()], 1)
}

fn sum_program(lanes: f64) -> Program {
    Program {
        label: "sum".into(),
        header: String::new(),
        files: vec![SUM],
        constants: vec![("WORKGROUP", lanes)],
    }
}

/// Every form of the sum: for the checks of the shaders.
pub(crate) fn sum_programs() -> Vec<Program> {
    [8.0, 256.0].map(sum_program).into()
}

/// Ignored labels as the kernels read them. One outside 32 bits stands as the lowest, as such a label itself does.
pub(crate) fn ignored_words(labels: &[i64]) -> (u32, [i32; MOST_IGNORED]) {
    let mut words = [0; MOST_IGNORED];
    for (word, &label) in words.iter_mut().zip(labels) {
        *word = i32::try_from(label).unwrap_or(i32::MIN);
    }
    (labels.len().min(MOST_IGNORED) as u32, words)
}

#[cfg(test)]
mod tests;

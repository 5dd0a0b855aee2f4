//! Runs a loss's fused kernel: the frame, its variant for the adapter and the row length, the parts that a tensor
//! over the binding limit falls into, and the sum of the partial values.

use std::sync::Arc;

use crate::device::Gpu;
use crate::kernel::{Command, Kernel, Program, Slice};
use crate::losses::{Family, Loss};
use crate::tensor::padded;
use crate::wgsl::File;
use crate::{Error, Result};

const NUMBERS: File = crate::wgsl::shader!("helpers/numbers.wgsl");
const POINTWISE: File = crate::wgsl::shader!("kernels/pointwise.wgsl");
const COLUMN_WEIGHT_UNUSED: File = crate::wgsl::shader!("kernels/column_weight_unused.wgsl");
const PARTIALS_LANE: File = crate::wgsl::shader!("helpers/partials_lane.wgsl");
const PARTIALS_TREE: File = crate::wgsl::shader!("helpers/partials_tree.wgsl");
const ROWWISE: File = crate::wgsl::shader!("kernels/rowwise.wgsl");
const ROWWISE_LANE: File = crate::wgsl::shader!("kernels/rowwise_lane.wgsl");
const ROWWISE_GROUP: File = crate::wgsl::shader!("kernels/rowwise_group.wgsl");
const ROW_DIVISOR: File = crate::wgsl::shader!("kernels/row_divisor.wgsl");
const SUM: File = crate::wgsl::shader!("kernels/sum.wgsl");

/// An element or row with these bits for a weight is masked out (`MASKED` in helpers/numbers.wgsl).
pub(crate) const MASKED: u32 = u32::MAX;

/// Ignored labels that a uniform holds.
pub(crate) const MOST_IGNORED: usize = 16;

/// Planes of the row-wise results: value, status, and five auxiliary ones.
pub(crate) const PLANES: usize = 7;

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
}

/// The buffers of a loss. What is absent is bound to `absent`, which the kernel then never reads.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub predictions: wgpu::Buffer,
    pub targets: wgpu::Buffer,
    /// Weights with the mask folded in, for each element or for each row.
    pub weights: Option<(wgpu::Buffer, Per)>,
    /// `pos_weight` or `class_weight`.
    pub column_weights: Option<wgpu::Buffer>,
    pub class_mask: Option<(wgpu::Buffer, Per)>,
    pub upstreams: Option<wgpu::Buffer>,
    pub gradient: wgpu::Buffer,
    /// Partial sums, values, or the planes of the row-wise frame: [`values_length`] elements.
    pub values: wgpu::Buffer,
    /// Value, bits of the first bad row, divisor.
    pub result: wgpu::Buffer,
    pub absent: wgpu::Buffer,
}

/// What a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Per {
    Element,
    Row,
    /// The same for all rows.
    Column,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PointwiseParams {
    length: u32,
    first: u32,
    block: u32,
    first_partial: u32,
    row_length: u32,
    columns: u32,
    factor: f32,
    upstream: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct RowwiseParams {
    rows: u32,
    columns: u32,
    plane: u32,
    first_row: u32,
    factor: f32,
    upstream: f32,
    ignored_count: u32,
    reserved: u32,
    ignored: [i32; MOST_IGNORED],
}

/// Parameters of the sum kernel.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct SumParams {
    pub length: u32,
    pub slot: u32,
    pub stride: u32,
    pub reserved: u32,
}

/// What the sum kernel adds up after a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parts {
    pub length: usize,
    /// Where the statuses of the rows lie; 0 if there are none.
    pub stride: usize,
}

/// A part of a tensor that fits one binding.
struct Part {
    first: usize,
    length: usize,
}

/// Splits `total` into parts of at most `most`, each but the last a multiple of [`ALIGNMENT`].
fn parts(total: usize, most: usize) -> impl Iterator<Item = Part> {
    let most = (most / ALIGNMENT * ALIGNMENT).max(ALIGNMENT);
    (0..total.div_ceil(most)).map(move |i| Part { first: i * most, length: most.min(total - i * most) })
}

/// Lanes of a workgroup of the pointwise frame and vectors of four in its block.
///
/// Measured on software Vulkan (2^24 elements, two cores): 8 lanes 17.5 ms whatever the block, 64 lanes 70 ms. On
/// hardware a block of four vectors for each lane keeps several loads in flight; it grows where there would be more
/// than 8192 partial sums.
fn pointwise_variant(gpu: &Gpu, vectors: usize) -> (usize, usize) {
    if gpu.is_software() {
        return (8, (vectors / 256).clamp(64, 4096).next_multiple_of(8));
    }
    (256, (vectors / 8192).max(1024).next_multiple_of(256))
}

/// Lanes of a workgroup of the row-wise frame, and whether a lane takes a whole row.
///
/// On software Vulkan a workgroup is one vector of eight lanes: more of them only add barriers (3 to 6 times slower).
fn rowwise_variant(gpu: &Gpu, columns: usize) -> (usize, bool) {
    match (gpu.is_software(), columns) {
        (true, 0..=32) => (8, true),
        (true, _) => (8, false),
        (false, 0..=32) => (64, true),
        (false, 33..=1024) => (64, false),
        (false, _) => (256, false),
    }
}

/// Elements of a binding that the device takes.
fn binding_elements(gpu: &Gpu) -> usize {
    (gpu.limits().max_storage_buffer_binding_size / 4) as usize
}

/// How many elements `Buffers::values` needs.
pub(crate) fn values_length(gpu: &Gpu, loss: &dyn Loss, job: &Job) -> usize {
    let elements = job.rows * job.row_length;
    match loss.family() {
        Family::Rowwise(_) => job.rows * if job.auxiliary { PLANES } else { 2 },
        Family::Pointwise(_) if job.each => elements,
        Family::Pointwise(_) => parts(elements, binding_elements(gpu)).map(|part| partials(gpu, part.length)).sum(),
    }
}

/// Partial sums that one part of a tensor leaves.
fn partials(gpu: &Gpu, length: usize) -> usize {
    let vectors = length.div_ceil(4);
    let (lanes, block) = pointwise_variant(gpu, vectors);
    vectors.div_ceil(block) * if gpu.is_software() { lanes } else { 1 }
}

/// The program of a loss's kernel with every variant set, also for those who only look at it: tests and tools.
pub(crate) fn program(loss: &dyn Loss, frame: &[File], mut constants: Vec<(&'static str, f64)>) -> Program {
    let filling = loss.entry().shader;
    let mut files = frame.to_vec();
    files.push(filling);
    if matches!(loss.family(), Family::Pointwise(_)) && !filling.text.contains("fn loss_at(") {
        files.push(COLUMN_WEIGHT_UNUSED);
    }
    constants.extend(loss.constants());
    Program { label: format!("{} ({})", loss.name(), frame[0].name), header: String::new(), files, constants }
}

/// Every program of a loss, with all its inputs and with none: for the checks of the shaders.
pub(crate) fn programs(loss: &dyn Loss) -> Vec<Program> {
    let mut programs = Vec::new();
    for on in [0.0, 1.0] {
        if matches!(loss.family(), Family::Pointwise(_)) {
            for (lanes, partials) in [(8.0, PARTIALS_LANE), (256.0, PARTIALS_TREE)] {
                let constants =
                    vec![("WORKGROUP", lanes), ("WEIGHTS", 2.0 * on), ("HAS_COLUMN_WEIGHT", on), ("EACH", on)];
                programs.push(program(loss, &[POINTWISE, NUMBERS, partials], constants));
            }
            continue;
        }
        let switches = ["HAS_LABELS", "HAS_WEIGHT", "HAS_CLASS_WEIGHT", "CLASS_MASK", "EACH", "AUXILIARY"];
        let frames = [(8.0, ROWWISE_LANE), (64.0, ROWWISE_LANE), (8.0, ROWWISE_GROUP), (256.0, ROWWISE_GROUP)];
        for (lanes, frame) in frames.into_iter().chain([(64.0, ROW_DIVISOR)]) {
            let mut constants = vec![("WORKGROUP", lanes)];
            constants.extend(switches.map(|switch| (switch, on)));
            let own = if frame == ROW_DIVISOR { "BY_ROW_WEIGHT" } else { "DIVISOR_ON_DEVICE" };
            constants.push((own, on));
            programs.push(program(loss, &[ROWWISE, frame, NUMBERS], constants));
        }
    }
    programs
}

/// The commands that compute value and gradient: afterwards `result[0]` holds the value unless each is wanted.
pub(crate) fn commands(gpu: &Gpu, loss: &dyn Loss, job: &Job, buffers: &Buffers) -> Result<Vec<Command>> {
    let (mut commands, parts) = kernel_commands(gpu, loss, job, buffers)?;
    let length = if job.each { 0 } else { parts.length };
    let params = SumParams { length: length as u32, slot: 0, stride: parts.stride as u32, reserved: 0 };
    if !job.each || parts.stride > 0 {
        // With each value wanted the sum is not, but the statuses of the rows are.
        let params = if job.each { SumParams { length: parts.length as u32, ..params } } else { params };
        let kernel = sum_kernel(gpu, parts.stride > 0)?;
        commands.push(gpu.dispatch(&kernel, &params, &[(&buffers.values).into(), (&buffers.result).into()], 1)?);
    }
    Ok(commands)
}

/// The sum kernel, with or without a look at the rows' statuses.
pub(crate) fn sum_kernel(gpu: &Gpu, has_status: bool) -> Result<Arc<Kernel>> {
    gpu.kernel(&sum_program(if gpu.is_software() { 8.0 } else { 256.0 }, has_status))
}

fn sum_program(lanes: f64, has_status: bool) -> Program {
    Program {
        label: "sum".into(),
        header: String::new(),
        files: vec![SUM],
        constants: vec![("WORKGROUP", lanes), ("HAS_STATUS", flag(has_status))],
    }
}

/// Every form of the sum: for the checks of the shaders.
pub(crate) fn sum_programs() -> Vec<Program> {
    [(8.0, false), (8.0, true), (256.0, false), (256.0, true)].map(|(lanes, status)| sum_program(lanes, status)).into()
}

/// The loss's own commands without the sum, and what is left to be summed.
pub(crate) fn kernel_commands(
    gpu: &Gpu,
    loss: &dyn Loss,
    job: &Job,
    buffers: &Buffers,
) -> Result<(Vec<Command>, Parts)> {
    match loss.family() {
        Family::Pointwise(_) => pointwise(gpu, loss, job, buffers),
        Family::Rowwise(_) => rowwise(gpu, loss, job, buffers),
    }
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// A part of a buffer that runs along with the part of the tensor, or all of it.
fn along<'a>(buffer: &'a wgpu::Buffer, part: &Part, width: usize, runs: bool) -> Slice<'a> {
    if !runs {
        return buffer.into();
    }
    Slice { buffer, offset: 4 * (part.first * width) as u64, size: Some(padded(part.length * width)) }
}

fn pointwise(gpu: &Gpu, loss: &dyn Loss, job: &Job, buffers: &Buffers) -> Result<(Vec<Command>, Parts)> {
    let elements = job.rows * job.row_length;
    let partials_file = if gpu.is_software() { PARTIALS_LANE } else { PARTIALS_TREE };
    let per = buffers.weights.as_ref().map(|(_, per)| *per);
    let mut commands = Vec::new();
    let mut first_partial = 0;
    for part in parts(elements, binding_elements(gpu)) {
        let vectors = part.length.div_ceil(4);
        let (lanes, block) = pointwise_variant(gpu, vectors);
        let constants = vec![
            ("WORKGROUP", lanes as f64),
            (
                "WEIGHTS",
                match per {
                    None => 0.0,
                    Some(Per::Element) => 1.0,
                    Some(_) => 2.0,
                },
            ),
            ("HAS_COLUMN_WEIGHT", flag(buffers.column_weights.is_some())),
            ("EACH", flag(job.each)),
        ];
        let kernel = gpu.kernel(&program(loss, &[POINTWISE, NUMBERS, partials_file], constants))?;
        let params = PointwiseParams {
            length: part.length as u32,
            first: part.first as u32,
            block: block as u32,
            first_partial: first_partial as u32,
            row_length: job.row_length.max(1) as u32,
            columns: job.columns.max(1) as u32,
            factor: job.factor,
            upstream: job.upstream,
        };
        let weights = buffers.weights.as_ref().map_or(&buffers.absent, |(buffer, _)| buffer);
        let storage = [
            along(&buffers.predictions, &part, 1, true),
            along(&buffers.targets, &part, 1, true),
            along(weights, &part, 1, per == Some(Per::Element)),
            buffers.column_weights.as_ref().unwrap_or(&buffers.absent).into(),
            along(buffers.upstreams.as_ref().unwrap_or(&buffers.absent), &part, 1, job.each),
            along(&buffers.gradient, &part, 1, true),
            along(&buffers.values, &part, 1, job.each),
        ];
        let workgroups = vectors.div_ceil(block);
        commands.push(gpu.dispatch(&kernel, &params, &storage, workgroups as u32)?);
        first_partial += partials(gpu, part.length);
    }
    Ok((commands, Parts { length: first_partial, stride: 0 }))
}

fn rowwise(gpu: &Gpu, loss: &dyn Loss, job: &Job, buffers: &Buffers) -> Result<(Vec<Command>, Parts)> {
    let most = binding_elements(gpu) / job.row_length.max(1);
    if most < ALIGNMENT && job.rows > most {
        return Err(Error::TooLarge {
            name: format!("{} rows of {} columns in {}", ALIGNMENT, job.row_length, loss.name()),
            bytes: 4 * (ALIGNMENT * job.row_length) as u64,
            limit: gpu.limits().max_storage_buffer_binding_size,
            advice: "use fewer columns or the device `cpu`".into(),
        });
    }
    let mut commands = Vec::new();
    let mut upstreams = buffers.upstreams.clone();
    if job.divisor != Divisor::Known {
        divide_by_labels(gpu, loss, job, buffers, &mut commands)?;
        upstreams = Some(buffers.result.clone());
    }
    let (lanes, lane_per_row) = rowwise_variant(gpu, job.row_length);
    let frame = if lane_per_row { ROWWISE_LANE } else { ROWWISE_GROUP };
    let kernel = gpu.kernel(&rowwise_program(loss, job, buffers, lanes, &[ROWWISE, frame, NUMBERS], &[]))?;
    for part in parts(job.rows, most.min(u32::MAX as usize)) {
        let params = rowwise_params(loss, job, &part)?;
        let storage = rowwise_storage(job, buffers, upstreams.as_ref(), &part);
        let workgroups = if lane_per_row { part.length.div_ceil(lanes) } else { part.length };
        commands.push(gpu.dispatch(&kernel, &params, &storage, workgroups as u32)?);
    }
    Ok((commands, Parts { length: job.rows, stride: job.rows }))
}

fn rowwise_program(
    loss: &dyn Loss,
    job: &Job,
    buffers: &Buffers,
    lanes: usize,
    frame: &[File],
    more: &[(&'static str, f64)],
) -> Program {
    let mut constants = vec![
        ("WORKGROUP", lanes as f64),
        ("HAS_LABELS", flag(job.labels)),
        ("HAS_WEIGHT", flag(buffers.weights.is_some())),
        ("HAS_CLASS_WEIGHT", flag(buffers.column_weights.is_some())),
        (
            "CLASS_MASK",
            match buffers.class_mask {
                None => 0.0,
                Some((_, Per::Column)) => 1.0,
                Some(_) => 2.0,
            },
        ),
        ("EACH", flag(job.each)),
        ("DIVISOR_ON_DEVICE", flag(job.divisor != Divisor::Known)),
        ("AUXILIARY", flag(job.auxiliary)),
    ];
    constants.extend_from_slice(more);
    program(loss, frame, constants)
}

fn rowwise_params(loss: &dyn Loss, job: &Job, part: &Part) -> Result<RowwiseParams> {
    let (ignored_count, ignored) = ignored_words(loss.ignored());
    Ok(RowwiseParams {
        rows: part.length as u32,
        columns: job.row_length as u32,
        plane: job.rows as u32,
        first_row: part.first as u32,
        factor: job.factor,
        upstream: job.upstream,
        ignored_count,
        reserved: 0,
        ignored,
    })
}

fn rowwise_storage<'a>(
    job: &Job,
    buffers: &'a Buffers,
    upstreams: Option<&'a wgpu::Buffer>,
    part: &Part,
) -> [Slice<'a>; 8] {
    let absent = &buffers.absent;
    let (mask, mask_runs) = buffers.class_mask.as_ref().map_or((absent, false), |(b, per)| (b, *per == Per::Element));
    let weights = buffers.weights.as_ref().map(|(buffer, _)| buffer);
    let width = job.row_length;
    [
        along(&buffers.predictions, part, width, true),
        along(&buffers.targets, part, if job.labels { 1 } else { width }, true),
        buffers.column_weights.as_ref().unwrap_or(absent).into(),
        along(mask, part, width, mask_runs),
        along(weights.unwrap_or(absent), part, 1, weights.is_some()),
        along(upstreams.unwrap_or(absent), part, 1, job.each),
        along(&buffers.gradient, part, width, true),
        (&buffers.values).into(),
    ]
}

/// Sums the divisor of the mean from labels on the device into `result[2]`, where the loss's kernel reads it, and the
/// host too: 0 says that every row was left out.
fn divide_by_labels(
    gpu: &Gpu,
    loss: &dyn Loss,
    job: &Job,
    buffers: &Buffers,
    commands: &mut Vec<Command>,
) -> Result<()> {
    let lanes = if gpu.is_software() { 8 } else { 64 };
    let plain = Job { divisor: Divisor::Known, each: false, ..job.clone() };
    let by_row = [("BY_ROW_WEIGHT", flag(job.divisor == Divisor::OfRowWeights))];
    // The filling is linked only because the frame's shared part names its types.
    let program = rowwise_program(loss, &plain, buffers, lanes, &[ROWWISE, ROW_DIVISOR, NUMBERS], &by_row);
    let kernel = gpu.kernel(&program)?;
    let most = binding_elements(gpu) / job.row_length.max(1);
    for part in parts(job.rows, most) {
        let params = rowwise_params(loss, &plain, &part)?;
        let storage = rowwise_storage(&plain, buffers, None, &part);
        commands.push(gpu.dispatch(&kernel, &params, &storage, part.length.div_ceil(lanes) as u32)?);
    }
    let params = SumParams { length: job.rows as u32, slot: 2, stride: 0, reserved: 0 };
    let storage = [(&buffers.values).into(), (&buffers.result).into()];
    commands.push(gpu.dispatch(&sum_kernel(gpu, false)?, &params, &storage, 1)?);
    Ok(())
}

#[cfg(test)]
#[path = "loss_tests.rs"]
mod tests;

/// Ignored labels as the kernels read them. One outside 32 bits stands as the lowest, as such a label itself does.
pub(crate) fn ignored_words(labels: &[i64]) -> (u32, [i32; MOST_IGNORED]) {
    let mut words = [0; MOST_IGNORED];
    for (word, &label) in words.iter_mut().zip(labels) {
        *word = i32::try_from(label).unwrap_or(i32::MIN);
    }
    (labels.len().min(MOST_IGNORED) as u32, words)
}

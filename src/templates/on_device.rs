//! Kernels that prepare inputs on the device before a loss's own kernels, and gradients after them.
//! For arrays the host does the same while reading them.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::wgsl::File;
use crate::templates::job::flag;
use crate::templates::parts::{Part, along, binding_elements, parts};
use crate::templates::program::NUMBERS;
use crate::templates::similarity::DivisorRule;
use crate::{Error, Result};

const SEQUENCE_CHECK: File =
    crate::runtime::wgsl::shader!("templates/sequence/sequence_check.wgsl");
const SIMILARITY_SHARES: File =
    crate::runtime::wgsl::shader!("templates/similarity/similarity_shares.wgsl");
const CLEAR_ROWS: File = crate::runtime::wgsl::shader!("templates/on_device/clear_rows.wgsl");
const UPSTREAM: File = crate::runtime::wgsl::shader!("templates/on_device/upstream.wgsl");
const INTEGERS_TO_FLOATS: File =
    crate::runtime::wgsl::shader!("templates/on_device/integers_to_floats.wgsl");

/// The sizes of a batch of sequences.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct SequenceSizes {
    pub batch: u32,
    pub time: u32,
    /// Number of positions in a row of targets.
    pub length: u32,
    pub classes: u32,
    pub blank: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct SimilaritySharesParams {
    pub rows: u32,
    pub needs_positives: u32,
    pub needs_negatives: u32,
    pub per_positive: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct ElementsParams {
    pub length: u32,
    pub first: u32,
    pub columns: u32,
}

fn program_of(file: File, software: bool, constants: &[(&'static str, f64)]) -> Program {
    let constants = std::iter::once(("WORKGROUP", lanes_of(software).into()))
        .chain(constants.iter().copied())
        .collect();
    let takes_numbers = file.name == CLEAR_ROWS.name;
    let files = if takes_numbers { vec![file, NUMBERS] } else { vec![file] };
    Program { label: file.name.into(), header: String::new(), files, constants }
}

/// All variants of these programs, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let mut programs = Vec::new();
    for software in [true, false] {
        let files = [SIMILARITY_SHARES, CLEAR_ROWS, UPSTREAM, INTEGERS_TO_FLOATS];
        programs.extend(files.map(|file| program_of(file, software, &[])));
        programs
            .extend([0.0, 1.0].map(|on| program_of(SEQUENCE_CHECK, software, &[("HAS_MASK", on)])));
    }
    programs
}

/// Dispatches one of these programs over `count` lanes.
fn run<P: bytemuck::Pod>(
    gpu: &Gpu,
    program: &Program,
    params: &P,
    storage: &[Slice],
    count: usize,
) -> Result<Command> {
    let workgroups = count.div_ceil(lanes_of(gpu.is_software()) as usize) as u32;
    gpu.dispatch(&gpu.kernel(program)?, params, storage, workgroups)
}

/// Returns the input lengths and target lengths, clamped so that no read is out of bounds, and an
/// error code per item, 0 if it is valid. `inputs` are the lengths of both and the targets.
pub(crate) fn check_sequences(
    gpu: &Gpu,
    sizes: SequenceSizes,
    inputs: [&wgpu::Buffer; 3],
    mask: Option<&wgpu::Buffer>,
) -> Result<(Command, [wgpu::Buffer; 3])> {
    let batch = sizes.batch as usize;
    if gpu.is_software() && sizes.length as usize > MAX_LOOP_ITERATIONS {
        return Err(too_many(gpu, "targets of a sequence", sizes.length as usize));
    }
    let unread = gpu.unread_binding()?;
    let made = [
        gpu.buffer("input lengths", batch)?,
        gpu.buffer("target lengths", batch)?,
        gpu.buffer("what is wrong with an item", batch)?,
    ];
    let program =
        program_of(SEQUENCE_CHECK, gpu.is_software(), &[("HAS_MASK", flag(mask.is_some()))]);
    let storage: Vec<Slice> =
        inputs.into_iter().chain([mask.unwrap_or(&unread)]).chain(&made).map(Slice::from).collect();
    Ok((run(gpu, &program, &sizes, &storage, batch)?, made))
}

/// Contribution of each row of a similarity to the mean.
pub(crate) fn similarity_divisor_terms(
    gpu: &Gpu,
    labels: &wgpu::Buffer,
    rows: usize,
    rule: DivisorRule,
) -> Result<(Command, wgpu::Buffer)> {
    if gpu.is_software() && rows > MAX_LOOP_ITERATIONS {
        return Err(too_many(gpu, "rows of labels", rows));
    }
    let terms = gpu.buffer("divisor terms of rows", rows)?;
    let params = SimilaritySharesParams {
        rows: rows as u32,
        needs_positives: rule.needs_positives.into(),
        needs_negatives: rule.needs_negatives.into(),
        per_positive: rule.per_positive.into(),
    };
    let program = program_of(SIMILARITY_SHARES, gpu.is_software(), &[]);
    Ok((run(gpu, &program, &params, &[labels.into(), (&terms).into()], rows)?, terms))
}

fn too_many(gpu: &Gpu, name: &str, count: usize) -> Error {
    Error::TooLarge {
        name: format!("{count} {name} on a software adapter, which takes {MAX_LOOP_ITERATIONS}"),
        bytes: 4 * count as u64,
        limit: gpu.limits().max_storage_buffer_binding_size,
        advice: "use smaller batches or the device `cpu`".into(),
    }
}

/// Runs a program over the elements of buffers of equal length. Other bindings come first.
fn elementwise<'a>(
    gpu: &Gpu,
    program: &Program,
    length: usize,
    columns: usize,
    storage: impl Fn(&Part) -> Vec<Slice<'a>>,
) -> Result<Vec<Command>> {
    let command = |part: Part| {
        let params = ElementsParams {
            length: part.length as u32,
            first: part.first as u32,
            columns: columns as u32,
        };
        run(gpu, program, &params, &storage(&part), part.length)
    };
    parts(length, binding_elements(gpu)).map(command).collect()
}

/// A copy of rows in which masked rows hold finite numbers only.
pub(crate) fn clear_rows(
    gpu: &Gpu,
    rows: &wgpu::Buffer,
    weights: &wgpu::Buffer,
    length: usize,
    columns: usize,
) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let cleared = gpu.buffer("rows", length)?;
    let program = program_of(CLEAR_ROWS, gpu.is_software(), &[]);
    let commands = elementwise(gpu, &program, length, columns, |part| {
        vec![along(rows, part, 1, true), weights.into(), along(&cleared, part, 1, true)]
    })?;
    Ok((commands, cleared))
}

/// Multiplies `length` numbers by a number on the device.
pub(crate) fn multiply_by_upstream(
    gpu: &Gpu,
    numbers: &wgpu::Buffer,
    length: usize,
    upstream: &wgpu::Buffer,
) -> Result<Vec<Command>> {
    let program = program_of(UPSTREAM, gpu.is_software(), &[]);
    elementwise(gpu, &program, length, 1, |part| {
        vec![upstream.into(), along(numbers, part, 1, true)]
    })
}

/// Integers converted to floats.
pub(crate) fn floats_of(
    gpu: &Gpu,
    integers: &wgpu::Buffer,
    length: usize,
) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let floats = gpu.buffer("floats", length)?;
    let program = program_of(INTEGERS_TO_FLOATS, gpu.is_software(), &[]);
    let commands = elementwise(gpu, &program, length, 1, |part| {
        vec![along(integers, part, 1, true), along(&floats, part, 1, true)]
    })?;
    Ok((commands, floats))
}

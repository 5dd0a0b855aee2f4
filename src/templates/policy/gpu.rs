//! Policy template: its parameters and its commands.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::binding_elements;
use crate::templates::policy::{Aggregation, PolicyRule};
use crate::templates::program::{LANES, NUMBERS, program};
use crate::{Error, Result};

const POLICY: File = crate::runtime::wgsl::shader!("templates/policy/policy.wgsl");
const TOKEN_COUNTS: File = crate::runtime::wgsl::shader!("templates/policy/token_counts.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PolicyParams {
    rows: u32,
    columns: u32,
    length: u32,
    advantage_width: u32,
    factor: f32,
    upstream: f32,
    beta: f32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct TokenCountsParams {
    rows: u32,
    columns: u32,
    ignored: i32,
    reserved: u32,
}

/// What leaves a token out of a count.
#[derive(Clone, Copy)]
pub(crate) enum LeftOut<'a> {
    /// Nothing.
    None,
    /// A mask of 0.
    Mask(&'a wgpu::Buffer),
    /// This label.
    Label(&'a wgpu::Buffer, i32),
}

/// The optional inputs that a call has.
#[derive(Clone, Copy)]
struct Given {
    old: bool,
    reference: bool,
    mask: bool,
}

fn template_program(
    loss: &dyn LossDefinition,
    lanes: usize,
    given: Given,
    aggregation: Aggregation,
) -> Program {
    let constants = vec![
        ("WORKGROUP", lanes as f64),
        ("HAS_OLD", flag(given.old)),
        ("HAS_REFERENCE", flag(given.reference)),
        ("HAS_MASK", flag(given.mask)),
        ("BY_COUNT", flag(aggregation == Aggregation::CompletionMean)),
    ];
    program(loss, &[POLICY, LANES, NUMBERS], constants)
}

fn counts_program(software: bool, [has_mask, has_labels]: [bool; 2]) -> Program {
    let constants = vec![
        ("WORKGROUP", lanes_of(software).into()),
        ("HAS_MASK", flag(has_mask)),
        ("HAS_LABELS", flag(has_labels)),
    ];
    Program {
        label: TOKEN_COUNTS.name.into(),
        header: String::new(),
        files: vec![TOKEN_COUNTS],
        constants,
    }
}

const LANE_COUNTS: [usize; 3] = [8, 64, 256];

pub(crate) fn programs(loss: &dyn LossDefinition, rule: PolicyRule) -> Vec<Program> {
    let mut programs = Vec::new();
    for on in [true, false] {
        let given = Given { old: on, reference: on, mask: on };
        programs.extend(
            LANE_COUNTS.map(|lanes| template_program(loss, lanes, given, rule.aggregation)),
        );
    }
    for software in [true, false] {
        let left_out = [[false; 2], [true, false], [false, true]];
        programs.extend(left_out.map(|has| counts_program(software, has)));
    }
    programs
}

fn too_large(gpu: &Gpu, name: String, elements: usize) -> Error {
    Error::TooLarge {
        name,
        bytes: 4 * elements as u64,
        limit: gpu.limits().max_storage_buffer_binding_size,
        advice: "use a smaller batch or the device `cpu`".into(),
    }
}

/// Number of lanes of a row of tokens. On software the smallest number that the loop limit allows:
/// the kernel loops over a row twice.
fn lanes(gpu: &Gpu, columns: usize) -> Result<usize> {
    if !gpu.is_software() {
        return Ok(if columns <= 1024 { 64 } else { 256 });
    }
    LANE_COUNTS
        .into_iter()
        .find(|&lanes| 2 * columns.div_ceil(lanes) <= MAX_LOOP_ITERATIONS)
        .ok_or_else(|| too_large(gpu, format!("completions of {columns} tokens"), columns))
}

/// Weights and upstream gradients of the rows in one buffer: a single binding of the eight that
/// every device supports.
fn pack(gpu: &Gpu, job: &MultiInputJob, rows: usize) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let packed = gpu.buffer("weights of completions", 2 * rows)?;
    let ones = gpu.upload("ones", &vec![1.0_f32; rows])?;
    let size = 4 * rows as u64;
    let planes = [&job.weights, &job.upstreams].into_iter().zip(0..);
    let copies = planes.map(|(given, plane)| Command::Copy {
        from: given.as_ref().unwrap_or(&ones).clone(),
        from_offset: 0,
        to: packed.clone(),
        to_offset: plane * size,
        size,
    });
    Ok((copies.collect(), packed))
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    rule: PolicyRule,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let (log_probs, advantages) = (job.required("log_probs")?, job.required("advantages")?);
    let rows = job.length();
    let elements: usize = log_probs.shape.iter().product();
    let columns = elements / rows.max(1);
    if elements > binding_elements(gpu) {
        return Err(too_large(gpu, format!("log_probs of {}", loss.name()), elements));
    }
    let [old, reference, mask] = ["old_log_probs", "ref_log_probs", "completion_mask"]
        .map(|name| job.get(name).map(|bound| &bound.buffer));
    let reference = reference.filter(|_| rule.beta != 0.0);
    let given = Given { old: old.is_some(), reference: reference.is_some(), mask: mask.is_some() };
    let length = match rule.aggregation {
        Aggregation::TokenMean => 1,
        Aggregation::CompletionMean | Aggregation::Length(0) => columns as u32,
        Aggregation::Length(length) => length,
    };
    let params = PolicyParams {
        rows: rows as u32,
        columns: columns as u32,
        length,
        advantage_width: if advantages.shape.len() == 1 { columns as u32 } else { 1 },
        factor: job.factor,
        upstream: job.upstream,
        beta: rule.beta as f32,
        reserved: 0,
    };
    let (gradient, values) = (gpu.buffer("a gradient", elements)?, gpu.buffer("values", rows)?);
    let (mut commands, packed) = pack(gpu, job, rows)?;
    let unread = gpu.unread_binding()?;
    let or_unread = |buffer: Option<&'_ wgpu::Buffer>| buffer.unwrap_or(&unread).clone();
    let (old, reference, mask) = (or_unread(old), or_unread(reference), or_unread(mask));
    let storage = [
        &log_probs.buffer,
        &advantages.buffer,
        &old,
        &reference,
        &mask,
        &packed,
        &gradient,
        &values,
    ];
    let kernel =
        gpu.kernel(&template_program(loss, lanes(gpu, columns)?, given, rule.aggregation))?;
    commands.push(gpu.dispatch(&kernel, &params, &storage.map(Into::into), rows as u32)?);
    let results =
        MultiInputResults { gradients: vec![gradient], values, result: gpu.buffer("a loss", 4)? };
    Ok((commands, results, rows))
}

/// The number of tokens of each completion: its contribution to a mean over tokens.
pub(crate) fn token_counts(
    gpu: &Gpu,
    left_out: LeftOut,
    rows: usize,
    columns: usize,
) -> Result<(Command, wgpu::Buffer)> {
    if gpu.is_software() && columns > MAX_LOOP_ITERATIONS {
        return Err(too_large(gpu, format!("completions of {columns} tokens"), columns));
    }
    let counts = gpu.buffer("tokens of completions", rows)?;
    let unread = gpu.unread_binding()?;
    let (masks, ignored, has) = match left_out {
        LeftOut::None => (&unread, 0, [false; 2]),
        LeftOut::Mask(mask) => (mask, 0, [true, false]),
        LeftOut::Label(labels, ignored) => (labels, ignored, [false, true]),
    };
    let [rows, columns] = [rows, columns].map(|size| size as u32);
    let params = TokenCountsParams { rows, columns, ignored, reserved: 0 };
    let kernel = gpu.kernel(&counts_program(gpu.is_software(), has))?;
    let storage = [masks.into(), (&counts).into()];
    let workgroups = rows.div_ceil(lanes_of(gpu.is_software()));
    Ok((gpu.dispatch(&kernel, &params, &storage, workgroups)?, counts))
}

//! Two-input template: its parameters and its commands.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::MAX_LOOP_ITERATIONS;
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::cpu::missing;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::{along, binding_elements, parts};
use crate::templates::pointwise::gpu as pointwise;
use crate::templates::program::{LANES, NUMBERS, PARTIALS_LANE, PARTIALS_TREE, program};
use crate::{Error, Result};

const PAIRS: File = crate::runtime::wgsl::shader!("templates/two_input/two_input.wgsl");
const ROW_SUMS: File = crate::runtime::wgsl::shader!("ops/reduce/row_sums.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct TwoInputParams {
    length: u32,
    first: u32,
    block: u32,
    first_partial: u32,
    width: u32,
    factor: f32,
    upstream: f32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct RowSumsParams {
    rows: u32,
    columns: u32,
    reserved: [u32; 2],
}

fn template_program(loss: &dyn LossDefinition, software: bool, switches: [f64; 4]) -> Program {
    let [has_weights, each, has_truth, second_per_row] = switches;
    let constants = vec![
        ("WORKGROUP", if software { 8.0 } else { 256.0 }),
        ("HAS_WEIGHT", has_weights),
        ("REDUCTION_NONE", each),
        ("HAS_TRUTH", has_truth),
        ("SECOND_PER_ROW", second_per_row),
    ];
    program(
        loss,
        &[PAIRS, NUMBERS, if software { PARTIALS_LANE } else { PARTIALS_TREE }],
        constants,
    )
}

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let sets = [true, false].into_iter().flat_map(|software| [0.0, 1.0].map(|on| (software, on)));
    let mut programs: Vec<Program> =
        sets.map(|(software, on)| template_program(loss, software, [on; 4])).collect();
    programs.extend([8, 64, 256].map(row_sums_program));
    programs
}

/// Number of lanes that sum a row. On software the smallest number that the loop limit allows.
fn row_sums_lanes(software: bool, width: usize) -> Result<usize> {
    if !software {
        return Ok(64);
    }
    [8, 256].into_iter().find(|&lanes| width.div_ceil(lanes) <= MAX_LOOP_ITERATIONS).ok_or_else(
        || Error::TooLarge {
            name: format!("rows of {width} whose gradients are summed into one"),
            bytes: 4 * width as u64,
            limit: 4 * (256 * MAX_LOOP_ITERATIONS) as u64,
            advice:
                "a software adapter ends loops of this length; use shorter rows or the device `cpu`"
                    .into(),
        },
    )
}

fn row_sums_program(lanes: usize) -> Program {
    Program {
        label: "sums of rows".into(),
        header: String::new(),
        files: vec![ROW_SUMS, LANES],
        constants: vec![("WORKGROUP", lanes as f64)],
    }
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let software = gpu.is_software();
    let elements = job.length();
    let [first, second, others @ ..] = loss.arguments() else {
        return Err(missing("the second of two inputs"));
    };
    let (first, second) = (job.required(first.name)?, job.required(second.name)?);
    let truth = others.first().and_then(|argument| job.get(argument.name));
    let unread = gpu.unread_binding()?;
    let seconds: usize = second.shape.iter().product();
    let width = elements / seconds.max(1);
    let (mut commands, mut first_partial) = (Vec::new(), 0);
    let lengths: Vec<usize> =
        parts(elements, binding_elements(gpu)).map(|part| part.length).collect();
    let partials: usize = lengths.iter().map(|&length| pointwise::partials(gpu, length)).sum();
    let values = gpu.buffer("values", if job.each { elements } else { partials })?;
    let gradients = [gpu.buffer("a gradient", elements)?, gpu.buffer("a gradient", elements)?];
    let kernel = gpu.kernel(&template_program(
        loss,
        software,
        [job.weights.is_some(), job.each, truth.is_some(), width > 1].map(flag),
    ))?;
    for part in parts(elements, binding_elements(gpu)) {
        let vectors = part.length.div_ceil(4);
        let (_, block) = pointwise::variant(gpu, vectors);
        let params = TwoInputParams {
            length: part.length as u32,
            first: part.first as u32,
            block: block as u32,
            first_partial: first_partial as u32,
            width: width as u32,
            factor: job.factor,
            upstream: job.upstream,
            reserved: 0,
        };
        let storage: [Slice; 8] = [
            along(&first.buffer, &part, 1, true),
            along(&second.buffer, &part, 1, width == 1),
            along(truth.map_or(&unread, |truth| &truth.buffer), &part, 1, truth.is_some()),
            along(job.weights.as_ref().unwrap_or(&unread), &part, 1, job.weights.is_some()),
            along(job.upstreams.as_ref().unwrap_or(&unread), &part, 1, job.each),
            along(&gradients[0], &part, 1, true),
            along(&gradients[1], &part, 1, true),
            along(&values, &part, 1, job.each),
        ];
        commands.push(gpu.dispatch(&kernel, &params, &storage, vectors.div_ceil(block) as u32)?);
        first_partial += pointwise::partials(gpu, part.length);
    }
    let [first_gradient, mut second_gradient] = gradients;
    if width > 1 {
        let sums = gpu.buffer("a gradient", seconds)?;
        let params =
            RowSumsParams { rows: seconds as u32, columns: width as u32, reserved: [0; 2] };
        let kernel = gpu.kernel(&row_sums_program(row_sums_lanes(software, width)?))?;
        commands.push(gpu.dispatch(
            &kernel,
            &params,
            &[(&second_gradient).into(), (&sums).into()],
            seconds as u32,
        )?);
        second_gradient = sums;
    }
    let gradients = vec![first_gradient, second_gradient];
    let results = MultiInputResults { gradients, values, result: gpu.buffer("a loss", 4)? };
    Ok((commands, results, first_partial))
}

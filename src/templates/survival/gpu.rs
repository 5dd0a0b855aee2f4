//! Survival template: the risk sets of the events, the derivatives, and the values of the lists.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::binding_elements;
use crate::templates::program::{LANES, NUMBERS, program};
use crate::templates::survival::cpu::sizes;
use crate::{Error, Result};

const SURVIVAL: File = crate::runtime::wgsl::shader!("templates/survival/survival.wgsl");
const RECORDS: File = crate::runtime::wgsl::shader!("templates/survival/survival_records.wgsl");
const GRADIENT: File = crate::runtime::wgsl::shader!("templates/survival/survival_gradient.wgsl");
const VALUES: File = crate::runtime::wgsl::shader!("templates/survival/survival_values.wgsl");
const COUNTS: File = crate::runtime::wgsl::shader!("templates/survival/event_counts.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct SurvivalParams {
    lists: u32,
    items: u32,
    factor: f32,
    upstream: f32,
}

fn plain(file: File, software: bool) -> Program {
    let files = match file.name {
        name if name == VALUES.name => vec![file, LANES, NUMBERS],
        name if name == COUNTS.name => vec![file, SURVIVAL],
        _ => vec![file, SURVIVAL, NUMBERS],
    };
    let constants = vec![("WORKGROUP", lanes_of(software).into())];
    Program { label: file.name.into(), header: String::new(), files, constants }
}

fn records_program(loss: &dyn LossDefinition, software: bool) -> Program {
    program(loss, &[RECORDS, SURVIVAL, NUMBERS], vec![("WORKGROUP", lanes_of(software).into())])
}

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let of = |software: bool| {
        let own = [GRADIENT, VALUES, COUNTS].map(|file| plain(file, software));
        std::iter::once(records_program(loss, software)).chain(own)
    };
    of(true).chain(of(false)).collect()
}

/// Refuses lists that the kernels' loops or bindings do not take.
fn check_sizes(gpu: &Gpu, [lists, items]: [usize; 2]) -> Result<()> {
    // A record of four numbers per item; each thread loops over a list twice.
    let is_long = gpu.is_software() && 2 * items > MAX_LOOP_ITERATIONS;
    if !is_long && 4 * lists * items <= binding_elements(gpu) {
        return Ok(());
    }
    Err(Error::TooLarge {
        name: format!("{lists} lists of {items} items"),
        bytes: 16 * (lists * items) as u64,
        limit: gpu.limits().max_storage_buffer_binding_size,
        advice: "use smaller lists or the device `cpu`".into(),
    })
}

/// Weights and upstream gradients of the lists in one buffer: a single binding of the eight that
/// every device supports.
fn pack(gpu: &Gpu, job: &MultiInputJob, lists: usize) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let packed = gpu.buffer("weights of lists", 2 * lists)?;
    let ones = gpu.upload("ones", &vec![1.0_f32; lists])?;
    let size = 4 * lists as u64;
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
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let scores = job.required(loss.arguments()[0].name)?;
    let (times, events) = (&job.required("times")?.buffer, &job.required("events")?.buffer);
    let [lists, items] = sizes(&scores.shape);
    check_sizes(gpu, [lists, items])?;
    let params = SurvivalParams {
        lists: lists as u32,
        items: items as u32,
        factor: job.factor,
        upstream: job.upstream,
    };
    let elements = lists * items;
    let records = gpu.buffer("risk sets", 4 * elements)?;
    let gradient = gpu.buffer("a gradient", elements)?;
    let terms = gpu.buffer("values of events", elements)?;
    let values = gpu.buffer("values", lists)?;
    let (mut commands, packed) = pack(gpu, job, lists)?;
    let software = gpu.is_software();
    let run = |program: Program, storage: &[&wgpu::Buffer], workgroups: usize| {
        let storage: Vec<Slice> = storage.iter().map(|&buffer| buffer.into()).collect();
        gpu.dispatch(&gpu.kernel(&program)?, &params, &storage, workgroups as u32)
    };
    let blocks = elements.div_ceil(lanes_of(software) as usize);
    let scores = &scores.buffer;
    commands.extend([
        run(records_program(loss, software), &[scores, times, events, &records], blocks)?,
        run(
            plain(GRADIENT, software),
            &[scores, times, events, &records, &packed, &gradient, &terms],
            blocks,
        )?,
        run(plain(VALUES, software), &[&terms, &values], lists)?,
    ]);
    let results =
        MultiInputResults { gradients: vec![gradient], values, result: gpu.buffer("a loss", 4)? };
    Ok((commands, results, lists))
}

/// The number of events of each list: its contribution to a mean.
pub(crate) fn event_counts(
    gpu: &Gpu,
    [times, events]: [&wgpu::Buffer; 2],
    [lists, items]: [usize; 2],
) -> Result<(Command, wgpu::Buffer)> {
    check_sizes(gpu, [lists, items])?;
    let counts = gpu.buffer("events of lists", lists)?;
    let params =
        SurvivalParams { lists: lists as u32, items: items as u32, factor: 1.0, upstream: 1.0 };
    let unread = gpu.unread_binding()?;
    let kernel = gpu.kernel(&plain(COUNTS, gpu.is_software()))?;
    let storage = [&unread, times, events, &counts].map(Into::into);
    let workgroups = (lists as u32).div_ceil(lanes_of(gpu.is_software()));
    Ok((gpu.dispatch(&kernel, &params, &storage, workgroups)?, counts))
}

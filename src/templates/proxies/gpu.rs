//! Proxies template: directions of both sides, the scores, the kernel over their rows, and the matrix
//! products of the gradients.

use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::product;
use crate::nn::ops::matmul::shape::Shape;
use crate::nn::ops::matmul::{Layout, Params};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::binding_elements;
use crate::templates::program::{LANES, NUMBERS, program};
use crate::templates::similarity::gpu::{UNIT_ROWS, UNIT_ROWS_BACKWARD, unit_rows};
use crate::{Error, Result};

const PROXIES: File = crate::runtime::wgsl::shader!("templates/proxies/proxies.wgsl");
const PRESENT: File = crate::runtime::wgsl::shader!("templates/proxies/proxies_present.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ProxiesParams {
    rows: u32,
    columns: u32,
    classes: u32,
    factor: f32,
    upstream: f32,
    reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PresentParams {
    classes: u32,
    rows: u32,
    reserved: [u32; 2],
}

fn scores_program(
    loss: &dyn LossDefinition,
    lanes: usize,
    has_weight: bool,
    each: bool,
) -> Program {
    let constants = vec![
        ("WORKGROUP", lanes as f64),
        ("HAS_WEIGHT", flag(has_weight)),
        ("REDUCTION_NONE", flag(each)),
    ];
    program(loss, &[PROXIES, LANES, NUMBERS], constants)
}

fn present_program(software: bool) -> Program {
    Program {
        label: PRESENT.name.into(),
        header: String::new(),
        files: vec![PRESENT],
        constants: vec![("WORKGROUP", lanes_of(software).into())],
    }
}

const LANE_COUNTS: [usize; 3] = [8, 64, 256];

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut programs: Vec<Program> = [true, false].map(present_program).into();
    for lanes in LANE_COUNTS {
        programs.extend([false, true].map(|on| scores_program(loss, lanes, on, on)));
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

/// One side: its directions, their norms, and the buffer of its gradient.
struct Side {
    rows: usize,
    units: wgpu::Buffer,
    lengths: wgpu::Buffer,
    gradient: wgpu::Buffer,
}

impl Side {
    fn new(
        gpu: &Gpu,
        embeddings: &wgpu::Buffer,
        [rows, columns]: [usize; 2],
        commands: &mut Vec<Command>,
    ) -> Result<Self> {
        let units = gpu.buffer("directions", rows * columns)?;
        let lengths = gpu.buffer("lengths", rows)?;
        let storage = [embeddings.into(), (&units).into(), (&lengths).into()];
        commands.push(unit_rows(gpu, UNIT_ROWS, [rows, columns], &storage)?);
        let gradient = gpu.buffer("a gradient", rows * columns)?;
        Ok(Side { rows, units, lengths, gradient })
    }

    fn backward(&self, gpu: &Gpu, columns: usize) -> Result<Command> {
        let storage = [(&self.units).into(), (&self.lengths).into(), (&self.gradient).into()];
        unit_rows(gpu, UNIT_ROWS_BACKWARD, [self.rows, columns], &storage)
    }
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    by_proxy: bool,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let (embeddings, proxies) = (job.required("predictions")?, job.required("proxies")?);
    let labels = &job.required("targets")?.buffer;
    let (rows, classes, columns) = (embeddings.shape[0], proxies.shape[0], embeddings.shape[1]);
    if rows * classes > binding_elements(gpu) {
        let name = format!("the scores of {rows} embeddings and {classes} proxies");
        return Err(too_large(gpu, name, rows * classes));
    }
    let software = gpu.is_software();
    let mut commands = Vec::new();
    let left = Side::new(gpu, &embeddings.buffer, [rows, columns], &mut commands)?;
    let right = Side::new(gpu, &proxies.buffer, [classes, columns], &mut commands)?;
    let (own, other) = if by_proxy { (&right, &left) } else { (&left, &right) };
    let (m, n) = (own.rows, other.rows);
    let longest = n.max(classes);
    let usual = if longest <= 1024 { 64 } else { 256 };
    let lanes = if software {
        let fits = |lanes: &usize| 4 * longest.div_ceil(*lanes) <= MAX_LOOP_ITERATIONS;
        LANE_COUNTS.into_iter().find(|lanes| fits(lanes) && rows <= MAX_LOOP_ITERATIONS)
    } else {
        Some(usual)
    };
    let name = || format!("{rows} embeddings and {classes} proxies on a software adapter");
    let lanes = lanes.ok_or_else(|| too_large(gpu, name(), rows * classes))?;
    let present = gpu.buffer("proxies with embeddings", classes)?;
    let [rows_word, classes_word] = [rows, classes].map(|size| size as u32);
    let params = PresentParams { classes: classes_word, rows: rows_word, reserved: [0; 2] };
    commands.push(gpu.dispatch(
        &gpu.kernel(&present_program(software))?,
        &params,
        &[labels.into(), (&present).into()],
        classes_word.div_ceil(lanes_of(software)),
    )?);
    let (scores, values) = (gpu.buffer("scores", m * n)?, gpu.buffer("values", m)?);
    let shape =
        |m: usize, n: usize, k: usize| Params::new(Shape { m: m as u32, n: n as u32, k: k as u32 });
    let multiply = |layout, params, storage: [&wgpu::Buffer; 3]| {
        product(gpu, &Kind::plain(layout), &params, &storage.map(Slice::from))
    };
    let units = [&own.units, &other.units, &scores];
    commands.extend(multiply(Layout::NT, shape(m, n, columns), units)?);
    let params = ProxiesParams {
        rows: m as u32,
        columns: n as u32,
        classes: classes_word,
        factor: job.factor,
        upstream: job.upstream,
        reserved: [0; 3],
    };
    let unread = gpu.unread_binding()?;
    let (weights, upstreams) =
        (job.weights.as_ref().unwrap_or(&unread), job.upstreams.as_ref().unwrap_or(&unread));
    let kernel = gpu.kernel(&scores_program(loss, lanes, job.weights.is_some(), job.each))?;
    let storage = [&scores, labels, &present, weights, upstreams, &values].map(Slice::from);
    commands.push(gpu.dispatch(&kernel, &params, &storage, m as u32)?);
    let storage = [&scores, &other.units, &own.gradient];
    commands.extend(multiply(Layout::NN, shape(m, columns, n), storage)?);
    let storage = [&scores, &own.units, &other.gradient];
    commands.extend(multiply(Layout::TN, shape(n, columns, m), storage)?);
    commands.extend([left.backward(gpu, columns)?, right.backward(gpu, columns)?]);
    let results = MultiInputResults {
        gradients: vec![left.gradient, right.gradient],
        values,
        result: gpu.buffer("a loss", 4)?,
    };
    Ok((commands, results, m))
}

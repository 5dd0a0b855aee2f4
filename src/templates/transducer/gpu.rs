//! Transducer template: three kernels over a lattice of rows and labels.

use crate::runtime::adaptor;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::binding_elements;
use crate::templates::program::{LANES, NUMBERS};
use crate::templates::sequence::gpu::pack;
use crate::templates::transducer::cpu::Axes;
use crate::{Error, Result};

const TRANSDUCER: File = crate::runtime::wgsl::shader!("templates/transducer/transducer.wgsl");
const SCALED: File = crate::runtime::wgsl::shader!("templates/transducer/scaled.wgsl");
const LATTICE: File = crate::runtime::wgsl::shader!("templates/transducer/transducer_lattice.wgsl");
const ROWS: File = crate::runtime::wgsl::shader!("templates/transducer/transducer_rows.wgsl");
const GRADIENT: File =
    crate::runtime::wgsl::shader!("templates/transducer/transducer_gradient.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct TransducerParams {
    batch: u32,
    time: u32,
    length: u32,
    classes: u32,
    blank: u32,
    factor: f32,
    upstream: f32,
    reserved: u32,
}

fn rows_program(lanes: usize) -> Program {
    Program {
        label: ROWS.name.into(),
        header: String::new(),
        files: vec![ROWS, TRANSDUCER, LANES, NUMBERS],
        constants: vec![("WORKGROUP", lanes as f64)],
    }
}

fn lattice_program(loss: &dyn LossDefinition, lanes: usize, each: bool) -> Program {
    let mut constants = vec![("WORKGROUP", lanes as f64), ("REDUCTION_NONE", flag(each))];
    let shader = loss.entry().shader;
    constants.extend(adaptor::options(&shader, loss.constants()));
    let files = vec![shader, LATTICE, SCALED, TRANSDUCER, NUMBERS];
    Program { label: format!("{} (lattice)", loss.name()), header: String::new(), files, constants }
}

fn gradient_program(lanes: usize) -> Program {
    Program {
        label: GRADIENT.name.into(),
        header: String::new(),
        files: vec![GRADIENT, SCALED, TRANSDUCER, LANES, NUMBERS],
        constants: vec![("WORKGROUP", lanes as f64)],
    }
}

const LANE_COUNTS: [usize; 3] = [8, 64, 256];

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut programs = Vec::new();
    for lanes in LANE_COUNTS {
        programs.extend([rows_program(lanes), gradient_program(lanes)]);
        programs.extend([false, true].map(|each| lattice_program(loss, lanes, each)));
    }
    programs
}

fn too_large(gpu: &Gpu, name: String, elements: usize) -> Error {
    Error::TooLarge {
        name,
        bytes: 4 * elements as u64,
        limit: gpu.limits().max_storage_buffer_binding_size,
        advice: "use a smaller batch, shorter sequences or the device `cpu`".into(),
    }
}

/// Number of lanes for loops of `iterations(lanes)` iterations: on software the smallest number that
/// the loop limit allows, on hardware `usual`.
fn lanes(
    gpu: &Gpu,
    usual: usize,
    axes: &Axes,
    iterations: impl Fn(usize) -> usize,
) -> Result<usize> {
    if !gpu.is_software() {
        return Ok(usual);
    }
    let fits = |lanes: &usize| iterations(*lanes) + 16 <= MAX_LOOP_ITERATIONS;
    LANE_COUNTS.into_iter().find(fits).ok_or_else(|| {
        let Axes { time, length, classes, .. } = axes;
        let name = format!("a lattice of {time} rows and {length} labels, {classes} classes");
        too_large(gpu, name, time * (length + 1) * classes)
    })
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    blank: usize,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let (predictions, labels) = (job.required("predictions")?, job.required("targets")?);
    let axes = Axes::of(&predictions.shape)?;
    let Axes { batch, time, length, classes } = axes;
    let nodes = batch * time * (length + 1);
    let elements = nodes * classes;
    let most = binding_elements(gpu);
    for (name, size) in [("predictions", elements), ("the lattice", 4 * nodes)] {
        if size > most {
            return Err(too_large(gpu, format!("{name} of {}", loss.name()), size));
        }
    }
    let params = TransducerParams {
        batch: batch as u32,
        time: time as u32,
        length: length as u32,
        classes: classes as u32,
        blank: blank as u32,
        factor: job.factor,
        upstream: job.upstream,
        reserved: 0,
    };
    let (mut commands, items) = pack(gpu, job, batch)?;
    let rows = gpu.buffer("rows of a lattice", 4 * nodes)?;
    let forward = gpu.buffer("paths to a node", 2 * nodes)?;
    let backward = gpu.buffer("paths from a node", 2 * nodes)?;
    let values = gpu.buffer("values", 2 * batch)?;
    let gradient = gpu.buffer("a gradient", elements)?;
    let (logits, targets) = (&predictions.buffer, &labels.buffer);
    let along_classes =
        lanes(gpu, lanes_of(false) as usize, &axes, |lanes| 2 * classes.div_ceil(lanes))?;
    // Most label sequences are shorter than 64.
    let across =
        lanes(gpu, 64, &axes, |lanes| 2 * (time + length) * (1 + (length + 1).div_ceil(lanes)))?;
    let run = |program: Program, storage: &[&wgpu::Buffer], workgroups: usize| {
        let storage: Vec<Slice> = storage.iter().map(|&buffer| buffer.into()).collect();
        gpu.dispatch(&gpu.kernel(&program)?, &params, &storage, workgroups as u32)
    };
    commands.extend([
        run(rows_program(along_classes), &[&items, logits, targets, &rows], nodes)?,
        run(
            lattice_program(loss, across, job.each),
            &[&items, &rows, &forward, &backward, &values],
            batch,
        )?,
        run(
            gradient_program(along_classes),
            &[&items, logits, targets, &rows, &forward, &backward, &values, &gradient],
            nodes,
        )?,
    ]);
    let results =
        MultiInputResults { gradients: vec![gradient], values, result: gpu.buffer("a loss", 4)? };
    Ok((commands, results, batch))
}

//! Sequence template: four kernels over a lattice of states.

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
use crate::{Error, Result};

const SEQUENCE: File = crate::runtime::wgsl::shader!("templates/sequence/sequence.wgsl");
const CHAIN: File = crate::runtime::wgsl::shader!("templates/sequence/sequence_chain.wgsl");
const ROWS: File = crate::runtime::wgsl::shader!("templates/sequence/sequence_rows.wgsl");
const LATTICE: File = crate::runtime::wgsl::shader!("templates/sequence/sequence_lattice.wgsl");
const GRADIENT: File = crate::runtime::wgsl::shader!("templates/sequence/sequence_gradient.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct SequenceParams {
    time: u32,
    batch: u32,
    classes: u32,
    length: u32,
    states: u32,
    blank: u32,
    factor: f32,
    upstream: f32,
}

fn plain(file: File, lanes: usize) -> Program {
    Program {
        label: file.name.into(),
        header: String::new(),
        files: if file.name == CHAIN.name {
            vec![file, SEQUENCE]
        } else {
            vec![file, SEQUENCE, LANES, NUMBERS]
        },
        constants: vec![("WORKGROUP", lanes as f64)],
    }
}

fn lattice(loss: &dyn LossDefinition, lanes: usize, each: bool) -> Program {
    let mut constants = vec![("WORKGROUP", lanes as f64), ("REDUCTION_NONE", flag(each))];
    let shader = loss.entry().shader;
    constants.extend(adaptor::options(&shader, loss.constants()));
    let files = vec![shader, LATTICE, SEQUENCE, NUMBERS];
    Program { label: format!("{} (lattice)", loss.name()), header: String::new(), files, constants }
}

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut programs = Vec::new();
    for lanes in LANE_COUNTS {
        programs.extend([CHAIN, ROWS, GRADIENT].map(|file| plain(file, lanes)));
        programs.extend([false, true].map(|each| lattice(loss, lanes, each)));
    }
    programs
}

const LANE_COUNTS: [usize; 3] = [8, 64, 256];

/// The sizes of a lattice of label states over time.
struct Lattice {
    time: usize,
    states: usize,
    classes: usize,
}

/// Number of lanes for loops of `iterations(lanes)` iterations. On software the smallest number
/// that the loop limit allows, because each barrier across subgroups is expensive. On hardware
/// `usual`.
fn lanes(
    gpu: &Gpu,
    usual: usize,
    &Lattice { time, states, classes }: &Lattice,
    iterations: impl Fn(usize) -> usize,
) -> Result<usize> {
    if !gpu.is_software() {
        return Ok(usual);
    }
    LANE_COUNTS.into_iter().find(|&lanes| iterations(lanes) + 16 <= MAX_LOOP_ITERATIONS).ok_or_else(|| Error::TooLarge {
        name: format!("a lattice of {time} rows and {states} states, {classes} classes"),
        bytes: 4 * (time * states.max(classes)) as u64,
        limit: gpu.limits().max_storage_buffer_binding_size,
        advice: "a software adapter ends loops of this length; use shorter sequences or the device `cpu`".into(),
    })
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    blank: usize,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let (predictions, labels) = (job.required("predictions")?, job.required("targets")?);
    let (&[time, batch, classes], &[_, length]) = (&predictions.shape[..], &labels.shape[..])
    else {
        return Err(Error::Shape {
            operation: loss.name().into(),
            found: format!(
                "predictions are {:?} and targets {:?}",
                predictions.shape, labels.shape
            ),
            allowed: "they must be [time, batch, classes] and [batch, length]".into(),
        });
    };
    let states = 2 * length + 1;
    let elements = time * batch * classes;
    let most = binding_elements(gpu);
    for (name, size) in
        [("predictions", elements), ("the lattice of states", time * batch * states)]
    {
        if size > most {
            return Err(Error::TooLarge {
                name: format!("{name} of {}", loss.name()),
                bytes: 4 * size as u64,
                limit: gpu.limits().max_storage_buffer_binding_size,
                advice: "use a smaller batch or the device `cpu`".into(),
            });
        }
    }
    let params = SequenceParams {
        time: time as u32,
        batch: batch as u32,
        classes: classes as u32,
        length: length as u32,
        states: states as u32,
        blank: blank as u32,
        factor: job.factor,
        upstream: job.upstream,
    };
    let scratch = |purpose: &str, length: usize| gpu.buffer(purpose, length);
    let (mut commands, items) = pack(gpu, job, batch)?;
    let chain = scratch("places of labels", batch * length)?;
    let normalizers = scratch("normalizers", 2 * time * batch)?;
    let (lattice_buffer, backward) =
        (scratch("a lattice", time * batch * states)?, scratch("a row", 2 * batch * states)?);
    let values = scratch("values", 2 * batch)?;
    let gradient = scratch("a gradient", elements)?;
    let (logits, targets) = (&predictions.buffer, &labels.buffer);
    let sizes = Lattice { time, states, classes };
    let short = lanes_of(gpu.is_software()) as usize;
    // On hardware one lane for each of 64 states, because most label sequences are shorter than 32.
    let across = lanes(gpu, 64, &sizes, |lanes| 2 * time * (1 + states.div_ceil(lanes)))?;
    // The gradient kernel loops over the classes three times. Its first lane loops over the
    // positions of the blank, and a single lane may have all labels in its chain.
    let along_classes = lanes(gpu, short, &sizes, |lanes| {
        3 * classes.div_ceil(lanes) + states.div_ceil(lanes) + 2 * length
    })?;
    let run = |program: Program, storage: &[&wgpu::Buffer], workgroups: usize| {
        let storage: Vec<Slice> = storage.iter().map(|&buffer| buffer.into()).collect();
        gpu.dispatch(&gpu.kernel(&program)?, &params, &storage, workgroups as u32)
    };
    commands.extend([
        run(plain(CHAIN, short), &[&items, targets, &chain], (batch * length).div_ceil(short))?,
        run(plain(ROWS, along_classes), &[&items, logits, targets, &normalizers], time * batch)?,
        run(
            lattice(loss, across, job.each),
            &[&items, logits, targets, &normalizers, &lattice_buffer, &backward, &values],
            batch,
        )?,
        run(
            plain(GRADIENT, along_classes),
            &[&items, logits, targets, &chain, &normalizers, &lattice_buffer, &values, &gradient],
            time * batch,
        )?,
    ]);
    let results =
        MultiInputResults { gradients: vec![gradient], values, result: gpu.buffer("a loss", 4)? };
    Ok((commands, results, batch))
}

/// Input lengths, target lengths, weights and upstream gradients in one buffer: a single binding of
/// the eight that every device supports.
pub(crate) fn pack(
    gpu: &Gpu,
    job: &MultiInputJob,
    batch: usize,
) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let items = gpu.buffer("items", 4 * batch)?;
    let ones = gpu.upload("ones", &vec![1.0_f32; batch])?;
    let planes = [
        &job.required("input_lengths")?.buffer,
        &job.required("target_lengths")?.buffer,
        job.weights.as_ref().unwrap_or(&ones),
        job.upstreams.as_ref().unwrap_or(&ones),
    ];
    let size = 4 * batch as u64;
    let copies = planes.into_iter().zip(0..).map(|(from, plane)| Command::Copy {
        from: from.clone(),
        from_offset: 0,
        to: items.clone(),
        to_offset: plane * size,
        size,
    });
    Ok((copies.collect(), items))
}

//! Pointwise template: its variants, its parameters and its commands.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::{Buffers, Job, Parts, Per, Written, flag};
use crate::templates::parts::{along, binding_elements, cells, parts};
use crate::templates::program::{HALF, NUMBERS, PARTIALS_LANE, PARTIALS_TREE, program_of};

const POINTWISE: File = crate::runtime::wgsl::shader!("templates/pointwise/pointwise.wgsl");
const POINTS_FLOAT: File = crate::runtime::wgsl::shader!("templates/pointwise/points_float.wgsl");
const POINTS_HALF: File = crate::runtime::wgsl::shader!("templates/pointwise/points_half.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct PointwiseParams {
    pub length: u32,
    pub first: u32,
    pub block: u32,
    pub first_partial: u32,
    pub row_length: u32,
    pub columns: u32,
    pub factor: f32,
    pub upstream: f32,
}

/// Number of lanes in a workgroup, and number of four-element vectors in its block.
///
/// Measured on software Vulkan (2^24 elements, two cores): 8 lanes take 17.5 ms with any block, 64
/// lanes 70 ms. On hardware a lane takes four vectors at a time, so that several loads are in
/// flight. The block grows if there would be more than 8192 partial sums.
pub(crate) fn variant(gpu: &Gpu, vectors: usize) -> (usize, usize) {
    if gpu.is_software() {
        // At most 64 vectors per lane: this many add up exactly (lib/numbers).
        return (8, (vectors / 256).clamp(64, 512).next_multiple_of(8));
    }
    (256, (vectors / 8192).max(1).next_multiple_of(1024))
}

/// True if the code of a loss is short enough for the four vectors that a lane takes at a time.
fn unrolls(loss: &dyn LossDefinition) -> bool {
    loss.spec().unrolled >= 4
}

/// Number of partial sums for one part of a tensor.
pub(crate) fn partials(gpu: &Gpu, length: usize) -> usize {
    let vectors = length.div_ceil(4);
    let (lanes, block) = variant(gpu, vectors);
    vectors.div_ceil(block) * if gpu.is_software() { lanes } else { 1 }
}

/// Maximum number of elements in a part.
fn most(gpu: &Gpu, job: &Job) -> usize {
    binding_elements(gpu) / job.alignment() * job.alignment()
}

pub(crate) fn values_length(gpu: &Gpu, job: &Job) -> usize {
    let elements = job.rows * job.row_length;
    if job.each {
        return elements;
    }
    parts(elements, most(gpu, job)).map(|part| partials(gpu, part.length)).sum()
}

fn template_program(
    loss: &dyn LossDefinition,
    partials: File,
    written: Written,
    half: bool,
    constants: Vec<(&'static str, f64)>,
) -> Program {
    let mut files = vec![POINTWISE, NUMBERS, partials];
    files.extend(if half { [POINTS_HALF, HALF].as_slice() } else { &[POINTS_FLOAT] });
    program_of(loss, written, &files, constants)
}

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut programs = Vec::new();
    for on in [0.0, 1.0] {
        for (lanes, partials) in [(8.0, PARTIALS_LANE), (256.0, PARTIALS_TREE)] {
            let switches = [
                ("WEIGHTS", 2.0 * on),
                ("HAS_COLUMN_WEIGHT", on),
                ("REDUCTION_NONE", on),
                ("IN_PLACE", on),
                ("IS_PLAIN", flag(on == 0.0 && lanes > 8.0 && unrolls(loss))),
            ];
            let constants: Vec<_> = std::iter::once(("WORKGROUP", lanes)).chain(switches).collect();
            for half in [false, true] {
                let written = Written::Gradient;
                programs.push(template_program(loss, partials, written, half, constants.clone()));
            }
            for written in Written::others_of(loss) {
                programs.push(template_program(loss, partials, written, false, constants.clone()));
            }
        }
    }
    programs
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &Job,
    buffers: &Buffers,
) -> Result<(Vec<Command>, Parts)> {
    let elements = job.rows * job.row_length;
    let per = buffers.weights.as_ref().map(|(_, per)| *per);
    let mut commands = Vec::new();
    let mut first_partial = 0;
    for part in parts(elements, most(gpu, job)) {
        let vectors = part.length.div_ceil(4);
        let (lanes, block) = variant(gpu, vectors);
        let weights = match per {
            None => 0.0,
            Some(Per::Element) => 1.0,
            Some(_) => 2.0,
        };
        let is_plain = !gpu.is_software()
            && unrolls(loss)
            && per.is_none()
            && buffers.column_weights.is_none()
            && !job.each;
        let constants = vec![
            ("WORKGROUP", lanes as f64),
            ("WEIGHTS", weights),
            ("HAS_COLUMN_WEIGHT", flag(buffers.column_weights.is_some())),
            ("REDUCTION_NONE", flag(job.each)),
            ("IN_PLACE", flag(buffers.in_place())),
            ("IS_PLAIN", flag(is_plain)),
        ];
        let partials_of = if gpu.is_software() { PARTIALS_LANE } else { PARTIALS_TREE };
        let kernel =
            gpu.kernel(&template_program(loss, partials_of, job.written, job.half, constants))?;
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
        let weights = buffers.weights.as_ref().map_or(&buffers.unread, |(buffer, _)| buffer);
        let storage = [
            buffers.read_predictions(&part, 1, job.half),
            cells(&buffers.targets, &part, 1, job.half),
            along(weights, &part, 1, per == Some(Per::Element)),
            buffers.column_weights.as_ref().unwrap_or(&buffers.unread).into(),
            along(buffers.upstreams.as_ref().unwrap_or(&buffers.unread), &part, 1, job.each),
            cells(&buffers.gradient, &part, 1, job.half),
            along(&buffers.values, &part, 1, job.each),
        ];
        commands.push(gpu.dispatch(&kernel, &params, &storage, vectors.div_ceil(block) as u32)?);
        first_partial += partials(gpu, part.length);
    }
    Ok((commands, Parts { length: first_partial }))
}

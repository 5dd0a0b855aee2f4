//! What batch norm, group norm, layer norm and RMS norm share.
//!
//! Two forms: by channel (`channels`: statistics over pixels of the batch or of a sample, matrices
//! of pixels × channels) and by row (`rows`: statistics over the last axis). Each has a CPU file
//! and a GPU file.

pub(super) mod channels;
pub(super) mod channels_gpu;
pub(super) mod rows;
pub(super) mod rows_gpu;
#[cfg(test)]
pub(super) mod tests;

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, FileOrder, GradientKind, Initial, ParameterSpec, Penalties, Saves, Segments, Shape,
};
use crate::runtime::kernel::Program;
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const CELL_SCALAR: File = shader!("ops/norm/cell_scalar.wgsl");
const CELL_VEC4: File = shader!("ops/norm/cell_vec4.wgsl");
const FRAME_LANE: File = shader!("ops/norm/frame_lane.wgsl");
const FRAME_TREE: File = shader!("ops/norm/frame_tree.wgsl");
const PART_SUMS: File = shader!("ops/norm/part_sums.wgsl");

/// Threads that join the parts of a unit on hardware.
const TREE_LANES: u32 = 256;

/// `weight` and `bias` of the last axis, as far as they exist.
pub(super) fn parameters(width: usize, weight: bool, bias: bool) -> Vec<ParameterSpec> {
    let spec = |name, initial| ParameterSpec {
        name,
        shape: vec![width],
        initial,
        penalties: Penalties::default(),
        gradient: GradientKind::Dense,
        file_order: FileOrder::Same,
    };
    let all = [(weight, "weight", Initial::Ones), (bias, "bias", Initial::Zeros)];
    all.into_iter().filter(|(is, ..)| *is).map(|(_, name, initial)| spec(name, initial)).collect()
}

/// The common shape of the inputs, if there are as many as expected and the last axis is `width`.
pub(super) fn shape_of(name: &str, inputs: &[&Shape], count: usize, width: usize) -> Result<Shape> {
    let is_right = |shape: &&Shape| shape.last() == Some(&width) && **shape == *inputs[0];
    if inputs.len() == count && inputs.iter().all(is_right) && !inputs[0].contains(&0) {
        return Ok(inputs[0].clone());
    }
    Err(Error::Shape {
        operation: name.into(),
        found: format!("inputs of shapes {inputs:?}"),
        allowed: match count {
            1 => format!("one input of shape [..., {width}]"),
            _ => format!("{count} inputs of the same shape [..., {width}]"),
        },
    })
}

/// An error unless ε is a number above 0, or 0.
pub(super) fn check_epsilon(name: &str, epsilon: f64) -> Result<()> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(Error::option(name, "epsilon", epsilon, ">= 0 and finite"))
}

/// A parameter, or the number that stands for its absence.
pub(super) fn or_constant<R: Real>(parameter: &[R], width: usize, constant: R) -> Vec<R> {
    if parameter.is_empty() { vec![constant; width] } else { parameter.to_vec() }
}

/// Writes or adds sums of all parameters of a node to their gradients.
pub(super) fn write_gradients<R: Real>(
    mut gradients: Segments<R>,
    sums: [&[f64]; 2],
    accumulate: bool,
) {
    for (number, sums) in sums.into_iter().enumerate() {
        for (gradient, &sum) in gradients.get(number).iter_mut().zip(sums) {
            let before = if accumulate { *gradient } else { R::ZERO };
            *gradient = before + R::new(sum);
        }
    }
}

/// What the norms by row keep for backward: mean and 1/√(σ² + ε) of each row.
pub(super) fn saves_of_rows(inputs: &[&Shape], width: usize) -> Saves {
    let numbers: usize = inputs.first().map_or(0, |shape| shape.iter().product());
    Saves { input: true, own: 2 * (numbers / width.max(1)), ..Saves::default() }
}

/// Backward of a norm by rows on the CPU.
pub(super) fn backward_of_rows<R: Real>(rows: rows::Rows<R>, io: Backward<R>) {
    let grad_input = io.grad_inputs[0].as_deref_mut();
    let sums = rows.backward(io.inputs[0], io.saved, io.grad_output, grad_input);
    let (of_weight, of_bias) = sums.split_at(rows.weight.len());
    write_gradients(io.grad_parameters, [of_weight, of_bias], io.accumulate);
}

/// The cells of a matrix's rows: four numbers if they divide the width.
fn cell(width: usize) -> File {
    if width.is_multiple_of(4) { CELL_VEC4 } else { CELL_SCALAR }
}

/// Numbers per cell.
fn cell_size(width: usize) -> usize {
    if width.is_multiple_of(4) { 4 } else { 1 }
}

/// A program whose threads work alone.
fn lane_program(files: &[File], software: bool) -> Program {
    Program::plain(files[0].stem(), files, vec![("WORKGROUP", lanes_of(software).into())])
}

/// A program whose threads join parts of a unit.
fn frame_program(files: &[File], software: bool, lanes: u32) -> Program {
    let (frame, lanes) = if software { (FRAME_LANE, lanes_of(true)) } else { (FRAME_TREE, lanes) };
    let files = [files, &[frame]].concat();
    Program::plain(files[0].stem(), &files, vec![("WORKGROUP", lanes.into())])
}

/// Workgroups of a framed kernel.
fn frame_workgroups(units: usize, software: bool) -> u32 {
    if software { (units as u32).div_ceil(lanes_of(true)) } else { units as u32 }
}

fn part_sums_program(software: bool) -> Program {
    frame_program(&[PART_SUMS], software, 64)
}

/// Partial sums [rows, stride], whose first columns are summed.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    buffer: &'a wgpu::Buffer,
    rows: usize,
    stride: usize,
    columns: usize,
}

/// Records the sum of partial sums over their rows.
fn sum_parts(
    recorder: &mut Recorder,
    parts: Parts,
    (sums, offset): (&wgpu::Buffer, usize),
    accumulate: bool,
) -> Result<()> {
    let Parts { buffer, rows, stride, columns } = parts;
    let gpu = recorder.gpu();
    let kernel = gpu.kernel(&part_sums_program(gpu.is_software()))?;
    let most = if gpu.is_software() { MAX_LOOP_ITERATIONS / 4 } else { rows };
    let chunk = rows.min(most.max(1));
    let chunks = rows.div_ceil(chunk.max(1));
    let workgroups = frame_workgroups(columns * chunks, gpu.is_software());
    let params = |offset: usize, accumulate: bool| {
        [rows, stride, columns, chunk, chunks, offset, usize::from(accumulate), 0]
            .map(|number| number as u32)
    };
    if chunks <= 1 {
        let storage = [buffer.into(), sums.into()];
        return recorder.dispatch(&kernel, &params(offset, accumulate), &storage, workgroups);
    }
    let fewer = recorder.scratch("partial sums", chunks * columns)?;
    recorder.dispatch(&kernel, &params(0, false), &[buffer.into(), (&fewer).into()], workgroups)?;
    let parts = Parts { buffer: &fewer, rows: chunks, stride: columns, columns };
    sum_parts(recorder, parts, (sums, offset), accumulate)
}

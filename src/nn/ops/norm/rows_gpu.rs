//! Normalisation by row on a GPU: a workgroup per row on hardware, a thread per row on software
//! adapters; the gradients of the parameters from partial sums of slabs of rows.

use crate::nn::graph::op::{GpuBackward, GpuForward};
use crate::nn::ops::norm::{
    CELL_SCALAR, CELL_VEC4, Parts, cell, cell_size, frame_program, frame_workgroups, lane_program,
    part_sums_program, sum_parts,
};
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const PARAMS: File = shader!("ops/norm/row_params.wgsl");
const FORWARD: File = shader!("ops/norm/row_forward.wgsl");
const BACKWARD: File = shader!("ops/norm/row_backward.wgsl");
const GRADIENT_SUMS: File = shader!("ops/norm/row_gradient_sums.wgsl");

/// Flags of the kernels, as in row_params.wgsl.
const HAS_WEIGHT: u32 = 1;
const HAS_BIAS: u32 = 2;
const IS_CENTRED: u32 = 4;

/// Threads per row on hardware.
const LANES: u32 = 64;

/// Rows of a slab at least, and slabs at most.
const LEAST_ROWS: usize = 32;
const MOST_SLABS: usize = 512;

/// Normalisation of rows.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::ops) struct Rows {
    pub rows: usize,
    pub width: usize,
    pub weight: bool,
    pub bias: bool,
    pub epsilon: f64,
    /// Subtracts the mean; false for RMS norm.
    pub centred: bool,
}

/// As in row_params.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    rows: u32,
    width: u32,
    weight: u32,
    bias: u32,
    slab: u32,
    slabs: u32,
    flags: u32,
    epsilon: f32,
}

/// All programs, for the shader checks.
pub(in crate::nn::ops) fn programs() -> Vec<Program> {
    let of = |software: bool| {
        let mut all = vec![part_sums_program(software)];
        for cell in [CELL_SCALAR, CELL_VEC4] {
            all.push(frame_program(&[FORWARD, PARAMS, cell], software, LANES));
            all.push(frame_program(&[BACKWARD, PARAMS, cell], software, LANES));
            all.push(lane_program(&[GRADIENT_SUMS, PARAMS, cell], software));
        }
        all
    };
    [true, false].map(of).concat()
}

impl Rows {
    fn params(&self, weight: Option<usize>, software: bool) -> Result<Params> {
        // A thread of a software adapter iterates over its row three times.
        let most = MAX_LOOP_ITERATIONS / 3 * cell_size(self.width);
        if software && self.width > most {
            return Err(Error::Shape {
                operation: "a norm by rows".into(),
                found: format!("rows of {} numbers on a software adapter", self.width),
                allowed: format!("up to {most} there; use the device `cpu`"),
            });
        }
        let slab = self.rows.div_ceil(MOST_SLABS).max(LEAST_ROWS);
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let weight = weight.unwrap_or(0) as u32;
        Ok(Params {
            rows: self.rows as u32,
            width: self.width as u32,
            weight,
            bias: weight + self.width as u32,
            slab: slab as u32,
            slabs: self.rows.div_ceil(slab) as u32,
            flags: flag(self.weight, HAS_WEIGHT)
                | flag(self.bias, HAS_BIAS)
                | flag(self.centred, IS_CENTRED),
            epsilon: self.epsilon as f32,
        })
    }

    /// Records y and the statistics of the rows.
    pub fn forward(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let gpu = recorder.gpu();
        let (software, cell) = (gpu.is_software(), cell(self.width));
        let params =
            self.params(io.parameters.ranges.first().map(|range| range.start), software)?;
        let kernel = gpu.kernel(&frame_program(&[FORWARD, PARAMS, cell], software, LANES))?;
        let x = io.inputs[0].buffer;
        let parameters = if self.weight { io.parameters.all } else { x };
        let storage = [x, parameters, io.saved, io.output.buffer].map(Slice::from);
        recorder.dispatch(&kernel, &params, &storage, frame_workgroups(self.rows, software))
    }

    /// Records the gradients of parameters and input.
    pub fn backward(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let (gpu, x, dy) = (recorder.gpu(), io.inputs[0].buffer, io.grad_output);
        let (software, cell) = (gpu.is_software(), cell(self.width));
        let weight = io.parameters.ranges.first().map(|range| range.start);
        let params = self.params(weight, software)?;
        if let Some(offset) = weight {
            let slabs = params.slabs as usize;
            let partials = recorder.scratch("partial sums", 2 * slabs * self.width)?;
            let kernel = gpu.kernel(&lane_program(&[GRADIENT_SUMS, PARAMS, cell], software))?;
            let threads = slabs * (self.width / cell_size(self.width));
            let storage = [dy, x, io.saved, &partials].map(Slice::from);
            let workgroups = (threads as u32).div_ceil(lanes_of(software));
            recorder.dispatch(&kernel, &params, &storage, workgroups)?;
            let columns = if self.bias { 2 * self.width } else { self.width };
            let parts = Parts { buffer: &partials, rows: slabs, stride: 2 * self.width, columns };
            sum_parts(recorder, parts, (io.parameters.gradients, offset), io.accumulate)?;
        }
        let Some(dx) = io.grad_inputs[0] else { return Ok(()) };
        let kernel = gpu.kernel(&frame_program(&[BACKWARD, PARAMS, cell], software, LANES))?;
        let parameters = if self.weight { io.parameters.all } else { x };
        let storage = [dy, x, io.saved, parameters, dx].map(Slice::from);
        recorder.dispatch(&kernel, &params, &storage, frame_workgroups(self.rows, software))
    }
}

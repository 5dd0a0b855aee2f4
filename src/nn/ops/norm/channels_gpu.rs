//! Normalisation by channel on a GPU: partial sums of slabs of pixels, which one thread or
//! workgroup per group of channels joins in order, then one pass over all numbers; the same
//! backward.

use crate::nn::graph::op::{GpuBackward, GpuForward};
use crate::nn::ops::norm::{
    CELL_SCALAR, CELL_VEC4, Parts, TREE_LANES, cell, cell_size, frame_program, frame_workgroups,
    lane_program, part_sums_program, sum_parts,
};
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const PARAMS: File = shader!("ops/norm/channel_params.wgsl");
const RELU: File = shader!("ops/norm/channel_relu.wgsl");
const SUMS: File = shader!("ops/norm/channel_sums.wgsl");
const STATISTICS: File = shader!("ops/norm/channel_statistics.wgsl");
const NORMALISE: File = shader!("ops/norm/channel_normalise.wgsl");
const GRADIENT_SUMS: File = shader!("ops/norm/channel_gradient_sums.wgsl");
const TOTALS: File = shader!("ops/norm/channel_totals.wgsl");
const INPUT_GRADIENT: File = shader!("ops/norm/channel_input_gradient.wgsl");

/// Flags of the kernels, as in channel_params.wgsl.
const HAS_AFFINE: u32 = 1;
const HAS_RELU: u32 = 2;
const HAS_RESIDUAL: u32 = 4;
const TRAINING: u32 = 8;
const MOVES: u32 = 16;
const ACCUMULATE: u32 = 32;
const WRITES_PARAMETERS: u32 = 64;
const WRITES_INPUT: u32 = 128;

/// Smallest slab.
const LEAST_PIXELS: usize = 32;

/// Normalisation of segments of pixels × channels; each group of channels of a segment has its own
/// statistics.
#[derive(Clone, Copy, Debug)]
pub(in crate::nn::ops) struct Channels {
    pub channels: usize,
    pub groups: usize,
    pub segments: usize,
    /// Of a segment.
    pub pixels: usize,
    pub affine: bool,
    pub epsilon: f64,
    pub relu: bool,
    pub residual: bool,
    /// The weight of a batch in the running statistics, if there are any.
    pub momentum: Option<f64>,
}

/// As in channel_params.wgsl.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    channels: u32,
    groups: u32,
    segments: u32,
    pixels: u32,
    slab: u32,
    slabs: u32,
    weight: u32,
    bias: u32,
    running_mean: u32,
    running_var: u32,
    flags: u32,
    momentum: f32,
    unbiased: f32,
    epsilon: f32,
    reserved: [u32; 2],
}

/// All programs, for the shader checks.
pub(in crate::nn::ops) fn programs() -> Vec<Program> {
    let of = |software: bool| {
        let mut all = vec![
            frame_program(&[STATISTICS, PARAMS], software, TREE_LANES),
            frame_program(&[TOTALS, PARAMS], software, TREE_LANES),
            part_sums_program(software),
        ];
        for cell in [CELL_SCALAR, CELL_VEC4] {
            all.push(lane_program(&[SUMS, PARAMS, cell], software));
            all.push(lane_program(&[NORMALISE, PARAMS, cell], software));
            all.push(lane_program(&[GRADIENT_SUMS, PARAMS, RELU, cell], software));
            all.push(lane_program(&[INPUT_GRADIENT, PARAMS, RELU, cell], software));
        }
        all
    };
    [true, false].map(of).concat()
}

impl Channels {
    /// Pixels of a slab and slabs of a segment: as many as one thread or workgroup may join.
    fn slabs(&self, software: bool) -> Result<[usize; 2]> {
        let of_group = self.channels / self.groups;
        let most = if software {
            // A thread joins all slabs of a group and writes its statistics.
            let most = (MAX_LOOP_ITERATIONS / 2) / of_group;
            if most == 0 {
                return Err(Error::Shape {
                    operation: "a norm by channels".into(),
                    found: format!("groups of {of_group} channels on a software adapter"),
                    allowed: format!(
                        "up to {} there; use the device `cpu`",
                        MAX_LOOP_ITERATIONS / 2
                    ),
                });
            }
            most.min(256)
        } else {
            2048
        };
        let slab = self.pixels.div_ceil(most).max(LEAST_PIXELS);
        Ok([slab, self.pixels.div_ceil(slab)])
    }

    fn params(&self, recorder: &Recorder, weight: Option<usize>, flags: u32) -> Result<Params> {
        let [slab, slabs] = self.slabs(recorder.gpu().is_software())?;
        let number = |number: usize| number as u32;
        let weight = weight.unwrap_or(0);
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let count = (self.pixels * self.channels / self.groups) as f64;
        Ok(Params {
            channels: number(self.channels),
            groups: number(self.groups),
            segments: number(self.segments),
            pixels: number(self.pixels),
            slab: number(slab),
            slabs: number(slabs),
            weight: number(weight),
            bias: number(weight + self.channels),
            flags: flags
                | flag(self.affine, HAS_AFFINE)
                | flag(self.relu, HAS_RELU)
                | flag(self.residual, HAS_RESIDUAL),
            momentum: self.momentum.unwrap_or(0.0) as f32,
            unbiased: (count / (count - 1.0).max(1.0)) as f32,
            epsilon: self.epsilon as f32,
            ..Params::default()
        })
    }

    /// Elements of the partial sums.
    fn parts(&self, params: &Params) -> usize {
        2 * self.segments * params.slabs as usize * self.channels
    }

    /// Workgroups of a thread per cell of `rows` rows of channels.
    fn workgroups(&self, rows: usize, software: bool) -> u32 {
        let threads = rows * (self.channels / cell_size(self.channels));
        (threads as u32).div_ceil(lanes_of(software))
    }

    /// Records y and the statistics: the batch's, or the running ones outside of training.
    pub fn forward(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (gpu, x) = (recorder.gpu(), io.inputs[0].buffer);
        let (software, cell) = (gpu.is_software(), cell(self.channels));
        let reads_batch = io.mode.training || self.momentum.is_none();
        let moves = io.mode.training && self.momentum.is_some();
        let flags = if reads_batch { TRAINING } else { 0 } | if moves { MOVES } else { 0 };
        let weight = io.parameters.ranges.first().map(|range| range.start);
        let mut params = self.params(recorder, weight, flags)?;
        let mut running = recorder.dummy()?;
        if let [mean, var] = io.statistics.ranges {
            (params.running_mean, params.running_var) = (mean.start as u32, var.start as u32);
            running = io.statistics.all.clone();
        }
        // Without partial sums the kernel binds any buffer that it does not write.
        let mut partials = x.clone();
        if reads_batch {
            partials = recorder.scratch("partial sums", self.parts(&params))?;
            let kernel = gpu.kernel(&lane_program(&[SUMS, PARAMS, cell], software))?;
            let rows = self.segments * params.slabs as usize;
            let storage = [x.into(), (&partials).into()];
            recorder.dispatch(&kernel, &params, &storage, self.workgroups(rows, software))?;
        }
        let kernel = gpu.kernel(&frame_program(&[STATISTICS, PARAMS], software, TREE_LANES))?;
        let storage = [(&partials).into(), (&running).into(), io.saved.into()];
        let units = frame_workgroups(self.segments * self.groups, software);
        recorder.dispatch(&kernel, &params, &storage, units)?;
        let kernel = gpu.kernel(&lane_program(&[NORMALISE, PARAMS, cell], software))?;
        let residual = if self.residual { io.inputs[1].buffer } else { x };
        let parameters = if self.affine { io.parameters.all } else { io.saved };
        let storage = [x, residual, io.saved, parameters, io.output.buffer].map(Slice::from);
        let workgroups = self.workgroups(self.segments * self.pixels, software);
        recorder.dispatch(&kernel, &params, &storage, workgroups)
    }

    /// Records the gradients of parameters and inputs.
    pub fn backward(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let (gpu, x, dy) = (recorder.gpu(), io.inputs[0].buffer, io.grad_output);
        let (software, cell) = (gpu.is_software(), cell(self.channels));
        let y = if self.relu { io.output.buffer } else { x };
        let weight = io.parameters.ranges.first().map(|range| range.start);
        let is_whole = self.segments == 1 && self.groups == self.channels;
        let grad_residual = io.grad_inputs.get(1).copied().flatten();
        let params = self.params(recorder, weight, 0)?;
        let flag = |is: bool, flag: u32| if is { flag } else { 0 };
        let params = Params {
            flags: (params.flags & !HAS_RESIDUAL)
                | flag(grad_residual.is_some(), HAS_RESIDUAL)
                | flag(io.accumulate, ACCUMULATE)
                | flag(is_whole && self.affine, WRITES_PARAMETERS)
                | flag(io.grad_inputs[0].is_some(), WRITES_INPUT),
            ..params
        };
        let partials = recorder.scratch("partial sums", self.parts(&params))?;
        let files = [GRADIENT_SUMS, PARAMS, RELU, cell];
        let kernel = gpu.kernel(&lane_program(&files, software))?;
        let rows = self.segments * params.slabs as usize;
        let storage = [dy, x, y, io.saved, &partials].map(Slice::from);
        recorder.dispatch(&kernel, &params, &storage, self.workgroups(rows, software))?;
        if let (Some(offset), false) = (weight, is_whole) {
            let (stride, columns) = (2 * self.channels, 2 * self.channels);
            let parts = Parts { buffer: &partials, rows, stride, columns };
            sum_parts(recorder, parts, (io.parameters.gradients, offset), io.accumulate)?;
        }
        let totals = recorder.scratch("means", 2 * self.segments * self.channels)?;
        let kernel = gpu.kernel(&frame_program(&[TOTALS, PARAMS], software, TREE_LANES))?;
        let dummy = recorder.dummy()?;
        let (parameters, gradients) = match self.affine {
            true => (io.parameters.all, io.parameters.gradients),
            false => (io.saved, &dummy),
        };
        let storage = [&partials, parameters, &totals, gradients].map(Slice::from);
        let units = frame_workgroups(self.segments * self.groups, software);
        recorder.dispatch(&kernel, &params, &storage, units)?;
        if params.flags & (WRITES_INPUT | HAS_RESIDUAL) == 0 {
            return Ok(());
        }
        let kernel = gpu.kernel(&lane_program(&[INPUT_GRADIENT, PARAMS, RELU, cell], software))?;
        // At most one of the two is not needed.
        let [dx, dr] = [io.grad_inputs[0], grad_residual].map(|needed| needed.unwrap_or(&dummy));
        let storage = [dy, x, y, io.saved, parameters, &totals, dx, dr].map(Slice::from);
        let workgroups = self.workgroups(self.segments * self.pixels, software);
        recorder.dispatch(&kernel, &params, &storage, workgroups)
    }
}

//! Gather: the rows of a batch, or the items of its lists, in the order of the batch.

use std::sync::Arc;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::launch::lanes_of;
use crate::runtime::pipeline::{Kernel, Program};
use crate::runtime::wgsl::{File, shader};

const RANDOM: File = shader!("lib/random.wgsl");
const GATHER: File = shader!("ops/gather/gather.wgsl");
const GATHER_LISTS: File = shader!("ops/gather/gather_lists.wgsl");

/// Parameters of the gather kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct GatherParams {
    pub rows: u32,
    pub width: u32,
    pub part_first: u32,
    pub part_rows: u32,
    pub start: u32,
    pub length: u32,
    pub shuffled: u32,
    /// Places of a list in the batch; not read where rows are gathered.
    pub places: u32,
    pub keys: [u32; 8],
}

/// The gather kernel; a workgroup for each row of the batch.
pub(crate) fn gather(gpu: &Gpu) -> Result<Arc<Kernel>> {
    gpu.kernel(&gather_program(lanes_of(gpu.is_software()).into()))
}

/// The gather kernel of lists, which writes `padding` behind each; a workgroup for each place of
/// the batch.
pub(crate) fn gather_lists(gpu: &Gpu, padding: f32) -> Result<Arc<Kernel>> {
    gpu.kernel(&gather_lists_program(lanes_of(gpu.is_software()).into(), padding))
}

fn gather_program(lanes: f64) -> Program {
    Program::plain("gather", &[GATHER, RANDOM], vec![("WORKGROUP", lanes)])
}

fn gather_lists_program(lanes: f64, padding: f32) -> Program {
    let constants = vec![("WORKGROUP", lanes), ("PADDING", padding.to_bits().into())];
    Program::plain("gather of lists", &[GATHER_LISTS, RANDOM], constants)
}

/// Every program of this file, for the checks of the shaders.
pub(crate) fn programs() -> Vec<Program> {
    [8.0, 64.0]
        .into_iter()
        .flat_map(|lanes| [gather_program(lanes), gather_lists_program(lanes, -1.0)])
        .collect()
}

#[cfg(test)]
mod tests;

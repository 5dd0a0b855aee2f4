//! Numbers of an update, summed on the device: its size against the weights, and its gradient
//! against the one before.

use std::sync::Arc;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Kernel, Program};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::{File, shader};

const GRADIENT: File = shader!("ops/watch/gradient.wgsl");
const UPDATE: File = shader!("ops/watch/update.wgsl");
const SUMMARY: File = shader!("ops/watch/summary.wgsl");

/// Blocks of the parameters at most, and parameters of a block at least.
const MOST_BLOCKS: usize = 1024;
const LEAST_BLOCK: usize = 1024;

/// The buffers of a watched update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched<'a> {
    /// Number of parameters.
    pub length: usize,
    pub parameters: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    /// The gradient of the update before.
    pub previous: &'a wgpu::Buffer,
    /// The weights before the update.
    pub before: &'a wgpu::Buffer,
    /// Four sums of each block.
    pub parts: &'a wgpu::Buffer,
}

/// Parameters of the kernels over blocks.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct BlockParams {
    pub length: u32,
    pub block: u32,
    pub reserved: [u32; 2],
}

/// Parameters of the summary.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct WatchParams {
    pub blocks: u32,
    pub slot: u32,
    pub reserved: [u32; 2],
}

/// Number of blocks of so many parameters. Depends on nothing else: neither do the bits.
pub(crate) fn blocks(length: usize) -> usize {
    length.div_ceil(block(length)).max(1)
}

fn block(length: usize) -> usize {
    length.div_ceil(MOST_BLOCKS).max(LEAST_BLOCK)
}

impl Watched<'_> {
    fn params(&self) -> BlockParams {
        let [length, block] = [self.length, block(self.length)].map(|size| size as u32);
        BlockParams { length, block, reserved: [0; 2] }
    }

    /// The sums that precede the update.
    pub fn gradient(&self, gpu: &Gpu) -> Result<Command> {
        let kernel =
            gpu.kernel(&program("watch_gradient", GRADIENT, lanes_of(gpu.is_software())))?;
        let storage = [self.gradients, self.parameters, self.previous, self.before, self.parts];
        gpu.dispatch(&kernel, &self.params(), &storage.map(Into::into), blocks(self.length) as u32)
    }

    /// The sum that follows it.
    pub fn update(&self, gpu: &Gpu) -> Result<Command> {
        let kernel = gpu.kernel(&program("watch_update", UPDATE, lanes_of(gpu.is_software())))?;
        let storage = [self.parameters, self.before, self.parts];
        gpu.dispatch(&kernel, &self.params(), &storage.map(Into::into), blocks(self.length) as u32)
    }
}

/// The kernel that writes an update's sums to its slot; one workgroup.
pub(crate) fn summary(gpu: &Gpu) -> Result<Arc<Kernel>> {
    gpu.kernel(&program("watch_summary", SUMMARY, lanes_of(gpu.is_software())))
}

fn program(name: &str, file: File, lanes: u32) -> Program {
    Program::plain(name, &[file], vec![("WORKGROUP", lanes.into())])
}

/// All programs of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let files =
        [("watch_gradient", GRADIENT), ("watch_update", UPDATE), ("watch_summary", SUMMARY)];
    files
        .into_iter()
        .flat_map(|(name, file)| [8, 64].map(|lanes| program(name, file, lanes)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::wgsl;

    #[test]
    fn the_uniforms_are_the_shaders() {
        wgsl::assert_layout!(program("watch_gradient", GRADIENT, 8), BlockParams as "Params" { length, block, reserved });
        wgsl::assert_layout!(program("watch_update", UPDATE, 8), BlockParams as "Params" { length, block, reserved });
        wgsl::assert_layout!(program("watch_summary", SUMMARY, 8), WatchParams as "Params" { blocks, slot, reserved });
    }

    #[test]
    fn blocks_cover_the_parameters() {
        for length in [0, 1, 1024, 1025, 1 << 20, (1 << 24) + 3] {
            assert!(blocks(length) * block(length) >= length && blocks(length) <= MOST_BLOCKS);
        }
    }
}

//! Gather: the rows of a batch, or the items of its lists, in the batch's order. Images may be
//! changed at random on the way ([`augment`]).

pub(crate) mod augment;

use std::sync::Arc;

use crate::Result;
use crate::nn::ops::gather::augment::AugmentParams;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Kernel, Program};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::{File, shader};

const RANDOM: File = shader!("lib/random.wgsl");
const GATHER: File = shader!("ops/gather/gather.wgsl");
const GATHER_IMAGES: File = shader!("ops/gather/gather_images.wgsl");
const WORDS: File = shader!("ops/gather/words.wgsl");
const PIXELS: File = shader!("ops/gather/pixels.wgsl");
const GATHER_LISTS: File = shader!("ops/gather/gather_lists.wgsl");

/// What rows are gathered from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A word for each number.
    Words,
    /// A byte for each number, and a table of the numbers.
    Pixels,
}

impl Source {
    fn file(self) -> File {
        match self {
            Source::Words => WORDS,
            Source::Pixels => PIXELS,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Source::Words => "",
            Source::Pixels => ", of pixels",
        }
    }
}

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
    /// Padded length of a list in the batch; unused for rows.
    pub places: u32,
    pub keys: [u32; 8],
}

/// Parameters of the gather kernel of augmented images.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct GatherImagesParams {
    pub rows: GatherParams,
    pub augment: AugmentParams,
}

/// The gather kernel; a workgroup per row of the batch.
pub(crate) fn gather(gpu: &Gpu, source: Source) -> Result<Arc<Kernel>> {
    gpu.kernel(&gather_program(lanes_of(gpu.is_software()).into(), source))
}

/// The gather kernel of lists, which fills the rest of each list with `padding`; a workgroup per
/// position of the batch.
pub(crate) fn gather_lists(gpu: &Gpu, padding: f32) -> Result<Arc<Kernel>> {
    gpu.kernel(&gather_lists_program(lanes_of(gpu.is_software()).into(), padding))
}

/// The gather kernel of augmented images; a workgroup per image of the batch.
pub(crate) fn gather_images(gpu: &Gpu, source: Source) -> Result<Arc<Kernel>> {
    gpu.kernel(&gather_images_program(lanes_of(gpu.is_software()).into(), source))
}

fn gather_program(lanes: f64, source: Source) -> Program {
    let label = format!("gather{}", source.suffix());
    Program::plain(&label, &[GATHER, source.file(), RANDOM], vec![("WORKGROUP", lanes)])
}

fn gather_images_program(lanes: f64, source: Source) -> Program {
    let label = format!("gather of images{}", source.suffix());
    let constants = vec![("WORKGROUP", lanes)];
    Program::plain(&label, &[GATHER_IMAGES, source.file(), RANDOM], constants)
}

fn gather_lists_program(lanes: f64, padding: f32) -> Program {
    let constants = vec![("WORKGROUP", lanes), ("PADDING", padding.to_bits().into())];
    Program::plain("gather of lists", &[GATHER_LISTS, RANDOM], constants)
}

/// All programs of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    [8.0, 64.0]
        .into_iter()
        .flat_map(|lanes| {
            let of = |source| [gather_program(lanes, source), gather_images_program(lanes, source)];
            let rows = [of(Source::Words), of(Source::Pixels)].into_iter().flatten();
            rows.chain([gather_lists_program(lanes, -1.0)])
        })
        .collect()
}

#[cfg(test)]
mod tests;

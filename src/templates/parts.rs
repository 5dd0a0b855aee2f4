//! A tensor in parts that each fit a binding.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::Slice;
use crate::runtime::tensor::padded;

/// Parts begin at a multiple of this many elements or rows: 256 bytes, what every driver takes as an offset.
pub(super) const ALIGNMENT: usize = 64;

/// A part of a tensor that fits one binding.
pub(super) struct Part {
    pub(super) first: usize,
    pub(super) length: usize,
}

/// Splits `total` into parts of at most `most`, each but the last a multiple of [`ALIGNMENT`].
pub(super) fn parts(total: usize, most: usize) -> impl Iterator<Item = Part> {
    let most = (most / ALIGNMENT * ALIGNMENT).max(ALIGNMENT);
    (0..total.div_ceil(most))
        .map(move |i| Part { first: i * most, length: most.min(total - i * most) })
}

/// Elements of a binding that the device takes.
pub(super) fn binding_elements(gpu: &Gpu) -> usize {
    (gpu.limits().max_storage_buffer_binding_size / 4) as usize
}

/// A part of a buffer that runs along with the part of the tensor, or all of it.
pub(super) fn along<'a>(
    buffer: &'a wgpu::Buffer,
    part: &Part,
    width: usize,
    runs: bool,
) -> Slice<'a> {
    if !runs {
        return buffer.into();
    }
    Slice {
        buffer,
        offset: 4 * (part.first * width) as u64,
        size: Some(padded(part.length * width)),
    }
}

/// The part of a buffer of numbers in f32, or in f16, that runs along with the part of the tensor.
pub(super) fn cells<'a>(
    buffer: &'a wgpu::Buffer,
    part: &Part,
    width: usize,
    half: bool,
) -> Slice<'a> {
    if !half {
        return along(buffer, part, width, true);
    }
    let size = Some(padded((part.length * width).div_ceil(2)));
    Slice { buffer, offset: 2 * (part.first * width) as u64, size }
}

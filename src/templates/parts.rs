//! Splitting a tensor into parts that each fit one binding.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::Slice;
use crate::runtime::tensor::padded;

/// Every part begins at a multiple of this number of elements or rows: 256 bytes, an offset that
/// every driver accepts.
pub(super) const ALIGNMENT: usize = 64;

/// A part of a tensor that fits one binding.
pub(super) struct Part {
    pub(super) first: usize,
    pub(super) length: usize,
}

/// Splits `total` into parts of at most `most`. All but the last are multiples of [`ALIGNMENT`].
pub(super) fn parts(total: usize, most: usize) -> impl Iterator<Item = Part> {
    let most = (most / ALIGNMENT * ALIGNMENT).max(ALIGNMENT);
    (0..total.div_ceil(most))
        .map(move |i| Part { first: i * most, length: most.min(total - i * most) })
}

/// Maximum number of 4-byte elements in one binding on this device.
pub(super) fn binding_elements(gpu: &Gpu) -> usize {
    (gpu.limits().max_storage_buffer_binding_size / 4) as usize
}

/// The slice of a buffer that corresponds to a part of the tensor. If `runs` is false, the whole
/// buffer.
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

/// The slice of an f32 buffer, or f16 if `half`, that corresponds to a part of the tensor.
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

//! Convolution in f32 by direct sums over the taps: no matrix of patches is built. A block of rows
//! of the images is copied once with its padding, so that each patch is a few runs of adjacent
//! numbers, or read in place where no tap reaches into the padding.
//!
//! dL/dX is a convolution of dY: with a stride s the pixels of X fall into s² classes, each of which
//! reads dY through taps of its own. Blocks and the order of sums depend only on shapes.

pub(super) mod gradient;

use rayon::prelude::*;

use crate::cpu::scratch::with_scratch;
use crate::nn::ops::conv2d::options::Conv2d;
use crate::nn::ops::conv2d::tiles::{
    Columns, NARROW, Overlap, Place, Run, Sums, columns, rows_of_stage,
};

/// Numbers of the source and the output of a block: with the weights they stay in a second-level
/// cache of 1 MiB.
const BLOCK: usize = 1 << 16;

/// Blocks that a batch is split into at least, to keep the threads equally busy.
const BLOCKS: usize = 16;

/// A tap of the kernel: the pixel of the source that it reads, relative to the output's.
#[derive(Clone, Copy, Debug)]
struct Tap {
    place: [isize; 2],
    /// Its number in the weights.
    number: usize,
}

/// The pixels of the output that read the source through the same taps.
#[derive(Debug)]
struct Class {
    /// The first one.
    first: [usize; 2],
    grid: [usize; 2],
    /// In ascending order of their places.
    taps: Vec<Tap>,
    /// The pixel of the source that a patch begins at.
    origin: [isize; 2],
    /// Pixels that the taps span.
    extent: [usize; 2],
    /// A patch reaches beyond the source.
    is_padded: bool,
}

impl Class {
    fn new(
        source: [usize; 3],
        step: [usize; 2],
        first: [usize; 2],
        grid: [usize; 2],
        taps: Vec<Tap>,
    ) -> Self {
        let (mut origin, mut extent, mut is_padded) = ([0; 2], [1; 2], false);
        for axis in [0, 1] {
            let places = || taps.iter().map(|tap| tap.place[axis]);
            let (low, high) = (places().min().unwrap_or(0), places().max().unwrap_or(0));
            let reach = ((grid[axis] - 1) * step[axis]) as isize + high;
            is_padded |= low < 0 || reach >= source[axis] as isize;
            (origin[axis], extent[axis]) = (low, (high - low) as usize + 1);
        }
        if !is_padded {
            origin = [0; 2];
        }
        Class { first, grid, taps, origin, extent, is_padded }
    }
}

/// A convolution of `source` images, or of their gradients.
#[derive(Debug)]
pub(super) struct Direct {
    /// Height, width and channels of the images that are read.
    source: [usize; 3],
    /// Height and width of the output.
    target: [usize; 2],
    /// Pixels of the source, and of the output, from one pixel of a class to the next.
    step: [usize; 2],
    phase: [usize; 2],
    groups: usize,
    /// Channels that a group reads and writes.
    inner: usize,
    outer: usize,
    classes: Vec<Class>,
}

/// A tensor of weights: `tap`, `inner`, `outer` and `group` are the distances in it.
#[derive(Clone, Copy, Debug)]
struct Weights<'a> {
    values: &'a [f32],
    tap: usize,
    inner: usize,
    outer: usize,
    group: usize,
}

/// Rows of the output of some images.
#[derive(Clone, Copy, Debug)]
struct Block {
    image: usize,
    images: usize,
    /// From, to; all of them if there is more than one image.
    rows: [usize; 2],
}

/// A block's patches.
struct Layout<'a> {
    source: &'a [f32],
    places: Vec<Place>,
}

impl Direct {
    /// y of x.
    pub fn of_input(op: &Conv2d) -> Self {
        let grid = op.output_size();
        let [height, width] = op.kernel;
        let place = |axis: usize, tap: usize| {
            (tap * op.dilation[axis]) as isize - op.padding[2 * axis] as isize
        };
        let taps = (0..height * width).map(|number| Tap {
            place: [place(0, number / width), place(1, number % width)],
            number,
        });
        let class = Class::new(op.input, op.stride, [0; 2], grid, taps.collect());
        Direct {
            source: op.input,
            target: grid,
            step: op.stride,
            phase: [1; 2],
            groups: op.groups,
            inner: op.group_channels(),
            outer: op.group_filters(),
            classes: vec![class],
        }
    }

    /// dL/dx of dL/dy.
    pub fn of_output(op: &Conv2d) -> Self {
        let [height, width] = op.output_size();
        let (source, target, step) =
            ([height, width, op.filters], [op.input[0], op.input[1]], [1; 2]);
        let mut classes = Vec::new();
        for y in 0..op.stride[0].min(target[0]) {
            for x in 0..op.stride[1].min(target[1]) {
                let first = [y, x];
                // The output that reads this pixel through a tap, if there is one.
                let place = |axis: usize, tap: usize| {
                    let reach = (first[axis] + op.padding[2 * axis]) as isize
                        - (tap * op.dilation[axis]) as isize;
                    let stride = op.stride[axis] as isize;
                    (reach % stride == 0).then_some(reach / stride)
                };
                let grid =
                    [0, 1].map(|axis| (target[axis] - first[axis]).div_ceil(op.stride[axis]));
                let mut taps: Vec<Tap> = (0..op.taps())
                    .filter_map(|number| {
                        let tap = [number / op.kernel[1], number % op.kernel[1]];
                        Some(Tap { place: [place(0, tap[0])?, place(1, tap[1])?], number })
                    })
                    .collect();
                taps.sort_by_key(|tap| tap.place);
                classes.push(Class::new(source, step, first, grid, taps));
            }
        }
        Direct {
            source,
            target,
            step,
            phase: op.stride,
            groups: op.groups,
            inner: op.group_filters(),
            outer: op.group_channels(),
            classes,
        }
    }

    fn width(&self) -> usize {
        self.groups * self.outer
    }

    /// The blocks of a batch.
    fn blocks(&self, rows: usize) -> Vec<Block> {
        let ([height, width], phase) = (self.target, self.phase[0]);
        let size = self.source.iter().product::<usize>() + height * width * self.width();
        let lines = (height * BLOCK / size.max(1)).min((rows * height).div_ceil(BLOCKS));
        if lines >= height {
            let images = lines / height;
            let starts = (0..rows).step_by(images);
            return starts
                .map(|image| Block { image, images: images.min(rows - image), rows: [0, height] })
                .collect();
        }
        // At least four lines: a block copies those that its kernel overlaps with the next.
        let lines = lines.max(4).next_multiple_of(phase);
        (0..rows)
            .flat_map(|image| {
                let starts = (0..height).step_by(lines);
                starts.map(move |from| [from, height.min(from + lines)]).map(move |rows| Block {
                    image,
                    images: 1,
                    rows,
                })
            })
            .collect()
    }

    /// Pixels of a row of a class's source.
    fn row_pixels(&self, class: &Class) -> usize {
        if class.is_padded {
            (class.grid[1] - 1) * self.step[1] + class.extent[1]
        } else {
            self.source[1]
        }
    }

    /// The runs of a class's patches in one group, and the rows of their weights.
    fn runs(&self, class: &Class, group: usize) -> Vec<Run> {
        let (row, depth) = (self.row_pixels(class), self.source[2]);
        let mut runs: Vec<Run> = Vec::new();
        for (number, tap) in class.taps.iter().enumerate() {
            let [y, x] = [0, 1].map(|axis| (tap.place[axis] - class.origin[axis]) as usize);
            let offset = (y * row + x) * depth + group * self.inner;
            match runs.last_mut() {
                // The next pixel of the same row, all of its channels.
                Some(last) if self.groups == 1 && last.offset + last.length == offset => {
                    last.length += self.inner;
                }
                _ => runs.push(Run { offset, length: self.inner, row: number * self.inner }),
            }
        }
        runs
    }

    /// Taps side by side whose pixels are too, if their weights are read in one stage.
    fn overlap(&self, class: &Class, runs: &[Run], columns: Columns) -> Option<Overlap> {
        let depth = self.source[2];
        let taps = runs.first()?.length / depth;
        let rows = class.taps.len() * self.inner;
        let is_even = runs.iter().all(|run| run.length == taps * depth);
        let is_one = self.step[1] == 1 && self.phase[1] == 1 && self.groups == 1;
        let overlaps = is_even && is_one && taps > 1 && rows <= rows_of_stage(columns.width);
        overlaps.then_some(Overlap { taps, depth })
    }

    /// A block's rows of a class that lie in `block`, from and to.
    fn lines(&self, class: &Class, block: &Block) -> [usize; 2] {
        block.rows.map(|row| row.saturating_sub(class.first[0]).div_ceil(self.phase[0]))
    }

    /// Calls `work` with the block's patches.
    fn with_patches<T>(
        &self,
        class: &Class,
        images: &[f32],
        block: &Block,
        work: impl FnOnce(Layout) -> T,
    ) -> T {
        let ([height, width, depth], [target_height, target_width]) = (self.source, self.target);
        let ([from, to], row) = (self.lines(class, block), self.row_pixels(class));
        let count = to - from;
        let lines = if count == 0 { 0 } else { (count - 1) * self.step[0] + class.extent[0] };
        let (segment, first) = if class.is_padded {
            (lines * row * depth, 0)
        } else {
            let size = height * width * depth;
            (size, block.image * size + from * self.step[0] * row * depth)
        };
        let mut places = Vec::with_capacity(block.images * count * class.grid[1]);
        for image in 0..block.images {
            for line in 0..count {
                let y = (from + line) * self.phase[0] + class.first[0] - block.rows[0];
                let start = first + image * segment + line * self.step[0] * row * depth;
                let pixel = (image * target_height + y) * target_width + class.first[1];
                places.extend(
                    (0..class.grid[1])
                        .map(|x| [start + x * self.step[1] * depth, pixel + x * self.phase[1]]),
                );
            }
        }
        if !class.is_padded {
            return work(Layout { source: images, places });
        }
        with_scratch(block.images * segment, |padded| {
            let left = (-class.origin[1]).clamp(0, row as isize) as usize;
            // A tap may lie behind the last pixel of a line.
            let begin = (class.origin[1].max(0) as usize).min(width);
            let inside = (width - begin).min(row - left);
            for image in 0..block.images {
                let padded = &mut padded[image * segment..][..segment];
                let images = &images[(block.image + image) * height * width * depth..];
                for (number, line) in padded.chunks_exact_mut(row * depth).enumerate() {
                    let y = (from * self.step[0] + number) as isize + class.origin[0];
                    if y < 0 || y >= height as isize {
                        line.fill(0.0);
                        continue;
                    }
                    let of_image = &images[(y as usize * width + begin) * depth..];
                    let (before, rest) = line.split_at_mut(left * depth);
                    let (pixels, behind) = rest.split_at_mut(inside * depth);
                    before.fill(0.0);
                    pixels.copy_from_slice(&of_image[..inside * depth]);
                    behind.fill(0.0);
                }
            }
            work(Layout { source: padded, places })
        })
    }

    /// Writes the convolution of `images`, or adds it to `output`.
    fn convolve(
        &self,
        images: &[f32],
        weights: Weights,
        bias: &[f32],
        output: &mut [f32],
        adds: bool,
    ) {
        let (all, width) = (columns(self.outer), self.width());
        let padded: usize = all.iter().map(|columns| columns.width).sum();
        let of_class = |class: &Class| class.taps.len() * self.inner * padded;
        let length = self.groups * self.classes.iter().map(of_class).sum::<usize>();
        with_scratch(length, |packed| {
            let mut kernels = Vec::new();
            let mut rest = packed;
            for class in &self.classes {
                for group in 0..self.groups {
                    for &columns in &all {
                        let size = class.taps.len() * self.inner * columns.width;
                        let (kernel, behind) = std::mem::take(&mut rest).split_at_mut(size);
                        self.pack(class, group, columns, weights, kernel);
                        kernels.push(&*kernel);
                        rest = behind;
                    }
                }
            }
            let size = self.target[0] * self.target[1] * width;
            let mut work = Vec::new();
            let mut rest = output;
            for block in self.blocks(rest.len() / size) {
                let rows = block.images * (block.rows[1] - block.rows[0]);
                let (output, behind) =
                    std::mem::take(&mut rest).split_at_mut(rows * self.target[1] * width);
                work.push((block, output));
                rest = behind;
            }
            work.into_par_iter().for_each(|(block, output)| {
                let mut kernels = kernels.iter();
                for class in &self.classes {
                    self.with_patches(class, images, &block, |layout| {
                        for group in 0..self.groups {
                            let runs = self.runs(class, group);
                            for &columns in &all {
                                let filters = columns.width.min(self.outer - columns.start);
                                let first = group * self.outer + columns.start;
                                let bias = bias.get(first..first + filters).unwrap_or(&[]);
                                let sums = Sums {
                                    source: layout.source,
                                    places: &layout.places,
                                    runs: &runs,
                                    columns,
                                    weights: kernels.next().copied().unwrap_or(&[]),
                                    bias,
                                    output: &mut *output,
                                    stride: width,
                                    first,
                                    filters,
                                    adds,
                                    overlap: self.overlap(class, &runs, columns),
                                };
                                sums.run();
                            }
                        }
                    });
                }
            });
        });
    }

    /// Writes the weights of a block of columns as rows of its width.
    fn pack(
        &self,
        class: &Class,
        group: usize,
        columns: Columns,
        weights: Weights,
        packed: &mut [f32],
    ) {
        let rows = packed.par_chunks_mut(self.inner * columns.width).zip(&class.taps);
        let filters = columns.width.min(self.outer - columns.start);
        rows.for_each(|(packed, tap)| {
            let start =
                tap.number * weights.tap + group * weights.group + columns.start * weights.outer;
            let values = &weights.values[start..];
            if weights.outer == 1 {
                for (number, row) in packed.chunks_exact_mut(columns.width).enumerate() {
                    row[..filters].copy_from_slice(&values[number * weights.inner..][..filters]);
                    row[filters..].fill(0.0);
                }
                return;
            }
            if filters < columns.width {
                packed.fill(0.0);
            }
            // Whole cache lines of both sides.
            for start in (0..self.inner).step_by(NARROW) {
                let count = NARROW.min(self.inner - start);
                for filter in 0..filters {
                    let line = &values[filter * weights.outer + start * weights.inner..];
                    for number in 0..count {
                        packed[(start + number) * columns.width + filter] =
                            line[number * weights.inner];
                    }
                }
            }
        });
    }
}

/// y.
pub(super) fn forward(op: &Conv2d, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let weights = Weights {
        values: weight,
        tap: op.group_channels() * op.filters,
        inner: op.filters,
        outer: 1,
        group: op.group_filters(),
    };
    Direct::of_input(op).convolve(x, weights, bias, y, false);
}

/// Writes dL/dX, or adds it.
pub(super) fn input_gradient(
    op: &Conv2d,
    grad_output: &[f32],
    weight: &[f32],
    grad_input: &mut [f32],
    adds: bool,
) {
    let weights = Weights {
        values: weight,
        tap: op.group_channels() * op.filters,
        inner: 1,
        outer: op.filters,
        group: op.group_filters(),
    };
    Direct::of_output(op).convolve(grad_output, weights, &[], grad_input, adds);
}

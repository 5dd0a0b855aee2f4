//! The inner loops of a convolution in f32. A tile of sums stays in registers: some pixels times
//! some filters in a forward pass, some rows of the kernel times some filters in its gradient. Each
//! sum runs over its terms in one order, whatever the tile.

use std::array;

use pulp::{Simd, WithSimd};

/// Filters of the narrowest block of columns: the longest vector.
pub(super) const NARROW: usize = 16;

/// Filters of the widest block.
pub(super) const WIDE: usize = 64;

/// Weights of a block of columns that the first-level cache keeps while a tile reads them.
const STAGE: usize = 6 << 10;

/// A block of filters, stored side by side and filled up with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    pub start: usize,
    pub width: usize,
}

/// The blocks of `count` filters: as wide as there are registers for.
pub(super) fn columns(count: usize) -> Vec<Columns> {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            if S::F32_LANES == NARROW && S::REGISTER_COUNT >= 32 { WIDE } else { NARROW }
        }
    }
    let widest = pulp::Arch::new().dispatch(Lanes);
    let (mut all, mut start) = (Vec::new(), 0);
    while start < count {
        let left = (count - start).next_multiple_of(NARROW);
        let width = [WIDE, 2 * NARROW].into_iter().find(|&width| width <= widest.min(left));
        all.push(Columns { start, width: width.unwrap_or(NARROW) });
        start += width.unwrap_or(NARROW);
    }
    all
}

/// Adjacent numbers of the source from a pixel's place on, and the rows of the weights that they are
/// multiplied with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub offset: usize,
    pub length: usize,
    /// The first row.
    pub row: usize,
}

/// Rows of the weights of a stage.
pub(super) fn rows_of_stage(width: usize) -> usize {
    (STAGE / width).max(1)
}

/// Cuts runs into stages whose weights the first-level cache holds.
fn stages(runs: &[Run], width: usize) -> Vec<Vec<Run>> {
    let most = rows_of_stage(width);
    let (mut all, mut stage, mut rows) = (Vec::new(), Vec::new(), 0);
    for &run in runs {
        let Run { mut offset, mut length, mut row } = run;
        while length > 0 {
            let part = length.min(most - rows);
            stage.push(Run { offset, length: part, row });
            (offset, length, row, rows) = (offset + part, length - part, row + part, rows + part);
            if rows == most {
                all.push(std::mem::take(&mut stage));
                rows = 0;
            }
        }
    }
    // Without a tap the sums are those of the bias alone.
    if !stage.is_empty() || all.is_empty() {
        all.push(stage);
    }
    all
}

/// Where a pixel's patch begins in the source, and the pixel of the output.
pub(super) type Place = [usize; 2];

/// Adjacent taps of one row, whose patches overlap: each number of the source is read once for all
/// of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overlap {
    pub taps: usize,
    /// Numbers from one tap, and from one pixel, to the next.
    pub depth: usize,
}

/// y of a block of pixels and filters.
pub(super) struct Sums<'a> {
    pub source: &'a [f32],
    pub places: &'a [Place],
    pub runs: &'a [Run],
    pub columns: Columns,
    /// [rows, columns].
    pub weights: &'a [f32],
    /// One per filter of the block that exists.
    pub bias: &'a [f32],
    pub output: &'a mut [f32],
    /// Elements of a pixel of the output, and its first one of the block.
    pub stride: usize,
    pub first: usize,
    /// Filters of the block that exist.
    pub filters: usize,
    /// Adds to the output instead of overwriting it, without the bias.
    pub adds: bool,
    /// Each run is one row of taps.
    pub overlap: Option<Overlap>,
}

impl Sums<'_> {
    pub fn run(mut self) {
        for (number, stage) in stages(self.runs, self.columns.width).iter().enumerate() {
            let continues = number > 0 || self.adds;
            pulp::Arch::new().dispatch(Stage { of: &mut self, runs: stage, continues });
        }
    }
}

/// Pixels of a line that are computed together, taps that they overlap in, pixels that they read.
const PIXELS: usize = 7;
const TAPS: usize = 3;
const READ: usize = PIXELS + TAPS - 1;

struct Stage<'a, 'b> {
    of: &'a mut Sums<'b>,
    runs: &'a [Run],
    /// The output holds sums to go on from.
    continues: bool,
}

impl WithSimd for Stage<'_, '_> {
    type Output = ();

    // Vectors times pixels: at least eight sums, so that none waits for the one before; with ten
    // pixels or more the compiler keeps the sums in memory, which is four times slower.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match (S::F32_LANES, self.of.columns.width) {
            (16, WIDE) => self.all::<S, 4, 6>(simd),
            (16, 32) => self.all::<S, 2, 8>(simd),
            (16, _) => match self.of.overlap {
                // A vector of weights per number of the source: loads would be as many as sums.
                Some(Overlap { taps: TAPS, depth }) => self.lines::<S>(simd, depth),
                _ => self.all::<S, 1, 8>(simd),
            },
            (8, _) => self.all::<S, 2, 6>(simd),
            (4, _) if S::REGISTER_COUNT >= 32 => self.all::<S, 4, 6>(simd),
            (4, _) => self.all::<S, 4, 2>(simd),
            _ => self.all::<S, 16, 1>(simd),
        }
    }
}

impl Stage<'_, '_> {
    /// One vector of filters, three taps: adjacent pixels together where there are enough.
    #[inline(always)]
    fn lines<S: Simd>(&mut self, simd: S, depth: usize) {
        let places = self.of.places;
        let mut at = 0;
        while at < places.len() {
            let left = &places[at..];
            let first = left[0];
            let last = [first[0] + (PIXELS - 1) * depth, first[1] + PIXELS - 1];
            if left.get(PIXELS - 1) == Some(&last) {
                self.line::<S>(simd, first, depth);
                at += PIXELS;
                continue;
            }
            // The end of a line, up to where the next one begins.
            let ends =
                (1..left.len().min(8)).find(|&n| left[n] != [first[0] + n * depth, first[1] + n]);
            let count = ends.unwrap_or(left.len().min(8));
            let tile = array::from_fn(|pixel| left[pixel.min(count - 1)]);
            self.tile::<S, 1, 8>(simd, tile, count);
            at += count;
        }
    }

    #[inline(always)]
    fn line<S: Simd>(&mut self, simd: S, place: Place, depth: usize) {
        let (width, filters) = (S::F32_LANES, self.of.filters);
        let start = |pixel: usize| (place[1] + pixel) * self.of.stride + self.of.first;
        let mut sums = [[simd.splat_f32s(0.0); 1]; PIXELS];
        if self.continues {
            for (pixel, sums) in sums.iter_mut().enumerate() {
                *sums = load(simd, &self.of.output[start(pixel)..][..filters], width);
            }
        } else if !self.of.bias.is_empty() {
            sums = [load(simd, self.of.bias, width); PIXELS];
        }
        for run in self.runs {
            let source = &self.of.source[place[0] + run.offset..][..READ * depth];
            let weights = &self.of.weights[run.row * width..][..TAPS * depth * width];
            let weights = S::as_simd_f32s(weights).0;
            let mut pixels = [&source[..0]; READ];
            for (number, pixel) in pixels.iter_mut().enumerate() {
                *pixel = &source[number * depth..][..depth];
            }
            let mut taps = [&weights[..0]; TAPS];
            for (number, tap) in taps.iter_mut().enumerate() {
                *tap = &weights[number * depth..][..depth];
            }
            for channel in 0..depth {
                let mut factors = [simd.splat_f32s(0.0); READ];
                for (factor, pixel) in factors.iter_mut().zip(&pixels) {
                    *factor = simd.splat_f32s(pixel[channel]);
                }
                for tap in 0..TAPS {
                    let weight = taps[tap][channel];
                    for pixel in 0..PIXELS {
                        let sum = &mut sums[pixel][0];
                        *sum = simd.mul_add_e_f32s(factors[pixel + tap], weight, *sum);
                    }
                }
            }
        }
        for (pixel, sums) in sums.iter().enumerate() {
            let start = (place[1] + pixel) * self.of.stride + self.of.first;
            store::<S, 1>(sums, &mut self.of.output[start..][..filters], width);
        }
    }

    #[inline(always)]
    fn all<S: Simd, const VECTORS: usize, const PIXELS: usize>(&mut self, simd: S) {
        let places = self.of.places;
        for places in places.chunks(PIXELS) {
            // A last tile repeats its last pixel.
            let last = places.len() - 1;
            let tile = array::from_fn(|pixel| places[pixel.min(last)]);
            self.tile::<S, VECTORS, PIXELS>(simd, tile, places.len());
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const VECTORS: usize, const PIXELS: usize>(
        &mut self,
        simd: S,
        places: [Place; PIXELS],
        count: usize,
    ) {
        let (width, filters) = (VECTORS * S::F32_LANES, self.of.filters);
        let first = |place: Place| place[1] * self.of.stride + self.of.first;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; PIXELS];
        if self.continues {
            for (sums, place) in sums.iter_mut().zip(places) {
                *sums = load(simd, &self.of.output[first(place)..][..filters], width);
            }
        } else if !self.of.bias.is_empty() {
            sums = [load(simd, self.of.bias, width); PIXELS];
        }
        for run in self.runs {
            // Loops instead of `map`, which is not inlined for arrays of this length.
            let mut patches = [&[][..]; PIXELS];
            for pixel in 0..PIXELS {
                let start = places[pixel][0] + run.offset;
                patches[pixel] = &self.of.source[start..][..run.length];
            }
            let weights = &self.of.weights[run.row * width..][..run.length * width];
            let weights = S::as_simd_f32s(weights).0.as_chunks::<VECTORS>().0;
            for (number, weights) in weights.iter().enumerate() {
                for pixel in 0..PIXELS {
                    let factor = simd.splat_f32s(patches[pixel][number]);
                    for vector in 0..VECTORS {
                        let sum = &mut sums[pixel][vector];
                        *sum = simd.mul_add_e_f32s(factor, weights[vector], *sum);
                    }
                }
            }
        }
        for (sums, place) in sums.iter().zip(places).take(count) {
            let start = place[1] * self.of.stride + self.of.first;
            store::<S, VECTORS>(sums, &mut self.of.output[start..][..filters], width);
        }
    }
}

/// Vectors of a row, the missing numbers 0.
#[inline(always)]
fn load<S: Simd, const VECTORS: usize>(simd: S, row: &[f32], width: usize) -> [S::f32s; VECTORS] {
    let mut vectors = [simd.splat_f32s(0.0); VECTORS];
    if row.len() == width {
        vectors.iter_mut().zip(S::as_simd_f32s(row).0).for_each(|(vector, &x)| *vector = x);
        return vectors;
    }
    let mut whole = [0.0; WIDE];
    whole[..row.len()].copy_from_slice(row);
    let whole = S::as_simd_f32s(&whole[..width]).0;
    vectors.iter_mut().zip(whole).for_each(|(vector, &x)| *vector = x);
    vectors
}

/// Writes the numbers of vectors that exist.
#[inline(always)]
fn store<S: Simd, const VECTORS: usize>(
    vectors: &[S::f32s; VECTORS],
    row: &mut [f32],
    width: usize,
) {
    if row.len() == width {
        S::as_mut_simd_f32s(row).0.iter_mut().zip(vectors).for_each(|(slot, &x)| *slot = x);
        return;
    }
    let mut whole = [0.0; WIDE];
    let slots = S::as_mut_simd_f32s(&mut whole[..width]).0.iter_mut();
    slots.zip(vectors).for_each(|(slot, &x)| *slot = x);
    row.copy_from_slice(&whole[..row.len()]);
}

/// The gradient of some rows of the weights: sums over lines of pixels of a source's numbers times
/// dY.
pub(super) struct Gradient<'a> {
    pub source: &'a [f32],
    /// Where the patch of the first pixel of each line begins.
    pub lines: &'a [usize],
    /// Pixels of a line, and numbers of the source from one to the next.
    pub pixels: usize,
    pub step: usize,
    pub runs: &'a [Run],
    pub columns: Columns,
    /// A row per pixel, whose block of columns begins at `first`.
    pub grad_output: &'a [f32],
    pub grad_stride: usize,
    pub grad_first: usize,
    /// A row per row of the weights, likewise; the sums are added to it.
    pub sums: &'a mut [f32],
    pub sums_stride: usize,
    pub sums_first: usize,
}

impl Gradient<'_> {
    pub fn run(self) {
        pulp::Arch::new().dispatch(self);
    }
}

impl WithSimd for Gradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match (S::F32_LANES, self.columns.width) {
            (16, WIDE) => self.all::<S, 4, 6, 2>(simd),
            (16, 32) => self.all::<S, 2, 12, 4>(simd),
            (16, _) => self.all::<S, 1, 16, 8>(simd),
            (8, _) => self.all::<S, 2, 6, 2>(simd),
            (4, _) if S::REGISTER_COUNT >= 32 => self.all::<S, 4, 6, 2>(simd),
            (4, _) => self.all::<S, 4, 2, 1>(simd),
            _ => self.all::<S, 16, 1, 1>(simd),
        }
    }
}

impl Gradient<'_> {
    /// All rows of a block of columns: `MOST`, `SOME` or one at a time.
    #[inline(always)]
    fn all<S: Simd, const VECTORS: usize, const MOST: usize, const SOME: usize>(
        &mut self,
        simd: S,
    ) {
        let runs = self.runs;
        for &run in runs {
            let mut at = 0;
            while run.length - at >= MOST {
                self.tile::<S, VECTORS, MOST>(simd, run, at);
                at += MOST;
            }
            while run.length - at >= SOME {
                self.tile::<S, VECTORS, SOME>(simd, run, at);
                at += SOME;
            }
            while run.length > at {
                self.tile::<S, VECTORS, 1>(simd, run, at);
                at += 1;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const VECTORS: usize, const ROWS: usize>(
        &mut self,
        simd: S,
        run: Run,
        at: usize,
    ) {
        let width = VECTORS * S::F32_LANES;
        let place = |row: usize| (run.row + at + row) * self.sums_stride + self.sums_first;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        for (row, sums) in sums.iter_mut().enumerate() {
            *sums = load(simd, &self.sums[place(row)..][..width], width);
        }
        let rows = self.grad_output.chunks_exact(self.pixels * self.grad_stride);
        for (&line, rows) in self.lines.iter().zip(rows) {
            let reach = (self.pixels - 1) * self.step + ROWS;
            let source = &self.source[line + run.offset + at..][..reach];
            for (pixel, row) in rows.chunks_exact(self.grad_stride).enumerate() {
                let factors = &source[pixel * self.step..][..ROWS];
                let dy: [S::f32s; VECTORS] = load(simd, &row[self.grad_first..][..width], width);
                for number in 0..ROWS {
                    let factor = simd.splat_f32s(factors[number]);
                    for vector in 0..VECTORS {
                        let sum = &mut sums[number][vector];
                        *sum = simd.mul_add_e_f32s(factor, dy[vector], *sum);
                    }
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            let start = (run.row + at + row) * self.sums_stride + self.sums_first;
            store::<S, VECTORS>(sums, &mut self.sums[start..][..width], width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_columns_cover_all_filters() {
        for count in 1..200 {
            let all = columns(count);
            let mut next = 0;
            for block in &all {
                assert_eq!(block.start, next);
                next += block.width;
            }
            assert_eq!(next, count.next_multiple_of(NARROW));
        }
    }

    #[test]
    fn stages_hold_each_row_once_in_order() {
        let runs = [
            Run { offset: 7, length: 300, row: 0 },
            Run { offset: 900, length: 5, row: 300 },
            Run { offset: 1000, length: 100, row: 305 },
        ];
        let all = stages(&runs, WIDE);
        assert!(all.len() > 1);
        let rows: Vec<[usize; 2]> = all
            .iter()
            .flatten()
            .flat_map(|run| (0..run.length).map(|number| [run.row + number, run.offset + number]))
            .collect();
        let expected: Vec<[usize; 2]> = runs
            .iter()
            .flat_map(|run| (0..run.length).map(|number| [run.row + number, run.offset + number]))
            .collect();
        assert_eq!(rows, expected);
        assert_eq!(stages(&[], WIDE), [vec![]]);
    }
}

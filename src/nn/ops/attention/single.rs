//! Attention of one head in f32, by blocks of queries and keys with a running maximum and sum.
//!
//! The products are small (32 × 32 × D), where the general product spends its time packing: here
//! the operands are laid out once per head. Keys and values whose numbers run along the vector
//! lanes of a product over D are transposed in panels of [`PANEL`] keys. The rest of a row is zero
//! up to a multiple of [`VECTOR`] numbers.
//!
//! A block computes scores that its queries do not see and sets them to 0. With NaN or infinity in
//! the input 0 times it would be NaN, so such a head is left to `plain`.
//!
//! An output is a sum in an order that depends only on the shape: vector lanes run over outputs,
//! never over the terms of a sum, except for the sum of the exponentials with its fixed lanes.

use pulp::{Simd, WithSimd};

use crate::cpu::real::single::exp_below;
use crate::cpu::scratch::with_scratch;
use crate::cpu::simd;
use crate::nn::ops::attention::head::{Gradient, Head, Third};

/// Queries per block.
const QUERIES: usize = 32;

/// Keys per block: its scores are 32 KiB.
const KEYS: usize = 256;

/// Keys per transposed panel.
const PANEL: usize = 32;

/// Numbers of the longest vector.
const VECTOR: usize = 16;

/// Takes `length` numbers off the front.
fn split<'a>(memory: &mut &'a mut [f32], length: usize) -> &'a mut [f32] {
    let (first, rest) = std::mem::take(memory).split_at_mut(length);
    *memory = rest;
    first
}

/// Sizes of a head's operands.
#[derive(Clone, Copy)]
struct Sizes {
    tokens: usize,
    depth: usize,
    /// `depth` up to a multiple of [`VECTOR`].
    width: usize,
}

impl Sizes {
    fn new(head: &Head<f32>) -> Self {
        let (tokens, depth) = (head.tokens(), head.depth());
        Sizes { tokens, depth, width: depth.next_multiple_of(VECTOR) }
    }

    /// A [T, D] operand.
    fn rows(self) -> usize {
        self.tokens * self.width
    }

    /// A transposed operand.
    fn panels(self) -> usize {
        self.tokens.next_multiple_of(PANEL) * self.depth
    }

    /// Copies vectors of tokens into rows; false if one of them is not finite.
    #[inline(always)]
    fn gather(self, rows: &mut [f32], mut of_token: impl FnMut(usize, &mut [f32])) -> bool {
        let mut largest = 0;
        for (token, row) in rows.chunks_exact_mut(self.width).enumerate() {
            let (values, padding) = row.split_at_mut(self.depth);
            of_token(token, values);
            padding.fill(0.0);
            // As integers: a maximum of floats is not associative and does not vectorize.
            let bits = values.iter().map(|x| x.to_bits() & 0x7fff_ffff);
            largest = bits.fold(largest, u32::max);
        }
        largest < f32::INFINITY.to_bits()
    }

    /// Rows as panels [D, PANEL].
    fn transpose(self, rows: &[f32], panels: &mut [f32]) {
        let of_panels = rows.chunks(PANEL * self.width);
        for (rows, panel) in of_panels.zip(panels.chunks_exact_mut(PANEL * self.depth)) {
            for (token, row) in rows.chunks_exact(self.width).enumerate() {
                for (line, &value) in panel.chunks_exact_mut(PANEL).zip(&row[..self.depth]) {
                    line[token] = value;
                }
            }
        }
    }
}

/// Copies q and k into rows, rotated, and q scaled; false if a number is not finite.
fn gather_query_and_key(head: &Head<f32>, sizes: Sizes, [q, k]: [&mut [f32]; 2]) -> bool {
    let factor = head.attention.factor() as f32;
    let query = sizes.gather(q, |token, values| {
        values.copy_from_slice(head.input(Third::Query, token));
        head.rotate(token, values, 1.0);
        values.iter_mut().for_each(|q| *q *= factor);
    });
    let key = sizes.gather(k, |token, values| {
        values.copy_from_slice(head.input(Third::Key, token));
        head.rotate(token, values, 1.0);
    });
    query && key
}

/// A block of queries and keys.
#[derive(Clone, Copy)]
struct Block {
    query: usize,
    queries: usize,
    key: usize,
    keys: usize,
}

impl Block {
    /// The blocks of [`QUERIES`] queries with visible scores.
    fn of_queries(head: &Head<f32>, query: usize) -> impl Iterator<Item = Block> {
        let queries = QUERIES.min(head.tokens() - query);
        let visible = head.visible(query + queries - 1);
        let block = move |key| Block { query, queries, key, keys: KEYS.min(visible - key) };
        (0..visible).step_by(KEYS).map(block)
    }

    /// left · rightᵀ of the block, right in panels: a row of [`KEYS`] per query.
    fn scores(&self, sizes: Sizes, left: &[f32], panels: &[f32], output: &mut [f32]) {
        let of_panel = PANEL * sizes.depth;
        let panels = panels[self.key / PANEL * of_panel..].chunks_exact(of_panel);
        for (number, panel) in panels.take(self.keys.div_ceil(PANEL)).enumerate() {
            product(Product {
                is_transposed: false,
                rows: self.queries,
                columns: PANEL,
                depth: sizes.depth,
                left: &left[self.query * sizes.width..],
                left_stride: sizes.width,
                right: panel,
                right_stride: PANEL,
                output: &mut output[number * PANEL..],
                output_stride: KEYS,
                accumulate: false,
            });
        }
    }

    /// output of each query (+)= Σ over keys of weight times the key's row.
    fn add_over_keys(
        &self,
        sizes: Sizes,
        weights: &[f32],
        rows: &[f32],
        output: &mut [f32],
        accumulate: bool,
    ) {
        product(Product {
            is_transposed: false,
            rows: self.queries,
            columns: sizes.width,
            depth: self.keys,
            left: weights,
            left_stride: KEYS,
            right: &rows[self.key * sizes.width..],
            right_stride: sizes.width,
            output,
            output_stride: sizes.width,
            accumulate,
        });
    }

    /// output of each key += Σ over queries of weight times the query's row.
    fn add_over_queries(&self, sizes: Sizes, weights: &[f32], rows: &[f32], output: &mut [f32]) {
        product(Product {
            is_transposed: true,
            rows: self.keys,
            columns: sizes.width,
            depth: self.queries,
            left: weights,
            left_stride: KEYS,
            right: &rows[self.query * sizes.width..],
            right_stride: sizes.width,
            output: &mut output[self.key * sizes.width..],
            output_stride: sizes.width,
            accumulate: true,
        });
    }

    /// Number of the block's keys that a query sees.
    fn visible(&self, head: &Head<f32>, query: usize) -> usize {
        head.visible(self.query + query).saturating_sub(self.key).min(self.keys)
    }
}

/// Output and lse of a head; false if the input is not finite, then nothing was written.
pub(super) fn forward(head: &Head<f32>, output: &mut [&mut [f32]], lse: &mut [f32]) -> bool {
    let sizes = Sizes::new(head);
    let length = 4 * sizes.rows() + sizes.panels() + QUERIES * KEYS;
    with_scratch(length, |mut memory| {
        let [q, k, v, o] = [(); 4].map(|()| split(&mut memory, sizes.rows()));
        let panels = split(&mut memory, sizes.panels());
        let value = |token, values: &mut [f32]| {
            values.copy_from_slice(head.input(Third::Value, token));
        };
        if !(gather_query_and_key(head, sizes, [q, k]) && sizes.gather(v, value)) {
            return false;
        }
        sizes.transpose(k, panels);
        for query in (0..sizes.tokens).step_by(QUERIES) {
            let o = &mut o[query * sizes.width..];
            let (mut maxima, mut sums) = ([f32::MIN; QUERIES], [0.0; QUERIES]);
            for block in Block::of_queries(head, query) {
                block.scores(sizes, q, panels, memory);
                let state = maxima.iter_mut().zip(&mut sums);
                let rows = memory.chunks_exact_mut(KEYS).zip(o.chunks_exact_mut(sizes.width));
                simd::dispatch(
                    #[inline(always)]
                    || {
                        for (query, ((maximum, sum), (scores, o))) in
                            state.zip(rows).take(block.queries).enumerate()
                        {
                            let visible = block.visible(head, query);
                            let shrinks = powers(&mut scores[..block.keys], visible, maximum, sum);
                            if block.key > 0 {
                                o.iter_mut().for_each(|o| *o *= shrinks);
                            }
                        }
                    },
                );
                block.add_over_keys(sizes, memory, v, o, block.key > 0);
            }
            let rows = o.chunks_exact_mut(sizes.width).zip(&mut lse[query..]);
            for ((o, lse), (maximum, sum)) in rows.zip(maxima.into_iter().zip(sums)) {
                let inverse = 1.0 / sum;
                o.iter_mut().for_each(|o| *o *= inverse);
                *lse = maximum + sum.ln();
            }
        }
        for (token, (output, o)) in output.iter_mut().zip(o.chunks_exact(sizes.width)).enumerate() {
            if head.visible(token) > 0 {
                output.copy_from_slice(&o[..sizes.depth]);
            } else {
                output.fill(0.0);
                lse[token] = 0.0;
            }
        }
        true
    })
}

/// Replaces the visible scores of a query by e^(s − maximum), the others by 0, and updates its
/// maximum and sum. Returns the factor of what was summed with the old maximum.
#[inline(always)]
fn powers(scores: &mut [f32], visible: usize, maximum: &mut f32, sum: &mut f32) -> f32 {
    let (scores, hidden) = scores.split_at_mut(visible);
    hidden.fill(0.0);
    let (whole, rest) = scores.as_chunks_mut::<VECTOR>();
    let mut largest = [*maximum; VECTOR];
    for chunk in whole.iter() {
        for (largest, &s) in largest.iter_mut().zip(chunk) {
            *largest = if s > *largest { s } else { *largest };
        }
    }
    for (largest, &s) in largest.iter_mut().zip(rest.iter()) {
        *largest = if s > *largest { s } else { *largest };
    }
    let found = largest.into_iter().fold(*maximum, |found, s| if s > found { s } else { found });
    let mut sums = [0.0; VECTOR];
    for chunk in whole {
        for (sum, s) in sums.iter_mut().zip(chunk) {
            *s = exp_below(*s - found);
            *sum += *s;
        }
    }
    for (sum, s) in sums.iter_mut().zip(rest) {
        *s = exp_below(*s - found);
        *sum += *s;
    }
    let mut width = VECTOR / 2;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    let shrinks = exp_below(*maximum - found);
    *maximum = found;
    *sum = *sum * shrinks + sums[0];
    shrinks
}

/// Gradients of q, k and v of a head; false if the input is not finite, then nothing was written.
pub(super) fn backward(of: &Gradient<f32>, gradients: [&mut [&mut [f32]]; 3]) -> bool {
    let (head, sizes) = (&of.head, Sizes::new(&of.head));
    let length = 7 * sizes.rows() + 2 * sizes.panels() + 2 * QUERIES * KEYS + sizes.tokens;
    with_scratch(length, |mut memory| {
        let [q, k, v, g, dq, dk, dv] = [(); 7].map(|()| split(&mut memory, sizes.rows()));
        let [k_panels, v_panels] = [(); 2].map(|()| split(&mut memory, sizes.panels()));
        let [p, ds] = [(); 2].map(|()| split(&mut memory, QUERIES * KEYS));
        let value = |token, values: &mut [f32]| {
            values.copy_from_slice(head.input(Third::Value, token));
        };
        let grad_output = |token, values: &mut [f32]| values.copy_from_slice(of.grad_output(token));
        let delta = memory;
        delta.iter_mut().enumerate().for_each(|(token, delta)| *delta = of.delta(token));
        let are_finite = gather_query_and_key(head, sizes, [q, k])
            && sizes.gather(v, value)
            && sizes.gather(g, grad_output)
            && delta.iter().chain(of.lse).all(|x| x.is_finite());
        if !are_finite {
            return false;
        }
        sizes.transpose(k, k_panels);
        sizes.transpose(v, v_panels);
        [&mut *dq, &mut *dk, &mut *dv].into_iter().for_each(|gradient| gradient.fill(0.0));
        let starts = (0..sizes.tokens).step_by(QUERIES);
        for block in starts.flat_map(|query| Block::of_queries(head, query)) {
            block.scores(sizes, q, k_panels, p);
            block.scores(sizes, g, v_panels, ds);
            let rows = p.chunks_exact_mut(KEYS).zip(ds.chunks_exact_mut(KEYS));
            let of_queries = of.lse[block.query..].iter().zip(&delta[block.query..]);
            simd::dispatch(
                #[inline(always)]
                || {
                    for (query, ((p, ds), (&lse, &delta))) in
                        rows.zip(of_queries).take(block.queries).enumerate()
                    {
                        let visible = block.visible(head, query);
                        p[visible..block.keys].fill(0.0);
                        ds[visible..block.keys].fill(0.0);
                        for (p, ds) in p[..visible].iter_mut().zip(&mut ds[..visible]) {
                            *p = exp_below(*p - lse);
                            *ds = *p * (*ds - delta);
                        }
                    }
                },
            );
            block.add_over_queries(sizes, p, g, dv);
            block.add_over_queries(sizes, ds, q, dk);
            block.add_over_keys(sizes, ds, k, &mut dq[block.query * sizes.width..], true);
        }
        let factor = head.attention.factor() as f32;
        let found = [&*dq, &*dk, &*dv].map(|found| found.chunks_exact(sizes.width));
        for (third, (gradient, found)) in gradients.into_iter().zip(found).enumerate() {
            for (token, (gradient, found)) in gradient.iter_mut().zip(found).enumerate() {
                gradient.copy_from_slice(&found[..sizes.depth]);
                if third == Third::Query as usize {
                    gradient.iter_mut().for_each(|g| *g *= factor);
                }
                if third != Third::Value as usize {
                    head.rotate(token, gradient, -1.0);
                }
            }
        }
        true
    })
}

/// output (+)= left · right; `columns` is a multiple of [`VECTOR`]. A row of an operand begins a
/// stride behind the one before.
struct Product<'a> {
    /// `left` is [depth, rows] instead of [rows, depth].
    is_transposed: bool,
    rows: usize,
    columns: usize,
    depth: usize,
    left: &'a [f32],
    left_stride: usize,
    right: &'a [f32],
    right_stride: usize,
    output: &'a mut [f32],
    output_stride: usize,
    accumulate: bool,
}

fn product(product: Product) {
    pulp::Arch::new().dispatch(product);
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.is_transposed {
            self.by_columns::<S, true>(simd);
        } else {
            self.by_columns::<S, false>(simd);
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn by_columns<S: Simd, const TRANSPOSED: bool>(mut self, simd: S) {
        let mut column = 0;
        while column < self.columns {
            if self.columns - column >= 2 * S::F32_LANES {
                self.by_rows::<S, 2, TRANSPOSED>(simd, column);
                column += 2 * S::F32_LANES;
            } else {
                self.by_rows::<S, 1, TRANSPOSED>(simd, column);
                column += S::F32_LANES;
            }
        }
    }

    /// All rows of some columns: eight at a time where there are registers for sixteen sums.
    #[inline(always)]
    fn by_rows<S: Simd, const VECTORS: usize, const TRANSPOSED: bool>(
        &mut self,
        simd: S,
        column: usize,
    ) {
        let mut row = 0;
        while S::REGISTER_COUNT >= 32 && self.rows - row >= 8 {
            self.tile::<S, 8, VECTORS, TRANSPOSED>(simd, row, column);
            row += 8;
        }
        while self.rows - row >= 4 {
            self.tile::<S, 4, VECTORS, TRANSPOSED>(simd, row, column);
            row += 4;
        }
        while row < self.rows {
            self.tile::<S, 1, VECTORS, TRANSPOSED>(simd, row, column);
            row += 1;
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const VECTORS: usize, const TRANSPOSED: bool>(
        &mut self,
        simd: S,
        row: usize,
        column: usize,
    ) {
        let numbers = VECTORS * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        let mut lefts = [&self.left[..0]; ROWS];
        if !TRANSPOSED {
            for (number, left) in lefts.iter_mut().enumerate() {
                *left = &self.left[(row + number) * self.left_stride..][..self.depth];
            }
        }
        for k in 0..self.depth {
            let line = S::as_simd_f32s(&self.right[k * self.right_stride + column..][..numbers]).0;
            let mut factors = [0.0; ROWS];
            if TRANSPOSED {
                factors.copy_from_slice(&self.left[k * self.left_stride + row..][..ROWS]);
            } else {
                for (factor, left) in factors.iter_mut().zip(&lefts) {
                    *factor = left[k];
                }
            }
            for (sums, factor) in sums.iter_mut().zip(factors) {
                let factor = simd.splat_f32s(factor);
                for (sum, &x) in sums.iter_mut().zip(line) {
                    *sum = simd.mul_add_e_f32s(factor, x, *sum);
                }
            }
        }
        for (number, sums) in sums.into_iter().enumerate() {
            let line = &mut self.output[(row + number) * self.output_stride + column..][..numbers];
            for (slot, sum) in S::as_mut_simd_f32s(line).0.iter_mut().zip(sums) {
                *slot = if self.accumulate { simd.add_f32s(*slot, sum) } else { sum };
            }
        }
    }
}

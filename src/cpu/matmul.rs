//! `output = left · right` (or `+=`), row-major, in the three layouts of a dense layer's forward
//! and backward pass.
//!
//! f32 uses the crate `gemm` (packed panels; AVX-512, AVX2 or NEON kernels chosen at run time), f64
//! three plain loops, the reference. Candidates, measured interleaved in one process from a thread
//! of the pool, on 2 cores of an AMD EPYC (Zen 4, peak about 210 GFLOP/s), medians, GFLOP/s; "here"
//! is [`matmul`] on top of `gemm` (NT from a separate run):
//!
//! | product (m × k × n) | `gemm` 0.19 | here | `faer` 0.24 |
//! |---|---|---|---|
//! | NN 1024 × 1024 × 1024 | 188 | 194 | 203 |
//! | NT 1024 × 1024 × 1024 | 168 | 179 | 203 |
//! | TN 1024 × 1024 × 1024 | 191 | 197 | 191 |
//! | NN, TN 2048 × 2048 × 2048 | 190, 193 | 198, 193 | 196, 193 |
//! | NN 64 × 784 × 128 | 197 | 207 | 114 |
//! | TN 784 × 64 × 128 | 191 | 192 | 175 |
//! | NN 64 × 128 × 10, one thread | 51 | 51 | 51–61 |
//!
//! `gemm` was chosen: as fast as `faer` or nearly (NT: a tenth slower), with far fewer
//! dependencies. Called from outside the pool, a threaded product waits 15 to 20 µs for it to wake;
//! training runs inside.
//!
//! An output element is a sum over k in an order that depends only on the shape, so the number of
//! threads does not change a bit.

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::cpu::scratch::with_scratch;
use crate::{Error, Result};

/// Operand layout: which one is stored transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// `left` is [m, k], `right` is [k, n]: forward, X · W.
    NN,
    /// `left` is [m, k], `right` is [n, k]: the gradient of the input, dY · Wᵀ.
    NT,
    /// `left` is [k, m], `right` is [k, n]: the gradient of the weights, Xᵀ · dY.
    TN,
}

impl Layout {
    /// Row and column stride of `left` viewed as [m, k].
    fn left_strides(self, m: usize, k: usize) -> (usize, usize) {
        if self == Layout::TN { (1, m) } else { (k, 1) }
    }

    /// Row and column stride of `right` viewed as [k, n].
    fn right_strides(self, k: usize, n: usize) -> (usize, usize) {
        if self == Layout::NT { (1, k) } else { (n, 1) }
    }
}

/// Below this many multiplications one thread is as fast as all: about 40 µs of work.
const THREADED_PRODUCTS: usize = 1 << 21;

/// `output = left · right`, or `output += left · right` with `accumulate`. `output` is [m, n].
///
/// # Errors
/// [`Error::Shape`] if the length of a slice does not match m, n and k.
///
/// # Example
/// ```
/// use gradus::cpu::matmul::{Layout, matmul};
/// let mut output = [0.0_f32; 2];
/// // [1 2 3] · [[1 2] [3 4] [5 6]]
/// matmul(Layout::NN, 1, 2, 3, &[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut output, false)?;
/// assert_eq!(output, [22.0, 28.0]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[expect(
    clippy::too_many_arguments,
    reason = "the eight are what a matrix product is, in the order BLAS users know"
)]
pub fn matmul<R: Real>(
    layout: Layout,
    m: usize,
    n: usize,
    k: usize,
    left: &[R],
    right: &[R],
    output: &mut [R],
    accumulate: bool,
) -> Result<()> {
    check("left", [m, k], left.len())?;
    check("right", [k, n], right.len())?;
    check("output", [m, n], output.len())?;
    if output.is_empty() || k == 0 {
        // An empty sum is 0. `gemm` is not called: it leaves the output unwritten.
        output.iter_mut().filter(|_| !accumulate).for_each(|slot| *slot = R::ZERO);
        return Ok(());
    }
    match (R::as_single(left), R::as_single(right)) {
        (Some(left), Some(right)) => {
            if let Some(output) = R::as_single_mut(output) {
                single(layout, m, n, k, left, right, output, accumulate);
            }
        }
        _ => plain(layout, m, n, k, left, right, output, accumulate),
    }
    Ok(())
}

/// Rejects a slice whose length does not match its matrix; `gemm` would read past its end.
fn check(name: &str, [rows, columns]: [usize; 2], length: usize) -> Result<()> {
    if rows.checked_mul(columns) == Some(length) {
        return Ok(());
    }
    Err(Error::Shape {
        operation: "matmul".into(),
        found: format!("{name} has {length} elements"),
        allowed: format!("{name} must be {rows} x {columns}"),
    })
}

/// The operands of a product through `gemm`, viewed as [m, k] and [k, n] by their row and column
/// strides.
#[derive(Clone, Copy)]
struct Operands<'a> {
    n: usize,
    k: usize,
    left: &'a [f32],
    left_strides: (usize, usize),
    right: &'a [f32],
    right_strides: (usize, usize),
    accumulate: bool,
}

/// The product through `gemm`, on this thread if it is small. [`matmul`] has checked the lengths.
#[expect(clippy::too_many_arguments, reason = "as matmul")]
fn single(
    layout: Layout,
    m: usize,
    n: usize,
    k: usize,
    left: &[f32],
    right: &[f32],
    output: &mut [f32],
    accumulate: bool,
) {
    let products = m.saturating_mul(n).saturating_mul(k);
    let threaded = products >= THREADED_PRODUCTS;
    let (left_strides, right_strides) = (layout.left_strides(m, k), layout.right_strides(k, n));
    if layout == Layout::NT && m >= ROWS_WORTH_A_TRANSPOSE && threaded {
        return by_columns(m, n, k, left, right, output, accumulate);
    }
    let operands = Operands { n, k, left, left_strides, right, right_strides, accumulate };
    if threaded {
        halves(m, &operands, output)
    } else {
        part(m, 0, &operands, output, gemm::Parallelism::None)
    }
}

/// Number of rows from which the right operand of NT is transposed first: `gemm` packs it element
/// by element, repeatedly.
const ROWS_WORTH_A_TRANSPOSE: usize = 64;

/// Fewer rows than this are not split if there are few columns: both halves must stay above 64.
const SMALLEST_HALVED: usize = 256;

/// Numbers of a block of columns of NT: 1 MiB, so that it stays in a second-level cache. At most 1008
/// columns: rows of 4 KiB would map to one set of the first-level cache.
const COLUMNS_NUMBERS: usize = 1 << 18;

/// A pointer that threads share to write parts that do not overlap.
#[derive(Clone, Copy)]
struct Shared(*mut f32);

// SAFETY: `by_columns` alone makes one; its threads write columns of their own through it.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// The pointer `offset` numbers further. A method, so that a closure takes the whole struct.
    fn at(self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }
}

/// NT in blocks of columns: a thread transposes a block of `right` and multiplies all rows with it
/// while it lies in the cache. [512, 256] by [32768, 256]: 92 ms with the whole of `right`
/// transposed first. Like the split in halves, the blocks change no bit.
fn by_columns(
    m: usize,
    n: usize,
    k: usize,
    left: &[f32],
    right: &[f32],
    output: &mut [f32],
    accumulate: bool,
) {
    let wide = ((COLUMNS_NUMBERS / k).clamp(128, 1008) / 16 * 16).min(n.div_ceil(2)).max(1);
    let output = Shared(output.as_mut_ptr());
    (0..n.div_ceil(wide)).into_par_iter().for_each(|block| {
        let first = block * wide;
        let count = wide.min(n - first);
        with_scratch(count * k, |scratch| {
            transpose(&right[first * k..][..count * k], count, k, scratch);
            let most = (MOST_PACKED / (size_of::<f32>() * k.min(MOST_DEPTH))).max(SMALLEST_HALVED);
            for begin in (0..m).step_by(most) {
                let rows = most.min(m - begin);
                let left = &left[begin * k..][..rows * k];
                // SAFETY: left and scratch hold rows·k and k·count numbers; the output of rows
                // `begin` on and columns `first` on lies within the m·n numbers of `output`, which
                // is borrowed mutably by this function and overlaps neither operand; no other
                // thread has these columns.
                unsafe {
                    gemm::gemm(
                        rows,
                        count,
                        k,
                        output.at(begin * n + first),
                        1,
                        n as isize,
                        accumulate,
                        left.as_ptr(),
                        1,
                        k as isize,
                        scratch.as_ptr(),
                        1,
                        count as isize,
                        1.0, // output ← 1·output + 1·left·right; the first only if accumulating
                        1.0,
                        false,
                        false,
                        false,
                        gemm::Parallelism::None,
                    );
                }
            }
        });
    });
}

/// Transposes [n, k] to [k, n] in blocks of 16 × 16. Each cache line is read and written as a
/// whole: rows of 4 KiB map to one set of the first-level cache, which holds 8 of them, so a line
/// visited again would have been evicted.
fn transpose(values: &[f32], n: usize, k: usize, output: &mut [f32]) {
    const SIDE: usize = 16;
    for (block, output) in output.chunks_mut(SIDE * n).enumerate() {
        let deep = output.len() / n;
        for start in (0..n).step_by(SIDE) {
            let wide = SIDE.min(n - start);
            let mut square = [[0.0; SIDE]; SIDE];
            for j in 0..wide {
                let line = &values[(start + j) * k + block * SIDE..][..deep];
                square.iter_mut().zip(line).for_each(|(row, &value)| row[j] = value);
            }
            for (row, square) in output.chunks_exact_mut(n).zip(&square) {
                row[start..][..wide].copy_from_slice(&square[..wide]);
            }
        }
    }
}

/// On two threads each takes half of the rows, up to 4 % faster than `gemm`'s own parallelism; on
/// more threads `gemm` splits. The position of the split changes no bit: `gemm` splits the sum over
/// k by k alone, except for products of at most 64 × 64 (a test checks this), so no part becomes
/// that small.
fn halves(m: usize, operands: &Operands<'_>, output: &mut [f32]) {
    let half = (m / 2).next_multiple_of(16);
    if rayon::current_num_threads() != 2 || half >= m || (m < SMALLEST_HALVED && operands.n <= 64) {
        return part(m, 0, operands, output, gemm::Parallelism::Rayon(0));
    }
    let (upper, lower) = output.split_at_mut(half * operands.n);
    rayon::join(
        || part(half, 0, operands, upper, gemm::Parallelism::None),
        || part(m - half, half, operands, lower, gemm::Parallelism::None),
    );
}

/// Most bytes of `left` that `gemm` packs at a time per thread. It packs as many rows as it believes
/// a share of the third-level cache to hold: all of them where a virtual machine reports 32 MiB.
const MOST_PACKED: usize = 3 << 19;

/// Most columns of `left` that `gemm` packs at a time.
const MOST_DEPTH: usize = 512;

/// `rows` rows of the product, starting at `first`, in blocks of rows that bound the packed copy of
/// `left`. Like the split in halves, the blocks change no bit.
fn part(
    rows: usize,
    first: usize,
    operands: &Operands<'_>,
    output: &mut [f32],
    threads: gemm::Parallelism,
) {
    let most = MOST_PACKED / (size_of::<f32>() * operands.k.min(MOST_DEPTH));
    let blocks = rows.div_ceil(most.max(SMALLEST_HALVED)).max(1);
    let mut rest = output;
    for block in 0..blocks {
        let (begin, end) = (rows * block / blocks, rows * (block + 1) / blocks);
        let (output, behind) = rest.split_at_mut((end - begin) * operands.n);
        panel(end - begin, first + begin, operands, output, threads);
        rest = behind;
    }
}

/// `rows` rows of the product, starting at `first`, in one call of `gemm`.
fn panel(
    rows: usize,
    first: usize,
    operands: &Operands<'_>,
    output: &mut [f32],
    threads: gemm::Parallelism,
) {
    let Operands { n, k, left, left_strides, right, right_strides, accumulate } = *operands;
    let left = &left[first * left_strides.0..];
    // SAFETY: left, right and output hold m·k, k·n and m·n elements (checked by the caller, without
    // overflow) and first + rows ≤ m; the strides of each matrix reach its last element and no
    // further, also from row `first` on; `output` is borrowed mutably, so it overlaps neither
    // operand; slices are below isize::MAX bytes, so the casts are exact.
    unsafe {
        gemm::gemm(
            rows,
            n,
            k,
            output.as_mut_ptr(),
            1,
            n as isize,
            accumulate,
            left.as_ptr(),
            left_strides.1 as isize,
            left_strides.0 as isize,
            right.as_ptr(),
            right_strides.1 as isize,
            right_strides.0 as isize,
            1.0, // output ← 1·output + 1·left·right; the first term only if accumulating
            1.0,
            false,
            false,
            false,
            threads,
        );
    }
}

/// The reference: row i of the output accumulates rows of `right`.
#[expect(clippy::too_many_arguments, reason = "as matmul")]
fn plain<R: Real>(
    layout: Layout,
    m: usize,
    n: usize,
    k: usize,
    left: &[R],
    right: &[R],
    output: &mut [R],
    accumulate: bool,
) {
    if !accumulate {
        output.fill(R::ZERO);
    }
    let (left_row, left_column) = layout.left_strides(m, k);
    let (right_row, right_column) = layout.right_strides(k, n);
    for i in 0..m {
        for p in 0..k {
            let factor = left[i * left_row + p * left_column];
            for j in 0..n {
                output[i * n + j] += factor * right[p * right_row + j * right_column];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUTS: [Layout; 3] = [Layout::NN, Layout::NT, Layout::TN];

    fn values(length: usize, seed: usize) -> Vec<f32> {
        (0..length).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    fn widen(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&x| f64::from(x)).collect()
    }

    #[test]
    fn single_precision_agrees_with_the_reference_in_every_layout() {
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 2),
            (64, 784, 10),
            (17, 33, 65),
            (784, 64, 128),
            (130, 257, 140),
            (300, 90, 101),
        ] {
            for layout in LAYOUTS {
                for accumulate in [false, true] {
                    let (left, right, start) =
                        (values(m * k, 1), values(k * n, 2), values(m * n, 3));
                    let (mut found, mut exact) = (start.clone(), widen(&start));
                    matmul(layout, m, n, k, &left, &right, &mut found, accumulate).unwrap();
                    matmul(layout, m, n, k, &widen(&left), &widen(&right), &mut exact, accumulate)
                        .unwrap();
                    // k products and sums of numbers below 1, each rounded once: |error| ≤ (k +
                    // 1)·2⁻²⁴·Σ|products| ≤ (k + 1)²·2⁻²⁴.
                    let limit = ((k + 1) * (k + 1)) as f64 * 2.0_f64.powi(-24);
                    for (found, exact) in found.iter().zip(&exact) {
                        assert!(
                            (f64::from(*found) - exact).abs() <= limit,
                            "{layout:?} {m}x{k}x{n}: {found} {exact}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn the_reference_of_a_known_product_is_exact() {
        let mut output = [0.0_f64; 4];
        matmul(
            Layout::TN,
            2,
            2,
            3,
            &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0],
            &[7.0, 8.0, 9.0, 10.0, 11.0, 12.0],
            &mut output,
            false,
        )
        .unwrap();
        assert_eq!(output, [58.0, 64.0, 139.0, 154.0]);
        matmul(
            Layout::NT,
            2,
            2,
            3,
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            &[7.0, 9.0, 11.0, 8.0, 10.0, 12.0],
            &mut output,
            true,
        )
        .unwrap();
        assert_eq!(output, [116.0, 128.0, 278.0, 308.0]);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        // With two threads the rows are split in two, not always in the middle; k from below to far
        // above a block of `gemm`.
        let shapes = [
            (300, 500, 130),
            (70, 1500, 33),
            (256, 1500, 17),
            (33, 70, 1500),
            (784, 64, 128),
            (512, 33, 200),
            (1000, 2100, 3),
        ];
        for (layout, (m, k, n)) in
            LAYOUTS.into_iter().flat_map(|layout| shapes.map(|shape| (layout, shape)))
        {
            let (left, right) = (values(m * k, 1), values(k * n, 2));
            let product = |threads| {
                let mut output = vec![0.0_f32; m * n];
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| matmul(layout, m, n, k, &left, &right, &mut output, false))
                    .unwrap();
                output
            };
            let one = product(1);
            assert!(
                [2, 3, 5].into_iter().all(|threads| product(threads) == one),
                "{layout:?} {m} x {k} x {n}"
            );
        }
    }

    #[test]
    fn blocks_of_rows_change_no_bit() {
        for (m, k, n) in [(7000, 130, 20), (1700, 700, 33), (3073, 128, 96)] {
            for layout in LAYOUTS {
                let (left, right) = (values(m * k, 1), values(k * n, 2));
                let operands = Operands {
                    n,
                    k,
                    left: &left,
                    left_strides: layout.left_strides(m, k),
                    right: &right,
                    right_strides: layout.right_strides(k, n),
                    accumulate: false,
                };
                let (mut blocks, mut whole) = (vec![0.0; m * n], vec![0.0; m * n]);
                part(m, 0, &operands, &mut blocks, gemm::Parallelism::None);
                panel(m, 0, &operands, &mut whole, gemm::Parallelism::None);
                assert!(blocks == whole, "{layout:?} {m} x {k} x {n}");
            }
        }
    }

    #[test]
    fn nan_in_the_old_output_is_overwritten_unless_it_accumulates() {
        let mut output = [f32::NAN];
        matmul(Layout::NN, 1, 1, 1, &[2.0], &[3.0], &mut output, false).unwrap();
        assert_eq!(output, [6.0]);
        output = [f32::NAN];
        matmul(Layout::NN, 1, 1, 1, &[2.0], &[3.0], &mut output, true).unwrap();
        assert!(output[0].is_nan());
    }

    #[test]
    fn a_slice_of_the_wrong_length_is_refused_by_name() {
        let error = matmul(Layout::NN, 2, 2, 2, &[0.0_f32; 4], &[0.0; 3], &mut [0.0; 4], false)
            .unwrap_err();
        assert_eq!(error.to_string(), "matmul: right has 3 elements; right must be 2 x 2");
    }

    #[test]
    fn no_inner_dimension_gives_zero() {
        let mut output = [5.0_f32; 6];
        matmul(Layout::NN, 2, 3, 0, &[], &[], &mut output, false).unwrap();
        assert_eq!(output, [0.0; 6]);
    }
}

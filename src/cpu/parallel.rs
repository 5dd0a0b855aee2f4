//! Work split over threads so that the result does not depend on how many there are.
//!
//! A slice is cut into pieces whose size follows from its length alone; each piece gives its own partial sum, and the partial sums are
//! added pairwise in the order of the pieces. One piece runs on the calling thread: small inputs never pay for threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::real::Real;

/// Elements in a piece: 64 KiB of f32, so that three operands stay in a core's second-level cache, and ~4 µs of work, far more
/// than handing it to a thread costs.
pub const PIECE: usize = 16_384;

/// Rows of `width` elements in a piece: as many as fill [`PIECE`], at least one.
pub fn rows_per_piece(width: usize) -> usize {
    (PIECE / width.max(1)).max(1)
}

/// Runs `piece(range)` over the pieces of `0..length`, each `piece_length` long but the last, and adds up what they return.
pub fn sum(length: usize, piece_length: usize, piece: impl Fn(Range<usize>) -> f64 + Sync) -> f64 {
    let piece_length = piece_length.max(1);
    if length <= piece_length {
        return if length == 0 { 0.0 } else { piece(0..length) };
    }
    let partials: Vec<f64> = (0..length.div_ceil(piece_length))
        .into_par_iter()
        .map(|index| piece(index * piece_length..((index + 1) * piece_length).min(length)))
        .collect();
    pairwise(&partials)
}

/// As [`sum`] with an output: `piece(start, part)` fills the part of `output` that starts at `start` and returns its partial sum.
///
/// For rows, `piece_length` is a multiple of the width: `rows_per_piece(width) * width`.
pub fn sum_into<T: Send>(
    output: &mut [T],
    piece_length: usize,
    piece: impl Fn(usize, &mut [T]) -> f64 + Sync,
) -> f64 {
    let piece_length = piece_length.max(1);
    if output.len() <= piece_length {
        return if output.is_empty() { 0.0 } else { piece(0, output) };
    }
    let partials: Vec<f64> = output
        .par_chunks_mut(piece_length)
        .enumerate()
        .map(|(index, part)| piece(index * piece_length, part))
        .collect();
    pairwise(&partials)
}

/// As [`sum_into`] with two outputs: a piece of `first` goes with the piece of `second` of the same index, whose length may differ
/// (a gradient of rows · width and a value per row).
pub fn sum_into_two<T: Send, U: Send>(
    first: &mut [T],
    first_length: usize,
    second: &mut [U],
    second_length: usize,
    piece: impl Fn(usize, &mut [T], &mut [U]) -> f64 + Sync,
) -> f64 {
    let (first_length, second_length) = (first_length.max(1), second_length.max(1));
    let partials: Vec<f64> = if first.len() <= first_length && second.len() <= second_length {
        vec![piece(0, first, second)]
    } else {
        first
            .par_chunks_mut(first_length)
            .zip(second.par_chunks_mut(second_length))
            .enumerate()
            .map(|(index, (first, second))| piece(index, first, second))
            .collect()
    };
    pairwise(&partials)
}

/// Fills `output` piece by piece: `piece(start, part)`.
pub fn fill<T: Send>(
    output: &mut [T],
    piece_length: usize,
    piece: impl Fn(usize, &mut [T]) + Sync,
) {
    sum_into(output, piece_length, |start, part| {
        piece(start, part);
        0.0
    });
}

/// Σ by halves, in f64: its rounding grows with the logarithm of the length.
pub fn pairwise<R: Real>(values: &[R]) -> f64 {
    // Below that, eight sums side by side: one after another would wait for each addition.
    if values.len() <= 128 {
        let (eights, rest) = values.as_chunks::<8>();
        let mut sums = [0.0; 8];
        for eight in eights {
            sums.iter_mut().zip(eight).for_each(|(sum, value)| *sum += value.to_f64());
        }
        sums.iter_mut().zip(rest).for_each(|(sum, value)| *sum += value.to_f64());
        let [a, b, c, d, e, f, g, h] = sums;
        return ((a + b) + (c + d)) + ((e + f) + (g + h));
    }
    let (left, right) = values.split_at(values.len() / 2);
    pairwise(left) + pairwise(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a thread pool")
            .install(work)
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let values: Vec<f64> = (0..100_003).map(|i| 1.0 / (i as f64 + 1.0)).collect();
        let total = |threads| {
            with_threads(threads, || sum(values.len(), 1000, |range| values[range].iter().sum()))
        };
        let one = total(1);
        assert!((one - 12.0901).abs() < 1e-3); // H(100003) = ln 100003 + 0.5772 + …
        for threads in [2, 3, 7] {
            assert_eq!(one.to_bits(), total(threads).to_bits());
        }
    }

    #[test]
    fn every_element_belongs_to_one_piece() {
        for length in [0, 1, 9, 10, 11, 99, 100] {
            let mut touched = vec![0; length];
            let count = sum_into(&mut touched, 10, |start, part| {
                part.iter_mut().enumerate().for_each(|(offset, slot)| *slot += start + offset + 1);
                part.len() as f64
            });
            assert_eq!(count, length as f64);
            assert!(touched.iter().enumerate().all(|(index, &value)| value == index + 1));
            assert_eq!(sum(length, 10, |range| range.len() as f64), length as f64);
        }
    }

    #[test]
    fn two_outputs_are_cut_at_the_same_rows() {
        let (width, rows) = (3, 25);
        let (mut gradient, mut values) = (vec![0; rows * width], vec![0; rows]);
        sum_into_two(&mut gradient, 4 * width, &mut values, 4, |index, gradient, values| {
            assert_eq!(gradient.len(), values.len() * width);
            values.iter_mut().enumerate().for_each(|(row, slot)| *slot = index * 4 + row);
            0.0
        });
        assert!(values.iter().enumerate().all(|(row, &value)| row == value));
    }
}

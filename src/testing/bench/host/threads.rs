//! A copy and a sum on all threads.

use rayon::prelude::*;

use crate::cpu::simd;

/// Elements per thread at a time.
pub(super) const PIECE: usize = 1 << 16;

/// Independent sums, so that an addition does not wait for the previous one: four vectors of
/// AVX-512.
pub(super) const SUMS: usize = 64;

/// `memcpy` in chunks on all threads.
pub(super) fn copy_on_all(source: &[f32], destination: &mut [f32]) {
    let pieces = destination.par_chunks_mut(PIECE).zip(source.par_chunks(PIECE));
    pieces.for_each(|(destination, source)| destination.copy_from_slice(source));
}

/// Reads all data once, on all threads.
pub(super) fn sum_on_all(source: &[f32]) -> f64 {
    source.par_chunks(PIECE).map(|piece| f64::from(sum(piece))).sum()
}

fn sum(values: &[f32]) -> f32 {
    simd::dispatch(
        #[inline(always)]
        || {
            let mut sums = [0.0; SUMS];
            let (blocks, rest) = values.as_chunks::<SUMS>();
            for block in blocks {
                for (sum, value) in sums.iter_mut().zip(block) {
                    *sum += value;
                }
            }
            sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bench::case::normal;

    #[test]
    fn the_sum_on_all_threads_reads_every_element_once() {
        // Integers below 2²⁴ are summed exactly in any order.
        let values: Vec<f32> = (0..3 * PIECE + 77).map(|i| (i % 11) as f32).collect();
        assert_eq!(sum_on_all(&values), values.iter().map(|&x| f64::from(x)).sum::<f64>());
    }

    #[test]
    fn the_copy_on_all_threads_copies_every_element() {
        let values = normal(2 * PIECE + 5, 3);
        let mut found = vec![0.0; values.len()];
        copy_on_all(&values, &mut found);
        assert!(found == values);
    }
}

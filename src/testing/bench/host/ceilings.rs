//! Ceilings of the CPU: `memcpy`, a sum and fused multiply-adds on all threads, and a hand-written
//! mean squared error.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::cpu::simd;
use crate::testing::bench::case::FMA_FLOPS;
use crate::testing::bench::host::common::{Buffers, Precision, timed};
use crate::testing::bench::host::threads::{PIECE, SUMS};
use crate::testing::bench::sampling::{Ceiling, Run};

/// Chains of fused multiply-adds: two units with a latency of four on current processors need at
/// least eight, and with two constants fourteen fit the sixteen registers of AVX2.
const CHAINS: usize = 12;

/// Copies the predictions to the gradient.
pub(crate) fn copy<R: Precision>(buffers: Rc<Buffers<R>>) -> Run {
    Box::new(move |repeats| {
        let gradient = &mut *buffers.gradient.borrow_mut();
        timed(repeats, || {
            R::copy(black_box(&buffers.predictions), black_box(gradient));
            Ok(())
        })
    })
}

/// Sums the predictions.
pub(crate) fn read<R: Precision>(buffers: Rc<Buffers<R>>) -> Run {
    Box::new(move |repeats| {
        timed(repeats, || {
            black_box(R::total(black_box(&buffers.predictions)));
            Ok(())
        })
    })
}

/// [`FMA_FLOPS`] operations in registers, split over all threads.
pub(crate) fn fma() -> Run {
    Box::new(|repeats| {
        let start = Instant::now();
        let threads = rayon::current_num_threads();
        rayon::broadcast(|_| {
            black_box(pulp::Arch::new().dispatch(Chains { flops: repeats * FMA_FLOPS / threads }))
        });
        Ok(start.elapsed().as_secs_f64() / repeats as f64)
    })
}

/// x ← x/2 + 1, repeated, in independent chains.
struct Chains {
    flops: usize,
}

impl WithSimd for Chains {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        let (factor, addend) = (simd.splat_f32s(black_box(0.5)), simd.splat_f32s(black_box(1.0)));
        let mut chains = [addend; CHAINS];
        for _ in 0..self.flops / (2 * CHAINS * S::F32_LANES) {
            for chain in &mut chains {
                *chain = simd.mul_add_e_f32s(*chain, factor, addend);
            }
        }
        chains.into_iter().map(|chain| simd.reduce_sum_f32s(chain)).sum()
    }
}

/// Value and gradient of the mean squared error, written by hand: plain loops over the same slices
/// as the loss itself, on all threads. The baseline of the `cpu` device's `mse`.
pub(crate) fn fused_mse<R: Precision>(buffers: Rc<Buffers<R>>) -> Run {
    Box::new(move |repeats| {
        let gradient = &mut *buffers.gradient.borrow_mut();
        timed(repeats, || {
            let inputs = R::as_single(&buffers.predictions).zip(R::as_single(&buffers.targets));
            if let (Some((predictions, targets)), Some(gradient)) =
                (inputs, R::as_single_mut(gradient))
            {
                black_box(mean_squared_error(predictions, targets, black_box(gradient)));
            }
            Ok(())
        })
    })
}

fn mean_squared_error(predictions: &[f32], targets: &[f32], gradient: &mut [f32]) -> f64 {
    let scale = 2.0 / predictions.len() as f32;
    let inputs = predictions.par_chunks(PIECE).zip(targets.par_chunks(PIECE));
    let squares =
        gradient.par_chunks_mut(PIECE).zip(inputs).map(|(gradient, (predictions, targets))| {
            simd::dispatch(
                #[inline(always)]
                || piece_of_mse(predictions, targets, gradient, scale),
            )
        });
    squares.map(f64::from).sum::<f64>() / predictions.len() as f64
}

/// Writes the gradient and returns the sum of the squares.
#[inline(always)]
fn piece_of_mse(predictions: &[f32], targets: &[f32], gradient: &mut [f32], scale: f32) -> f32 {
    let mut sums = [0.0; SUMS];
    let (blocks, rest) = gradient.as_chunks_mut::<SUMS>();
    let whole = blocks.len() * SUMS;
    let inputs = predictions.as_chunks::<SUMS>().0.iter().zip(targets.as_chunks::<SUMS>().0);
    for (slots, (predictions, targets)) in blocks.iter_mut().zip(inputs) {
        for i in 0..SUMS {
            let difference = predictions[i] - targets[i];
            slots[i] = scale * difference;
            sums[i] += difference * difference;
        }
    }
    let mut sum = sums.iter().sum::<f32>();
    for ((slot, prediction), truth) in
        rest.iter_mut().zip(&predictions[whole..]).zip(&targets[whole..])
    {
        let difference = prediction - truth;
        *slot = scale * difference;
        sum += difference * difference;
    }
    sum
}

/// Fused multiply-adds as a ceiling.
pub(crate) fn fma_beside() -> (Ceiling, Run) {
    (Ceiling::Fma, fma())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bench::case::normal;

    #[test]
    fn the_loop_written_by_hand_computes_the_mean_squared_error() {
        let elements = PIECE + 67;
        let (predictions, targets) = (normal(elements, 1), normal(elements, 2));
        let mut gradient = vec![0.0; elements];
        let found = mean_squared_error(&predictions, &targets, &mut gradient);
        let pairs = || predictions.iter().zip(&targets).map(|(p, t)| f64::from(*p) - f64::from(*t));
        let exact = pairs().map(|d| d * d).sum::<f64>() / elements as f64;
        // A sum covers 1024 squares per SIMD lane and then 64 lanes, each addition rounded once.
        assert!((found / exact - 1.0).abs() < 1100.0 * 2.0_f64.powi(-24), "{found}, {exact}");
        for (found, d) in gradient.iter().zip(pairs()) {
            let exact = 2.0 * d / elements as f64;
            // The difference, 2/n and the product are each rounded once; the difference of numbers
            // below 8 by at most 2⁻²².
            let limit = 2.0_f64.powi(-22) * (2.0 * exact.abs() + 2.0 / elements as f64);
            assert!((f64::from(*found) - exact).abs() <= limit, "{found}, {exact}");
        }
    }
}

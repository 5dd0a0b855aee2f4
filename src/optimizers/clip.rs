//! Clipping by the global norm: the twin of `shaders/kernels/gradient_norm.wgsl` and `shaders/helpers/clip.wgsl`.

use super::Segment;
use crate::host::parallel;
use crate::real::Real;

/// What a gradient is multiplied with so that its norm is `limit` at the most: min(1, `limit` / (‖g‖ + 1e-6)), with g the
/// loss's gradient and that of the penalties, over all parameters at once.
///
/// The squares are summed in f64 and in an order that depends on the length alone. A norm that is not finite gives NaN.
/// PyTorch: the coefficient of `clip_grad_norm_`.
///
/// ```
/// let factor = gradus::optimizers::clip_factor(1.0, &[], &[0.0_f32; 2], &[3.0, 4.0]);
/// assert!((factor - 0.2).abs() < 1e-6); // the norm is 5
/// assert_eq!(gradus::optimizers::clip_factor(6.0, &[], &[0.0_f32; 2], &[3.0, 4.0]), 1.0);
/// ```
pub fn clip_factor<R: Real>(limit: f64, segments: &[Segment], parameters: &[R], gradients: &[R]) -> f64 {
    let mut sum = 0.0;
    let mut start = 0;
    let whole = [Segment { end: gradients.len(), l1: 0.0, l2: 0.0 }];
    for segment in segments.iter().chain(&whole) {
        let end = segment.end.min(gradients.len());
        if let (Some(parameters), Some(gradients)) = (parameters.get(start..end), gradients.get(start..end)) {
            sum += parallel::sum(gradients.len(), parallel::PIECE, |range| {
                let of = range.clone();
                squares(segment, &parameters[range], &gradients[of])
            });
        }
        start = end.max(start);
    }
    let norm = sum.sqrt();
    // `min` takes the other of a NaN.
    if norm.is_finite() { (limit / (norm + 1e-6)).min(1.0) } else { f64::NAN }
}

/// Σ (g + l1 sign w + 2 l2 w)², in eight sums side by side so that the loop vectorises.
fn squares<R: Real>(segment: &Segment, parameters: &[R], gradients: &[R]) -> f64 {
    let mut sums = [0.0; 8];
    for (parameters, gradients) in parameters.chunks(8).zip(gradients.chunks(8)) {
        for ((sum, &w), &g) in sums.iter_mut().zip(parameters).zip(gradients) {
            let g = g.to_f64() + segment.l1 * w.sign().to_f64() + 2.0 * segment.l2 * w.to_f64();
            *sum += g * g;
        }
    }
    parallel::pairwise(&sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_belong_to_the_norm() {
        // 1 + 0.5 sign(−2) + 2 · 0.25 · (−2) = −0.5, and 1.2 outside the segment: norm 1.3.
        let segments = [Segment { end: 1, l1: 0.5, l2: 0.25 }];
        let factor = clip_factor(0.13, &segments, &[-2.0_f64, 9.0], &[1.0, 1.2]);
        assert!((factor - 0.13 / (1.3 + 1e-6)).abs() < 1e-15, "{factor}");
    }

    #[test]
    fn a_norm_that_is_not_finite_gives_nan_and_one_of_1e30_does_not() {
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(clip_factor(1.0, &[], &[0.0; 3], &[1.0, bad, 2.0]).is_nan());
        }
        assert!((clip_factor(1.0, &[], &[0.0], &[1e30_f32]) * 1e30 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn every_element_counts_once_whatever_the_segments() {
        let gradients = vec![1.0_f32; 100_003];
        let parameters = vec![0.0; gradients.len()];
        let cuts = |ends: &[usize]| ends.iter().map(|&end| Segment { end, l1: 0.0, l2: 0.0 }).collect::<Vec<_>>();
        for segments in [cuts(&[]), cuts(&[1, 40_000, 40_007, 100_003])] {
            let factor = clip_factor(1.0, &segments, &parameters, &gradients);
            assert!((1.0 / factor - (100_003_f64).sqrt() - 1e-6).abs() < 1e-9, "{factor}");
        }
    }
}

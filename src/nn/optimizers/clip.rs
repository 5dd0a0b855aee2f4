//! Gradient clipping, CPU implementation of `gradient_norm.wgsl`, `tensor_norms.wgsl` and
//! `clip.wgsl` in `shaders/templates/optimizer/`.

use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::optimizers::span::ParameterSpan;

/// Gradient clipping. g is the gradient of the loss and of the penalties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Clips each element to [−`limit`, `limit`]: PyTorch `clip_grad_value_`, Keras `clipvalue`,
    /// optax `clip`.
    Value(f64),
    /// Clips the norm of each tensor to `limit`: Keras `clipnorm`.
    Norm(f64),
    /// Clips the norm over all parameters: g · min(1, `limit`/(‖g‖ + `epsilon`)). PyTorch
    /// `clip_grad_norm_` has an ε of 1e-6; Keras `global_clipnorm` and optax `clip_by_global_norm`
    /// have none.
    GlobalNorm {
        /// Largest norm.
        limit: f64,
        /// Added to the norm.
        epsilon: f64,
    },
}

impl Clip {
    /// The limit.
    pub fn limit(&self) -> f64 {
        match *self {
            Clip::Value(limit) | Clip::Norm(limit) | Clip::GlobalNorm { limit, .. } => limit,
        }
    }
}

/// Factors of the gradient, by span.
#[derive(Clone, Debug, PartialEq)]
pub enum Factors {
    /// One factor for all spans.
    One(f64),
    /// One factor per span.
    Each(Vec<f64>),
}

impl Factors {
    /// Factor of a span.
    pub(crate) fn of(&self, span: usize) -> f64 {
        match self {
            Factors::One(factor) => *factor,
            Factors::Each(factors) => factors[span],
        }
    }

    /// Factors of a clip; NaN if a norm is not finite.
    pub(crate) fn new<R: Real>(
        clip: Option<Clip>,
        spans: &[ParameterSpan],
        parameters: &[R],
        gradients: &[R],
    ) -> Factors {
        match clip {
            None | Some(Clip::Value(_)) => Factors::One(1.0),
            Some(Clip::GlobalNorm { limit, epsilon }) => {
                let sums = sums_of_squares(spans, parameters, gradients);
                Factors::One(factor(limit, epsilon, sums.into_iter().sum()))
            }
            Some(Clip::Norm(limit)) => {
                let sums = sums_of_squares(spans, parameters, gradients);
                Factors::Each(sums.into_iter().map(|sum| factor(limit, 0.0, sum)).collect())
            }
        }
    }
}

/// min(1, limit / (norm + ε)); NaN if the norm is not finite.
fn factor(limit: f64, epsilon: f64, sum: f64) -> f64 {
    let norm = sum.sqrt();
    // `min` ignores a NaN, and 0/0 must not pass as a short norm.
    match norm.is_finite() {
        true if norm <= limit && epsilon == 0.0 => 1.0,
        true => (limit / (norm + epsilon)).min(1.0),
        false => f64::NAN,
    }
}

/// Factor that clips the norm of a gradient to `limit`: min(1, `limit` / (‖g‖ + 1e-6)), with g the
/// gradient of the loss and of the penalties, over all parameters.
///
/// Frozen spans do not count. The squares are summed in f64 in an order that depends only on the
/// length. A norm that is not finite gives NaN.
/// PyTorch: the coefficient of `clip_grad_norm_`.
///
/// ```
/// let factor = gradus::optimizers::clip_factor(1.0, &[], &[0.0_f32; 2], &[3.0, 4.0]);
/// assert!((factor - 0.2).abs() < 1e-6); // the norm is 5
/// assert_eq!(gradus::optimizers::clip_factor(6.0, &[], &[0.0_f32; 2], &[3.0, 4.0]), 1.0);
/// ```
pub fn clip_factor<R: Real>(
    limit: f64,
    spans: &[ParameterSpan],
    parameters: &[R],
    gradients: &[R],
) -> f64 {
    factor(limit, 1e-6, sums_of_squares(spans, parameters, gradients).into_iter().sum())
}

/// Σ g² of each span, or of everything if there are no spans; 0 for a frozen span.
fn sums_of_squares<R: Real>(
    spans: &[ParameterSpan],
    parameters: &[R],
    gradients: &[R],
) -> Vec<f64> {
    let mut sums = Vec::with_capacity(spans.len() + 1);
    let mut start = 0;
    let whole = [ParameterSpan { end: gradients.len(), ..ParameterSpan::default() }];
    for span in spans.iter().chain(&whole) {
        let end = span.end.min(gradients.len());
        if span.is_frozen() {
            sums.push(0.0);
        } else if let (Some(parameters), Some(gradients)) =
            (parameters.get(start..end), gradients.get(start..end))
        {
            sums.push(parallel::sum(gradients.len(), parallel::PIECE, |range| {
                let of = range.clone();
                squares(span, &parameters[range], &gradients[of])
            }));
        }
        start = end.max(start);
    }
    sums
}

/// Σ (g + l1 sign w + 2 l2 w)², in eight independent sums so that the loop vectorises.
fn squares<R: Real>(span: &ParameterSpan, parameters: &[R], gradients: &[R]) -> f64 {
    let mut sums = [0.0; 8];
    for (parameters, gradients) in parameters.chunks(8).zip(gradients.chunks(8)) {
        for ((sum, &w), &g) in sums.iter_mut().zip(parameters).zip(gradients) {
            let g = g.to_f64() + span.l1 * w.sign().to_f64() + 2.0 * span.l2 * w.to_f64();
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
        // 1 + 0.5 sign(−2) + 2 · 0.25 · (−2) = −0.5, and 1.2 outside the span: norm 1.3.
        let spans = [ParameterSpan { end: 1, l1: 0.5, l2: 0.25, ..ParameterSpan::default() }];
        let factor = clip_factor(0.13, &spans, &[-2.0_f64, 9.0], &[1.0, 1.2]);
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
        let cuts = |ends: &[usize]| {
            ends.iter()
                .map(|&end| ParameterSpan { end, ..ParameterSpan::default() })
                .collect::<Vec<_>>()
        };
        for spans in [cuts(&[]), cuts(&[1, 40_000, 40_007, 100_003])] {
            let factor = clip_factor(1.0, &spans, &parameters, &gradients);
            assert!((1.0 / factor - (100_003_f64).sqrt() - 1e-6).abs() < 1e-9, "{factor}");
        }
    }
}

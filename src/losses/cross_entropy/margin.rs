//! ArcFace, CosFace and SphereFace margins on the label's cosine: CPU implementation of
//! `cross_entropy_with_margin` and `cross_entropy_margin_gradient` in the shader.

use serde::{Deserialize, Serialize};

use crate::cpu::real::Real;

/// Transform of the label's logit when the predictions are cosines. Other logits are unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetLogitTransform {
    /// cos(θ + m), or cos θ − m sin m if θ + m is beyond π, so that it keeps decreasing, as in the
    /// authors' code.
    ///
    /// J. Deng, J. Guo, N. Xue and S. Zafeiriou, ArcFace: additive angular margin loss for deep
    /// face recognition, 2019.
    ArcFace,
    /// cos θ − m.
    ///
    /// H. Wang et al., CosFace: large margin cosine loss for deep face recognition, 2018.
    CosFace,
    /// cos(mθ) for a whole number m, continued beyond π/m so that it keeps decreasing:
    /// (−1)ᵏ cos(mθ) − 2k, k = ⌊mθ/π⌋.
    ///
    /// W. Liu et al., SphereFace: deep hypersphere embedding for face recognition, 2017.
    SphereFace,
}

/// Smallest sine of a cosine below 1 in f32, √(2⁻²³). At |cos θ| = 1 the derivative of cos(θ + m)
/// with respect to cos θ is infinite, and that of the neighbouring cosine is used.
const LEAST_SINE: f64 = 3.4526698300124393e-4;

/// The transform with its margin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margin {
    pub transform: TargetLogitTransform,
    pub size: f64,
}

impl Margin {
    /// The label's cosine with the margin applied.
    #[inline(always)]
    pub fn apply<R: Real>(self, cosine: R) -> R {
        let size = R::new(self.size);
        match self.transform {
            TargetLogitTransform::SphereFace => multiplied(cosine, self.size).0,
            TargetLogitTransform::CosFace => cosine - size,
            TargetLogitTransform::ArcFace if self.is_beyond(cosine) => {
                cosine - size * R::new(self.size.sin())
            }
            TargetLogitTransform::ArcFace => {
                cosine * R::new(self.size.cos())
                    - square_of_sine(cosine).sqrt() * R::new(self.size.sin())
            }
        }
    }

    /// The derivative of `apply`: sin(θ + m)/sin θ = cos m + cos θ sin m/sin θ.
    #[inline(always)]
    pub fn derivative<R: Real>(self, cosine: R) -> R {
        match self.transform {
            TargetLogitTransform::SphereFace => multiplied(cosine, self.size).1,
            TargetLogitTransform::CosFace => R::ONE,
            TargetLogitTransform::ArcFace if self.is_beyond(cosine) => R::ONE,
            TargetLogitTransform::ArcFace => {
                let sine = Real::max(square_of_sine(cosine).sqrt(), R::new(LEAST_SINE));
                // Outside [-1, 1] the sine stays 0.
                let sine_term = R::select(
                    cosine.abs() > R::ONE,
                    R::ZERO,
                    cosine * R::new(self.size.sin()) / sine,
                );
                R::new(self.size.cos()) + sine_term
            }
        }
    }

    /// True if θ + m is at least π.
    #[inline(always)]
    fn is_beyond<R: Real>(self, cosine: R) -> bool {
        cosine <= R::new(-self.size.cos())
    }
}

/// SphereFace's function of a cosine and its derivative, (−1)ᵏ m sin(mθ)/sin θ: by the Chebyshev
/// polynomials T and U, without an angle. The sign changes of U₀, U₁, …, U_(m−1) are as many as the
/// last has zeros above the cosine (a Sturm sequence), and so is k. Outside [−1, 1] it goes on with
/// derivative 1.
#[inline(always)]
fn multiplied<R: Real>(cosine: R, multiple: f64) -> (R, R) {
    let two = R::new(2.0);
    let c = cosine.clamp(-R::ONE, R::ONE);
    let (mut t, mut last_t) = (c, R::ONE);
    let (mut u, mut last_u) = (R::ONE, R::ZERO);
    let mut changes = 0;
    for _ in 1..multiple as usize {
        (t, last_t) = (two * c * t - last_t, t);
        (u, last_u) = (two * c * u - last_u, u);
        changes += usize::from((u < R::ZERO) != (last_u < R::ZERO));
    }
    let side = if changes.is_multiple_of(2) { R::ONE } else { -R::ONE };
    let value = (side * t - R::new(2.0 * changes as f64)) + (cosine - c);
    (value, R::select(cosine.abs() > R::ONE, R::ONE, side * R::new(multiple) * u))
}

/// 1 − cos², accurate near ±1.
#[inline(always)]
fn square_of_sine<R: Real>(cosine: R) -> R {
    Real::max((R::ONE - cosine) * (R::ONE + cosine), R::ZERO)
}

//! Kernel template of elementwise losses: one value per prediction and target.

use crate::cpu::Broadcast;
use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// The inputs of a pointwise loss, flat and validated.
#[derive(Clone, Copy, Debug)]
pub struct Points<'a, R> {
    /// One per element.
    pub predictions: &'a [R],
    /// One per element.
    pub targets: &'a [R],
    /// Weight of value and gradient.
    pub weight: Broadcast<'a, R>,
    /// True for unmasked elements.
    pub mask: Broadcast<'a, bool>,
    /// One per position on the last axis; empty for none.
    pub column_weight: &'a [R],
    /// Number of elements in a row.
    pub row_length: usize,
    /// The reduction's factor on value and gradient.
    pub factor: R,
    /// The upstream gradient dL/d(value), shared by all elements.
    pub upstream: R,
    /// The upstream gradient dL/d(value) of each element, with reduction `none`; empty otherwise.
    pub upstreams: &'a [R],
}

/// Object-safe form of [`Pointwise`].
pub trait PointwiseCpu {
    /// Returns the sum of the values, in f32 on all cores. Writes the gradient and, unless `values`
    /// is empty, each value.
    fn run_f32(&self, points: &Points<'_, f32>, gradient: &mut [f32], values: &mut [f32]) -> f64;
    /// As `run_f32`, single-threaded in f64.
    fn run_f64(&self, points: &Points<'_, f64>, gradient: &mut [f64], values: &mut [f64]) -> f64;
}

/// Object-safe form of [`PointwiseHessian`].
pub trait PointwiseHessianCpu {
    /// The hessian diagonal, in f32 on all cores.
    fn hessian_f32(&self, points: &Points<'_, f32>, hessian: &mut [f32]);
    /// As `hessian_f32`, single-threaded in f64.
    fn hessian_f64(&self, points: &Points<'_, f64>, hessian: &mut [f64]);
}

/// Object-safe form of [`PointwiseTarget`].
pub trait PointwiseTargetCpu {
    /// The derivatives with respect to the targets, in f32 on all cores.
    fn target_f32(&self, points: &Points<'_, f32>, gradient: &mut [f32]);
    /// As `target_f32`, single-threaded in f64.
    fn target_f64(&self, points: &Points<'_, f64>, gradient: &mut [f64]);
}

impl<R: Real> Points<'_, R> {
    pub(super) fn is_plain(&self) -> bool {
        self.weight.is_none()
            && self.mask.is_none()
            && self.column_weight.is_empty()
            && self.upstreams.is_empty()
    }
}

/// CPU implementation of a pointwise shader. Written once, evaluated in f64 by the reference and in
/// f32 by the CPU.
pub trait Pointwise: Clone + Send + Sync {
    /// Value and derivative of one element.
    fn loss<R: Real>(&self, prediction: R, truth: R) -> (R, R);

    /// As [`Pointwise::loss`], with the weight of the element's column for losses that take one.
    #[inline(always)]
    fn loss_at<R: Real>(&self, prediction: R, truth: R, _column_weight: R) -> (R, R) {
        self.loss(prediction, truth)
    }

    /// Calls `run` with this loss. A loss that depends on an option in ways that cost time (a power,
    /// a branch) passes a copy in which the usual option is a constant to the compiler.
    #[inline(always)]
    fn with_constants<T>(&self, run: impl FnOnce(&Self) -> T) -> T {
        run(self)
    }
}

/// The second derivative of a pointwise loss, named by
/// [`Spec::hessian_diagonal`](crate::losses::Spec::hessian_diagonal).
pub trait PointwiseHessian: Pointwise {
    /// The second derivative of one element.
    fn hessian_diagonal<R: Real>(&self, prediction: R, truth: R, column_weight: R) -> R;
}

/// The derivative of a pointwise loss with respect to its target, named by
/// [`Spec::target_derivative`](crate::losses::Spec::target_derivative).
pub trait PointwiseTarget: Pointwise {
    /// The derivative of one element with respect to its target.
    fn target_derivative<R: Real>(&self, prediction: R, truth: R, column_weight: R) -> R;
}

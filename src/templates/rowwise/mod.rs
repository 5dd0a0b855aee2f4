//! Kernel template of losses over rows: one value per row of class scores.

use crate::cpu::real::Real;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};

pub mod cpu;
pub(crate) mod entmax;
pub(crate) mod gpu;
pub(crate) mod rows;
pub(crate) mod softmax;
pub(crate) mod softmax_target;

/// Object-safe form of [`Rowwise`].
pub trait RowwiseCpu {
    /// Writes value and gradient of each row, in f32 on all cores. `auxiliary` holds one element
    /// per row, or is empty.
    fn run_f32(
        &self,
        rows: &Rows<'_, f32>,
        gradient: &mut [f32],
        values: &mut [f32],
        auxiliary: &mut [Auxiliary<f32>],
    );
    /// As `run_f32`, single-threaded in f64.
    fn run_f64(
        &self,
        rows: &Rows<'_, f64>,
        gradient: &mut [f64],
        values: &mut [f64],
        auxiliary: &mut [Auxiliary<f64>],
    );
    /// The hessian diagonal, in f32 on all cores.
    fn curvature_f32(&self, rows: &Rows<'_, f32>, hessian: &mut [f32]);
    /// As `curvature_f32`, single-threaded in f64.
    fn curvature_f64(&self, rows: &Rows<'_, f64>, hessian: &mut [f64]);
}

/// CPU implementation of a row-wise shader.
pub trait Rowwise: Send + Sync {
    /// True if a negative target marks padding, according to the domain of the targets. A constant,
    /// so that the loops of all other losses are compiled without it.
    const TARGETS_ARE_PADDED: bool = false;

    /// The value of one row. Writes the derivative times `scale` to `gradient`, and the requested
    /// auxiliary outputs.
    fn row<R: Real>(
        &self,
        row: &Row<'_, R>,
        scale: R,
        gradient: &mut [R],
        auxiliary: Option<&mut Auxiliary<R>>,
    ) -> R;

    /// Writes the second derivative with respect to each prediction of one row, times `scale`, if
    /// [`Spec::hessian_diagonal`](crate::losses::Spec::hessian_diagonal) is set.
    #[inline(always)]
    fn curvature<R: Real>(&self, _row: &Row<'_, R>, _scale: R, hessian: &mut [R]) {
        hessian.fill(R::NAN);
    }

    /// Value and gradient of the rows from `first` on by a CPU fast path, if the loss has one for
    /// these inputs. Returns true if it has. Marked `#[inline(always)]`, as all code that should be
    /// vectorised.
    #[inline(always)]
    fn plain_rows(
        &self,
        _rows: &Rows<'_, f32>,
        _first: usize,
        _gradient: &mut [f32],
        _values: &mut [f32],
    ) -> bool {
        false
    }
}

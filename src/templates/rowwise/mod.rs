//! Kernel template of losses over rows: one value per row of class scores.

use crate::cpu::real::Real;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};

pub mod cpu;
pub(crate) mod entmax;
pub(crate) mod gpu;
pub(crate) mod rows;
pub(crate) mod softmax;
pub(crate) mod softmax_target;

/// The object-safe face of [`Rowwise`].
pub trait RowwiseCpu {
    /// Writes value and gradient of each row, in f32 on all cores. `auxiliary` has a place for each row, or none.
    fn run_f32(
        &self,
        rows: &Rows<'_, f32>,
        gradient: &mut [f32],
        values: &mut [f32],
        auxiliary: &mut [Auxiliary<f32>],
    );
    /// As `run_f32`, plain and in f64.
    fn run_f64(
        &self,
        rows: &Rows<'_, f64>,
        gradient: &mut [f64],
        values: &mut [f64],
        auxiliary: &mut [Auxiliary<f64>],
    );
    /// The diagonal of the Hessian, in f32 on all cores.
    fn curvature_f32(&self, rows: &Rows<'_, f32>, hessian: &mut [f32]);
    /// As `curvature_f32`, plain and in f64.
    fn curvature_f64(&self, rows: &Rows<'_, f64>, hessian: &mut [f64]);
}

/// CPU implementation of a row-wise shader.
pub trait Rowwise: Send + Sync {
    /// Whether a target below 0 is padding, as the domain of the targets says. A constant, so that the loops of all other losses
    /// are compiled without it.
    const TARGETS_ARE_PADDED: bool = false;

    /// The value of one row. Writes `scale` times its derivative into `gradient`, and what else is asked for.
    fn row<R: Real>(
        &self,
        row: &Row<'_, R>,
        scale: R,
        gradient: &mut [R],
        auxiliary: Option<&mut Auxiliary<R>>,
    ) -> R;

    /// Writes `scale` times the second derivative by each prediction of one row, where [`Spec::hessian_diagonal`](crate::losses::Spec::hessian_diagonal).
    #[inline(always)]
    fn curvature<R: Real>(&self, _row: &Row<'_, R>, _scale: R, hessian: &mut [R]) {
        hessian.fill(R::NAN);
    }

    /// Value and gradient of the rows from `first` on by a shorter way of the CPU, where the loss has one for these inputs; says
    /// whether it has. Marked `#[inline(always)]`, as everything that is to become vector instructions.
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

//! Kernel template of losses over rows: one value per row of class scores.

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::target::RowTarget;

pub mod cpu;
pub(crate) mod entmax;
pub(crate) mod gpu;
pub(crate) mod rows;
pub(crate) mod softmax;
pub(crate) mod softmax_shifted;
pub(crate) mod softmax_target;
pub(crate) mod target;
pub(crate) mod tiles;

/// The rows of a loss, with targets of the kind that it takes.
pub type RowsOf<'a, R, L> = Rows<'a, R, <<L as Rowwise>::Target<'a, R> as RowTarget<'a, R>>::Rows>;

/// Object-safe form of [`Rowwise`].
pub trait RowwiseCpu {
    /// Writes value and gradient of each row, in f32 on all cores. `auxiliary` holds one element
    /// per row, or is empty.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for targets of a kind that the loss does not take.
    fn run_f32(
        &self,
        rows: &Rows<'_, f32>,
        gradient: &mut [f32],
        values: &mut [f32],
        auxiliary: &mut [Auxiliary<f32>],
    ) -> Result<()>;
    /// As `run_f32`, single-threaded in f64.
    ///
    /// # Errors
    /// As `run_f32`.
    fn run_f64(
        &self,
        rows: &Rows<'_, f64>,
        gradient: &mut [f64],
        values: &mut [f64],
        auxiliary: &mut [Auxiliary<f64>],
    ) -> Result<()>;
}

/// Object-safe form of [`RowwiseHessian`].
pub trait RowwiseHessianCpu {
    /// The hessian diagonal, in f32 on all cores.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for targets of a kind that the loss does not take.
    fn hessian_f32(&self, rows: &Rows<'_, f32>, hessian: &mut [f32]) -> Result<()>;
    /// As `hessian_f32`, single-threaded in f64.
    ///
    /// # Errors
    /// As `hessian_f32`.
    fn hessian_f64(&self, rows: &Rows<'_, f64>, hessian: &mut [f64]) -> Result<()>;
}

/// Object-safe form of [`RowwiseTarget`].
pub trait RowwiseTargetCpu {
    /// The derivatives with respect to the targets, in f32 on all cores.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for targets of a kind that the loss does not take.
    fn target_f32(&self, rows: &Rows<'_, f32>, gradient: &mut [f32]) -> Result<()>;
    /// As `target_f32`, single-threaded in f64.
    ///
    /// # Errors
    /// As `target_f32`.
    fn target_f64(&self, rows: &Rows<'_, f64>, gradient: &mut [f64]) -> Result<()>;
}

/// CPU implementation of a row-wise shader.
pub trait Rowwise: Sized + Send + Sync {
    /// True if a negative target marks padding, according to the domain of the targets. A constant,
    /// so that the loops of all other losses are compiled without it.
    const TARGETS_ARE_PADDED: bool = false;

    /// The target of a row: `usize` for a class, `&'a [R]` for one number per class, or
    /// [`Target`](crate::losses::Target) for a loss that takes both. It agrees with the domain of
    /// the targets in [`Spec`](crate::losses::Spec); targets of the other kind are an error before
    /// `row` is called.
    type Target<'a, R: Real>: RowTarget<'a, R>;

    /// The value of one row. Writes the derivative times `scale` to `gradient`, and the requested
    /// auxiliary outputs.
    fn row<'a, R: Real>(
        &self,
        row: &Row<'a, R, Self::Target<'a, R>>,
        scale: R,
        gradient: &mut [R],
        auxiliary: Option<&mut Auxiliary<R>>,
    ) -> R;

    /// Value and gradient of the rows from `first` on by a CPU fast path, if the loss has one for
    /// these inputs. Returns true if it has. Marked `#[inline(always)]`, as all code that should be
    /// vectorised.
    #[inline(always)]
    fn plain_rows<'a>(
        &self,
        _rows: &RowsOf<'a, f32, Self>,
        _first: usize,
        _gradient: &mut [f32],
        _values: &mut [f32],
    ) -> bool {
        false
    }
}

/// The second derivatives of a row-wise loss, named by
/// [`Spec::hessian_diagonal`](crate::losses::Spec::hessian_diagonal).
pub trait RowwiseHessian: Rowwise {
    /// Writes the second derivative with respect to each prediction of one row, times `scale`.
    fn hessian_diagonal<'a, R: Real>(
        &self,
        row: &Row<'a, R, Self::Target<'a, R>>,
        scale: R,
        hessian: &mut [R],
    );
}

/// The derivatives of a row-wise loss with respect to its dense targets, named by
/// [`Spec::target_derivative`](crate::losses::Spec::target_derivative).
pub trait RowwiseTarget: Rowwise {
    /// Writes the derivative with respect to each target of one row, times `scale`.
    fn target_derivative<'a, R: Real>(
        &self,
        row: &Row<'a, R, Self::Target<'a, R>>,
        scale: R,
        gradient: &mut [R],
    );
}

#[cfg(test)]
mod tests;

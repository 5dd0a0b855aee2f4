//! CPU implementation of the row-wise template, `shaders/templates/rowwise/rowwise.wgsl`.

use crate::Result;
use crate::cpu::real::Real;
use crate::cpu::{parallel, simd};
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::{
    RowsOf, Rowwise, RowwiseCpu, RowwiseHessian, RowwiseHessianCpu, RowwiseTarget, RowwiseTargetCpu,
};

impl<L: Rowwise> RowwiseCpu for L {
    fn run_f32(
        &self,
        rows: &Rows<'_, f32>,
        gradient: &mut [f32],
        values: &mut [f32],
        auxiliary: &mut [Auxiliary<f32>],
    ) -> Result<()> {
        let rows = &rows.for_target::<L::Target<'_, f32>>()?;
        let at_once = parallel::rows_per_piece(rows.columns);
        if !auxiliary.is_empty() {
            // Auxiliary outputs are requested rarely, to inspect rows: no need for threads.
            piece(self, rows, 0, gradient, values, auxiliary);
            return Ok(());
        }
        parallel::sum_into_two(
            gradient,
            at_once * rows.columns,
            values,
            at_once,
            |number, gradient, values| {
                let first = number * at_once;
                simd::dispatch(
                    #[inline(always)]
                    || {
                        if !self.plain_rows(rows, first, gradient, values) {
                            piece(self, rows, first, gradient, values, &mut []);
                        }
                    },
                );
                0.0
            },
        );
        Ok(())
    }

    fn run_f64(
        &self,
        rows: &Rows<'_, f64>,
        gradient: &mut [f64],
        values: &mut [f64],
        auxiliary: &mut [Auxiliary<f64>],
    ) -> Result<()> {
        let rows = &rows.for_target::<L::Target<'_, f64>>()?;
        piece(self, rows, 0, gradient, values, auxiliary);
        Ok(())
    }
}

impl<L: RowwiseHessian> RowwiseHessianCpu for L {
    fn hessian_f32(&self, rows: &Rows<'_, f32>, hessian: &mut [f32]) -> Result<()> {
        let rows = &rows.for_target::<L::Target<'_, f32>>()?;
        each::<_, L>(rows, hessian, |row, scale, cells| self.hessian_diagonal(row, scale, cells));
        Ok(())
    }

    fn hessian_f64(&self, rows: &Rows<'_, f64>, hessian: &mut [f64]) -> Result<()> {
        let rows = &rows.for_target::<L::Target<'_, f64>>()?;
        scaled::<_, L>(rows, 0, hessian, |row, scale, cells| {
            self.hessian_diagonal(row, scale, cells);
        });
        Ok(())
    }
}

impl<L: RowwiseTarget> RowwiseTargetCpu for L {
    fn target_f32(&self, rows: &Rows<'_, f32>, gradient: &mut [f32]) -> Result<()> {
        let rows = &rows.for_target::<L::Target<'_, f32>>()?;
        each::<_, L>(rows, gradient, |row, scale, cells| self.target_derivative(row, scale, cells));
        Ok(())
    }

    fn target_f64(&self, rows: &Rows<'_, f64>, gradient: &mut [f64]) -> Result<()> {
        let rows = &rows.for_target::<L::Target<'_, f64>>()?;
        scaled::<_, L>(rows, 0, gradient, |row, scale, cells| {
            self.target_derivative(row, scale, cells);
        });
        Ok(())
    }
}

/// As [`scaled`] for all rows, on all cores.
fn each<'a, R: Real, L: Rowwise>(
    rows: &RowsOf<'a, R, L>,
    cells: &mut [R],
    write: impl Fn(&Row<'a, R, L::Target<'a, R>>, R, &mut [R]) + Sync,
) {
    let at_once = parallel::rows_per_piece(rows.columns) * rows.columns;
    parallel::fill(cells, at_once, |start, part| {
        R::dispatch(
            #[inline(always)]
            || scaled::<R, L>(rows, start / rows.columns, part, &write),
        )
    });
}

/// Derivatives of the rows from `first` on, by `write(row, scale, cells)`.
#[inline(always)]
fn scaled<'a, R: Real, L: Rowwise>(
    rows: &RowsOf<'a, R, L>,
    first: usize,
    cells: &mut [R],
    write: impl Fn(&Row<'a, R, L::Target<'a, R>>, R, &mut [R]),
) {
    for (k, cells) in cells.chunks_exact_mut(rows.columns).enumerate() {
        match rows.row::<L::Target<'a, R>>(first + k, L::TARGETS_ARE_PADDED) {
            None => cells.fill(R::ZERO),
            Some(row) if row.is_broken() => cells.fill(R::NAN),
            Some(row) => write(&row, rows.weight_and_scale(first + k).1, cells),
        }
    }
}

/// The rows from `first` on, one row per value.
#[inline(always)]
fn piece<'a, R: Real, L: Rowwise>(
    loss: &L,
    rows: &RowsOf<'a, R, L>,
    first: usize,
    gradient: &mut [R],
    values: &mut [R],
    auxiliary: &mut [Auxiliary<R>],
) {
    for (k, (gradient, slot)) in gradient.chunks_exact_mut(rows.columns).zip(values).enumerate() {
        one(loss, rows, first + k, gradient, slot, auxiliary.get_mut(k));
    }
}

/// One row with all optional outputs.
#[inline(always)]
fn one<'a, R: Real, L: Rowwise>(
    loss: &L,
    rows: &RowsOf<'a, R, L>,
    index: usize,
    gradient: &mut [R],
    slot: &mut R,
    auxiliary: Option<&mut Auxiliary<R>>,
) {
    let Some(row) = rows.row::<L::Target<'a, R>>(index, L::TARGETS_ARE_PADDED) else {
        gradient.fill(R::ZERO);
        *slot = R::ZERO;
        return;
    };
    let (weight, scale) = rows.weight_and_scale(index);
    *slot = weight * loss.row(&row, scale, gradient, auxiliary);
    // NaN in, NaN out, for the whole row.
    if row.is_broken() {
        for (item, derivative) in gradient.iter_mut().enumerate() {
            *derivative = R::select(row.is_padding(item), R::ZERO, R::NAN);
        }
        *slot = R::NAN;
    }
}

/// One row that a fast path cannot process. Not inlined, because there are few of these rows.
#[inline(never)]
pub(crate) fn by_itself<'a, L: Rowwise>(
    loss: &L,
    rows: &RowsOf<'a, f32, L>,
    index: usize,
    gradient: &mut [f32],
    slot: &mut f32,
) {
    simd::dispatch(
        #[inline(always)]
        || one(loss, rows, index, gradient, slot, None),
    );
}

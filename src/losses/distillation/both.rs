//! The logits of student and teacher in one row.

use crate::cpu::simd;
use crate::losses::prelude::*;

/// Logits of a row, and its class mask.
pub(super) struct Both<'a, R, K> {
    pub(super) student: &'a [R],
    pub(super) teacher: &'a [R],
    pub(super) temperature: R,
    pub(super) keeps: K,
}

impl<'a, R: Real, K: Fn(usize) -> bool> Both<'a, R, K> {
    #[inline(always)]
    pub(super) fn of(student: &'a [R], teacher: &'a [R], temperature: R, keeps: K) -> Self {
        Both { student, teacher: &teacher[..student.len()], temperature, keeps }
    }

    /// A softened logit of either; −∞ where its class is masked.
    #[inline(always)]
    pub(super) fn soften(&self, logit: R, column: usize) -> R {
        R::select((self.keeps)(column), logit / self.temperature, R::NEG_INFINITY)
    }

    /// Largest softened logit of the student or of the teacher. `softened` holds the softened
    /// logits afterwards.
    #[inline(always)]
    pub(super) fn top(&self, logits: &[R], softened: &mut [R]) -> R {
        for (column, (cell, &x)) in softened.iter_mut().zip(logits).enumerate() {
            *cell = self.soften(x, column);
        }
        simd::maximum(softened)
    }

    /// Writes the scaled derivatives of the unmasked classes.
    #[inline(always)]
    pub(super) fn write(&self, gradient: &mut [R], derivative: impl Fn(usize, R, R, R) -> R) {
        for ((column, cell), (&x, &y)) in
            gradient.iter_mut().enumerate().zip(self.student.iter().zip(self.teacher))
        {
            let derivative = derivative(column, *cell, x, y);
            *cell = R::select((self.keeps)(column) & (x != R::NEG_INFINITY), derivative, R::ZERO);
        }
    }
}

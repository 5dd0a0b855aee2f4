//! Kernel template of losses over two or three vectors per row.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over vectors. Triples of numbers belong to the first, second and
/// third vector of a row, where the third is optional, or to the three sums over its columns.
pub trait Distance: Clone + Send + Sync {
    /// True if a first pass over the row computes its peaks. Otherwise `peaks` below are scales: 1,
    /// or powers of two that bring the peaks near 1 if [`Distance::leaves_range`] requests them.
    fn is_scaled(&self) -> bool {
        false
    }

    /// True if sums of squares overflow or underflow f32, or nearly do. They are then recomputed
    /// from scaled numbers.
    #[inline(always)]
    fn leaves_range<R: Real>(&self, _sums: [R; 3]) -> bool {
        false
    }

    /// Non-negative numbers whose maximum over the row is needed.
    #[inline(always)]
    fn peaks<R: Real>(&self, _cells: [R; 3]) -> [R; 3] {
        [R::ZERO; 3]
    }

    /// Calls `run` with this loss. A loss whose loops depend on an option passes a copy in which the
    /// option is a constant to the compiler: a loop with a branch is not vectorised.
    #[inline(always)]
    fn with_constants(&self, run: impl FnOnce(&Self)) {
        run(self);
    }

    /// The contribution of one column to the sums.
    fn fold<R: Real>(&self, peaks: [R; 3], cells: [R; 3]) -> [R; 3];

    /// The value of a row and the factors of its derivatives, computed from its sums.
    fn finish<R: Real>(&self, peaks: [R; 3], sums: [R; 3], truth: R) -> DistanceTerms<R>;

    /// The derivatives of the value with respect to the numbers of one column.
    fn derivatives<R: Real>(
        &self,
        outcome: &DistanceTerms<R>,
        peaks: [R; 3],
        cells: [R; 3],
    ) -> [R; 3];
}

/// Result of a vector loss for one row.
#[derive(Clone, Copy, Debug)]
pub struct DistanceTerms<R> {
    /// Value of the row.
    pub value: R,
    /// Factors of the derivatives.
    pub factors: [R; 4],
}

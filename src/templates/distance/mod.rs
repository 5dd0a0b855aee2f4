//! Kernel template of losses over two or three vectors per row.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over vectors. Numbers in threes belong to the first, the second and the third vector of a row, of which
/// the third may be missing, or to the three sums over its columns.
pub trait Distance: Clone + Send + Sync {
    /// Whether a pass over the row for its peaks comes first. Else `peaks` below are scales: 1, and powers of two that bring the peaks
    /// near 1 where [`Vectors::leaves_range`] asks for them.
    fn is_scaled(&self) -> bool {
        false
    }

    /// Whether sums of squares left f32, or nearly, above or below: they are then taken anew, of scaled numbers.
    #[inline(always)]
    fn leaves_range<R: Real>(&self, _sums: [R; 3]) -> bool {
        false
    }

    /// Numbers of which the largest in the row are wanted, none below 0.
    #[inline(always)]
    fn peaks<R: Real>(&self, _cells: [R; 3]) -> [R; 3] {
        [R::ZERO; 3]
    }

    /// What one column adds to the sums.
    fn fold<R: Real>(&self, peaks: [R; 3], cells: [R; 3]) -> [R; 3];

    /// The value of a row from its sums, and what its derivatives are made of.
    fn finish<R: Real>(&self, peaks: [R; 3], sums: [R; 3], truth: R) -> DistanceTerms<R>;

    /// The derivatives of the value by the numbers of one column.
    fn derivatives<R: Real>(
        &self,
        outcome: &DistanceTerms<R>,
        peaks: [R; 3],
        cells: [R; 3],
    ) -> [R; 3];
}

/// What a loss over vectors gives for a row.
#[derive(Clone, Copy, Debug)]
pub struct DistanceTerms<R> {
    /// The value.
    pub value: R,
    /// What the derivatives are made of.
    pub factors: [R; 4],
}

//! CPU implementations: vectorized loops, matrix products, work split over threads.
//!
//! Every result has the same bits for any number of threads and any vector width: sums use a fixed
//! number of SIMD lanes, splits depend only on the length, and products and sums are never fused
//! outside the matrix product.

pub(crate) mod cholesky;
pub(crate) mod half;
pub mod random;
pub mod real;

pub mod matmul;
pub(crate) mod parallel;
pub(crate) mod scratch;
pub mod simd;

/// A value per element, per row, or none.
#[derive(Clone, Copy, Debug)]
pub enum Broadcast<'a, T> {
    /// None: the default applies.
    None,
    /// One per element.
    Element(&'a [T]),
    /// One per row.
    Row(&'a [T]),
}

impl<T: Copy> Broadcast<'_, T> {
    /// The value at an element of a row.
    #[inline(always)]
    pub fn at(&self, element: usize, row: usize, default: T) -> T {
        match self {
            Broadcast::None => default,
            Broadcast::Element(values) => values[element],
            Broadcast::Row(values) => values[row],
        }
    }

    /// True if there are no values.
    pub fn is_none(&self) -> bool {
        matches!(self, Broadcast::None)
    }
}

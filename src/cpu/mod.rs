//! The CPU's own kernels: vectorised loops, matrix products, work split over threads.
//!
//! Every result is the same bits for any number of threads and any vector width: sums have a fixed number of lanes, splits depend on
//! the length alone, and products and sums are never fused outside the matrix product.

pub mod random;
pub mod real;

pub mod entmax;
pub mod matmul;
pub mod parallel;
pub mod simd;
pub(crate) mod softmax;
pub(crate) mod softmax_target;

/// A number for each element, for each row, or none.
#[derive(Clone, Copy, Debug)]
pub enum Broadcast<'a, T> {
    /// Nothing: the default holds.
    None,
    /// One for each element.
    Element(&'a [T]),
    /// One for each row.
    Row(&'a [T]),
}

impl<T: Copy> Broadcast<'_, T> {
    /// The number at an element of a row.
    #[inline(always)]
    pub fn at(&self, element: usize, row: usize, default: T) -> T {
        match self {
            Broadcast::None => default,
            Broadcast::Element(values) => values[element],
            Broadcast::Row(values) => values[row],
        }
    }

    /// Whether there is nothing.
    pub fn is_none(&self) -> bool {
        matches!(self, Broadcast::None)
    }
}

//! The sizes of a matrix product.

/// output[m, n] = left[m, k] · right[k, n].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    pub m: u32,
    pub n: u32,
    pub k: u32,
}

impl Shape {
    /// Multiplications in the product.
    pub(crate) fn products(self) -> u64 {
        u64::from(self.m) * u64::from(self.n) * u64::from(self.k)
    }
}

//! The CPU's own kernels: vectorised loops, matrix products, work split over threads.
//!
//! Every result is the same bits for any number of threads and any vector width: sums have a fixed number of lanes, splits depend on
//! the length alone, and products and sums are never fused outside the matrix product.

pub mod matmul;
pub mod parallel;
pub mod simd;

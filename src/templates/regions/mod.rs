//! Kernel template of losses of the regions of classes, [batch, classes, places]: one value per item,
//! from sums over the regions.

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over regions.
pub trait Regions: Clone + Send + Sync {
    /// The weight of a region, by the sum of its truths, which is above 0. A region without one has
    /// the largest weight of the others.
    fn weight(&self, total: f64) -> f64;

    /// The value, and the derivatives by a probability where the truth is 0 and where it is 1, both
    /// divided by the weight; from the weighted sums of p t and of p (1 − t) + t (1 − p).
    fn finish(&self, found: f64, apart: f64) -> [f64; 3];
}

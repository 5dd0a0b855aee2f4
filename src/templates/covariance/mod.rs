//! Kernel template of losses of the covariances of embedding columns: two matrices of embeddings of
//! the same things, one value for the whole batch.

use crate::cpu::real::Real;

pub mod cpu;
pub(crate) mod gpu;

/// Properties of a loss that the covariance template needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CovarianceRule {
    /// True for the correlations of the columns of one matrix with those of the other: the columns
    /// are divided by their deviations. False for the covariances of each matrix by itself.
    pub correlates: bool,
    /// Added to the variances.
    pub epsilon: f64,
}

/// CPU implementation of a shader over covariances. Each function returns a value and its
/// derivative.
pub trait Covariance: Clone + Send + Sync {
    /// What is compared.
    fn rule(&self) -> CovarianceRule;

    /// An entry of a matrix of covariances.
    fn entry<R: Real>(&self, covariance: R, is_diagonal: bool, columns: R) -> [R; 2];

    /// The deviation of a column, the square root of variance plus ε.
    fn deviation<R: Real>(&self, _deviation: R, _columns: R) -> [R; 2] {
        [R::ZERO; 2]
    }

    /// The difference of two elements in the same place of the two matrices.
    fn apart<R: Real>(&self, _difference: R, _elements: R) -> [R; 2] {
        [R::ZERO; 2]
    }
}

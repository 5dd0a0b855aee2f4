//! Operations of a network on the GPU: matrix products and the dense layers around them.

pub(crate) mod dense;
pub(crate) mod matmul;

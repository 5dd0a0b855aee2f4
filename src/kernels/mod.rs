//! The host's side of the kernels: which variant, how many workgroups, which part of a tensor.

pub(crate) mod embedding;
pub(crate) mod linking;
pub(crate) mod loss;
pub(crate) mod matmul;
pub(crate) mod network;
pub(crate) mod product;
pub(crate) mod sort;
pub(crate) mod tile;
pub(crate) mod tune;
pub(crate) mod update;
pub(crate) mod whole;

//! Ops: what the nodes of a graph compute, one file each.
//!
//! A new op is one file here, its shaders under `shaders/ops`, and one line in the list. The file
//! implements [`Op`](crate::nn::graph::op::Op); its entry says which examples the tests of all ops
//! run it with: the rule of its shape, central differences in the middle of a graph, a value used
//! twice, and each device against the reference.

pub(crate) mod activation;
pub(crate) mod add;
pub(crate) mod dense;
pub(crate) mod embedding;
pub(crate) mod gather;
pub(crate) mod matmul;
pub(crate) mod metrics;
pub(crate) mod softmax;

use crate::nn::activations::Activation;
use crate::nn::graph::op::Entry;
use crate::runtime::pipeline::Program;

/// Every op, by name.
pub(crate) static OPS: &[&Entry] =
    &[&activation::ENTRY, &dense::ENTRY, &embedding::ENTRY, &softmax::ENTRY];

/// The programs of one activation by itself, forward and backward.
pub(crate) fn activation_programs(activation: &dyn Activation) -> Vec<Program> {
    let of = if activation.rowwise() {
        softmax::programs_of(64.0)
    } else {
        activation::programs_of(activation, 64.0)
    };
    of.into()
}

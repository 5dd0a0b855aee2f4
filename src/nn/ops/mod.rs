//! Ops: the functions of graph nodes, one file each.
//!
//! A new op is one file here, its shaders under `shaders/ops`, and one entry in the list. The file
//! implements [`Op`](crate::nn::graph::op::Op); its entry provides the examples for the tests of
//! all ops: the shape rule, central differences inside a graph, a value used twice, and each device
//! against the reference.

pub(crate) mod activation;
pub(crate) mod add;
pub(crate) mod concat;
pub(crate) mod dense;
pub(crate) mod embedding;
pub(crate) mod flatten;
pub(crate) mod gather;
pub(crate) mod matmul;
pub(crate) mod metrics;
pub(crate) mod pool;
pub(crate) mod softmax;

use crate::nn::activations::activation::Activation;
use crate::nn::graph::op::Entry;
use crate::runtime::kernel::Program;

/// Every op, by name.
pub(crate) static OPS: &[&Entry] = &[
    &activation::ENTRY,
    &pool::average::ADAPTIVE_ENTRY,
    &add::ENTRY,
    &pool::average::ENTRY,
    &concat::ENTRY,
    &dense::ENTRY,
    &embedding::ENTRY,
    &flatten::ENTRY,
    &pool::global::AVERAGE_ENTRY,
    &pool::global::MAX_ENTRY,
    &pool::max::ENTRY,
    &softmax::ENTRY,
];

/// The programs of a stand-alone activation, forward and backward.
pub(crate) fn activation_programs(activation: &dyn Activation) -> Vec<Program> {
    let of = if activation.rowwise() {
        softmax::programs_of(64.0)
    } else {
        activation::programs_of(activation, 64.0)
    };
    of.into()
}

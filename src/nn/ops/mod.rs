//! Ops: the functions of graph nodes, one file each.
//!
//! A new op is one file here, its shaders under `shaders/ops`, and one entry in the list. The file
//! implements [`Op`](crate::nn::graph::op::Op); its entry provides the examples for the tests of
//! all ops: the shape rule, central differences inside a graph, a value used twice, and each device
//! against the reference.

pub(crate) mod activation;
pub(crate) mod add;
pub(crate) mod attention;
pub(crate) mod batch_norm;
pub(crate) mod column_sums;
pub(crate) mod concat;
pub(crate) mod conv2d;
pub(crate) mod custom;
pub(crate) mod dense;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod flatten;
pub(crate) mod gather;
pub(crate) mod group_norm;
pub(crate) mod gumbel_noise;
pub(crate) mod layer_norm;
pub(crate) mod lengths;
pub(crate) mod masked_mean;
pub(crate) mod matmul;
pub(crate) mod metrics;
pub(crate) mod norm;
pub(crate) mod pool;
pub(crate) mod positions;
pub(crate) mod prelu;
pub(crate) mod rms_norm;
pub(crate) mod softmax;
pub(crate) mod tied_dense;
pub(crate) mod token_embedding;
pub(crate) mod token_types;
pub(crate) mod watch;

use crate::nn::activations::activation::Activation;
use crate::nn::graph::op::Entry;
use crate::runtime::kernel::Program;

/// Every op, by name.
pub(crate) static OPS: &[&Entry] = &[
    &activation::ENTRY,
    &pool::average::ADAPTIVE_ENTRY,
    &add::ENTRY,
    &attention::ENTRY,
    &pool::average::ENTRY,
    &batch_norm::ENTRY,
    &concat::ENTRY,
    &conv2d::ENTRY,
    &custom::node::ENTRY,
    &dense::ENTRY,
    &dropout::ENTRY,
    &embedding::ENTRY,
    &flatten::ENTRY,
    &pool::global::AVERAGE_ENTRY,
    &pool::global::MAX_ENTRY,
    &group_norm::ENTRY,
    &gumbel_noise::ENTRY,
    &layer_norm::ENTRY,
    &lengths::ENTRY,
    &masked_mean::ENTRY,
    &pool::max::ENTRY,
    &positions::ENTRY,
    &prelu::ENTRY,
    &rms_norm::ENTRY,
    &softmax::ENTRY,
    &tied_dense::ENTRY,
    &token_embedding::ENTRY,
    &token_types::ENTRY,
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

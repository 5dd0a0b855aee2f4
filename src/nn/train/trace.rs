//! What a pass over rows shows beside their outputs: for each dense layer its inputs and the
//! gradients of its sums, from which a row's own gradient follows without being stored.

use std::any::Any;

use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::Op;
use crate::nn::ops::dense::Dense;
use crate::{Error, Result};

/// What a trace holds beside the outputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// The dense layers of [`traced_layers`].
    pub layers: bool,
    /// The gradient of each row's loss by its features.
    pub input_gradient: bool,
}

/// A pass over some rows, forward and back from each row's own loss, as the model predicts.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// [rows, outputs]
    pub outputs: Vec<f64>,
    /// In the order of [`traced_layers`].
    pub layers: Vec<LayerTrace>,
    /// [rows, inputs]; empty if it was not asked.
    pub input_gradient: Vec<f64>,
}

/// What a dense layer saw.
#[derive(Debug, Default)]
pub(crate) struct LayerTrace {
    /// Its inputs, [rows, inputs].
    pub inputs: Vec<f64>,
    /// The gradient of each row's loss by the sums x W + b, [rows, units].
    pub deltas: Vec<f64>,
}

/// A dense layer whose rows are those of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TracedLayer {
    pub node: usize,
    pub inputs: usize,
    pub units: usize,
    pub bias: bool,
}

/// The dense layers of a graph, if all of its parameters are theirs and each layer runs once for a
/// row; `None` for any other graph, where a row's gradient is not an outer product in each layer.
pub(crate) fn traced_layers(graph: &Graph) -> Option<Vec<TracedLayer>> {
    let mut layers: Vec<TracedLayer> = Vec::new();
    for (number, node) in graph.nodes.iter().enumerate() {
        if node.ranges.is_empty() && graph.table().is_none_or(|(owner, _)| owner != number) {
            continue;
        }
        let op: &dyn Op = &*node.op;
        let dense = (op as &dyn Any).downcast_ref::<Dense>()?;
        let is_row = node.inputs.len() == 1 && graph.shape(node.inputs[0]).len() == 1;
        let is_shared =
            layers.iter().any(|layer| graph.nodes[layer.node].ranges[0] == node.ranges[0]);
        if !is_row || is_shared || dense.activation.is_some() {
            return None;
        }
        let (inputs, units) = (graph.width(node.inputs[0]), dense.units);
        layers.push(TracedLayer { node: number, inputs, units, bias: dense.bias });
    }
    Some(layers)
}

/// Rejects a graph that has no derivative as it predicts: batch norm's is that of a training batch.
pub(crate) fn check(graph: &Graph, operation: &str) -> Result<()> {
    match graph.statistics.first() {
        None => Ok(()),
        Some(statistic) => Err(Error::Input {
            operation: operation.into(),
            name: "the model".into(),
            found: format!("has batch norm ({})", statistic.path),
            allowed: "a model without: gradients through running statistics are not there".into(),
        }),
    }
}

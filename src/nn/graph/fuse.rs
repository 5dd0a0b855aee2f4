//! Graph rewrites that fuse ops into one kernel. Each is tested against the unfused graph.
//!
//! | rule | before | after |
//! |---|---|---|
//! | `epilogues` | dense, then an elementwise activation | the activation in the epilogue of the dense layer's product |
//! | `derivatives` | a dense layer's input gradient, then the derivative of the previous activation | the derivative in the epilogue of that product |
//! | `chunked_head` | the last dense layer over all rows, then the loss | both over a chunk of the rows at a time |
//! | `relu_behind_pooling` | relu, then max pooling | max pooling, then relu of what is left of it |

use std::any::Any;
use std::sync::Arc;

use crate::Result;
use crate::nn::activations::Relu;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::{Graph, Node, Value};
use crate::nn::graph::op::Op;
use crate::nn::ops::activation::Activate;
use crate::nn::ops::dense::Dense;
use crate::nn::ops::pool::max::MaxPool2d;

fn as_dense(node: &Node) -> Option<&Dense> {
    let op: &dyn Op = &*node.op;
    (op as &dyn Any).downcast_ref()
}

fn as_activation(node: &Node) -> Option<Arc<dyn Activation>> {
    let op: &dyn Op = &*node.op;
    (op as &dyn Any).downcast_ref::<Activate>().map(|op| op.activation.clone())
}

/// The only node that reads a value.
fn only_reader(graph: &Graph, value: Value) -> Option<usize> {
    let mut readers = graph.readers(value);
    readers.next().filter(|_| readers.next().is_none())
}

/// Swaps relu and the max pooling behind it, if nothing else reads the relu: of the largest numbers
/// alone the same, a quarter of the elements for windows of 2 × 2. Outputs and gradients keep their
/// bits: the winner of a window without a positive number gets no gradient in either order.
pub(crate) fn relu_behind_pooling(graph: &Graph) -> Result<Graph> {
    let mut nodes = graph.nodes.clone();
    for number in 0..nodes.len() {
        let is_relu = as_activation(&nodes[number]).is_some_and(|of| of.name() == Relu.name());
        let Some(reader) = only_reader(graph, Value(number + 1)).filter(|_| is_relu) else {
            continue;
        };
        let op: &dyn Op = &*nodes[reader].op;
        if !(op as &dyn Any).is::<MaxPool2d>() {
            continue;
        }
        let (relu, pooling) = (nodes[number].clone(), nodes[reader].clone());
        nodes[number] = Node { inputs: relu.inputs.clone(), ..pooling.clone() };
        nodes[reader] = Node { inputs: pooling.inputs, ..relu };
    }
    graph.with_nodes(nodes)
}

/// Fuses bias and activation into the epilogue of the product, if no other node reads its output.
pub(crate) fn epilogues(graph: &Graph) -> Result<Graph> {
    let mut nodes: Vec<Node> = Vec::new();
    // The new value of each value of the old graph.
    let mut renamed = vec![Value(0)];
    for (number, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<Value> = node.inputs.iter().map(|value| renamed[value.0]).collect();
        let below = node.inputs[0].0.checked_sub(1);
        let dense = below.and_then(|below| as_dense(&graph.nodes[below]));
        let is_alone = only_reader(graph, node.inputs[0]) == Some(number);
        if let (Some(activation), Some(dense), true) = (as_activation(node), dense, is_alone) {
            let fused = Dense { activation: Some(activation), ..dense.clone() };
            nodes[inputs[0].0 - 1].op = Arc::new(fused);
            renamed.push(inputs[0]);
            continue;
        }
        nodes.push(Node { inputs, ..node.clone() });
        renamed.push(Value(nodes.len()));
    }
    graph.with_nodes(nodes)
}

/// Fuses the derivative of an activation into the epilogue of the next layer's input gradient, if
/// no other node reads the activation. Runs after [`epilogues`]; a chunked last layer is excluded,
/// since its product writes only a chunk of the gradient.
pub(crate) fn derivatives(graph: &Graph, is_chunked: bool) -> Result<Graph> {
    let mut nodes = graph.nodes.clone();
    for number in 0..nodes.len() - usize::from(is_chunked) {
        let Some(below) = nodes[number].inputs[0].0.checked_sub(1) else { continue };
        if only_reader(graph, nodes[number].inputs[0]) != Some(number) {
            continue;
        }
        let (Some(dense), Some(source)) = (as_dense(&nodes[number]), as_dense(&nodes[below]))
        else {
            continue;
        };
        let Some(activation) = source.activation.clone() else { continue };
        let (dense, source) = (dense.clone(), source.clone());
        nodes[number].op = Arc::new(Dense { input_activation: Some(activation), ..dense });
        nodes[below].op = Arc::new(Dense { derivative_is_behind: true, ..source });
    }
    graph.with_nodes(nodes)
}

/// Turns the last dense layer into a chunked head; `None` if the graph does not end in a dense
/// layer without activation.
pub(crate) fn chunked_head(graph: &Graph) -> Result<Option<Graph>> {
    let mut nodes = graph.nodes.clone();
    let Some(last) = nodes.last_mut() else { return Ok(None) };
    let Some(dense) = as_dense(last).filter(|dense| dense.activation.is_none()) else {
        return Ok(None);
    };
    last.op = Arc::new(Dense { bias_first: true, ..dense.clone() });
    graph.with_nodes(nodes).map(Some)
}

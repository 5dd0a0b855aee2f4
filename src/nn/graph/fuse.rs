//! Graph rewrites that fuse ops into one kernel. Each is tested against the unfused graph.
//!
//! | rule | before | after |
//! |---|---|---|
//! | `epilogues` | dense or a convolution, then an elementwise activation | the activation in the epilogue of the product |
//! | `derivatives` | a dense layer's input gradient, then the derivative of the previous activation | the derivative in the epilogue of that product |
//! | `chunked_head` | the last dense layer over all rows, then the loss | both over a chunk of the rows at a time |
//! | `relu_behind_pooling` | relu, then max pooling | max pooling, then relu of what is left of it |
//! | `folded_norms` | a convolution, then batch norm, when predicting | a convolution with other weights |
//! | `residual_norm` | batch norm, then a residual sum | the sum and its relu in the pass of batch norm |

use std::any::Any;
use std::sync::Arc;

use crate::Result;
use crate::nn::activations::Relu;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::{Graph, Node, Value};
use crate::nn::graph::op::Op;
use crate::nn::ops::activation::Activate;
use crate::nn::ops::add::Add;
use crate::nn::ops::batch_norm::BatchNorm;
use crate::nn::ops::conv2d::{Conv2d, FoldedNorm};
use crate::nn::ops::dense::Dense;
use crate::nn::ops::pool::max::MaxPool2d;

fn as_op<T: Op>(node: &Node) -> Option<&T> {
    let op: &dyn Op = &*node.op;
    (op as &dyn Any).downcast_ref()
}

fn as_dense(node: &Node) -> Option<&Dense> {
    as_op(node)
}

fn as_activation(node: &Node) -> Option<Arc<dyn Activation>> {
    as_op::<Activate>(node).map(|op| op.activation.clone())
}

/// The only node that reads a value, and only once: `x + x` reads it twice.
fn only_reader(graph: &Graph, value: Value) -> Option<usize> {
    let mut readers = graph.readers(value);
    let reader = readers.next().filter(|_| readers.next().is_none())?;
    let uses = graph.nodes[reader].inputs.iter().filter(|&&input| input == value).count();
    (uses == 1).then_some(reader)
}

/// The rules that hold on every device.
pub(crate) fn everywhere(graph: &Graph) -> Result<Graph> {
    residual_norm(&relu_behind_pooling(graph)?)
}

/// The graph that predicts: each batch norm behind a convolution that nothing else reads is folded
/// into its weights, and activations into the epilogues of the products. Not for training, whose
/// statistics are those of the batch. `None` if there is nothing to fold.
pub(crate) fn predicting(graph: &Graph) -> Result<Option<Graph>> {
    match folded_norms(graph)? {
        Some(folded) => epilogues(&folded).map(Some),
        None => Ok(None),
    }
}

fn folded_norms(graph: &Graph) -> Result<Option<Graph>> {
    let mut nodes: Vec<Node> = Vec::new();
    // The new value of each value of the old graph.
    let mut renamed = vec![Value(0)];
    let mut is_folded = false;
    for (number, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<Value> = node.inputs.iter().map(|value| renamed[value.0]).collect();
        let below = node.inputs[0].0.checked_sub(1);
        let is_alone = only_reader(graph, node.inputs[0]) == Some(number);
        let norm: Option<&BatchNorm> = as_op(node).filter(|_| is_alone);
        let convolution: Option<&Conv2d> = below.and_then(|below| as_op(&graph.nodes[below]));
        let (Some(norm), Some(convolution)) = (norm, convolution) else {
            nodes.push(Node { inputs, ..node.clone() });
            renamed.push(Value(nodes.len()));
            continue;
        };
        is_folded = true;
        let of_norm = FoldedNorm { epsilon: norm.epsilon, affine: norm.affine };
        let folded = Conv2d { norm: Some(of_norm), ..convolution.clone() };
        let product = &mut nodes[inputs[0].0 - 1];
        product.op = Arc::new(folded);
        product.ranges.extend(node.ranges.iter().cloned());
        product.statistics.extend(node.statistics.iter().cloned());
        // What else batch norm did.
        let rest: Option<Arc<dyn Op>> = match (norm.residual, norm.relu) {
            (true, relu) => Some(Arc::new(Add { relu })),
            (false, true) => Some(Arc::new(Activate { activation: Arc::new(Relu) })),
            (false, false) => None,
        };
        match rest {
            Some(op) => {
                let (ranges, statistics) = (Vec::new(), Vec::new());
                nodes.push(Node { op, inputs, ranges, statistics, ..node.clone() });
                renamed.push(Value(nodes.len()));
            }
            None => renamed.push(inputs[0]),
        }
    }
    is_folded.then(|| graph.with_nodes(nodes)).transpose()
}

/// Fuses a sum of two values and its relu into the batch norm that makes one of them, if nothing
/// else reads that: two passes over the tensor fewer in each direction.
pub(crate) fn residual_norm(graph: &Graph) -> Result<Graph> {
    // For each node the batch norm that it takes in, and its place among the node's inputs.
    let taken: Vec<Option<(usize, usize)>> = (0..graph.nodes.len())
        .map(|number| {
            let node = &graph.nodes[number];
            as_op::<Add>(node).filter(|_| node.inputs.len() == 2)?;
            [0, 1].into_iter().find_map(|side| {
                let maker = node.inputs[side].0.checked_sub(1)?;
                let norm: &BatchNorm = as_op(&graph.nodes[maker])?;
                let is_plain = !norm.relu && !norm.residual;
                let is_alone = only_reader(graph, node.inputs[side]) == Some(number);
                (is_plain && is_alone).then_some((maker, side))
            })
        })
        .collect();
    let mut nodes: Vec<Node> = Vec::new();
    // The new value of each value of the old graph; that of a batch norm which is taken in is not
    // read.
    let mut renamed = vec![Value(0)];
    for (number, node) in graph.nodes.iter().enumerate() {
        if taken.iter().flatten().any(|&(maker, _)| maker == number) {
            renamed.push(Value(nodes.len()));
            continue;
        }
        let of_node = |node: &Node| node.inputs.iter().map(|value| renamed[value.0]).collect();
        let fused = taken[number].and_then(|(maker, side)| {
            let norm = &graph.nodes[maker];
            let op: &BatchNorm = as_op(norm)?;
            let relu = as_op::<Add>(node)?.relu;
            let op = Arc::new(BatchNorm { relu, residual: true, ..*op });
            let inputs = vec![renamed[norm.inputs[0].0], renamed[node.inputs[1 - side].0]];
            Some(Node { op, inputs, ..norm.clone() })
        });
        let kept = fused.unwrap_or_else(|| Node { inputs: of_node(node), ..node.clone() });
        nodes.push(kept);
        renamed.push(Value(nodes.len()));
    }
    graph.with_nodes(nodes)
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
        if as_op::<MaxPool2d>(&nodes[reader]).is_none() {
            continue;
        }
        let (relu, pooling) = (nodes[number].clone(), nodes[reader].clone());
        nodes[number] = Node { inputs: relu.inputs.clone(), ..pooling.clone() };
        nodes[reader] = Node { inputs: pooling.inputs, ..relu };
    }
    graph.with_nodes(nodes)
}

/// Fuses the activation behind a product into its epilogue, if no other node reads its output.
pub(crate) fn epilogues(graph: &Graph) -> Result<Graph> {
    let mut nodes: Vec<Node> = Vec::new();
    // The new value of each value of the old graph.
    let mut renamed = vec![Value(0)];
    for (number, node) in graph.nodes.iter().enumerate() {
        let inputs: Vec<Value> = node.inputs.iter().map(|value| renamed[value.0]).collect();
        let below = node.inputs[0].0.checked_sub(1);
        let is_alone = only_reader(graph, node.inputs[0]) == Some(number);
        let activation = as_activation(node).filter(|_| is_alone);
        let fused = below
            .zip(activation)
            .and_then(|(below, activation)| with_activation(&graph.nodes[below], activation));
        if let Some(op) = fused {
            nodes[inputs[0].0 - 1].op = op;
            renamed.push(inputs[0]);
            continue;
        }
        nodes.push(Node { inputs, ..node.clone() });
        renamed.push(Value(nodes.len()));
    }
    graph.with_nodes(nodes)
}

/// The op of a product with an activation in its epilogue; none for other ops. The kernels of
/// groups have no epilogue.
fn with_activation(node: &Node, activation: Arc<dyn Activation>) -> Option<Arc<dyn Op>> {
    let activation = Some(activation);
    if let Some(dense) = as_dense(node) {
        return Some(Arc::new(Dense { activation, ..dense.clone() }));
    }
    let convolution: &Conv2d = as_op(node)?;
    let fused = || Conv2d { activation, ..convolution.clone() };
    (convolution.groups == 1).then(|| Arc::new(fused()) as Arc<dyn Op>)
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

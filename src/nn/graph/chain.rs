//! Chains of dense layers: the models of the fused small-model kernel and of populations.

use std::ops::Range;
use std::sync::Arc;

use crate::nn::activations::Identity;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::graph::op::Op;
use crate::nn::ops::activation::Activate;
use crate::nn::ops::dense::Dense;
use crate::nn::ops::softmax::Softmax;
use crate::nn::optimizers::ParameterSpan;

/// A dense layer with its activation, and the location of its parameters.
#[derive(Clone, Debug)]
pub(crate) struct ChainLayer {
    pub inputs: usize,
    pub units: usize,
    pub bias: bool,
    pub activation: Arc<dyn Activation>,
    /// Offset of W, row-major, followed directly by b: the gradient of both is one matrix product.
    pub offset: usize,
}

impl ChainLayer {
    pub fn weights(&self) -> Range<usize> {
        self.offset..self.offset + self.inputs * self.units
    }

    pub fn biases(&self) -> Range<usize> {
        let start = self.weights().end;
        start..start + if self.bias { self.units } else { 0 }
    }
}

/// A sequence of dense layers and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct DenseChain {
    pub layers: Vec<ChainLayer>,
    /// Elements of the flat buffer.
    pub length: usize,
    pub spans: Vec<ParameterSpan>,
}

impl DenseChain {
    /// The length of a prediction.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.units)
    }
}

impl Graph {
    /// The graph as a chain of dense layers, each with at most one activation; `None` for any other
    /// graph, and for one whose parameters are in groups, which only the optimizers' own kernels
    /// know.
    pub fn as_dense_chain(&self) -> Option<DenseChain> {
        let mut layers: Vec<ChainLayer> = Vec::new();
        let mut has_activation = true;
        if self.shape(self.input()).len() != 1 || self.is_grouped() {
            return None;
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let is_row = |value: &Value| self.shape(*value).len() == 1;
            if node.inputs.len() != 1 || node.inputs[0].0 != number || !is_row(&node.inputs[0]) {
                return None;
            }
            let op: &dyn Op = &*node.op;
            if let Some(dense) = (op as &dyn std::any::Any).downcast_ref::<Dense>() {
                let (inputs, offset) = (self.width(node.inputs[0]), node.ranges[0].start);
                // The kernels of chains write each layer's gradient once.
                if layers.iter().any(|layer| layer.offset == offset) {
                    return None;
                }
                let activation = Arc::new(Identity);
                layers.push(ChainLayer {
                    inputs,
                    units: dense.units,
                    bias: dense.bias,
                    activation,
                    offset,
                });
                has_activation = dense.activation.is_some();
                continue;
            }
            let activation = activation_of(op).filter(|_| !has_activation)?;
            layers.last_mut()?.activation = activation;
            has_activation = true;
        }
        let (length, spans) = (self.length, self.spans.clone());
        (!layers.is_empty()).then_some(DenseChain { layers, length, spans })
    }
}

/// The activation of an activation op.
fn activation_of(op: &dyn Op) -> Option<Arc<dyn Activation>> {
    let any = op as &dyn std::any::Any;
    if any.is::<Softmax>() {
        return Some(Arc::new(crate::nn::activations::Softmax));
    }
    any.downcast_ref::<Activate>().map(|op| op.activation.clone())
}

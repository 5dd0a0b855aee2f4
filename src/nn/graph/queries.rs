//! What a graph says of itself: shapes, readers, parameters and tables.

use std::any::Any;
use std::ops::Range;

use crate::nn::graph::nodes::{Graph, Node, Parameter, Value};
use crate::nn::graph::op::{GradientKind, Shape};
use crate::nn::layers::embedding::Embedding;
use crate::nn::ops::activation::Activate;
use crate::nn::ops::dense::Dense;
use crate::nn::ops::softmax::Softmax;
use crate::nn::ops::tied_dense::TiedDense;
use crate::nn::optimizers::ParameterSpan;

impl Graph {
    /// The shape of a sample.
    pub fn shape(&self, value: Value) -> &Shape {
        &self.shapes[value.0]
    }

    /// Elements of a sample.
    pub fn width(&self, value: Value) -> usize {
        self.shapes[value.0].iter().fold(1, |all, &axis| all.saturating_mul(axis))
    }

    /// The shapes of a node's inputs.
    pub fn input_shapes(&self, node: usize) -> Vec<&Shape> {
        self.nodes[node].inputs.iter().map(|&value| self.shape(value)).collect()
    }

    /// The graph's output.
    pub fn last(&self) -> Value {
        Value(self.nodes.len())
    }

    /// Nodes that read a value, in order.
    pub fn readers(&self, value: Value) -> impl Iterator<Item = usize> + '_ {
        self.nodes
            .iter()
            .enumerate()
            .filter(move |(_, node)| node.inputs.contains(&value))
            .map(|(number, _)| number)
    }

    /// The length of a row of features.
    pub fn inputs(&self) -> usize {
        self.width(Value(0))
    }

    /// The length of a prediction.
    pub fn outputs(&self) -> usize {
        self.width(self.last())
    }

    /// The last axis of a prediction: what a row of the loss has.
    pub fn columns(&self) -> usize {
        self.shape(self.last()).last().copied().unwrap_or(1)
    }

    /// Rows of the loss per row of features: the leading axes of a prediction.
    pub fn positions(&self) -> usize {
        self.outputs() / self.columns().max(1)
    }

    /// Rows that a training batch needs at least.
    pub fn least_rows(&self) -> usize {
        let of_node = |node: usize| self.nodes[node].op.least_rows(&self.input_shapes(node));
        (0..self.nodes.len()).map(of_node).max().unwrap_or(1)
    }

    /// The number of ids that the input may hold, for a graph of ids.
    pub fn ids_below(&self) -> Option<usize> {
        self.nodes.iter().filter_map(|node| node.op.takes_ids()).min()
    }

    /// Range of a parameter in the flat buffer followed by the tables.
    pub fn range(&self, parameter: &Parameter) -> Range<usize> {
        let start = match parameter.gradient {
            GradientKind::Dense => parameter.offset,
            GradientKind::Rows => self.length + parameter.offset,
        };
        start..start + parameter.length()
    }

    /// The parameter with a path.
    pub fn parameter(&self, path: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.path == path)
    }

    /// The node with a table as parameter, and the table.
    pub fn table(&self) -> Option<(usize, Embedding)> {
        let table =
            self.parameters.iter().find(|parameter| parameter.gradient == GradientKind::Rows)?;
        let of = |node: &Node| {
            table.path.strip_prefix(node.path.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        let node = self.nodes.iter().position(of)?;
        let (&[rows, width], ids) = (&table.shape[..], self.width(self.nodes[node].inputs[0]))
        else {
            return None;
        };
        Some((node, Embedding { ids, rows, width }))
    }

    /// The table alone.
    pub fn embedding(&self) -> Option<Embedding> {
        self.table().map(|(_, table)| table)
    }

    /// Elements of the flat buffer and of the tables after it.
    pub fn all_length(&self) -> usize {
        self.length + self.table_length
    }

    /// True if the last node is a dense layer, which may run over rows in chunks.
    pub fn ends_in_dense(&self) -> bool {
        let last = self.nodes.last().map(|node| &*node.op as &dyn Any);
        last.is_some_and(|op| op.is::<Dense>() || op.is::<TiedDense>())
    }

    /// The name of the activation that the last node is; `identity` if it is another op.
    pub fn output_activation(&self) -> &'static str {
        let last = self.nodes.last().map(|node| &*node.op as &dyn Any);
        let activation = last.and_then(|op| {
            op.downcast_ref::<Activate>()
                .map(|op| op.activation.name())
                .or_else(|| op.is::<Softmax>().then_some("softmax"))
        });
        activation.unwrap_or("identity")
    }

    /// Elements of the running statistics, which follow the tables in serialized form.
    pub fn statistic_length(&self) -> usize {
        self.statistics.last().map_or(0, |last| last.range.end)
    }

    /// True if the graph's input holds ids.
    pub fn takes_ids(&self) -> bool {
        self.ids_below().is_some()
    }

    /// Number of parameters, without gaps; shared ones count once.
    pub fn parameter_count(&self) -> usize {
        self.parameters.iter().map(Parameter::length).sum()
    }

    /// Rows per prediction batch: reduced if the embedded ids of a batch, or a value of images or
    /// sequences, would exceed 32 MiB, or the embedding kernels' limit.
    pub fn prediction_batch(&self) -> usize {
        const USUAL: usize = 1024;
        const MOST_NUMBERS: usize = 8 << 20;
        let of_ids = self.embedding().map_or(0, |table| table.outputs());
        let widest = self.shapes.iter().filter(|shape| shape.len() > 1);
        let widest = widest.map(|shape| shape.iter().product()).max().unwrap_or(0);
        (MOST_NUMBERS / of_ids.max(widest).max(1)).clamp(1, USUAL)
    }

    /// True if any penalty is added to the loss.
    pub fn is_regularized(&self) -> bool {
        self.spans.iter().any(ParameterSpan::is_regularized)
    }
}

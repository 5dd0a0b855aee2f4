//! A node of a network and its numbers.

use std::ops::Range;

use crate::Result;
use crate::nn::graph::nodes::Node;
use crate::nn::graph::op::Shape;
use crate::nn::onnx::writer::{Tensors, Writer};

/// A node of the network that is written.
pub(super) struct Step<'a> {
    pub node: &'a Node,
    pub output: &'a Shape,
    /// The ranges of the node's parameters in `numbers`; a table has one too.
    pub ranges: &'a [Range<usize>],
    /// Parameters, tables, then running statistics.
    pub numbers: &'a [f64],
    /// Where the running statistics begin.
    pub statistics: usize,
}

impl Step<'_> {
    /// The numbers of a parameter.
    pub fn numbers(&self, parameter: usize) -> &[f64] {
        self.ranges.get(parameter).map_or(&[], |range| &self.numbers[range.clone()])
    }

    /// The numbers of a running statistic.
    pub fn statistic(&self, number: usize) -> &[f64] {
        self.node.statistics.get(number).map_or(&[], |range| {
            &self.numbers[self.statistics + range.start..self.statistics + range.end]
        })
    }

    /// A parameter as it lies in memory.
    pub fn constant(
        &self,
        writer: &mut Writer,
        number: usize,
        name: &str,
        shape: &[usize],
    ) -> Option<String> {
        let range = self.ranges.get(number)?;
        Some(writer.parameter(range, "", name, shape, || self.numbers(number).to_vec()))
    }

    /// The first parameter, which the op always has.
    pub fn weight(&self, writer: &mut Writer, shape: &[usize]) -> String {
        self.constant(writer, 0, "weight", shape).unwrap_or_default()
    }

    /// The output with channels last.
    pub fn last(&self, name: String) -> Result<Tensors> {
        Ok(Tensors::last(self.output, name))
    }
}

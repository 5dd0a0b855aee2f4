//! A pass over rows on the CPU whose inner values are kept: `nn::train::trace`.

use std::mem::take;
use std::ops::Range;

use crate::Result;
use crate::nn::graph::op::Precision;
use crate::nn::graph::plan::{BatchRows, Request, Tensor};
use crate::nn::train::engine::{Batch, TrainingSpec};
use crate::nn::train::host::batch::LossRows;
use crate::nn::train::host::{CpuEngine, to_doubles};
use crate::nn::train::trace::{Asked, LayerTrace, Trace, traced_layers};
use crate::templates::precision::CpuReal;

impl<R: CpuReal + Precision> CpuEngine<R> {
    /// As [`Engine::trace`](crate::nn::train::engine::Engine::trace).
    pub(super) fn trace_here(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        rows: Range<usize>,
        asked: Asked,
    ) -> Result<Trace> {
        let Some(data) = self.data.get(&data).cloned() else { return Ok(Trace::default()) };
        let (graph, batch) = (self.graph.clone(), Batch::of_rows(rows.start, rows.len()));
        let (nodes, count) = (0..graph.nodes.len(), rows.len());
        let input_gradient = asked.input_gradient && !graph.takes_ids();
        let request =
            Request { evaluates: true, input_gradient, ..self.request(true, true, false) };
        self.walk.begin(&graph, request, BatchRows::whole(count));
        self.gather(&data, &batch, count, None);
        let (mut walk, mut statistics) = (take(&mut self.walk), take(&mut self.statistics));
        let weights = self.weights(batch.noise, false);
        let done = walk.forward(&graph, weights, &mut statistics, nodes.clone());
        self.statistics = statistics;
        let (columns, elements) = (graph.columns(), count * graph.outputs());
        let (read, written) = (Tensor::Value(nodes.end), Tensor::Gradient(nodes.end));
        let mut trace = Trace::default();
        let outcome = walk.with_both(read, written, elements, |predictions, gradient| {
            trace.outputs = to_doubles(predictions);
            let rows = LossRows {
                factor: training_spec.factor(graph.positions(), columns),
                first: 0,
                has_labels: data.has_labels,
                columns,
                positive: &data.positive,
                predictions,
                gradient,
            };
            self.batch.loss_of_rows(training_spec, rows)
        });
        let layers = traced_layers(&graph).filter(|_| asked.layers).unwrap_or_default();
        let mut gradients = take(&mut self.gradients);
        let mut back = done.and(outcome.map(|_| ()));
        for node in nodes.rev() {
            if let Some(layer) = layers.iter().find(|layer| layer.node == node) {
                let input = graph.nodes[node].inputs[0];
                trace.layers.push(LayerTrace {
                    inputs: to_doubles(walk.tensor(Tensor::Value(input.0), count * layer.inputs)),
                    deltas: to_doubles(
                        walk.tensor(Tensor::Gradient(node + 1), count * layer.units),
                    ),
                });
            }
            back = back.and_then(|()| {
                let weights = self.weights(batch.noise, false);
                walk.backward_rows(&graph, weights, &mut gradients, node, 0..count, false)
            });
        }
        trace.layers.reverse();
        if input_gradient {
            trace.input_gradient =
                to_doubles(walk.tensor(Tensor::Gradient(0), count * graph.inputs()));
        }
        (self.walk, self.gradients) = (walk, gradients);
        back.map(|()| trace)
    }
}

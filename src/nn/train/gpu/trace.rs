//! A pass over rows on a GPU whose inner values are kept: `nn::train::trace`.

use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::nn::graph::plan::{BatchRows, Request, Tensor};
use crate::nn::train::engine::{Batch, TrainingSpec};
use crate::nn::train::gpu::plan::{Planning, request};
use crate::nn::train::gpu::state::{GpuEngine, Key, Kind, Plan, Uniforms};
use crate::nn::train::trace::{Asked, LayerTrace, Trace, TracedLayer, traced_layers};
use crate::runtime::recorder::Recorder;

/// A buffer of a trace and its number of elements.
type Kept = (wgpu::Buffer, usize);

/// The buffers that a trace is read from.
#[derive(Default)]
struct Buffers {
    outputs: Option<Kept>,
    /// Inputs and gradients of each dense layer, the last layer first.
    layers: Vec<[Kept; 2]>,
    input_gradient: Option<Kept>,
}

impl GpuEngine {
    /// As [`Engine::trace`](crate::nn::train::engine::Engine::trace).
    pub(super) fn trace_here(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        rows: Range<usize>,
        asked: Asked,
    ) -> Result<Trace> {
        let batch = Batch::of_rows(rows.start, rows.len());
        let key = Key {
            data,
            rows: rows.len(),
            places: 1,
            divisor_rows: Some(self.graph.positions()),
            accumulate: false,
            kind: Kind::Train,
            training_spec: Arc::from(""),
            watched: false,
        };
        let (plan, buffers) = self.plan_trace(&key, training_spec, asked)?;
        let (mut uniforms, mut commands) = (Uniforms::default(), Vec::new());
        plan.encode(0, 0, &batch, &mut uniforms, &mut commands);
        uniforms.upload(&self.gpu);
        self.gpu.submit(&commands)?;
        let read = |kept: &Kept| self.read_elements(&kept.0, 0, kept.1);
        let all = |kept: &Option<Kept>| kept.as_ref().map_or(Ok(Vec::new()), read);
        let mut layers = Vec::with_capacity(buffers.layers.len());
        for [inputs, deltas] in buffers.layers.iter().rev() {
            layers.push(LayerTrace { inputs: read(inputs)?, deltas: read(deltas)? });
        }
        let (outputs, input_gradient) = (all(&buffers.outputs)?, all(&buffers.input_gradient)?);
        Ok(Trace { outputs, layers, input_gradient })
    }

    /// Records the pass, with copies of what shares its memory with later values.
    fn plan_trace(
        &self,
        key: &Key,
        training_spec: &TrainingSpec,
        asked: Asked,
    ) -> Result<(Plan, Buffers)> {
        let (graph, rows, noise) = (&self.graph, key.rows, self.uniforms()?);
        let input_gradient = asked.input_gradient && !graph.takes_ids();
        let request = Request { evaluates: true, input_gradient, ..request(true, true, false) };
        let batch = BatchRows::whole(rows);
        let mut planning = self.begin_on(key, graph, request, batch, (&noise, None))?;
        self.gather_batch(&mut planning, None)?;
        planning.walk.forward(&mut planning.recorder, 0..planning.nodes)?;
        self.loss(&mut planning, training_spec)?;
        let outputs = planning.predictions()?;
        let kept_outputs = kept(&mut planning.recorder, &outputs, rows * graph.outputs())?;
        let mut buffers = Buffers { outputs: Some(kept_outputs), ..Buffers::default() };
        let layers = traced_layers(graph).filter(|_| asked.layers).unwrap_or_default();
        for node in (0..planning.nodes).rev() {
            if let Some(layer) = layers.iter().find(|layer| layer.node == node) {
                let pair = self.kept_of_layer(&mut planning, layer)?;
                buffers.layers.push(pair);
            }
            planning.walk.backward_rows(&mut planning.recorder, node, 0..rows, false)?;
        }
        if input_gradient {
            let gradient = planning.tensor(Tensor::Gradient(0))?;
            buffers.input_gradient = Some((gradient, rows * graph.inputs()));
        }
        let Planning { recorder, gathers, .. } = planning;
        let (recording, predictions) = (recorder.finish(), outputs);
        let (summary, update, rows_moved) = (None, None, None);
        let plan = Plan {
            recording,
            gathers,
            summary,
            watch: None,
            noise,
            update,
            rows_moved,
            predictions,
        };
        Ok((plan, buffers))
    }

    fn kept_of_layer(&self, planning: &mut Planning, layer: &TracedLayer) -> Result<[Kept; 2]> {
        let (input, rows) = (self.graph.nodes[layer.node].inputs[0], planning.rows);
        let inputs = planning.tensor(Tensor::Value(input.0))?;
        let deltas = planning.tensor(Tensor::Gradient(layer.node + 1))?;
        Ok([
            kept(&mut planning.recorder, &inputs, rows * layer.inputs)?,
            kept(&mut planning.recorder, &deltas, rows * layer.units)?,
        ])
    }
}

/// A copy of a buffer at this point of the recording.
fn kept(recorder: &mut Recorder, from: &wgpu::Buffer, elements: usize) -> Result<Kept> {
    let copy = recorder.buffer("a value that is traced", elements)?;
    recorder.copy((from, 0), (&copy, 0), elements);
    Ok((copy, elements))
}

//! Decoding on a GPU: passes over the next tokens of one sequence, each recorded once.

use std::collections::HashMap;

use crate::Result;
use crate::nn::graph::decode::{check_next, decoder};
use crate::nn::graph::gpu::{GpuWalk, Pool, Weights};
use crate::nn::graph::plan::{BatchRows, Request, Tensor};
use crate::nn::train::gpu::state::{DecodePass, Decoder, GpuEngine};
use crate::runtime::recorder::Recorder;
use crate::runtime::tensor::padded;

impl GpuEngine {
    /// As `Engine::decode`.
    pub(super) fn decode_here(&mut self, ids: &[i32], place: usize) -> Result<Option<Vec<f64>>> {
        check_next(self.graph.inputs(), ids.len(), place)?;
        // Few lengths, as each has commands and memory of its own. What stands behind a prompt is
        // not seen by it, and kept where later tokens will be.
        let (context, columns) = (self.graph.inputs(), self.graph.columns());
        let tokens = ids.len().next_power_of_two().min(context);
        let gpu = self.gpu.clone();
        if !gpu.compiling_together(|| self.prepare_pass(tokens))? {
            return Ok(None);
        }
        let pass =
            self.decoder.as_ref().and_then(|found| Some((found, found.passes.get(&tokens)?)));
        let Some((decoder, pass)) = pass else { return Ok(None) };
        let padded: Vec<i32> = ids.iter().copied().chain([0].repeat(tokens - ids.len())).collect();
        self.gpu.queue().write_buffer(&pass.ids, 0, bytemuck::cast_slice(&padded));
        self.gpu.queue().write_buffer(&decoder.place, 0, bytemuck::bytes_of(&(place as u32)));
        self.gpu.submit(&pass.commands)?;
        let last = (ids.len() - 1) * columns;
        let found: Vec<f32> = pollster::block_on(self.gpu.download(&pass.outputs, last, columns))?;
        Ok(Some(found.into_iter().map(f64::from).collect()))
    }

    /// Records the pass over so many tokens, on first use; false if the graph has none, or what its
    /// ops keep does not fit a binding.
    fn prepare_pass(&mut self, tokens: usize) -> Result<bool> {
        if self.decoder.as_ref().is_some_and(|found| found.passes.contains_key(&tokens)) {
            return Ok(true);
        }
        let Some(graph) = decoder(&self.fused, tokens)? else { return Ok(false) };
        if padded(graph.statistic_length()) > self.gpu.limits().max_storage_buffer_binding_size {
            return Ok(false);
        }
        let mut decoding = match self.decoder.take() {
            Some(decoding) => decoding,
            None => Decoder {
                cache: self.gpu.buffer("keys and values", graph.statistic_length())?,
                place: self.gpu.buffer("the place of a token", 4)?,
                passes: HashMap::new(),
            },
        };
        let (mut recorder, noise) = (Recorder::new(&self.gpu), self.uniforms()?);
        let weights = Weights {
            all: &self.parameters,
            gradients: &self.gradients,
            table: None,
            statistics: &decoding.cache,
            noise: &noise,
            place: Some(&decoding.place),
            loss_scale: None,
        };
        let request = Request {
            scores: false,
            learns: false,
            chunked: false,
            in_place_forward: true,
            input_elsewhere: false,
            shares: true,
            input_gradient: false,
            evaluates: false,
        };
        let nodes = graph.nodes.len();
        let (pool, batch) = (Pool::default(), BatchRows::whole(1));
        let walk = GpuWalk::new(&mut recorder, &graph, weights, request, batch, &pool)?;
        walk.forward(&mut recorder, 0..nodes)?;
        let ids = walk.tensor(Tensor::Value(0))?.clone();
        let outputs = walk.tensor(Tensor::Value(nodes))?.clone();
        let commands = recorder.finish().commands;
        decoding.passes.insert(tokens, DecodePass { commands, ids, outputs });
        self.decoder = Some(decoding);
        Ok(true)
    }
}

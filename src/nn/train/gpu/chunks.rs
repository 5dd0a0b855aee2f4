//! The last layer fused with the loss: its outputs are held for a chunk of the batch's rows at a time. The twin of the host engine's
//! `in_chunks`: the weights' gradient is summed over the chunks in their order.

use crate::Result;
use crate::nn::layers::Placed;
use crate::nn::ops::dense;
use crate::nn::ops::dense::Forward;
use crate::nn::ops::matmul::product::{Kind as Product, product};
use crate::nn::ops::matmul::{Layout, Params};
use crate::nn::train::engine::TrainingSpec;
use crate::nn::train::gpu::pass::{Joined, Pass};
use crate::nn::train::gpu::plan::{Key, Kind};
use crate::nn::train::gpu::{Data, GpuEngine};
use crate::runtime::pipeline::{Command, Slice};
use crate::templates;
use crate::templates::normalizer;
use crate::templates::normalizer::{Labels, NOTES, Values};
use crate::templates::{Buffers, Divisor, Job, Per};

/// A batch that has gone as far as the last layer's input.
#[derive(Clone, Copy)]
pub(crate) struct SmallModelBatch<'a> {
    pub key: &'a Key,
    pub training_spec: &'a TrainingSpec,
    pub data: &'a Data,
    pub pass: &'a Pass,
    /// A label for each row, or a number for each of its outputs.
    pub targets: &'a wgpu::Buffer,
    /// How much each row counts.
    pub weights: Option<&'a wgpu::Buffer>,
}

/// Some of its rows, with their targets.
struct Chunk {
    first: usize,
    rows: usize,
    targets: wgpu::Buffer,
    weights: Option<wgpu::Buffer>,
}

impl GpuEngine {
    /// Takes a batch through the last layer and the loss in chunks of so many rows, and back to the gradients of the layer and of its
    /// input, if the plan asks for them.
    pub(crate) fn last_layer_in_chunks(
        &self,
        batch: &SmallModelBatch,
        chunk: usize,
        commands: &mut Vec<Command>,
    ) -> Result<Joined> {
        let SmallModelBatch { key, training_spec, data, targets, .. } = *batch;
        let result = self.gpu.buffer("a divisor", NOTES)?;
        let mut job = self.job(key, training_spec, data);
        if job.divisor == Divisor::OfLabels {
            // Over the whole batch, and not over the chunk that a kernel sees.
            let (classes, ignored) = (self.network.outputs(), training_spec.loss.ignored());
            let labels = Labels::Classes { labels: targets, classes, ignored };
            commands.extend(normalizer::count(
                &self.gpu,
                &Values { labels, ..Values::plain(key.rows) },
                &result,
            )?);
            job.divisor = Divisor::Ready;
        }
        // All targets first: a copy ends the pass that the kernels run in.
        let width = data.target_width;
        let chunks = (0..key.rows).step_by(chunk).map(|first| {
            let rows = chunk.min(key.rows - first);
            let own = self.gpu.buffer("targets of a chunk", rows * width)?;
            commands.push(words(targets, first * width, &own, 0, rows * width));
            let weights = batch.weights.map(|all| {
                let own = self.gpu.buffer("weights of a chunk", rows)?;
                commands.push(words(all, first, &own, 0, rows));
                Ok::<_, crate::Error>(own)
            });
            Ok(Chunk { first, rows, targets: own, weights: weights.transpose()? })
        });
        let chunks = chunks.collect::<Result<Vec<_>>>()?;
        let mut found = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            found.push(self.loss_of_chunk(batch, chunk, &job, &result, commands)?);
            if key.kind != Kind::Evaluate {
                self.gradients_of_chunk(batch, chunk, commands)?;
            }
        }
        let parts = found.iter().map(|(_, parts)| parts).sum();
        let values = self.gpu.buffer("values of a batch", parts + key.rows)?;
        let mut at = 0;
        for (chunk, (own, length)) in chunks.iter().zip(&found) {
            commands.push(words(own, 0, &values, at, *length));
            commands.push(words(own, *length, &values, parts + chunk.first, chunk.rows));
            at += length;
        }
        let checked = if training_spec.metric.is_some() { key.rows } else { 0 };
        Ok(Joined { values, parts, checked, rows: key.rows })
    }

    /// The chunk's outputs and their loss. Gives where the partial sums lie and how many they are; behind them stands which rows are right.
    fn loss_of_chunk(
        &self,
        batch: &SmallModelBatch,
        chunk: &Chunk,
        job: &Job,
        result: &wgpu::Buffer,
        commands: &mut Vec<Command>,
    ) -> Result<(wgpu::Buffer, usize)> {
        let (gpu, training_spec, pass) = (&self.gpu, batch.training_spec, batch.pass);
        let (last, layer) = self.last_layer();
        let params = Params {
            m: chunk.rows as u32,
            n: layer.units as u32,
            k: layer.inputs as u32,
            left_offset: (chunk.first * layer.inputs) as u32,
            right_offset: layer.offset as u32,
            bias_offset: layer.biases().start as u32,
            ..Params::default()
        };
        let (x, y, kept) = (&pass.outputs[last], &pass.outputs[last + 1], &pass.kept[last]);
        let (activation, parameters) = (&*layer.activation, &self.parameters);
        commands.extend(dense::forward(
            gpu,
            &Forward { activation, bias: layer.bias, params, x, parameters, y, kept },
        )?);
        let job = Job { rows: chunk.rows, ..job.clone() };
        let buffers = Buffers {
            predictions: y.clone(),
            targets: chunk.targets.clone(),
            weights: chunk.weights.clone().map(|weights| (weights, Per::Row)),
            column_weights: batch.data.column_weights(&*training_spec.loss),
            pos_weights: batch.data.has_positive_behind_classes(&*training_spec.loss),
            class_mask: None,
            upstreams: None,
            gradient: pass.gradients[last].clone(),
            values: gpu.buffer(
                "values of a chunk",
                templates::values_length(gpu, &*training_spec.loss, &job) + chunk.rows,
            )?,
            result: result.clone(),
            dummy: gpu.buffer("nothing", 4)?,
        };
        let (kernel, parts) =
            templates::kernel_commands(gpu, &*training_spec.loss, &job, &buffers)?;
        commands.extend(kernel);
        if let Some(metric) = training_spec.metric {
            let sizes = [chunk.rows, layer.units, parts.length].map(|size| size as u32);
            let thresholds = [metric.threshold, metric.truth_threshold];
            let (ignored, checked) =
                (training_spec.loss.ignored(), [y, &chunk.targets, &buffers.values]);
            commands.push(dense::correct(
                gpu,
                sizes,
                batch.data.labels,
                ignored,
                thresholds,
                checked,
            )?);
        }
        Ok((buffers.values, parts.length))
    }

    /// What the chunk adds to the gradient of the layer, and the gradient of the layer's input in the chunk's rows.
    fn gradients_of_chunk(
        &self,
        batch: &SmallModelBatch,
        chunk: &Chunk,
        commands: &mut Vec<Command>,
    ) -> Result<()> {
        let (pass, (last, layer)) = (batch.pass, self.last_layer());
        let (gradient, before) = (&pass.gradients[last], (chunk.first * layer.inputs) as u32);
        let ones = u32::from(layer.bias);
        let params = Params {
            m: layer.inputs as u32 + ones,
            n: layer.units as u32,
            k: chunk.rows as u32,
            ones,
            accumulate: u32::from(batch.key.accumulate || chunk.first > 0),
            left_offset: before,
            output_offset: layer.offset as u32,
            ..Params::default()
        };
        commands.extend(dense::weight_gradient(
            &self.gpu,
            &params,
            &pass.outputs[last],
            gradient,
            &self.gradients,
        )?);
        let below = if last > 0 { Some(&pass.gradients[last - 1]) } else { pass.of_input.as_ref() };
        let Some(below) = below else { return Ok(()) };
        let params = Params {
            m: chunk.rows as u32,
            n: layer.inputs as u32,
            k: layer.units as u32,
            right_offset: layer.offset as u32,
            output_offset: before,
            ..Params::default()
        };
        let storage = [gradient, &self.parameters, below].map(Slice::from);
        commands.extend(product(&self.gpu, &Product::plain(Layout::NT), &params, &storage)?);
        Ok(())
    }

    fn last_layer(&self) -> (usize, &Placed) {
        let last = self.network.layers.len() - 1;
        (last, &self.network.layers[last])
    }
}

/// Copies so many 4-byte words.
fn words(
    from: &wgpu::Buffer,
    first: usize,
    to: &wgpu::Buffer,
    place: usize,
    count: usize,
) -> Command {
    let [from_offset, to_offset, size] = [first, place, count].map(|words| 4 * words as u64);
    Command::Copy { from: from.clone(), from_offset, to: to.clone(), to_offset, size }
}

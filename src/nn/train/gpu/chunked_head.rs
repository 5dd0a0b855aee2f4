//! The chunked head: the last dense layer and the loss over a chunk of the batch's rows at a time,
//! so that all outputs never exist at once. As `through_chunked_head` of the CPU engine: the weight
//! gradient is summed over the chunks in order.

use std::ops::Range;

use crate::nn::ops::metrics;
use crate::nn::train::engine::TrainingSpec;
use crate::nn::train::gpu::plan::{Joined, Planning};
use crate::nn::train::gpu::state::{GpuEngine, Kind};
use crate::templates::job::{Buffers, Divisor, Job, Per};
use crate::templates::normalizer;
use crate::templates::normalizer::{Labels, NOTES, Values};
use crate::{Result, templates};

/// Some rows of a batch, with their targets.
struct Chunk {
    rows: Range<usize>,
    targets: wgpu::Buffer,
    weights: Option<wgpu::Buffer>,
}

/// Buffer and count of the partial sums of a chunk's loss; the per-row correctness follows them.
type Found = (wgpu::Buffer, usize);

impl GpuEngine {
    /// Runs the last node and the loss in chunks of rows, after the rest of the forward pass, and
    /// back to the gradients of the node's parameters and of its input, if the plan requests them.
    pub(crate) fn head_in_chunks(
        &self,
        planning: &mut Planning,
        training_spec: &TrainingSpec,
        chunk: usize,
    ) -> Result<Joined> {
        let (key, last) = (planning.key, planning.nodes - 1);
        let positions = self.graph.positions();
        let units = key.rows * positions;
        let result = planning.recorder.buffer("a divisor", NOTES)?;
        let mut job = self.job(key, training_spec, planning.data);
        if job.divisor == Divisor::OfLabels {
            // Over the whole batch, not over the chunk that a kernel sees.
            let (classes, ignored) = (self.graph.columns(), training_spec.loss.ignored());
            let labels = Labels::Classes { labels: &planning.targets, classes, ignored };
            let values = Values { labels, ..Values::plain(units) };
            planning.recorder.extend(normalizer::count(&self.gpu, &values, &result)?);
            job.divisor = Divisor::Ready;
        }
        let chunks = self.targets_of_chunks(planning, chunk)?;
        let mut found = Vec::with_capacity(chunks.len());
        for chunk in &chunks {
            planning.walk.forward_rows(&mut planning.recorder, last, chunk.rows.clone())?;
            found.push(self.loss_of_chunk(planning, training_spec, chunk, &job, &result)?);
            if key.kind != Kind::Evaluate {
                let accumulate = key.accumulate || chunk.rows.start > 0;
                planning.walk.backward_rows(
                    &mut planning.recorder,
                    last,
                    chunk.rows.clone(),
                    accumulate,
                )?;
            }
        }
        let parts = found.iter().map(|(_, parts)| parts).sum();
        let values = planning.recorder.buffer("values of a batch", parts + units)?;
        let mut at = 0;
        for (chunk, (own, length)) in chunks.iter().zip(&found) {
            planning.recorder.copy((own, 0), (&values, at), *length);
            planning.recorder.copy(
                (own, *length),
                (&values, parts + chunk.rows.start * positions),
                chunk.rows.len() * positions,
            );
            at += length;
        }
        let counted = if training_spec.metric.is_some() { units } else { 0 };
        Ok(Joined { values, parts, counted, rows: units })
    }

    /// The targets and weights of each chunk. All are copied first: a copy ends the compute pass of
    /// the kernels.
    fn targets_of_chunks(&self, planning: &mut Planning, chunk: usize) -> Result<Vec<Chunk>> {
        let (width, rows) = (planning.data.target_width, planning.key.rows);
        let recorder = &mut planning.recorder;
        let mut chunks = Vec::with_capacity(rows.div_ceil(chunk));
        for first in (0..rows).step_by(chunk) {
            let count = chunk.min(rows - first);
            let targets = recorder.buffer("targets of a chunk", count * width)?;
            recorder.copy((&planning.targets, first * width), (&targets, 0), count * width);
            let weights = match &planning.weights {
                Some(all) => {
                    let own = recorder.buffer("weights of a chunk", count)?;
                    recorder.copy((all, first), (&own, 0), count);
                    Some(own)
                }
                None => None,
            };
            chunks.push(Chunk { rows: first..first + count, targets, weights });
        }
        Ok(chunks)
    }

    /// The loss of a chunk's outputs.
    fn loss_of_chunk(
        &self,
        planning: &mut Planning,
        training_spec: &TrainingSpec,
        chunk: &Chunk,
        job: &Job,
        result: &wgpu::Buffer,
    ) -> Result<Found> {
        let (gpu, loss, data) = (&self.gpu, &*training_spec.loss, planning.data);
        let units = chunk.rows.len() * self.graph.positions();
        let job = Job { rows: units, ..job.clone() };
        let values_length = templates::launch::values_length(gpu, loss, &job)? + units;
        let buffers = Buffers {
            predictions: planning.predictions()?,
            targets: chunk.targets.clone(),
            weights: chunk.weights.clone().map(|weights| (weights, Per::Row)),
            column_weights: data.column_weights(loss),
            pos_weights: data.has_positive_behind_classes(loss),
            class_mask: None,
            item_weights: None,
            upstreams: None,
            gradient: planning.gradient()?,
            values: planning.recorder.buffer("values of a chunk", values_length)?,
            result: result.clone(),
            unread: planning.recorder.dummy()?,
        };
        let (kernel, parts) = templates::launch::kernel_commands(gpu, loss, &job, &buffers)?;
        planning.recorder.extend(kernel);
        if let Some(metric) = training_spec.metric {
            let job = metrics::Correctness {
                rows: units,
                columns: self.graph.columns(),
                offset: parts.length,
                labels: data.labels,
                ignored: loss.ignored(),
                threshold: metric.threshold,
                truth_threshold: metric.truth_threshold,
                predictions: &buffers.predictions,
                targets: &chunk.targets,
                parts: &buffers.values,
            };
            planning.recorder.extend([metrics::correct(gpu, &job)?]);
        }
        Ok((buffers.values, parts.length))
    }
}

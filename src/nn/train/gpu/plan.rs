//! A batch resolved into commands: which kernels, on which buffers, and what changes from batch to
//! batch.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Result;
use crate::nn::embedding::kernels::Sizes;
use crate::nn::graph::gpu::{GpuWalk, Weights};
use crate::nn::graph::plan::{Request, Tensor};
use crate::nn::ops::gather;
use crate::nn::ops::gather::GatherParams;
use crate::nn::ops::metrics;
use crate::nn::ops::metrics::SummaryParams;
use crate::nn::optimizers::update;
use crate::nn::optimizers::update::Update;
use crate::nn::train::engine::{Batch, TrainingSpec};
use crate::nn::train::gpu::table::Table;
use crate::nn::train::gpu::{Data, GpuEngine, MOST_AT_ONCE, Part};
use crate::runtime::device::Gpu;
use crate::runtime::pipeline::{Command, Slice};
use crate::runtime::recorder::{Recorder, Recording, UNIFORM_STRIDE};
use crate::templates;
use crate::templates::linear::cpu::{MOST_BYTES, chunk_rows};
use crate::templates::listwise::gpu::units_of_lists;
use crate::templates::normalizer;
use crate::templates::normalizer::{NOTES, Share, Values};
use crate::templates::{Buffers, Divisor, Job, Per};

/// What decides which dispatches a batch is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub data: usize,
    /// Rows of the batch, or lists.
    pub rows: usize,
    /// Places of each list; 1 where the rows are no lists.
    pub places: usize,
    pub divisor_rows: Option<usize>,
    pub accumulate: bool,
    pub kind: Kind,
    /// The loss and the optimizer with their options.
    pub training_spec: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Predict,
    Evaluate,
    Train,
    TrainAndUpdate,
}

/// A batch resolved into commands, and what changes from batch to batch.
#[derive(Debug)]
pub(crate) struct Plan {
    recording: Recording,
    /// Which rows are gathered.
    gathers: Vec<Gather>,
    /// Where the outcome goes.
    summary: Option<(wgpu::Buffer, SummaryParams)>,
    /// Where the numbers of the optimizer's step go.
    pub update: Option<wgpu::Buffer>,
    /// Where the numbers of the step on the rows of a table go.
    pub rows_moved: Option<(wgpu::Buffer, Sizes)>,
    pub predictions: wgpu::Buffer,
}

#[derive(Debug)]
pub(crate) struct Gather {
    uniforms: wgpu::Buffer,
    width: usize,
    places: usize,
    part_first: usize,
    part_rows: usize,
}

/// A batch on its way into a plan.
pub(crate) struct Planning<'a> {
    pub key: &'a Key,
    pub data: &'a Data,
    /// Rows that go through the graph: with the padding of lists.
    pub rows: usize,
    pub recorder: Recorder,
    pub walk: GpuWalk<'a>,
    pub nodes: usize,
    /// A label for each row, or a number for each of its outputs.
    pub targets: wgpu::Buffer,
    /// How much each row counts.
    pub weights: Option<wgpu::Buffer>,
    gathers: Vec<Gather>,
    summary: Option<(wgpu::Buffer, SummaryParams)>,
}

/// The values of a batch: partial sums of its loss, and behind them which rows are right.
pub(crate) struct Joined {
    pub values: wgpu::Buffer,
    pub parts: usize,
    /// Rows that are judged; 0 where there is no metric.
    pub judged: usize,
    pub rows: usize,
}

impl Planning<'_> {
    pub fn tensor(&self, tensor: Tensor) -> Result<wgpu::Buffer> {
        self.walk.tensor(tensor).cloned()
    }

    /// What the graph ends in.
    pub fn predictions(&self) -> Result<wgpu::Buffer> {
        self.tensor(Tensor::Value(self.nodes))
    }

    /// The gradient of that.
    pub fn gradient(&self) -> Result<wgpu::Buffer> {
        self.tensor(Tensor::Gradient(self.nodes))
    }
}

impl GpuEngine {
    /// A buffer of uniforms, one place for each batch of a submission.
    fn uniforms(&self) -> Result<wgpu::Buffer> {
        let size = UNIFORM_STRIDE * MOST_AT_ONCE as u64;
        let buffer = self.gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("parameters of the batches"),
            size,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.gpu.check("parameters of the batches", size)?;
        Ok(buffer)
    }

    /// Resolves a batch into commands.
    pub(crate) fn plan(&self, key: &Key, training_spec: Option<&TrainingSpec>) -> Result<Plan> {
        let training_spec = training_spec.filter(|_| key.kind != Kind::Predict);
        // Padding goes through the graph with the items: its scores are of no account and its
        // gradient is 0.
        let rows = key.rows * key.places;
        let binding = self.gpu.limits().max_storage_buffer_binding_size;
        let chunk = match training_spec.filter(|training_spec| training_spec.chunked_head) {
            Some(_) => chunk_rows(rows, self.graph.outputs(), MOST_BYTES.min(binding)),
            None => rows,
        };
        let mut planning = self.begin(key, [rows, chunk])?;
        self.gather_batch(&mut planning)?;
        let ahead = planning.nodes - usize::from(chunk < rows);
        planning.walk.forward(&mut planning.recorder, 0..ahead)?;
        let (mut update, mut rows_moved) = (None, None);
        if let Some(training_spec) = training_spec {
            let joined = match chunk < rows {
                true => self.head_in_chunks(&mut planning, training_spec, chunk)?,
                false => self.loss(&mut planning, training_spec)?,
            };
            self.summarize(&mut planning, &joined)?;
            if key.kind != Kind::Evaluate {
                planning.walk.backward(&mut planning.recorder, 0..ahead, key.accumulate)?;
            }
            if key.kind == Kind::TrainAndUpdate {
                update = Some(self.update(&mut planning, training_spec)?);
                rows_moved = self.update_table(&mut planning, training_spec)?;
            }
        }
        let predictions = planning.predictions()?;
        let Planning { recorder, gathers, summary, .. } = planning;
        Ok(Plan { recording: recorder.finish(), gathers, summary, update, rows_moved, predictions })
    }

    /// Makes room for a batch of so many rows, of which the head takes so many at a time.
    fn begin<'a>(&'a self, key: &'a Key, [rows, chunk]: [usize; 2]) -> Result<Planning<'a>> {
        let data = self.known(key.data)?;
        let mut recorder = Recorder::new(&self.gpu);
        let request = Request {
            scores: key.kind != Kind::Predict,
            learns: matches!(key.kind, Kind::Train | Kind::TrainAndUpdate),
            chunked: chunk < rows,
            in_place_forward: true,
            input_elsewhere: false,
            shares: true,
        };
        let graph = if request.chunked { &self.chunked } else { &self.fused };
        let table = self.table.as_ref().map(Table::rows);
        let weights = Weights { all: &self.parameters, gradients: &self.gradients, table };
        let walk = GpuWalk::new(&mut recorder, graph, weights, request, [rows, chunk])?;
        let targets = recorder.buffer("targets of a batch", rows * data.target_width.max(1))?;
        let has_weights = request.scores && !data.weights.is_empty();
        let weights =
            has_weights.then(|| recorder.buffer("weights of a batch", rows)).transpose()?;
        let (nodes, gathers, summary) = (graph.nodes.len(), Vec::new(), None);
        Ok(Planning { key, data, rows, recorder, walk, nodes, targets, weights, gathers, summary })
    }

    /// Features, targets and weights of the batch, in its order.
    fn gather_batch(&self, planning: &mut Planning) -> Result<()> {
        let (data, scores) = (planning.data, planning.key.kind != Kind::Predict);
        let x = planning.tensor(Tensor::Value(0))?;
        self.gather(planning, &data.features, (self.graph.inputs(), 0.0), &x)?;
        if scores {
            let targets = planning.targets.clone();
            self.gather(planning, &data.targets, (data.target_width, -1.0), &targets)?;
        }
        match planning.weights.clone() {
            Some(weights) => self.gather(planning, &data.weights, (1, 0.0), &weights),
            None => Ok(()),
        }
    }

    /// Brings rows of so many numbers together, or lists with so much padding behind them.
    fn gather(
        &self,
        planning: &mut Planning,
        parts: &[Part],
        (width, padding): (usize, f32),
        batch: &wgpu::Buffer,
    ) -> Result<()> {
        let (gpu, key) = (&self.gpu, planning.key);
        let lists = planning
            .data
            .lists
            .as_ref()
            .filter(|_| key.kind != Kind::Predict)
            .map(|(_, offsets)| offsets);
        let kernel = if lists.is_some() {
            gather::gather_lists(gpu, padding)?
        } else {
            gather::gather(gpu)?
        };
        for part in parts {
            let uniforms = self.uniforms()?;
            let storage: Vec<Slice> =
                [&part.buffer, batch].into_iter().chain(lists).map(Slice::from).collect();
            planning.recorder.dispatch_stepped::<GatherParams>(
                &kernel,
                &uniforms,
                &storage,
                planning.rows as u32,
            )?;
            let (part_first, part_rows, places) = (part.first, part.rows, key.places);
            planning.gathers.push(Gather { uniforms, width, places, part_first, part_rows });
        }
        Ok(())
    }

    /// The loss of all rows, and which of them are right.
    fn loss(&self, planning: &mut Planning, training_spec: &TrainingSpec) -> Result<Joined> {
        let (gpu, key, data) = (&self.gpu, planning.key, planning.data);
        let (loss, predictions) = (&*training_spec.loss, planning.predictions()?);
        let job = self.job(key, training_spec, data);
        let values_length = templates::values_length(gpu, loss, &job);
        let buffers = Buffers {
            predictions,
            targets: planning.targets.clone(),
            weights: planning.weights.clone().map(|weights| (weights, Per::Row)),
            column_weights: data.column_weights(loss),
            pos_weights: data.has_positive_behind_classes(loss),
            class_mask: None,
            upstreams: None,
            gradient: planning.gradient()?,
            values: planning.recorder.buffer("values of a batch", values_length + key.rows)?,
            result: planning.recorder.buffer("a divisor", NOTES)?,
            dummy: planning.recorder.dummy()?,
        };
        if job.divisor == Divisor::Ready {
            // Which places are padding is known on the device alone.
            let (counted, units) = units_of_lists(gpu, loss, &job, &buffers)?;
            planning.recorder.extend(counted);
            let values = Values { share: Share::Several(&units), ..Values::plain(key.rows) };
            planning.recorder.extend(normalizer::count(gpu, &values, &buffers.result)?);
        }
        let (kernel, parts) = templates::kernel_commands(gpu, loss, &job, &buffers)?;
        planning.recorder.extend(kernel);
        if let Some(metric) = training_spec.metric {
            let sizes = [key.rows as u32, self.graph.outputs() as u32, parts.length as u32];
            let thresholds = [metric.threshold, metric.truth_threshold];
            let judged = [&buffers.predictions, &buffers.targets, &buffers.values];
            planning.recorder.extend([metrics::correct(
                gpu,
                sizes,
                data.labels,
                loss.ignored(),
                thresholds,
                judged,
            )?]);
        }
        let judged = if training_spec.metric.is_some() { key.rows } else { 0 };
        Ok(Joined { values: buffers.values, parts: parts.length, judged, rows: key.rows })
    }

    /// The batch's loss and how many rows are right, into their place of the ring.
    fn summarize(&self, planning: &mut Planning, joined: &Joined) -> Result<()> {
        let Joined { values, parts, judged, rows } = joined;
        let uniforms = self.uniforms()?;
        let summary =
            SummaryParams { length: *parts as u32, rows: *judged as u32, slot: 0, reserved: 0 };
        let (kernel, storage) =
            (metrics::summary(&self.gpu, parts + rows)?, [values.into(), (&self.ring).into()]);
        planning.recorder.dispatch_stepped::<SummaryParams>(&kernel, &uniforms, &storage, 1)?;
        planning.summary = Some((uniforms, summary));
        Ok(())
    }

    /// The optimizer's step behind the gradients; gives where its numbers go.
    fn update(
        &self,
        planning: &mut Planning,
        training_spec: &TrainingSpec,
    ) -> Result<wgpu::Buffer> {
        let uniforms = self.uniforms()?;
        let update = Update {
            optimizer: &*training_spec.optimizer,
            length: self.graph.length,
            gradient_transform: training_spec.gradient_transform(&self.graph),
            average: training_spec.step_options.average,
        };
        let buffers = update::Buffers {
            spans: &self.spans,
            parameters: &self.parameters,
            gradients: &self.gradients,
            states: &self.states,
            not_finite: &self.not_finite,
            uniform: &uniforms,
        };
        for stepped in update::update(&self.gpu, &update, &buffers)? {
            match stepped.reads_step {
                true => planning.recorder.extend_stepped([stepped.command]),
                false => planning.recorder.extend([stepped.command]),
            }
        }
        Ok(uniforms)
    }

    /// The step on the rows of a table that the batch's ids named; gives where its numbers go.
    fn update_table(
        &self,
        planning: &mut Planning,
        training_spec: &TrainingSpec,
    ) -> Result<Option<(wgpu::Buffer, Sizes)>> {
        let (Some(table), Some((node, _))) = (&self.table, self.graph.table()) else {
            return Ok(None);
        };
        let (ids, gradient) =
            (planning.tensor(Tensor::Value(0))?, planning.tensor(Tensor::Gradient(node + 1))?);
        let (uniforms, rows) = (self.uniforms()?, planning.rows);
        let (mut moved, first) =
            table.update(&*training_spec.optimizer, rows, [&ids, &gradient], &uniforms)?;
        let stepped = moved.split_off(first);
        planning.recorder.extend(moved);
        planning.recorder.extend_stepped(stepped);
        Ok(Some((uniforms, table.sizes(rows))))
    }

    pub(crate) fn job(&self, key: &Key, training_spec: &TrainingSpec, data: &Data) -> Job {
        let columns = if data.lists.is_some() { key.places } else { self.graph.outputs() };
        let divisor = match key.divisor_rows {
            Some(_) => Divisor::Known,
            None if data.lists.is_some() => Divisor::Ready,
            None if data.has_ignored => Divisor::OfLabels,
            None => Divisor::Known,
        };
        Job {
            rows: key.rows,
            row_length: columns,
            columns,
            labels: data.labels,
            each: false,
            factor: if divisor == Divisor::Known {
                training_spec.factor(key.divisor_rows.unwrap_or(key.rows), columns) as f32
            } else {
                1.0
            },
            upstream: 1.0,
            divisor,
            auxiliary: false,
            second: false,
            half: false,
        }
    }
}

/// What is to be written to buffers of uniforms before a submission, brought together so that each
/// is written once.
#[derive(Default)]
pub(crate) struct Uniforms {
    pending: HashMap<wgpu::Buffer, Vec<u8>>,
}

impl Uniforms {
    pub fn write<P: bytemuck::Pod>(&mut self, buffer: &wgpu::Buffer, place: usize, params: &P) {
        let bytes = self.pending.entry(buffer.clone()).or_default();
        let start = place * UNIFORM_STRIDE as usize;
        bytes.resize(bytes.len().max(start + UNIFORM_STRIDE as usize), 0);
        let params = bytemuck::bytes_of(params);
        bytes[start..start + params.len()].copy_from_slice(params);
    }

    pub fn upload(&self, gpu: &Gpu) {
        for (buffer, bytes) in &self.pending {
            gpu.queue().write_buffer(buffer, 0, bytes);
        }
    }
}

impl Plan {
    /// Adds the commands of one batch, and its parameters at its place in the buffers of uniforms.
    pub fn encode(
        &self,
        place: usize,
        slot: usize,
        batch: &Batch,
        uniforms: &mut Uniforms,
        commands: &mut Vec<Command>,
    ) {
        let first = commands.len();
        commands.extend(self.recording.commands.iter().cloned());
        for gather in &self.gathers {
            uniforms.write(&gather.uniforms, place, &gather.params(batch));
        }
        if let Some((buffer, summary)) = &self.summary {
            uniforms.write(buffer, place, &SummaryParams { slot: slot as u32, ..*summary });
        }
        for index in &self.recording.stepped {
            if let Command::Dispatch { parameters, .. } = &mut commands[first + index] {
                *parameters = place as u32 * UNIFORM_STRIDE as u32;
            }
        }
    }
}

impl Gather {
    fn params(&self, batch: &Batch) -> GatherParams {
        let keys = batch.order.map_or([0; 8], |order| order.keys());
        GatherParams {
            rows: (batch.rows * self.places) as u32,
            width: self.width as u32,
            part_first: self.part_first as u32,
            part_rows: self.part_rows as u32,
            start: batch.start as u32,
            length: batch.order.map_or(0, |order| order.length()),
            shuffled: u32::from(batch.order.is_some()),
            places: self.places as u32,
            keys,
        }
    }
}

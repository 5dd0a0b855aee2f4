//! A batch resolved into commands: kernels, their buffers, and the values that change per batch.

use crate::nn::embedding::kernels::Sizes;
use crate::nn::graph::gpu::{GpuWalk, Weights};
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::plan::{BatchRows, Request, Tensor};
use crate::nn::ops::gather::augment::{Augment, ImageAugment};
use crate::nn::ops::gather::{GatherImagesParams, GatherParams, Source};
use crate::nn::ops::metrics::SummaryParams;
use crate::nn::ops::{gather, metrics};
use crate::nn::optimizers::update;
use crate::nn::optimizers::update::job::Update;
use crate::nn::train::engine::TrainingSpec;
use crate::nn::train::gpu::state::{Data, Gather, GpuEngine, Key, Kind, MOST_AT_ONCE, Part, Plan};
use crate::nn::train::gpu::table::{Table, TableBuffers};
use crate::runtime::kernel::Slice;
use crate::runtime::recorder::{Recorder, UNIFORM_STRIDE};
use crate::templates::job::{Buffers, Divisor, Job, Per, Written};
use crate::templates::linear::cpu::{MOST_BYTES, chunk_rows};
use crate::templates::listwise::gpu::units_of_lists;
use crate::templates::normalizer;
use crate::templates::normalizer::{DivisorTerm, NOTES, Values};
use crate::{Result, templates};

/// A plan under construction.
pub(crate) struct Planning<'a> {
    pub key: &'a Key,
    pub data: &'a Data,
    /// Rows that run through the graph, including padding of lists.
    pub rows: usize,
    pub recorder: Recorder,
    pub walk: GpuWalk<'a>,
    pub nodes: usize,
    /// A label per row, or a number per output.
    pub targets: wgpu::Buffer,
    /// Row weights.
    pub weights: Option<wgpu::Buffer>,
    pub gathers: Vec<Gather>,
    summary: Option<(wgpu::Buffer, SummaryParams)>,
}

/// Rows to gather from a data set.
struct Rows<'a> {
    parts: &'a [Part],
    /// Numbers per row.
    width: usize,
    /// The value behind a list's end.
    padding: f32,
    augment: Option<ImageAugment>,
    /// The number of each byte, if the rows are bytes.
    palette: Option<&'a wgpu::Buffer>,
}

/// A batch's values: partial sums of its loss, followed by the per-row correctness.
pub(crate) struct Joined {
    pub values: wgpu::Buffer,
    pub parts: usize,
    /// Rows with a metric; 0 without one.
    pub counted: usize,
    pub rows: usize,
}

impl Planning<'_> {
    pub fn tensor(&self, tensor: Tensor) -> Result<wgpu::Buffer> {
        self.walk.tensor(tensor).cloned()
    }

    /// The graph's output.
    pub fn predictions(&self) -> Result<wgpu::Buffer> {
        self.tensor(Tensor::Value(self.nodes))
    }

    /// The gradient of the graph's output.
    pub fn gradient(&self) -> Result<wgpu::Buffer> {
        self.tensor(Tensor::Gradient(self.nodes))
    }
}

/// The request for a walk over the graph.
pub(super) fn request(scores: bool, learns: bool, chunked: bool) -> Request {
    Request {
        scores,
        learns,
        chunked,
        in_place_forward: true,
        input_elsewhere: false,
        shares: true,
        input_gradient: false,
        evaluates: false,
    }
}

impl GpuEngine {
    /// A uniform buffer with a slot per batch of a submission.
    pub(super) fn uniforms(&self) -> Result<wgpu::Buffer> {
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
        // Padding runs through the graph with the items: its scores are ignored and its gradient is
        // 0.
        let rows = key.rows * key.places;
        let chunk = match training_spec.filter(|training_spec| training_spec.chunked_head) {
            Some(_) => self.chunk(rows),
            None => rows,
        };
        let noise = self.uniforms()?;
        let learns = matches!(key.kind, Kind::Train | Kind::TrainAndUpdate);
        let is_mixed = |spec: &TrainingSpec| spec.step_options.mixed_precision;
        let loss_scale =
            Some(&self.loss_scale).filter(|_| learns && training_spec.is_some_and(is_mixed));
        let mut planning = self.begin(key, BatchRows { rows, chunk }, (&noise, loss_scale))?;
        let augment = training_spec.and_then(|training_spec| training_spec.step_options.augment);
        self.gather_batch(&mut planning, augment.filter(|_| learns))?;
        let ahead = planning.nodes - usize::from(chunk < rows);
        planning.walk.forward(&mut planning.recorder, 0..ahead)?;
        let (mut update, mut rows_moved, mut watch) = (None, None, None);
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
                self.watch_gradient(&mut planning)?;
                update = Some(self.update(&mut planning, training_spec)?);
                watch = self.watch_update(&mut planning)?;
                rows_moved = self.update_table(&mut planning, training_spec)?;
            }
        }
        let predictions = planning.predictions()?;
        let Planning { recorder, gathers, summary, .. } = planning;
        let recording = recorder.finish();
        Ok(Plan { recording, gathers, summary, watch, noise, update, rows_moved, predictions })
    }

    /// Rows per chunk of a chunked head.
    pub(super) fn chunk(&self, rows: usize) -> usize {
        let binding = self.gpu.limits().max_storage_buffer_binding_size;
        chunk_rows(rows, self.graph.outputs(), MOST_BYTES.min(binding))
    }

    /// The graph that a walk runs through.
    pub(super) fn graph_of(&self, request: Request) -> &Graph {
        match (request.chunked, &self.predicting) {
            (true, _) => &self.chunked,
            (false, Some(predicting)) if !request.learns => predicting,
            _ => &self.fused,
        }
    }

    /// Allocates the buffers for a batch of `rows` rows, and `chunk` rows at a time in the head.
    /// `numbers` are the random ones and, in mixed precision, the loss scale.
    fn begin<'a>(
        &'a self,
        key: &'a Key,
        batch: BatchRows,
        numbers: (&'a wgpu::Buffer, Option<&'a wgpu::Buffer>),
    ) -> Result<Planning<'a>> {
        let learns = matches!(key.kind, Kind::Train | Kind::TrainAndUpdate);
        let request = request(key.kind != Kind::Predict, learns, batch.chunk < batch.rows);
        self.begin_on(key, self.graph_of(request), request, batch, numbers)
    }

    /// As [`GpuEngine::begin`], for a walk of another request.
    pub(super) fn begin_on<'a>(
        &'a self,
        key: &'a Key,
        graph: &'a Graph,
        request: Request,
        batch: BatchRows,
        (noise, loss_scale): (&'a wgpu::Buffer, Option<&'a wgpu::Buffer>),
    ) -> Result<Planning<'a>> {
        let rows = batch.rows;
        let data = self.known(key.data)?;
        let mut recorder = Recorder::new(&self.gpu);
        let table = self.table.as_ref().map(Table::rows);
        let weights = Weights {
            all: &self.parameters,
            gradients: &self.gradients,
            table,
            statistics: &self.statistics,
            noise,
            place: None,
            loss_scale,
        };
        let walk = GpuWalk::new(&mut recorder, graph, weights, request, batch, &self.pool)?;
        let targets = recorder.buffer("targets of a batch", rows * data.target_width.max(1))?;
        let has_weights = request.scores && !data.weights.is_empty();
        let weights =
            has_weights.then(|| recorder.buffer("weights of a batch", rows)).transpose()?;
        let (nodes, gathers, summary) = (graph.nodes.len(), Vec::new(), None);
        Ok(Planning { key, data, rows, recorder, walk, nodes, targets, weights, gathers, summary })
    }

    /// Features, targets and weights of the batch, in its order.
    pub(super) fn gather_batch(
        &self,
        planning: &mut Planning,
        augment: Option<Augment>,
    ) -> Result<()> {
        let (data, scores) = (planning.data, planning.key.kind != Kind::Predict);
        let augment = ImageAugment::new(augment, self.graph.shape(self.graph.input()));
        let x = planning.tensor(Tensor::Value(0))?;
        let rows = Rows {
            parts: &data.features,
            width: self.graph.inputs(),
            padding: 0.0,
            augment,
            palette: data.palette.as_ref(),
        };
        self.gather(planning, rows, &x)?;
        if scores {
            let (parts, targets) = (&data.targets, planning.targets.clone());
            let rows = Rows {
                parts,
                width: data.target_width,
                padding: -1.0,
                augment: None,
                palette: None,
            };
            self.gather(planning, rows, &targets)?;
        }
        match planning.weights.clone() {
            Some(weights) => {
                let rows = Rows {
                    parts: &data.weights,
                    width: 1,
                    padding: 0.0,
                    augment: None,
                    palette: None,
                };
                self.gather(planning, rows, &weights)
            }
            None => Ok(()),
        }
    }

    /// Gathers rows, or lists followed by padding.
    fn gather(&self, planning: &mut Planning, rows: Rows, batch: &wgpu::Buffer) -> Result<()> {
        let (gpu, key) = (&self.gpu, planning.key);
        let Rows { parts, width, padding, augment, palette } = rows;
        let lists = planning
            .data
            .lists
            .as_ref()
            .filter(|_| key.kind != Kind::Predict)
            .map(|(_, offsets)| offsets);
        let source = if palette.is_some() { Source::Pixels } else { Source::Words };
        let kernel = match (lists, augment) {
            (Some(_), _) => gather::gather_lists(gpu, padding)?,
            (None, Some(_)) => gather::gather_images(gpu, source)?,
            (None, None) => gather::gather(gpu, source)?,
        };
        // A loss of lists is refused beside an augmentation.
        let augment = augment.filter(|_| lists.is_none());
        for part in parts {
            let uniforms = self.uniforms()?;
            let storage: Vec<Slice> = [&part.buffer, batch]
                .into_iter()
                .chain(lists)
                .chain(palette)
                .map(Slice::from)
                .collect();
            let (recorder, count) = (&mut planning.recorder, planning.rows as u32);
            match augment {
                Some(_) => recorder
                    .dispatch_stepped::<GatherImagesParams>(&kernel, &uniforms, &storage, count)?,
                None => recorder
                    .dispatch_stepped::<GatherParams>(&kernel, &uniforms, &storage, count)?,
            }
            let (part_first, part_rows, places) = (part.first, part.rows, key.places);
            let gather = Gather { uniforms, width, places, part_first, part_rows, augment };
            planning.gathers.push(gather);
        }
        Ok(())
    }

    /// The loss of all rows, and their correctness.
    pub(super) fn loss(
        &self,
        planning: &mut Planning,
        training_spec: &TrainingSpec,
    ) -> Result<Joined> {
        let (gpu, key, data) = (&self.gpu, planning.key, planning.data);
        let (loss, predictions) = (&*training_spec.loss, planning.predictions()?);
        let units = key.rows * self.graph.positions();
        let job = self.job(key, training_spec, data);
        let values_length = templates::launch::values_length(gpu, loss, &job)?;
        let buffers = Buffers {
            predictions,
            targets: planning.targets.clone(),
            weights: planning.weights.clone().map(|weights| (weights, Per::Row)),
            column_weights: data.column_weights(loss),
            pos_weights: data.has_positive_behind_classes(loss),
            class_mask: None,
            item_weights: None,
            upstreams: None,
            gradient: planning.gradient()?,
            values: planning.recorder.buffer("values of a batch", values_length + units)?,
            result: planning.recorder.buffer("a divisor", NOTES)?,
            unread: planning.recorder.dummy()?,
        };
        if job.divisor == Divisor::Ready {
            // Only the device knows which positions are padding.
            let (counted, units) = units_of_lists(gpu, loss, &job, &buffers)?;
            planning.recorder.extend(counted);
            let values = Values { term: DivisorTerm::Several(&units), ..Values::plain(key.rows) };
            planning.recorder.extend(normalizer::count(gpu, &values, &buffers.result)?);
        }
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
                targets: &buffers.targets,
                parts: &buffers.values,
            };
            planning.recorder.extend([metrics::correct(gpu, &job)?]);
        }
        let counted = if training_spec.metric.is_some() { units } else { 0 };
        Ok(Joined { values: buffers.values, parts: parts.length, counted, rows: units })
    }

    /// Writes the batch's loss and number of correct rows to their slot of the ring.
    fn summarize(&self, planning: &mut Planning, joined: &Joined) -> Result<()> {
        let Joined { values, parts, counted, rows } = joined;
        let uniforms = self.uniforms()?;
        let summary =
            SummaryParams { length: *parts as u32, rows: *counted as u32, slot: 0, reserved: 0 };
        let (kernel, storage) =
            (metrics::summary(&self.gpu, parts + rows)?, [values.into(), (&self.ring).into()]);
        planning.recorder.dispatch_stepped::<SummaryParams>(&kernel, &uniforms, &storage, 1)?;
        planning.summary = Some((uniforms, summary));
        Ok(())
    }

    /// The optimizer's step after the gradients; returns its uniform buffer.
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
            loss_scale: training_spec.step_options.mixed_precision.then_some(&self.loss_scale),
        };
        for stepped in update::update(&self.gpu, &update, &buffers)? {
            match stepped.reads_step {
                true => planning.recorder.extend_stepped([stepped.command]),
                false => planning.recorder.extend([stepped.command]),
            }
        }
        Ok(uniforms)
    }

    /// The optimizer's step on the table rows in the batch's ids; returns its uniform buffer.
    fn update_table(
        &self,
        planning: &mut Planning,
        training_spec: &TrainingSpec,
    ) -> Result<Option<(wgpu::Buffer, Sizes)>> {
        let (Some(table), Some((node, _))) = (&self.table, self.graph.table()) else {
            return Ok(None);
        };
        if self.graph.table_rate == 0.0 {
            return Ok(None);
        }
        let (ids, gradient) =
            (planning.tensor(Tensor::Value(0))?, planning.tensor(Tensor::Gradient(node + 1))?);
        let (uniforms, rows) = (self.uniforms()?, planning.rows);
        let buffers = TableBuffers { ids: &ids, gradients: &gradient, uniform: &uniforms };
        let (mut moved, first) = table.update(&*training_spec.optimizer, rows, buffers)?;
        let stepped = moved.split_off(first);
        planning.recorder.extend(moved);
        planning.recorder.extend_stepped(stepped);
        Ok(Some((uniforms, table.sizes(rows))))
    }

    pub(crate) fn job(&self, key: &Key, training_spec: &TrainingSpec, data: &Data) -> Job {
        let columns = if data.lists.is_some() { key.places } else { self.graph.columns() };
        let rows = key.rows * self.graph.positions();
        let divisor = match key.divisor_rows {
            Some(_) => Divisor::Known,
            None if data.lists.is_some() => Divisor::Ready,
            None if data.has_ignored => Divisor::OfLabels,
            None => Divisor::Known,
        };
        Job {
            rows,
            row_length: columns,
            columns,
            labels: data.labels,
            each: false,
            factor: if divisor == Divisor::Known {
                training_spec.factor(key.divisor_rows.unwrap_or(rows), columns) as f32
            } else {
                1.0
            },
            upstream: 1.0,
            divisor,
            auxiliary: false,
            written: Written::Gradient,
            half: false,
        }
    }
}

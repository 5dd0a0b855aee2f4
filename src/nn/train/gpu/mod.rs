//! The GPU engine. A batch is a sequence of dispatches on fixed buffers: it is resolved once into a
//! plan and then only re-encoded, many batches to a submission, with per-batch values in a uniform
//! buffer. The next submission is encoded while the previous one runs; losses are read when all are
//! done.

mod chunked_head;
mod decode;
mod own_update;
mod plan;
mod side_by_side;
pub(crate) mod state;
mod table;
mod trace;
mod watch;
mod whole;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::nn::embedding::kernels::RowsParams;
use crate::nn::graph;
use crate::nn::graph::fuse;
use crate::nn::graph::gpu::Pool;
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::plan::BatchRows;
use crate::nn::loss_scale::LossScale;
use crate::nn::memory::BatchPlan;
use crate::nn::ops::matmul::cooperative;
use crate::nn::optimizers::update::job::{OptimizerParams, state_stride};
use crate::nn::optimizers::{Step, update};
use crate::nn::train::batched_engine::{MemberBatches, Shares};
use crate::nn::train::engine::{
    Batch, Engine, Lists, Outcome, Purpose, SampleTargets, Samples, TrainingSpec,
};
use crate::nn::train::features::FlatView;
use crate::nn::train::gpu::plan::request;
use crate::nn::train::gpu::state::{
    Data, GpuEngine, Key, Kind, MOST_AT_ONCE, Part, Plan, Uniforms,
};
use crate::nn::train::gpu::table::Table;
use crate::nn::train::gpu::whole::{Held, MARGIN, RowsOnDevice, SmallModels};
use crate::nn::train::reduce::Reduce;
use crate::nn::train::trace::{Asked, Trace};
use crate::nn::train::updates::UpdateSigns;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::runtime::tensor::{Reading, padded};
use crate::templates::job::MASKED;
use crate::{Error, Result};

pub(crate) use crate::nn::train::gpu::side_by_side::SideBySide;
pub(crate) use crate::nn::train::gpu::whole::most_parameters;

/// Target time of a submission: drivers treat submissions of several seconds as hung.
const SUBMISSION: Duration = Duration::from_millis(40);

impl GpuEngine {
    pub fn new(gpu: &Gpu, graph: Graph) -> Result<Self> {
        let length = graph.length;
        let everywhere = fuse::everywhere(&graph)?;
        let epilogues = fuse::epilogues(&everywhere)?;
        let head = fuse::chunked_head(&epilogues)?;
        let spans = gpu.upload("tensors", &update::span_words(&graph.spans))?;
        Ok(GpuEngine {
            gpu: gpu.clone(),
            parameters: gpu.buffer("parameters", length + MARGIN)?,
            gradients: gpu.buffer("gradients", length)?,
            statistics: gpu.buffer("running statistics", graph.statistic_length())?,
            states: gpu.buffer("no optimizer state", state_stride(length))?,
            state_count: 0,
            table: graph.embedding().map(|embedding| Table::new(gpu, embedding)).transpose()?,
            not_finite: gpu.buffer("steps that were skipped", 4)?,
            loss_scale: gpu.upload("a loss scale", &LossScale::default().words())?,
            remembered_loss_scale: LossScale::default(),
            has_scaled: false,
            skipped_whole: 0,
            whole: graph.as_dense_chain().map(|chain| SmallModels::new(gpu, &chain)),
            spans,
            ring: gpu.buffer("losses of two submissions", 4 * MOST_AT_ONCE)?,
            remembered: None,
            data: HashMap::new(),
            next: 0,
            plans: HashMap::new(),
            pool: Pool::default(),
            decoder: None,
            at_once: 1,
            own_update: None,
            updates: Vec::new(),
            watch: None,
            fused: fuse::derivatives(&epilogues, false)?,
            chunked: fuse::derivatives(head.as_ref().unwrap_or(&epilogues), true)?,
            predicting: fuse::predicting(&everywhere)?,
            graph,
        })
    }

    /// Uploads rows in chunks below the binding limit.
    fn parts<T: bytemuck::Pod>(&self, name: &str, values: &[T], width: usize) -> Result<Vec<Part>> {
        let most = (self.gpu.limits().max_storage_buffer_binding_size / 4) as usize / width.max(1);
        if most == 0 {
            return Err(Error::TooLarge {
                name: format!("one row of {name}"),
                bytes: 4 * width as u64,
                limit: self.gpu.limits().max_storage_buffer_binding_size,
                advice: "use fewer columns or the device `cpu`".into(),
            });
        }
        let chunks = values.chunks(most * width.max(1)).enumerate();
        chunks
            .map(|(index, chunk)| {
                let buffer = self.gpu.upload(name, chunk)?;
                Ok(Part { buffer, first: index * most, rows: chunk.len() / width.max(1) })
            })
            .collect()
    }

    /// True if pixels stay bytes: the fused kernel of a small model and the gather of lists take
    /// numbers.
    fn gathers_pixels(&self, samples: &Samples) -> bool {
        self.whole.is_none() && samples.lists.is_none()
    }

    /// Uploads pixels, four to a word, in chunks of rows as [`GpuEngine::parts`].
    fn parts_of_pixels(&self, pixels: &[u8]) -> Result<Vec<Part>> {
        let width = self.graph.inputs();
        let binding = self.gpu.limits().max_storage_buffer_binding_size;
        // Kernels count the bytes of a chunk in 32 bits.
        let most = (binding.min(u64::from(u32::MAX)) / 4 * 4) as usize / width.max(1);
        if most == 0 {
            return self.parts("features", pixels, width);
        }
        let chunks = pixels.chunks(most * width.max(1)).enumerate();
        chunks
            .map(|(index, chunk)| {
                let mut words = vec![0_u32; chunk.len().div_ceil(4)];
                bytemuck::cast_slice_mut::<u32, u8>(&mut words)[..chunk.len()]
                    .copy_from_slice(chunk);
                // The shader takes the first byte from the low bits.
                words.iter_mut().for_each(|word| *word = u32::from_le(*word));
                let buffer = self.gpu.upload("pixels", &words)?;
                Ok(Part { buffer, first: index * most, rows: chunk.len() / width.max(1) })
            })
            .collect()
    }

    /// Writes other rows into the buffers of a data set; false, and nothing is written, if they have
    /// another number or other kinds.
    fn overwrite(&self, data: usize, samples: &Samples) -> Result<bool> {
        let data = self.known(data)?;
        let is_plain = data.lists.is_none()
            && samples.lists.is_none()
            && data.palette.is_none()
            && data.weights.is_empty()
            && samples.weights.rows.is_empty();
        let has_pixels = matches!(samples.features, FlatView::Pixels(..));
        let fits = is_plain
            && (data.rows, data.has_ignored) == (samples.rows, samples.has_ignored)
            && !(has_pixels && self.gathers_pixels(samples));
        let targets: &[u32] = match samples.targets {
            SampleTargets::Labels(labels) if data.labels => bytemuck::cast_slice(labels),
            SampleTargets::Dense(dense) if !data.labels => bytemuck::cast_slice(dense),
            _ => return Ok(false),
        };
        let numbers = samples.features.numbers();
        let features: Vec<u32> = match self.graph.takes_ids() {
            true => numbers.iter().map(|&id| id as u32).collect(),
            false => numbers.iter().map(|number| number.to_bits()).collect(),
        };
        let all = [
            (&data.features, &features[..], self.graph.inputs()),
            (&data.targets, targets, data.target_width),
        ];
        let has_all = |(parts, words, width): &(&Vec<Part>, &[u32], usize)| {
            parts.iter().map(|part| part.rows * width).sum::<usize>() == words.len()
        };
        if !fits || !all.iter().all(has_all) {
            return Ok(false);
        }
        for (parts, words, width) in all {
            for part in parts {
                let range = part.first * width..(part.first + part.rows) * width;
                let bytes = bytemuck::cast_slice(&words[range]);
                self.gpu.queue().write_buffer(&part.buffer, 0, bytes);
                self.gpu.check("the rows of an epoch", bytes.len() as u64)?;
            }
        }
        Ok(true)
    }

    /// Uploads the positive-class weights, if any.
    fn positive_sides(&self, weights: &[f32]) -> Result<Option<[wgpu::Buffer; 2]>> {
        if weights.is_empty() {
            return Ok(None);
        }
        let behind_classes = [vec![1.0; weights.len()].as_slice(), weights].concat();
        let upload = |values: &[f32]| self.gpu.upload("weights of positive sides", values);
        Ok(Some([upload(weights)?, upload(&behind_classes)?]))
    }

    fn known(&self, data: usize) -> Result<&Data> {
        let found = self.data.get(&data).map(|data| &**data);
        found.ok_or_else(|| Error::Empty { operation: "training".into(), name: "its data".into() })
    }

    /// Runs batches in order, many to a submission: each is encoded while the previous one runs.
    fn run(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
        kind: Kind,
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        // The losses of a submission, its batches, and the sums of its watched updates.
        let mut running: Option<(Reading, &[Batch], Option<Reading>)> = None;
        let described: Arc<str> = describe(training_spec).into();
        let (mut done, mut half, mut last) = (0, 0, Instant::now());
        while done < batches.len() || running.is_some() {
            let now = &batches[done..(done + self.at_once).min(batches.len())];
            let before = running.take();
            if !now.is_empty() {
                self.submit(data, training_spec, &described, now, kind, half)?;
                let reading =
                    self.gpu.begin_download(&self.ring, half * 2 * MOST_AT_ONCE, 2 * now.len())?;
                let sums = self.watch.as_ref().filter(|_| kind == Kind::Train).map(|watch| {
                    self.gpu.begin_download(&watch.ring, half * 4 * MOST_AT_ONCE, 4 * now.len())
                });
                running = Some((reading, now, sums.transpose()?));
                half = 1 - half;
                done += now.len();
            }
            if let Some((reading, of, sums)) = before {
                let count = of.len();
                let words: Vec<f32> = pollster::block_on(self.gpu.finish_download(reading))?;
                outcomes.extend(
                    words
                        .chunks_exact(2)
                        .map(|w| Outcome { loss: w[0].into(), correct: w[1].into() }),
                );
                if let Some(sums) = sums {
                    let sums: Vec<f32> = pollster::block_on(self.gpu.finish_download(sums))?;
                    self.add_watched(of, &sums);
                }
                self.adapt(count, last.elapsed());
                last = Instant::now();
            }
        }
        Ok(outcomes)
    }

    /// True if one workgroup trains the whole network on a batch. Depends only on the batch and the
    /// shapes, so that the bits do not depend on the number of batches in a call.
    fn fits_workgroup(&self, data: usize, training_spec: &TrainingSpec, batch: &Batch) -> bool {
        // A gradient accumulated over batches is in another buffer, and ignored labels are counted
        // elsewhere.
        let is_plain = batch.update.is_some() && !batch.accumulate;
        let is_weighed = |data: &Arc<Data>| !data.weights.is_empty() || data.positive.is_some();
        let is_simple =
            |data: &Arc<Data>| data.lists.is_none() && !data.has_ignored && !is_weighed(data);
        let fits = |data: &Arc<Data>| {
            data.features.len() == 1 && data.targets.len() == 1 && is_simple(data)
        };
        is_plain
            && !training_spec.chunked_head
            && !training_spec.step_options.mixed_precision
            && training_spec.is_elementwise()
            && training_spec.step_options.augment.is_none()
            && self.whole.as_ref().is_some_and(|whole| whole.is_worth(batch.rows))
            && self.data.get(&data).is_some_and(fits)
    }

    /// Trains on batches for which [`GpuEngine::fits_workgroup`] is true.
    fn train_small(
        &mut self,
        data_number: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        let data = self.known(data_number)?;
        let (features, targets, labels) =
            (data.features[0].buffer.clone(), data.targets[0].buffer.clone(), data.labels);
        let rows = RowsOnDevice { features: &features, targets: &targets, labels, ignored: &[] };
        let held = Held { parameters: &self.parameters, states: &self.states };
        let member_step = MemberBatches { member: 0, batches: batches.to_vec() };
        let Some(whole) = &mut self.whole else {
            return self.run(data_number, training_spec, batches, Kind::Train);
        };
        let found = whole.train(held, rows, std::slice::from_ref(training_spec), &[member_step])?;
        self.skipped_whole += whole.take_skipped().into_iter().sum::<usize>();
        Ok(found.into_iter().flatten().collect())
    }

    /// Adapts the number of batches per submission to the measured time.
    fn adapt(&mut self, batches: usize, elapsed: Duration) {
        let each = elapsed.as_secs_f64() / batches as f64;
        let fitting = (SUBMISSION.as_secs_f64() / each.max(1e-9)) as usize;
        // Grow at most fourfold: the first batch includes pipeline compilation.
        self.at_once = fitting.clamp(1, (4 * self.at_once).min(MOST_AT_ONCE));
    }

    /// Encodes and submits batches; their outcomes go to one half of the ring.
    fn submit(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        described: &Arc<str>,
        batches: &[Batch],
        kind: Kind,
        half: usize,
    ) -> Result<()> {
        let mut uniforms = Uniforms::default();
        let mut commands = Vec::new();
        let (gpu, table_rate) = (self.gpu.clone(), self.graph.table_rate);
        for (place, batch) in batches.iter().enumerate() {
            let key = Key {
                data,
                rows: batch.rows,
                places: self.known(data)?.places(batch),
                divisor_rows: batch.divisor_rows,
                accumulate: batch.accumulate,
                kind: if batch.update.is_some() { Kind::TrainAndUpdate } else { kind },
                training_spec: described.clone(),
                watched: self.watch.is_some() && batch.update.is_some(),
            };
            let gradient_transform = training_spec.gradient_transform(&self.graph);
            let step = batch
                .update
                .map(|step| OptimizerParams::new(self.graph.length, &gradient_transform, &step));
            let plan = self.planned(key, Some(training_spec))?;
            plan.encode(place, half * MOST_AT_ONCE + place, batch, &mut uniforms, &mut commands);
            if let (Some(buffer), Some(step)) = (&plan.update, &step) {
                uniforms.write(buffer, place, step);
            }
            if let (Some((buffer, sizes)), Some(step)) = (&plan.rows_moved, &batch.update) {
                let step = step.at_rate(table_rate);
                uniforms.write(buffer, place, &RowsParams::new(&gpu, sizes, &step));
            }
        }
        uniforms.upload(&self.gpu);
        self.gpu.submit(&commands)
    }

    /// Drops all plans and the buffers that they share.
    fn forget_plans(&mut self) {
        self.plans.clear();
        self.pool.clear();
        self.own_update = None;
    }

    /// The plan of a key, created on first use.
    fn planned(&mut self, key: Key, training_spec: Option<&TrainingSpec>) -> Result<&Plan> {
        if !self.plans.contains_key(&key) {
            let plan = self.gpu.compiling_together(|| self.plan(&key, training_spec))?;
            self.plans.insert(key.clone(), plan);
        }
        self.plans
            .get(&key)
            .ok_or_else(|| Error::Empty { operation: "training".into(), name: "its plan".into() })
    }

    /// Copies whole buffers on the device.
    fn copy(&self, from: [&wgpu::Buffer; 3], to: [&wgpu::Buffer; 3]) -> Result<()> {
        let sizes = [
            padded(self.graph.length),
            4 * (self.state_count * state_stride(self.graph.length)) as u64,
            4 * self.graph.statistic_length() as u64,
        ];
        let commands: Vec<Command> = from
            .into_iter()
            .zip(to)
            .zip(sizes)
            .filter(|(_, size)| *size > 0)
            .map(|((from, to), size)| Command::Copy {
                from: from.clone(),
                from_offset: 0,
                to: to.clone(),
                to_offset: 0,
                size,
            })
            .collect();
        self.gpu.submit(&commands)
    }

    fn read(&self, buffer: &wgpu::Buffer, at: usize) -> Result<Vec<f64>> {
        self.read_elements(buffer, at, self.graph.length)
    }

    fn read_elements(&self, buffer: &wgpu::Buffer, at: usize, length: usize) -> Result<Vec<f64>> {
        if length == 0 {
            return Ok(Vec::new());
        }
        let values: Vec<f32> = pollster::block_on(self.gpu.download(buffer, at, length))?;
        Ok(values.into_iter().map(f64::from).collect())
    }

    fn write(&self, buffer: &wgpu::Buffer, at: usize, values: &[f64]) {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        self.gpu.queue().write_buffer(buffer, 4 * at as u64, bytemuck::cast_slice(&values));
    }
}

/// Two training specs with the same description run the same kernels.
fn describe(training_spec: &TrainingSpec) -> String {
    let (loss, optimizer) = (&training_spec.loss, &training_spec.optimizer);
    let names = format!("{} {} {}", loss.name(), loss.options(), optimizer.name());
    let (metric, step_options, chunked_head) =
        (&training_spec.metric, &training_spec.step_options, training_spec.chunked_head);
    format!("{names} {} {metric:?} {step_options:?} {chunked_head}", optimizer.options())
}

impl Shares for GpuEngine {
    type Data = Data;
    // One queue: submissions run one after another.
    const SIDE_BY_SIDE: bool = false;

    fn prepare(&self, samples: &Samples) -> Result<Arc<Data>> {
        let outputs = self.graph.outputs();
        let mut palette = None;
        let features = match self.graph.takes_ids() {
            true => {
                let ids = samples.features.numbers();
                let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
                self.parts("ids", &ids, self.graph.inputs())?
            }
            false => match samples.features {
                FlatView::Pixels(pixels, of) if self.gathers_pixels(samples) => {
                    palette = Some(self.gpu.upload("numbers of pixels", of)?);
                    self.parts_of_pixels(pixels)?
                }
                all => self.parts("features", &all.numbers(), self.graph.inputs())?,
            },
        };
        let (targets, target_width, labels) = match samples.targets {
            SampleTargets::None => (Vec::new(), 0, false),
            SampleTargets::Labels(values) => {
                let positions = self.graph.positions();
                (self.parts("labels", values, positions)?, positions, true)
            }
            SampleTargets::Dense(values) => {
                (self.parts("targets", values, outputs)?, outputs, false)
            }
        };
        let has_ignored = samples.has_ignored;
        let offsets = |lists: &Lists| self.gpu.upload("where lists begin", &lists.offsets);
        let lists =
            samples.lists.as_ref().map(|lists| Ok((lists.clone(), offsets(lists)?))).transpose()?;
        // A row of weight 0 is left out, not multiplied by 0: infinity times 0 is NaN. If labels
        // are ignored, a mask would change the count of rows.
        let bits =
            |&weight: &f32| if weight == 0.0 && !has_ignored { MASKED } else { weight.to_bits() };
        let weights: Vec<u32> = samples.weights.rows.iter().map(bits).collect();
        let weights = self.parts("weights of rows", &weights, 1)?;
        let positive = self.positive_sides(samples.weights.positive)?;
        Ok(Arc::new(Data {
            rows: samples.rows,
            features,
            palette,
            targets,
            target_width,
            labels,
            has_ignored,
            lists,
            weights,
            positive,
        }))
    }

    fn register(&mut self, data: Arc<Data>) -> usize {
        self.next += 1;
        self.data.insert(self.next, data);
        self.next
    }
}

impl Engine for GpuEngine {
    fn parameters(&self) -> Result<Vec<f64>> {
        let mut all = self.read(&self.parameters, 0)?;
        if let Some(table) = &self.table {
            all.extend(table.read()?);
        }
        all.extend(self.read_elements(&self.statistics, 0, self.graph.statistic_length())?);
        Ok(all)
    }

    fn set_parameters(&mut self, values: &[f64]) -> Result<()> {
        let (own, rest) = values.split_at(self.graph.length.min(values.len()));
        let rows = self.graph.all_length() - self.graph.length;
        let (rows, statistics) = rest.split_at(rows.min(rest.len()));
        self.write(&self.parameters, 0, own);
        self.write(&self.statistics, 0, statistics);
        if let Some(table) = &self.table {
            table.write(rows);
        }
        self.gpu.check("parameters", padded(values.len()))
    }

    fn states(&self) -> Result<Vec<Vec<f64>>> {
        let stride = state_stride(self.graph.length);
        let state = |number: usize| {
            let mut all = self.read(&self.states, number * stride)?;
            if let Some(table) = &self.table {
                all.extend(table.read_state(number)?);
            }
            Ok(all)
        };
        (0..self.state_count).map(state).collect()
    }

    fn set_states(&mut self, states: &[Vec<f64>]) -> Result<()> {
        let stride = state_stride(self.graph.length);
        if states.len() != self.state_count {
            self.states = self.gpu.buffer("optimizer states", states.len().max(1) * stride)?;
            self.state_count = states.len();
            if let Some(table) = &mut self.table {
                table.keep_states(states.len())?;
            }
            // The plans are bound to the previous buffer.
            self.forget_plans();
            self.remembered = None;
        }
        for (number, state) in states.iter().enumerate() {
            let (own, rows) = state.split_at(self.graph.length.min(state.len()));
            self.write(&self.states, number * stride, own);
            if let Some(table) = &self.table {
                table.write_state(number, rows);
            }
        }
        self.gpu.check("optimizer states", padded(states.len() * stride))
    }

    fn set_groups(&mut self, graph: &Graph) -> Result<()> {
        self.spans = self.gpu.upload("tensors", &update::span_words(&graph.spans))?;
        self.watch = None;
        self.whole = graph.as_dense_chain().map(|chain| SmallModels::new(&self.gpu, &chain));
        self.graph = graph.clone();
        // The plans are made for the previous groups.
        self.forget_plans();
        self.decoder = None;
        Ok(())
    }

    fn take_skipped(&mut self) -> Result<usize> {
        let counted: Vec<u32> = pollster::block_on(self.gpu.download(&self.not_finite, 0, 1))?;
        self.gpu.queue().write_buffer(&self.not_finite, 0, &[0; 4]);
        Ok(counted[0] as usize + std::mem::take(&mut self.skipped_whole))
    }

    fn loss_scale(&self) -> Result<LossScale> {
        if !self.has_scaled {
            return Ok(LossScale::default());
        }
        let words: Vec<f32> = pollster::block_on(self.gpu.download(&self.loss_scale, 0, 3))?;
        Ok(LossScale::of_words(&words))
    }

    fn set_loss_scale(&mut self, scale: LossScale) -> Result<()> {
        self.has_scaled = !scale.is_default();
        self.gpu.queue().write_buffer(&self.loss_scale, 0, bytemuck::cast_slice(&scale.words()));
        self.gpu.check("a loss scale", padded(3))
    }

    fn remember(&mut self) -> Result<()> {
        self.remembered_loss_scale = self.loss_scale()?;
        if self.remembered.is_none() {
            let length = self.graph.length;
            let states = self.state_count.max(1) * state_stride(length);
            self.remembered = Some([
                self.gpu.buffer("a copy of the parameters", length)?,
                self.gpu.buffer("a copy of the states", states)?,
                self.gpu.buffer("a copy of the statistics", self.graph.statistic_length())?,
            ]);
        }
        if let Some([a, b, c]) = &self.remembered {
            self.copy([&self.parameters, &self.states, &self.statistics], [a, b, c])?;
        }
        if let Some(table) = &mut self.table {
            table.remember()?;
        }
        Ok(())
    }

    fn recall(&mut self) -> Result<()> {
        self.set_loss_scale(self.remembered_loss_scale)?;
        if let Some([a, b, c]) = &self.remembered {
            self.copy([a, b, c], [&self.parameters, &self.states, &self.statistics])?;
        }
        if let Some(table) = &self.table {
            table.recall()?;
        }
        Ok(())
    }

    fn load(&mut self, samples: &Samples) -> Result<usize> {
        let data = self.prepare(samples)?;
        Ok(self.register(data))
    }

    /// The plans of the data set are bound to its buffers: these are written again if the new rows
    /// have the same number and kinds.
    fn reload(&mut self, data: usize, samples: &Samples) -> Result<usize> {
        if self.overwrite(data, samples)? {
            return Ok(data);
        }
        self.unload(data);
        self.load(samples)
    }

    fn unload(&mut self, data: usize) {
        self.data.remove(&data);
        self.plans.retain(|key, _| key.data != data);
        // Beside other data its plans keep the buffers.
        if self.plans.is_empty() {
            self.pool.clear();
        }
    }

    fn train(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        self.set_watching(training_spec.step_options.watch)?;
        if training_spec.step_options.mixed_precision {
            // Not while a plan is made, which defers the kernels that the check runs.
            cooperative::check(&self.gpu);
            self.has_scaled = true;
        }
        let mut rest = batches;
        while let Some(first) = rest.first() {
            let whole = self.fits_workgroup(data, training_spec, first);
            let alike = rest
                .iter()
                .take_while(|batch| self.fits_workgroup(data, training_spec, batch) == whole)
                .count();
            let (now, behind) = rest.split_at(alike);
            outcomes.extend(if whole {
                self.pause_watching();
                self.train_small(data, training_spec, now)?
            } else {
                self.run(data, training_spec, now, Kind::Train)?
            });
            rest = behind;
        }
        Ok(outcomes)
    }

    fn reduce(&mut self, has_rows: bool, tail: &mut [f64], reduce: &mut dyn Reduce) -> Result<()> {
        self.reduce_here(has_rows, tail, reduce)
    }

    fn update(&mut self, training_spec: &TrainingSpec, step: &Step) -> Result<()> {
        self.update_here(training_spec, step)
    }

    fn take_updates(&mut self) -> Result<Vec<UpdateSigns>> {
        Ok(std::mem::take(&mut self.updates))
    }

    fn gradients(&self) -> Result<Vec<f64>> {
        self.read(&self.gradients, 0)
    }

    fn evaluate(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        self.run(data, training_spec, batches, Kind::Evaluate)
    }

    fn batch_plan(&self, rows: usize, purpose: Purpose, chunked_head: bool) -> BatchPlan {
        let [scores, learns] = purpose.scores_and_learns();
        let chunk = if chunked_head { self.chunk(rows) } else { rows };
        let request = request(scores, learns, chunk < rows);
        let graph = self.graph_of(request);
        let plan = graph::plan::Plan::new(graph, request);
        let contributions = plan.contribution_elements(graph, rows, false);
        BatchPlan { plan, sizes: BatchRows { rows, chunk }, contributions }
    }

    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>> {
        let (rows, outputs) = (self.known(data)?.rows, self.graph.outputs());
        let mut predictions = Vec::with_capacity(rows * outputs);
        for start in (0..rows).step_by(batch_size) {
            let rows = batch_size.min(rows - start);
            let batch = Batch {
                start,
                rows,
                order: None,
                divisor_rows: None,
                accumulate: false,
                update: None,
                noise: [0; 4],
            };
            let training_spec = Arc::from("");
            let (places, kind) = (1, Kind::Predict);
            let key = Key {
                data,
                rows,
                places,
                divisor_rows: None,
                accumulate: false,
                kind,
                training_spec,
                watched: false,
            };
            let (mut uniforms, mut commands) = (Uniforms::default(), Vec::new());
            let plan = self.planned(key, None)?;
            plan.encode(0, 0, &batch, &mut uniforms, &mut commands);
            let buffer = plan.predictions.clone();
            uniforms.upload(&self.gpu);
            self.gpu.submit(&commands)?;
            let values: Vec<f32> =
                pollster::block_on(self.gpu.download(&buffer, 0, rows * outputs))?;
            predictions.extend(values.into_iter().map(f64::from));
        }
        Ok(predictions)
    }

    fn trace(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        rows: Range<usize>,
        asked: Asked,
    ) -> Result<Trace> {
        self.trace_here(data, training_spec, rows, asked)
    }

    fn decode(&mut self, ids: &[i32], place: usize) -> Result<Option<Vec<f64>>> {
        self.decode_here(ids, place)
    }
}

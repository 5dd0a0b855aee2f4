//! The GPU's engine. A batch is one chain of dispatches on buffers that stay where they are: it is resolved once into
//! a plan and then only encoded again, many batches to a submission, with what changes from batch to batch in a
//! buffer of uniforms. The next submission is encoded while the last one runs; losses are read when all are done.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::device::Gpu;
use crate::kernel::{Command, Slice};
use crate::kernels::loss::{self, Buffers, Divisor, Job};
use crate::kernels::matmul::Params;
use crate::kernels::network::{
    self, Forward, GatherParams, InputGradient, OptimizerParams, SummaryParams, UNIFORM_STRIDE,
};
use crate::layers::Network;
use crate::tensor::{Reading, padded};
use crate::train::engine::{Batch, Engine, Objective, Outcome, SampleTargets, Samples};
use crate::{Error, Result};

/// Batches in one submission at the most; each has a place in the buffers of uniforms.
const MOST_AT_ONCE: usize = 64;

/// A submission should not keep the device longer: beyond some seconds drivers take it for hung.
const SUBMISSION: Duration = Duration::from_millis(40);

/// Buffers of a model and its data on a GPU, and the plans that run on them.
#[derive(Debug)]
pub(crate) struct GpuEngine {
    gpu: Gpu,
    network: Network,
    parameters: wgpu::Buffer,
    gradients: wgpu::Buffer,
    states: [wgpu::Buffer; 2],
    segments: wgpu::Buffer,
    /// Loss and right rows of each batch of two submissions: one runs while the other is read.
    ring: wgpu::Buffer,
    remembered: Option<[wgpu::Buffer; 3]>,
    data: HashMap<usize, Data>,
    next: usize,
    plans: HashMap<Key, Plan>,
    /// How many batches go into a submission, found by timing.
    at_once: usize,
}

/// A data set on the device, in parts that each fit a binding.
#[derive(Debug)]
struct Data {
    rows: usize,
    features: Vec<Part>,
    targets: Vec<Part>,
    target_width: usize,
    labels: bool,
    has_ignored: bool,
}

#[derive(Debug)]
struct Part {
    buffer: wgpu::Buffer,
    first: usize,
    rows: usize,
}

/// What decides which dispatches a batch is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    data: usize,
    rows: usize,
    divisor_rows: usize,
    accumulate: bool,
    kind: Kind,
    /// The loss and the optimizer with their options.
    objective: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Predict,
    Evaluate,
    Train,
    TrainAndUpdate,
}

/// A batch resolved into commands, and the buffers they work on.
#[derive(Debug)]
struct Plan {
    commands: Vec<Command>,
    /// Which commands take their parameters anew for each batch.
    gathers: Vec<(usize, Gather)>,
    summary: Option<(usize, wgpu::Buffer, SummaryParams)>,
    update: Option<(usize, wgpu::Buffer)>,
    predictions: wgpu::Buffer,
}

#[derive(Debug)]
struct Gather {
    uniforms: wgpu::Buffer,
    width: usize,
    part_first: usize,
    part_rows: usize,
}

impl GpuEngine {
    pub fn new(gpu: &Gpu, network: Network) -> Result<Self> {
        let length = network.length;
        let words = network::segment_words(&network.segments);
        let segments = gpu.upload("regularisation", if words.is_empty() { &[0; 4] } else { &words })?;
        Ok(GpuEngine {
            gpu: gpu.clone(),
            parameters: gpu.buffer("parameters", length)?,
            gradients: gpu.buffer("gradients", length)?,
            states: [gpu.buffer("optimizer state", length)?, gpu.buffer("optimizer state", length)?],
            segments,
            ring: gpu.buffer("losses of two submissions", 4 * MOST_AT_ONCE)?,
            remembered: None,
            data: HashMap::new(),
            next: 0,
            plans: HashMap::new(),
            at_once: 1,
            network,
        })
    }

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

    /// Uploads rows in parts under the binding limit.
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

    /// Resolves a batch into commands.
    fn plan(&self, key: &Key, objective: Option<&Objective>) -> Result<Plan> {
        let gpu = &self.gpu;
        let data = self.known(key.data)?;
        let columns = self.network.outputs();
        let mut commands = Vec::new();
        let mut gathers = Vec::new();
        let x = gpu.buffer("a batch", key.rows * self.network.inputs)?;
        let targets = gpu.buffer("targets of a batch", key.rows * data.target_width.max(1))?;
        self.gather(&data.features, self.network.inputs, key.rows, &x, &mut commands, &mut gathers)?;
        if key.kind != Kind::Predict {
            self.gather(&data.targets, data.target_width, key.rows, &targets, &mut commands, &mut gathers)?;
        }
        let pass = Pass::new(gpu, &self.network, key.rows, x)?;
        self.forward(&pass, key.rows, &mut commands)?;
        let predictions = pass.outputs[self.network.layers.len()].clone();
        let mut plan = Plan { commands, gathers, summary: None, update: None, predictions: predictions.clone() };
        let Some(objective) = objective.filter(|_| key.kind != Kind::Predict) else {
            return Ok(plan);
        };
        let job = self.job(key, objective, data);
        let gradient = pass.gradients[self.network.layers.len() - 1].clone();
        let values_length = loss::values_length(gpu, &*objective.loss, &job);
        let buffers = Buffers {
            predictions: predictions.clone(),
            targets: targets.clone(),
            weights: None,
            column_weights: None,
            class_mask: None,
            upstreams: None,
            gradient,
            values: gpu.buffer("values of a batch", values_length + key.rows)?,
            result: gpu.buffer("a divisor", 4)?,
            absent: gpu.buffer("nothing", 4)?,
        };
        let (kernel, parts) = loss::kernel_commands(gpu, &*objective.loss, &job, &buffers)?;
        plan.commands.extend(kernel);
        let mut summary = SummaryParams { length: parts.length as u32, rows: 0, slot: 0, reserved: 0 };
        if let Some(metric) = objective.metric {
            let sizes = [key.rows as u32, columns as u32, parts.length as u32];
            let thresholds = [metric.threshold, metric.truth_threshold];
            let buffers = [&predictions, &targets, &buffers.values];
            plan.commands.push(network::correct(gpu, sizes, data.labels, thresholds, buffers)?);
            summary.rows = key.rows as u32;
        }
        let uniforms = self.uniforms()?;
        let storage = [(&buffers.values).into(), (&self.ring).into()];
        plan.summary = Some((plan.commands.len(), uniforms.clone(), summary));
        plan.commands.push(self.stepped(
            &network::summary(gpu)?,
            &uniforms,
            size_of::<SummaryParams>(),
            &storage,
            1,
        )?);
        if key.kind != Kind::Evaluate {
            self.backward(&pass, key, &mut plan.commands)?;
        }
        if key.kind == Kind::TrainAndUpdate {
            let (kernel, workgroups) = network::optimizer(gpu, &*objective.optimizer, self.network.length)?;
            let uniforms = self.uniforms()?;
            let [first, second] = &self.states;
            let storage = [&self.parameters, &self.gradients, first, second, &self.segments].map(Slice::from);
            plan.update = Some((plan.commands.len(), uniforms.clone()));
            plan.commands.push(self.stepped(&kernel, &uniforms, size_of::<OptimizerParams>(), &storage, workgroups)?);
        }
        Ok(plan)
    }

    fn known(&self, data: usize) -> Result<&Data> {
        self.data.get(&data).ok_or_else(|| Error::Empty { operation: "training".into(), name: "its data".into() })
    }

    fn job(&self, key: &Key, objective: &Objective, data: &Data) -> Job {
        let columns = self.network.outputs();
        let by_labels = data.has_ignored && key.divisor_rows == key.rows;
        Job {
            rows: key.rows,
            row_length: columns,
            columns,
            labels: data.labels,
            each: false,
            factor: if by_labels { 1.0 } else { objective.factor(key.divisor_rows, columns) as f32 },
            upstream: 1.0,
            divisor: if by_labels { Divisor::OfLabels } else { Divisor::Known },
            auxiliary: false,
        }
    }

    /// A dispatch whose parameters lie in a buffer of uniforms.
    fn stepped(
        &self,
        kernel: &std::sync::Arc<crate::kernel::Kernel>,
        uniforms: &wgpu::Buffer,
        size: usize,
        storage: &[Slice],
        workgroups: u32,
    ) -> Result<Command> {
        let uniform = Slice { buffer: uniforms, offset: 0, size: Some((size as u64).next_multiple_of(16)) };
        let bindings = self.gpu.bind(kernel, uniform, storage)?;
        Ok(Command::Dispatch { kernel: kernel.clone(), bindings, parameters: 0, workgroups })
    }

    fn gather(
        &self,
        parts: &[Part],
        width: usize,
        rows: usize,
        batch: &wgpu::Buffer,
        commands: &mut Vec<Command>,
        gathers: &mut Vec<(usize, Gather)>,
    ) -> Result<()> {
        let kernel = network::gather(&self.gpu)?;
        for part in parts {
            let uniforms = self.uniforms()?;
            let storage = [(&part.buffer).into(), batch.into()];
            let command = self.stepped(&kernel, &uniforms, size_of::<GatherParams>(), &storage, rows as u32)?;
            gathers.push((commands.len(), Gather { uniforms, width, part_first: part.first, part_rows: part.rows }));
            commands.push(command);
        }
        Ok(())
    }

    fn forward(&self, pass: &Pass, rows: usize, commands: &mut Vec<Command>) -> Result<()> {
        for (index, layer) in self.network.layers.iter().enumerate() {
            let params = Params {
                m: rows as u32,
                n: layer.units as u32,
                k: layer.inputs as u32,
                right_offset: layer.offset as u32,
                bias_offset: layer.biases().start as u32,
                ..Params::default()
            };
            commands.extend(network::forward(
                &self.gpu,
                &Forward {
                    activation: &*layer.activation,
                    bias: layer.bias,
                    params,
                    x: &pass.outputs[index],
                    parameters: &self.parameters,
                    y: &pass.outputs[index + 1],
                    kept: &pass.kept[index],
                },
            )?);
        }
        Ok(())
    }

    fn backward(&self, pass: &Pass, key: &Key, commands: &mut Vec<Command>) -> Result<()> {
        let gpu = &self.gpu;
        let rows = key.rows as u32;
        for (index, layer) in self.network.layers.iter().enumerate().rev() {
            let gradient = &pass.gradients[index];
            if index + 1 == self.network.layers.len() {
                let (kept, y) = (&pass.kept[index], &pass.outputs[index + 1]);
                let sizes = [rows, layer.units as u32];
                commands.extend(network::activation_backward(gpu, &*layer.activation, sizes, kept, y, gradient)?);
            }
            let ones = u32::from(layer.bias);
            let params = Params {
                m: layer.inputs as u32 + ones,
                n: layer.units as u32,
                k: rows,
                ones,
                accumulate: u32::from(key.accumulate),
                output_offset: layer.offset as u32,
                ..Params::default()
            };
            commands.push(network::weight_gradient(gpu, &params, &pass.outputs[index], gradient, &self.gradients)?);
            if index == 0 {
                continue;
            }
            let params = Params {
                m: rows,
                n: layer.inputs as u32,
                k: layer.units as u32,
                right_offset: layer.offset as u32,
                ..Params::default()
            };
            let below = InputGradient {
                activation: &*self.network.layers[index - 1].activation,
                params,
                gradient,
                parameters: &self.parameters,
                below: &pass.gradients[index - 1],
                kept: &pass.kept[index - 1],
                y: &pass.outputs[index],
            };
            commands.extend(network::input_gradient(gpu, &below)?);
        }
        Ok(())
    }

    /// Runs batches in turn, many to a submission: each is encoded while the one before it runs.
    fn run(&mut self, data: usize, objective: &Objective, batches: &[Batch], kind: Kind) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        let mut running: Option<(Reading, usize)> = None;
        let (mut done, mut half, mut last) = (0, 0, Instant::now());
        while done < batches.len() || running.is_some() {
            let now = &batches[done..(done + self.at_once).min(batches.len())];
            let before = running.take();
            if !now.is_empty() {
                self.submit(data, objective, now, kind, half)?;
                let reading = self.gpu.begin_download(&self.ring, half * 2 * MOST_AT_ONCE, 2 * now.len())?;
                running = Some((reading, now.len()));
                half = 1 - half;
                done += now.len();
            }
            if let Some((reading, count)) = before {
                let words: Vec<f32> = pollster::block_on(self.gpu.finish_download(reading))?;
                outcomes.extend(words.chunks_exact(2).map(|w| Outcome { loss: w[0].into(), correct: w[1].into() }));
                self.adapt(count, last.elapsed());
                last = Instant::now();
            }
        }
        Ok(outcomes)
    }

    /// Takes as many batches to a submission as its time allows.
    fn adapt(&mut self, batches: usize, elapsed: Duration) {
        let each = elapsed.as_secs_f64() / batches as f64;
        let fitting = (SUBMISSION.as_secs_f64() / each.max(1e-9)) as usize;
        // Growing by no more than four times: the first batch compiles pipelines and says little.
        self.at_once = fitting.clamp(1, (4 * self.at_once).min(MOST_AT_ONCE));
    }

    /// Encodes and submits batches; their outcomes go to one half of the ring.
    fn submit(&mut self, data: usize, objective: &Objective, batches: &[Batch], kind: Kind, half: usize) -> Result<()> {
        let mut uniforms = Uniforms::default();
        let mut commands = Vec::new();
        for (place, batch) in batches.iter().enumerate() {
            let key = Key {
                data,
                rows: batch.rows,
                divisor_rows: batch.divisor_rows,
                accumulate: batch.accumulate,
                kind: if batch.update.is_some() { Kind::TrainAndUpdate } else { kind },
                objective: describe(objective),
            };
            let step =
                batch.update.map(|step| OptimizerParams::new(self.network.length, &self.network.segments, &step));
            let plan = self.planned(key, Some(objective))?;
            plan.encode(place, half * MOST_AT_ONCE + place, batch, &mut uniforms, &mut commands);
            if let (Some((_, buffer)), Some(step)) = (&plan.update, &step) {
                uniforms.write(buffer, place, step);
            }
        }
        uniforms.upload(&self.gpu);
        self.gpu.submit(&commands)
    }

    /// The plan of a key, made the first time.
    fn planned(&mut self, key: Key, objective: Option<&Objective>) -> Result<&Plan> {
        if !self.plans.contains_key(&key) {
            let plan = self.plan(&key, objective)?;
            self.plans.insert(key.clone(), plan);
        }
        self.plans.get(&key).ok_or_else(|| Error::Empty { operation: "training".into(), name: "its plan".into() })
    }

    /// Copies whole buffers on the device.
    fn copy(&self, from: [&wgpu::Buffer; 3], to: [&wgpu::Buffer; 3]) -> Result<()> {
        let size = padded(self.network.length);
        let commands: Vec<Command> = from
            .into_iter()
            .zip(to)
            .map(|(from, to)| Command::Copy { from: from.clone(), from_offset: 0, to: to.clone(), to_offset: 0, size })
            .collect();
        self.gpu.submit(&commands)
    }

    fn read(&self, buffer: &wgpu::Buffer) -> Result<Vec<f64>> {
        let values: Vec<f32> = pollster::block_on(self.gpu.download(buffer, 0, self.network.length))?;
        Ok(values.into_iter().map(f64::from).collect())
    }

    fn write(&self, buffer: &wgpu::Buffer, values: &[f64]) {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        self.gpu.queue().write_buffer(buffer, 0, bytemuck::cast_slice(&values));
    }
}

/// Two objectives with the same description run the same kernels.
fn describe(objective: &Objective) -> String {
    let (loss, optimizer) = (&objective.loss, &objective.optimizer);
    let names = format!("{} {} {}", loss.entry().name, loss.options(), optimizer.name());
    format!("{names} {} {:?}", optimizer.options(), objective.metric)
}

/// What is to be written to buffers of uniforms before a submission, brought together so that each is written once.
#[derive(Default)]
struct Uniforms {
    pending: HashMap<wgpu::Buffer, Vec<u8>>,
}

impl Uniforms {
    fn write<P: bytemuck::Pod>(&mut self, buffer: &wgpu::Buffer, place: usize, params: &P) {
        let bytes = self.pending.entry(buffer.clone()).or_default();
        let start = place * UNIFORM_STRIDE as usize;
        bytes.resize(bytes.len().max(start + UNIFORM_STRIDE as usize), 0);
        let params = bytemuck::bytes_of(params);
        bytes[start..start + params.len()].copy_from_slice(params);
    }

    fn upload(&self, gpu: &Gpu) {
        for (buffer, bytes) in &self.pending {
            gpu.queue().write_buffer(buffer, 0, bytes);
        }
    }
}

impl Plan {
    /// Adds the commands of one batch, and its parameters at its place in the buffers of uniforms.
    fn encode(&self, place: usize, slot: usize, batch: &Batch, uniforms: &mut Uniforms, commands: &mut Vec<Command>) {
        let first = commands.len();
        commands.extend(self.commands.iter().cloned());
        let mut stepped = Vec::with_capacity(4);
        for (index, gather) in &self.gathers {
            uniforms.write(&gather.uniforms, place, &gather.params(batch));
            stepped.push(*index);
        }
        if let Some((index, buffer, summary)) = &self.summary {
            uniforms.write(buffer, place, &SummaryParams { slot: slot as u32, ..*summary });
            stepped.push(*index);
        }
        stepped.extend(self.update.as_ref().map(|(index, _)| *index));
        for index in stepped {
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
            rows: batch.rows as u32,
            width: self.width as u32,
            part_first: self.part_first as u32,
            part_rows: self.part_rows as u32,
            start: batch.start as u32,
            length: batch.order.map_or(0, |order| order.length()),
            shuffled: u32::from(batch.order.is_some()),
            reserved: 0,
            keys,
        }
    }
}

impl Engine for GpuEngine {
    fn parameters(&self) -> Result<Vec<f64>> {
        self.read(&self.parameters)
    }

    fn set_parameters(&mut self, values: &[f64]) -> Result<()> {
        self.write(&self.parameters, values);
        self.gpu.check("parameters", padded(values.len()))
    }

    fn states(&self) -> Result<[Vec<f64>; 2]> {
        Ok([self.read(&self.states[0])?, self.read(&self.states[1])?])
    }

    fn set_states(&mut self, states: &[Vec<f64>; 2]) -> Result<()> {
        self.write(&self.states[0], &states[0]);
        self.write(&self.states[1], &states[1]);
        self.gpu.check("optimizer state", padded(states[0].len()))
    }

    fn remember(&mut self) -> Result<()> {
        if self.remembered.is_none() {
            let buffer = || self.gpu.buffer("a copy of the parameters", self.network.length);
            self.remembered = Some([buffer()?, buffer()?, buffer()?]);
        }
        if let Some([a, b, c]) = &self.remembered {
            self.copy([&self.parameters, &self.states[0], &self.states[1]], [a, b, c])?;
        }
        Ok(())
    }

    fn recall(&mut self) -> Result<()> {
        if let Some([a, b, c]) = &self.remembered {
            self.copy([a, b, c], [&self.parameters, &self.states[0], &self.states[1]])?;
        }
        Ok(())
    }

    fn load(&mut self, samples: &Samples) -> Result<usize> {
        let outputs = self.network.outputs();
        let features = self.parts("features", samples.features, self.network.inputs)?;
        let (targets, target_width, labels) = match samples.targets {
            SampleTargets::None => (Vec::new(), 0, false),
            SampleTargets::Labels(values) => (self.parts("labels", values, 1)?, 1, true),
            SampleTargets::Dense(values) => (self.parts("targets", values, outputs)?, outputs, false),
        };
        self.next += 1;
        let has_ignored = samples.has_ignored;
        self.data.insert(self.next, Data { rows: samples.rows, features, targets, target_width, labels, has_ignored });
        Ok(self.next)
    }

    fn unload(&mut self, data: usize) {
        self.data.remove(&data);
        self.plans.retain(|key, _| key.data != data);
    }

    fn train(&mut self, data: usize, objective: &Objective, batches: &[Batch]) -> Result<Vec<Outcome>> {
        self.run(data, objective, batches, Kind::Train)
    }

    fn evaluate(&mut self, data: usize, objective: &Objective, batches: &[Batch]) -> Result<Vec<Outcome>> {
        self.run(data, objective, batches, Kind::Evaluate)
    }

    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>> {
        let (rows, outputs) = (self.known(data)?.rows, self.network.outputs());
        let mut predictions = Vec::with_capacity(rows * outputs);
        for start in (0..rows).step_by(batch_size) {
            let rows = batch_size.min(rows - start);
            let batch = Batch { start, rows, order: None, divisor_rows: rows, accumulate: false, update: None };
            let objective = String::new();
            let key = Key { data, rows, divisor_rows: rows, accumulate: false, kind: Kind::Predict, objective };
            let (mut uniforms, mut commands) = (Uniforms::default(), Vec::new());
            let plan = self.planned(key, None)?;
            plan.encode(0, 0, &batch, &mut uniforms, &mut commands);
            let buffer = plan.predictions.clone();
            uniforms.upload(&self.gpu);
            self.gpu.submit(&commands)?;
            let values: Vec<f32> = pollster::block_on(self.gpu.download(&buffer, 0, rows * outputs))?;
            predictions.extend(values.into_iter().map(f64::from));
        }
        Ok(predictions)
    }
}

/// The buffers of one batch's way through the network.
struct Pass {
    /// The batch, then the output of each layer.
    outputs: Vec<wgpu::Buffer>,
    /// What each activation was given; 16 bytes of nothing where its derivative does not ask.
    kept: Vec<wgpu::Buffer>,
    /// dL/dx of each activation.
    gradients: Vec<wgpu::Buffer>,
}

impl Pass {
    fn new(gpu: &Gpu, network: &Network, rows: usize, batch: wgpu::Buffer) -> Result<Self> {
        let mut pass = Pass { outputs: vec![batch], kept: Vec::new(), gradients: Vec::new() };
        for layer in &network.layers {
            let length = rows * layer.units;
            pass.outputs.push(gpu.buffer("a layer's output", length)?);
            pass.kept.push(gpu.buffer("a layer's sums", if layer.activation.needs_input() { length } else { 4 })?);
            pass.gradients.push(gpu.buffer("a layer's gradient", length)?);
        }
        Ok(pass)
    }
}

//! A batch resolved into commands: which kernels, on which buffers, and what changes from batch to batch.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Result;
use crate::nn::activations::{Activation, Identity};
use crate::nn::embedding::kernels::Sizes;
use crate::nn::ops::dense;
use crate::nn::ops::dense::{Forward, GatherParams, InputGradient, SummaryParams, UNIFORM_STRIDE};
use crate::nn::ops::matmul::Params;
use crate::nn::optimizers::update;
use crate::nn::optimizers::update::Update;
use crate::nn::train::engine::{Batch, TrainingSpec};
use crate::nn::train::gpu::chunks::SmallModelBatch;
use crate::nn::train::gpu::pass::{Joined, Pass};
use crate::nn::train::gpu::{Data, GpuEngine, MOST_AT_ONCE, Part};
use crate::runtime::device::Gpu;
use crate::runtime::pipeline::{Command, Kernel, Slice};
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

/// A batch resolved into commands, and the buffers they work on.
#[derive(Debug)]
pub(crate) struct Plan {
    pub commands: Vec<Command>,
    /// Which commands take their parameters anew for each batch.
    pub gathers: Vec<(usize, Gather)>,
    pub summary: Option<(usize, wgpu::Buffer, SummaryParams)>,
    /// Those that read the numbers of the optimizer's step, and where these go.
    pub stepped: Vec<usize>,
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
        let gpu = &self.gpu;
        let data = self.known(key.data)?;
        let columns = self.network.outputs();
        let mut commands = Vec::new();
        let mut gathers = Vec::new();
        // Padding goes through the network with the items: its scores are of no account and its gradient is 0.
        let rows = key.rows * key.places;
        let x = gpu.buffer("a batch", rows * self.network.inputs)?;
        let targets = gpu.buffer("targets of a batch", rows * data.target_width.max(1))?;
        let lists =
            data.lists.as_ref().filter(|_| key.kind != Kind::Predict).map(|(_, offsets)| offsets);
        let size = [key.rows, key.places];
        let mut gather =
            |parts: &[Part], width: usize, padding: f32, batch: &wgpu::Buffer| match lists {
                Some(offsets) => {
                    let kernel = dense::gather_lists(gpu, padding)?;
                    self.gather(
                        &kernel,
                        parts,
                        width,
                        size,
                        &[batch, offsets],
                        &mut commands,
                        &mut gathers,
                    )
                }
                None => self.gather(
                    &dense::gather(gpu)?,
                    parts,
                    width,
                    size,
                    &[batch],
                    &mut commands,
                    &mut gathers,
                ),
            };
        gather(&data.features, self.network.inputs, 0.0, &x)?;
        let ids = x.clone();
        if key.kind != Kind::Predict {
            gather(&data.targets, data.target_width, -1.0, &targets)?;
        }
        let weights = (key.kind != Kind::Predict && !data.weights.is_empty())
            .then(|| gpu.buffer("weights of a batch", rows));
        let weights = weights.transpose()?;
        if let Some(weights) = &weights {
            gather(&data.weights, 1, 0.0, weights)?;
        }
        let x = match &self.table {
            Some(table) => {
                let found = gpu.buffer("a batch", rows * self.network.layers[0].inputs)?;
                commands.push(table.forward(rows, [&ids, &found])?);
                found
            }
            None => x,
        };
        let chunk = match training_spec
            .filter(|training_spec| training_spec.in_chunks && key.kind != Kind::Predict)
        {
            Some(_) => chunk_rows(
                rows,
                columns,
                MOST_BYTES.min(gpu.limits().max_storage_buffer_binding_size),
            ),
            None => rows,
        };
        let pass = Pass::new(gpu, &self.network, [rows, chunk], x)?;
        let layers = self.network.layers.len() - usize::from(chunk < rows);
        self.forward(&pass, rows, layers, &mut commands)?;
        let predictions = pass.outputs[self.network.layers.len()].clone();
        let stepped = Vec::new();
        let mut plan = Plan {
            commands,
            gathers,
            summary: None,
            stepped,
            update: None,
            rows_moved: None,
            predictions: predictions.clone(),
        };
        let Some(training_spec) = training_spec.filter(|_| key.kind != Kind::Predict) else {
            return Ok(plan);
        };
        if chunk < rows {
            let weights = weights.as_ref();
            let batch = SmallModelBatch {
                key,
                training_spec,
                data,
                pass: &pass,
                targets: &targets,
                weights,
            };
            let joined = self.last_layer_in_chunks(&batch, chunk, &mut plan.commands)?;
            self.summarize(&mut plan, joined)?;
            self.learn(training_spec, key, &pass, [layers, rows], &ids, &mut plan)?;
            return Ok(plan);
        }
        let job = self.job(key, training_spec, data);
        let gradient = pass.gradients[self.network.layers.len() - 1].clone();
        let values_length = templates::values_length(gpu, &*training_spec.loss, &job);
        let buffers = Buffers {
            predictions: predictions.clone(),
            targets: targets.clone(),
            weights: weights.map(|weights| (weights, Per::Row)),
            column_weights: data.column_weights(&*training_spec.loss),
            pos_weights: data.has_positive_behind_classes(&*training_spec.loss),
            class_mask: None,
            upstreams: None,
            gradient,
            values: gpu.buffer("values of a batch", values_length + key.rows)?,
            result: gpu.buffer("a divisor", NOTES)?,
            dummy: gpu.buffer("nothing", 4)?,
        };
        if job.divisor == Divisor::Ready {
            // Which places are padding is known on the device alone.
            let (counted, units) = units_of_lists(gpu, &*training_spec.loss, &job, &buffers)?;
            plan.commands.extend(counted);
            let values = Values { share: Share::Several(&units), ..Values::plain(key.rows) };
            plan.commands.extend(normalizer::count(gpu, &values, &buffers.result)?);
        }
        let (kernel, parts) =
            templates::kernel_commands(gpu, &*training_spec.loss, &job, &buffers)?;
        plan.commands.extend(kernel);
        if let Some(metric) = training_spec.metric {
            let sizes = [key.rows as u32, columns as u32, parts.length as u32];
            let thresholds = [metric.threshold, metric.truth_threshold];
            let buffers = [&predictions, &targets, &buffers.values];
            plan.commands.push(dense::correct(
                gpu,
                sizes,
                data.labels,
                training_spec.loss.ignored(),
                thresholds,
                buffers,
            )?);
        }
        let checked = if training_spec.metric.is_some() { key.rows } else { 0 };
        self.summarize(
            &mut plan,
            Joined { values: buffers.values, parts: parts.length, checked, rows: key.rows },
        )?;
        self.learn(training_spec, key, &pass, [layers, rows], &ids, &mut plan)?;
        Ok(plan)
    }

    /// The batch's loss and how many rows are right, into their place of the ring.
    fn summarize(&self, plan: &mut Plan, joined: Joined) -> Result<()> {
        let Joined { values, parts, checked, rows } = joined;
        let uniforms = self.uniforms()?;
        let summary =
            SummaryParams { length: parts as u32, rows: checked as u32, slot: 0, reserved: 0 };
        plan.summary = Some((plan.commands.len(), uniforms.clone(), summary));
        let (kernel, storage) =
            (dense::summary(&self.gpu, parts + rows)?, [(&values).into(), (&self.ring).into()]);
        plan.commands.push(self.stepped(
            &kernel,
            &uniforms,
            size_of::<SummaryParams>(),
            &storage,
            1,
        )?);
        Ok(())
    }

    /// Gradients of so many layers and a step, as far as the plan asks for them.
    fn learn(
        &self,
        training_spec: &TrainingSpec,
        key: &Key,
        pass: &Pass,
        [layers, rows]: [usize; 2],
        ids: &wgpu::Buffer,
        plan: &mut Plan,
    ) -> Result<()> {
        if key.kind != Kind::Evaluate {
            self.backward(pass, key, layers, &mut plan.commands)?;
        }
        if key.kind != Kind::TrainAndUpdate {
            return Ok(());
        }
        self.update(training_spec, plan)?;
        let (Some(table), Some(gradient)) = (&self.table, &pass.of_input) else { return Ok(()) };
        let uniforms = self.uniforms()?;
        let (moved, stepped) =
            table.update(&*training_spec.optimizer, rows, [ids, gradient], &uniforms)?;
        plan.stepped.extend(plan.commands.len() + stepped..plan.commands.len() + moved.len());
        plan.commands.extend(moved);
        plan.rows_moved = Some((uniforms, table.sizes(rows)));
        Ok(())
    }

    /// The optimizer's step behind the gradients.
    fn update(&self, training_spec: &TrainingSpec, plan: &mut Plan) -> Result<()> {
        let uniforms = self.uniforms()?;
        let update = Update {
            optimizer: &*training_spec.optimizer,
            length: self.network.length,
            gradient_transform: training_spec.gradient_transform(&self.network),
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
            if stepped.reads_step {
                plan.stepped.push(plan.commands.len());
            }
            plan.commands.push(stepped.command);
        }
        plan.update = Some(uniforms);
        Ok(())
    }

    pub(crate) fn job(&self, key: &Key, training_spec: &TrainingSpec, data: &Data) -> Job {
        let columns = if data.lists.is_some() { key.places } else { self.network.outputs() };
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

    /// A dispatch whose parameters lie in a buffer of uniforms.
    fn stepped(
        &self,
        kernel: &Arc<Kernel>,
        uniforms: &wgpu::Buffer,
        size: usize,
        storage: &[Slice],
        workgroups: u32,
    ) -> Result<Command> {
        let uniform =
            Slice { buffer: uniforms, offset: 0, size: Some((size as u64).next_multiple_of(16)) };
        let bindings = self.gpu.bind(kernel, uniform, storage)?;
        Ok(Command::Dispatch { kernel: kernel.clone(), bindings, parameters: 0, workgroups })
    }

    /// Brings a batch of so many rows, or lists of so many places, together; `others` is where it goes, and what else the kernel reads.
    #[allow(
        clippy::too_many_arguments,
        reason = "two lists grow, the rest is what one dispatch is made of"
    )]
    fn gather(
        &self,
        kernel: &Arc<Kernel>,
        parts: &[Part],
        width: usize,
        [rows, places]: [usize; 2],
        others: &[&wgpu::Buffer],
        commands: &mut Vec<Command>,
        gathers: &mut Vec<(usize, Gather)>,
    ) -> Result<()> {
        for part in parts {
            let uniforms = self.uniforms()?;
            let storage: Vec<Slice> =
                [&part.buffer].into_iter().chain(others.iter().copied()).map(Slice::from).collect();
            let workgroups = (rows * places) as u32;
            let command =
                self.stepped(kernel, &uniforms, size_of::<GatherParams>(), &storage, workgroups)?;
            let (part_first, part_rows) = (part.first, part.rows);
            gathers
                .push((commands.len(), Gather { uniforms, width, places, part_first, part_rows }));
            commands.push(command);
        }
        Ok(())
    }

    /// Takes the batch through so many layers.
    fn forward(
        &self,
        pass: &Pass,
        rows: usize,
        layers: usize,
        commands: &mut Vec<Command>,
    ) -> Result<()> {
        for (index, layer) in self.network.layers[..layers].iter().enumerate() {
            let params = Params {
                m: rows as u32,
                n: layer.units as u32,
                k: layer.inputs as u32,
                right_offset: layer.offset as u32,
                bias_offset: layer.biases().start as u32,
                ..Params::default()
            };
            commands.extend(dense::forward(
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

    /// The gradients of so many layers, from that of the last one's output on.
    fn backward(
        &self,
        pass: &Pass,
        key: &Key,
        layers: usize,
        commands: &mut Vec<Command>,
    ) -> Result<()> {
        let gpu = &self.gpu;
        let rows = (key.rows * key.places) as u32;
        for (index, layer) in self.network.layers[..layers].iter().enumerate().rev() {
            let gradient = &pass.gradients[index];
            if index + 1 == layers {
                let (kept, y) = (&pass.kept[index], &pass.outputs[index + 1]);
                let sizes = [rows, layer.units as u32];
                commands.extend(dense::activation_backward(
                    gpu,
                    &*layer.activation,
                    sizes,
                    kept,
                    y,
                    gradient,
                )?);
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
            commands.extend(dense::weight_gradient(
                gpu,
                &params,
                &pass.outputs[index],
                gradient,
                &self.gradients,
            )?);
            let (activation, below, kept): (&dyn Activation, _, _) =
                match (index.checked_sub(1), &pass.of_input) {
                    (Some(before), _) => (
                        &*self.network.layers[before].activation,
                        &pass.gradients[before],
                        &pass.kept[before],
                    ),
                    (None, Some(of_input)) => (&Identity, of_input, &pass.outputs[0]),
                    (None, None) => continue,
                };
            let params = Params {
                m: rows,
                n: layer.inputs as u32,
                k: layer.units as u32,
                right_offset: layer.offset as u32,
                ..Params::default()
            };
            let below = InputGradient {
                activation,
                params,
                gradient,
                parameters: &self.parameters,
                below,
                kept,
                y: &pass.outputs[index],
            };
            commands.extend(dense::input_gradient(gpu, &below)?);
        }
        Ok(())
    }
}

/// What is to be written to buffers of uniforms before a submission, brought together so that each is written once.
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
        commands.extend(self.commands.iter().cloned());
        let mut stepped = Vec::with_capacity(8);
        for (index, gather) in &self.gathers {
            uniforms.write(&gather.uniforms, place, &gather.params(batch));
            stepped.push(*index);
        }
        if let Some((index, buffer, summary)) = &self.summary {
            uniforms.write(buffer, place, &SummaryParams { slot: slot as u32, ..*summary });
            stepped.push(*index);
        }
        stepped.extend(&self.stepped);
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

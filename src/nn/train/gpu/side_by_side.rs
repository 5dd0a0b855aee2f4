//! A population of small networks on a GPU: all members in one set of buffers, trained in the same
//! dispatches.

use std::collections::HashMap;

use crate::losses::Mse;
use crate::nn::graph::chain::DenseChain;
use crate::nn::loss_scale::LossScale;
use crate::nn::optimizers::GradientDescent;
use crate::nn::optimizers::update::job::state_stride;
use crate::nn::train::batched_engine::{BatchedEngine, MemberBatches, no_member};
use crate::nn::train::engine::{Outcome, SampleTargets, Samples, StepOptions, TrainingSpec};
use crate::nn::train::gpu::whole::{Held, MARGIN, RowsOnDevice, SmallModels};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::{Error, Result};

/// The buffers of all members and the kernel that trains them.
#[derive(Debug)]
pub(crate) struct SideBySide {
    gpu: Gpu,
    members: usize,
    /// Parameters per member.
    length: usize,
    parameters: wgpu::Buffer,
    /// All states of each member, stored consecutively, and their number per member.
    states: wgpu::Buffer,
    state_count: usize,
    remembered: Option<[wgpu::Buffer; 2]>,
    /// Skipped steps of each member.
    skipped: Vec<usize>,
    whole: SmallModels,
    data: HashMap<usize, Data>,
    next: usize,
}

/// A data set on the device.
#[derive(Debug)]
struct Data {
    rows: usize,
    features: wgpu::Buffer,
    targets: wgpu::Buffer,
    /// The labels, if some are ignored.
    labels: Option<Vec<i32>>,
    has_ignored: bool,
}

impl SideBySide {
    pub fn new(gpu: &Gpu, chain: &DenseChain, members: usize) -> Result<Self> {
        let length = chain.length;
        let limit = gpu.limits().max_storage_buffer_binding_size;
        let bytes = 4 * (members * length + MARGIN) as u64;
        if bytes > limit {
            let name = format!("{members} members of {length} parameters");
            return Err(Error::TooLarge {
                name,
                bytes,
                limit,
                advice: "use fewer members in one population".into(),
            });
        }
        Ok(SideBySide {
            gpu: gpu.clone(),
            members,
            length,
            parameters: gpu.buffer("parameters of a population", members * length + MARGIN)?,
            states: gpu.buffer("no optimizer states", MARGIN)?,
            state_count: 0,
            remembered: None,
            skipped: vec![0; members],
            whole: SmallModels::new(gpu, chain),
            data: HashMap::new(),
            next: 0,
        })
    }

    fn read(&self, buffer: &wgpu::Buffer, at: usize) -> Result<Vec<f64>> {
        let values: Vec<f32> = pollster::block_on(self.gpu.download(buffer, at, self.length))?;
        Ok(values.into_iter().map(f64::from).collect())
    }

    fn write(&self, buffer: &wgpu::Buffer, at: usize, values: &[f64]) -> Result<()> {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        self.gpu.queue().write_buffer(buffer, 4 * at as u64, bytemuck::cast_slice(&values));
        self.gpu.check("parameters of a population", 4 * values.len() as u64)
    }

    /// Offset of a member's parameters.
    fn place(&self, member: usize) -> Result<usize> {
        if member < self.members {
            Ok(member * self.length)
        } else {
            Err(no_member(member, self.members))
        }
    }

    /// Length of all states of a member.
    fn state_length(&self) -> usize {
        self.state_count * state_stride(self.length)
    }

    fn own(&self) -> [&wgpu::Buffer; 2] {
        [&self.parameters, &self.states]
    }

    /// Copies parameters and states of some members between offsets.
    fn copy(
        &self,
        from: [&wgpu::Buffer; 2],
        to: [&wgpu::Buffer; 2],
        first: usize,
        members: usize,
    ) -> Result<()> {
        let copy = |((from, to), length): ((&wgpu::Buffer, &wgpu::Buffer), usize)| Command::Copy {
            from: from.clone(),
            from_offset: 4 * (first * length) as u64,
            to: to.clone(),
            to_offset: 4 * (first * length) as u64,
            size: 4 * (members * length) as u64,
        };
        let lengths = [self.length, self.state_length()];
        let pairs = from.into_iter().zip(to).zip(lengths).filter(|(_, length)| *length > 0);
        self.gpu.submit(&pairs.map(copy).collect::<Vec<_>>())
    }
}

/// The rows of a data set as kernel arguments. Does not borrow `self`, so that the kernel's scratch
/// can change meanwhile.
fn on_device<'a>(data: &'a Data, ignored: &'a [bool]) -> RowsOnDevice<'a> {
    RowsOnDevice {
        features: &data.features,
        targets: &data.targets,
        labels: data.labels.is_some(),
        ignored,
    }
}

/// True for each row whose label the loss ignores; empty if there are none.
fn ignored(data: &Data, training_spec: &TrainingSpec) -> Vec<bool> {
    match &data.labels {
        Some(labels) if data.has_ignored => {
            let ignored = training_spec.loss.ignored();
            labels
                .iter()
                .map(|&label| crate::templates::rowwise::rows::is_ignored(ignored, label))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn no_data() -> Error {
    Error::Empty { operation: "training".into(), name: "its data".into() }
}

impl BatchedEngine for SideBySide {
    fn parameters(&self, member: usize) -> Result<Vec<f64>> {
        self.read(&self.parameters, self.place(member)?)
    }

    fn set_parameters(&mut self, member: usize, values: &[f64]) -> Result<()> {
        self.write(&self.parameters, self.place(member)?, values)
    }

    fn states(&self, member: usize) -> Result<Vec<Vec<f64>>> {
        self.place(member)?;
        let (first, stride) = (member * self.state_length(), state_stride(self.length));
        (0..self.state_count)
            .map(|number| self.read(&self.states, first + number * stride))
            .collect()
    }

    fn set_all_states(&mut self, states: &[Vec<Vec<f64>>]) -> Result<()> {
        let count = states.first().map_or(0, Vec::len);
        if count != self.state_count {
            let length = self.members * count * state_stride(self.length);
            self.states = self.gpu.buffer("optimizer states of a population", length + MARGIN)?;
            self.state_count = count;
            self.remembered = None;
        }
        states.iter().enumerate().try_for_each(|(member, states)| self.set_states(member, states))
    }

    fn set_states(&mut self, member: usize, states: &[Vec<f64>]) -> Result<()> {
        self.place(member)?;
        let (first, stride) = (member * self.state_length(), state_stride(self.length));
        let mut places = states.iter().take(self.state_count).enumerate();
        places.try_for_each(|(number, state)| {
            self.write(&self.states, first + number * stride, state)
        })
    }

    fn set_loss_scale(&mut self, _: usize, _: LossScale) -> Result<()> {
        Ok(())
    }

    fn take_skipped(&mut self, member: usize) -> Result<usize> {
        self.place(member)?;
        Ok(std::mem::take(&mut self.skipped[member]))
    }

    fn is_side_by_side(&self) -> bool {
        true
    }

    fn remember(&mut self) -> Result<()> {
        if self.remembered.is_none() {
            let buffer = |length: usize| {
                self.gpu.buffer("a copy of a population", (self.members * length).max(4))
            };
            self.remembered = Some([buffer(self.length)?, buffer(self.state_length())?]);
        }
        match &self.remembered {
            Some([a, b]) => self.copy(self.own(), [a, b], 0, self.members),
            None => Ok(()),
        }
    }

    fn recall(&mut self, member: usize) -> Result<()> {
        match &self.remembered {
            Some([a, b]) => self.copy([a, b], self.own(), member, 1),
            None => Ok(()),
        }
    }

    fn load(&mut self, samples: &Samples) -> Result<usize> {
        if !(samples.weights.rows.is_empty() && samples.weights.positive.is_empty()) {
            let allowed = "left out in a population whose members train side by side; the device `cpu` takes them";
            return Err(Error::option("fit", "weights", "given", allowed));
        }
        let features = self.gpu.upload("features", &samples.features.numbers())?;
        let (targets, labels) = match samples.targets {
            SampleTargets::None => (self.gpu.buffer("no targets", 4)?, None),
            SampleTargets::Labels(labels) => {
                (self.gpu.upload("labels", labels)?, Some(labels.to_vec()))
            }
            SampleTargets::Dense(values) => (self.gpu.upload("targets", values)?, None),
        };
        self.next += 1;
        let (rows, has_ignored) = (samples.rows, samples.has_ignored);
        self.data.insert(self.next, Data { rows, features, targets, labels, has_ignored });
        Ok(self.next)
    }

    fn unload(&mut self, data: usize) {
        self.data.remove(&data);
    }

    fn train(
        &mut self,
        data: usize,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>> {
        let data = self.data.get(&data).ok_or_else(no_data)?;
        let ignored = ignored(data, &training_specs[0]);
        let held = Held { parameters: &self.parameters, states: &self.states };
        let outcomes =
            self.whole.train(held, on_device(data, &ignored), training_specs, member_steps)?;
        for (member_step, skipped) in member_steps.iter().zip(self.whole.take_skipped()) {
            self.skipped[member_step.member] += skipped;
        }
        Ok(outcomes)
    }

    fn evaluate(
        &mut self,
        data: usize,
        training_specs: &[TrainingSpec],
        member_steps: &[MemberBatches],
    ) -> Result<Vec<Vec<Outcome>>> {
        let data = self.data.get(&data).ok_or_else(no_data)?;
        let ignored = ignored(data, &training_specs[0]);
        let held = Held { parameters: &self.parameters, states: &self.states };
        self.whole.evaluate(held, on_device(data, &ignored), training_specs, member_steps)
    }

    fn predict(&mut self, data: usize, _batch_size: usize) -> Result<Vec<Vec<f64>>> {
        let data = self.data.get(&data).ok_or_else(no_data)?;
        // Any loss and optimizer will do: a prediction precedes both.
        let training_spec = TrainingSpec {
            chunked_head: false,
            loss: std::sync::Arc::new(Mse::new()),
            optimizer: std::sync::Arc::new(GradientDescent::new()),
            metric: None,
            step_options: StepOptions::default(),
        };
        let held = Held { parameters: &self.parameters, states: &self.states };
        self.whole.predict(
            held,
            on_device(data, &[]),
            &vec![training_spec; self.members],
            data.rows,
        )
    }
}

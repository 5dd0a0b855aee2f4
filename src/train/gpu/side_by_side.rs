//! A population of small networks on a GPU: all members in one set of buffers, trained in the same dispatches.

use std::collections::HashMap;

use super::whole::{Held, MARGIN, RowsOnDevice, WholeModels};
use crate::device::Gpu;
use crate::kernel::Command;
use crate::layers::Network;
use crate::losses::Mse;
use crate::optimizers::GradientDescent;
use crate::train::crowd::{Crowd, Turn, no_member};
use crate::train::engine::{Objective, Outcome, SampleTargets, Samples};
use crate::{Error, Result};

/// The buffers of all members and the kernel that trains them.
#[derive(Debug)]
pub(crate) struct SideBySide {
    gpu: Gpu,
    members: usize,
    /// Parameters of a member.
    length: usize,
    parameters: wgpu::Buffer,
    states: [wgpu::Buffer; 2],
    remembered: Option<[wgpu::Buffer; 3]>,
    whole: WholeModels,
    data: HashMap<usize, Data>,
    next: usize,
}

/// A data set on the device.
#[derive(Debug)]
struct Data {
    rows: usize,
    features: wgpu::Buffer,
    targets: wgpu::Buffer,
    /// The labels, where some are ignored.
    labels: Option<Vec<i32>>,
    has_ignored: bool,
}

impl SideBySide {
    pub fn new(gpu: &Gpu, network: &Network, members: usize) -> Result<Self> {
        let length = network.length;
        let limit = gpu.limits().max_storage_buffer_binding_size;
        let bytes = 4 * (members * length + MARGIN) as u64;
        if bytes > limit {
            let name = format!("{members} members of {length} parameters");
            return Err(Error::TooLarge { name, bytes, limit, advice: "use fewer members in one population".into() });
        }
        let buffer = |purpose: &str| gpu.buffer(purpose, members * length + MARGIN);
        Ok(SideBySide {
            gpu: gpu.clone(),
            members,
            length,
            parameters: buffer("parameters of a population")?,
            states: [buffer("optimizer states of a population")?, buffer("optimizer states of a population")?],
            remembered: None,
            whole: WholeModels::new(gpu, network),
            data: HashMap::new(),
            next: 0,
        })
    }

    fn read(&self, buffer: &wgpu::Buffer, member: usize) -> Result<Vec<f64>> {
        if member >= self.members {
            return Err(no_member(member, self.members));
        }
        let values: Vec<f32> = pollster::block_on(self.gpu.download(buffer, member * self.length, self.length))?;
        Ok(values.into_iter().map(f64::from).collect())
    }

    fn write(&self, buffer: &wgpu::Buffer, member: usize, values: &[f64]) -> Result<()> {
        if member >= self.members {
            return Err(no_member(member, self.members));
        }
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        let offset = 4 * (member * self.length) as u64;
        self.gpu.queue().write_buffer(buffer, offset, bytemuck::cast_slice(&values));
        self.gpu.check("parameters of a population", 4 * values.len() as u64)
    }

    fn own(&self) -> [&wgpu::Buffer; 3] {
        [&self.parameters, &self.states[0], &self.states[1]]
    }

    /// Copies numbers from place to place in buffers of all members.
    fn copy(&self, from: [&wgpu::Buffer; 3], to: [&wgpu::Buffer; 3], first: usize, length: usize) -> Result<()> {
        let (offset, size) = (4 * first as u64, 4 * length as u64);
        let copy = |(from, to): (&wgpu::Buffer, &wgpu::Buffer)| Command::Copy {
            from: from.clone(),
            from_offset: offset,
            to: to.clone(),
            to_offset: offset,
            size,
        };
        self.gpu.submit(&from.into_iter().zip(to).map(copy).collect::<Vec<_>>())
    }
}

/// The rows of a data set as the kernel is handed them. Free of `self`, so that the kernel's scratch can change meanwhile.
fn on_device<'a>(data: &'a Data, ignored: &'a [bool]) -> RowsOnDevice<'a> {
    RowsOnDevice { features: &data.features, targets: &data.targets, labels: data.labels.is_some(), ignored }
}

/// Which rows have a label that the loss ignores; empty if none has.
fn ignored(data: &Data, objective: &Objective) -> Vec<bool> {
    match &data.labels {
        Some(labels) if data.has_ignored => {
            let ignored = objective.loss.ignored();
            labels.iter().map(|&label| crate::host::rowwise::is_ignored(ignored, label)).collect()
        }
        _ => Vec::new(),
    }
}

fn no_data() -> Error {
    Error::Empty { operation: "training".into(), name: "its data".into() }
}

impl Crowd for SideBySide {
    fn parameters(&self, member: usize) -> Result<Vec<f64>> {
        self.read(&self.parameters, member)
    }

    fn set_parameters(&mut self, member: usize, values: &[f64]) -> Result<()> {
        self.write(&self.parameters, member, values)
    }

    fn states(&self, member: usize) -> Result<[Vec<f64>; 2]> {
        Ok([self.read(&self.states[0], member)?, self.read(&self.states[1], member)?])
    }

    fn set_states(&mut self, member: usize, states: &[Vec<f64>; 2]) -> Result<()> {
        self.write(&self.states[0], member, &states[0])?;
        self.write(&self.states[1], member, &states[1])
    }

    fn remember(&mut self) -> Result<()> {
        let length = self.members * self.length;
        if self.remembered.is_none() {
            let buffer = || self.gpu.buffer("a copy of a population", length);
            self.remembered = Some([buffer()?, buffer()?, buffer()?]);
        }
        match &self.remembered {
            Some([a, b, c]) => self.copy(self.own(), [a, b, c], 0, length),
            None => Ok(()),
        }
    }

    fn recall(&mut self, member: usize) -> Result<()> {
        match &self.remembered {
            Some([a, b, c]) => self.copy([a, b, c], self.own(), member * self.length, self.length),
            None => Ok(()),
        }
    }

    fn load(&mut self, samples: &Samples) -> Result<usize> {
        let features = self.gpu.upload("features", samples.features)?;
        let (targets, labels) = match samples.targets {
            SampleTargets::None => (self.gpu.buffer("no targets", 4)?, None),
            SampleTargets::Labels(labels) => (self.gpu.upload("labels", labels)?, Some(labels.to_vec())),
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

    fn train(&mut self, data: usize, objectives: &[Objective], turns: &[Turn]) -> Result<Vec<Vec<Outcome>>> {
        let data = self.data.get(&data).ok_or_else(no_data)?;
        let ignored = ignored(data, &objectives[0]);
        let held = Held { parameters: &self.parameters, states: [&self.states[0], &self.states[1]] };
        self.whole.train(held, on_device(data, &ignored), objectives, turns)
    }

    fn evaluate(&mut self, data: usize, objectives: &[Objective], turns: &[Turn]) -> Result<Vec<Vec<Outcome>>> {
        let data = self.data.get(&data).ok_or_else(no_data)?;
        let ignored = ignored(data, &objectives[0]);
        let held = Held { parameters: &self.parameters, states: [&self.states[0], &self.states[1]] };
        self.whole.evaluate(held, on_device(data, &ignored), objectives, turns)
    }

    fn predict(&mut self, data: usize, _batch_size: usize) -> Result<Vec<Vec<f64>>> {
        let data = self.data.get(&data).ok_or_else(no_data)?;
        // Any loss and optimizer will do: a prediction comes before both.
        let objective = Objective {
            loss: std::sync::Arc::new(Mse::new()),
            optimizer: std::sync::Arc::new(GradientDescent::new()),
            metric: None,
            clip_norm: None,
        };
        let held = Held { parameters: &self.parameters, states: [&self.states[0], &self.states[1]] };
        self.whole.predict(held, on_device(data, &[]), &vec![objective; self.members], data.rows)
    }
}

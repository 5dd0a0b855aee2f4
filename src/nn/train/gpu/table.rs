//! The table of a model that starts with an embedding: its rows and states have separate buffers.

use crate::Result;
use crate::nn::embedding::kernels::{RowStep, Sizes, Workspace};
use crate::nn::layers::Embedding;
use crate::nn::optimizers::{MOST_STATES, Optimizer};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::runtime::tensor::padded;

/// Rows and states on a GPU.
#[derive(Debug)]
pub(crate) struct Table {
    gpu: Gpu,
    embedding: Embedding,
    rows: wgpu::Buffer,
    states: Vec<wgpu::Buffer>,
    /// Dummy binding for missing states.
    dummy: wgpu::Buffer,
    /// Snapshot of the rows and states.
    remembered: Vec<wgpu::Buffer>,
}

/// The buffers of a step on the rows in a batch's ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableBuffers<'a> {
    pub ids: &'a wgpu::Buffer,
    /// The gradient of each gathered row.
    pub gradients: &'a wgpu::Buffer,
    /// The step's parameters.
    pub uniform: &'a wgpu::Buffer,
}

impl Table {
    pub fn new(gpu: &Gpu, embedding: Embedding) -> Result<Self> {
        let rows = gpu.buffer("an embedding", embedding.length())?;
        let dummy = gpu.buffer("no state", 64 * MOST_STATES)?;
        Ok(Table {
            gpu: gpu.clone(),
            embedding,
            rows,
            states: Vec::new(),
            dummy,
            remembered: Vec::new(),
        })
    }

    pub fn read(&self) -> Result<Vec<f64>> {
        self.read_of(&self.rows)
    }

    pub fn write(&self, values: &[f64]) {
        self.write_to(&self.rows, values);
    }

    pub fn read_state(&self, number: usize) -> Result<Vec<f64>> {
        self.states.get(number).map_or_else(|| Ok(Vec::new()), |state| self.read_of(state))
    }

    pub fn write_state(&self, number: usize, values: &[f64]) {
        if let Some(state) = self.states.get(number) {
            self.write_to(state, values);
        }
    }

    /// Allocates `count` states.
    pub fn keep_states(&mut self, count: usize) -> Result<()> {
        let state = |_| self.gpu.buffer("optimizer states", self.embedding.length());
        self.states = (0..count).map(state).collect::<Result<_>>()?;
        self.remembered.clear();
        Ok(())
    }

    /// Saves a snapshot.
    pub fn remember(&mut self) -> Result<()> {
        if self.remembered.is_empty() {
            let copy = |_| self.gpu.buffer("a copy of an embedding", self.embedding.length());
            self.remembered = (0..=self.states.len()).map(copy).collect::<Result<_>>()?;
        }
        self.copy(self.own(), self.remembered.iter())
    }

    /// Restores the last snapshot.
    pub fn recall(&self) -> Result<()> {
        self.copy(self.remembered.iter(), self.own())
    }

    /// The rows on the device.
    pub fn rows(&self) -> &wgpu::Buffer {
        &self.rows
    }

    /// The commands of a step on the rows in a batch's ids, and the index of the first command that
    /// reads the step's parameters.
    pub fn update(
        &self,
        optimizer: &dyn Optimizer,
        rows: usize,
        buffers: TableBuffers,
    ) -> Result<(Vec<Command>, usize)> {
        let TableBuffers { ids, gradients, uniform } = buffers;
        let sizes = self.sizes(rows);
        let job = RowStep {
            sizes,
            optimizer,
            table: &self.rows,
            states: &self.states,
            dummy: &self.dummy,
        };
        Workspace::with_uniform(&self.gpu, &sizes, uniform.clone())?
            .update(&self.gpu, &job, ids, gradients)
    }

    /// The sizes for a batch of `rows` rows of ids.
    pub fn sizes(&self, rows: usize) -> Sizes {
        Sizes {
            ids: rows * self.embedding.ids,
            rows: self.embedding.rows,
            width: self.embedding.width,
        }
    }

    fn own(&self) -> impl Iterator<Item = &wgpu::Buffer> {
        std::iter::once(&self.rows).chain(&self.states)
    }

    fn copy<'b>(
        &self,
        from: impl Iterator<Item = &'b wgpu::Buffer>,
        to: impl Iterator<Item = &'b wgpu::Buffer>,
    ) -> Result<()> {
        let size = padded(self.embedding.length());
        let copy = |(from, to): (&wgpu::Buffer, &wgpu::Buffer)| {
            let (from, to) = (from.clone(), to.clone());
            Command::Copy { from, from_offset: 0, to, to_offset: 0, size }
        };
        let commands: Vec<Command> = from.zip(to).map(copy).collect();
        self.gpu.submit(&commands)
    }

    fn read_of(&self, buffer: &wgpu::Buffer) -> Result<Vec<f64>> {
        let values: Vec<f32> =
            pollster::block_on(self.gpu.download(buffer, 0, self.embedding.length()))?;
        Ok(values.into_iter().map(f64::from).collect())
    }

    fn write_to(&self, buffer: &wgpu::Buffer, values: &[f64]) {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        self.gpu.queue().write_buffer(buffer, 0, bytemuck::cast_slice(&values));
    }
}

//! A model and its data on a GPU.

use std::collections::HashMap;
use std::sync::Arc;

use crate::losses::LossDefinition;
use crate::nn::embedding::kernels::Sizes;
use crate::nn::graph::nodes::Graph;
use crate::nn::ops::gather::GatherParams;
use crate::nn::ops::metrics::SummaryParams;
use crate::nn::train::engine::{Batch, Lists};
use crate::nn::train::gpu::table::Table;
use crate::nn::train::gpu::whole::SmallModels;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::runtime::recorder::{Recording, UNIFORM_STRIDE};

/// Batches in one submission at the most; each has a place in the buffers of uniforms.
pub(super) const MOST_AT_ONCE: usize = 64;

/// Buffers of a model and its data on a GPU, and the plans that run on them.
#[derive(Debug)]
pub(crate) struct GpuEngine {
    pub(super) gpu: Gpu,
    pub(super) graph: Graph,
    /// The graph that plans walk over, and that of the chunked head.
    pub(super) fused: Graph,
    pub(super) chunked: Graph,
    pub(super) parameters: wgpu::Buffer,
    pub(super) gradients: wgpu::Buffer,
    /// All states of the optimizer in one buffer, and how many there are.
    pub(super) states: wgpu::Buffer,
    pub(super) state_count: usize,
    /// What the model begins with, if it takes ids.
    pub(super) table: Option<Table>,
    /// Counts the steps that were left out.
    pub(super) not_finite: wgpu::Buffer,
    /// Those that whole models left out.
    pub(super) skipped_whole: usize,
    pub(super) spans: wgpu::Buffer,
    /// Loss and right rows of each batch of two submissions: one runs while the other is read.
    pub(super) ring: wgpu::Buffer,
    pub(super) remembered: Option<[wgpu::Buffer; 2]>,
    pub(super) data: HashMap<usize, Arc<Data>>,
    pub(super) next: usize,
    pub(super) plans: HashMap<Key, Plan>,
    /// Takes small chains of dense layers whole; none where the graph is anything else.
    pub(super) whole: Option<SmallModels>,
    /// How many batches go into a submission, found by timing.
    pub(super) at_once: usize,
}

/// A data set on the device, in parts that each fit a binding.
#[derive(Debug)]
pub(crate) struct Data {
    pub(super) rows: usize,
    pub(super) features: Vec<Part>,
    pub(super) targets: Vec<Part>,
    pub(super) target_width: usize,
    pub(super) labels: bool,
    pub(super) has_ignored: bool,
    /// Where the rows are items of lists, and where these begin.
    pub(super) lists: Option<(Lists, wgpu::Buffer)>,
    /// How much each row counts; nothing where all count alike.
    pub(super) weights: Vec<Part>,
    /// Weights of the positive side of each output: as they are, and behind as many weights of classes, which are 1.
    pub(super) positive: Option<[wgpu::Buffer; 2]>,
}

impl Data {
    /// Places that each list of a batch gets: enough for the longest, and few different numbers of them, since each asks for a plan and
    /// its memory. 1 where the rows are no lists.
    pub(super) fn places(&self, batch: &Batch) -> usize {
        let Some((lists, _)) = &self.lists else { return 1 };
        let longest = lists.of(batch).map(|list| lists.items(list).len()).max().unwrap_or(1);
        let power = longest.next_power_of_two();
        let between = power / 4 * 3;
        (if longest <= between { between } else { power }).min(lists.longest)
    }
}

impl Data {
    /// The weights of columns as a loss's kernel takes them.
    pub(super) fn column_weights(&self, loss: &dyn LossDefinition) -> Option<wgpu::Buffer> {
        let [plain, behind_classes] = self.positive.as_ref()?;
        Some(if loss.is_pointwise() { plain } else { behind_classes }.clone())
    }

    /// Whether those of the positive sides lie behind those of the classes.
    pub(super) fn has_positive_behind_classes(&self, loss: &dyn LossDefinition) -> bool {
        self.positive.is_some() && !loss.is_pointwise()
    }
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) buffer: wgpu::Buffer,
    pub(super) first: usize,
    pub(super) rows: usize,
}

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
    pub(super) recording: Recording,
    /// Which rows are gathered.
    pub(super) gathers: Vec<Gather>,
    /// Where the outcome goes.
    pub(super) summary: Option<(wgpu::Buffer, SummaryParams)>,
    /// Where the numbers of the optimizer's step go.
    pub update: Option<wgpu::Buffer>,
    /// Where the numbers of the step on the rows of a table go.
    pub rows_moved: Option<(wgpu::Buffer, Sizes)>,
    pub predictions: wgpu::Buffer,
}

#[derive(Debug)]
pub(crate) struct Gather {
    pub(super) uniforms: wgpu::Buffer,
    pub(super) width: usize,
    pub(super) places: usize,
    pub(super) part_first: usize,
    pub(super) part_rows: usize,
}

/// What is to be written to buffers of uniforms before a submission, brought together so that each is written once.
#[derive(Default)]
pub(crate) struct Uniforms {
    pub(super) pending: HashMap<wgpu::Buffer, Vec<u8>>,
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
    pub(super) fn params(&self, batch: &Batch) -> GatherParams {
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

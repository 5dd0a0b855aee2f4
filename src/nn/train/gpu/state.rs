//! A model and its data on a GPU.

use std::collections::HashMap;
use std::sync::Arc;

use crate::losses::{LossDefinition, takes_class_prior};
use crate::nn::embedding::kernels::Sizes;
use crate::nn::graph::gpu::Pool;
use crate::nn::graph::nodes::Graph;
use crate::nn::loss_scale::LossScale;
use crate::nn::ops::gather::augment::ImageAugment;
use crate::nn::ops::gather::{GatherImagesParams, GatherParams};
use crate::nn::ops::metrics::SummaryParams;
use crate::nn::ops::watch::WatchParams;
use crate::nn::train::engine::{Batch, Lists};
use crate::nn::train::gpu::table::Table;
use crate::nn::train::gpu::whole::SmallModels;
use crate::nn::train::updates::UpdateSigns;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::runtime::recorder::{Recording, UNIFORM_STRIDE};

/// Maximum batches per submission; each has a slot in the uniform buffers.
pub(super) const MOST_AT_ONCE: usize = 64;

/// Buffers of a model and its data on a GPU, and the plans that run on them.
#[derive(Debug)]
pub(crate) struct GpuEngine {
    pub(super) gpu: Gpu,
    pub(super) graph: Graph,
    /// The graph used by plans, and the graph of the chunked head.
    pub(super) fused: Graph,
    pub(super) chunked: Graph,
    /// The graph that predicts, if it is another one.
    pub(super) predicting: Option<Graph>,
    pub(super) parameters: wgpu::Buffer,
    pub(super) gradients: wgpu::Buffer,
    /// Running statistics of the ops.
    pub(super) statistics: wgpu::Buffer,
    /// All states of the optimizer in one buffer, and their number.
    pub(super) states: wgpu::Buffer,
    pub(super) state_count: usize,
    /// The embedding table, if the model takes ids.
    pub(super) table: Option<Table>,
    /// Counts the skipped steps.
    pub(super) not_finite: wgpu::Buffer,
    /// The numbers of `nn::loss_scale`.
    pub(super) loss_scale: wgpu::Buffer,
    /// Number of steps skipped by the fused small-model kernel.
    pub(super) skipped_whole: usize,
    pub(super) spans: wgpu::Buffer,
    /// Loss and number of correct rows of each batch of two submissions: one runs while the other
    /// is read.
    pub(super) ring: wgpu::Buffer,
    /// Copies of parameters, states and statistics, and the loss scale of then.
    pub(super) remembered: Option<[wgpu::Buffer; 3]>,
    pub(super) remembered_loss_scale: LossScale,
    /// False while the loss scale on the device is the first one.
    pub(super) has_scaled: bool,
    pub(super) data: HashMap<usize, Arc<Data>>,
    pub(super) next: usize,
    pub(super) plans: HashMap<Key, Plan>,
    /// Buffers that the plans share.
    pub(super) pool: Pool,
    /// The sequence that is decoded, created on first use.
    pub(super) decoder: Option<Decoder>,
    /// The fused small-model kernel for small chains of dense layers; `None` for any other graph.
    pub(super) whole: Option<SmallModels>,
    /// The update that runs apart from a batch, created on first use.
    pub(super) own_update: Option<OwnUpdate>,
    /// Number of batches per submission, adapted by timing.
    pub(super) at_once: usize,
    /// Numbers of the watched updates, and the buffers of those while they are watched.
    pub(super) updates: Vec<UpdateSigns>,
    pub(super) watch: Option<Watch>,
}

/// An update that runs apart from the batches before it.
#[derive(Debug)]
pub(super) struct OwnUpdate {
    /// Description of the loss and the optimizer with their options.
    pub(super) training_spec: Arc<str>,
    pub(super) commands: Vec<Command>,
    /// The optimizer's step.
    pub(super) uniform: wgpu::Buffer,
}

/// Buffers of watched updates.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) previous: wgpu::Buffer,
    pub(super) before: wgpu::Buffer,
    pub(super) parts: wgpu::Buffer,
    /// Four sums of each update of two submissions: one runs while the other is read.
    pub(super) ring: wgpu::Buffer,
    /// The squared gradient norm of the last update; none if that was not watched.
    pub(super) last: Option<f64>,
}

/// A sequence that is decoded.
#[derive(Debug)]
pub(super) struct Decoder {
    /// What the ops keep of earlier tokens.
    pub(super) cache: wgpu::Buffer,
    /// The place of a pass's first token.
    pub(super) place: wgpu::Buffer,
    /// By the number of tokens.
    pub(super) passes: HashMap<usize, DecodePass>,
}

/// A recorded pass over the next tokens.
#[derive(Debug)]
pub(super) struct DecodePass {
    pub(super) commands: Vec<Command>,
    pub(super) ids: wgpu::Buffer,
    /// [tokens, columns]
    pub(super) outputs: wgpu::Buffer,
}

/// A data set on the device, in parts that each fit a binding.
#[derive(Debug)]
pub(crate) struct Data {
    pub(super) rows: usize,
    pub(super) features: Vec<Part>,
    /// The number of each pixel, if the features are pixels, four to a word.
    pub(super) palette: Option<wgpu::Buffer>,
    pub(super) targets: Vec<Part>,
    pub(super) target_width: usize,
    pub(super) labels: bool,
    pub(super) has_ignored: bool,
    /// The lists and the buffer of their offsets, if the rows are items of lists.
    pub(super) lists: Option<(Lists, wgpu::Buffer)>,
    /// Row weights; empty if all are 1.
    pub(super) weights: Vec<Part>,
    /// Positive-class weights per output, or the prior of each class: alone, and preceded by an equal
    /// number of class weights of 1.
    pub(super) positive: Option<[wgpu::Buffer; 2]>,
}

impl Data {
    /// Number of positions per list of a batch: enough for the longest list. Few different values
    /// are used, because each needs a plan and its memory. 1 if the rows are not lists.
    pub(super) fn places(&self, batch: &Batch) -> usize {
        let Some((lists, _)) = &self.lists else { return 1 };
        let longest = lists.of(batch).map(|list| lists.items(list).len()).max().unwrap_or(1);
        let power = longest.next_power_of_two();
        let between = power / 4 * 3;
        (if longest <= between { between } else { power }).min(lists.longest)
    }
}

impl Data {
    /// The column weights in the layout of a loss's kernel.
    pub(super) fn column_weights(&self, loss: &dyn LossDefinition) -> Option<wgpu::Buffer> {
        let [plain, behind_classes] = self.positive.as_ref()?;
        let is_plain = loss.is_pointwise() || takes_class_prior(loss);
        Some(if is_plain { plain } else { behind_classes }.clone())
    }

    /// True if the positive-class weights follow class weights.
    pub(super) fn has_positive_behind_classes(&self, loss: &dyn LossDefinition) -> bool {
        self.positive.is_some() && !loss.is_pointwise() && !takes_class_prior(loss)
    }
}

#[derive(Debug)]
pub(super) struct Part {
    pub(super) buffer: wgpu::Buffer,
    pub(super) first: usize,
    pub(super) rows: usize,
}

/// The key that determines the dispatches of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub data: usize,
    /// Number of rows in the batch, or of lists.
    pub rows: usize,
    /// Number of positions per list; 1 if the rows are not lists.
    pub places: usize,
    pub divisor_rows: Option<usize>,
    pub accumulate: bool,
    pub kind: Kind,
    /// Description of the loss and the optimizer with their options.
    pub training_spec: Arc<str>,
    /// The update is measured.
    pub watched: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Predict,
    Evaluate,
    Train,
    TrainAndUpdate,
}

/// A batch resolved into commands, and the values that change per batch.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) recording: Recording,
    /// The gathers of the batch's rows.
    pub(super) gathers: Vec<Gather>,
    /// The buffer and parameters of the summary.
    pub(super) summary: Option<(wgpu::Buffer, SummaryParams)>,
    /// The buffer and parameters of the numbers of a watched update.
    pub(super) watch: Option<(wgpu::Buffer, WatchParams)>,
    /// The uniform buffer of the batch's random numbers.
    pub(super) noise: wgpu::Buffer,
    /// The uniform buffer of the optimizer's step.
    pub update: Option<wgpu::Buffer>,
    /// The uniform buffer of the step on the rows of a table, and its sizes.
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
    /// Set if the rows are images that are changed.
    pub(super) augment: Option<ImageAugment>,
}

/// Pending writes to uniform buffers before a submission, merged into one write per buffer.
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
    /// Adds the commands of one batch, and its parameters at its slot in the uniform buffers.
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
        uniforms.write(&self.noise, place, &batch.noise);
        for gather in &self.gathers {
            let rows = gather.params(batch);
            match &gather.augment {
                Some(images) => {
                    let augment = images.params(batch.noise_of_rows());
                    let params = GatherImagesParams { rows, augment };
                    uniforms.write(&gather.uniforms, place, &params);
                }
                None => uniforms.write(&gather.uniforms, place, &rows),
            }
        }
        if let Some((buffer, summary)) = &self.summary {
            uniforms.write(buffer, place, &SummaryParams { slot: slot as u32, ..*summary });
        }
        if let Some((buffer, watch)) = &self.watch {
            uniforms.write(buffer, place, &WatchParams { slot: slot as u32, ..*watch });
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

//! Template of losses fused with a linear layer: for each chunk of rows the matrix products and,
//! over the outputs, the row-wise kernel of the inner loss. CPU implementation:
//! `src/templates/linear/cpu.rs`.

use crate::Result;
use crate::nn::activations::Identity;
use crate::nn::activations::activation::Activation;
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::product;
use crate::nn::ops::matmul::{Epilogue, Layout, Params};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::tensor::padded;
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::{Buffers, Divisor, Job, Per, Written, flag};
use crate::templates::launch::{kernel_commands, values_length};
use crate::templates::linear::cpu::{MOST_BYTES, chunk_rows};
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::sum::sum;

const COLUMN_SUMS: File = crate::runtime::wgsl::shader!("ops/reduce/column_sums.wgsl");

/// Alignment in bytes of a binding offset that every driver accepts.
const BINDING_START: u64 = 256;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ColumnSumsParams {
    rows: u32,
    columns: u32,
    accumulate: u32,
    reserved: u32,
}

fn column_sums_program(software: bool) -> Program {
    Program {
        label: "sums of columns".into(),
        header: String::new(),
        files: vec![COLUMN_SUMS],
        constants: vec![("WORKGROUP", lanes_of(software).into())],
    }
}

/// The template's own programs. The matrix products are shared with all layers.
pub(crate) fn own_programs() -> [Program; 2] {
    [true, false].map(column_sums_program)
}

/// The programs of the inner loss belong to that loss.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Result<Vec<Program>> {
    let mut programs = own_programs().to_vec();
    programs.extend(crate::templates::launch::programs(loss.fused_inner()?)?);
    Ok(programs)
}

/// State shared by all chunks of a call.
struct Layer<'a> {
    gpu: &'a Gpu,
    inner: &'a dyn LossDefinition,
    job: &'a MultiInputJob,
    features: usize,
    classes: usize,
    x: &'a wgpu::Buffer,
    weight: &'a wgpu::Buffer,
    bias: Option<&'a wgpu::Buffer>,
    targets: &'a wgpu::Buffer,
    /// Class weights, followed by the positive-side weights if there are any.
    column_weights: Option<wgpu::Buffer>,
    /// The targets of a chunk, if there is one per output. The chunks share this buffer.
    cells: Option<wgpu::Buffer>,
    /// The outputs of a chunk, overwritten by their gradient.
    outputs: wgpu::Buffer,
    unread: wgpu::Buffer,
}

/// Output buffers of the gradients.
struct Gradients {
    of_x: wgpu::Buffer,
    of_weight: wgpu::Buffer,
    of_bias: wgpu::Buffer,
}

/// The rows of a chunk.
#[derive(Clone, Copy)]
struct Chunk {
    first: usize,
    rows: usize,
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    commands_in_chunks(gpu, loss.fused_inner()?, job, chosen_rows(gpu, job)?)
}

/// The value of each row under the loss `inner` of the outputs, for a job with reduction `none`.
pub(crate) fn values(
    gpu: &Gpu,
    inner: &dyn LossDefinition,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, wgpu::Buffer)> {
    let (mut before, mut commands) = (Vec::new(), Vec::new());
    let chunk = chosen_rows(gpu, job)?;
    let values = gpu.buffer("values", job.length())?;
    let layer = Layer::of(gpu, inner, job, chunk, &mut before)?;
    for (number, chunk) in chunks(job.length(), chunk).enumerate() {
        layer.outputs_of(&chunk, &mut commands)?;
        layer.loss_of(number, &chunk, &values, &mut before, &mut commands)?;
    }
    before.extend(commands);
    Ok((before, values))
}

/// The gradients under the loss `inner` of the outputs.
pub(crate) fn gradients(
    gpu: &Gpu,
    inner: &dyn LossDefinition,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, Vec<wgpu::Buffer>)> {
    let (commands, results, _) = commands_in_chunks(gpu, inner, job, chosen_rows(gpu, job)?)?;
    Ok((commands, results.gradients))
}

/// Number of rows per chunk.
fn chosen_rows(gpu: &Gpu, job: &MultiInputJob) -> Result<usize> {
    let classes = job.required("linear_weight")?.shape[0];
    let bytes = MOST_BYTES.min(gpu.limits().max_storage_buffer_binding_size);
    Ok(chunk_rows(job.length(), classes, bytes))
}

fn chunks(rows: usize, most: usize) -> impl Iterator<Item = Chunk> {
    (0..rows).step_by(most).map(move |first| Chunk { first, rows: most.min(rows - first) })
}

/// Commands for value and gradients, in chunks of `chunk` rows.
fn commands_in_chunks(
    gpu: &Gpu,
    inner: &dyn LossDefinition,
    job: &MultiInputJob,
    chunk: usize,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let (mut before, mut commands) = (Vec::new(), Vec::new());
    let rows = job.length();
    let layer = Layer::of(gpu, inner, job, chunk, &mut before)?;
    let into = Gradients {
        of_x: gpu.buffer("a gradient", rows * layer.features)?,
        of_weight: gpu.buffer("a gradient", layer.classes * layer.features)?,
        of_bias: gpu.buffer("a gradient", layer.classes)?,
    };
    let parts = rows.div_ceil(chunk);
    let values = gpu.buffer("values", if job.each { rows } else { parts })?;
    let result = gpu.buffer("a loss", 4)?;
    for (number, chunk) in chunks(rows, chunk).enumerate() {
        layer.outputs_of(&chunk, &mut commands)?;
        layer.loss_of(number, &chunk, &values, &mut before, &mut commands)?;
        layer.gradients_of(&chunk, &into, &mut commands)?;
    }
    before.extend(commands);
    let mut gradients = vec![into.of_x, into.of_weight];
    gradients.extend(layer.bias.map(|_| into.of_bias));
    Ok((before, MultiInputResults { gradients, values, result }, parts))
}

/// The class weights. If there are positive-side weights, both are in one buffer, the class weights
/// first.
fn column_weights(
    gpu: &Gpu,
    job: &MultiInputJob,
    classes: usize,
    before: &mut Vec<Command>,
) -> Result<Option<wgpu::Buffer>> {
    let class_weight = job.get("class_weight").map(|bound| bound.buffer.clone());
    let Some(pos_weight) = job.get("pos_weight") else { return Ok(class_weight) };
    let both = gpu.buffer("weights of classes", 2 * classes)?;
    let class_weight = class_weight
        .map_or_else(|| gpu.upload("weights of classes", &vec![1.0_f32; classes]), Ok)?;
    let size = 4 * classes as u64;
    for (from, to_offset) in [(class_weight, 0), (pos_weight.buffer.clone(), size)] {
        before.push(Command::Copy { from, from_offset: 0, to: both.clone(), to_offset, size });
    }
    Ok(Some(both))
}

impl<'a> Layer<'a> {
    /// The layer of a job, with storage for the outputs of `chunk` rows.
    fn of(
        gpu: &'a Gpu,
        inner: &'a dyn LossDefinition,
        job: &'a MultiInputJob,
        chunk: usize,
        before: &mut Vec<Command>,
    ) -> Result<Self> {
        let (x, weight) = (job.required("predictions")?, job.required("linear_weight")?);
        let targets = job.required("targets")?;
        let (classes, features) = (weight.shape[0], weight.shape[1]);
        Ok(Layer {
            gpu,
            inner,
            job,
            features,
            classes,
            x: &x.buffer,
            weight: &weight.buffer,
            bias: job.get("linear_bias").map(|bias| &bias.buffer),
            targets: &targets.buffer,
            column_weights: column_weights(gpu, job, classes, before)?,
            cells: match inner.targets().takes_labels() && targets.shape.len() < x.shape.len() {
                true => None,
                false => Some(gpu.buffer("the targets of a chunk of rows", chunk * classes)?),
            },
            outputs: gpu.buffer("the outputs of a chunk of rows", chunk * classes)?,
            unread: gpu.unread_binding()?,
        })
    }

    /// X Wᵀ + b of a chunk.
    fn outputs_of(&self, chunk: &Chunk, commands: &mut Vec<Command>) -> Result<()> {
        let (x, left_offset) = self.rows_of(self.x, chunk);
        let params = Params { left_offset, ..products(chunk.rows, self.classes, self.features) };
        let constants = [("HAS_BIAS", flag(self.bias.is_some())), ("KEEP_INPUT", 0.0)];
        let activation: &dyn Activation = &Identity;
        let kind = Kind {
            layout: Layout::NT,
            epilogue: Epilogue::Forward,
            activation: Some(activation),
            constants: &constants,
            half: None,
        };
        let storage = [
            x,
            self.weight.into(),
            // Without a bias its binding is not read. `unread` is bound for writing below, and a
            // dispatch must not bind a buffer for both.
            self.bias.unwrap_or(self.weight).into(),
            (&self.outputs).into(),
            (&self.unread).into(),
        ];
        commands.extend(product(self.gpu, &kind, &params, &storage)?);
        Ok(())
    }

    /// The kernel of the inner loss over the outputs. Its sum is written to the slot of the chunk.
    /// The inputs of the chunk's rows are copied by commands in `before`, ahead of all others, so
    /// that the chunks form a single pass.
    fn loss_of(
        &self,
        number: usize,
        chunk: &Chunk,
        values: &wgpu::Buffer,
        before: &mut Vec<Command>,
        commands: &mut Vec<Command>,
    ) -> Result<()> {
        let gpu = self.gpu;
        let job = Job {
            rows: chunk.rows,
            row_length: self.classes,
            columns: self.classes,
            labels: self.cells.is_none(),
            each: self.job.each,
            factor: self.job.factor,
            upstream: self.job.upstream,
            divisor: Divisor::Known,
            auxiliary: false,
            written: Written::Gradient,
            half: false,
        };
        let mut cut = |whole: &wgpu::Buffer| self.cut(whole, chunk, before);
        let buffers = Buffers {
            predictions: self.outputs.clone(),
            targets: match &self.cells {
                None => cut(self.targets)?,
                Some(cells) => {
                    let bytes = 4 * self.classes as u64;
                    let (from_offset, size) =
                        (chunk.first as u64 * bytes, chunk.rows as u64 * bytes);
                    let (from, to) = (self.targets.clone(), cells.clone());
                    commands.push(Command::Copy { from, from_offset, to, to_offset: 0, size });
                    cells.clone()
                }
            },
            weights: self
                .job
                .weights
                .as_ref()
                .map(&mut cut)
                .transpose()?
                .map(|weights| (weights, Per::Row)),
            column_weights: self.column_weights.clone(),
            pos_weights: self.job.get("pos_weight").is_some(),
            class_mask: None,
            item_weights: None,
            upstreams: self.job.upstreams.as_ref().map(&mut cut).transpose()?,
            gradient: self.outputs.clone(),
            values: gpu.buffer("values of a chunk", values_length(gpu, self.inner, &job)?)?,
            result: values.clone(),
            unread: self.unread.clone(),
        };
        let (kernel, parts) = kernel_commands(gpu, self.inner, &job, &buffers)?;
        commands.extend(kernel);
        commands.push(if self.job.each {
            let (to_offset, size) = (4 * chunk.first as u64, 4 * chunk.rows as u64);
            Command::Copy {
                from: buffers.values,
                from_offset: 0,
                to: values.clone(),
                to_offset,
                size,
            }
        } else {
            sum(gpu, &buffers.values, parts.length, values, number as u32)?
        });
        Ok(())
    }

    /// dX = G W, dW += Gᵀ X, db += the column sums of G.
    fn gradients_of(
        &self,
        chunk: &Chunk,
        into: &Gradients,
        commands: &mut Vec<Command>,
    ) -> Result<()> {
        let gpu = self.gpu;
        let (outputs, weight) = (Slice::from(&self.outputs), Slice::from(self.weight));
        let (of_x, output_offset) = self.rows_of(&into.of_x, chunk);
        let params = Params { output_offset, ..products(chunk.rows, self.features, self.classes) };
        commands.extend(product(gpu, &Kind::plain(Layout::NN), &params, &[outputs, weight, of_x])?);
        let (x, right_offset) = self.rows_of(self.x, chunk);
        let accumulate = u32::from(chunk.first > 0);
        let params = Params {
            right_offset,
            accumulate,
            ..products(self.classes, self.features, chunk.rows)
        };
        let storage = [outputs, x, (&into.of_weight).into()];
        commands.extend(product(gpu, &Kind::plain(Layout::TN), &params, &storage)?);
        if self.bias.is_some() {
            let (rows, columns) = (chunk.rows as u32, self.classes as u32);
            let params = ColumnSumsParams { rows, columns, accumulate, reserved: 0 };
            let kernel = gpu.kernel(&column_sums_program(gpu.is_software()))?;
            let workgroups = columns.div_ceil(lanes_of(gpu.is_software()));
            commands.push(gpu.dispatch(
                &kernel,
                &params,
                &[outputs, (&into.of_bias).into()],
                workgroups,
            )?);
        }
        Ok(())
    }

    /// The rows of a chunk of a matrix with `features` columns: a binding that begins at the first
    /// row if the alignment allows it, otherwise the whole buffer and the number of elements before
    /// the chunk.
    fn rows_of<'b>(&self, buffer: &'b wgpu::Buffer, chunk: &Chunk) -> (Slice<'b>, u32) {
        let first = chunk.first * self.features;
        let offset = 4 * first as u64;
        if !offset.is_multiple_of(BINDING_START) {
            return (buffer.into(), first as u32);
        }
        (Slice { buffer, offset, size: Some(padded(chunk.rows * self.features)) }, 0)
    }

    /// The elements that belong to the rows of a chunk, one 4-byte word per row.
    fn cut(
        &self,
        whole: &wgpu::Buffer,
        chunk: &Chunk,
        before: &mut Vec<Command>,
    ) -> Result<wgpu::Buffer> {
        if chunk.rows == self.job.length() {
            return Ok(whole.clone());
        }
        let part = self.gpu.buffer("a chunk of rows", chunk.rows)?;
        let (from_offset, size) = (4 * chunk.first as u64, 4 * chunk.rows as u64);
        before.push(Command::Copy {
            from: whole.clone(),
            from_offset,
            to: part.clone(),
            to_offset: 0,
            size,
        });
        Ok(part)
    }
}

/// The dimensions of a matrix product.
fn products(m: usize, n: usize, k: usize) -> Params {
    Params { m: m as u32, n: n as u32, k: k as u32, ..Params::default() }
}

#[cfg(test)]
mod tests;

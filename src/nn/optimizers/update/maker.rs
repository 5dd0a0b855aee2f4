//! The commands of an optimizer step, in order of execution.

use crate::Result;
use crate::nn::loss_scale;
use crate::nn::optimizers::clip::Clip;
use crate::nn::optimizers::slices::MOST_STATES;
use crate::nn::optimizers::step::GradientTransform;
use crate::nn::optimizers::update::job::{
    Buffers, OptimizerParams, Stepped, Update, span_words, state_stride, summing_lanes,
};
use crate::nn::optimizers::update::programs::*;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};

/// The limit of a norm that is computed only to check that it is finite.
pub(super) const ANY: f64 = f32::MAX as f64;

/// Parameters of the kernel that sums the squares of a gradient.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct NormParams {
    pub length: u32,
    pub spans: u32,
    pub block: u32,
    pub reserved: u32,
}

/// Parameters of the kernel that adds those sums.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct ClipParams {
    pub length: u32,
    pub limit: f32,
    pub epsilon: f32,
    pub reserved: u32,
}

/// Input of [`clip`]: the limit of a global norm, and the buffers that it reads and writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GlobalNorm<'a> {
    pub limit: f64,
    pub epsilon: f64,
    /// Number of elements of the gradients.
    pub length: usize,
    /// Number of parameter spans in `table`.
    pub spans: usize,
    pub table: &'a wgpu::Buffer,
    pub parameters: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    pub factor: &'a wgpu::Buffer,
    pub not_finite: &'a wgpu::Buffer,
}

/// Commands that write to `factor[0]` the factor that scales the gradient to a norm of at most
/// `limit`. If the norm is not finite, the factor is NaN and `not_finite[0]` is incremented.
pub(crate) fn clip(gpu: &Gpu, norm: &GlobalNorm) -> Result<[Command; 2]> {
    let GlobalNorm { limit, epsilon, length, spans, .. } = *norm;
    let GlobalNorm { table, parameters, gradients, factor, not_finite, .. } = *norm;
    let lanes = summing_lanes(gpu);
    // 4096 elements per workgroup keep several loads of a lane in flight; at most a thousand
    // partial sums.
    let block = length.div_ceil(1024).max(4096).next_multiple_of(lanes as usize);
    let workgroups = length.div_ceil(block);
    let partials = gpu.buffer("partial sums of a norm", 2 * workgroups)?;
    let params =
        NormParams { length: length as u32, spans: spans as u32, block: block as u32, reserved: 0 };
    let storage = [table, parameters, gradients, &partials].map(Slice::from);
    let norm =
        gpu.dispatch(&gpu.kernel(&norm_program(lanes))?, &params, &storage, workgroups as u32)?;
    let params = ClipParams {
        length: workgroups as u32,
        limit: limit as f32,
        epsilon: epsilon as f32,
        reserved: 0,
    };
    let storage = [(&partials).into(), factor.into(), not_finite.into()];
    Ok([norm, gpu.dispatch(&gpu.kernel(&clip_program(lanes))?, &params, &storage, 1)?])
}

/// Builder of the commands of one step.
pub(super) struct Maker<'a> {
    pub(super) gpu: &'a Gpu,
    pub(super) update: &'a Update<'a>,
    pub(super) buffers: &'a Buffers<'a>,
    /// The clipping factors.
    pub(super) factors: wgpu::Buffer,
    pub(super) commands: Vec<Stepped>,
}

/// The commands of an optimizer step, in order.
pub(crate) fn update(gpu: &Gpu, update: &Update, buffers: &Buffers) -> Result<Vec<Stepped>> {
    let gradient_transform = update.gradient_transform;
    let factors = gpu.buffer("factors of a clip", 4 + gradient_transform.spans.len())?;
    let mut maker = Maker { gpu, update, buffers, factors, commands: Vec::new() };
    maker.clip()?;
    match update.optimizer.passes(gradient_transform.spans)? {
        None => maker.rule()?,
        Some((without, [decaying, plain])) => {
            for (optimizer, spans) in [(update.optimizer, &decaying), (&*without, &plain)] {
                let table = gpu.upload("spans of a pass", &span_words(spans))?;
                let buffers = Buffers { spans: &table, ..*buffers };
                let transform = GradientTransform { spans, ..gradient_transform };
                let update = Update { optimizer, gradient_transform: transform, ..*update };
                let commands = std::mem::take(&mut maker.commands);
                let factors = maker.factors.clone();
                let mut pass = Maker { gpu, update: &update, buffers: &buffers, factors, commands };
                pass.rule()?;
                maker.commands = pass.commands;
            }
        }
    }
    if let Some(weight) = update.average {
        maker.average(weight)?;
    }
    if let Some(loss_scale) = buffers.loss_scale {
        let command = loss_scale::update_command(gpu, &maker.factors, loss_scale)?;
        maker.fixed([command]);
    }
    Ok(maker.commands)
}

impl Maker<'_> {
    /// The optimizer's rule on all spans that are not frozen.
    fn rule(&mut self) -> Result<()> {
        let Some(per_tensor) = self.update.optimizer.per_tensor() else {
            return self.elementwise();
        };
        self.tensor_directions(per_tensor.factored)?;
        if let Some(newton_schulz) = per_tensor.orthogonal {
            self.orthogonalize(&newton_schulz)?;
        }
        self.tensor_apply_update()
    }

    /// Adds a dispatch that reads the step's uniform.
    pub(super) fn stepped(
        &mut self,
        program: &Program,
        storage: &[Slice],
        workgroups: usize,
    ) -> Result<()> {
        let kernel = self.gpu.kernel(program)?;
        let size = (size_of::<OptimizerParams>() as u64).next_multiple_of(16);
        let uniform = Slice { buffer: self.buffers.uniform, offset: 0, size: Some(size) };
        let bindings = self.gpu.bind(&kernel, uniform, storage)?;
        let command =
            Command::Dispatch { kernel, bindings, parameters: 0, workgroups: workgroups as u32 };
        self.commands.push(Stepped { command, reads_step: true });
        Ok(())
    }

    pub(super) fn fixed(&mut self, commands: impl IntoIterator<Item = Command>) {
        self.commands
            .extend(commands.into_iter().map(|command| Stepped { command, reads_step: false }));
    }

    pub(super) fn state(&self, number: usize) -> Slice<'_> {
        let bytes = 4 * state_stride(self.update.length) as u64;
        Slice { buffer: self.buffers.states, offset: number as u64 * bytes, size: Some(bytes) }
    }

    pub(super) fn dummy(&self) -> Result<wgpu::Buffer> {
        self.gpu.buffer("no state", 64 * MOST_STATES)
    }

    pub(super) fn clip(&mut self) -> Result<()> {
        let GradientTransform { spans, clip, skip_non_finite } = self.update.gradient_transform;
        let Buffers { spans: table, parameters, gradients, not_finite, .. } = *self.buffers;
        let global = match clip {
            Some(Clip::GlobalNorm { limit, epsilon }) => Some((limit, epsilon)),
            _ => skip_non_finite.then_some((ANY, 0.0)),
        };
        if let Some((limit, epsilon)) = global {
            let norm = GlobalNorm {
                limit,
                epsilon,
                length: self.update.length,
                spans: spans.len(),
                table,
                parameters,
                gradients,
                factor: &self.factors,
                not_finite,
            };
            let commands = self::clip(self.gpu, &norm)?;
            self.fixed(commands);
        }
        if let Some(Clip::Norm(_)) = clip {
            let factors = self.factors.clone();
            self.tensor_norms(true, &factors)?;
        }
        Ok(())
    }

    pub(super) fn elementwise(&mut self) -> Result<()> {
        let (dummy, factors, buffers) = (self.dummy()?, self.factors.clone(), *self.buffers);
        let mut storage =
            [buffers.spans, buffers.parameters, buffers.gradients].map(Slice::from).to_vec();
        storage.extend(state_slices(&buffers, self.update, &dummy, MOST_STATES));
        storage.push((&factors).into());
        let program = optimizer_program(self.update.optimizer, &self.update.gradient_transform);
        self.stepped(&program, &storage, self.update.length.div_ceil(256))
    }

    /// average += weight (parameters − average), in the state after the optimizer's own.
    pub(super) fn average(&mut self, weight: f64) -> Result<()> {
        let number = self.update.optimizer.states();
        let params = AverageParams {
            length: self.update.length as u32,
            weight: weight as f32,
            reserved: [0; 2],
        };
        let kernel = self.gpu.kernel(&average_program(&self.update.gradient_transform))?;
        let storage = [self.buffers.parameters.into(), self.state(number), (&self.factors).into()];
        let command = self.gpu.dispatch(
            &kernel,
            &params,
            &storage,
            (self.update.length as u32).div_ceil(64),
        )?;
        self.fixed([command]);
        Ok(())
    }
}

/// The bindings of the optimizer's states, and a separate dummy range for each unused state.
pub(super) fn state_slices<'b>(
    buffers: &Buffers<'b>,
    update: &Update,
    dummy: &'b wgpu::Buffer,
    count: usize,
) -> Vec<Slice<'b>> {
    let bytes = 4 * state_stride(update.length) as u64;
    let place = |number: usize| match number < update.optimizer.states() {
        true => Slice { buffer: buffers.states, offset: number as u64 * bytes, size: Some(bytes) },
        false => Slice { buffer: dummy, offset: 256 * number as u64, size: Some(256) },
    };
    (0..count).map(place).collect()
}

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct AverageParams {
    pub(super) length: u32,
    pub(super) weight: f32,
    pub(super) reserved: [u32; 2],
}

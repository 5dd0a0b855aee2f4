//! An update apart from the batches before it, and what happens to the gradient between them.

use std::sync::Arc;

use crate::Result;
use crate::nn::optimizers::Step;
use crate::nn::optimizers::update::job::{Buffers, OptimizerParams, Update};
use crate::nn::optimizers::update::update;
use crate::nn::train::engine::TrainingSpec;
use crate::nn::train::gpu::describe;
use crate::nn::train::gpu::state::{GpuEngine, OwnUpdate};
use crate::nn::train::reduce::Reduce;
use crate::runtime::tensor::padded;

impl GpuEngine {
    /// Reads the gradients, reduces them and writes them back.
    pub(super) fn reduce_here(
        &mut self,
        has_rows: bool,
        tail: &mut [f64],
        reduce: &mut dyn Reduce,
    ) -> Result<()> {
        let length = self.graph.length;
        let mut numbers: Vec<f32> = match has_rows && length > 0 {
            true => pollster::block_on(self.gpu.download(&self.gradients, 0, length))?,
            false => vec![-0.0; length],
        };
        numbers.extend(tail.iter().map(|&number| number as f32));
        reduce.reduce(&mut numbers)?;
        tail.iter_mut().zip(&numbers[length..]).for_each(|(to, from)| *to = (*from).into());
        let bytes = bytemuck::cast_slice(&numbers[..length]);
        self.gpu.queue().write_buffer(&self.gradients, 0, bytes);
        self.gpu.check("gradients", padded(length))
    }

    /// The optimizer's step by the gradients on the device.
    pub(super) fn update_here(&mut self, training_spec: &TrainingSpec, step: &Step) -> Result<()> {
        let described: Arc<str> = describe(training_spec).into();
        if self.own_update.as_ref().is_none_or(|known| known.training_spec != described) {
            self.own_update = Some(self.own_update(training_spec, described)?);
        }
        // Also in a process that has no batch of this update.
        self.has_scaled |= training_spec.step_options.mixed_precision;
        let Some(update) = &self.own_update else { return Ok(()) };
        let gradient_transform = training_spec.gradient_transform(&self.graph);
        let params = OptimizerParams::new(self.graph.length, &gradient_transform, step);
        self.gpu.queue().write_buffer(&update.uniform, 0, bytemuck::bytes_of(&params));
        self.gpu.submit(&update.commands)
    }

    fn own_update(&self, training_spec: &TrainingSpec, described: Arc<str>) -> Result<OwnUpdate> {
        let uniform = self.uniforms()?;
        let job = Update {
            optimizer: &*training_spec.optimizer,
            length: self.graph.length,
            gradient_transform: training_spec.gradient_transform(&self.graph),
            average: training_spec.step_options.average,
        };
        let buffers = Buffers {
            spans: &self.spans,
            parameters: &self.parameters,
            gradients: &self.gradients,
            states: &self.states,
            not_finite: &self.not_finite,
            uniform: &uniform,
            loss_scale: training_spec.step_options.mixed_precision.then_some(&self.loss_scale),
        };
        let commands = update(&self.gpu, &job, &buffers)?;
        let commands = commands.into_iter().map(|stepped| stepped.command).collect();
        Ok(OwnUpdate { training_spec: described, commands, uniform })
    }
}

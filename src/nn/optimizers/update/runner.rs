//! A single optimizer step with its states, for test cases, checks and benchmarks.

use crate::Result;
use crate::nn::optimizers::step::Step;
use crate::nn::optimizers::update::job::{
    Buffers, OptimizerParams, SPAN_WORDS, Update, span_words, state_stride,
};
use crate::nn::optimizers::update::maker::update;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;

/// A step that is built once and run many times with different numbers, for test cases, checks and
/// benchmarks.
#[derive(Debug)]
pub(crate) struct Runner {
    gpu: Gpu,
    commands: Vec<Command>,
    uniform: wgpu::Buffer,
    length: usize,
    /// Gradient-transform parameters in the uniform.
    params: OptimizerParams,
    pub states: wgpu::Buffer,
}

impl Runner {
    /// Creates a step over buffers of parameters and gradients, with fresh states.
    pub fn new(
        gpu: &Gpu,
        job: &Update,
        parameters: &wgpu::Buffer,
        gradients: &wgpu::Buffer,
    ) -> Result<Self> {
        let states = first_states(gpu, job)?;
        let words = span_words(job.gradient_transform.spans);
        let spans =
            gpu.upload("segments", if words.is_empty() { &[0; SPAN_WORDS] } else { &words[..] })?;
        let not_finite = gpu.buffer("steps that were skipped", 4)?;
        let uniform = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("a step"),
            size: 256,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.check("a step", 256)?;
        let buffers = Buffers {
            spans: &spans,
            parameters,
            gradients,
            states: &states,
            not_finite: &not_finite,
            uniform: &uniform,
            loss_scale: None,
        };
        let commands =
            update(gpu, job, &buffers)?.into_iter().map(|stepped| stepped.command).collect();
        let params =
            OptimizerParams::new(job.length, &job.gradient_transform, &job.optimizer.step(1, 0.0));
        Ok(Runner { gpu: gpu.clone(), commands, uniform, length: job.length, params, states })
    }

    /// Writes the numbers of a step for the next run.
    pub fn set(&self, step: &Step) {
        let params = OptimizerParams { step: step.cast::<f32>().words(), ..self.params };
        self.gpu.queue().write_buffer(&self.uniform, 0, bytemuck::bytes_of(&params));
    }

    /// The commands of a step.
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// One step.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn run(&self, step: &Step) -> Result<()> {
        self.set(step);
        self.gpu.submit(&self.commands)
    }

    /// Current contents of a state.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn state(&self, number: usize) -> Result<Vec<f32>> {
        let at = number * state_stride(self.length);
        pollster::block_on(self.gpu.download(&self.states, at, self.length))
    }
}

/// Buffer of initial states, and of a running average starting at 0.
fn first_states(gpu: &Gpu, job: &Update) -> Result<wgpu::Buffer> {
    let count = job.optimizer.states() + usize::from(job.average.is_some());
    let stride = state_stride(job.length);
    let mut values = vec![0.0_f32; count.max(1) * stride];
    for (state, first) in values.chunks_exact_mut(stride).zip(job.optimizer.initial_states()) {
        state[..job.length].fill(first as f32);
    }
    gpu.upload("optimizer states", &values)
}

//! The commands and programs of a loss of predictions and targets.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::templates::definition::{LossDefinition, OneInput};
use crate::templates::job::{Buffers, Job, Parts};
use crate::templates::sum::sum;
use crate::templates::{listwise, pointwise, rowwise};

/// How many elements `Buffers::values` needs.
pub(crate) fn values_length(gpu: &Gpu, loss: &dyn LossDefinition, job: &Job) -> Result<usize> {
    Ok(match loss.one_input()? {
        OneInput::Pointwise(_) => pointwise::gpu::values_length(gpu, job),
        OneInput::Rowwise(_) => rowwise::gpu::values_length(gpu, loss, job),
        OneInput::Listwise(_) => listwise::gpu::values_length(gpu, job),
    })
}

/// Every program of a loss of predictions and targets, with all its inputs and with none: for the checks of the shaders.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Result<Vec<Program>> {
    Ok(match loss.one_input()? {
        OneInput::Pointwise(_) => pointwise::gpu::programs(loss),
        OneInput::Rowwise(_) => rowwise::gpu::programs(loss),
        OneInput::Listwise(_) => listwise::gpu::programs(loss),
    })
}

/// The commands that compute value and gradient: afterwards `result[0]` holds the value unless each is wanted.
pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &Job,
    buffers: &Buffers,
) -> Result<Vec<Command>> {
    let (mut commands, parts) = kernel_commands(gpu, loss, job, buffers)?;
    if !job.each {
        commands.push(sum(gpu, &buffers.values, parts.length, &buffers.result, 0)?);
    }
    Ok(commands)
}

/// The loss's own commands without the sum, and what is left to be summed.
pub(crate) fn kernel_commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &Job,
    buffers: &Buffers,
) -> Result<(Vec<Command>, Parts)> {
    match loss.one_input()? {
        OneInput::Pointwise(_) => pointwise::gpu::commands(gpu, loss, job, buffers),
        OneInput::Rowwise(_) => rowwise::gpu::commands(gpu, loss, job, buffers),
        OneInput::Listwise(_) => listwise::gpu::commands(gpu, loss, job, buffers),
    }
}

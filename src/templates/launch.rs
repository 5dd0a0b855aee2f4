//! Commands and programs of a loss of predictions and targets.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::templates::definition::{LossDefinition, OneInput};
use crate::templates::job::{Buffers, Job, Parts};
use crate::templates::sum::sum;
use crate::templates::{listwise, pointwise, rowwise};

/// Number of elements that `Buffers::values` needs.
pub(crate) fn values_length(gpu: &Gpu, loss: &dyn LossDefinition, job: &Job) -> Result<usize> {
    Ok(match loss.one_input()? {
        OneInput::Pointwise(_) => pointwise::gpu::values_length(gpu, job),
        OneInput::Rowwise(_) => rowwise::gpu::values_length(gpu, loss, job),
        OneInput::Listwise(_) => listwise::gpu::values_length(gpu, job),
    })
}

/// All programs of a loss of predictions and targets, with all optional inputs and without any, for
/// the shader checks.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Result<Vec<Program>> {
    Ok(match loss.one_input()? {
        OneInput::Pointwise(_) => pointwise::gpu::programs(loss),
        OneInput::Rowwise(_) => rowwise::gpu::programs(loss),
        OneInput::Listwise(_) => listwise::gpu::programs(loss),
    })
}

/// The commands that compute value and gradient. Afterwards `result[0]` holds the value, except
/// with reduction `none`.
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

/// The loss's own commands without the final sum, and the partial sums that remain to be summed.
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

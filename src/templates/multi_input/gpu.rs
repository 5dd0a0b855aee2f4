//! The frames of losses of several inputs on the GPU: what they are handed, what they hand back, and which is which.

use crate::Result;
use crate::losses::{Family, Frame, Loss};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::templates::completions::gpu as completions;
use crate::templates::distance::gpu as distance;
use crate::templates::linear::gpu as linear;
use crate::templates::multi_input::cpu::Units;
use crate::templates::preference::gpu as preference;
use crate::templates::sequence::gpu as sequence;
use crate::templates::similarity::gpu as similarity;
use crate::templates::sum;
use crate::templates::two_input::gpu as two_input;

/// One input on the device.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub buffer: wgpu::Buffer,
}

/// What a frame is asked for.
#[derive(Clone, Debug)]
pub(crate) struct MultiInputJob {
    /// The inputs that were given.
    pub arguments: Vec<Bound>,
    pub units: Units,
    /// One for each value, with the mask folded in.
    pub weights: Option<wgpu::Buffer>,
    /// With reduction `none` one for each value.
    pub upstreams: Option<wgpu::Buffer>,
    /// Reduction `none`.
    pub each: bool,
    pub factor: f32,
    pub upstream: f32,
}

/// Where a frame leaves what it computes.
#[derive(Clone, Debug)]
pub(crate) struct MultiInputResults {
    /// One for each differentiated input that was given, in the order of the loss's arguments.
    pub gradients: Vec<wgpu::Buffer>,
    /// The value of each unit where each is asked for, else what was summed.
    pub values: wgpu::Buffer,
    /// The value where it is reduced.
    pub result: wgpu::Buffer,
}

impl MultiInputJob {
    /// An input by its name.
    pub fn get(&self, name: &str) -> Option<&Bound> {
        self.arguments.iter().find(|bound| bound.name == name)
    }

    /// How many values there are before the reduction.
    pub fn length(&self) -> usize {
        self.units.shape.iter().product()
    }
}

/// The commands that compute value and gradients: afterwards `result[0]` holds the value unless each is wanted.
pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn Loss,
    frame: Frame,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults)> {
    let (mut commands, results, length) = match frame {
        Frame::TwoInput => two_input::commands(gpu, loss, job)?,
        Frame::Sequence { blank } => sequence::commands(gpu, loss, blank, job)?,
        Frame::Distance => distance::commands(gpu, loss, job)?,
        Frame::Linear => linear::commands(gpu, loss, job)?,
        Frame::Completions { averages } => completions::commands(gpu, loss, averages, job)?,
        Frame::Preference => preference::commands(gpu, loss, job)?,
        Frame::Similarity(comparison) => similarity::commands(gpu, loss, comparison, job)?,
    };
    if !job.each {
        commands.push(sum(gpu, &results.values, length, &results.result, 0)?);
    }
    Ok((commands, results))
}

/// Every program of a loss of several inputs: for the checks of the shaders.
pub(crate) fn programs(loss: &dyn Loss) -> Vec<Program> {
    match loss.family() {
        Family::MultiInput(Frame::TwoInput, _) => two_input::programs(loss),
        Family::MultiInput(Frame::Sequence { .. }, _) => sequence::programs(loss),
        Family::MultiInput(Frame::Distance, _) => distance::programs(loss),
        Family::MultiInput(Frame::Linear, _) => linear::programs(loss),
        Family::MultiInput(Frame::Completions { .. }, _) => completions::programs(loss),
        Family::MultiInput(Frame::Preference, _) => preference::programs(loss),
        Family::MultiInput(Frame::Similarity(comparison), _) => {
            similarity::programs(loss, comparison)
        }
        _ => Vec::new(),
    }
}

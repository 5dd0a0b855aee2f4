//! What a template of several inputs is asked for on a GPU, and where it leaves its results.

use crate::templates::multi_input::cpu::Units;

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

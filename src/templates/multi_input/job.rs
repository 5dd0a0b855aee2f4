//! GPU call parameters and results of the multi-input templates.

use crate::Result;
use crate::templates::multi_input::cpu::{Units, missing};

/// One input on the device.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub buffer: wgpu::Buffer,
}

/// The call parameters of a template.
#[derive(Clone, Debug)]
pub(crate) struct MultiInputJob {
    /// The inputs that were passed.
    pub arguments: Vec<Bound>,
    pub units: Units,
    /// One weight per value, with the mask folded in.
    pub weights: Option<wgpu::Buffer>,
    /// One upstream gradient per value, with reduction `none`.
    pub upstreams: Option<wgpu::Buffer>,
    /// True with reduction `none`.
    pub each: bool,
    pub factor: f32,
    pub upstream: f32,
}

/// The results of a template.
#[derive(Clone, Debug)]
pub(crate) struct MultiInputResults {
    /// One gradient per differentiated input that was passed, in the order of the loss's arguments.
    pub gradients: Vec<wgpu::Buffer>,
    /// The value of each unit with reduction `none`, otherwise the partial sums.
    pub values: wgpu::Buffer,
    /// The reduced value.
    pub result: wgpu::Buffer,
}

impl MultiInputJob {
    /// An input by name.
    pub fn get(&self, name: &str) -> Option<&Bound> {
        self.arguments.iter().find(|bound| bound.name == name)
    }

    /// An input that the template cannot do without.
    ///
    /// # Errors
    /// [`crate::Error::Input`] if it was not passed.
    pub fn required(&self, name: &str) -> Result<&Bound> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// Number of values before the reduction.
    pub fn length(&self) -> usize {
        self.units.shape.iter().product()
    }
}

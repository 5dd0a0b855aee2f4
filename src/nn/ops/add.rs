//! Adds one tensor to another: the second contribution to a gradient, of a value that is used
//! twice.

use crate::Result;
use crate::runtime::launch::lanes_of;
use crate::runtime::pipeline::Program;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};

const ADD: File = shader!("ops/add/add_to.wgsl");

fn program(lanes: f64) -> Program {
    Program::plain("add", &[ADD], vec![("WORKGROUP", lanes)])
}

/// sum += addend.
pub(crate) fn add_to(
    recorder: &mut Recorder,
    sum: &wgpu::Buffer,
    addend: &wgpu::Buffer,
    elements: usize,
) -> Result<()> {
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let kernel = gpu.kernel(&program(lanes.into()))?;
    let length = elements as u32;
    recorder.dispatch(
        &kernel,
        &[length, 0, 0, 0],
        &[addend.into(), sum.into()],
        length.div_ceil(lanes),
    )
}

/// Every program of this file, for the checks of the shaders.
pub(crate) fn programs() -> Vec<Program> {
    [8.0, 64.0].into_iter().map(program).collect()
}

//! Sum of the partial sums that a kernel's workgroups write.

use std::sync::Arc;

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Kernel, Program};
use crate::runtime::wgsl::File;

pub(super) const SUM: File = crate::runtime::wgsl::shader!("ops/reduce/sum.wgsl");

/// Parameters of the sum kernel.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct SumParams {
    pub length: u32,
    pub slot: u32,
    pub reserved: [u32; 2],
}

/// Sums `length` values into one slot of the results.
pub(super) fn sum(
    gpu: &Gpu,
    values: &wgpu::Buffer,
    length: usize,
    results: &wgpu::Buffer,
    slot: u32,
) -> Result<Command> {
    let params = SumParams { length: length as u32, slot, reserved: [0; 2] };
    let kernel: Arc<Kernel> =
        gpu.kernel(&sum_program(if gpu.is_software() { 8.0 } else { 256.0 }))?;
    gpu.dispatch(&kernel, &params, &[values.into(), results.into()], 1)
}

pub(super) fn sum_program(lanes: f64) -> Program {
    Program {
        label: "sum".into(),
        header: String::new(),
        files: vec![SUM],
        constants: vec![("WORKGROUP", lanes)],
    }
}

/// All variants of the sum program, for the shader checks.
pub(crate) fn sum_programs() -> Vec<Program> {
    [8.0, 256.0].map(sum_program).into()
}

//! Operands of products in mixed precision: rounded to f16, gradients times the loss scale.

use crate::Result;
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::Layout;
use crate::runtime::kernel::{Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};

const ROUND: File = shader!("ops/half/round.wgsl");

/// The operand of a product that is a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gradient {
    None,
    Left,
    Right,
}

/// The rounding of a product's operands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Half<'a> {
    /// The scale and 1 / scale: `nn::loss_scale`.
    pub loss_scale: &'a wgpu::Buffer,
    pub gradient: Gradient,
}

impl<'a> Half<'a> {
    /// The rounding of a pass by its loss scale; `None` without one, in single precision.
    pub fn of(loss_scale: Option<&'a wgpu::Buffer>, gradient: Gradient) -> Option<Half<'a>> {
        loss_scale.map(|loss_scale| Half { loss_scale, gradient })
    }

    /// Records the rounded copies of both operands, which begin at 0.
    pub fn operands(
        &self,
        recorder: &mut Recorder,
        layout: Layout,
        params: &matmul::Params,
        storage: &[Slice],
    ) -> Result<([wgpu::Buffer; 2], matmul::Params)> {
        let matmul::Params { m, n, k, ones, left_offset, right_offset, .. } = *params;
        let stored = if layout == Layout::TN { m - ones } else { m };
        let left = Numbers { offset: left_offset, length: stored * k };
        let right = Numbers { offset: right_offset, length: k * n };
        let left = self.rounded(recorder, Gradient::Left, storage[0], left)?;
        let right = self.rounded(recorder, Gradient::Right, storage[1], right)?;
        Ok(([left, right], matmul::Params { left_offset: 0, right_offset: 0, ..*params }))
    }

    /// Records the rounded copy of one operand.
    pub fn rounded(
        &self,
        recorder: &mut Recorder,
        side: Gradient,
        source: Slice,
        Numbers { offset, length }: Numbers,
    ) -> Result<wgpu::Buffer> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let copy = recorder.scratch("a rounded operand", length as usize)?;
        let kernel = gpu.kernel(&program(lanes, side == self.gradient))?;
        let storage = [source, self.loss_scale.into(), (&copy).into()];
        let params = Params { length, offset, reserved: [0; 2] };
        recorder.dispatch(&kernel, &params, &storage, length.div_ceil(4 * lanes))?;
        Ok(copy)
    }
}

/// A range of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub offset: u32,
    pub length: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct Params {
    length: u32,
    offset: u32,
    reserved: [u32; 2],
}

fn program(lanes: u32, is_gradient: bool) -> Program {
    let constants =
        [("WORKGROUP", lanes.into()), ("IS_GRADIENT", f64::from(u8::from(is_gradient)))];
    Program::plain("rounded operand", &[ROUND, shader!("lib/half.wgsl")], constants.to_vec())
}

/// Every program of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    [false, true]
        .into_iter()
        .flat_map(|is_gradient| [8, 64].map(|lanes| program(lanes, is_gradient)))
        .collect()
}

//! Scale by a constant: a minimal example of a complete op.

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, Saves, Shape,
};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::File;

pub(super) static ENTRY: Entry = Entry {
    name: "scale",
    examples: || vec![Example { op: Box::new(Scale(-0.7)), inputs: vec![vec![3]] }],
    programs: Vec::new,
};

/// y = factor x.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale(pub f32);

/// output = factor input, forward and backward.
const SCALE: File = File::own(
    "tests/scale.wgsl",
    "struct Params { length: u32, factor: f32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> inputs: array<f32>;
@group(0) @binding(2) var<storage, read_write> outputs: array<f32>;
override WORKGROUP: u32 = 64u;
@compute @workgroup_size(WORKGROUP)
fn scale(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x < params.length {
        outputs[id.x] = params.factor * inputs[id.x];
    }
}
",
);

impl Scale {
    fn record(
        self,
        recorder: &mut Recorder,
        elements: usize,
        [from, to]: [&wgpu::Buffer; 2],
    ) -> Result<()> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let kernel =
            gpu.kernel(&Program::plain("scale", &[SCALE], vec![("WORKGROUP", lanes.into())]))?;
        let params = [elements as u32, self.0.to_bits(), 0, 0];
        recorder.dispatch(
            &kernel,
            &params,
            &[from.into(), to.into()],
            (elements as u32).div_ceil(lanes),
        )
    }
}

impl Op for Scale {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        Ok(inputs[0].clone())
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves::default()
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        self.record(recorder, io.rows * io.output.width, [io.inputs[0].buffer, io.output.buffer])
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let Some(grad_input) = io.grad_inputs[0] else { return Ok(()) };
        self.record(recorder, io.rows * io.output.width, [io.grad_output, grad_input])
    }
}

impl<R: Real> Cpu<R> for Scale {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        io.output.iter_mut().zip(io.inputs[0]).for_each(|(y, &x)| *y = R::from_f32(self.0) * x);
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let grad_input = io.grad_inputs[0].iter_mut().flat_map(|gradient| gradient.iter_mut());
        grad_input.zip(io.grad_output.iter()).for_each(|(dx, &dy)| *dx = R::from_f32(self.0) * dy);
        Ok(())
    }
}

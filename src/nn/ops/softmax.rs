//! Softmax over the last axis: yₖ = e^(xₖ − max x)/Σⱼ e^(xⱼ − max x), dL/dxₖ = yₖ (gₖ − Σⱼ gⱼ yⱼ)
//! with g = dL/dy. On a GPU both are in place.

use std::sync::Arc;

use crate::cpu::real::Real;
use crate::nn::activations;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, InPlace, Op, Saves, Shape,
};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const NUMBERS: File = shader!("lib/numbers.wgsl");
const FORWARD: File = shader!("ops/softmax/softmax_forward.wgsl");
const BACKWARD: File = shader!("ops/softmax/softmax_backward.wgsl");

pub(crate) static ENTRY: Entry = Entry {
    name: "softmax",
    examples: || {
        let example = |shape: Shape| Example {
            op: Box::new(Softmax { width: shape.last().copied().unwrap_or(0) }),
            inputs: vec![shape],
        };
        [vec![1], vec![5], vec![3, 4], vec![2, 1, 3]].map(example).into()
    },
    programs: || [8.0, 64.0].map(programs_of).concat(),
};

/// Softmax as a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Softmax {
    /// The length of the last axis.
    pub width: usize,
}

fn forward_program(lanes: f64) -> Program {
    Program::plain("softmax", &[FORWARD, NUMBERS], vec![("WORKGROUP", lanes)])
}

fn backward_program(lanes: f64) -> Program {
    Program::plain("softmax, backward", &[BACKWARD], vec![("WORKGROUP", lanes)])
}

/// Its programs, forward and backward.
pub(crate) fn programs_of(lanes: f64) -> [Program; 2] {
    [forward_program(lanes), backward_program(lanes)]
}

/// One thread iterates over a row of softmax three times, and Mesa's software Vulkan silently exits
/// the loops of an invocation after 65,535 iterations in total.
fn check_width(gpu: &Gpu, width: usize) -> Result<()> {
    const MOST: usize = 16_384;
    if !gpu.is_software() || width <= MOST {
        return Ok(());
    }
    Err(Error::Shape {
        operation: "softmax".into(),
        found: format!("a layer of {width} units on a software adapter"),
        allowed: format!(
            "up to {MOST} there; use the loss cross_entropy on logits, or the device `cpu`"
        ),
    })
}

/// Records softmax of rows in place.
pub(crate) fn forward_in_place(
    recorder: &mut Recorder,
    rows: usize,
    width: usize,
    y: &wgpu::Buffer,
) -> Result<()> {
    let gpu = recorder.gpu();
    check_width(&gpu, width)?;
    let lanes = lanes_of(gpu.is_software());
    let kernel = gpu.kernel(&forward_program(lanes.into()))?;
    recorder.dispatch(
        &kernel,
        &[rows as u32, width as u32, 0, 0],
        &[y.into()],
        (rows as u32).div_ceil(lanes),
    )
}

/// Rows of softmax outputs and the gradient by them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SoftmaxBackward<'a> {
    pub rows: usize,
    pub width: usize,
    pub y: &'a wgpu::Buffer,
    /// dL/dy, replaced by dL/dx.
    pub gradient: &'a wgpu::Buffer,
}

/// Records dL/dx of softmax from dL/dy, in place.
pub(crate) fn backward_in_place(recorder: &mut Recorder, backward: &SoftmaxBackward) -> Result<()> {
    let SoftmaxBackward { rows, width, y, gradient } = *backward;
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let kernel = gpu.kernel(&backward_program(lanes.into()))?;
    let (params, storage) = ([rows as u32, width as u32, 0, 0], [y.into(), gradient.into()]);
    recorder.dispatch(&kernel, &params, &storage, (rows as u32).div_ceil(lanes))
}

impl Op for Softmax {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] if shape.last() == Some(&self.width) => Ok((*shape).clone()),
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!("one input of shape [..., {}]", self.width),
            }),
        }
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { output: true, ..Saves::default() }
    }

    fn in_place(&self) -> InPlace {
        InPlace { forward_gpu: true, backward: true, view: false }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let rows = io.rows * io.output.width / self.width.max(1);
        forward_in_place(recorder, rows, self.width, io.output.buffer)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let backward = SoftmaxBackward {
            rows: io.rows * io.output.width / self.width.max(1),
            width: self.width,
            y: io.output.buffer,
            gradient: io.grad_output,
        };
        backward_in_place(recorder, &backward)
    }
}

impl<R: Real> Cpu<R> for Softmax {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let softmax: &dyn Activation = &activations::Softmax;
        softmax.forward(self.width, io.inputs[0], io.output)
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let softmax: &dyn Activation = &activations::Softmax;
        softmax.backward(self.width, &[], io.output, io.grad_output)
    }
}

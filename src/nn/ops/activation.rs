//! Elementwise activation: y = f(x), dL/dx = dL/dy f'(x), for any entry of `nn::activations` except
//! softmax, which is a separate op.

use std::sync::Arc;

use rayon::prelude::*;

use crate::cpu::parallel::PIECE;
use crate::cpu::real::Real;
use crate::cpu::scratch::with_scratch;
use crate::nn::activations::activation::Activation;
use crate::nn::activations::{CATALOGUE, link};
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, InPlace, Op, Saves, Shape,
};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const NUMBERS: File = shader!("lib/numbers.wgsl");
const FORWARD: File = shader!("ops/activation/activation_forward.wgsl");
const BACKWARD: File = shader!("ops/activation/activation_backward.wgsl");

pub(crate) static ENTRY: Entry = Entry { name: "activation", examples, programs };

/// An activation as a node.
#[derive(Clone, Debug)]
pub(crate) struct Activate {
    pub activation: Arc<dyn Activation>,
}

/// Each elementwise activation, with each set of its options.
fn all() -> impl Iterator<Item = Arc<dyn Activation>> {
    let made = CATALOGUE.iter().flat_map(|entry| {
        let options = ["null"].into_iter().chain(entry.variants.iter().copied());
        options
            .filter_map(|text| serde_json::from_str(text).ok())
            .filter_map(|options| (entry.make)(&options).ok())
    });
    made.filter(|activation| !activation.rowwise()).map(Arc::from)
}

fn examples() -> Vec<Example> {
    all()
        .map(|activation| Example { op: Box::new(Activate { activation }), inputs: vec![vec![5]] })
        .collect()
}

fn programs() -> Vec<Program> {
    all()
        .flat_map(|activation| [8.0, 64.0].map(|lanes| programs_of(&*activation, lanes)))
        .flatten()
        .collect()
}

/// The programs of a stand-alone activation; in a dense layer its forward pass is the epilogue of a
/// product.
pub(crate) fn programs_of(activation: &dyn Activation, lanes: f64) -> [Program; 2] {
    [forward_program(activation, lanes), backward_program(activation, lanes)]
}

fn forward_program(activation: &dyn Activation, lanes: f64) -> Program {
    let mut program =
        Program::plain(activation.name(), &[FORWARD, NUMBERS], vec![("WORKGROUP", lanes)]);
    link(&mut program, activation);
    program
}

fn backward_program(activation: &dyn Activation, lanes: f64) -> Program {
    let constants =
        vec![("WORKGROUP", lanes), ("KEEP_INPUT", f64::from(u8::from(activation.needs_input())))];
    let mut program = Program::plain(activation.name(), &[BACKWARD, NUMBERS], constants);
    link(&mut program, activation);
    program
}

/// Replaces each number of `values` by its activation, on the CPU.
pub(crate) fn forward_in_place<R: Real>(
    activation: &dyn Activation,
    values: &mut [R],
) -> Result<()> {
    let Some(values) = R::as_single_mut(values) else {
        let copy = values.to_vec();
        return activation.forward(1, &copy, values);
    };
    values.par_chunks_mut(PIECE).try_for_each(|values| {
        with_scratch(values.len(), |copy| {
            copy.copy_from_slice(values);
            activation.forward(1, copy, values)
        })
    })
}

/// The buffers of an elementwise activation's backward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivationBuffers<'a> {
    /// Read only if the derivative needs it.
    pub input: &'a wgpu::Buffer,
    pub output: &'a wgpu::Buffer,
    /// dL/dy, replaced by dL/dx.
    pub gradient: &'a wgpu::Buffer,
}

/// Records dL/dx of an elementwise activation from dL/dy, in place.
pub(crate) fn backward_in_place(
    recorder: &mut Recorder,
    activation: &dyn Activation,
    elements: usize,
    buffers: ActivationBuffers,
) -> Result<()> {
    let gpu = recorder.gpu();
    let lanes = lanes_of(gpu.is_software());
    let kernel = gpu.kernel(&backward_program(activation, lanes.into()))?;
    let ActivationBuffers { input, output, gradient } = buffers;
    let (length, storage) = (elements as u32, [input.into(), output.into(), gradient.into()]);
    recorder.dispatch(&kernel, &[length, 0, 0, 0], &storage, length.div_ceil(lanes))
}

impl Op for Activate {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.activation.check()?;
        match inputs {
            [shape] => Ok((*shape).clone()),
            _ => Err(Error::Shape {
                operation: self.activation.name().into(),
                found: format!("{} inputs", inputs.len()),
                allowed: "one".into(),
            }),
        }
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { input: self.activation.needs_input(), output: true, ..Saves::default() }
    }

    fn in_place(&self) -> InPlace {
        InPlace { backward: true, ..InPlace::default() }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(self.clone()))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let gpu = recorder.gpu();
        let lanes = lanes_of(gpu.is_software());
        let kernel = gpu.kernel(&forward_program(&*self.activation, lanes.into()))?;
        let length = (io.rows * io.output.width) as u32;
        let storage = [io.inputs[0].buffer.into(), io.output.buffer.into()];
        recorder.dispatch(&kernel, &[length, 0, 0, 0], &storage, length.div_ceil(lanes))
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let buffers = ActivationBuffers {
            input: io.inputs[0].buffer,
            output: io.output.buffer,
            gradient: io.grad_output,
        };
        backward_in_place(recorder, &*self.activation, io.rows * io.output.width, buffers)
    }
}

impl<R: Real> Cpu<R> for Activate {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        self.activation.forward(io.output.len() / io.rows.max(1), io.inputs[0], io.output)
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let width = io.output.len() / io.rows.max(1);
        self.activation.backward(width, io.inputs[0], io.output, io.grad_output)
    }
}

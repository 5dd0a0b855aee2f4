//! Op: the function of a graph's node. One file per op in `nn/ops`, its shaders in `shaders/ops`.
//!
//! An op declares the shape of its output, its parameters and the tensors that its backward reads.
//! It implements forward and backward once for the CPU (generic over
//! [`Real`](crate::cpu::real::Real): f32, and f64 as the reference) and once for GPUs. Two rules
//! keep an op short:
//!
//! * **An op writes, it never adds.** A value with two readers gets two contributions to its
//!   gradient. The first one is written to the gradient itself, a later one to scratch memory, from
//! which the   walk adds it. Gradients of parameters are the exception: for gradient accumulation
//! over   micro-batches an op adds to them if `accumulate` is set.
//! * **`grad_output` may be overwritten.** It is not read after the backward of the op that
//!   produced the value.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::layers::initializer::Initializer;
use crate::runtime::pipeline::Program;
use crate::runtime::recorder::Recorder;

/// Maximum number of inputs of an op.
pub(crate) const MOST_INPUTS: usize = 4;

/// The axes of one sample, without the batch axis.
pub(crate) type Shape = Vec<usize>;

/// An op's entry in the list `nn::ops::OPS`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub name: &'static str,
    /// Example ops for the tests, with the shapes of their inputs.
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests of all ops read it"))]
    pub examples: fn() -> Vec<Example>,
    /// All programs that only this op uses, for the shader checks.
    pub programs: fn() -> Vec<Program>,
}

/// An op and the shapes of its inputs.
#[cfg_attr(not(test), allow(dead_code, reason = "the tests of all ops read it"))]
#[derive(Debug)]
pub(crate) struct Example {
    pub op: Box<dyn Op>,
    pub inputs: Vec<Shape>,
}

/// Factors of the penalties on a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Penalties {
    pub l1: f64,
    pub l2: f64,
    pub proximal_l1: f64,
}

/// Initial values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Initial {
    Zeros,
    /// A matrix [inputs, outputs].
    Weights(Initializer),
    /// Uniform in [−limit, limit).
    Uniform(f64),
}

/// The form of a parameter's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GradientKind {
    /// Same length as the parameter, in the flat buffer of all gradients.
    Dense,
    /// Sparse: the gradient of the op's output holds the gradient of each row that an id selects,
    /// and only these rows are updated.
    Rows,
}

/// A parameter of an op.
#[derive(Clone, Debug)]
pub(crate) struct ParameterSpec {
    /// Last component of its path, such as `weight`.
    pub name: &'static str,
    pub shape: Shape,
    pub initial: Initial,
    pub penalties: Penalties,
    pub gradient: GradientKind,
}

/// Tensors of the forward pass that an op's backward reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saves {
    pub input: bool,
    pub output: bool,
    /// Elements per sample of a tensor that forward writes only for backward.
    pub own: usize,
    /// The saved tensor of the op that produced the input.
    pub own_of_input: bool,
}

/// The passes in which an op with one input works in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InPlace {
    /// On a GPU `output` holds the input before forward runs.
    pub forward_gpu: bool,
    /// Backward replaces `grad_output` by the gradient of the input.
    pub backward: bool,
}

/// The function of a node and its derivative.
pub(crate) trait Op: Any + Cpu<f32> + Cpu<f64> + Debug + Send + Sync {
    /// Its entry in the list.
    fn entry(&self) -> &'static Entry;

    /// The shape of its output.
    ///
    /// # Errors
    /// Inputs that do not fit, with the op's name, the shapes found and those allowed.
    fn output(&self, inputs: &[&Shape]) -> Result<Shape>;

    /// Its parameters, in memory order.
    fn parameters(&self, _inputs: &[&Shape]) -> Vec<ParameterSpec> {
        Vec::new()
    }

    fn saves(&self, inputs: &[&Shape]) -> Saves;

    fn in_place(&self) -> InPlace {
        InPlace::default()
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()>;
    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()>;
}

/// Forward and backward on the CPU, generic over the precision.
pub(crate) trait Cpu<R> {
    fn forward(&self, io: Forward<R>) -> Result<()>;
    fn backward(&self, io: Backward<R>) -> Result<()>;
}

/// A precision that ops run in.
pub(crate) trait Precision: Real + Default {
    fn of(op: &dyn Op) -> &dyn Cpu<Self>;
}

impl Precision for f32 {
    fn of(op: &dyn Op) -> &dyn Cpu<f32> {
        op
    }
}

impl Precision for f64 {
    fn of(op: &dyn Op) -> &dyn Cpu<f64> {
        op
    }
}

/// Parameters of a node in the flat buffer of all.
#[derive(Debug)]
pub(crate) struct Parameters<'a, R> {
    pub all: &'a [R],
    pub ranges: &'a [Range<usize>],
    /// The table, of a node whose gradient is [`GradientKind::Rows`].
    pub table: &'a [R],
}

impl<'a, R> Parameters<'a, R> {
    /// The parameter with this index; empty if the node does not have it.
    pub fn get(&self, number: usize) -> &'a [R] {
        self.ranges.get(number).map_or(&[], |range| &self.all[range.clone()])
    }
}

/// Gradients of a node's parameters in the flat buffer of all.
#[derive(Debug)]
pub(crate) struct Gradients<'a, R> {
    pub all: &'a mut [R],
    pub ranges: &'a [Range<usize>],
}

impl<R> Gradients<'_, R> {
    /// The gradient of the parameter with this index; empty if the node does not have it.
    pub fn get(&mut self, number: usize) -> &mut [R] {
        match self.ranges.get(number) {
            Some(range) => &mut self.all[range.clone()],
            None => &mut [],
        }
    }
}

/// Inputs and outputs of a forward pass on the CPU.
#[derive(Debug)]
pub(crate) struct Forward<'a, R> {
    pub rows: usize,
    pub inputs: &'a [&'a [R]],
    /// The ids of the batch if the graph takes ids; its input is then empty.
    pub ids: &'a [i32],
    pub parameters: Parameters<'a, R>,
    pub output: &'a mut [R],
    /// [`Saves::own`] elements per sample.
    pub saved: &'a mut [R],
}

/// Inputs and outputs of a backward pass on the CPU.
#[derive(Debug)]
pub(crate) struct Backward<'a, R> {
    pub rows: usize,
    /// Empty unless [`Saves::input`].
    pub inputs: &'a [&'a [R]],
    /// Empty unless [`Saves::output`].
    pub output: &'a [R],
    pub saved: &'a [R],
    /// The saved tensor of the op that produced the input, with [`Saves::own_of_input`].
    pub saved_of_input: &'a [R],
    pub parameters: Parameters<'a, R>,
    pub grad_output: &'a mut [R],
    /// To be written. `None` if not needed, and for an op that works in place.
    pub grad_inputs: &'a mut [Option<&'a mut [R]>],
    pub grad_parameters: Gradients<'a, R>,
    /// Add to the gradients of the parameters instead of overwriting them.
    pub accumulate: bool,
}

/// A tensor on a GPU with `width` elements per sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub width: usize,
}

/// The buffers of a node's parameters and of their gradients on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuParameters<'a> {
    pub all: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    /// Of the node's parameters, in both.
    pub ranges: &'a [Range<usize>],
    /// The table, if the graph has one.
    pub table: Option<&'a wgpu::Buffer>,
}

/// Inputs and outputs of a forward pass on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuForward<'a> {
    pub rows: usize,
    /// Row of the inputs that the first row of the output belongs to; not 0 only in a chunked head.
    pub first_row: usize,
    pub inputs: &'a [Operand<'a>],
    pub parameters: GpuParameters<'a>,
    pub output: Operand<'a>,
    /// [`Saves::own`] elements per sample, or a dummy binding.
    pub saved: &'a wgpu::Buffer,
}

/// Inputs and outputs of a backward pass on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuBackward<'a> {
    pub rows: usize,
    /// As [`GpuForward::first_row`], of inputs and their gradients.
    pub first_row: usize,
    /// Readable only with [`Saves::input`].
    pub inputs: &'a [Operand<'a>],
    /// Readable only with [`Saves::output`].
    pub output: Operand<'a>,
    pub saved: &'a wgpu::Buffer,
    /// The saved tensor of the op that produced the input, or a dummy binding.
    pub saved_of_input: &'a wgpu::Buffer,
    pub parameters: GpuParameters<'a>,
    pub grad_output: &'a wgpu::Buffer,
    /// To be written. `None` if not needed, and for an op that works in place.
    pub grad_inputs: &'a [Option<&'a wgpu::Buffer>],
    /// Add to the gradients of the parameters instead of overwriting them.
    pub accumulate: bool,
}

//! Op: what a node of a graph is. One file per op under `nn/ops`, its shaders under `shaders/ops`.
//!
//! An op states its output's shape, its parameters and what its backward reads, and has forward and backward once for the CPU
//! (over [`Real`](crate::cpu::real::Real): f32, and f64 as the reference) and once for a GPU. Two rules keep an op short:
//!
//! * **An op only ever writes.** A value that is used twice has two contributions to its gradient. The first is written where the
//!   gradient lies; a later one is written to scratch memory and added by whoever walks the graph. Gradients of parameters are the
//!   exception: a batch may be a part of a greater one, so an op adds to them where `accumulate` says so.
//! * **`grad_output` may be overwritten.** Nobody reads it behind the backward of the op that made the value.

use std::any::Any;
use std::fmt::Debug;
use std::ops::Range;

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::layers::initializer::Initializer;
use crate::runtime::kernel::Program;
use crate::runtime::recorder::Recorder;

/// Inputs of an op at the most.
pub(crate) const MOST_INPUTS: usize = 4;

/// The axes of one sample; the axis of the batch is in front of them.
pub(crate) type Shape = Vec<usize>;

/// The line of an op in the list: `nn::ops::OPS`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub name: &'static str,
    /// Ops to test it with, each with the shapes of its inputs.
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests of all ops read it"))]
    pub examples: fn() -> Vec<Example>,
    /// Every program of its own, for the checks of the shaders.
    pub programs: fn() -> Vec<Program>,
}

/// An op and the shapes of its inputs.
#[cfg_attr(not(test), allow(dead_code, reason = "the tests of all ops read it"))]
#[derive(Debug)]
pub(crate) struct Example {
    pub op: Box<dyn Op>,
    pub inputs: Vec<Shape>,
}

/// Factors of what is added to the loss for a parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Penalties {
    pub l1: f64,
    pub l2: f64,
    pub proximal_l1: f64,
}

/// The values that a parameter begins with.
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
    /// As long as the parameter, in the flat buffer of all gradients.
    Dense,
    /// Rows of a table that ids name: the gradient is that of the op's output, row by row, and only these rows are moved.
    Rows,
}

/// A parameter of an op.
#[derive(Clone, Debug)]
pub(crate) struct ParameterSpec {
    /// The last part of its path: `weight`.
    pub name: &'static str,
    pub shape: Shape,
    pub initial: Initial,
    pub penalties: Penalties,
    pub gradient: GradientKind,
}

/// What the backward of an op reads of its forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saves {
    pub input: bool,
    pub output: bool,
    /// Numbers of each sample that forward writes for backward alone.
    pub own: usize,
    /// Those of the op that made the input.
    pub own_of_input: bool,
}

/// Where an op of one input works in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InPlace {
    /// On a GPU `output` holds the input when forward begins.
    pub forward_gpu: bool,
    /// Backward turns `grad_output` into the gradient of the input where it stands.
    pub backward: bool,
}

/// A node's function with its derivative.
pub(crate) trait Op: Any + Cpu<f32> + Cpu<f64> + Debug + Send + Sync {
    /// Its line in the list.
    fn entry(&self) -> &'static Entry;

    /// The shape of its output.
    ///
    /// # Errors
    /// What does not fit, with the name of the op, what was found and what is allowed.
    fn output(&self, inputs: &[&Shape]) -> Result<Shape>;

    /// Its parameters, in the order in which they lie behind each other.
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

/// Forward and backward on the CPU, written once over the precision.
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
    /// The parameter of that number; empty if the node has it not.
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
    /// That of the parameter of that number; empty if the node has it not.
    pub fn get(&mut self, number: usize) -> &mut [R] {
        match self.ranges.get(number) {
            Some(range) => &mut self.all[range.clone()],
            None => &mut [],
        }
    }
}

/// What forward reads and writes on the CPU.
#[derive(Debug)]
pub(crate) struct Forward<'a, R> {
    pub rows: usize,
    pub inputs: &'a [&'a [R]],
    /// The batch's ids, where a graph takes ids; its input is empty then.
    pub ids: &'a [i32],
    pub parameters: Parameters<'a, R>,
    pub output: &'a mut [R],
    /// [`Saves::own`] numbers of each sample.
    pub saved: &'a mut [R],
}

/// What backward reads and writes on the CPU.
#[derive(Debug)]
pub(crate) struct Backward<'a, R> {
    pub rows: usize,
    /// Empty unless [`Saves::input`].
    pub inputs: &'a [&'a [R]],
    /// Empty unless [`Saves::output`].
    pub output: &'a [R],
    pub saved: &'a [R],
    /// What the op that made the input saved, with [`Saves::own_of_input`].
    pub saved_of_input: &'a [R],
    pub parameters: Parameters<'a, R>,
    pub grad_output: &'a mut [R],
    /// To be written; none where nobody asks, and none of an op that works in place.
    pub grad_inputs: &'a mut [Option<&'a mut [R]>],
    pub grad_parameters: Gradients<'a, R>,
    /// Adds to the gradients of the parameters.
    pub accumulate: bool,
}

/// Numbers on a GPU, so many for each sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub width: usize,
}

/// Where a node's parameters and their gradients lie on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuParameters<'a> {
    pub all: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    /// Of the node's parameters, in both.
    pub ranges: &'a [Range<usize>],
    /// The table, if the graph has one.
    pub table: Option<&'a wgpu::Buffer>,
}

/// What forward reads and writes on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuForward<'a> {
    pub rows: usize,
    /// The row of the inputs that the output's first one belongs to: 0 but in the chunked head.
    pub first_row: usize,
    pub inputs: &'a [Operand<'a>],
    pub parameters: GpuParameters<'a>,
    pub output: Operand<'a>,
    /// [`Saves::own`] numbers of each sample, or a dummy binding.
    pub saved: &'a wgpu::Buffer,
}

/// What backward reads and writes on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuBackward<'a> {
    pub rows: usize,
    /// As [`GpuForward::first_row`], of inputs and their gradients.
    pub first_row: usize,
    /// Only to be read with [`Saves::input`].
    pub inputs: &'a [Operand<'a>],
    /// Only to be read with [`Saves::output`].
    pub output: Operand<'a>,
    pub saved: &'a wgpu::Buffer,
    /// What the op that made the input saved, or a dummy binding.
    pub saved_of_input: &'a wgpu::Buffer,
    pub parameters: GpuParameters<'a>,
    pub grad_output: &'a wgpu::Buffer,
    /// To be written; none where nobody asks, and none of an op that works in place.
    pub grad_inputs: &'a [Option<&'a wgpu::Buffer>],
    /// Adds to the gradients of the parameters.
    pub accumulate: bool,
}

//! Op: the function of a graph node. One file per op under `nn/ops`, its shaders under
//! `shaders/ops`.
//!
//! An op defines its output's shape, its parameters and the values that its backward reads, and has
//! forward and backward once for the CPU (over [`Real`](crate::cpu::real::Real): f32, and f64 as
//! the reference) and once for a GPU. Two rules keep an op short:
//!
//! * **An op only ever writes.** A value that is used twice has two contributions to its gradient.
//!   The first is written to the gradient's memory; a later one is written to scratch memory and
//!   added by the graph's executor, or added by the op itself if it says that it can. Parameter gradients are the exception: a batch may be a
//!   micro-batch, so an op adds to them if `accumulate` is set.
//! * **`grad_output` may be overwritten.** Nothing reads it after the backward of the op that made
//!   the value.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::cpu::half;
use crate::cpu::real::Real;
use crate::nn::layers::initializer::Initializer;
use crate::runtime::kernel::Program;
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

/// Maximum inputs of an op.
pub(crate) const MOST_INPUTS: usize = 4;

/// The axes of one sample, without the leading batch axis.
pub(crate) type Shape = Vec<usize>;

/// An op's entry in the list `nn::ops::OPS`.
#[derive(Debug)]
pub(crate) struct Entry {
    pub name: &'static str,
    /// Example ops for the tests, with the shapes of their inputs.
    #[cfg_attr(not(test), allow(dead_code, reason = "the tests of all ops read it"))]
    pub examples: fn() -> Vec<Example>,
    /// All programs of the op, for the shader checks.
    pub programs: fn() -> Vec<Program>,
}

/// An op and the shapes of its inputs.
#[cfg_attr(not(test), allow(dead_code, reason = "the tests of all ops read it"))]
#[derive(Debug)]
pub(crate) struct Example {
    pub op: Box<dyn Op>,
    pub inputs: Vec<Shape>,
}

/// Factors of the penalties added to the loss for a parameter.
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
    Ones,
    /// A matrix [inputs, outputs], or a kernel [height, width, inputs, outputs].
    Weights(Initializer),
    /// Uniform in [−limit, limit).
    Uniform(f64),
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Each number this one.
    Constant(f64),
}

/// Layout of a parameter's gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GradientKind {
    /// As long as the parameter, in the flat gradient buffer.
    Dense,
    /// Rows of a table by ids: the gradient is that of the op's output, row by row, and only these
    /// rows are updated.
    Rows,
}

/// Order of a parameter's axes in PyTorch's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum FileOrder {
    #[default]
    Same,
    /// [inputs, outputs] here, [outputs, inputs] in the file.
    Transposed,
    /// [height, width, inputs, outputs] here, [outputs, inputs, height, width] in the file.
    Kernel,
}

/// A parameter of an op.
#[derive(Clone, Debug)]
pub(crate) struct ParameterSpec {
    /// The last component of its path: `weight`.
    pub name: &'static str,
    pub shape: Shape,
    pub initial: Initial,
    pub penalties: Penalties,
    pub gradient: GradientKind,
    pub file_order: FileOrder,
}

/// Numbers of an op that are kept from step to step and not optimized, as the running mean of batch
/// norm; PyTorch's buffers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StatisticSpec {
    /// The last component of its path: `running_mean`.
    pub name: &'static str,
    pub length: usize,
    /// Each of its numbers at the beginning.
    pub initial: f64,
}

/// Values of the forward pass that an op's backward reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saves {
    pub input: bool,
    pub output: bool,
    /// Numbers per sample that forward writes only for backward.
    pub own: usize,
    /// Numbers per batch, behind those of the samples: the mean of a batch.
    pub per_batch: usize,
    /// `own` numbers of the op that produced the input.
    pub own_of_input: bool,
}

/// In-place execution of an op with one input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InPlace {
    /// On a GPU `output` holds the input before forward runs.
    pub forward_gpu: bool,
    /// Backward transforms `grad_output` in place into the gradient of the input.
    pub backward: bool,
    /// The output is the input in another shape: it lies in the input's memory where it may, on a
    /// GPU and on the CPU, and forward is not called there.
    pub view: bool,
}

/// The function of a node and its derivative.
pub(crate) trait Op: Any + Cpu<f32> + Cpu<f64> + Debug + Send + Sync {
    /// Its entry in the list.
    fn entry(&self) -> &'static Entry;

    /// The shape of its output.
    ///
    /// # Errors
    /// The mismatch, with the name of the op, the found and the allowed shapes.
    fn output(&self, inputs: &[&Shape]) -> Result<Shape>;

    /// Its parameters, in memory order.
    fn parameters(&self, _inputs: &[&Shape]) -> Vec<ParameterSpec> {
        Vec::new()
    }

    /// Its running statistics, in memory order.
    fn statistics(&self, _inputs: &[&Shape]) -> Vec<StatisticSpec> {
        Vec::new()
    }

    /// If its input is the graph's and holds ids instead of numbers: how many different ids.
    fn takes_ids(&self) -> Option<usize> {
        None
    }

    fn saves(&self, inputs: &[&Shape]) -> Saves;

    fn in_place(&self) -> InPlace {
        InPlace::default()
    }

    /// Rows that a training batch needs at least.
    fn least_rows(&self, _inputs: &[&Shape]) -> usize {
        1
    }

    /// On the CPU backward can add its contribution to the gradient of its only input, instead of
    /// writing it: [`Backward::adds`].
    fn adds_on_cpu(&self) -> bool {
        false
    }

    /// The op that decodes a sequence a few tokens at a time (`graph::decode`): from `tokens`
    /// consecutive tokens of the inputs, whose first axis is the tokens, the same tokens of the
    /// output. [`Mode::place`] says where they stand, and what it needs of earlier tokens it keeps
    /// in its [`Op::statistics`]. An op whose tokens do not depend on each other is its own.
    ///
    /// `None`, the default: its output needs the whole sequence, which is then run again for each
    /// token.
    fn decoder(&self, _inputs: &[&Shape], _tokens: usize) -> Option<Arc<dyn Op>> {
        None
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()>;
    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()>;
}

/// Forward and backward on the CPU, generic over the precision.
pub(crate) trait Cpu<R> {
    fn forward(&self, io: Forward<R>) -> Result<()>;
    fn backward(&self, io: Backward<R>) -> Result<()>;
}

/// The error of a decoder that is asked for gradients: it runs in generation alone.
pub(crate) fn decodes_only(name: &str) -> Error {
    Error::Input {
        operation: name.into(),
        name: "a pass over the next tokens".into(),
        found: "asks for gradients".into(),
        allowed: "gradients are those of a pass over the whole sequence".into(),
    }
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

/// Parameters of a node in the flat buffer.
#[derive(Debug)]
pub(crate) struct Parameters<'a, R> {
    pub all: &'a [R],
    pub ranges: &'a [Range<usize>],
    /// The table, for a node whose gradient is [`GradientKind::Rows`].
    pub table: &'a [R],
}

impl<'a, R> Parameters<'a, R> {
    /// The parameter at an index; empty if the node does not have it.
    pub fn get(&self, number: usize) -> &'a [R] {
        self.ranges.get(number).map_or(&[], |range| &self.all[range.clone()])
    }
}

/// Numbers of a node in a flat buffer of all nodes: gradients of its parameters, or its running
/// statistics.
#[derive(Debug)]
pub(crate) struct Segments<'a, R> {
    pub all: &'a mut [R],
    pub ranges: &'a [Range<usize>],
}

impl<R> Segments<'_, R> {
    /// The segment at an index; empty if the node does not have it.
    pub fn get(&mut self, number: usize) -> &mut [R] {
        match self.ranges.get(number) {
            Some(range) => &mut self.all[range.clone()],
            None => &mut [],
        }
    }

    /// The first two segments, which follow one another; empty if the node does not have them.
    pub fn two(&mut self) -> [&mut [R]; 2] {
        let Some(first) = self.ranges.first() else { return [&mut [], &mut []] };
        let second = self.ranges.get(1).filter(|second| second.start == first.end);
        let end = second.map_or(first.end, |second| second.end);
        self.all[first.start..end].split_at_mut(first.len()).into()
    }
}

/// Source of random numbers of a batch: seed of the model and number of the batch, in halves. An op
/// uses the first two words as the key of [`philox`](crate::cpu::random::philox), the last two and
/// its own [`Mode::node`] in the counter.
pub(crate) type Noise = [u32; 4];

/// The pass that an op runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Mode {
    /// Parameters are trained: dropout drops, batch norm reads the batch and moves its statistics.
    pub training: bool,
    pub noise: Noise,
    /// The index of the node.
    pub node: u32,
    /// The place of the pass's first token in its sequence: 0 except in decoding.
    pub place: usize,
    /// In mixed precision: the factor of gradients before they are rounded. Operands of products are
    /// rounded to f16 then.
    pub loss_scale: Option<f64>,
}

impl Mode {
    /// An operand of a product that is no gradient.
    pub fn operand<'v, R: Real>(&self, values: &'v [R]) -> Cow<'v, [R]> {
        match self.loss_scale {
            Some(_) => Cow::Owned(half::rounded(values, 1.0)),
            None => Cow::Borrowed(values),
        }
    }

    /// An operand of a product that is a gradient.
    pub fn gradient_operand<'v, R: Real>(&self, values: &'v [R]) -> Cow<'v, [R]> {
        match self.loss_scale {
            Some(scale) => Cow::Owned(half::rounded(values, scale)),
            None => Cow::Borrowed(values),
        }
    }
}

/// As [`Mode`], on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuMode<'a> {
    pub training: bool,
    /// A [`Noise`] per batch of a submission, for `Recorder::dispatch_stepped`.
    pub noise: &'a wgpu::Buffer,
    pub node: u32,
    /// In decoding: a storage buffer of [`Mode::place`] as u32, written before each submission.
    pub place: Option<&'a wgpu::Buffer>,
    /// In mixed precision: the numbers of `nn::loss_scale`.
    pub loss_scale: Option<&'a wgpu::Buffer>,
}

impl<'a> GpuMode<'a> {
    /// The place of a pass that decodes.
    ///
    /// # Errors
    /// [`Error::Input`] for another pass.
    pub fn decoding(&self) -> Result<&'a wgpu::Buffer> {
        self.place.ok_or_else(|| Error::Input {
            operation: "decoding".into(),
            name: "the pass".into(),
            found: "has no place in a sequence".into(),
            allowed: "a pass over the next tokens".into(),
        })
    }
}

/// Arguments of forward on the CPU.
#[derive(Debug)]
pub(crate) struct Forward<'a, R> {
    pub rows: usize,
    pub inputs: &'a [&'a [R]],
    /// The batch's ids, for a graph of ids; its input is empty then.
    pub ids: &'a [i32],
    pub parameters: Parameters<'a, R>,
    pub output: &'a mut [R],
    /// [`Saves::own`] numbers per sample, then [`Saves::per_batch`] numbers.
    pub saved: &'a mut [R],
    /// Running statistics. An op moves them only if [`Mode::training`].
    pub statistics: Segments<'a, R>,
    pub mode: Mode,
}

/// Arguments of backward on the CPU.
#[derive(Debug)]
pub(crate) struct Backward<'a, R> {
    pub rows: usize,
    /// Empty unless [`Saves::input`].
    pub inputs: &'a [&'a [R]],
    /// Empty unless [`Saves::output`].
    pub output: &'a [R],
    pub saved: &'a [R],
    /// Saved values of the op that produced the input, with [`Saves::own_of_input`].
    pub saved_of_input: &'a [R],
    pub parameters: Parameters<'a, R>,
    pub grad_output: &'a mut [R],
    /// Outputs; `None` if not needed, and for an in-place op.
    pub grad_inputs: &'a mut [Option<&'a mut [R]>],
    /// Add to `grad_inputs` instead of overwriting it; only for [`Op::adds_on_cpu`].
    pub adds: bool,
    pub grad_parameters: Segments<'a, R>,
    /// Add to the gradients of the parameters instead of overwriting them.
    pub accumulate: bool,
    /// The batch's ids, for a graph of ids.
    pub ids: &'a [i32],
    pub mode: Mode,
}

/// Numbers on a GPU, a fixed count per sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub buffer: &'a wgpu::Buffer,
    pub width: usize,
}

/// Locations of a node's parameters and their gradients on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuParameters<'a> {
    pub all: &'a wgpu::Buffer,
    pub gradients: &'a wgpu::Buffer,
    /// Ranges of the node's parameters, in both buffers.
    pub ranges: &'a [Range<usize>],
    /// The table, if the graph has one.
    pub table: Option<&'a wgpu::Buffer>,
}

/// Locations of a node's running statistics on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuStatistics<'a> {
    pub all: &'a wgpu::Buffer,
    pub ranges: &'a [Range<usize>],
}

/// Arguments of forward on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuForward<'a> {
    pub rows: usize,
    /// The input row of the output's first row: 0 except in the chunked head.
    pub first_row: usize,
    pub inputs: &'a [Operand<'a>],
    pub parameters: GpuParameters<'a>,
    pub output: Operand<'a>,
    /// [`Saves::own`] numbers per sample, then [`Saves::per_batch`] numbers; or a dummy binding.
    pub saved: &'a wgpu::Buffer,
    pub statistics: GpuStatistics<'a>,
    pub mode: GpuMode<'a>,
}

/// Arguments of backward on a GPU.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GpuBackward<'a> {
    pub rows: usize,
    /// As [`GpuForward::first_row`], for inputs and their gradients.
    pub first_row: usize,
    /// Valid only with [`Saves::input`].
    pub inputs: &'a [Operand<'a>],
    /// Valid only with [`Saves::output`].
    pub output: Operand<'a>,
    pub saved: &'a wgpu::Buffer,
    /// Saved values of the op that produced the input, or a dummy binding.
    pub saved_of_input: &'a wgpu::Buffer,
    pub parameters: GpuParameters<'a>,
    pub grad_output: &'a wgpu::Buffer,
    /// Outputs; `None` if not needed, and for an in-place op.
    pub grad_inputs: &'a [Option<&'a wgpu::Buffer>],
    /// Add to the gradients of the parameters instead of overwriting them.
    pub accumulate: bool,
    pub mode: GpuMode<'a>,
}

//! Tied dense: y = x Wᵀ over the last axis, [..., width] → [..., units], with W of shape [units,
//! width] as a table of embeddings stores it. PyTorch `Linear(width, units, bias=False)` whose
//! weight is the `Embedding`'s (`lm_head.weight` and `wte.weight` of GPT-2).
//!
//! Added by `Graph::add_shared` it has no parameters of its own; by `Graph::add` it is not tied.
//! dL/dx = dY W, dL/dW = dYᵀ X over all positions of all samples.

use std::sync::Arc;

use crate::cpu::matmul::{self, matmul};
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    Initial, Op, ParameterSpec, Penalties, Saves, Shape,
};
use crate::nn::ops::matmul::half::{Gradient, Half};
use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::record;
use crate::nn::ops::matmul::{Layout, Params};
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) static ENTRY: Entry = Entry {
    name: "tied_dense",
    examples,
    // The product's programs are those of `nn::ops::matmul`.
    programs: Vec::new,
};

/// y = x Wᵀ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TiedDense {
    /// Rows of W: the vocabulary of the table.
    pub units: usize,
    /// Columns of W: the last axis of the input.
    pub width: usize,
}

fn examples() -> Vec<Example> {
    let example = |units: usize, shape: &[usize]| Example {
        op: Box::new(TiedDense { units, width: shape.last().copied().unwrap_or(0) }),
        inputs: vec![shape.to_vec()],
    };
    vec![example(5, &[3, 2]), example(8, &[4]), example(1, &[1])]
}

impl TiedDense {
    /// Rows of the products.
    fn rows(&self, samples: usize, numbers: usize) -> usize {
        samples * (numbers / self.width.max(1))
    }
}

impl Op for TiedDense {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] if shape.last() == Some(&self.width) => {
                Ok(shape[..shape.len() - 1].iter().copied().chain([self.units]).collect())
            }
            _ => Err(Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: format!("one input of shape [..., {}]", self.width),
            }),
        }
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        vec![ParameterSpec {
            name: "weight",
            shape: vec![self.units, self.width],
            initial: Initial::Normal(0.02),
            penalties: Penalties::default(),
            gradient: GradientKind::Dense,
            file_order: FileOrder::Same,
        }]
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        Saves { input: true, ..Saves::default() }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (x, weight) = (io.inputs[0], &io.parameters.ranges[0]);
        let params = Params {
            m: self.rows(io.rows, x.width) as u32,
            n: self.units as u32,
            k: self.width as u32,
            left_offset: (io.first_row * x.width) as u32,
            right_offset: weight.start as u32,
            ..Params::default()
        };
        let storage = [x.buffer, io.parameters.all, io.output.buffer].map(Into::into);
        let half = Half::of(io.mode.loss_scale, Gradient::None);
        record(recorder, &Kind { half, ..Kind::plain(Layout::NT) }, &params, &storage)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let (x, weight) = (io.inputs[0], &io.parameters.ranges[0]);
        let rows = self.rows(io.rows, x.width) as u32;
        let (units, width) = (self.units as u32, self.width as u32);
        let of_batch = (io.first_row * x.width) as u32;
        let params = Params {
            m: units,
            n: width,
            k: rows,
            accumulate: u32::from(io.accumulate),
            right_offset: of_batch,
            output_offset: weight.start as u32,
            ..Params::default()
        };
        let storage = [io.grad_output, x.buffer, io.parameters.gradients].map(Into::into);
        let half = Half::of(io.mode.loss_scale, Gradient::Left);
        record(recorder, &Kind { half, ..Kind::plain(Layout::TN) }, &params, &storage)?;
        let Some(grad_input) = io.grad_inputs[0] else { return Ok(()) };
        let params = Params {
            m: rows,
            n: width,
            k: units,
            right_offset: weight.start as u32,
            output_offset: of_batch,
            ..Params::default()
        };
        let storage = [io.grad_output, io.parameters.all, grad_input].map(Into::into);
        record(recorder, &Kind { half, ..Kind::plain(Layout::NN) }, &params, &storage)
    }
}

impl<R: Real> Cpu<R> for TiedDense {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (x, weight) = (io.mode.operand(io.inputs[0]), io.mode.operand(io.parameters.get(0)));
        let [units, width] = [self.units, self.width];
        let rows = x.len() / width.max(1);
        matmul(matmul::Layout::NT, rows, units, width, &x, &weight, io.output, false)
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (x, weight) = (io.mode.operand(io.inputs[0]), io.parameters.get(0));
        let grad_output = &*io.mode.gradient_operand(io.grad_output);
        let ([units, width], mut gradients) = ([self.units, self.width], io.grad_parameters);
        let rows = x.len() / width.max(1);
        let gradient = gradients.get(0);
        matmul(matmul::Layout::TN, units, width, rows, grad_output, &x, gradient, io.accumulate)?;
        let Some(grad_input) = &mut io.grad_inputs[0] else { return Ok(()) };
        let weight = io.mode.operand(weight);
        matmul(matmul::Layout::NN, rows, width, units, grad_output, &weight, grad_input, false)
    }
}

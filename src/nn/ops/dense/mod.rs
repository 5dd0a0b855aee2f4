//! Dense: y = x W + b over the last axis, [..., inputs] → [..., units]. PyTorch `Linear`, whose
//! weight is Wᵀ; Keras `Dense`. The products have a row for each position on the other axes of each
//! sample.
//!
//! dL/dW = Xᵀ dY and dL/db = Σ dY over the rows, in one product with a row of ones below Xᵀ. dL/dX
//! = dY Wᵀ. W is [inputs, units], row-major, followed directly by b.
//!
//! Its other fields are set by `graph::fuse`: an activation of the output, the derivative of the
//! activation that produced the input, and the order of a chunked head.

pub(crate) mod kernels;

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::Result;
use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::activations::activation::Activation;
use crate::nn::activations::{Gelu, Identity};
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    Initial, Op, ParameterSpec, Penalties, Saves, Shape,
};
use crate::nn::layers::initializer::Initializer;
use crate::nn::ops::activation::{ActivationBuffers, backward_in_place, forward_in_place};
use crate::nn::ops::matmul::Params;
use crate::nn::ops::matmul::half::{Gradient, Half};
use crate::runtime::recorder::Recorder;

pub(crate) static ENTRY: Entry = Entry {
    name: "dense",
    examples,
    // The product's programs are those of `nn::ops::matmul`.
    programs: Vec::new,
};

/// y = activation(x W + b).
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    pub units: usize,
    pub bias: bool,
    pub initializer: Initializer,
    pub penalties: Penalties,
    /// Elementwise activation of the output: `fuse::epilogues`.
    pub activation: Option<Arc<dyn Activation>>,
    /// The activation that produced the input: the input's gradient includes its derivative.
    /// `fuse::derivatives`.
    pub input_activation: Option<Arc<dyn Activation>>,
    /// `grad_output` is already the gradient of x W + b: the next op has applied the derivative.
    pub derivative_is_behind: bool,
    /// On the CPU the bias is in the output before the product is added: one pass fewer over a wide
    /// output. `fuse::chunked_head`.
    pub bias_first: bool,
}

impl Dense {
    pub fn new(units: usize, bias: bool) -> Self {
        Dense {
            units,
            bias,
            initializer: Initializer::default(),
            penalties: Penalties::default(),
            activation: None,
            input_activation: None,
            derivative_is_behind: false,
            bias_first: false,
        }
    }

    /// The activation whose derivative must be applied to `grad_output`.
    fn own_derivative(&self) -> Option<&dyn Activation> {
        self.activation.as_deref().filter(|_| !self.derivative_is_behind)
    }
}

fn examples() -> Vec<Example> {
    let example =
        |op: Dense, shape: &[usize]| Example { op: Box::new(op), inputs: vec![shape.to_vec()] };
    let kept = Dense { activation: Some(Arc::new(Gelu::new())), ..Dense::new(3, true) };
    vec![
        example(Dense::new(3, true), &[5]),
        example(Dense::new(8, false), &[4]),
        example(Dense::new(1, true), &[1]),
        example(Dense::new(4, true), &[3, 4]),
        example(kept, &[2, 1, 5]),
    ]
}

/// Numbers on the last axis, which a row of the products has.
fn last_axis(inputs: &[&Shape]) -> usize {
    inputs.first().and_then(|shape| shape.last()).copied().unwrap_or(0)
}

/// Positions on the other axes, each of which is a row of the products.
fn positions(inputs: &[&Shape]) -> usize {
    inputs.first().map_or(0, |shape| shape.iter().rev().skip(1).product())
}

impl Op for Dense {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] if !shape.is_empty() => {
                Ok(shape[..shape.len() - 1].iter().copied().chain([self.units]).collect())
            }
            _ => Err(crate::Error::Shape {
                operation: ENTRY.name.into(),
                found: format!("inputs of shapes {inputs:?}"),
                allowed: "one input of shape [..., numbers]".into(),
            }),
        }
    }

    fn parameters(&self, inputs: &[&Shape]) -> Vec<ParameterSpec> {
        let (penalties, gradient) = (self.penalties, GradientKind::Dense);
        let (shape, initial) =
            (vec![last_axis(inputs), self.units], Initial::Weights(self.initializer));
        let mut all = vec![ParameterSpec {
            name: "weight",
            shape,
            initial,
            penalties,
            gradient,
            file_order: FileOrder::Transposed,
        }];
        if self.bias {
            let (shape, initial, penalties) =
                (vec![self.units], Initial::Zeros, Penalties::default());
            all.push(ParameterSpec {
                name: "bias",
                shape,
                initial,
                penalties,
                gradient,
                file_order: FileOrder::Same,
            });
        }
        all
    }

    fn saves(&self, inputs: &[&Shape]) -> Saves {
        let needs_input = |activation: &Option<Arc<dyn Activation>>| {
            activation.as_ref().is_some_and(|activation| activation.needs_input())
        };
        Saves {
            input: true,
            output: self.own_derivative().is_some(),
            own: if needs_input(&self.activation) { positions(inputs) * self.units } else { 0 },
            own_of_input: needs_input(&self.input_activation),
            ..Saves::default()
        }
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(self.clone()))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (x, weight) = (io.inputs[0], &io.parameters.ranges[0]);
        let inputs = self.inputs(weight);
        let params = Params {
            m: (io.rows * (x.width / inputs.max(1))) as u32,
            n: self.units as u32,
            k: inputs as u32,
            left_offset: (io.first_row * x.width) as u32,
            right_offset: weight.start as u32,
            bias_offset: weight.end as u32,
            ..Params::default()
        };
        let activation = self.activation.as_deref().unwrap_or(&Identity);
        let (parameters, y, sums) = (io.parameters.all, io.output.buffer, io.saved);
        let (bias, half) = (self.bias, Half::of(io.mode.loss_scale, Gradient::None));
        kernels::forward(
            recorder,
            &kernels::Forward { activation, bias, params, half, x: x.buffer, parameters, y, sums },
        )
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let (x, weight, grad_sums) = (io.inputs[0], &io.parameters.ranges[0], io.grad_output);
        let row_inputs = self.inputs(weight);
        let all_rows = io.rows * (x.width / row_inputs.max(1));
        if let Some(activation) = self.own_derivative() {
            let elements = all_rows * self.units;
            let buffers = ActivationBuffers {
                input: io.saved,
                output: io.output.buffer,
                gradient: grad_sums,
            };
            backward_in_place(recorder, activation, elements, buffers)?;
        }
        let (rows, units, inputs, ones) =
            (all_rows as u32, self.units as u32, row_inputs as u32, u32::from(self.bias));
        let of_batch = (io.first_row * x.width) as u32;
        let params = Params {
            m: inputs + ones,
            n: units,
            k: rows,
            ones,
            accumulate: u32::from(io.accumulate),
            left_offset: of_batch,
            output_offset: weight.start as u32,
            ..Params::default()
        };
        let buffers = [x.buffer, grad_sums, io.parameters.gradients];
        let half = Half::of(io.mode.loss_scale, Gradient::Right);
        kernels::weight_gradient(recorder, &params, half, buffers)?;
        let Some(grad_input) = io.grad_inputs[0] else { return Ok(()) };
        let layer = kernels::InputGradient {
            activation: self.input_activation.as_deref(),
            params: Params {
                m: rows,
                n: inputs,
                k: units,
                right_offset: weight.start as u32,
                output_offset: of_batch,
                ..Params::default()
            },
            half: Half::of(io.mode.loss_scale, Gradient::Left),
            grad_sums,
            parameters: io.parameters.all,
            grad_input,
            sums_of_input: io.saved_of_input,
            x: x.buffer,
        };
        kernels::input_gradient(recorder, &layer)
    }
}

impl<R: Real> Cpu<R> for Dense {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let (x, weight) = (io.mode.operand(io.inputs[0]), io.mode.operand(io.parameters.get(0)));
        let bias = io.parameters.get(1);
        let needs_input =
            self.activation.as_ref().is_some_and(|activation| activation.needs_input());
        let sums = if needs_input { &mut *io.saved } else { &mut *io.output };
        self.sums(&x, &weight, bias, sums)?;
        match &self.activation {
            Some(activation) if needs_input => activation.forward(self.units, io.saved, io.output),
            Some(activation) => forward_in_place(&**activation, io.output),
            None => Ok(()),
        }
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (x, weight, grad_sums) = (io.inputs[0], io.parameters.get(0), io.grad_output);
        if let Some(activation) = self.own_derivative() {
            activation.backward(self.units, io.saved, io.output, grad_sums)?;
        }
        let (inputs, mut gradients) = (weight.len() / self.units.max(1), io.grad_parameters);
        let (rows, units, mode) = (x.len() / inputs.max(1), self.units, io.mode);
        let dz = &*mode.gradient_operand(grad_sums);
        let dw = gradients.get(0);
        matmul(Layout::TN, inputs, units, rows, &mode.operand(x), dz, dw, io.accumulate)?;
        bias_gradient(units, dz, gradients.get(1), io.accumulate);
        let Some(grad_input) = &mut io.grad_inputs[0] else { return Ok(()) };
        matmul(Layout::NT, rows, inputs, units, dz, &mode.operand(weight), grad_input, false)?;
        match &self.input_activation {
            Some(activation) => activation.backward(inputs, io.saved_of_input, x, grad_input),
            None => Ok(()),
        }
    }
}

impl Dense {
    /// Numbers of a row of the input.
    fn inputs(&self, weight: &Range<usize>) -> usize {
        weight.len() / self.units.max(1)
    }

    /// x W + b.
    fn sums<R: Real>(&self, x: &[R], weight: &[R], bias: &[R], sums: &mut [R]) -> Result<()> {
        let inputs = weight.len() / self.units.max(1);
        let rows = x.len() / inputs.max(1);
        let adds = self.bias_first && self.bias;
        if adds {
            sums.par_chunks_mut(self.units).for_each(|row| row.copy_from_slice(bias));
        }
        matmul(Layout::NN, rows, self.units, inputs, x, weight, sums, adds)?;
        if self.bias && !adds {
            let piece = parallel::rows_per_piece(self.units) * self.units;
            parallel::fill(sums, piece, |_, sums| {
                for row in sums.chunks_exact_mut(self.units) {
                    row.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
                }
            });
        }
        Ok(())
    }
}

/// db: the sum of the gradient over the rows, in order.
fn bias_gradient<R: Real>(units: usize, grad_sums: &[R], bias: &mut [R], accumulate: bool) {
    // Many rows: pieces of the columns in parallel. Each column's sum is the same.
    let piece = if grad_sums.len() <= parallel::PIECE { units } else { 128 };
    parallel::fill(bias, piece, |start, sums| {
        if !accumulate {
            sums.fill(R::ZERO);
        }
        for row in grad_sums.chunks_exact(units) {
            sums.iter_mut().zip(&row[start..]).for_each(|(sum, &g)| *sum += g);
        }
    });
}

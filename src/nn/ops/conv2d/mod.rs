//! Convolution of images: y[n, oy, ox, o] = b[o] + Σ over (ky, kx, c) of x[n, oy·s − p + ky·d,
//! ox·s − p + kx·d, c] · w[ky, kx, c, o], where x is 0 outside of the image. PyTorch `Conv2d`
//! (cross-correlation: the kernel is not flipped), whose weight is [O, C/groups, kh, kw]; Keras
//! `Conv2D`, which has this weight's order.
//!
//! OH = ⌊(H + top + bottom − d(kh − 1) − 1) / s⌋ + 1. With `groups` = g the channels and the filters
//! are in g parts, and a filter of part i reads the channels of part i; g = C is the depthwise
//! convolution.
//!
//! All three passes are products with the matrix of patches P [pixels, kh·kw·C], which is never
//! stored: y = P W + b; dL/dW = Pᵀ dY; and dL/dX is the product of the patches of dY with W, of
//! which each pixel takes the taps that read it. Sources: K. Chellapilla, S. Puri, P. Simard,
//! *High Performance Convolutional Neural Networks for Document Processing*, 2006; S. Chetlur et
//! al., *cuDNN: Efficient Primitives for Deep Learning*, 2014.

mod cpu;
mod depthwise;
mod direct;
mod gpu;
mod options;
mod slices;
mod tiles;

use std::sync::Arc;

use crate::cpu::real::Real;
use crate::nn::activations::{Gelu, Tanh};
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, FileOrder, Forward, GpuBackward, GpuForward, GradientKind,
    Initial, Op, ParameterSpec, Penalties, Saves, Shape,
};
use crate::nn::ops::activation::forward_in_place;
use crate::nn::ops::conv2d::slices::ParameterGradients;
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) use options::{Conv2d, FoldedNorm, same_padding};

pub(crate) static ENTRY: Entry = Entry { name: options::NAME, examples, programs: gpu::programs };

/// Small ones with each awkward property: the tests differentiate every parameter.
fn examples() -> Vec<Example> {
    let new = Conv2d::new;
    let all = [
        // A single channel and tap.
        new([2, 2, 1], 1, [1, 1]),
        Conv2d { activation: Some(Arc::new(Tanh)), ..new([3, 2, 2], 3, [2, 2]) },
        Conv2d { activation: Some(Arc::new(Gelu::new())), ..new([2, 3, 4], 4, [1, 1]) },
        // 1×1: the product itself; four by four elements at a time.
        new([2, 3, 4], 4, [1, 1]),
        Conv2d { padding: [1; 4], ..new([4, 4, 1], 2, [3, 3]) },
        Conv2d { padding: [1; 4], ..new([3, 4, 3], 4, [3, 3]) },
        Conv2d { padding: [1; 4], ..new([3, 3, 4], 4, [3, 3]) },
        // The last row and column are read by no patch.
        Conv2d { stride: [2, 2], ..new([6, 6, 2], 3, [3, 3]) },
        Conv2d { stride: [2, 3], padding: [1, 0, 1, 1], ..new([5, 6, 2], 2, [2, 3]) },
        // Pixels between the strides are read by no tap.
        Conv2d { stride: [3, 3], ..new([5, 5, 2], 2, [2, 2]) },
        Conv2d { padding: [2; 4], bias: false, ..new([3, 4, 1], 2, [5, 5]) },
        Conv2d { dilation: [2, 2], padding: [2, 2, 1, 1], ..new([5, 5, 2], 2, [3, 3]) },
        Conv2d { padding: [2, 0, 1, 0], ..new([3, 5, 2], 3, [3, 2]) },
        Conv2d { groups: 2, padding: [1; 4], ..new([3, 4, 4], 6, [3, 3]) },
        Conv2d { groups: 3, padding: [1; 4], ..new([4, 3, 3], 3, [3, 3]) },
        Conv2d { groups: 4, stride: [2, 2], bias: false, ..new([4, 5, 4], 8, [2, 2]) },
        // A stride that steps over taps far apart: some lie behind the output's last pixel.
        Conv2d { stride: [3, 3], dilation: [5, 5], padding: [5; 4], ..new([3, 3, 2], 2, [3, 3]) },
        Conv2d {
            stride: [1, 2],
            dilation: [1, 3],
            padding: [0, 0, 3, 0],
            ..new([2, 2, 1], 2, [1, 2])
        },
        // Primes everywhere; more channels than filters.
        Conv2d { padding: [1, 0, 0, 1], ..new([5, 3, 5], 1, [3, 2]) },
        Conv2d { bias: false, ..new([7, 1, 3], 7, [5, 1]) },
    ];
    all.into_iter()
        .map(|op| Example { inputs: vec![op.input.to_vec()], op: Box::new(op) })
        .collect()
}

impl Op for Conv2d {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        match inputs {
            [shape] if shape[..] == self.input => {}
            _ => {
                let [height, width, channels] = self.input;
                return Err(Error::Shape {
                    operation: ENTRY.name.into(),
                    found: format!("inputs of shapes {inputs:?}"),
                    allowed: format!("one image of shape [{height}, {width}, {channels}]"),
                });
            }
        }
        self.check()?;
        let [height, width] = self.output_size();
        Ok(vec![height, width, self.filters])
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        let [height, width] = self.kernel;
        let gradient = GradientKind::Dense;
        let mut all = vec![ParameterSpec {
            name: "weight",
            shape: vec![height, width, self.group_channels(), self.filters],
            initial: Initial::Weights(self.initializer),
            penalties: self.penalties,
            gradient,
            file_order: FileOrder::Kernel,
        }];
        if self.bias {
            all.push(ParameterSpec {
                name: "bias",
                shape: vec![self.filters],
                initial: Initial::Zeros,
                penalties: Penalties::default(),
                gradient,
                file_order: FileOrder::Same,
            });
        }
        all
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        let outputs = self.filters * self.output_size().iter().product::<usize>();
        let own = if self.keeps_sums() { outputs } else { 0 };
        Saves { input: true, output: self.activation.is_some(), own, ..Saves::default() }
    }

    fn adds_on_cpu(&self) -> bool {
        true
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        gpu::forward(self, recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        gpu::backward(self, recorder, io)
    }
}

impl<R: Real> Cpu<R> for Conv2d {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let folded = self.norm.map(|norm| cpu::folded(self, norm, &io));
        let (weight, bias) = match &folded {
            Some((weight, bias)) => (&weight[..], &bias[..]),
            None => (io.parameters.get(0), io.parameters.get(1)),
        };
        let sums = if self.keeps_sums() { &mut *io.saved } else { &mut *io.output };
        cpu::forward(self, &io.mode.operand(io.inputs[0]), &io.mode.operand(weight), bias, sums);
        match &self.activation {
            Some(activation) if self.keeps_sums() => {
                activation.forward(self.filters, io.saved, io.output)
            }
            Some(activation) => forward_in_place(&**activation, io.output),
            None => Ok(()),
        }
    }

    fn backward(&self, mut io: Backward<R>) -> Result<()> {
        if let Some(activation) = &self.activation {
            activation.backward(self.filters, io.saved, io.output, io.grad_output)?;
        }
        let x = &*io.mode.operand(io.inputs[0]);
        let grad_output = &*io.mode.gradient_operand(io.grad_output);
        let [weight, bias] = io.grad_parameters.two();
        let accumulate = io.accumulate;
        let parameters = ParameterGradients { x, grad_output, weight, bias, accumulate };
        cpu::parameter_gradients(self, parameters);
        let Some(grad_input) = &mut io.grad_inputs[0] else { return Ok(()) };
        let weight = io.mode.operand(io.parameters.get(0));
        cpu::input_gradient(self, grad_output, &weight, grad_input, io.adds);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

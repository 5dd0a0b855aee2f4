//! Batch norm over the last axis of [..., C]: y = γ (x − μ)/√(σ² + ε) + β per channel, with mean
//! and variance over all rows and pixels of the batch; then, as options, a second input is added
//! (the residual) and ReLU applied. PyTorch `BatchNorm1d`, `BatchNorm2d`; Keras
//! `BatchNormalization`, whose momentum is 1 − ours.
//!
//! With n values per channel, x̂ = (x − μ) r, r = 1/√(σ² + ε) and g = dL/dy behind the ReLU:
//! dL/dγ = Σ g x̂, dL/dβ = Σ g, dL/dx = γ r (g − Σ g/n − x̂ Σ g x̂/n); the residual's gradient is
//! g.
//!
//! As in PyTorch, training normalises by the biased variance and moves `running_var` by the
//! unbiased one; `momentum` is the weight of the new value. Outside of training the running
//! statistics are used. PyTorch's `num_batches_tracked` is not kept: only its cumulative mean reads
//! it. A channel whose batch holds NaN or infinity leaves its running statistics as they are, so
//! that a step which is skipped has no effect; PyTorch's are NaN from then on. Source: S. Ioffe, C. Szegedy, Batch Normalization, 2015.

use crate::cpu::parallel::{PIECE, fill};
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, ParameterSpec, Saves,
    Shape, StatisticSpec,
};
use crate::nn::ops::norm;
use crate::nn::ops::norm::channels::{Apply, InputGradient, Moments, gradient_sums, moments};
use crate::nn::ops::norm::channels_gpu::{Channels, programs};
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) static ENTRY: Entry = Entry { name: "batch_norm", examples, programs };

/// y = γ (x − μ)/√(σ² + ε) + β of each channel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchNorm {
    pub channels: usize,
    /// The weight of a batch in the running statistics.
    pub momentum: f64,
    pub epsilon: f64,
    /// Has γ and β.
    pub affine: bool,
    /// ReLU of the result.
    pub relu: bool,
    /// Adds a second input before the ReLU.
    pub residual: bool,
}

impl BatchNorm {
    pub fn new(channels: usize) -> Self {
        BatchNorm {
            channels,
            momentum: 0.1,
            epsilon: 1e-5,
            affine: true,
            relu: false,
            residual: false,
        }
    }

    fn on_gpu(&self, pixels: usize) -> Channels {
        Channels {
            channels: self.channels,
            groups: self.channels,
            segments: 1,
            pixels,
            affine: self.affine,
            epsilon: self.epsilon,
            relu: self.relu,
            residual: self.residual,
            momentum: Some(self.momentum),
        }
    }
}

fn examples() -> Vec<Example> {
    let of = |op: BatchNorm, shape: &[usize]| Example {
        inputs: vec![shape.to_vec(); if op.residual { 2 } else { 1 }],
        op: Box::new(op),
    };
    let plain = BatchNorm::new;
    vec![
        of(plain(5), &[5]),
        of(plain(1), &[2, 2, 1]),
        of(plain(8), &[8]),
        of(BatchNorm { affine: false, ..plain(3) }, &[2, 3, 3]),
        of(BatchNorm { affine: false, relu: true, ..plain(4) }, &[4]),
        of(BatchNorm { relu: true, ..plain(3) }, &[3, 3]),
        of(BatchNorm { relu: true, residual: true, ..plain(4) }, &[2, 4]),
        of(BatchNorm { residual: true, epsilon: 1e-3, ..plain(5) }, &[5]),
    ]
}

/// An error for a training batch of one value per channel, whose variance is unknown.
fn check_count(count: usize) -> Result<()> {
    if count > 1 {
        return Ok(());
    }
    Err(Error::Shape {
        operation: ENTRY.name.into(),
        found: format!("a training batch of {count} values per channel"),
        allowed: "two or more: a larger batch, or images".into(),
    })
}

impl Op for BatchNorm {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        norm::check_epsilon(ENTRY.name, self.epsilon)?;
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::option(ENTRY.name, "momentum", self.momentum, ">= 0 and <= 1"));
        }
        norm::shape_of(ENTRY.name, inputs, 1 + usize::from(self.residual), self.channels)
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        norm::parameters(self.channels, self.affine, self.affine)
    }

    fn statistics(&self, _: &[&Shape]) -> Vec<StatisticSpec> {
        let length = self.channels;
        vec![
            StatisticSpec { name: "running_mean", length, initial: 0.0 },
            StatisticSpec { name: "running_var", length, initial: 1.0 },
        ]
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        // Mean and 1/√(σ² + ε).
        let per_batch = 2 * self.channels;
        Saves { input: true, output: self.relu, per_batch, ..Saves::default() }
    }

    /// The variance of one value is unknown.
    fn least_rows(&self, inputs: &[&Shape]) -> usize {
        let pixels = inputs[0].iter().product::<usize>() / self.channels.max(1);
        if pixels > 1 { 1 } else { 2 }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let pixels = io.rows * io.output.width / self.channels;
        if io.mode.training {
            check_count(pixels)?;
        }
        self.on_gpu(pixels).forward(recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        let pixels = io.rows * io.output.width / self.channels;
        self.on_gpu(pixels).backward(recorder, io)
    }
}

impl<R: Real> Cpu<R> for BatchNorm {
    fn forward(&self, mut io: Forward<R>) -> Result<()> {
        let x = io.inputs[0];
        let (mean, scale) = io.saved.split_at_mut(self.channels);
        let reciprocal = |variance: f64| R::new(1.0 / (variance + self.epsilon).sqrt());
        if io.mode.training {
            let count = x.len() / self.channels;
            check_count(count)?;
            let unbiased = count as f64 / (count - 1) as f64;
            let found = moments(x, self.channels);
            let slots = mean.iter_mut().zip(scale.iter_mut());
            for ((mean, scale), found) in slots.zip(&found) {
                (*mean, *scale) = (R::new(found.mean), reciprocal(found.variance()));
            }
            let is_finite =
                |found: &Moments| found.mean.is_finite() && found.variance().is_finite();
            let move_to = |slot: &mut R, new: f64| {
                let before = slot.to_f64();
                *slot = R::new(before + self.momentum * (new - before));
            };
            let means = io.statistics.get(0).iter_mut();
            let channels = means.zip(&found).filter(|(_, found)| is_finite(found));
            channels.for_each(|(slot, found)| move_to(slot, found.mean));
            let variances = io.statistics.get(1).iter_mut();
            let channels = variances.zip(&found).filter(|(_, found)| is_finite(found));
            channels.for_each(|(slot, found)| move_to(slot, found.variance() * unbiased));
        } else {
            mean.copy_from_slice(io.statistics.get(0));
            let variances = io.statistics.get(1).iter();
            scale
                .iter_mut()
                .zip(variances)
                .for_each(|(scale, variance)| *scale = reciprocal(variance.to_f64()));
        }
        let weight = norm::or_constant(io.parameters.get(0), self.channels, R::ONE);
        let shift = norm::or_constant(io.parameters.get(1), self.channels, R::ZERO);
        let scale: Vec<R> = scale.iter().zip(&weight).map(|(&r, &w)| r * w).collect();
        let residual = if self.residual { Some(io.inputs[1]) } else { None };
        let apply = Apply { mean, scale: &scale, shift: &shift, residual, relu: self.relu };
        apply.run(x, io.output);
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let (x, (mean, reciprocal)) = (io.inputs[0], io.saved.split_at(self.channels));
        let output = if self.relu { Some(io.output) } else { None };
        let sums = gradient_sums(io.grad_output, x, output, mean);
        let (of_x, of_g) = sums.split_at(self.channels);
        let of_weight: Vec<f64> =
            of_x.iter().zip(reciprocal).map(|(sum, r)| sum * r.to_f64()).collect();
        norm::write_gradients(io.grad_parameters, [&of_weight, of_g], io.accumulate);
        let g = &*io.grad_output;
        if let [_, Some(residual)] = io.grad_inputs {
            fill(residual, PIECE, |start, part| {
                part.copy_from_slice(&g[start..start + part.len()]);
            });
        }
        let Some(grad_input) = &mut io.grad_inputs[0] else { return Ok(()) };
        let weight = norm::or_constant(io.parameters.get(0), self.channels, R::ONE);
        let count = (x.len() / self.channels) as f64;
        let (mut scale, mut offset, mut slope) = (Vec::new(), Vec::new(), Vec::new());
        for (((&r, &w), of_g), of_weight) in
            reciprocal.iter().zip(&weight).zip(of_g).zip(&of_weight)
        {
            let (r, w) = (r.to_f64(), w.to_f64());
            scale.push(R::new(w * r));
            offset.push(R::new(w * r * of_g / count));
            slope.push(R::new(w * r * r * of_weight / count));
        }
        let gradient = InputGradient { mean, scale: &scale, offset: &offset, slope: &slope };
        gradient.run(g, x, grad_input);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

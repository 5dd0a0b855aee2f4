//! Group norm over the last axis of [..., C]: y = γ (x − μ)/√(σ² + ε) + β, with mean and variance
//! per sample and group of C/groups consecutive channels, over all pixels; γ and β per channel.
//! PyTorch `GroupNorm`, Keras `GroupNormalization`; one group is PyTorch's layer norm of an image
//! without its elementwise parameters, groups of one channel are instance norm.
//!
//! With N values per group, x̂ = (x − μ) r, r = 1/√(σ² + ε) and g = dL/dy: dL/dγ = Σ g x̂ and
//! dL/dβ = Σ g over samples and pixels, dL/dx = r (γ g − Σ γ g/N − x̂ Σ γ g x̂/N).
//! Source: Y. Wu, K. He, Group Normalization, 2018.

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, ParameterSpec, Saves,
    Shape,
};
use crate::nn::ops::norm;
use crate::nn::ops::norm::channels::{Apply, InputGradient, Moments, gradient_sums, moments, sum};
use crate::nn::ops::norm::channels_gpu::{Channels, programs};
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) static ENTRY: Entry = Entry { name: "group_norm", examples, programs };

/// y = γ (x − μ)/√(σ² + ε) + β of each group of channels of a sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupNorm {
    pub channels: usize,
    /// A divisor of `channels`.
    pub groups: usize,
    pub epsilon: f64,
    /// Has γ and β.
    pub affine: bool,
}

impl GroupNorm {
    pub fn new(groups: usize, channels: usize) -> Self {
        GroupNorm { channels, groups, epsilon: 1e-5, affine: true }
    }

    fn on_gpu(&self, rows: usize, width: usize) -> Channels {
        Channels {
            channels: self.channels,
            groups: self.groups,
            segments: rows,
            pixels: width / self.channels,
            affine: self.affine,
            epsilon: self.epsilon,
            relu: false,
            residual: false,
            momentum: None,
        }
    }

    /// Coefficients of a sample's gradient, and its contributions to those of γ and β.
    fn backward_sample<R: Real>(
        &self,
        [x, saved, weight]: [&[R]; 3],
        grad_output: &mut [R],
        grad_input: Option<&mut [R]>,
    ) -> Vec<f64> {
        let (mean, reciprocal) = saved.split_at(self.channels);
        let mut sums = gradient_sums(grad_output, x, None, mean);
        let (of_x, of_g) = sums.split_at_mut(self.channels);
        of_x.iter_mut().zip(reciprocal).for_each(|(sum, r)| *sum *= r.to_f64());
        let Some(grad_input) = grad_input else { return sums };
        let of_group = self.channels / self.groups;
        let count = (x.len() / self.groups) as f64;
        let (mut scale, mut offset, mut slope) = (Vec::new(), Vec::new(), Vec::new());
        for first in (0..self.channels).step_by(of_group) {
            let group = first..first + of_group;
            let weighted = |sums: &[f64]| -> f64 {
                let pairs = sums[group.clone()].iter().zip(&weight[group.clone()]);
                pairs.map(|(sum, w)| sum * w.to_f64()).sum()
            };
            let r = reciprocal[first].to_f64();
            let (of_g, of_x) = (r * weighted(of_g) / count, r * r * weighted(of_x) / count);
            scale.extend(weight[group.clone()].iter().map(|w| R::new(r * w.to_f64())));
            offset.resize(group.end, R::new(of_g));
            slope.resize(group.end, R::new(of_x));
        }
        InputGradient { mean, scale: &scale, offset: &offset, slope: &slope }.run(
            grad_output,
            x,
            grad_input,
        );
        sums
    }
}

fn examples() -> Vec<Example> {
    let of =
        |op: GroupNorm, shape: &[usize]| Example { op: Box::new(op), inputs: vec![shape.to_vec()] };
    vec![
        of(GroupNorm::new(2, 4), &[2, 2, 4]),
        of(GroupNorm::new(1, 5), &[3, 5]),
        of(GroupNorm::new(3, 3), &[2, 3, 3]),
        of(GroupNorm { affine: false, ..GroupNorm::new(2, 8) }, &[8]),
        of(GroupNorm::new(1, 1), &[3, 1, 1]),
    ]
}

impl Op for GroupNorm {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        norm::check_epsilon(ENTRY.name, self.epsilon)?;
        if self.groups == 0 || !self.channels.is_multiple_of(self.groups) {
            let allowed = format!("a divisor of the {} channels", self.channels);
            return Err(Error::option(ENTRY.name, "groups", self.groups, &allowed));
        }
        norm::shape_of(ENTRY.name, inputs, 1, self.channels)
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        norm::parameters(self.channels, self.affine, self.affine)
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        // Mean and 1/√(σ² + ε), those of its group for each channel.
        Saves { input: true, own: 2 * self.channels, ..Saves::default() }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        self.on_gpu(io.rows, io.output.width).forward(recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        self.on_gpu(io.rows, io.output.width).backward(recorder, io)
    }
}

impl<R: Real> Cpu<R> for GroupNorm {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let weight = norm::or_constant(io.parameters.get(0), self.channels, R::ONE);
        let shift = norm::or_constant(io.parameters.get(1), self.channels, R::ZERO);
        let width = io.output.len() / io.rows.max(1);
        let of_group = self.channels / self.groups;
        let samples = io.output.par_chunks_mut(width).zip(io.inputs[0].par_chunks(width));
        samples.zip(io.saved.par_chunks_mut(2 * self.channels)).for_each(|((y, x), saved)| {
            let found = moments(x, self.channels);
            let (mean, reciprocal) = saved.split_at_mut(self.channels);
            let groups = found.chunks(of_group).zip(mean.chunks_mut(of_group));
            for ((found, mean), reciprocal) in groups.zip(reciprocal.chunks_mut(of_group)) {
                let group = found.iter().fold(Moments::default(), |all, part| all.merged(*part));
                mean.fill(R::new(group.mean));
                reciprocal.fill(R::new(1.0 / (group.variance() + self.epsilon).sqrt()));
            }
            let scale: Vec<R> = reciprocal.iter().zip(&weight).map(|(&r, &w)| r * w).collect();
            let apply = Apply { mean, scale: &scale, shift: &shift, residual: None, relu: false };
            apply.run(x, y);
        });
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let weight = norm::or_constant(io.parameters.get(0), self.channels, R::ONE);
        let width = io.grad_output.len() / io.rows.max(1);
        let samples = io
            .grad_output
            .par_chunks_mut(width)
            .zip(io.inputs[0].par_chunks(width))
            .zip(io.saved.par_chunks(2 * self.channels));
        let parts: Vec<Vec<f64>> = match &mut io.grad_inputs[0] {
            Some(grad_input) => samples
                .zip(grad_input.par_chunks_mut(width))
                .map(|(((dy, x), saved), dx)| {
                    self.backward_sample([x, saved, &weight], dy, Some(dx))
                })
                .collect(),
            None => samples
                .map(|((dy, x), saved)| self.backward_sample([x, saved, &weight], dy, None))
                .collect(),
        };
        let sums = sum(&parts, 2 * self.channels);
        let (of_weight, of_bias) = sums.split_at(self.channels);
        norm::write_gradients(io.grad_parameters, [of_weight, of_bias], io.accumulate);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_do_not_divide_the_channels_are_refused() {
        let shape = vec![2, 2, 6];
        for groups in [0, 4] {
            let error = GroupNorm::new(groups, 6).output(&[&shape]).unwrap_err().to_string();
            assert!(error.contains("groups") && error.contains('6'), "{error}");
        }
        assert!(GroupNorm::new(3, 6).output(&[&shape]).is_ok());
    }
}

//! Attention on the CPU: one task per row and head, in f32 by blocks and in f64 from the
//! definition.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::graph::op::{Backward, Cpu, Forward};
use crate::nn::ops::attention::head::{Gradient, Head};
use crate::nn::ops::attention::options::Attention;
use crate::nn::ops::attention::{plain, single};

/// A head's numbers of each token, in a row's output.
pub(super) type Tokens<'a, R> = Vec<&'a mut [R]>;

/// The parts of a row, for each of `parts` consecutive runs of `depth` numbers of each token.
fn parts_of_row<R>(row: &mut [R], parts: usize, depth: usize) -> Vec<Tokens<'_, R>> {
    let tokens = row.len() / (parts * depth);
    let mut found: Vec<Tokens<R>> = (0..parts).map(|_| Vec::with_capacity(tokens)).collect();
    for (number, part) in row.chunks_exact_mut(depth).enumerate() {
        found[number % parts].push(part);
    }
    found
}

impl Attention {
    fn head<'a, R: Real>(
        &'a self,
        [qkv, lengths]: [&'a [R]; 2],
        angles: &'a [[R; 2]],
        row: usize,
        number: usize,
    ) -> Head<'a, R> {
        let width = 3 * self.tokens * self.width;
        // A cast saturates; NaN becomes 0.
        let length = |&length: &R| (length.to_f64() as usize).min(self.tokens);
        let keys = lengths.get(row).map_or(self.tokens, length);
        Head { attention: self, angles, qkv: &qkv[row * width..][..width], keys, number }
    }

    fn sources<'a, R>(&self, inputs: &[&'a [R]]) -> [&'a [R]; 2] {
        let lengths = if self.has_lengths { inputs.get(1).copied() } else { None };
        [inputs[0], lengths.unwrap_or(&[])]
    }

    /// Runs `work` for each head of each row, with the head's output and lse.
    fn forward_heads<R: Real>(
        &self,
        io: Forward<R>,
        work: impl Fn(&Head<R>, &mut [&mut [R]], &mut [R]) + Sync,
    ) -> Result<()> {
        let (sources, angles) = (self.sources(io.inputs), self.angles());
        let (tokens, own) = (self.tokens, self.tokens * self.heads);
        let rows = io.output.par_chunks_mut(tokens * self.width).zip(io.saved.par_chunks_mut(own));
        rows.enumerate().for_each(|(row, (output, lse))| {
            let heads = parts_of_row(output, self.heads, self.depth());
            let heads = heads.into_par_iter().zip(lse.par_chunks_mut(tokens)).enumerate();
            heads.for_each(|(number, (mut output, lse))| {
                work(&self.head(sources, &angles, row, number), &mut output, lse);
            });
        });
        Ok(())
    }

    /// Runs `work` for each head of each row, with the gradients of q, k and v.
    fn backward_heads<R: Real>(
        &self,
        io: Backward<R>,
        work: impl Fn(&Gradient<R>, [&mut [&mut [R]]; 3]) + Sync,
    ) -> Result<()> {
        if let Some(Some(lengths)) = io.grad_inputs.get_mut(1) {
            lengths.fill(R::ZERO);
        }
        let Some(Some(gradient)) = io.grad_inputs.first_mut() else { return Ok(()) };
        let (sources, angles) = (self.sources(io.inputs), self.angles());
        let (of_output, own) = (self.tokens * self.width, self.tokens * self.heads);
        let (output, grad_output, saved) = (io.output, &*io.grad_output, io.saved);
        gradient.par_chunks_mut(3 * of_output).enumerate().for_each(|(row, gradient)| {
            let mut parts = parts_of_row(gradient, 3 * self.heads, self.depth());
            let values = parts.split_off(2 * self.heads);
            let keys = parts.split_off(self.heads);
            let heads = parts.into_par_iter().zip(keys).zip(values).enumerate();
            heads.for_each(|(number, ((mut query, mut key), mut value))| {
                let gradient = Gradient {
                    head: self.head(sources, &angles, row, number),
                    output: &output[row * of_output..][..of_output],
                    grad_output: &grad_output[row * of_output..][..of_output],
                    lse: &saved[row * own..][number * self.tokens..][..self.tokens],
                };
                work(&gradient, [&mut query, &mut key, &mut value]);
            });
        });
        Ok(())
    }
}

impl Cpu<f64> for Attention {
    fn forward(&self, io: Forward<f64>) -> Result<()> {
        self.forward_heads(io, plain::forward)
    }

    fn backward(&self, io: Backward<f64>) -> Result<()> {
        self.backward_heads(io, plain::backward)
    }
}

impl Cpu<f32> for Attention {
    fn forward(&self, io: Forward<f32>) -> Result<()> {
        self.forward_heads(io, |head, output, lse| {
            if !single::forward(head, output, lse) {
                plain::forward(head, output, lse);
            }
        })
    }

    fn backward(&self, io: Backward<f32>) -> Result<()> {
        self.backward_heads(io, |gradient, [query, key, value]| {
            if !single::backward(gradient, [&mut *query, &mut *key, &mut *value]) {
                plain::backward(gradient, [query, key, value]);
            }
        })
    }
}

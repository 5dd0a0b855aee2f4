//! Attention: scaled dot-product attention of several heads, without the projections around it.
//!
//! Input: q, k and v of each token, packed along the last axis as [T, 3E] (first E numbers q, then
//! k, then v, as nanoGPT's `c_attn`); head h is the numbers h D … h D + D of each, D = E/heads, as
//! in PyTorch's `MultiheadAttention`. Output [T, E]:
//!
//! * sᵢⱼ = scale qᵢ·kⱼ over the keys j that query i sees; scale is 1/√D by default
//! * pᵢⱼ = e^(sᵢⱼ − lseᵢ), lseᵢ = ln Σⱼ e^sᵢⱼ
//! * oᵢ = Σⱼ pᵢⱼ vⱼ
//!
//! Backward, with g = dL/do and δᵢ = gᵢ·oᵢ: dvⱼ = Σᵢ pᵢⱼ gᵢ, dsᵢⱼ = pᵢⱼ (gᵢ·vⱼ − δᵢ),
//! dqᵢ = scale Σⱼ dsᵢⱼ kⱼ, dkⱼ = scale Σᵢ dsᵢⱼ qᵢ. It recomputes s and p from lse: nothing of size
//! T × T is stored (FlashAttention, arXiv:2205.14135).
//!
//! `causal`: query i sees the keys 0 … i. PyTorch `scaled_dot_product_attention(is_causal=True)`.
//!
//! Lengths, an optional second input of shape [1]: the number of valid keys of the row; keys at or
//! behind it are seen by no query, queries behind it still compute (PyTorch `key_padding_mask`). A
//! query without keys has output 0 and gradients 0, as in PyTorch. Lengths have no gradient: if one
//! is asked for, it is 0.
//!
//! Rotary position embedding (RoPE, arXiv:2104.09864): the pair m of q and k at token t is rotated
//! by the angle t base^(−2m/D). The table of angles is computed in f64 for every device.

mod cpu;
mod decode;
mod gpu;
mod head;
mod options;
mod plain;
mod single;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::nn::graph::op::{Entry, Example, GpuBackward, GpuForward, Op, Saves, Shape};
use crate::nn::ops::attention::decode::AttentionDecoder;
use crate::runtime::kernel::Program;
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) use crate::nn::ops::attention::options::{Attention, Pairs, Rotary};

pub(crate) static ENTRY: Entry = Entry { name: options::NAME, examples, programs };

fn programs() -> Vec<Program> {
    gpu::programs().into_iter().chain(decode::programs()).collect()
}

fn examples() -> Vec<Example> {
    let example = |attention: Attention| {
        let mut inputs = vec![vec![attention.tokens, 3 * attention.width]];
        // Central differences by a length are 0 between two whole numbers, as its gradient is.
        inputs.extend(attention.has_lengths.then(|| vec![1]));
        Example { op: Box::new(attention), inputs }
    };
    let rotary = |pairs| Some(Rotary { base: 100.0, pairs });
    vec![
        example(Attention::new(5, 8, 2)),
        example(Attention { causal: true, ..Attention::new(7, 6, 2) }),
        example(Attention { causal: true, scale: Some(-0.6), ..Attention::new(7, 2, 2) }),
        example(Attention::new(1, 8, 1)),
        example(Attention { rotary: rotary(Pairs::Halves), ..Attention::new(5, 8, 1) }),
        example(Attention {
            causal: true,
            rotary: rotary(Pairs::Interleaved),
            ..Attention::new(7, 4, 1)
        }),
        example(Attention { causal: true, ..Attention::new(3, 16, 1) }),
        example(Attention { has_lengths: true, ..Attention::new(5, 8, 2) }),
    ]
}

impl Op for Attention {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.check()?;
        let packed = vec![self.tokens, 3 * self.width];
        let agrees = match inputs {
            [qkv] => !self.has_lengths && **qkv == packed,
            [qkv, lengths] => self.has_lengths && **qkv == packed && **lengths == [1],
            _ => false,
        };
        if agrees {
            return Ok(vec![self.tokens, self.width]);
        }
        let lengths = if self.has_lengths { " and lengths of shape [1]" } else { "" };
        Err(Error::Shape {
            operation: ENTRY.name.into(),
            found: format!("inputs of shapes {inputs:?}"),
            allowed: format!("q, k and v of shape {packed:?}{lengths}"),
        })
    }

    fn saves(&self, _: &[&Shape]) -> Saves {
        let own = self.tokens * self.heads;
        Saves { input: true, output: true, own, ..Saves::default() }
    }

    fn decoder(&self, _: &[&Shape], tokens: usize) -> Option<Arc<dyn Op>> {
        AttentionDecoder::of(self, tokens).map(|decoder| Arc::new(decoder) as Arc<dyn Op>)
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        gpu::forward(self, recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        gpu::backward(self, recorder, io)
    }
}

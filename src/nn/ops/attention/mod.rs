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
mod gpu;
mod plain;
mod single;
#[cfg(test)]
mod tests;

use crate::cpu::real::Real;
use crate::nn::graph::op::{Entry, Example, GpuBackward, GpuForward, Op, Saves, Shape};
use crate::runtime::recorder::Recorder;
use crate::{Error, Result};

pub(crate) static ENTRY: Entry = Entry { name: "attention", examples, programs: gpu::programs };

/// Which two numbers of a head are rotated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// m and m + D/2: Llama in Hugging Face's transformers, GPT-NeoX.
    Halves,
    /// 2m and 2m + 1: RoFormer, GPT-J.
    Interleaved,
}

/// Rotary position embedding of q and k.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rotary {
    pub base: f64,
    pub pairs: Pairs,
}

impl Rotary {
    /// Base 10,000.
    pub fn new(pairs: Pairs) -> Self {
        Rotary { base: 10_000.0, pairs }
    }

    /// The two numbers of a pair, in a head of `depth` numbers.
    fn pair(&self, number: usize, depth: usize) -> [usize; 2] {
        match self.pairs {
            Pairs::Halves => [number, number + depth / 2],
            Pairs::Interleaved => [2 * number, 2 * number + 1],
        }
    }
}

/// Attention of `tokens` tokens of `width` numbers, in `heads` heads.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub tokens: usize,
    /// E, a multiple of `heads`.
    pub width: usize,
    pub heads: usize,
    /// A query sees no later key.
    pub causal: bool,
    /// The second input is the number of valid keys of each row.
    pub has_lengths: bool,
    /// Factor of q·k; `None`: 1/√D.
    pub scale: Option<f64>,
    pub rotary: Option<Rotary>,
}

impl Attention {
    /// Every query sees every key; no lengths, no rotation, the default scale.
    pub fn new(tokens: usize, width: usize, heads: usize) -> Self {
        let (causal, has_lengths, scale, rotary) = (false, false, None, None);
        Attention { tokens, width, heads, causal, has_lengths, scale, rotary }
    }

    /// D, the numbers of a head.
    fn depth(&self) -> usize {
        self.width / self.heads
    }

    fn factor(&self) -> f64 {
        self.scale.unwrap_or_else(|| 1.0 / (self.depth() as f64).sqrt())
    }

    /// The cosine and sine of each angle, [T, D/2]; empty without a rotation.
    fn angles<R: Real>(&self) -> Vec<[R; 2]> {
        let Some(rotary) = self.rotary else { return Vec::new() };
        let depth = self.depth();
        let frequencies: Vec<f64> = (0..depth / 2)
            .map(|pair| rotary.base.powf(-2.0 * pair as f64 / depth as f64))
            .collect();
        let angle = |token: usize, frequency: f64| {
            let (sin, cos) = (token as f64 * frequency).sin_cos();
            [R::new(cos), R::new(sin)]
        };
        let of_token = |token| frequencies.iter().map(move |&frequency| angle(token, frequency));
        (0..self.tokens).flat_map(of_token).collect()
    }

    fn check(&self) -> Result<()> {
        let name = ENTRY.name;
        if self.tokens == 0 || self.width == 0 || self.heads == 0 {
            let found = format!("{}, {} and {}", self.tokens, self.width, self.heads);
            return Err(Error::option(name, "tokens, width and heads", found, "> 0"));
        }
        if !self.width.is_multiple_of(self.heads) {
            let allowed = format!("a divisor of the width {}", self.width);
            return Err(Error::option(name, "heads", self.heads, &allowed));
        }
        if let Some(scale) = self.scale
            && !scale.is_finite()
        {
            return Err(Error::option(name, "scale", format!("{scale:?}"), "finite"));
        }
        let Some(rotary) = self.rotary else { return Ok(()) };
        if !(rotary.base > 0.0 && rotary.base.is_finite()) {
            let found = format!("{:?}", rotary.base);
            return Err(Error::option(name, "rotary base", found, "finite and > 0"));
        }
        if !self.depth().is_multiple_of(2) {
            let found = format!("on heads of {} numbers", self.depth());
            return Err(Error::option(name, "rotary", found, "heads of an even number of them"));
        }
        Ok(())
    }
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

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        gpu::forward(self, recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        gpu::backward(self, recorder, io)
    }
}

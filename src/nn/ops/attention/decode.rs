//! Attention of a sequence's next tokens over the kept keys and values of those before them: what
//! makes a token of generation cost O(T) and not O(T²) (the key/value cache).
//!
//! The cache is [E, T] keys, each rotated by its own place, then [T, E] values, T the context. A
//! pass first keeps the keys and values of its tokens. One token then reads all that are kept. A
//! pass over several tokens is the prompt (the prefill): there are no earlier ones, so that it is
//! the attention of a shorter sequence.

use std::ops::Range;

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Forward, GpuBackward, GpuForward, Op, Precision, Saves, Segments, Shape,
    StatisticSpec, decodes_only,
};
use crate::nn::ops::attention::gpu::Pass;
use crate::nn::ops::attention::options::{Attention, NAME, Pairs};
use crate::runtime::kernel::Program;
use crate::runtime::launch::lanes_of;
use crate::runtime::recorder::Recorder;
use crate::runtime::wgsl::{File, shader};
use crate::{Error, Result};

const NUMBERS: File = shader!("lib/numbers.wgsl");
const COMMON: File = shader!("ops/attention/attention_decode_common.wgsl");
const KEEP: File = shader!("ops/attention/attention_keep.wgsl");
const DECODE: File = shader!("ops/attention/attention_decode.wgsl");

/// Numbers of a head, at most, that is decoded token by token.
const MOST_DEPTH: usize = 1024;

/// Below this many multiplications one thread is as fast as all.
const THREADED_PRODUCTS: usize = 1 << 18;

/// Causal attention of `tokens` tokens over themselves and the kept ones.
#[derive(Clone, Debug)]
pub(super) struct AttentionDecoder {
    /// Its tokens are the context.
    attention: Attention,
    tokens: usize,
}

/// The uniform of the kernels (`Params` in attention_decode_common.wgsl).
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct DecodeParams {
    pub tokens: u32,
    pub heads: u32,
    pub width: u32,
    pub context: u32,
    /// Where keys and values begin.
    pub keys: u32,
    pub values: u32,
    pub rotates: u32,
    pub distance: u32,
    pub stride: u32,
    pub scale: f32,
    /// The size of a uniform is a multiple of 16 bytes.
    pub padding: [u32; 2],
}

fn keep_program(lanes: u32) -> Program {
    let constants = vec![("WORKGROUP", lanes.into())];
    Program::plain("attention (kept keys and values)", &[KEEP, COMMON], constants)
}

fn decode_program(depth: usize, lanes: u32) -> Program {
    let constants = vec![("WORKGROUP", lanes.into())];
    let label = format!("attention (decoding, {depth})");
    let header = format!("const DEPTH: u32 = {depth}u;\nconst TILE: u32 = {lanes}u;\n");
    Program::plain(&label, &[DECODE, COMMON, NUMBERS], constants).with_header(&header)
}

/// Programs for both device classes and vectors of several lengths.
pub(super) fn programs() -> Vec<Program> {
    let of_lanes = |is_software: bool| {
        let lanes = lanes_of(is_software);
        let decode = [3, 32, 128].map(|depth| decode_program(depth, lanes));
        decode.into_iter().chain([keep_program(lanes)])
    };
    [true, false].into_iter().flat_map(of_lanes).collect()
}

impl AttentionDecoder {
    /// The decoder of an op. `None` if a query sees later keys, or keys are masked by the length
    /// of the whole sequence.
    pub fn of(attention: &Attention, tokens: usize) -> Option<Self> {
        let fits = (1..=attention.tokens).contains(&tokens);
        let decodes = attention.causal && !attention.has_lengths && fits;
        // A head's query and output lie in the memory of a workgroup, of which 16 KiB are there.
        let decodes = decodes && attention.depth() <= MOST_DEPTH;
        decodes.then(|| AttentionDecoder { attention: attention.clone(), tokens })
    }

    /// The attention of a prompt: a sequence of the pass's tokens alone.
    fn prompt(&self) -> Attention {
        Attention { tokens: self.tokens, ..self.attention.clone() }
    }

    /// Rejects tokens behind the context, and several that are not the first ones.
    fn check(&self, place: usize) -> Result<()> {
        let (tokens, context) = (self.tokens, self.attention.tokens);
        if place + tokens <= context && (tokens == 1 || place == 0) {
            return Ok(());
        }
        Err(Error::Input {
            operation: NAME.into(),
            name: "the next tokens".into(),
            found: format!("are {tokens} from place {place} on"),
            allowed: format!("the first ones, or one, of up to {context}"),
        })
    }

    /// q or k of a token, [E], rotated by the angles of its place.
    fn rotated<R: Real>(&self, angles: &[[R; 2]], values: &[R]) -> Vec<R> {
        let mut rotated = values.to_vec();
        let heads = rotated.chunks_exact_mut(self.attention.depth());
        heads.for_each(|head| self.attention.rotate_values(angles, head, R::ONE));
        rotated
    }

    /// Copies keys and values of the pass's tokens into the cache.
    fn keep<R: Real>(&self, place: usize, qkv: &[R], [keys, values]: [&mut [R]; 2]) {
        let (width, context) = (self.attention.width, self.attention.tokens);
        let tokens = qkv.chunks_exact(3 * width).zip(values.chunks_exact_mut(width).skip(place));
        for ((token, value), at) in tokens.zip(place..) {
            let angles = self.attention.angles_of(at..at + 1);
            let key = self.rotated(&angles, &token[width..2 * width]);
            for (kept, &k) in keys.iter_mut().skip(at).step_by(context).zip(&key) {
                *kept = k;
            }
            value.copy_from_slice(&token[2 * width..]);
        }
    }

    /// Output of one head of the token at a place. Vectors run along the keys of a score and the
    /// numbers of the output: each is a sum in order.
    #[inline(always)]
    fn head<R: Real>(&self, kept: Kept<R>, query: &[R], number: usize, output: &mut [R]) {
        let (depth, width) = (self.attention.depth(), self.attention.width);
        let mut p = vec![R::ZERO; kept.reached];
        let first = number * depth;
        for (&q, keys) in
            query.iter().zip(kept.keys.chunks_exact(self.attention.tokens).skip(first))
        {
            p.iter_mut().zip(keys).for_each(|(s, &k)| *s += q * k);
        }
        let maximum = p.iter().fold(R::NEG_INFINITY, |found, &s| Real::max(s, found));
        p.iter_mut().for_each(|p| *p = Real::exp(*p - maximum));
        let sum: R = p.iter().copied().sum();
        output.fill(R::ZERO);
        for (&p, value) in p.iter().zip(kept.values.chunks_exact(width)) {
            let factor = p / sum;
            let value = &value[first..first + depth];
            output.iter_mut().zip(value).for_each(|(o, &v)| *o += factor * v);
        }
    }

    /// Output of one token, [E], at a place.
    fn decode<R: Real>(&self, place: usize, query: &[R], kept: Kept<R>, output: &mut [R]) {
        let (depth, factor) = (self.attention.depth(), R::new(self.attention.factor()));
        let mut query = self.rotated(&self.attention.angles_of(place..place + 1), query);
        query.iter_mut().for_each(|q| *q *= factor);
        let head = |(number, (query, output)): (usize, (&[R], &mut [R]))| {
            R::dispatch(
                #[inline(always)]
                || self.head(kept, query, number, output),
            );
        };
        if 2 * kept.reached * self.attention.width < THREADED_PRODUCTS {
            let heads = query.chunks_exact(depth).zip(output.chunks_exact_mut(depth));
            heads.enumerate().for_each(head);
        } else {
            let heads = query.par_chunks_exact(depth).zip(output.par_chunks_exact_mut(depth));
            heads.enumerate().for_each(head);
        }
    }

    fn params(&self, cache: &Range<usize>) -> DecodeParams {
        let attention = &self.attention;
        let [distance, stride] = match attention.rotary.map(|rotary| rotary.pairs) {
            Some(Pairs::Halves) => [attention.depth() / 2, 1],
            Some(Pairs::Interleaved) => [1, 2],
            None => [0, 1],
        };
        DecodeParams {
            tokens: self.tokens as u32,
            heads: attention.heads as u32,
            width: attention.width as u32,
            context: attention.tokens as u32,
            keys: cache.start as u32,
            values: (cache.start + attention.tokens * attention.width) as u32,
            rotates: attention.rotary.is_some().into(),
            distance: distance as u32,
            stride: stride as u32,
            scale: attention.factor() as f32,
            padding: [0; 2],
        }
    }
}

/// The cache of a sequence.
#[derive(Clone, Copy, Debug)]
struct Kept<'a, R> {
    keys: &'a [R],
    values: &'a [R],
    /// Number of kept tokens.
    reached: usize,
}

impl Op for AttentionDecoder {
    fn entry(&self) -> &'static Entry {
        self.attention.entry()
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.prompt().output(inputs)
    }

    /// Keys and values of the context.
    fn statistics(&self, _: &[&Shape]) -> Vec<StatisticSpec> {
        let length = 2 * self.attention.tokens * self.attention.width;
        vec![StatisticSpec { name: "cache", length, initial: 0.0 }]
    }

    fn saves(&self, inputs: &[&Shape]) -> Saves {
        // The lse that the prompt's forward writes.
        if self.tokens > 1 { self.prompt().saves(inputs) } else { Saves::default() }
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        let (gpu, place, attention) = (recorder.gpu(), io.mode.decoding()?, &self.attention);
        let angles = match attention.rotary {
            Some(_) => gpu.upload("angles", &attention.angles::<f32>())?,
            None => recorder.dummy()?,
        };
        let (params, cache) = (self.params(&io.statistics.ranges[0]), io.statistics.all);
        let (qkv, lanes) = (io.inputs[0].buffer, lanes_of(gpu.is_software()));
        let storage = [place, qkv, &angles, cache].map(Into::into);
        let numbers = (self.tokens * attention.width) as u32;
        let keep = gpu.kernel(&keep_program(lanes))?;
        recorder.dispatch(&keep, &params, &storage, numbers.div_ceil(lanes))?;
        if self.tokens > 1 {
            return self.prompt().forward_gpu(recorder, io);
        }
        if gpu.is_software() {
            // It has fewer iterations than the pass over the whole context.
            attention.check_iterations(Pass::Forward)?;
        }
        let decode = gpu.kernel(&decode_program(attention.depth(), lanes))?;
        let storage = [place, qkv, &angles, cache, io.output.buffer].map(Into::into);
        recorder.dispatch(&decode, &params, &storage, attention.heads as u32)
    }

    fn backward_gpu(&self, _: &mut Recorder, _: &GpuBackward) -> Result<()> {
        Err(decodes_only(NAME))
    }
}

impl<R: Precision> Cpu<R> for AttentionDecoder {
    fn forward(&self, mut io: Forward<R>) -> Result<()> {
        let (qkv, place, width) = (io.inputs[0], io.mode.place, self.attention.width);
        self.check(place)?;
        let cache = io.statistics.get(0);
        let (keys, values) = cache.split_at_mut(cache.len() / 2);
        self.keep(place, qkv, [&mut *keys, &mut *values]);
        if self.tokens > 1 {
            let statistics = Segments { all: &mut [], ranges: &[] };
            return R::of(&self.prompt()).forward(Forward { statistics, ..io });
        }
        let kept = Kept { keys, values, reached: place + 1 };
        self.decode(place, &qkv[..width], kept, io.output);
        Ok(())
    }

    fn backward(&self, _: Backward<R>) -> Result<()> {
        Err(decodes_only(NAME))
    }
}

#[cfg(test)]
mod tests;

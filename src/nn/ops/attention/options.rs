//! The options of attention and what follows from them.

use std::ops::Range;

use crate::cpu::real::Real;
use crate::{Error, Result};

/// Its name, for messages.
pub(super) const NAME: &str = "attention";

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
    /// The two numbers of a pair, in a head of `depth` numbers.
    pub(super) fn pair(&self, number: usize, depth: usize) -> [usize; 2] {
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
    pub(super) fn depth(&self) -> usize {
        self.width / self.heads
    }

    pub(super) fn factor(&self) -> f64 {
        self.scale.unwrap_or_else(|| 1.0 / (self.depth() as f64).sqrt())
    }

    /// The cosine and sine of each angle, [T, D/2]; empty without a rotation.
    pub(crate) fn angles<R: Real>(&self) -> Vec<[R; 2]> {
        self.angles_of(0..self.tokens)
    }

    /// As [`Attention::angles`], of some tokens.
    pub(super) fn angles_of<R: Real>(&self, tokens: Range<usize>) -> Vec<[R; 2]> {
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
        tokens.flat_map(of_token).collect()
    }

    /// Rotates q or k of a token by its angles: forward with `sign` 1, back with −1.
    pub(super) fn rotate_values<R: Real>(&self, angles: &[[R; 2]], values: &mut [R], sign: R) {
        let Some(rotary) = self.rotary else { return };
        for (number, &[cos, sin]) in angles.iter().enumerate() {
            let [first, second] = rotary.pair(number, self.depth());
            let (x, y, sin) = (values[first], values[second], sign * sin);
            values[first] = x * cos - y * sin;
            values[second] = x * sin + y * cos;
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let name = NAME;
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

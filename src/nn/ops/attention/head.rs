//! One head of one row on the CPU: where its numbers are.

use crate::cpu::real::Real;
use crate::nn::ops::attention::options::Attention;

/// One head of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a, R> {
    pub attention: &'a Attention,
    pub angles: &'a [[R; 2]],
    /// The row, [T, 3E].
    pub qkv: &'a [R],
    /// Number of valid keys.
    pub keys: usize,
    pub number: usize,
}

/// Which third of the packed input.
#[derive(Clone, Copy, Debug)]
pub(super) enum Third {
    Query,
    Key,
    Value,
}

impl<'a, R: Real> Head<'a, R> {
    pub fn depth(&self) -> usize {
        self.attention.depth()
    }

    pub fn tokens(&self) -> usize {
        self.attention.tokens
    }

    /// q, k or v of a token as in the input, without the rotation.
    pub fn input(&self, third: Third, token: usize) -> &'a [R] {
        let (width, depth) = (self.attention.width, self.depth());
        let first = (3 * token + third as usize) * width + self.number * depth;
        &self.qkv[first..first + depth]
    }

    /// Number of keys that a query sees; they are the first ones.
    pub fn visible(&self, query: usize) -> usize {
        if self.attention.causal { self.keys.min(query + 1) } else { self.keys }
    }

    /// Rotates q or k of a token by its angles: forward with `sign` 1, back with −1.
    pub fn rotate(&self, token: usize, values: &mut [R], sign: R) {
        if self.attention.rotary.is_some() {
            let half = self.depth() / 2;
            self.attention.rotate_values(&self.angles[token * half..][..half], values, sign);
        }
    }
}

/// What backward reads of one head of one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gradient<'a, R> {
    pub head: Head<'a, R>,
    /// The row's output and its gradient, [T, E].
    pub output: &'a [R],
    pub grad_output: &'a [R],
    pub lse: &'a [R],
}

impl<'a, R: Real> Gradient<'a, R> {
    fn of_token(&self, row: &'a [R], token: usize) -> &'a [R] {
        let (width, depth) = (self.head.attention.width, self.head.depth());
        &row[token * width + self.head.number * depth..][..depth]
    }

    pub fn grad_output(&self, token: usize) -> &'a [R] {
        self.of_token(self.grad_output, token)
    }

    /// δ = Σ g o of a token; 0 for a query without keys.
    pub fn delta(&self, token: usize) -> R {
        let (g, o) = (self.grad_output(token), self.of_token(self.output, token));
        g.iter().zip(o).map(|(&g, &o)| g * o).sum()
    }
}

//! Numbers of an update on a host: its size against the weights, and its gradient against the one
//! before.

use rayon::prelude::*;

use crate::cpu::real::Real;
use crate::nn::train::updates::UpdateSigns;

/// Elements of a partial sum: sums are cut by the length alone, so that the bits do not depend on
/// the threads.
const PIECE: usize = 1 << 14;

/// What is kept from one update to the next.
#[derive(Debug)]
pub(super) struct UpdateWatch<R> {
    /// The weights before the update.
    weights: Vec<R>,
    /// The gradient of the update before, and its square; empty if that was not watched.
    gradient: Vec<R>,
    square: f64,
    /// Of the update that is under way: ‖g‖², its product with the gradient before, the square of
    /// that.
    now: (f64, f64, Option<f64>),
    signs: Vec<UpdateSigns>,
}

impl<R> Default for UpdateWatch<R> {
    fn default() -> Self {
        UpdateWatch {
            weights: Vec::new(),
            gradient: Vec::new(),
            square: 0.0,
            now: (0.0, 0.0, None),
            signs: Vec::new(),
        }
    }
}

impl<R: Real> UpdateWatch<R> {
    /// Called with the gradient before the update.
    pub fn before(&mut self, weights: &[R], gradient: &[R]) {
        let [square, product] = sums(gradient, &self.gradient, |g, h| [g * g, g * h]);
        let follows = self.gradient.len() == gradient.len();
        self.now = (square, product, follows.then_some(self.square));
        self.square = square;
        self.gradient.clear();
        self.gradient.extend_from_slice(gradient);
        self.weights.clear();
        self.weights.extend_from_slice(weights);
    }

    /// Called with the weights after the update.
    pub fn after(&mut self, weights: &[R]) {
        let [moved, size] = sums(weights, &self.weights, |now, before| {
            [(now - before) * (now - before), before * before]
        });
        let (square, product, before) = self.now;
        self.signs.push(UpdateSigns::new(square, product, before, [moved, size]));
    }

    /// The numbers of the updates since the last call.
    pub fn take(&mut self) -> Vec<UpdateSigns> {
        std::mem::take(&mut self.signs)
    }

    /// Forgets the last gradient, since the next update does not follow on it, and gives the memory
    /// back.
    pub fn pause(&mut self) {
        (self.gradient, self.weights) = (Vec::new(), Vec::new());
    }
}

/// Two sums over pairs of elements in f64, in a fixed order; what `b` lacks is 0.
fn sums<R: Real>(a: &[R], b: &[R], of: impl Fn(f64, f64) -> [f64; 2] + Sync) -> [f64; 2] {
    let of_piece = |(number, piece): (usize, &[R])| {
        let other = b.get(number * PIECE..).unwrap_or_default();
        let others = other.iter().map(|b| b.to_f64()).chain(std::iter::repeat(0.0));
        piece.iter().zip(others).fold([0.0; 2], |[x, y], (a, b)| {
            let [u, v] = of(a.to_f64(), b);
            [x + u, y + v]
        })
    };
    let partial: Vec<[f64; 2]> = a.par_chunks(PIECE).enumerate().map(of_piece).collect();
    partial.into_iter().fold([0.0; 2], |[x, y], [u, v]| [x + u, y + v])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_plain_sums() {
        let length = 3 * PIECE + 17;
        let vector =
            |k: f64| -> Vec<f64> { (0..length).map(|i| (k + i as f64 * 0.37).sin()).collect() };
        let (weights, gradients) = (vector(0.1), [vector(0.5), vector(0.9)]);
        let mut watch = UpdateWatch::default();
        let mut now = weights.clone();
        let mut expected = Vec::new();
        for gradient in &gradients {
            let before = now.clone();
            watch.before(&now, gradient);
            now.iter_mut().zip(gradient).for_each(|(w, g)| *w -= 0.01 * g);
            watch.after(&now);
            let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
            let moved: Vec<f64> = now.iter().zip(&before).map(|(a, b)| a - b).collect();
            expected.push((norm(&moved) / norm(&before), norm(gradient)));
        }
        let found = watch.take();
        for (found, (ratio, norm)) in found.iter().zip(&expected) {
            assert!((found.update_ratio / ratio - 1.0).abs() < 1e-10);
            assert!((found.gradient_norm / norm - 1.0).abs() < 1e-10);
        }
        let dot: f64 = gradients[0].iter().zip(&gradients[1]).map(|(a, b)| a * b).sum();
        let cosine = dot / (expected[0].1 * expected[1].1);
        assert_eq!(found[0].cosine, None);
        assert!((found[1].cosine.unwrap() - cosine).abs() < 1e-10);
        watch.pause();
        watch.before(&now, &gradients[0]);
        watch.after(&now);
        assert_eq!((watch.take()[0].cosine, watch.signs.len()), (None, 0));
    }
}

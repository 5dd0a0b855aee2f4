//! Softmax: turns a row of numbers into a row of probabilities.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::cpu::{parallel, simd};
use crate::nn::activations::activation::Activation;
use crate::{Result, catalogue};

/// Softmax over the last axis: yₖ = e^(xₖ − max x)/Σⱼ e^(xⱼ − max x), dL/dxₖ = yₖ (gₖ − Σⱼ gⱼ yⱼ)
/// with g = dL/dy.
///
/// A row that contains NaN or +∞, or only −∞, gives NaN.
/// Equivalents: `torch.nn.Softmax(dim=-1)`, `keras.activations.softmax`, `jax.nn.softmax`.
///
/// ```
/// use gradus::activations::{Activation, Softmax};
/// let mut output = [0.0_f64; 2];
/// (&Softmax as &dyn Activation).forward(2, &[0.0, 3.0_f64.ln()], &mut output)?;
/// assert!((output[1] - 0.75).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax;

pub(crate) static ENTRY: Entry<dyn Activation> = Entry {
    name: "softmax",
    summary: "a row of numbers becomes a row of probabilities",
    formula: "yₖ = e^(xₖ − max x)/Σⱼ e^(xⱼ − max x), over the last axis",
    options: &[],
    torch: "torch.nn.Softmax(dim=-1)",
    keras: "keras.activations.softmax",
    optax: "jax.nn.softmax",
    source: "J. Bridle, Probabilistic Interpretation of Feedforward Classification Network Outputs, 1990",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("activations/softmax.wgsl"),
    make: |options| Ok(Box::new(catalogue::read::<Softmax>("softmax", &[], options)?)),
};

impl Activation for Softmax {
    fn entry(&self) -> &'static Entry<dyn Activation> {
        &ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    fn needs_input(&self) -> bool {
        false
    }

    fn rowwise(&self) -> bool {
        true
    }

    fn forward_single(&self, width: usize, input: &[f32], output: &mut [f32]) {
        let rows = parallel::rows_per_piece(width);
        parallel::fill(output, rows * width, |start, output| {
            let input = &input[start..start + output.len()];
            let (mut maxima, mut sums) = (vec![0.0; rows], vec![0.0; rows]);
            simd::dispatch(
                #[inline(always)]
                || {
                    simd::exp_rows(input, width, output, &mut maxima, &mut sums);
                    for (row, &sum) in output.chunks_exact_mut(width).zip(&sums) {
                        row.iter_mut().for_each(|y| *y /= sum);
                    }
                },
            );
        });
    }

    fn forward_double(&self, width: usize, input: &[f64], output: &mut [f64]) {
        for (input, output) in input.chunks_exact(width).zip(output.chunks_exact_mut(width)) {
            let largest = simd::maximum(input);
            let sum: f64 = input.iter().map(|x| (x - largest).exp()).sum();
            for (y, x) in output.iter_mut().zip(input) {
                *y = (x - largest).exp() / sum;
            }
        }
    }

    fn backward_single(&self, width: usize, _: &[f32], output: &[f32], gradient: &mut [f32]) {
        parallel::fill(gradient, parallel::rows_per_piece(width) * width, |start, gradient| {
            let output = &output[start..start + gradient.len()];
            simd::dispatch(
                #[inline(always)]
                || backward_rows(width, output, gradient),
            );
        });
    }

    fn backward_double(&self, width: usize, _: &[f64], output: &[f64], gradient: &mut [f64]) {
        backward_rows(width, output, gradient);
    }
}

#[inline(always)]
fn backward_rows<R: Real>(width: usize, output: &[R], gradient: &mut [R]) {
    for (output, gradient) in output.chunks_exact(width).zip(gradient.chunks_exact_mut(width)) {
        let mean = simd::dot(output, gradient);
        for (slot, &y) in gradient.iter_mut().zip(output) {
            *slot = y * (*slot - mean);
        }
    }
}

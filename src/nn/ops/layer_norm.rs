//! Layer norm over the last axis E of [..., E]: y = γ (x − μ)/√(σ² + ε) + β per row, with the
//! biased variance. PyTorch `LayerNorm(E)`, Keras `LayerNormalization` (ε 1e-3), Flax `LayerNorm`.
//!
//! With x̂ = (x − μ) r, r = 1/√(σ² + ε) and g = γ dL/dy: dL/dx = r (g − mean g − x̂ mean(g x̂)),
//! dL/dγ = Σ dL/dy x̂ and dL/dβ = Σ dL/dy over the rows.
//! Source: J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization, 2016.

use std::sync::Arc;

use crate::Result;
use crate::cpu::real::Real;
use crate::nn::graph::op::{
    Backward, Cpu, Entry, Example, Forward, GpuBackward, GpuForward, Op, ParameterSpec, Saves,
    Shape,
};
use crate::nn::ops::norm;
use crate::nn::ops::norm::rows::Rows;
use crate::nn::ops::norm::rows_gpu;
use crate::runtime::recorder::Recorder;

pub(crate) static ENTRY: Entry =
    Entry { name: "layer_norm", examples, programs: rows_gpu::programs };

/// y = γ (x − μ)/√(σ² + ε) + β of each row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerNorm {
    pub width: usize,
    pub epsilon: f64,
    /// Has γ.
    pub affine: bool,
    /// Has β; only with `affine`.
    pub bias: bool,
}

impl LayerNorm {
    pub fn new(width: usize) -> Self {
        LayerNorm { width, epsilon: 1e-5, affine: true, bias: true }
    }

    fn on_gpu(&self, rows: usize, width: usize) -> rows_gpu::Rows {
        rows_gpu::Rows {
            rows: rows * width / self.width,
            width: self.width,
            weight: self.affine,
            bias: self.affine && self.bias,
            epsilon: self.epsilon,
            centred: true,
        }
    }
}

fn examples() -> Vec<Example> {
    let of =
        |op: LayerNorm, shape: &[usize]| Example { op: Box::new(op), inputs: vec![shape.to_vec()] };
    let plain = LayerNorm::new;
    vec![
        of(plain(5), &[5]),
        of(plain(8), &[3, 8]),
        of(plain(3), &[2, 2, 3]),
        of(LayerNorm { affine: false, ..plain(4) }, &[3, 4]),
        of(LayerNorm { bias: false, ..plain(5) }, &[2, 5]),
        of(plain(1), &[2, 1]),
    ]
}

impl Op for LayerNorm {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        norm::check_epsilon(ENTRY.name, self.epsilon)?;
        norm::shape_of(ENTRY.name, inputs, 1, self.width)
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        norm::parameters(self.width, self.affine, self.affine && self.bias)
    }

    fn saves(&self, inputs: &[&Shape]) -> Saves {
        norm::saves_of_rows(inputs, self.width)
    }

    /// Each token by itself.
    fn decoder(&self, _: &[&Shape], _: usize) -> Option<Arc<dyn Op>> {
        Some(Arc::new(*self))
    }

    fn forward_gpu(&self, recorder: &mut Recorder, io: &GpuForward) -> Result<()> {
        self.on_gpu(io.rows, io.output.width).forward(recorder, io)
    }

    fn backward_gpu(&self, recorder: &mut Recorder, io: &GpuBackward) -> Result<()> {
        self.on_gpu(io.rows, io.output.width).backward(recorder, io)
    }
}

impl<R: Real> Cpu<R> for LayerNorm {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let weight = norm::or_constant(io.parameters.get(0), self.width, R::ONE);
        let bias = norm::or_constant(io.parameters.get(1), self.width, R::ZERO);
        let rows = Rows { weight: &weight, epsilon: self.epsilon, centred: true };
        rows.forward(io.inputs[0], &bias, io.saved, io.output);
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let weight = norm::or_constant(io.parameters.get(0), self.width, R::ONE);
        let rows = Rows { weight: &weight, epsilon: self.epsilon, centred: true };
        norm::backward_of_rows(rows, io);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

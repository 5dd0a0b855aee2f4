//! RMS norm over the last axis E of [..., E]: y = γ x/√(mean x² + ε) per row: layer norm without
//! the mean and without β. PyTorch `RMSNorm(E)`, whose default ε is that of f32, 1.19e-7; Keras
//! `RMSNormalization` (1e-6).
//!
//! With r = 1/√(mean x² + ε), x̂ = x r and g = γ dL/dy: dL/dx = r (g − x̂ mean(g x̂)),
//! dL/dγ = Σ dL/dy x̂ over the rows.
//! Source: B. Zhang, R. Sennrich, Root Mean Square Layer Normalization, 2019.

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

pub(crate) static ENTRY: Entry = Entry { name: "rms_norm", examples, programs: rows_gpu::programs };

/// y = γ x/√(mean x² + ε) of each row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RmsNorm {
    pub width: usize,
    pub epsilon: f64,
    /// Has γ.
    pub affine: bool,
}

impl RmsNorm {
    pub fn new(width: usize) -> Self {
        RmsNorm { width, epsilon: f64::from(f32::EPSILON), affine: true }
    }

    fn on_gpu(&self, rows: usize, width: usize) -> rows_gpu::Rows {
        rows_gpu::Rows {
            rows: rows * width / self.width,
            width: self.width,
            weight: self.affine,
            bias: false,
            epsilon: self.epsilon,
            centred: false,
        }
    }
}

fn examples() -> Vec<Example> {
    let of =
        |op: RmsNorm, shape: &[usize]| Example { op: Box::new(op), inputs: vec![shape.to_vec()] };
    vec![
        of(RmsNorm::new(5), &[5]),
        of(RmsNorm::new(8), &[3, 8]),
        of(RmsNorm { affine: false, epsilon: 1e-5, ..RmsNorm::new(3) }, &[2, 3]),
    ]
}

impl Op for RmsNorm {
    fn entry(&self) -> &'static Entry {
        &ENTRY
    }

    fn output(&self, inputs: &[&Shape]) -> Result<Shape> {
        norm::check_epsilon(ENTRY.name, self.epsilon)?;
        norm::shape_of(ENTRY.name, inputs, 1, self.width)
    }

    fn parameters(&self, _: &[&Shape]) -> Vec<ParameterSpec> {
        norm::parameters(self.width, self.affine, false)
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

impl<R: Real> Cpu<R> for RmsNorm {
    fn forward(&self, io: Forward<R>) -> Result<()> {
        let weight = norm::or_constant(io.parameters.get(0), self.width, R::ONE);
        let rows = Rows { weight: &weight, epsilon: self.epsilon, centred: false };
        rows.forward(io.inputs[0], &vec![R::ZERO; self.width], io.saved, io.output);
        Ok(())
    }

    fn backward(&self, io: Backward<R>) -> Result<()> {
        let weight = norm::or_constant(io.parameters.get(0), self.width, R::ONE);
        let rows = Rows { weight: &weight, epsilon: self.epsilon, centred: false };
        norm::backward_of_rows(rows, io);
        Ok(())
    }
}

//! Inputs of an optimizer step: its numbers, the tensors among the parameters, the gradient
//! transform.

use crate::cpu::real::Real;
use crate::nn::optimizers::clip::Clip;
use crate::nn::optimizers::span::ParameterSpan;

/// Numbers that change from step to step: the shader's uniform `Step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<R = f64> {
    /// The learning rate of this step.
    pub learning_rate: R,
    /// 1 − β₁ᵗ, or 1 without β₁.
    pub correction_first: R,
    /// 1 − β₂ᵗ, or 1 without β₂.
    pub correction_second: R,
    /// 1 in the first step, else 0.
    pub is_first: R,
    /// Rule-specific numbers of the step, see the optimizer's file.
    pub own: [R; 3],
    /// 1 while a per-tensor rule updates a matrix; set by the kernel template.
    pub is_matrix: R,
}

impl Step {
    /// Converts to another precision; the shader reads f32.
    pub fn cast<R: Real>(&self) -> Step<R> {
        Step {
            learning_rate: R::new(self.learning_rate),
            correction_first: R::new(self.correction_first),
            correction_second: R::new(self.correction_second),
            is_first: R::new(self.is_first),
            own: self.own.map(R::new),
            is_matrix: R::new(self.is_matrix),
        }
    }
}

impl<R: Real> Step<R> {
    /// The step at a multiple of the learning rate.
    #[inline(always)]
    pub(crate) fn at_rate(&self, rate: f64) -> Self {
        Step { learning_rate: self.learning_rate * R::new(rate), ..*self }
    }
}

impl Step<f32> {
    /// Layout of the shader's uniform.
    pub(crate) fn words(&self) -> [f32; 8] {
        let [a, b, c] = self.own;
        [
            self.learning_rate,
            self.correction_first,
            self.correction_second,
            self.is_first,
            a,
            b,
            c,
            self.is_matrix,
        ]
    }
}

/// The requirements of a per-tensor rule in addition to the norms of each tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerTensor {
    /// For a matrix, keeps means of the squares by row and by column instead of a state per
    /// element.
    pub(crate) factored: bool,
    /// Orthogonalises the direction of a matrix.
    pub(crate) orthogonal: Option<NewtonSchulz>,
}

/// Newton–Schulz iteration: X ← a X + (b A + c A²) X with A = X Xᵀ, which drives every singular
/// value towards 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewtonSchulz {
    pub(crate) steps: u32,
    /// a, b, c.
    pub(crate) coefficients: [f64; 3],
    /// Smallest norm that the matrix is initially divided by.
    pub(crate) epsilon: f64,
}

/// Gradient transform applied before the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GradientTransform<'a> {
    /// The tensors; empty if nothing depends on them.
    pub spans: &'a [ParameterSpan],
    /// Gradient clipping.
    pub clip: Option<Clip>,
    /// True to skip a step whose gradient is not finite.
    pub skip_non_finite: bool,
}

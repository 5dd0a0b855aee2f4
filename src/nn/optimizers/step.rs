//! What a step is told: its numbers, the tensors among the parameters, what happens to the gradient first.

use crate::cpu::real::Real;
use crate::nn::optimizers::clip::Clip;
use crate::nn::optimizers::span::ParameterSpan;

/// What changes from step to step: the numbers of the shader's uniform `Step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<R = f64> {
    /// The learning rate of this step.
    pub learning_rate: R,
    /// 1 − β₁ᵗ, or 1 where there is no β₁.
    pub correction_first: R,
    /// 1 − β₂ᵗ, or 1 where there is no β₂.
    pub correction_second: R,
    /// 1 in the first step, else 0.
    pub is_first: R,
    /// Numbers that the rule itself makes of the step: see its file.
    pub own: [R; 3],
    /// 1 where a rule that looks at whole tensors is at a matrix; set by the frame.
    pub is_matrix: R,
}

impl Step {
    /// In another precision; the f32 form is what the shader reads.
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

impl Step<f32> {
    /// As the shader's uniform holds it.
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

/// What a rule asks of the frame besides the norms of each tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerTensor {
    /// Of a matrix, means of the squares by row and by column are kept instead of a state for each element.
    pub(crate) factored: bool,
    /// The direction of a matrix is made orthogonal.
    pub(crate) orthogonal: Option<NewtonSchulz>,
}

/// Newton–Schulz's iteration: X ← a X + (b A + c A²) X with A = X Xᵀ, which draws every singular value towards 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewtonSchulz {
    pub(crate) steps: u32,
    /// a, b, c.
    pub(crate) coefficients: [f64; 3],
    /// The least norm that the matrix is divided by at first.
    pub(crate) epsilon: f64,
}

/// What happens to a gradient before the rule sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GradientTransform<'a> {
    /// The tensors; empty where nothing depends on them.
    pub spans: &'a [ParameterSpan],
    /// How it is cut, if it is.
    pub clip: Option<Clip>,
    /// Whether a step whose gradient is not finite is left out.
    pub skip_non_finite: bool,
}

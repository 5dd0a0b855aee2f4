//! What a step is told: its numbers, the tensors among the parameters, what happens to the gradient first.

use crate::cpu::real::Real;
use crate::nn::optimizers::clip::Clip;

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

/// A tensor among the parameters, and its regularisation R(w) = `l1` Σ|w| + `l2` Σw² (no ½ before `l2`, as Keras).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ParameterSpan {
    /// The index behind its last parameter; the first span starts at 0, each other where the one before ends.
    pub end: usize,
    /// The factor of Σ|w|.
    pub l1: f64,
    /// The factor of Σw².
    pub l2: f64,
    /// The factor λ of Σ|w| that is taken as a proximal step behind the update: w ← sign(w) max(|w| − lr λ, 0), with exact zeros.
    pub proximal: f64,
    /// Columns of the matrix that it is, row-major; 0 for a vector.
    pub columns: usize,
    /// Elements at its end that belong to no tensor.
    pub padding: usize,
}

impl ParameterSpan {
    /// Whether anything is added to its loss.
    pub fn is_regularized(&self) -> bool {
        self.l1 != 0.0 || self.l2 != 0.0 || self.proximal != 0.0
    }

    /// Rows and columns of so many elements; a vector is one column.
    pub(crate) fn shape(&self, length: usize) -> [usize; 2] {
        let columns = self.columns.max(1);
        [length / columns, columns]
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

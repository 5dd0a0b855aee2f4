//! A tensor in the flat buffer of parameters, with its regularization.

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

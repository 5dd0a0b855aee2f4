//! A tensor in the flat buffer of parameters, with its regularization and its group's options.

/// A tensor among the parameters, and its regularisation R(w) = `l1` Σ|w| + `l2` Σw² (without ½
/// before `l2`, as in Keras).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterSpan {
    /// The index after its last parameter; the first span starts at 0, each other span at the
    /// previous end.
    pub end: usize,
    /// The factor of Σ|w|.
    pub l1: f64,
    /// The factor of Σw².
    pub l2: f64,
    /// Factor λ of Σ|w| applied as a proximal step after the update: w ← sign(w) max(|w| − lr λ,
    /// 0), with exact zeros.
    pub proximal: f64,
    /// Number of columns of the row-major matrix; 0 for a vector.
    pub columns: usize,
    /// Number of padding elements at its end, which belong to no tensor.
    pub padding: usize,
    /// Factor of the learning rate; 0 for a frozen tensor, whose parameters and states stay.
    pub rate: f64,
    /// True if the optimizer's weight decay applies.
    pub decays: bool,
}

impl Default for ParameterSpan {
    /// An empty span at the start: no regularization, the plain learning rate, weight decay.
    fn default() -> Self {
        ParameterSpan {
            end: 0,
            l1: 0.0,
            l2: 0.0,
            proximal: 0.0,
            columns: 0,
            padding: 0,
            rate: 1.0,
            decays: true,
        }
    }
}

impl ParameterSpan {
    /// True if the span has a regularisation term.
    pub fn is_regularized(&self) -> bool {
        self.l1 != 0.0 || self.l2 != 0.0 || self.proximal != 0.0
    }

    /// True if the span's parameters and states stay as they are.
    pub fn is_frozen(&self) -> bool {
        self.rate == 0.0
    }

    /// True if the span has options of its own: another learning rate, or no weight decay.
    pub(crate) fn is_grouped(&self) -> bool {
        self.rate != 1.0 || !self.decays
    }

    /// Rows and columns of a tensor with the given number of elements; a vector is one column.
    pub(crate) fn shape(&self, length: usize) -> [usize; 2] {
        let columns = self.columns.max(1);
        [length / columns, columns]
    }
}

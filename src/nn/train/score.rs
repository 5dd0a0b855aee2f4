//! Loss and accuracy of a model on some rows.

/// Loss and accuracy of a model on some rows.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Score {
    /// Mean loss.
    pub loss: f64,
    /// Fraction of correctly predicted rows, if the targets are classes.
    pub accuracy: Option<f64>,
}

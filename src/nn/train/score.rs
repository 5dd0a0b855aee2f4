//! Loss and accuracy of a model on some rows.

/// How well a model does on some rows.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Score {
    /// Mean loss.
    pub loss: f64,
    /// Share of rows predicted right, where the targets are classes.
    pub accuracy: Option<f64>,
}

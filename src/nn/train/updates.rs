//! Numbers of the updates, and what else a diagnosis needs of a training.

use serde::Serialize;

/// Numbers of an update that say how it lies to the weights and to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UpdateSigns {
    /// ‖Δw‖ / ‖w‖ over all parameters.
    pub update_ratio: f64,
    /// Cosine of the gradient and that of the update before, if that was watched too.
    pub cosine: Option<f64>,
    /// ‖g‖ before clipping.
    pub gradient_norm: f64,
}

/// What is known of a training besides its history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// The constant rate; none under a schedule.
    pub rate: Option<f64>,
    /// Rows of a batch.
    pub batch_rows: usize,
}

//! Numbers of the updates, and what else a diagnosis needs of a training.

use serde::Serialize;

/// Numbers of an update that say how it lies to the weights and to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UpdateSigns {
    /// ‖Δw‖ / ‖w‖ over all parameters; infinite for an update of weights that are all 0.
    pub update_ratio: f64,
    /// Cosine of the gradient and that of the update before, if that was watched too.
    pub cosine: Option<f64>,
    /// ‖g‖ before clipping.
    pub gradient_norm: f64,
}

impl UpdateSigns {
    /// From ‖g‖², its product with the gradient before and that one's square, ‖Δw‖² and ‖w‖².
    pub(crate) fn new(
        square: f64,
        product: f64,
        before: Option<f64>,
        [moved, size]: [f64; 2],
    ) -> Self {
        let cosine = before.map(|before| product / (square * before).sqrt());
        UpdateSigns {
            update_ratio: if moved == 0.0 { 0.0 } else { (moved / size).sqrt() },
            cosine: cosine.filter(|cosine| cosine.is_finite()),
            gradient_norm: square.sqrt(),
        }
    }
}

/// What is known of a training besides its history.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// The constant rate; none under a schedule.
    pub rate: Option<f64>,
    /// Rows of a batch.
    pub batch_rows: usize,
}

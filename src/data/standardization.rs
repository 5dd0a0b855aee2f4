//! Standardization of columns to mean 0 and standard deviation 1, so that one learning rate fits
//! all weights.

use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::data::dataset::check_finite;
use crate::{Error, Result};

/// Mean and scale of each column, fitted on the training rows and applied to all: (x − mean) /
/// scale.
///
/// The scale is the standard deviation √(Σ (x − mean)² / n), and 1 for a constant column.
/// scikit-learn: `StandardScaler`; Keras: `layers.Normalization`.
///
/// ```
/// use gradus::data::Standardization;
/// use ndarray::array;
///
/// let mut features = array![[1.0, 5.0], [3.0, 5.0]];
/// let standardization = Standardization::fit(&features)?;
/// standardization.apply(&mut features)?;
/// assert_eq!(features, array![[-1.0, 0.0], [1.0, 0.0]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standardization {
    /// Subtracted from each column.
    pub mean: Vec<f64>,
    /// Divisor of each column.
    pub scale: Vec<f64>,
}

impl Standardization {
    /// Computes mean and scale of each column, in f64 and two passes.
    ///
    /// # Errors
    /// [`Error::Empty`] without rows; [`Error::NonFinite`] if a value is NaN or infinite.
    pub fn fit(features: &Array2<f32>) -> Result<Self> {
        if features.nrows() == 0 {
            return Err(Error::Empty {
                operation: "standardization".into(),
                name: "features".into(),
            });
        }
        check_finite("standardization", "features", features)?;
        let rows = features.nrows() as f64;
        let mut mean = vec![0.0; features.ncols()];
        for row in features.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= rows);
        let mut scale = vec![0.0; features.ncols()];
        for row in features.rows() {
            for ((sum, mean), &value) in scale.iter_mut().zip(&mean).zip(row) {
                *sum += (f64::from(value) - mean).powi(2);
            }
        }
        for (scale, column) in scale.iter_mut().zip(features.columns()) {
            // Detect constants by value: their deviation from a rounded mean is tiny, not 0, and
            // would amplify noise.
            let constant = column.iter().all(|value| *value == column[0]);
            *scale = if constant { 1.0 } else { (*scale / rows).sqrt() };
        }
        Ok(Standardization { mean, scale })
    }

    /// Replaces each value by (x − mean) / scale, rounded to f32 once.
    ///
    /// # Errors
    /// [`Error::Shape`] if the number of columns differs from the fitted one.
    pub fn apply(&self, features: &mut Array2<f32>) -> Result<()> {
        if features.ncols() != self.mean.len() || self.scale.len() != self.mean.len() {
            return Err(Error::Shape {
                operation: "standardization".into(),
                found: format!("features are {:?}", features.shape()),
                allowed: format!("it was learned on {} columns", self.mean.len()),
            });
        }
        for mut row in features.axis_iter_mut(Axis(0)) {
            for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *value = ((f64::from(*value) - mean) / scale) as f32;
            }
        }
        Ok(())
    }
}

//! How far numbers are from what they should be.

use ndarray::Array2;

use crate::{Error, Result};

/// Errors of numbers, in f64: over all columns together, each element counts once.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Regression {
    /// Mean of |error|, in the unit of the targets.
    pub mae: f64,
    /// √ of the mean squared error, in the unit of the targets.
    pub rmse: f64,
    /// Mean squared error.
    pub mse: f64,
    /// 1 − Σ error² / Σ (target − mean of its column)²: 1 is perfect, 0 is as good as the mean. None where no column varies.
    pub r2: Option<f64>,
}

/// Errors of predictions. scikit-learn: `mean_absolute_error`, `mean_squared_error`, `r2_score` (of several columns: with
/// `multioutput="variance_weighted"`).
///
/// # Errors
/// [`Error::Shape`] if there is not one target for each prediction, [`Error::Empty`] without rows.
///
/// ```
/// use gradus::metrics::regression;
/// use ndarray::array;
///
/// let found = regression(&array![[2.5], [0.0], [2.0], [8.0]], &array![[3.0], [-0.5], [2.0], [7.0]])?;
/// assert_eq!((found.mae, found.mse), (0.5, 0.375));
/// assert!((found.r2.unwrap() - 0.948_608_1).abs() < 1e-7);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn regression(predictions: &Array2<f64>, targets: &Array2<f64>) -> Result<Regression> {
    if predictions.shape() != targets.shape() {
        return Err(Error::Shape {
            operation: "regression".into(),
            found: format!(
                "predictions are {:?} but targets are {:?}",
                predictions.shape(),
                targets.shape()
            ),
            allowed: "there must be one target for each prediction".into(),
        });
    }
    if targets.is_empty() {
        return Err(Error::Empty { operation: "regression".into(), name: "targets".into() });
    }
    let count = targets.len() as f64;
    let errors = || predictions.iter().zip(targets).map(|(prediction, target)| prediction - target);
    let squares: f64 = errors().map(|error| error * error).sum();
    let spread: f64 = targets
        .columns()
        .into_iter()
        .map(|column| {
            let mean = column.sum() / column.len() as f64;
            column.iter().map(|target| (target - mean).powi(2)).sum::<f64>()
        })
        .sum();
    Ok(Regression {
        mae: errors().map(f64::abs).sum::<f64>() / count,
        rmse: (squares / count).sqrt(),
        mse: squares / count,
        r2: (spread > 0.0).then(|| 1.0 - squares / spread),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn the_mean_of_each_column_has_an_r2_of_0() {
        let targets = array![[1.0, 100.0], [3.0, 300.0]];
        let found = regression(&array![[2.0, 200.0], [2.0, 200.0]], &targets).unwrap();
        assert_eq!((found.r2, found.mae), (Some(0.0), 50.5));
        assert_eq!(regression(&targets, &targets).unwrap().r2, Some(1.0));
    }

    #[test]
    fn targets_that_do_not_vary_have_no_r2_and_shapes_must_fit() {
        assert_eq!(regression(&array![[1.0], [2.0]], &array![[1.0], [1.0]]).unwrap().r2, None);
        assert!(
            regression(&array![[1.0]], &array![[1.0, 2.0]])
                .unwrap_err()
                .to_string()
                .contains("one target for each")
        );
        assert!(regression(&Array2::zeros((0, 1)), &Array2::zeros((0, 1))).is_err());
    }
}

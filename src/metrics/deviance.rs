//! Deviances, pinball loss, and the share of them that predictions explain.

use ndarray::Array2;

use crate::{Error, Result};

/// Mean Tweedie deviance of targets y and predicted means μ, of any shape [rows, columns].
///
/// `power` p is that of the mean in the variance: 0 squared error, 1 Poisson, 2 gamma, 3 inverse
/// Gaussian. 2 (y^(2−p)/((1−p)(2−p)) − y μ^(1−p)/(1−p) + μ^(2−p)/(2−p)), with its limits 2 (y ln(y/μ)
/// − y + μ) at 1 and 2 (ln(μ/y) + y/μ − 1) at 2; 0 where y = μ. scikit-learn: `mean_tweedie_deviance`,
/// `mean_poisson_deviance`, `mean_gamma_deviance`.
///
/// # Errors
/// [`Error::Shape`] if the shapes differ; [`Error::Empty`] without rows; [`Error::Option`] for a
/// power in (0, 1), below 0 or not finite; [`Error::Input`] for a target below 0 with a power from
/// 1 on or of 0 with a power from 2 on, and for a prediction that is not above 0 with a power from
/// 1 on. NaN is propagated.
///
/// Source: B. Jørgensen, Exponential dispersion models, 1987.
///
/// ```
/// use gradus::metrics::tweedie_deviance;
/// use ndarray::array;
///
/// let (predictions, targets) = (array![[2.0], [1.0]], array![[2.0], [0.0]]);
/// assert_eq!(tweedie_deviance(&predictions, &targets, 1.0)?, 1.0); // (0 + 2) / 2
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn tweedie_deviance(
    predictions: &Array2<f64>,
    targets: &Array2<f64>,
    power: f64,
) -> Result<f64> {
    check("tweedie_deviance", predictions, targets)?;
    if !power.is_finite() || power < 0.0 || power > 0.0 && power < 1.0 {
        return Err(Error::option("tweedie_deviance", "power", power, "0, or 1 and more"));
    }
    if power >= 1.0 {
        let lowest = if power >= 2.0 { "above 0" } else { "0 or more" };
        let is_below = |y: &f64| *y < 0.0 || power >= 2.0 && *y == 0.0;
        refuse("targets", targets, is_below, lowest)?;
        refuse("predictions", predictions, |mean| *mean <= 0.0, "means above 0")?;
    }
    let pairs = predictions.iter().zip(targets);
    Ok(pairs.map(|(&mean, &y)| unit(y, mean, power)).sum::<f64>() / targets.len() as f64)
}

/// Deviance of one row.
fn unit(y: f64, mean: f64, power: f64) -> f64 {
    // Exactly: the terms below cancel up to their rounding.
    if y == mean && y.is_finite() {
        return 0.0;
    }
    if power == 0.0 {
        return (y - mean).powi(2);
    }
    if power == 1.0 {
        let log = if y == 0.0 { 0.0 } else { y * (y / mean).ln() };
        return 2.0 * (log - y + mean);
    }
    if power == 2.0 {
        return 2.0 * ((mean / y).ln() + y / mean - 1.0);
    }
    let (one, two) = (1.0 - power, 2.0 - power);
    // 0 to a power above 0: the constant term of a target of 0, with 1 < p < 2.
    let of_target = y.powf(two) / (one * two);
    2.0 * (of_target - y * mean.powf(one) / one + mean.powf(two) / two)
}

/// Mean pinball loss of predicted quantiles: q (y − x) where the target y is above the prediction
/// x, (1 − q)(x − y) below. scikit-learn: `mean_pinball_loss`.
///
/// # Errors
/// [`Error::Shape`] if the shapes differ; [`Error::Empty`] without rows; [`Error::Option`] for a
/// quantile outside (0, 1).
///
/// Source: R. Koenker and G. Bassett, Regression quantiles, 1978.
///
/// ```
/// use gradus::metrics::pinball;
/// use ndarray::array;
///
/// assert_eq!(pinball(&array![[0.0], [0.0]], &array![[4.0], [-4.0]], 0.75)?, 2.0); // (3 + 1) / 2
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn pinball(predictions: &Array2<f64>, targets: &Array2<f64>, quantile: f64) -> Result<f64> {
    check("pinball", predictions, targets)?;
    if !(quantile > 0.0 && quantile < 1.0) {
        return Err(Error::option("pinball", "quantile", quantile, "in (0, 1)"));
    }
    let loss = |(x, y): (&f64, &f64)| {
        let error = y - x;
        if error < 0.0 { (quantile - 1.0) * error } else { quantile * error }
    };
    Ok(predictions.iter().zip(targets).map(loss).sum::<f64>() / targets.len() as f64)
}

/// D²: 1 − the mean Tweedie deviance of the predictions over that of the mean of each target
/// column; R² at power 0. NaN if the targets do not vary. scikit-learn: `d2_tweedie_score`.
///
/// # Errors
/// As [`tweedie_deviance`].
///
/// Source: T. Hastie, R. Tibshirani and M. Wainwright, Statistical learning with sparsity, 2015.
///
/// ```
/// use gradus::metrics::d2_tweedie;
/// use ndarray::array;
///
/// let targets = array![[1.0], [3.0]];
/// assert_eq!(d2_tweedie(&array![[2.0], [2.0]], &targets, 1.0)?, 0.0); // the mean itself
/// assert_eq!(d2_tweedie(&targets, &targets, 1.0)?, 1.0);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn d2_tweedie(predictions: &Array2<f64>, targets: &Array2<f64>, power: f64) -> Result<f64> {
    let found = tweedie_deviance(predictions, targets, power)?;
    if are_constant(targets) {
        return Ok(f64::NAN);
    }
    let constant = constants(targets, |column| column.iter().sum::<f64>() / column.len() as f64);
    // Targets that are all 0 have a mean of 0, beside which every deviance is infinite.
    let base = match power >= 1.0 && constant.iter().any(|mean| *mean <= 0.0) {
        true => 0.0,
        false => tweedie_deviance(&constant, targets, power)?,
    };
    Ok(explained(found, base))
}

/// D² of quantiles: 1 − the mean pinball loss of the predictions over that of the quantile of each
/// target column. NaN if that is 0. scikit-learn: `d2_pinball_score`, and `d2_absolute_error_score`
/// at ½.
///
/// # Errors
/// As [`pinball`].
///
/// Source: R. Koenker and J. Machado, Goodness of fit and related inference processes for quantile
/// regression, 1999.
///
/// ```
/// use gradus::metrics::d2_pinball;
/// use ndarray::array;
///
/// let targets = array![[0.0], [2.0], [7.0]];
/// assert_eq!(d2_pinball(&array![[2.0], [2.0], [2.0]], &targets, 0.5)?, 0.0); // the median itself
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn d2_pinball(predictions: &Array2<f64>, targets: &Array2<f64>, quantile: f64) -> Result<f64> {
    let found = pinball(predictions, targets, quantile)?;
    if are_constant(targets) {
        return Ok(f64::NAN);
    }
    let of = |column: &mut Vec<f64>| {
        column.sort_unstable_by(f64::total_cmp);
        // The inverse of the distribution function; where it jumps, the middle of the two values.
        let place = quantile * column.len() as f64;
        let nearest = place.round();
        let is_jump = (place - nearest).abs() < 1e-9 * place && (nearest as usize) < column.len();
        match is_jump {
            true => f64::midpoint(column[nearest as usize - 1], column[nearest as usize]),
            false => column[(place.ceil() as usize).clamp(1, column.len()) - 1],
        }
    };
    let constant = constants(targets, |column| of(&mut column.to_vec()));
    Ok(explained(found, pinball(&constant, targets, quantile)?))
}

/// 1 − found/base; NaN where the constant has no error.
fn explained(found: f64, base: f64) -> f64 {
    if base > 0.0 || base.is_nan() { 1.0 - found / base } else { f64::NAN }
}

/// True if all targets of each column are equal. Their rounded mean may be another number, beside
/// which they seem to vary.
fn are_constant(targets: &Array2<f64>) -> bool {
    targets.columns().into_iter().all(|column| column.iter().all(|y| *y == column[0]))
}

/// A constant of each column in the shape of the targets.
fn constants(targets: &Array2<f64>, of: impl Fn(&[f64]) -> f64) -> Array2<f64> {
    let mut constant = targets.clone();
    for mut column in constant.columns_mut() {
        let value = of(&column.to_vec());
        column.fill(value);
    }
    constant
}

fn check(operation: &str, predictions: &Array2<f64>, targets: &Array2<f64>) -> Result<()> {
    if predictions.shape() != targets.shape() {
        return Err(Error::Shape {
            operation: operation.into(),
            found: format!(
                "predictions are {:?} but targets are {:?}",
                predictions.shape(),
                targets.shape()
            ),
            allowed: "there must be one target for each prediction".into(),
        });
    }
    if targets.is_empty() {
        return Err(Error::Empty { operation: operation.into(), name: "targets".into() });
    }
    Ok(())
}

fn refuse(
    name: &str,
    values: &Array2<f64>,
    is_wrong: impl Fn(&f64) -> bool,
    allowed: &str,
) -> Result<()> {
    let Some(((row, _), found)) = values.indexed_iter().find(|(_, value)| is_wrong(value)) else {
        return Ok(());
    };
    Err(Error::Input {
        operation: "tweedie_deviance".into(),
        name: name.into(),
        found: format!("hold {} in row {row}", crate::error::text::exact(*found)),
        allowed: format!("they are {allowed}"),
    })
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    /// Power, deviance, D².
    const DEVIANCES: &[(f64, f64, f64)] = &[
        (0.0, 0.703125, 0.8928571428571429),
        (1.0, 0.23637256611959656, 0.8934758300528193),
        (1.5, 0.20214656129625352, 0.8554552786643046),
        (2.0, 0.2131023501262791, 0.7729753575871828),
        (3.0, 0.3109897678079496, 0.40432308156188734),
    ];

    /// Quantile, pinball loss, D².
    const PINBALLS: &[(f64, f64, f64)] = &[
        (0.1, 0.21875000000000003, 0.02777777777777768),
        (0.5, 0.34375, 0.65625),
        (0.9, 0.46875, -0.10294117647058831),
    ];

    /// scikit-learn 1.9.1: `mean_tweedie_deviance`, `d2_tweedie_score`, `mean_pinball_loss`,
    /// `d2_pinball_score` of these numbers.
    #[test]
    fn values_are_those_of_scikit_learn() {
        let (targets, predictions) =
            (array![[0.5], [1.0], [2.5], [7.0]], array![[0.75], [0.5], [3.0], [5.5]]);
        for (power, deviance, d2) in DEVIANCES {
            let found = tweedie_deviance(&predictions, &targets, *power).unwrap();
            assert!((found - deviance).abs() < 1e-12, "{power}: {found}");
            let found = d2_tweedie(&predictions, &targets, *power).unwrap();
            assert!((found - d2).abs() < 1e-12, "{power}: {found}");
        }
        for (quantile, loss, d2) in PINBALLS {
            let found = pinball(&predictions, &targets, *quantile).unwrap();
            assert!((found - loss).abs() < 1e-12, "{quantile}: {found}");
            let found = d2_pinball(&predictions, &targets, *quantile).unwrap();
            assert!((found - d2).abs() < 1e-12, "{quantile}: {found}");
        }
    }

    #[test]
    fn what_has_no_deviance_is_refused() {
        let one = array![[1.0]];
        let message = |predictions: &Array2<f64>, targets: &Array2<f64>, power: f64| {
            tweedie_deviance(predictions, targets, power).unwrap_err().to_string()
        };
        assert!(message(&one, &array![[-1.0]], 1.0).contains("targets hold -1 in row 0"));
        assert!(message(&one, &array![[0.0]], 2.0).contains("above 0"));
        assert!(message(&array![[0.0]], &one, 1.5).contains("means above 0"));
        assert!(message(&one, &one, 0.5).contains("0, or 1 and more"));
        assert!(message(&one, &array![[1.0, 2.0]], 1.0).contains("one target for each"));
        assert!(pinball(&one, &one, 1.0).is_err());
        assert!(tweedie_deviance(&array![[f64::NAN]], &one, 1.0).unwrap().is_nan());
        assert!(d2_tweedie(&array![[1.0], [1.0]], &array![[0.0], [0.0]], 1.0).unwrap().is_nan());
        assert!(d2_pinball(&one, &one, 0.5).unwrap().is_nan());
        // The mean of three 0.1 is not 0.1.
        let constant = Array2::from_elem((3, 1), 0.1);
        for power in [0.0, 1.0, 1.5, 2.0, 3.0] {
            let off = Array2::from_elem((3, 1), 0.2);
            assert!(d2_tweedie(&off, &constant, power).unwrap().is_nan(), "{power}");
            assert_eq!(tweedie_deviance(&constant, &constant, power).unwrap(), 0.0);
        }
        assert!(message(&one, &one, f64::INFINITY).contains("0, or 1 and more"));
        // A target of 0 has a finite deviance between Poisson and gamma: 2 μ^½/½ at 1.5.
        let found = tweedie_deviance(&one, &array![[0.0]], 1.5).unwrap();
        assert!((found - 4.0).abs() < 1e-15);
    }
}

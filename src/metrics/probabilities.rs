//! Metrics of predicted probabilities of classes.

use ndarray::Array2;

use crate::cpu::real::Real;
use crate::{Error, Result};

/// Bins of the confidence, as in Guo et al.
pub const CALIBRATION_BINS: usize = 15;

/// Mean of −ln p of each row's class, in nats. `probabilities` are [rows, classes]; those of 0 give
/// ∞. scikit-learn: `log_loss`, which clips them.
///
/// # Errors
/// [`Error::Shape`] if the numbers of rows differ; [`Error::Empty`] without rows; [`Error::Label`]
/// for a class out of range.
///
/// ```
/// use gradus::metrics::log_loss;
/// use ndarray::array;
///
/// let found = log_loss(&array![[0.5, 0.5], [0.75, 0.25]], &[0, 1])?;
/// assert!((found - (2.0_f64.ln() + 4.0_f64.ln()) / 2.0).abs() < 1e-15);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn log_loss(probabilities: &Array2<f64>, classes: &[usize]) -> Result<f64> {
    check("log_loss", probabilities, classes)?;
    let sum: f64 =
        classes.iter().enumerate().map(|(row, &class)| -probabilities[[row, class]].ln()).sum();
    Ok(sum / classes.len() as f64)
}

/// Brier score: the mean over the rows of Σ (p − \[own class\])² over the classes, from 0 to 2. With
/// two classes it is twice that of class 1 alone, which scikit-learn's `brier_score_loss` gives for
/// two classes (`scale_by_half`).
///
/// # Errors
/// As [`log_loss`].
///
/// Source: G. Brier, Verification of forecasts expressed in terms of probability, 1950.
///
/// ```
/// use gradus::metrics::brier_score;
/// use ndarray::array;
///
/// assert_eq!(brier_score(&array![[0.5, 0.5], [0.75, 0.25]], &[0, 1])?, 0.8125); // (0.5 + 1.125) / 2
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn brier_score(probabilities: &Array2<f64>, classes: &[usize]) -> Result<f64> {
    check("brier_score", probabilities, classes)?;
    let of = |(row, &class): (usize, &usize)| -> f64 {
        let cells = probabilities.row(row).into_iter().enumerate();
        cells.map(|(place, p)| (p - f64::from(u8::from(place == class))).powi(2)).sum()
    };
    Ok(classes.iter().enumerate().map(of).sum::<f64>() / classes.len() as f64)
}

/// Ranked probability score of classes in an order: the mean over the rows of Σ (P − \[own class ≤
/// k\])² / (classes − 1) over all k but the last, with P the probability of a class up to k. From 0 to
/// 1; a class beside the right one costs less than one far away. With two classes it is half of
/// [`brier_score`].
///
/// # Errors
/// As [`log_loss`]; [`Error::Shape`] for a single class.
///
/// Source: E. Epstein, A scoring system for probability forecasts of ranked categories, 1969; divided
/// by the number of steps as in A. Murphy, A note on the ranked probability score, 1971.
///
/// ```
/// use gradus::metrics::ranked_probability_score;
/// use ndarray::array;
///
/// // All on the class beside the right one, and on the one at the other end.
/// assert_eq!(ranked_probability_score(&array![[0.0, 1.0, 0.0]], &[0])?, 0.5);
/// assert_eq!(ranked_probability_score(&array![[0.0, 0.0, 1.0]], &[0])?, 1.0);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn ranked_probability_score(probabilities: &Array2<f64>, classes: &[usize]) -> Result<f64> {
    check("ranked_probability_score", probabilities, classes)?;
    let steps = probabilities.ncols() - 1;
    if steps == 0 {
        return Err(Error::Shape {
            operation: "ranked_probability_score".into(),
            found: "one class".into(),
            allowed: "two classes or more".into(),
        });
    }
    let of = |(row, &class): (usize, &usize)| -> f64 {
        let mut up_to = 0.0;
        let distance = |(place, p): (usize, &f64)| {
            up_to += p;
            (up_to - f64::from(u8::from(class <= place))).powi(2)
        };
        probabilities.row(row).iter().enumerate().take(steps).map(distance).sum()
    };
    Ok(classes.iter().enumerate().map(of).sum::<f64>() / (classes.len() * steps) as f64)
}

/// Continuous ranked probability score of normal distributions: the mean over the numbers of
/// ∫ (F(x) − \[target ≤ x\])² dx, in the unit of the targets; the absolute error where a deviation is
/// 0. σ (z (2 Φ(z) − 1) + 2 φ(z) − 1 / √π) with z = (target − μ) / σ.
///
/// # Errors
/// [`Error::Shape`] for other lengths, [`Error::Empty`] without targets, [`Error::Option`] for a
/// deviation below 0. NaN is propagated.
///
/// Source: T. Gneiting and A. Raftery, Strictly proper scoring rules, prediction, and estimation, 2007.
///
/// ```
/// use gradus::metrics::crps_normal;
///
/// assert!((crps_normal(&[0.0], &[1.0], &[0.0])? - 0.2336949772551092).abs() < 1e-15);
/// assert_eq!(crps_normal(&[3.0], &[0.0], &[1.0])?, 2.0);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn crps_normal(means: &[f64], deviations: &[f64], targets: &[f64]) -> Result<f64> {
    let lengths = [means.len(), deviations.len(), targets.len()];
    if lengths.iter().any(|&length| length != targets.len()) {
        return Err(Error::Shape {
            operation: "crps_normal".into(),
            found: format!(
                "{} means, {} deviations and {} targets",
                lengths[0], lengths[1], lengths[2]
            ),
            allowed: "as many of each".into(),
        });
    }
    if targets.is_empty() {
        return Err(Error::Empty { operation: "crps_normal".into(), name: "the targets".into() });
    }
    if let Some(&wrong) = deviations.iter().find(|deviation| **deviation < 0.0) {
        return Err(Error::option("crps_normal", "deviations", wrong, "numbers from 0"));
    }
    let of = |((&mean, &deviation), &target): ((&f64, &f64), &f64)| {
        let error = target - mean;
        if deviation == 0.0 {
            return error.abs();
        }
        let z = error / deviation;
        let density = (-0.5 * z * z).exp() / std::f64::consts::TAU.sqrt();
        let share = 2.0 * Real::normal_cdf(z) - 1.0;
        deviation * (z * share + 2.0 * density - std::f64::consts::PI.sqrt().recip())
    };
    let all = means.iter().zip(deviations).zip(targets);
    Ok(all.map(of).sum::<f64>() / targets.len() as f64)
}

/// Expected calibration error: the rows in [`CALIBRATION_BINS`] bins of equal width of the largest
/// probability; the mean of |share of right rows − mean largest probability| by rows. The lower
/// edge of a bin belongs to the bin below it, the predicted class is the first of equal ones.
///
/// # Errors
/// As [`log_loss`].
///
/// Source: C. Guo, G. Pleiss, Y. Sun and K. Weinberger, On calibration of modern neural networks,
/// 2017.
///
/// ```
/// use gradus::metrics::calibration_error;
/// use ndarray::array;
///
/// // Two rows with a confidence of 3/4, of which one is right.
/// assert_eq!(calibration_error(&array![[0.75, 0.25], [0.25, 0.75]], &[0, 0])?, 0.25);
/// # Ok::<(), gradus::Error>(())
/// ```
pub fn calibration_error(probabilities: &Array2<f64>, classes: &[usize]) -> Result<f64> {
    check("calibration_error", probabilities, classes)?;
    if probabilities.iter().any(|p| p.is_nan()) {
        return Ok(f64::NAN);
    }
    let mut bins = [(0.0, 0.0); CALIBRATION_BINS];
    for (row, &class) in probabilities.rows().into_iter().zip(classes) {
        let best = (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        let place = (row[best] * CALIBRATION_BINS as f64).ceil() as usize;
        let bin = &mut bins[place.clamp(1, CALIBRATION_BINS) - 1];
        *bin = (bin.0 + f64::from(u8::from(best == class)), bin.1 + row[best]);
    }
    Ok(bins.iter().map(|(right, confidence)| (right - confidence).abs()).sum::<f64>()
        / classes.len() as f64)
}

pub(super) fn check(operation: &str, probabilities: &Array2<f64>, classes: &[usize]) -> Result<()> {
    if probabilities.nrows() != classes.len() {
        return Err(Error::Shape {
            operation: operation.into(),
            found: format!(
                "{} rows of probabilities but {} classes",
                probabilities.nrows(),
                classes.len()
            ),
            allowed: "there must be one class for each row".into(),
        });
    }
    if classes.is_empty() {
        return Err(Error::Empty { operation: operation.into(), name: "the rows".into() });
    }
    match classes.iter().position(|&class| class >= probabilities.ncols()) {
        Some(row) => Err(Error::Label {
            operation: operation.into(),
            row,
            label: i64::try_from(classes[row]).unwrap_or(i64::MAX),
            classes: probabilities.ncols(),
            ignored: String::new(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    const LOG_LOSS: f64 = 0.58978886112061;
    const BRIER: f64 = 0.3475;

    /// scikit-learn 1.9.1's `log_loss` and `brier_score_loss` of three classes.
    #[test]
    fn values_are_those_of_scikit_learn() {
        let p = array![[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.25, 0.5, 0.25], [0.05, 0.9, 0.05]];
        let classes = [0, 1, 1, 1];
        assert!((log_loss(&p, &classes).unwrap() - LOG_LOSS).abs() < 1e-12);
        assert!((brier_score(&p, &classes).unwrap() - BRIER).abs() < 1e-12);
        // Each row is alone in its bin: |1 − .7|, |0 − .6|, |1 − .5|, |1 − .9| over 4.
        assert!((calibration_error(&p, &classes).unwrap() - 1.5 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn rows_and_classes_must_fit_and_nan_is_propagated() {
        let p = array![[0.5, 0.5]];
        assert!(log_loss(&p, &[2]).unwrap_err().to_string().contains("label 2"));
        assert!(brier_score(&p, &[0, 1]).is_err());
        assert!(calibration_error(&Array2::zeros((0, 2)), &[]).is_err());
        let nan = array![[f64::NAN, 0.5]];
        for metric in [log_loss, brier_score, calibration_error] {
            assert!(metric(&nan, &[0]).unwrap().is_nan());
        }
        assert_eq!(log_loss(&array![[0.0, 1.0]], &[0]).unwrap(), f64::INFINITY);
        assert_eq!(calibration_error(&array![[0.0, 1.0]], &[1]).unwrap(), 0.0);
    }

    /// By the definition: the integral of the squared difference of the two distributions.
    fn integral(mean: f64, deviation: f64, target: f64) -> f64 {
        let (from, to, steps) =
            (mean.min(target) - 12.0 * deviation, mean.max(target) + 12.0 * deviation, 400_000);
        let width = (to - from) / f64::from(steps);
        let at = |step: i32| {
            let x = from + (f64::from(step) + 0.5) * width;
            let below = Real::normal_cdf((x - mean) / deviation);
            (below - f64::from(u8::from(target <= x))).powi(2) * width
        };
        (0..steps).map(at).sum()
    }

    #[test]
    fn continuous_scores_are_the_integrals() {
        for (mean, deviation, target) in [(0.0, 1.0, 0.3), (2.0, 0.5, -1.0), (-3.0, 4.0, 5.0)] {
            let found = crps_normal(&[mean], &[deviation], &[target]).unwrap();
            // The middle rule is off by a step at the target: 24 deviations / 400,000.
            assert!(
                (found - integral(mean, deviation, target)).abs() < 1e-4 * deviation,
                "{found}"
            );
        }
        let two = crps_normal(&[0.0, 1.0], &[1.0, 2.0], &[0.5, 0.5]).unwrap();
        let each = [(0.0, 1.0), (1.0, 2.0)].map(|(m, d)| crps_normal(&[m], &[d], &[0.5]).unwrap());
        assert!((two - (each[0] + each[1]) / 2.0).abs() < 1e-15);
        assert!(crps_normal(&[0.0], &[f64::NAN], &[0.0]).unwrap().is_nan());
        for wrong in [
            crps_normal(&[0.0], &[1.0], &[]),
            crps_normal(&[], &[], &[]),
            crps_normal(&[0.0], &[-1.0], &[0.0]),
        ] {
            assert!(wrong.is_err());
        }
    }

    #[test]
    fn ranked_scores_by_hand() {
        let p = array![[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]];
        // Class 1: (.2)² + (.3)²; class 0: (.9)² + (.8)².
        let expected = (0.04 + 0.09 + 0.81 + 0.64) / 4.0;
        assert!((ranked_probability_score(&p, &[1, 0]).unwrap() - expected).abs() < 1e-15);
        let two = array![[0.3, 0.7]];
        let half = brier_score(&two, &[0]).unwrap() / 2.0;
        assert!((ranked_probability_score(&two, &[0]).unwrap() - half).abs() < 1e-15);
        assert!(ranked_probability_score(&array![[1.0]], &[0]).is_err());
        assert!(ranked_probability_score(&p, &[1]).is_err());
        assert!(ranked_probability_score(&array![[f64::NAN, 0.5]], &[0]).unwrap().is_nan());
    }
}

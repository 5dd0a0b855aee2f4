//! Metrics by name, of the predictions of a model.

use ndarray::{Array2, ArrayView1};

use crate::metrics::confusion::Confusion;
use crate::metrics::deviance::{d2_pinball, d2_tweedie, pinball, tweedie_deviance};
use crate::metrics::probabilities::{
    self, brier_score, calibration_error, ranked_probability_score,
};
use crate::metrics::regression::regression;
use crate::{Error, Result};

/// A metric of a model's predictions: [`Model::evaluate_with`](crate::Model::evaluate_with).
///
/// Everything is computed in f64 on the host. The predicted class is that of the largest output,
/// the first of equal ones; with one output, class 1 above the loss's threshold (0 for logits, 0.5
/// for probabilities), else class 0. A NaN among the outputs makes every metric NaN.
///
/// Macro means are over the classes that occur among the targets or the predictions; a precision
/// or recall of 0/0 counts as 0, as in scikit-learn (`zero_division=0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Share of rows whose class is predicted.
    Accuracy,
    /// Share of rows whose class is among the k with the largest outputs, k from 1 to the number of
    /// classes. Of equal outputs the lower class comes first.
    TopK(usize),
    /// Of the rows predicted as class 1, the share that is; for two classes.
    Precision,
    /// Of the rows of class 1, the share that is predicted so; for two classes.
    Recall,
    /// 2 · precision · recall / (precision + recall) of class 1; for two classes.
    F1,
    /// Mean of the classes' precisions.
    PrecisionMacro,
    /// Mean of the classes' recalls.
    RecallMacro,
    /// Mean of the classes' F1.
    F1Macro,
    /// Precision over all classes' counts together: for one class per row the accuracy.
    PrecisionMicro,
    /// Recall over all classes' counts together: for one class per row the accuracy.
    RecallMicro,
    /// F1 over all classes' counts together: for one class per row the accuracy.
    F1Micro,
    /// Area under the ROC curve: the probability that a row of a class has a larger probability of
    /// it than a row of another class, a tie counting ½. For two classes that of class 1, for more
    /// the mean over the classes, each against the rest (scikit-learn: `multi_class="ovr"`).
    /// Classes of no row, or of all, are left out; NaN if none remain.
    RocAuc,
    /// exp of the mean cross-entropy of the class labels.
    Perplexity,
    /// Mean of the recalls of the classes that have rows: [`Confusion::balanced_accuracy`].
    BalancedAccuracy,
    /// Mean cross-entropy of the class labels, in nats: [`log_loss`](crate::metrics::log_loss).
    LogLoss,
    /// Squared error of the probabilities: [`brier_score`](crate::metrics::brier_score).
    Brier,
    /// Ranked probability score of classes in their order:
    /// [`ranked_probability_score`](crate::metrics::ranked_probability_score).
    RankedProbability,
    /// Expected calibration error in 15 bins:
    /// [`calibration_error`](crate::metrics::calibration_error).
    CalibrationError,
    /// Mean of |error|, in the unit of the targets.
    Mae,
    /// √ of the mean squared error, in the unit of the targets.
    Rmse,
    /// 1 − Σ error² / Σ (target − mean of its column)²; NaN if no column varies.
    R2,
    /// Mean deviance of a Tweedie distribution, with the power of the mean in its variance in
    /// tenths: 10 Poisson, 15, 20 gamma; [`tweedie_deviance`](crate::metrics::tweedie_deviance).
    TweedieDeviance(u8),
    /// Share of that deviance that is explained: [`d2_tweedie`](crate::metrics::d2_tweedie).
    D2Tweedie(u8),
    /// Pinball loss of a quantile in percent, 1 to 99: [`pinball`](crate::metrics::pinball).
    Pinball(u8),
    /// Share of that loss that is explained, 50 for the absolute error:
    /// [`d2_pinball`](crate::metrics::d2_pinball).
    D2Pinball(u8),
}

impl Metric {
    /// The name: `accuracy`, `top_5`, `f1_macro`.
    pub fn name(self) -> String {
        let name = match self {
            Metric::Accuracy => "accuracy",
            Metric::TopK(k) => return format!("top_{k}"),
            Metric::Precision => "precision",
            Metric::Recall => "recall",
            Metric::F1 => "f1",
            Metric::PrecisionMacro => "precision_macro",
            Metric::RecallMacro => "recall_macro",
            Metric::F1Macro => "f1_macro",
            Metric::PrecisionMicro => "precision_micro",
            Metric::RecallMicro => "recall_micro",
            Metric::F1Micro => "f1_micro",
            Metric::RocAuc => "roc_auc",
            Metric::Perplexity => "perplexity",
            Metric::Mae => "mae",
            Metric::Rmse => "rmse",
            Metric::R2 => "r2",
            Metric::BalancedAccuracy => "balanced_accuracy",
            Metric::LogLoss => "log_loss",
            Metric::Brier => "brier",
            Metric::RankedProbability => "ranked_probability",
            Metric::CalibrationError => "calibration_error",
            Metric::TweedieDeviance(tenths) => {
                return format!("tweedie_deviance_{}", power(tenths));
            }
            Metric::D2Tweedie(tenths) => return format!("d2_tweedie_{}", power(tenths)),
            Metric::Pinball(percent) => return format!("pinball_{}", quantile(percent)),
            Metric::D2Pinball(percent) => return format!("d2_pinball_{}", quantile(percent)),
        };
        name.into()
    }

    /// True if it compares numbers and not classes.
    fn is_of_numbers(self) -> bool {
        matches!(
            self,
            Metric::Mae
                | Metric::Rmse
                | Metric::R2
                | Metric::TweedieDeviance(_)
                | Metric::D2Tweedie(_)
                | Metric::Pinball(_)
                | Metric::D2Pinball(_)
        )
    }
}

/// A power from its tenths.
fn power(tenths: u8) -> f64 {
    f64::from(tenths) / 10.0
}

/// A quantile from its percent.
fn quantile(percent: u8) -> f64 {
    f64::from(percent) / 100.0
}

/// What is measured against.
#[derive(Clone, Debug)]
pub(crate) enum Truth {
    /// The class of each row. The predictions are a number per class by which the classes of a row
    /// are ranked, and a class's rows among each other; they are log-probabilities if
    /// `has_probabilities`.
    Classes { classes: Vec<usize>, has_probabilities: bool },
    /// A number for each prediction.
    Numbers(Array2<f64>),
}

/// The metrics of predictions, [rows, columns], in order, by name.
///
/// # Errors
/// [`Error::Input`] for a metric that the targets do not have, [`Error::Option`] for a `TopK`
/// outside the classes, [`Error::Empty`] without rows, [`Error::Shape`] if shapes differ.
pub(crate) fn measure(
    predictions: &Array2<f64>,
    truth: &Truth,
    metrics: &[Metric],
) -> Result<Vec<(String, f64)>> {
    if predictions.nrows() == 0 {
        return Err(Error::Empty { operation: "evaluate_with".into(), name: "the rows".into() });
    }
    let has_nan = predictions.iter().any(|value| value.is_nan());
    let value = |&metric: &Metric| {
        let value = match truth {
            Truth::Classes { classes, has_probabilities } if !metric.is_of_numbers() => {
                of_classes(predictions, classes, *has_probabilities, metric)?
            }
            Truth::Numbers(targets) if metric.is_of_numbers() => {
                of_numbers(predictions, targets, metric)?
            }
            Truth::Classes { .. } => return Err(refused(metric, "classes", "numbers")),
            Truth::Numbers(_) => return Err(refused(metric, "numbers", "classes")),
        };
        Ok((metric.name(), if has_nan { f64::NAN } else { value }))
    };
    metrics.iter().map(value).collect()
}

fn refused(metric: Metric, found: &str, wanted: &str) -> Error {
    Error::Input {
        operation: "evaluate_with".into(),
        name: metric.name(),
        found: format!("is asked of targets that are {found}"),
        allowed: format!("it is a metric of {wanted}"),
    }
}

fn of_numbers(predictions: &Array2<f64>, targets: &Array2<f64>, metric: Metric) -> Result<f64> {
    match metric {
        Metric::TweedieDeviance(tenths) => {
            return tweedie_deviance(predictions, targets, power(tenths));
        }
        Metric::D2Tweedie(tenths) => return d2_tweedie(predictions, targets, power(tenths)),
        Metric::Pinball(percent) => return pinball(predictions, targets, quantile(percent)),
        Metric::D2Pinball(percent) => return d2_pinball(predictions, targets, quantile(percent)),
        _ => {}
    }
    let found = regression(predictions, targets)?;
    Ok(match metric {
        Metric::Mae => found.mae,
        Metric::Rmse => found.rmse,
        _ => found.r2.unwrap_or(f64::NAN),
    })
}

fn of_classes(
    predictions: &Array2<f64>,
    actual: &[usize],
    has_probabilities: bool,
    metric: Metric,
) -> Result<f64> {
    let classes = predictions.ncols();
    match metric {
        Metric::TopK(k) => return top(predictions, actual, k),
        Metric::RocAuc => return Ok(roc_auc(predictions, actual)),
        Metric::Perplexity if has_probabilities => {
            let rows = predictions.rows().into_iter().zip(actual);
            let sum: f64 = rows.map(|(row, &class)| row[class]).sum();
            return Ok((-sum / actual.len() as f64).exp());
        }
        Metric::LogLoss if has_probabilities => {
            probabilities::check("log_loss", predictions, actual)?;
            // Not the logarithm of the exponential, which is infinite below −745.
            let rows = predictions.rows().into_iter().zip(actual);
            let sum: f64 = rows.map(|(row, &class)| -row[class]).sum();
            return Ok(sum / actual.len() as f64);
        }
        Metric::Brier if has_probabilities => {
            return brier_score(&predictions.mapv(f64::exp), actual);
        }
        Metric::RankedProbability if has_probabilities => {
            return ranked_probability_score(&predictions.mapv(f64::exp), actual);
        }
        Metric::CalibrationError if has_probabilities => {
            return calibration_error(&predictions.mapv(f64::exp), actual);
        }
        Metric::Perplexity
        | Metric::LogLoss
        | Metric::Brier
        | Metric::RankedProbability
        | Metric::CalibrationError => {
            return Err(refused(metric, "not scored by a cross-entropy", "class labels"));
        }
        Metric::Precision | Metric::Recall | Metric::F1 if classes != 2 => {
            let found = format!("targets of {classes} classes");
            return Err(refused(metric, &found, "two classes; take the macro or micro mean"));
        }
        _ => {}
    }
    let predicted: Vec<usize> = predictions.rows().into_iter().map(largest).collect();
    let confusion = Confusion::new(classes, actual, &predicted)?;
    let of = |class: usize| {
        let (precision, recall) =
            (confusion.precision(class).unwrap_or(0.0), confusion.recall(class).unwrap_or(0.0));
        let both = precision + recall;
        [precision, recall, if both > 0.0 { 2.0 * precision * recall / both } else { 0.0 }]
    };
    let occurs = |&class: &usize| actual.contains(&class) || predicted.contains(&class);
    let mean = |place: usize| {
        let values: Vec<f64> = (0..classes).filter(occurs).map(|class| of(class)[place]).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    Ok(match metric {
        Metric::Precision => of(1)[0],
        Metric::Recall => of(1)[1],
        Metric::F1 => of(1)[2],
        Metric::PrecisionMacro => mean(0),
        Metric::RecallMacro => mean(1),
        Metric::F1Macro => mean(2),
        Metric::BalancedAccuracy => confusion.balanced_accuracy(),
        // One class per row: each wrong row is one false positive and one false negative.
        _ => confusion.accuracy(),
    })
}

/// The place of the largest number, the first of equal ones.
fn largest(row: ArrayView1<f64>) -> usize {
    (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
}

/// Share of rows with fewer than k classes before their own.
fn top(predictions: &Array2<f64>, actual: &[usize], k: usize) -> Result<f64> {
    let classes = predictions.ncols();
    if k == 0 || k > classes {
        let allowed = format!("from 1 to {classes}, the number of classes");
        return Err(Error::option("evaluate_with", "top_k", k, &allowed));
    }
    let rank = |row: ArrayView1<f64>, class: usize| {
        let own = row[class];
        let is_before = |at: usize| row[at] > own || (row[at] == own && at < class);
        (0..classes).filter(|&at| is_before(at)).count()
    };
    let rows = predictions.rows().into_iter().zip(actual);
    let found = rows.filter(|(row, class)| rank(*row, **class) < k).count();
    Ok(found as f64 / actual.len() as f64)
}

/// The mean over the classes, each against the rest; of class 1 alone for two.
fn roc_auc(predictions: &Array2<f64>, actual: &[usize]) -> f64 {
    let classes = if predictions.ncols() == 2 { 1..2 } else { 0..predictions.ncols() };
    let areas: Vec<f64> = classes
        .filter_map(|class| {
            let is_own: Vec<bool> = actual.iter().map(|&found| found == class).collect();
            area(&predictions.column(class).to_vec(), &is_own)
        })
        .collect();
    if areas.is_empty() { f64::NAN } else { areas.iter().sum::<f64>() / areas.len() as f64 }
}

/// The area under the ROC curve from the ranks of the positive rows: equal scores share the mean of
/// their ranks. `None` without rows of both kinds.
fn area(scores: &[f64], is_positive: &[bool]) -> Option<f64> {
    let positive = is_positive.iter().filter(|&&is| is).count();
    let negative = is_positive.len() - positive;
    if positive == 0 || negative == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let (mut ranks, mut before) = (0.0, 0);
    for equal in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let rank = before as f64 + (equal.len() + 1) as f64 / 2.0;
        ranks += rank * equal.iter().filter(|&&row| is_positive[row]).count() as f64;
        before += equal.len();
    }
    let (positive, negative) = (positive as f64, negative as f64);
    Some((ranks - positive * (positive + 1.0) / 2.0) / (positive * negative))
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn values(predictions: &Array2<f64>, truth: &Truth, metrics: &[Metric]) -> Vec<f64> {
        let found = measure(predictions, truth, metrics).unwrap();
        found.into_iter().map(|(_, value)| value).collect()
    }

    fn classes(classes: &[usize]) -> Truth {
        Truth::Classes { classes: classes.into(), has_probabilities: false }
    }

    #[test]
    fn three_classes_by_hand() {
        // Predicted 0, 0, 1, 2, 1, and 0 as the first of equal ones; class 3 does not occur.
        let predictions = array![
            [0.9, 0.1, 0.0, -1.0],
            [0.5, 0.4, 0.3, -1.0],
            [0.1, 0.8, 0.3, -1.0],
            [0.1, 0.2, 0.3, -1.0],
            [0.0, 0.6, 0.5, -1.0],
            [0.2, 0.2, 0.2, -1.0],
        ];
        let truth = classes(&[0, 1, 1, 2, 2, 1]);
        let found = values(
            &predictions,
            &truth,
            &[
                Metric::Accuracy,
                Metric::TopK(1),
                Metric::TopK(2),
                Metric::TopK(4),
                Metric::PrecisionMacro,
                Metric::RecallMacro,
                Metric::F1Macro,
                Metric::F1Micro,
            ],
        );
        // Precisions 1/3, 1/2, 1; recalls 1, 1/3, 1/2; F1 1/2, 2/5, 2/3.
        let expected = [
            0.5,
            0.5,
            1.0,
            1.0,
            (1.0 / 3.0 + 0.5 + 1.0) / 3.0,
            (1.0 + 1.0 / 3.0 + 0.5) / 3.0,
            (0.5 + 0.4 + 2.0 / 3.0) / 3.0,
            0.5,
        ];
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!((found - expected).abs() < 1e-15, "{place}: {found} not {expected}");
        }
    }

    #[test]
    fn two_classes_and_a_tie_in_the_roc_curve_by_hand() {
        // Scores of class 1; rows of class 1 have 0.8, 0.4, 0.4 and the others 0.4, 0.1.
        let predictions = array![[0.5, 0.8], [0.5, 0.4], [0.5, 0.4], [0.5, 0.4], [0.05, 0.1]];
        let truth = classes(&[1, 1, 1, 0, 0]);
        let asked = [Metric::Precision, Metric::Recall, Metric::F1, Metric::RocAuc];
        let found = values(&predictions, &truth, &asked);
        // Predicted 1, 0, 0, 0, 1. Pairs: 0.8 wins twice, each 0.4 a half and one: 5 of 6.
        let expected = [0.5, 1.0 / 3.0, 0.4, 5.0 / 6.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15, "{found} not {expected}");
        }
        let alone = values(&predictions, &classes(&[1; 5]), &[Metric::RocAuc]);
        assert!(alone[0].is_nan());
        // One against the rest: class 0 ranks perfectly, class 1 in one of two pairs, class 2 in
        // none of two.
        let predictions = array![[0.9, 0.3, 0.1], [0.1, 0.4, 0.3], [0.0, 0.5, 0.0]];
        let found = values(&predictions, &classes(&[0, 1, 2]), &[Metric::RocAuc]);
        assert_eq!(found, [0.5]);
    }

    #[test]
    fn perplexity_and_errors_of_numbers_by_hand() {
        let probabilities: Array2<f64> = array![[0.5, 0.5], [0.875, 0.125]];
        let truth = Truth::Classes { classes: vec![0, 1], has_probabilities: true };
        let found = values(&probabilities.mapv(f64::ln), &truth, &[Metric::Perplexity]);
        assert!((found[0] - 4.0).abs() < 1e-14, "{found:?}");
        let far = values(&array![[-1000.0, 0.0], [-1.0, 0.0]], &truth, &[Metric::LogLoss]);
        assert_eq!(far, [500.0]);
        let truth = Truth::Numbers(array![[3.0], [-0.5], [2.0], [7.0]]);
        let predictions = array![[2.5], [0.0], [2.0], [8.0]];
        let found = values(&predictions, &truth, &[Metric::Mae, Metric::Rmse, Metric::R2]);
        assert_eq!(found[..2], [0.5, 0.375_f64.sqrt()]);
        assert!((found[2] - (1.0 - 1.5 / 29.1875)).abs() < 1e-15);
        let found = measure(&array![[f64::NAN], [0.0], [0.0], [0.0]], &truth, &[Metric::Mae]);
        assert!(found.unwrap()[0].1.is_nan());
    }

    #[test]
    fn probabilities_deviances_and_quantiles_have_their_names_and_values() {
        let logarithms = array![[0.5_f64, 0.5], [0.75, 0.25]].mapv(f64::ln);
        let truth = Truth::Classes { classes: vec![0, 1], has_probabilities: true };
        let asked = [
            Metric::LogLoss,
            Metric::Brier,
            Metric::RankedProbability,
            Metric::CalibrationError,
            Metric::BalancedAccuracy,
        ];
        let found = measure(&logarithms, &truth, &asked).unwrap();
        // Right at .5, wrong at .75; log loss (ln 2 + ln 4) / 2.
        let expected = [
            ("log_loss", 1.5 * 2.0_f64.ln()),
            ("brier", 0.8125),
            ("ranked_probability", 0.40625),
            ("calibration_error", 0.625),
            ("balanced_accuracy", 0.5),
        ];
        for ((name, value), (own, expected)) in found.iter().zip(expected) {
            assert!(name == own && (value - expected).abs() < 1e-14, "{name}: {value}");
        }
        let message = measure(&logarithms, &classes(&[0, 1]), &[Metric::Brier]).unwrap_err();
        assert!(message.to_string().contains("cross-entropy"), "{message}");
        let truth = Truth::Numbers(array![[2.0], [0.0]]);
        let asked = [
            Metric::TweedieDeviance(10),
            Metric::D2Tweedie(10),
            Metric::Pinball(75),
            Metric::D2Pinball(50),
        ];
        let found = measure(&array![[2.0], [1.0]], &truth, &asked).unwrap();
        // Beside the mean 1 the deviances are 2 (2 ln 2 − 1) and 2; beside the median |e| is 1.
        let expected = [
            ("tweedie_deviance_1", 1.0),
            ("d2_tweedie_1", 1.0 - 1.0 / (2.0 * 2.0_f64.ln())),
            ("pinball_0.75", 0.125),
            ("d2_pinball_0.5", 0.5),
        ];
        for ((name, value), (own, expected)) in found.iter().zip(expected) {
            assert!(name == own && (value - expected).abs() < 1e-14, "{name}: {value}");
        }
    }

    #[test]
    fn metrics_that_the_targets_do_not_have_are_refused() {
        let (two, truth) = (array![[0.0, 1.0]], classes(&[1]));
        let message = |predictions: &Array2<f64>, truth: &Truth, metric: Metric| {
            measure(predictions, truth, &[metric]).unwrap_err().to_string()
        };
        assert!(message(&two, &truth, Metric::TopK(3)).contains("from 1 to 2"));
        assert!(message(&two, &truth, Metric::TopK(0)).contains("from 1 to 2"));
        assert!(message(&two, &truth, Metric::Mae).contains("a metric of numbers"));
        assert!(message(&two, &truth, Metric::Perplexity).contains("cross-entropy"));
        let three = array![[0.0, 1.0, 2.0]];
        assert!(message(&three, &truth, Metric::F1).contains("two classes"));
        let numbers = Truth::Numbers(array![[1.0]]);
        assert!(message(&array![[1.0]], &numbers, Metric::Accuracy).contains("of classes"));
        assert!(measure(&Array2::zeros((0, 2)), &classes(&[]), &[Metric::Accuracy]).is_err());
    }
}

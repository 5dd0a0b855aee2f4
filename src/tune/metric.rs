//! The metric that all trials have in common, whatever their loss: of predictions on rows that were
//! held out.

use ndarray::ArrayView2;

use crate::{Error, Result};

/// What a search makes small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// √ of the mean squared error, in the unit of the targets.
    Rmse,
    /// Mean of |error|, in the unit of the targets.
    Mae,
    /// Mean of −ln p of the true class, with p at least 1e-15 as in scikit-learn.
    LogLoss,
    /// Share of rows whose class is not predicted: 1 − accuracy.
    Error,
    /// Mean over the classes of the share of their rows that are not predicted: 1 − balanced
    /// accuracy.
    BalancedError,
}

/// The metrics with their names.
const NAMES: [(Metric, &str); 5] = [
    (Metric::Rmse, "rmse"),
    (Metric::Mae, "mae"),
    (Metric::LogLoss, "log_loss"),
    (Metric::Error, "error"),
    (Metric::BalancedError, "balanced_error"),
];

impl Metric {
    /// The name: `rmse`, `log_loss`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(metric, _)| *metric == self).map_or("", |(_, name)| name)
    }

    /// The metric of a name; `accuracy` and `balanced_accuracy` are those of the errors.
    ///
    /// # Errors
    /// [`Error::Unknown`] for another name.
    pub fn from_name(name: &str) -> Result<Self> {
        let asked = match name {
            "accuracy" => "error",
            "balanced_accuracy" => "balanced_error",
            other => other,
        };
        let found = NAMES.iter().find(|(_, own)| *own == asked).map(|(metric, _)| *metric);
        found.ok_or_else(|| Error::unknown("metric", name, NAMES.iter().map(|(_, name)| *name)))
    }

    /// True for a metric of numbers, false for one of classes.
    pub fn is_of_numbers(self) -> bool {
        matches!(self, Metric::Rmse | Metric::Mae)
    }

    /// The term of each row, and its weight in the mean.
    pub(crate) fn terms(self, predictions: ArrayView2<f64>, truth: Truth<'_>) -> Terms {
        let mut values = Vec::with_capacity(predictions.nrows());
        let mut weights = vec![1.0; predictions.nrows()];
        match truth {
            Truth::Numbers(targets) => {
                for (row, target) in predictions.rows().into_iter().zip(targets) {
                    let error = row[0] - target;
                    values.push(if self == Metric::Mae { error.abs() } else { error * error });
                }
            }
            Truth::Classes(classes) => {
                let mut counts = vec![0.0; predictions.ncols()];
                classes.iter().for_each(|&class| counts[class] += 1.0);
                for ((row, &class), weight) in
                    predictions.rows().into_iter().zip(classes).zip(&mut weights)
                {
                    let has_nan = row.iter().any(|value| value.is_nan());
                    let first = (0..row.len()).fold(
                        0,
                        |best, at| {
                            if row[at] > row[best] { at } else { best }
                        },
                    );
                    values.push(match self {
                        _ if has_nan => f64::NAN,
                        Metric::LogLoss => -row[class].max(1e-15).ln(),
                        _ => f64::from(u8::from(first != class)),
                    });
                    if self == Metric::BalancedError {
                        *weight = 1.0 / counts[class];
                    }
                }
            }
        }
        Terms { metric: self, values, weights }
    }
}

/// Targets in their own unit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Truth<'t> {
    Numbers(&'t [f64]),
    Classes(&'t [usize]),
}

/// What each row adds to a metric.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    metric: Metric,
    pub values: Vec<f64>,
    weights: Vec<f64>,
}

impl Terms {
    /// The metric over all rows.
    pub fn value(&self) -> f64 {
        self.over(0..self.values.len())
    }

    /// The metric over some rows, which may be named several times.
    pub fn over(&self, rows: impl Iterator<Item = usize>) -> f64 {
        let (mut sum, mut weights) = (0.0, 0.0);
        for row in rows {
            sum += self.weights[row] * self.values[row];
            weights += self.weights[row];
        }
        let mean = sum / weights;
        if self.metric == Metric::Rmse { mean.sqrt() } else { mean }
    }

    /// The variance of the difference of two metrics on the same rows, by that of the rows; for
    /// √ of a mean by the delta method.
    pub fn variance_of_difference(&self, other: &Terms) -> f64 {
        let rows = self.values.len() as f64;
        let all: f64 = self.weights.iter().sum();
        let difference = |row: usize| self.values[row] - other.values[row];
        let weight = |row: usize| self.weights[row] / all;
        let mean: f64 = (0..self.values.len()).map(|row| weight(row) * difference(row)).sum();
        let spread: f64 = (0..self.values.len())
            .map(|row| (weight(row) * (difference(row) - mean)).powi(2))
            .sum();
        let variance = spread * rows / (rows - 1.0).max(1.0);
        match self.metric {
            Metric::Rmse => variance / (self.value() + other.value()).powi(2).max(1e-300),
            _ => variance,
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn metrics_are_those_of_their_formulas() {
        let numbers = array![[1.0], [2.0], [5.0]];
        let truth = Truth::Numbers(&[1.0, 4.0, 4.0]);
        let value = |metric: Metric| metric.terms(numbers.view(), truth).value();
        assert!((value(Metric::Rmse) - (5.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(value(Metric::Mae), 1.0);
        let probabilities = array![[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.6, 0.4, 0.0]];
        let truth = Truth::Classes(&[0, 1, 1]);
        let value = |metric: Metric| metric.terms(probabilities.view(), truth).value();
        let log_loss = -(0.5_f64.ln() + 0.8_f64.ln() + 0.4_f64.ln()) / 3.0;
        assert!((value(Metric::LogLoss) - log_loss).abs() < 1e-15);
        assert!((value(Metric::Error) - 1.0 / 3.0).abs() < 1e-15);
        assert!((value(Metric::BalancedError) - 0.25).abs() < 1e-15);
        let lost = array![[f64::NAN, 0.5]];
        assert!(Metric::Error.terms(lost.view(), Truth::Classes(&[0])).value().is_nan());
    }

    #[test]
    fn the_variance_of_a_difference_is_that_of_resampling() {
        let mut random = crate::cpu::random::Random::new(1, 0);
        let rows = 400;
        let mut of = |spread: f64| Terms {
            metric: Metric::Rmse,
            values: (0..rows).map(|_| (spread * random.normal()).powi(2)).collect(),
            weights: vec![1.0; rows],
        };
        let (one, other) = (of(1.0), of(1.1));
        let mut random = crate::cpu::random::Random::new(2, 0);
        let differences: Vec<f64> = (0..2000)
            .map(|_| {
                let drawn: Vec<usize> =
                    (0..rows).map(|_| (random.uniform() * rows as f64) as usize).collect();
                one.over(drawn.iter().copied()) - other.over(drawn.iter().copied())
            })
            .collect();
        let mean = differences.iter().sum::<f64>() / 2000.0;
        let variance = differences.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1999.0;
        // 2,000 resamplings have the variance to 1 part in 30.
        let ratio = one.variance_of_difference(&other) / variance;
        assert!((ratio - 1.0).abs() < 0.15, "{ratio}");
    }

    #[test]
    fn names_lead_back() {
        for (metric, name) in NAMES {
            assert_eq!((Metric::from_name(name).unwrap(), metric.name()), (metric, name));
        }
        assert_eq!(Metric::from_name("accuracy").unwrap(), Metric::Error);
        assert!(Metric::from_name("auc").unwrap_err().to_string().contains("known: rmse"));
    }
}

//! The rows of a search, and how they are split into folds.

use ndarray::{Array2, Axis};

use crate::cpu::random::Permutation;
use crate::data::{Dataset, Target};
use crate::error::text;
use crate::tune::metric::{Metric, Truth};
use crate::{Error, Result};

/// With fewer rows all of them are held out once, in folds; with more, a fifth of them is.
pub(crate) const FOLDED: usize = 5000;

/// Number of folds; of each split a fifth is held out.
pub(crate) const FOLDS: usize = 5;

/// The fewest rows that can be split.
const LEAST: usize = 20;

/// Features and targets.
#[derive(Clone, Debug)]
pub(crate) struct Rows {
    pub features: Array2<f32>,
    pub targets: Answers,
}

/// Targets in their own unit.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    Numbers(Vec<f64>),
    Classes { labels: Vec<usize>, classes: usize },
}

/// Rows to train on and rows held out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fold {
    pub train: Vec<usize>,
    pub held_out: Vec<usize>,
}

impl Rows {
    /// The rows of a data set for a metric.
    ///
    /// # Errors
    /// [`Error::Input`] for targets that the metric does not take or several to a row,
    /// [`Error::Empty`] for fewer than 20 rows, [`Error::NonFinite`].
    pub fn new(dataset: &Dataset, metric: Metric) -> Result<Self> {
        dataset.check_finite()?;
        let refused = |found: String, allowed: &str| Error::Input {
            operation: "tune".into(),
            name: "the targets".into(),
            found,
            allowed: allowed.into(),
        };
        if dataset.rows() < LEAST {
            let found = format!("are of {} rows", dataset.rows());
            return Err(refused(found, "20 or more are needed to hold some of them out"));
        }
        let name = metric.name();
        if let Some(value) = only_value(&dataset.target) {
            let found = format!("are {value} in all rows");
            return Err(refused(found, "two different ones at least"));
        }
        let targets = match &dataset.target {
            Target::None => return Err(refused("are missing".into(), "each row needs one")),
            Target::Values(values) if metric.is_of_numbers() && values.ncols() == 1 => {
                Answers::Numbers(values.iter().map(|&value| f64::from(value)).collect())
            }
            Target::Values(values) if metric.is_of_numbers() => {
                let found = format!("are {} numbers a row", values.ncols());
                return Err(refused(found, "one number a row: tune them one by one"));
            }
            Target::Labels { .. } if metric.is_of_numbers() => {
                return Err(refused("are classes".into(), &format!("{name} is of numbers")));
            }
            _ => {
                let (labels, classes) = (dataset.labels()?, dataset.classes()?.len());
                if classes < 2 {
                    return Err(refused("hold one class".into(), "at least two"));
                }
                let known = 0..classes as i64;
                if let Some(row) = labels.iter().position(|label| !known.contains(label)) {
                    let found = format!("hold class {} in row {row}", labels[row]);
                    return Err(refused(found, &format!("0 to {}", classes - 1)));
                }
                let labels = labels.iter().map(|&label| label as usize).collect();
                Answers::Classes { labels, classes }
            }
        };
        Ok(Rows { features: dataset.features.clone(), targets })
    }

    pub fn len(&self) -> usize {
        self.features.nrows()
    }

    /// Units of the last layer.
    pub fn outputs(&self) -> usize {
        match &self.targets {
            Answers::Numbers(_) => 1,
            Answers::Classes { classes, .. } => *classes,
        }
    }

    pub fn features(&self, rows: &[usize]) -> Array2<f32> {
        self.features.select(Axis(0), rows)
    }

    /// The targets of some rows, for a metric.
    pub fn truth<T>(&self, rows: &[usize], with: impl FnOnce(Truth<'_>) -> T) -> T {
        match &self.targets {
            Answers::Numbers(numbers) => {
                let own: Vec<f64> = rows.iter().map(|&row| numbers[row]).collect();
                with(Truth::Numbers(&own))
            }
            Answers::Classes { labels, .. } => {
                let own: Vec<usize> = rows.iter().map(|&row| labels[row]).collect();
                with(Truth::Classes(&own))
            }
        }
    }

    /// Five splits in each of which another fifth of the rows is held out; classes are spread
    /// evenly over the folds.
    pub fn folds(&self, seed: u64) -> Vec<Fold> {
        let rows = self.len();
        let order = Permutation::new(rows as u32, seed, 0);
        let mut order: Vec<usize> = (0..rows).map(|at| order.at(at as u32) as usize).collect();
        if let Answers::Classes { labels, .. } = &self.targets {
            order.sort_by_key(|&row| labels[row]);
        }
        let fold = |number: usize| {
            let is_held_out = |(place, _): &(usize, &usize)| place % FOLDS == number;
            let (held_out, train): (Vec<_>, Vec<_>) =
                order.iter().enumerate().partition(is_held_out);
            let of = |part: Vec<(usize, &usize)>| {
                let mut rows: Vec<usize> = part.into_iter().map(|(_, &row)| row).collect();
                rows.sort_unstable();
                rows
            };
            Fold { train: of(train), held_out: of(held_out) }
        };
        (0..FOLDS).map(fold).collect()
    }
}

/// Of a fold's training rows as many as a share asks for, evenly spaced in a random order.
pub(crate) fn part(train: &[usize], share: f64, seed: u64) -> Vec<usize> {
    let count = ((train.len() as f64 * share).ceil() as usize).clamp(1, train.len());
    if count == train.len() {
        return train.to_vec();
    }
    let order = Permutation::new(train.len() as u32, seed, 1);
    let mut rows: Vec<usize> = (0..count).map(|at| train[order.at(at as u32) as usize]).collect();
    rows.sort_unstable();
    rows
}

/// The target of all rows, if they have but one: no candidate could learn anything from it.
fn only_value(target: &Target) -> Option<String> {
    match target {
        Target::Values(values) if values.ncols() == 1 => {
            let first = *values.first()?;
            values.iter().all(|&value| value == first).then(|| text::exact(f64::from(first)))
        }
        Target::Labels { labels, classes } => {
            let first = *labels.first()?;
            let name = usize::try_from(first).ok().and_then(|class| classes.get(class));
            let name = || name.map_or(first.to_string(), |name| format!("`{name}`"));
            labels.iter().all(|&label| label == first).then(name)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;

    use super::*;

    fn classes(rows: usize) -> Dataset {
        let labels = Array1::from_shape_fn(rows, |row| i64::from(row % 10 == 0));
        let target = Target::Labels { labels, classes: vec!["no".into(), "yes".into()] };
        Dataset::new(Array2::zeros((rows, 3)), target).unwrap()
    }

    #[test]
    fn each_row_is_held_out_once_and_classes_are_even() {
        let rows = Rows::new(&classes(103), Metric::LogLoss).unwrap();
        let folds = rows.folds(7);
        let mut held: Vec<usize> = folds.iter().flat_map(|fold| fold.held_out.clone()).collect();
        held.sort_unstable();
        assert_eq!(held, (0..103).collect::<Vec<_>>());
        for fold in &folds {
            assert_eq!(fold.train.len() + fold.held_out.len(), 103);
            assert!(fold.held_out.iter().all(|row| !fold.train.contains(row)));
            let rare = fold.held_out.iter().filter(|row| *row % 10 == 0).count();
            assert!((2..=3).contains(&rare), "{rare}");
        }
        assert!(rows.folds(8) != folds && rows.folds(7) == folds);
        assert_eq!(part(&folds[0].train, 0.25, 1).len(), folds[0].train.len().div_ceil(4));
    }

    #[test]
    fn targets_that_do_not_fit_are_refused() {
        let refused = |dataset: &Dataset, metric, word: &str| {
            let error = Rows::new(dataset, metric).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        };
        refused(&classes(10), Metric::LogLoss, "20 or more");
        refused(&classes(100), Metric::Rmse, "rmse is of numbers");
        let two = Dataset::new(Array2::zeros((30, 1)), Target::Values(Array2::zeros((30, 2))));
        refused(&two.unwrap(), Metric::Rmse, "2 numbers a row");
    }
}

//! Which classes are taken for which.

use crate::{Error, Result};

/// A confusion matrix: how many rows of each class were predicted as each class.
///
/// ```
/// use gradus::metrics::Confusion;
///
/// let confusion = Confusion::new(3, &[0, 0, 1, 1, 2], &[0, 1, 1, 1, 1])?;
/// assert_eq!(confusion.row(0), [1, 1, 0]); // of class 0 one is found, one is taken for class 1
/// assert_eq!((confusion.accuracy(), confusion.recall(0), confusion.precision(1)), (0.6, Some(0.5), Some(0.5)));
/// assert_eq!(confusion.precision(2), None); // nothing was predicted as class 2
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<u64>,
}

impl Confusion {
    /// Of the class of each row and the class that was predicted for it.
    ///
    /// # Errors
    /// [`Error::Shape`] if there is not one prediction for each row, [`Error::Label`] for a class that there is not.
    pub fn new(classes: usize, actual: &[usize], predicted: &[usize]) -> Result<Self> {
        if actual.len() != predicted.len() {
            return Err(Error::Shape {
                operation: "confusion".into(),
                found: format!("{} classes but {} predictions", actual.len(), predicted.len()),
                allowed: "there must be one prediction for each row".into(),
            });
        }
        let mut counts = vec![0; classes * classes];
        for (row, (&actual, &predicted)) in actual.iter().zip(predicted).enumerate() {
            if let Some(label) = [actual, predicted].into_iter().find(|&label| label >= classes) {
                let (label, ignored) = (i64::try_from(label).unwrap_or(i64::MAX), String::new());
                return Err(Error::Label {
                    operation: "confusion".into(),
                    row,
                    label,
                    classes,
                    ignored,
                });
            }
            counts[actual * classes + predicted] += 1;
        }
        Ok(Confusion { classes, counts })
    }

    /// How many classes there are.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Of the rows of a class how many were predicted as each.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn row(&self, class: usize) -> &[u64] {
        &self.counts[class * self.classes..(class + 1) * self.classes]
    }

    /// The share of rows whose class was found; NaN without rows.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.classes).map(|class| self.row(class)[class]).sum();
        right as f64 / self.counts.iter().sum::<u64>() as f64
    }

    /// How many rows are of a class.
    pub fn support(&self, class: usize) -> u64 {
        self.row(class).iter().sum()
    }

    /// Of the rows that were predicted as a class the share that are; none if there are no such rows.
    pub fn precision(&self, class: usize) -> Option<f64> {
        let predicted: u64 = (0..self.classes).map(|actual| self.row(actual)[class]).sum();
        (predicted > 0).then(|| self.row(class)[class] as f64 / predicted as f64)
    }

    /// Of the rows of a class the share that were found; none if there are no such rows.
    pub fn recall(&self, class: usize) -> Option<f64> {
        let support = self.support(class);
        (support > 0).then(|| self.row(class)[class] as f64 / support as f64)
    }

    /// The harmonic mean of precision and recall: 2 · right / (predicted + actual); none if the class is on neither side.
    pub fn f1(&self, class: usize) -> Option<f64> {
        let predicted: u64 = (0..self.classes).map(|actual| self.row(actual)[class]).sum();
        let both = predicted + self.support(class);
        (both > 0).then(|| 2.0 * self.row(class)[class] as f64 / both as f64)
    }

    /// The mean of the recalls of the classes that there are rows of; NaN without rows. scikit-learn: `balanced_accuracy_score`.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = (0..self.classes).filter_map(|class| self.recall(class)).collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked by hand: class 0 is right 5 of 6 times, class 1 twice of 4.
    #[test]
    fn two_classes_worked_by_hand() {
        let actual = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1];
        let predicted = [0, 0, 0, 0, 0, 1, 1, 1, 0, 0];
        let found = Confusion::new(2, &actual, &predicted).unwrap();
        assert_eq!((found.row(0), found.row(1)), (&[5, 1][..], &[2, 2][..]));
        assert_eq!((found.precision(0), found.recall(0)), (Some(5.0 / 7.0), Some(5.0 / 6.0)));
        assert_eq!((found.f1(1), found.accuracy()), (Some(4.0 / 7.0), 0.7));
        assert!((found.balanced_accuracy() - (5.0 / 6.0 + 0.5) / 2.0).abs() < 1e-15);
        assert_eq!((found.support(1), found.classes()), (4, 2));
    }

    #[test]
    fn what_is_no_class_or_no_pair_is_refused() {
        assert!(
            Confusion::new(2, &[0, 1], &[0])
                .unwrap_err()
                .to_string()
                .contains("2 classes but 1 predictions")
        );
        assert!(
            Confusion::new(2, &[0, 2], &[0, 0])
                .unwrap_err()
                .to_string()
                .contains("row 1 has label 2")
        );
        assert!(Confusion::new(2, &[], &[]).unwrap().accuracy().is_nan());
    }
}

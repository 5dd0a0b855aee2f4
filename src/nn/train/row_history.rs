//! Results of single training rows over the epochs of a training.

use ndarray::Array2;

use crate::nn::train::row_results::RowClasses;

/// What each training row did over the epochs of a training: [`crate::Fit::watch_rows`]. After each
/// epoch all training rows are predicted by the weights of its end.
///
/// Deviations are those of the epochs themselves (divided by their number).
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RowHistory {
    /// Epochs that were watched.
    pub epochs: usize,
    /// Mean loss of each row.
    pub mean_loss: Vec<f64>,
    /// Deviation of each row's loss.
    pub loss_deviation: Vec<f64>,
    /// What is known of classes; `None` if a row does not have one class.
    pub classes: Option<RowClassHistory>,
}

/// What classification rows did over the epochs of a training.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RowClassHistory {
    /// The class of each row's target.
    pub target: Vec<usize>,
    /// Epochs in which the row was predicted right.
    pub times_right: Vec<usize>,
    /// Forgetting events (Toneva 2019): how often a row that was predicted right in one epoch was
    /// predicted wrong in the next one.
    pub forgetting_events: Vec<usize>,
    /// The mean probability of each class, [rows, classes]; `None` for a loss that defines no
    /// probabilities.
    pub mean_probabilities: Option<Array2<f64>>,
    /// Mean probability of each row's target; empty without probabilities.
    pub mean_target_probability: Vec<f64>,
    /// Its deviation: variability, of Swayamdipta and others (2020), beside the mean.
    pub target_probability_deviation: Vec<f64>,
    was_right: Vec<bool>,
}

/// Moves a mean and a deviation to those of `count` values of which the last is `value`.
fn add(mean: &mut f64, deviation: &mut f64, count: f64, value: f64) {
    let before = value - *mean;
    *mean += before / count;
    let squares = *deviation * *deviation * (count - 1.0) + before * (value - *mean);
    *deviation = (squares / count).max(0.0).sqrt();
}

impl RowHistory {
    /// Adds an epoch.
    pub(crate) fn add(&mut self, losses: &[f64], classes: Option<&RowClasses>) {
        self.epochs += 1;
        let count = self.epochs as f64;
        self.mean_loss.resize(losses.len(), 0.0);
        self.loss_deviation.resize(losses.len(), 0.0);
        let pairs = self.mean_loss.iter_mut().zip(&mut self.loss_deviation);
        pairs.zip(losses).for_each(|((mean, deviation), &loss)| add(mean, deviation, count, loss));
        let Some(classes) = classes else { return };
        self.classes.get_or_insert_default().add(count, classes);
    }
}

impl RowClassHistory {
    fn add(&mut self, count: f64, classes: &RowClasses) {
        let rows = classes.target.len();
        if self.target.is_empty() {
            self.target.clone_from(&classes.target);
            self.was_right = vec![false; rows];
        }
        self.times_right.resize(rows, 0);
        self.forgetting_events.resize(rows, 0);
        for (row, is_right) in classes.is_right().enumerate() {
            self.times_right[row] += usize::from(is_right);
            self.forgetting_events[row] += usize::from(self.was_right[row] && !is_right);
            self.was_right[row] = is_right;
        }
        let Some(probabilities) = &classes.probabilities else { return };
        let mean =
            self.mean_probabilities.get_or_insert_with(|| Array2::zeros((rows, classes.count)));
        ndarray::Zip::from(mean)
            .and(probabilities)
            .for_each(|mean, p| *mean += (p - *mean) / count);
        self.mean_target_probability.resize(rows, 0.0);
        self.target_probability_deviation.resize(rows, 0.0);
        let pairs =
            self.mean_target_probability.iter_mut().zip(&mut self.target_probability_deviation);
        for (row, (mean, deviation)) in pairs.enumerate() {
            add(mean, deviation, count, probabilities[[row, classes.target[row]]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn means_deviations_and_forgetting_are_those_of_the_epochs() {
        let epoch = |p: f64| RowClasses {
            count: 2,
            target: vec![1],
            predicted: vec![usize::from(p > 0.5)],
            margin: vec![0.0],
            probabilities: Some(array![[1.0 - p, p]]),
        };
        let (losses, ps) = ([4.0, 1.0, 3.0, 0.0], [0.25, 0.75, 0.375, 0.875]);
        let mut history = RowHistory::default();
        for (loss, p) in losses.into_iter().zip(ps) {
            history.add(&[loss], Some(&epoch(p)));
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let deviation = |values: &[f64]| {
            let squares: Vec<f64> = values.iter().map(|x| (x - mean(values)).powi(2)).collect();
            mean(&squares).sqrt()
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(near(history.mean_loss[0], 2.0) && near(history.loss_deviation[0], 2.5_f64.sqrt()));
        let classes = history.classes.unwrap();
        assert_eq!((classes.times_right[0], classes.forgetting_events[0]), (2, 1));
        assert!(near(classes.mean_target_probability[0], mean(&ps)));
        assert!(near(classes.target_probability_deviation[0], deviation(&ps)));
        assert!(near(classes.mean_probabilities.unwrap()[[0, 0]], 1.0 - mean(&ps)));
    }
}

//! Labels that are probably wrong.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayBase, Data, Dimension, Ix1};

use crate::explain::checks::refused;
use crate::losses::{BceWithLogits, CrossEntropy, GeneralizedCrossEntropy, LossDefinition};
use crate::nn::train::features::FeatureElement;
use crate::optimizers::Adam;
use crate::{Error, Fit, Model, Result, RowClassHistory, Stop};

const NAME: &str = "label noise";

/// Updates that a training has at least, by its epochs.
const LEAST_UPDATES: usize = 800;

/// Epochs without a choice: from 10 to 100.
const EPOCHS: [usize; 2] = [10, 100];

/// Classes are imbalanced from this ratio of the largest to the smallest on.
const IMBALANCE: usize = 10;

/// Flips have a direction from this asymmetry of the joint counts on: between what was measured for
/// labels flipped to any class (−0.02 to 0.12 on digits and Fashion-MNIST) and to the next one (0.39
/// to 0.62).
const DIRECTION: f64 = 0.25;

/// Finds labels that are probably wrong by two trainings of the same network, without folds.
///
/// Both train from scratch on all rows and see each row after each epoch
/// ([`Fit::watch_rows`](crate::Fit::watch_rows)). A network learns what most rows agree on first, so
/// the probability that it gives a wrong label, averaged over the epochs, is low. One training uses
/// cross-entropy, the other generalized cross-entropy (Zhang, Sabuncu 2018), which gives up on rows
/// that contradict the others; where labels are flipped from one class into a certain other one,
/// cross-entropy learns the flips and its ranks are worse. A row's suspicion is 1 − the mean
/// probability of its label: over both trainings, or over that by generalized cross-entropy if the
/// flips have a direction ([`SuspiciousLabels::ranked_by`]).
///
/// Of the most suspicious tenth of 10,000 photographs of Fashion-MNIST with 10 % of their labels
/// flipped, 86 % are flipped ones, for flips to any class as for those to the next one; cleanlab 2.9
/// finds 84 % and 65 to 69 % by five trainings. Of digits: 95 and 95 % (`tests/explain/label_noise.rs`,
/// device `cpu`, 2026-11-30).
///
/// Under imbalance (a class of ten times the rows of another one), generalized cross-entropy gives
/// up on the small classes: then cross-entropy ranks.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelNoise {
    epochs: Option<usize>,
    batch_size: usize,
    learning_rate: f64,
    q: f64,
}

/// The training, or trainings, whose probabilities rank the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RankedBy {
    /// Both: their mean.
    Both,
    /// That by cross-entropy; for a single output, its binary form.
    CrossEntropy,
    /// That by generalized cross-entropy: labels are flipped in certain directions.
    GeneralizedCrossEntropy,
}

/// How suspicious each label is: [`LabelNoise::find`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SuspiciousLabels {
    /// The rows, the most suspicious first; equal ones in their order.
    pub order: Vec<usize>,
    /// 1 − the mean probability of each row's label over the epochs, by what ranks.
    pub suspicion: Vec<f64>,
    /// The class with the largest mean probability of each row.
    pub suggested: Vec<usize>,
    /// What ranks.
    pub ranked_by: RankedBy,
    /// The share of the rows for which both trainings prefer another class than the label. It holds
    /// the errors of the model itself, and not the wrong labels that both have learnt.
    pub share: f64,
    /// Counts of rows by label and class of the largest mean probability under cross-entropy,
    /// [classes, classes], as the confident joint of Northcutt (2021).
    pub joint: Array2<usize>,
    /// How the training by cross-entropy went.
    pub cross_entropy: RowClassHistory,
    /// How the training by generalized cross-entropy went; `None` for a single output.
    pub generalized: Option<RowClassHistory>,
}

impl SuspiciousLabels {
    /// The rows for which both trainings prefer another class, the most suspicious first.
    pub fn disputed(&self) -> Vec<usize> {
        let is_disputed = |row: &usize| {
            disputes(&self.cross_entropy, *row)
                && self.generalized.as_ref().is_none_or(|history| disputes(history, *row))
        };
        self.order.iter().copied().filter(is_disputed).collect()
    }
}

impl Default for LabelNoise {
    fn default() -> Self {
        LabelNoise { epochs: None, batch_size: 64, learning_rate: 1e-3, q: 0.7 }
    }
}

impl LabelNoise {
    /// Batches of 64, Adam with a rate of 1e-3, q = 0.7, and as many epochs as make 800 updates, 10
    /// to 100.
    pub fn new() -> Self {
        Self::default()
    }

    /// Epochs of each training (default: as many as make 800 updates, from 10 to 100).
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = Some(epochs);
        self
    }

    /// Rows of a batch (default 64).
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch_size = rows;
        self
    }

    /// Adam's learning rate (default 1e-3).
    pub fn learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = rate;
        self
    }

    /// q of generalized cross-entropy, in (0, 1] (default 0.7).
    pub fn q(mut self, q: f64) -> Self {
        self.q = q;
        self
    }

    /// Trains networks as `model`'s from scratch, on its device, and ranks the labels of the rows.
    /// The model itself stays as it is; of it are taken the layers with their seed and the scaling
    /// of the features. A model with one output is trained by binary cross-entropy alone.
    ///
    /// ```
    /// use gradus::explain::LabelNoise;
    /// use gradus::{Dense, Device, Sequential};
    /// use ndarray::{Array1, Array2};
    ///
    /// // Three classes by angle; rows 0, 1 and 2 have another one's label.
    /// let angle = |row: usize| (row % 3) as f32 * 2.1 + (row * 7 % 11) as f32 * 0.04;
    /// let x = Array2::from_shape_fn((90, 2), |(row, column)| {
    ///     4.0 * if column == 0 { angle(row).sin() } else { angle(row).cos() }
    /// });
    /// let y: Array1<i64> = (0..90).map(|row| ((row + usize::from(row < 3)) % 3) as i64).collect();
    /// let model = Sequential::new(2).then(Dense::new(3)).on(&Device::cpu())?;
    /// let found = LabelNoise::new().learning_rate(0.01).find(&model, &x, &y)?;
    /// let mut first = found.order[..3].to_vec();
    /// first.sort();
    /// assert_eq!(first, [0, 1, 2]);
    /// assert_eq!(found.suggested[0], 0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::fit`]; [`Error::Input`] for a training that ends at a loss that is not finite, and
    /// a network whose last layer has a softmax or sigmoid, which these losses apply themselves.
    pub fn find<S: Data<Elem: FeatureElement>, D: Dimension, L: Data<Elem = i64>>(
        &self,
        model: &Model,
        features: &ArrayBase<S, D>,
        labels: &ArrayBase<L, Ix1>,
    ) -> Result<SuspiciousLabels> {
        if labels.is_empty() {
            return Err(Error::Empty { operation: NAME.into(), name: "the rows".into() });
        }
        let single = model.outputs() == 1;
        let first: Box<dyn LossDefinition> =
            if single { Box::new(BceWithLogits::new()) } else { Box::new(CrossEntropy::new()) };
        let cross_entropy = self.train(model, first, features, labels)?;
        let generalized = match single {
            true => None,
            false => {
                let loss = Box::new(GeneralizedCrossEntropy::new().q(self.q));
                Some(self.train(model, loss, features, labels)?)
            }
        };
        let joint = joint(&cross_entropy);
        let ranked_by = match &generalized {
            None => RankedBy::CrossEntropy,
            Some(_) if is_imbalanced(&joint) => RankedBy::CrossEntropy,
            Some(_) if has_direction(&joint) => RankedBy::GeneralizedCrossEntropy,
            Some(_) => RankedBy::Both,
        };
        let ranking = match (&generalized, ranked_by) {
            (Some(generalized), RankedBy::GeneralizedCrossEntropy) => generalized,
            _ => &cross_entropy,
        };
        let mut suspicion: Vec<f64> =
            ranking.mean_target_probability.iter().map(|p| 1.0 - p).collect();
        if let (Some(other), RankedBy::Both) = (&generalized, ranked_by) {
            let both = suspicion.iter_mut().zip(&other.mean_target_probability);
            both.for_each(|(suspicion, p)| *suspicion = 0.5 * (*suspicion + (1.0 - p)));
        }
        let mut order: Vec<usize> = (0..suspicion.len()).collect();
        order.sort_by(|&a, &b| suspicion[b].total_cmp(&suspicion[a]));
        let suggested = (0..order.len()).map(|row| preferred(ranking, row)).collect();
        let mut found = SuspiciousLabels {
            order,
            suspicion,
            suggested,
            ranked_by,
            share: 0.0,
            joint,
            cross_entropy,
            generalized,
        };
        found.share = found.disputed().len() as f64 / found.order.len() as f64;
        Ok(found)
    }

    /// One training from scratch.
    fn train<S: Data<Elem: FeatureElement>, D: Dimension, L: Data<Elem = i64>>(
        &self,
        model: &Model,
        loss: Box<dyn LossDefinition>,
        features: &ArrayBase<S, D>,
        labels: &ArrayBase<L, Ix1>,
    ) -> Result<RowClassHistory> {
        let name = loss.name().to_string();
        let optimizer = Box::new(Adam::new().learning_rate(self.learning_rate));
        let mut fresh =
            model.description.clone().on(&model.device)?.compile_boxed(loss, optimizer)?;
        fresh.scaling.clone_from(&model.scaling);
        let updates = labels.len().div_ceil(self.batch_size.max(1)).max(1);
        let own = || LEAST_UPDATES.div_ceil(updates).clamp(EPOCHS[0], EPOCHS[1]);
        let fit = Fit::new()
            .epochs(self.epochs.unwrap_or_else(own))
            .batch_size(self.batch_size)
            .progress(false)
            .watch_rows(true);
        let history = fresh.fit(features, labels, fit)?;
        if let Some(Stop::NotFinite { loss, .. }) = &history.stopped {
            let found = format!("came to a loss of {loss}");
            let allowed = "a lower learning rate, or features of a common scale";
            return Err(refused(NAME, &format!("the training by {name}"), found, allowed));
        }
        let classes = history.rows.and_then(|rows| rows.classes);
        classes.filter(|classes| !classes.mean_target_probability.is_empty()).ok_or_else(|| {
            refused(NAME, "the model", "gives no probabilities of classes", "an output per class")
        })
    }
}

/// The class with the largest mean probability, the first of equal ones.
fn preferred(history: &RowClassHistory, row: usize) -> usize {
    let Some(means) = &history.mean_probabilities else { return history.target[row] };
    let row = means.row(row);
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}

fn disputes(history: &RowClassHistory, row: usize) -> bool {
    preferred(history, row) != history.target[row]
}

fn joint(history: &RowClassHistory) -> Array2<usize> {
    let classes = history.mean_probabilities.as_ref().map_or(0, Array2::ncols);
    let mut counts = Array2::zeros((classes, classes));
    for (row, &label) in history.target.iter().enumerate() {
        counts[[label, preferred(history, row)]] += 1;
    }
    counts
}

/// True if more labels are exchanged one way than the other.
fn has_direction(joint: &Array2<usize>) -> bool {
    asymmetry(joint) > DIRECTION
}

/// The part of the counts off the diagonal that go one way only: classes that are alike are taken
/// for each other in both directions, and so is a label that is flipped to any other, but not one
/// that is flipped into a certain class. Of n rows that fall to either side by chance, √(2n/π) more
/// are expected on one of them: these do not count.
fn asymmetry(joint: &Array2<usize>) -> f64 {
    let (mut one_way, mut all) = (0.0, 0.0);
    for ((row, column), &count) in joint.indexed_iter().filter(|((row, column), _)| row < column) {
        let (there, back) = (count as f64, joint[[column, row]] as f64);
        one_way += (there - back).abs() - (2.0 * (there + back) / PI).sqrt();
        all += there + back;
    }
    if all == 0.0 { 0.0 } else { one_way / all }
}

fn is_imbalanced(joint: &Array2<usize>) -> bool {
    let counts: Vec<usize> =
        joint.rows().into_iter().map(|row| row.sum()).filter(|&count| count > 0).collect();
    let (least, most) = (counts.iter().min(), counts.iter().max());
    most.zip(least).is_some_and(|(most, least)| *most >= IMBALANCE * least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn flips_have_a_direction_unless_they_go_both_ways() {
        // Two classes that are alike, and labels flipped to any class.
        assert!(!has_direction(&array![[90, 12, 2], [10, 95, 3], [2, 3, 99]]));
        assert!(!has_direction(&array![[90, 3, 1], [1, 95, 2], [2, 2, 99]]));
        // Labels of class 0 that belong to class 2, of 1 to 0, of 2 to 1.
        assert!(has_direction(&array![[90, 2, 11], [10, 95, 1], [2, 12, 99]]));
        assert!(!has_direction(&array![[5, 0], [0, 5]]));
    }

    #[test]
    fn ten_times_the_rows_are_an_imbalance() {
        assert!(is_imbalanced(&array![[95, 5], [1, 9]]));
        assert!(!is_imbalanced(&array![[90, 5], [1, 9]]));
        // A class without rows is none of the labels.
        assert!(!is_imbalanced(&array![[9, 0, 1], [0, 0, 0], [1, 0, 9]]));
    }
}

//! Row weights of a training: weights of classes, of rows, and of the positive class of each
//! output.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::criterion::inputs;
use crate::losses::{Domain, LossDefinition, takes_class_prior};
use crate::{Error, Result};

/// Weights of the classes' rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeight {
    /// n / (k · n_c) for class c: n training rows, n_c of them of class c, and k classes among
    /// them. All classes then have equal total weight. scikit-learn's `balanced`.
    Balanced,
    /// A weight for each class, in the order of the labels; 0 for the negative and 1 for the
    /// positive class of a single output.
    Each(Vec<f64>),
}

/// The largest weight. Only proportions matter, and products of two stay far within f64.
const LARGEST: f64 = 1e30;

/// The weight options of [`crate::Fit`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Weighting {
    pub classes: Option<ClassWeight>,
    pub rows: Option<Arc<[f64]>>,
    /// For separate validation rows.
    pub validation: Option<Arc<[f64]>>,
    pub positive: Option<Vec<f64>>,
    /// The prior of each class by the training's labels, for separate validation rows.
    pub prior: Option<Vec<f32>>,
    /// The rows are separate validation rows.
    pub is_of_validation: bool,
}

/// The weights of rows for a device. Empty if all are 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weights<'a> {
    /// One per row, with mean 1 over the rows that are not ignored.
    pub rows: &'a [f32],
    /// Positive-class weight of each output; for a loss of a `class_prior` that of each class.
    pub positive: &'a [f32],
}

/// Targets with the weights of their rows; empty weights if all are 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weighed<'a> {
    pub targets: &'a [f32],
    pub weights: &'a [f32],
}

impl Weighed<'_> {
    /// The weight of the target at an index.
    pub fn weight(&self, place: usize, outputs: usize) -> f64 {
        self.weights.get(place / outputs).map_or(1.0, |&weight| f64::from(weight))
    }
}

/// Owned weights of the rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub rows: Vec<f32>,
    pub positive: Vec<f32>,
}

impl Held {
    /// The weights of a range of rows.
    pub fn part(&self, first: usize, rows: usize) -> Weights<'_> {
        let of_rows = if self.rows.is_empty() { &[][..] } else { &self.rows[first..first + rows] };
        Weights { rows: of_rows, positive: &self.positive }
    }
}

impl Weighting {
    /// True if any weights are set.
    pub fn is_some(&self) -> bool {
        self.classes.is_some()
            || self.rows.is_some()
            || self.validation.is_some()
            || self.positive.is_some()
    }

    /// Rejects weights outside their domain.
    pub fn check(&self) -> Result<()> {
        let allowed = "from 0 to 1e30, and one above 0";
        let check = |name: &str, values: &mut dyn Iterator<Item = f64>| {
            let mut any = false;
            for value in values {
                if !(0.0..=LARGEST).contains(&value) {
                    return Err(Error::option("fit", name, value, allowed));
                }
                any |= value > 0.0;
            }
            if any { Ok(()) } else { Err(Error::option("fit", name, 0, allowed)) }
        };
        if let Some(ClassWeight::Each(values)) = &self.classes {
            check("class_weight", &mut values.iter().copied())?;
        }
        for (name, rows) in [("sample_weight", &self.rows), ("validation_weight", &self.validation)]
        {
            if let Some(rows) = rows {
                check(name, &mut rows.iter().copied())?;
            }
        }
        match &self.positive {
            Some(values) => check("pos_weight", &mut values.iter().copied()),
            None => Ok(()),
        }
    }

    /// The positive-class weights, one per output.
    pub fn positive(&self, loss: &dyn LossDefinition, outputs: usize) -> Result<Vec<f32>> {
        let Some(values) = &self.positive else { return Ok(Vec::new()) };
        if !loss.inputs().iter().any(|input| input.name == "pos_weight") {
            let allowed = "the loss bce_with_logits or multilabel_soft_margin; class_weight weighs the classes of any other";
            return Err(inputs::input_error(
                loss,
                "pos_weight",
                "was given, and the loss has no positive side",
                allowed,
            ));
        }
        match values.len() {
            1 => Ok(vec![values[0] as f32; outputs]),
            count if count == outputs => Ok(values.iter().map(|&x| x as f32).collect()),
            count => {
                let found = format!("has {count} numbers");
                Err(inputs::input_error(
                    loss,
                    "pos_weight",
                    &found,
                    format!("1, or {outputs}: one for each output"),
                ))
            }
        }
    }

    /// The weighting of separate validation rows: their classes have the weights of the training.
    pub fn for_validation(
        &self,
        loss: &dyn LossDefinition,
        classes: Option<&Classes>,
        training: usize,
    ) -> Result<Self> {
        let of_classes = match (&self.classes, classes) {
            (Some(asked), Some(classes)) => {
                Some(ClassWeight::Each(of_classes(loss, asked, classes, training)?))
            }
            _ => None,
        };
        Ok(Weighting {
            classes: of_classes,
            rows: self.validation.clone(),
            validation: None,
            positive: self.positive.clone(),
            prior: None,
            is_of_validation: true,
        })
    }

    /// The prior of each class, for a loss that has one: how many of the first `training` rows are of
    /// it. A class without a row counts as one of a single row, as a row of it may be validated on.
    pub fn prior(
        &self,
        loss: &dyn LossDefinition,
        classes: Option<&Classes>,
        training: usize,
    ) -> Option<Vec<f32>> {
        let classes = classes.filter(|_| takes_class_prior(loss))?;
        Some(self.prior.clone().unwrap_or_else(|| prior_of(&counts(classes, training))))
    }

    /// A weight per row; empty if all are 1. `classes` are those of the rows, `None` for a row that
    /// is left out; the first `training` rows are for training, all others for validation.
    pub fn rows(
        &self,
        loss: &dyn LossDefinition,
        classes: Option<&Classes>,
        rows: usize,
        training: usize,
    ) -> Result<Vec<f32>> {
        let mut found: Vec<f64> = match &self.rows {
            None => vec![1.0; rows],
            Some(given) if given.len() == rows => given.to_vec(),
            Some(given) => {
                let name =
                    if self.is_of_validation { "validation_weight" } else { "sample_weight" };
                let text = format!("has {} numbers", given.len());
                return Err(inputs::input_error(
                    loss,
                    name,
                    &text,
                    format!("{rows}: one for each row"),
                ));
            }
        };
        if let Some(asked) = &self.classes {
            let Some(classes) = classes else { return Err(no_classes(loss)) };
            let of_class = of_classes(loss, asked, classes, training)?;
            let weighed = found.iter_mut().zip(&classes.of_rows);
            weighed
                .for_each(|(weight, class)| *weight *= class.map_or(0.0, |class| of_class[class]));
        } else if self.rows.is_none() {
            return Ok(Vec::new());
        }
        let is_kept = |row: usize| classes.is_none_or(|classes| classes.of_rows[row].is_some());
        for part in [0..training, training..rows] {
            let kept: Vec<usize> = part.clone().filter(|&row| is_kept(row)).collect();
            // Divide by the largest first: their sum may overflow f64.
            let largest = kept.iter().fold(0.0_f64, |largest, &row| largest.max(found[row]));
            if !kept.is_empty() && largest == 0.0 {
                let is_trained_on = part.start == 0 && !self.is_of_validation;
                let which = if is_trained_on { "trained on" } else { "validated on" };
                let text = format!("are 0 for all rows that are {which}");
                return Err(inputs::input_error(
                    loss,
                    "weights",
                    &text,
                    "above 0 for one row at least",
                ));
            }
            let sum: f64 = kept.iter().map(|&row| found[row] / largest).sum();
            found[part]
                .iter_mut()
                .for_each(|weight| *weight = *weight / largest * (kept.len() as f64 / sum));
        }
        let found: Vec<f32> = found.into_iter().map(|weight| weight as f32).collect();
        // Without weights a small network runs in the fused small-model kernel.
        let is_plain =
            found.iter().enumerate().all(|(row, &weight)| weight == 1.0 || !is_kept(row));
        Ok(if is_plain { Vec::new() } else { found })
    }
}

/// Sums over rows in blocks, from which their weights follow.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    /// Rows of each class that are not left out, and their weights; a single class if there are
    /// none.
    rows: Vec<usize>,
    weights: Vec<f64>,
}

impl Sums {
    /// Adds a block.
    pub fn add(&mut self, classes: Option<&Classes>, rows: usize, weights: Option<&[f64]>) {
        let count = classes.map_or(1, |classes| classes.count).max(self.rows.len());
        self.rows.resize(count, 0);
        self.weights.resize(count, 0.0);
        for row in 0..rows {
            let Some(class) = classes.map_or(Some(0), |classes| classes.of_rows[row]) else {
                continue;
            };
            self.rows[class] += 1;
            self.weights[class] += weights.map_or(1.0, |weights| weights[row]);
        }
    }
}

/// Weights of rows in blocks: as [`Weighting::rows`] for loaded rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct InBlocks {
    /// Scales the weights of all rows to mean 1; `None` if all are 1.
    scale: Option<f64>,
    /// The weight of each class, if set.
    pub of_class: Option<Vec<f64>>,
    pub positive: Vec<f32>,
}

impl InBlocks {
    /// For rows in blocks with the given `sums`.
    pub fn new(
        loss: &dyn LossDefinition,
        asked: &Weighting,
        outputs: usize,
        sums: Option<&Sums>,
    ) -> Result<Self> {
        let mut positive = asked.positive(loss, outputs)?;
        if let Some(sums) = sums.filter(|_| takes_class_prior(loss)) {
            positive = asked.prior.clone().unwrap_or_else(|| prior_of(&sums.rows));
        }
        let Some(sums) = sums else { return Ok(InBlocks { positive, ..InBlocks::default() }) };
        let of_class = asked
            .classes
            .as_ref()
            .map(|asked| of_counts(loss, asked, sums.rows.len(), &sums.rows))
            .transpose()?;
        let weight = |class: usize| of_class.as_ref().map_or(1.0, |of_class| of_class[class]);
        let sum: f64 =
            sums.weights.iter().enumerate().map(|(class, sum)| weight(class) * sum).sum();
        if sum == 0.0 || !sum.is_finite() {
            let which = if asked.is_of_validation { "validated on" } else { "trained on" };
            let text = format!("add up to {sum} over all rows that are {which}");
            return Err(inputs::input_error(
                loss,
                "weights",
                &text,
                "a sum above 0 of numbers from 0 to 1e30",
            ));
        }
        let scale = sums.rows.iter().sum::<usize>() as f64 / sum;
        Ok(InBlocks { scale: Some(scale), of_class, positive })
    }

    /// The row weights of a block; `weights` are its own.
    pub fn held(
        &self,
        loss: &dyn LossDefinition,
        classes: Option<&Classes>,
        rows: usize,
        given: Option<&[f64]>,
    ) -> Result<Held> {
        let positive = self.positive.clone();
        let Some(scale) = self.scale else { return Ok(Held { rows: Vec::new(), positive }) };
        if self.of_class.is_some() && classes.is_none() {
            return Err(no_classes(loss));
        }
        if let Some(weights) = given
            && (weights.len() != rows
                || weights.iter().any(|weight| !(0.0..=LARGEST).contains(weight)))
        {
            let text = format!(
                "of a block of {rows} rows are {} numbers, or one is not from 0 to 1e30",
                weights.len()
            );
            return Err(inputs::input_error(
                loss,
                "weights",
                &text,
                "a number from 0 to 1e30 for each row",
            ));
        }
        let weight = |row: usize| {
            let class = match (&self.of_class, classes) {
                (Some(of_class), Some(classes)) => {
                    classes.of_rows[row].map_or(0.0, |class| of_class[class])
                }
                _ => 1.0,
            };
            (class * given.map_or(1.0, |weights| weights[row]) * scale) as f32
        };
        Ok(Held { rows: (0..rows).map(weight).collect(), positive })
    }
}

/// The error for class weights without classes.
pub(crate) fn no_classes(loss: &dyn LossDefinition) -> Error {
    let allowed = "targets that are classes: labels of a loss of classes, one-hot rows, or one output of two classes; several labels a row \
                   take pos_weight";
    inputs::input_error(loss, "class_weight", "was given, and the targets are no classes", allowed)
}

/// The classes of rows.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    /// `None` for a row that is left out.
    pub of_rows: Vec<Option<usize>>,
    /// Number of possible classes.
    pub count: usize,
}

impl Classes {
    /// From labels; rows with an ignored label are left out.
    pub fn of_labels(labels: &[i32], ignored: &[i64], count: usize) -> Self {
        let class = |&label: &i32| (!ignored.contains(&i64::from(label))).then_some(label as usize);
        Classes { of_rows: labels.iter().map(class).collect(), count }
    }

    /// From dense rows: the one column that is 1, or, for a single column, above the midpoint or
    /// not. `None` if the rows are not classes.
    pub fn of_dense(
        loss: &dyn LossDefinition,
        dense: &[f32],
        outputs: usize,
        one_hot: bool,
    ) -> Option<Self> {
        if outputs > 1 {
            let largest = |row: &[f32]| {
                (1..outputs).fold(0, |best, k| if row[k] > row[best] { k } else { best })
            };
            let of_rows = dense.chunks_exact(outputs).map(|row| Some(largest(row)));
            return one_hot.then(|| Classes { of_rows: of_rows.collect(), count: outputs });
        }
        let (off, middle) = match loss.targets() {
            Domain::Sign => (-1.0, 0.0),
            Domain::ZeroOne | Domain::Probability => (0.0, 0.5),
            _ => return None,
        };
        let is_class = dense.iter().all(|&y| y == off || y == 1.0);
        let of_rows = dense.iter().map(|&y| Some(usize::from(y > middle)));
        is_class.then(|| Classes { of_rows: of_rows.collect(), count: 2 })
    }
}

/// The weight of each class.
fn of_classes(
    loss: &dyn LossDefinition,
    asked: &ClassWeight,
    classes: &Classes,
    training: usize,
) -> Result<Vec<f64>> {
    of_counts(loss, asked, classes.count, &counts(classes, training))
}

/// How many of the first `training` rows are of each class.
fn counts(classes: &Classes, training: usize) -> Vec<usize> {
    let mut rows = vec![0; classes.count];
    classes.of_rows[..training].iter().flatten().for_each(|&class| rows[class] += 1);
    rows
}

fn prior_of(counts: &[usize]) -> Vec<f32> {
    counts.iter().map(|&count| count.max(1) as f32).collect()
}

/// The weight of each class, from the numbers of training rows.
fn of_counts(
    loss: &dyn LossDefinition,
    asked: &ClassWeight,
    count: usize,
    rows: &[usize],
) -> Result<Vec<f64>> {
    match asked {
        ClassWeight::Each(values) if values.len() == count => Ok(values.clone()),
        ClassWeight::Each(values) => {
            let found = format!("has {} numbers", values.len());
            Err(inputs::input_error(
                loss,
                "class_weight",
                &found,
                format!("{count}: one for each class"),
            ))
        }
        ClassWeight::Balanced => {
            let (all, present) =
                (rows.iter().sum::<usize>(), rows.iter().filter(|&&rows| rows > 0).count());
            // A class only in the validation rows has weight 1 before scaling.
            let weight = |&of_class: &usize| {
                if of_class == 0 { 1.0 } else { all as f64 / (present * of_class) as f64 }
            };
            Ok(rows.iter().map(weight).collect())
        }
    }
}

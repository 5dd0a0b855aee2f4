//! One-line warnings about likely mistakes: prices taken for classes, rows of a single class, a
//! model that always gives the same answer.

use std::collections::{BTreeSet, HashSet};

use gradus::data::{Dataset, Target};
use gradus::{Model, text};
use ndarray::{Array1, Array2};

use crate::output;
use crate::output::{Failure, Outcome};
use crate::samples::{Prepared, Task};
use crate::scores::in_unit;
use crate::train::options::Train;

/// Up to this many classes are plausible, however few the rows.
const MANY: usize = 20;

/// Number of rows checked after training.
const LOOKED_AT: usize = 10_000;

impl Train {
    /// Rejects whole numbers that would make a class for nearly every row: prices, years, counts.
    pub(super) fn refuse_quantities(&self, parts: &Prepared, task: &Task) -> Outcome {
        let train = &parts.train;
        if task.predicts() != "classes" || !is_numbered(train) {
            return Ok(());
        }
        let (names, rows) = (train.classes()?, parts.rows());
        let classes = names.len();
        if classes <= MANY.max(rows / 2) {
            return Ok(());
        }
        // Numeric classes are sorted.
        let (least, most) = (&names[0], &names[classes - 1]);
        let target =
            self.source.target().map_or("the target".into(), |column| format!("--target {column}"));
        Err(Failure::Failed(format!(
            "{target} holds whole numbers from {least} to {most}, which would be {classes} classes for {rows} rows to train on: too many to \
             learn; to predict the number itself take a loss of numbers (--loss mse, --loss huber)"
        )))
    }

    /// Notes validation or test rows of a single class.
    pub(super) fn note_single_classes(parts: &Prepared, task: &Task) -> Outcome {
        let training = parts.large.is_none().then_some((&parts.train, "training"));
        for (rows, name) in training.into_iter().chain(others(parts)) {
            if let Some(class) = only_class(rows, task)? {
                output::note(&format!(
                    "note: all {} {name} rows are of the class `{class}`: their accuracy says nothing of the other classes; with another \
                     --seed or --validation other rows are drawn",
                    rows.rows()
                ));
            }
        }
        Ok(())
    }

    /// Notes classes that only validation or test rows have: no row of them is trained on.
    pub(super) fn note_unseen_classes(parts: &Prepared, task: &Task) -> Outcome {
        if task.predicts() != "classes" || parts.large.is_some() {
            return Ok(());
        }
        let Ok(trained) = parts.train.labels() else { return Ok(()) };
        let trained: HashSet<i64> = trained.into_iter().collect();
        for (rows, name) in others(parts) {
            let (Ok(labels), Ok(classes)) = (rows.labels(), rows.classes()) else { continue };
            let unseen: BTreeSet<i64> =
                labels.into_iter().filter(|label| !trained.contains(label)).collect();
            let Some(&first) = unseen.first() else { continue };
            let class = usize::try_from(first).ok().and_then(|class| classes.get(class));
            let class = class.map_or_else(|| first.to_string(), String::clone);
            let which = match unseen.len() {
                1 => format!("the class `{class}` is in {name} rows and in no training row"),
                count => format!(
                    "{count} classes, such as `{class}`, are in {name} rows and in no training row"
                ),
            };
            output::note(&format!(
                "note: {which}, so that the model cannot learn that; more such rows, or another --seed or --validation, would help"
            ));
        }
        Ok(())
    }

    /// Notes that a trained model gives the same answer for every input.
    pub(super) fn note_same_answers(model: &mut Model, parts: &Prepared, task: &Task) -> Outcome {
        let (rows, name) = others(parts).next().unwrap_or((&parts.train, "training"));
        let rows = rows.take(LOOKED_AT);
        if rows.rows() < 2 || task.ranks {
            return Ok(());
        }
        let outputs = model.predict(&rows.features)?;
        let count = rows.rows();
        if task.predicts() == "classes" {
            let Some(class) = only_answer(&outputs) else { return Ok(()) };
            if only_class(&rows, task)?.is_some() {
                return Ok(());
            }
            // A class unknown to the model is reported when its rows are scored.
            let Ok(labels) = rows.labels() else { return Ok(()) };
            let right = labels.iter().filter(|label| **label == class as i64).count();
            let name_of =
                model.names().classes.get(class).cloned().unwrap_or_else(|| class.to_string());
            output::note(&format!(
                "note: the model answers `{name_of}` to each of {count} {name} rows, which is right for {:.1} % of them: it has not learned to \
                 tell classes apart; more epochs, another learning rate or other features may help",
                100.0 * right as f64 / count as f64
            ));
        } else if only_value(&outputs).is_some() {
            let value = in_unit(model, Some(&parts.encoding), &outputs)[[0, 0]];
            output::note(&format!(
                "note: the model answers {} to each of {count} {name} rows, whatever their features: it has learned nothing from them; a \
                 lower learning rate, another activation or standardized features may help",
                text::number(value)
            ));
        }
        Ok(())
    }
}

/// The rows that are not trained on, with their purpose.
fn others(parts: &Prepared) -> impl Iterator<Item = (&Dataset, &'static str)> {
    let validation = parts.validation.as_ref().map(|rows| (rows, "validation"));
    validation.into_iter().chain(parts.test.as_ref().map(|rows| (rows, "test")))
}

/// True if the classes are named by their own numbers: those of a column of whole numbers.
fn is_numbered(dataset: &Dataset) -> bool {
    match &dataset.target {
        Target::Values(_) => true,
        Target::Labels { classes, .. } => classes.iter().all(|name| name.parse::<i64>().is_ok()),
        Target::None => false,
    }
}

/// The class of all rows, if they have a single one.
fn only_class(rows: &Dataset, task: &Task) -> Outcome<Option<String>> {
    if task.predicts() != "classes" || rows.rows() < 2 {
        return Ok(None);
    }
    let labels: Array1<i64> = rows.labels()?;
    let first = labels[0];
    if labels.iter().any(|&label| label != first) {
        return Ok(None);
    }
    let name =
        usize::try_from(first).ok().and_then(|class| rows.classes().ok()?.get(class).cloned());
    Ok(Some(name.unwrap_or_else(|| first.to_string())))
}

/// The class with the largest output, if it is the same in all rows.
fn only_answer(outputs: &Array2<f32>) -> Option<usize> {
    let answer = |row: ndarray::ArrayView1<f32>| {
        let larger = |best: usize, (place, value): (usize, &f32)| {
            if *value > row[best] { place } else { best }
        };
        row.iter().enumerate().fold(0, larger)
    };
    let mut answers = outputs.rows().into_iter().map(answer);
    let first = answers.next()?;
    answers.all(|answer| answer == first).then_some(first)
}

/// The first output, if each column is nearly constant over the rows.
fn only_value(outputs: &Array2<f32>) -> Option<f64> {
    let is_same = |column: ndarray::ArrayView1<f32>| {
        let (least, most) = column
            .iter()
            .fold((f32::MAX, f32::MIN), |(least, most), &x| (least.min(x), most.max(x)));
        most - least <= 1e-6 * least.abs().max(most.abs())
    };
    outputs.columns().into_iter().all(is_same).then(|| outputs.first().map(|&x| f64::from(x)))?
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn one_answer_is_distinguished_from_several() {
        assert_eq!(only_answer(&array![[0.1, 0.9], [0.4, 0.6]]), Some(1));
        assert_eq!(only_answer(&array![[0.1, 0.9], [0.7, 0.6]]), None);
        assert_eq!(only_value(&array![[2.0], [2.0], [2.000_000_2]]), Some(2.0));
        assert_eq!(only_value(&array![[2.0, 1.0], [2.0, 1.1]]), None);
        assert_eq!(only_value(&array![[0.0], [0.0]]), Some(0.0));
    }
}

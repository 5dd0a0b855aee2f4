//! Prediction quality in the unit of the targets: the test of `train` and the result of `evaluate`.

use gradus::data::{Blocks, Dataset, Encoding, Target, TargetEncoding};
use gradus::metrics::{Confusion, Regression, regression};
use gradus::{Model, Score, cases, text};
use ndarray::{Array2, ArrayView1, Axis, concatenate, s};
use serde_json::{Map, Value, json};

use crate::output::{Failure, Outcome};
use crate::ranking::Ranking;
use crate::samples::{Task, loss_in_unit};

/// Maximum number of classes for which the confusion matrix is printed as a table.
const MOST_SHOWN: usize = 20;

/// Maximum number of targets whose errors are printed on one line.
const MOST_TARGETS: usize = 6;

/// Metrics on a set of rows.
pub struct Scores {
    pub loss: f64,
    pub accuracy: Option<f64>,
    /// Over all targets together, whatever their units.
    pub regression: Option<Regression>,
    /// Per target, if there are several.
    pub targets: Vec<(String, Regression)>,
    pub ranking: Option<Ranking>,
    pub confusion: Option<(Vec<String>, Confusion)>,
    /// Per binary label.
    pub labels: Vec<(String, Confusion)>,
}

impl Scores {
    /// Metrics on rows encoded for the model.
    pub fn of(
        model: &mut Model,
        task: &Task,
        rows: &Dataset,
        encoding: Option<&Encoding>,
    ) -> Outcome<Self> {
        let score = model.evaluate(&rows.features, task.truth(rows)?.targets())?;
        let outputs = model.predict(&rows.features)?;
        let ranking = Ranking::of(model, rows)?;
        Ok(Scores {
            ranking,
            ..Scores::of_outputs(model, task, score, &outputs, &rows.target, encoding)?
        })
    }

    /// Metrics on rows that come in blocks: outputs and targets are kept in memory, features are
    /// not.
    pub fn of_blocks(
        model: &mut Model,
        task: &Task,
        blocks: &mut dyn Blocks,
        encoding: Option<&Encoding>,
    ) -> Outcome<Self> {
        let score = model.evaluate_blocks(blocks)?;
        let (mut outputs, mut targets) = (Vec::new(), Vec::new());
        for block in blocks.epoch(0)? {
            let block = block?;
            outputs.push(model.predict(&block.features)?);
            targets.push(block.target);
        }
        let views: Vec<_> = outputs.iter().map(|outputs| outputs.view()).collect();
        let outputs =
            concatenate(Axis(0), &views).map_err(|error| Failure::Failed(error.to_string()))?;
        Scores::of_outputs(model, task, score, &outputs, &joined(targets), encoding)
    }

    /// Metrics from a model's outputs and the rows' targets.
    fn of_outputs(
        model: &Model,
        task: &Task,
        Score { loss, accuracy }: Score,
        outputs: &Array2<f32>,
        target: &Target,
        encoding: Option<&Encoding>,
    ) -> Outcome<Self> {
        let mut scores = Scores {
            loss: loss * loss_unit(model, encoding),
            accuracy,
            regression: None,
            targets: Vec::new(),
            ranking: None,
            confusion: None,
            labels: Vec::new(),
        };
        match target {
            Target::Labels { labels, classes } => {
                let predicted = largest(outputs);
                let actual: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
                let confusion =
                    Confusion::new(classes.len().max(outputs.ncols()), &actual, &predicted)?;
                scores.accuracy = scores.accuracy.or(Some(confusion.accuracy()));
                scores.confusion = Some((classes.clone(), confusion));
            }
            Target::Values(values) if task.predicts() == "labels" => {
                scores.labels = of_labels(
                    &label_names(encoding, values.ncols()),
                    values,
                    outputs,
                    threshold(model),
                )?;
            }
            Target::Values(values) if task.predicts() == "numbers" => {
                let predicted = in_unit(model, encoding, outputs);
                let actual = decoded(encoding, values);
                scores.regression = Some(regression(&predicted, &actual)?);
                if actual.ncols() > 1 {
                    scores.targets =
                        of_targets(&output_names(encoding, actual.ncols()), &predicted, &actual)?;
                }
            }
            _ => {}
        }
        Ok(scores)
    }

    /// As JSON, with the loss first.
    pub fn as_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        object.insert("loss".into(), cases::number_to_json(self.loss));
        object.insert("accuracy".into(), json!(self.accuracy));
        if !self.labels.is_empty() {
            let right = self.labels.iter().map(|(_, confusion)| confusion.accuracy()).sum::<f64>();
            object.insert("label_accuracy".into(), json!(right / self.labels.len() as f64));
        }
        if let Some(found) = &self.regression {
            for (name, value) in [("mae", found.mae), ("rmse", found.rmse), ("mse", found.mse)] {
                object.insert(name.into(), cases::number_to_json(value));
            }
            object.insert("r2".into(), json!(found.r2));
        }
        if !self.targets.is_empty() {
            let of_target = |(name, found): &(String, Regression)| {
                let number = cases::number_to_json;
                let (mae, rmse, mse) = (number(found.mae), number(found.rmse), number(found.mse));
                json!({ "target": name, "mae": mae, "rmse": rmse, "mse": mse, "r2": found.r2 })
            };
            object.insert("targets".into(), self.targets.iter().map(of_target).collect());
        }
        if let Some(ranking) = &self.ranking {
            ranking.add_to(&mut object);
        }
        object
    }

    /// The confusion matrix and the metrics derived from it, as JSON.
    pub fn details_as_json(&self) -> Map<String, Value> {
        let mut object = Map::new();
        if let Some((classes, confusion)) = &self.confusion {
            let rows: Vec<&[u64]> =
                (0..confusion.classes()).map(|class| confusion.row(class)).collect();
            object.insert("confusion".into(), json!({ "classes": classes, "counts": rows }));
            object.insert(
                "balanced_accuracy".into(),
                cases::number_to_json(confusion.balanced_accuracy()),
            );
            let of_class = |(class, name): (usize, &String)| class_as_json(name, confusion, class);
            object.insert("classes".into(), classes.iter().enumerate().map(of_class).collect());
        }
        if !self.labels.is_empty() {
            let of_label =
                |(name, confusion): &(String, Confusion)| class_as_json(name, confusion, 1);
            object.insert("labels".into(), self.labels.iter().map(of_label).collect());
        }
        object
    }

    /// `loss 0.10000, accuracy 97.00 %`
    pub fn in_words(&self) -> String {
        let mut text = format!("loss {}", text::number(self.loss));
        if let Some(accuracy) = self.accuracy {
            text += &format!(", accuracy {:.2} %", 100.0 * accuracy);
        }
        if !self.labels.is_empty() {
            let right = self.labels.iter().map(|(_, confusion)| confusion.accuracy()).sum::<f64>();
            text += &format!(", labels right {:.2} %", 100.0 * right / self.labels.len() as f64);
        }
        match &self.regression {
            // Targets of different units have no common error.
            Some(_) if !self.targets.is_empty() => {
                for (name, found) in self.targets.iter().take(MOST_TARGETS) {
                    text += &format!("; {name}: {}", errors_in_words(found));
                }
                let more = self.targets.len().saturating_sub(MOST_TARGETS);
                text +=
                    &if more > 0 { format!("; and {more} targets more") } else { String::new() };
            }
            Some(found) => text += &format!(", {}", errors_in_words(found)),
            None => {}
        }
        if let Some(ranking) = &self.ranking {
            text += &format!(", {}", ranking.in_words());
        }
        text
    }

    /// The confusion matrix, precision and recall as tables, or the errors per target if there are
    /// several; empty for a single number.
    pub fn details_in_words(&self) -> String {
        let mut text = String::new();
        if self.targets.len() > MOST_TARGETS {
            let mut table = crate::output::table(&["target", "MAE", "RMSE", "R²"]);
            for (name, found) in &self.targets {
                let r2 = found.r2.map_or("-".into(), |r2| format!("{r2:.4}"));
                table.add_row([name.clone(), rounded(found.mae), rounded(found.rmse), r2]);
            }
            text += &format!("{table}\n");
        }
        if let Some((classes, confusion)) = &self.confusion {
            if classes.len() <= MOST_SHOWN {
                text += &format!(
                    "rows: the class; columns: what it was taken for\n{}\n\n",
                    matrix(classes, confusion)
                );
            }
            let lines =
                classes.iter().enumerate().map(|(class, name)| (name.as_str(), confusion, class));
            text += &format!("{}\n", precision_and_recall("class", lines));
            text += &format!(
                "balanced accuracy (the mean recall): {:.2} %\n",
                100.0 * confusion.balanced_accuracy()
            );
        }
        if !self.labels.is_empty() {
            let lines = self.labels.iter().map(|(name, confusion)| (name.as_str(), confusion, 1));
            text += &format!("{}\n", precision_and_recall("label", lines));
        }
        text
    }
}

/// Concatenates targets.
fn joined(parts: Vec<Target>) -> Target {
    let mut parts = parts.into_iter();
    let mut all = parts.next().unwrap_or(Target::None);
    for part in parts {
        match (&mut all, part) {
            (Target::Labels { labels, .. }, Target::Labels { labels: more, .. }) => {
                let _ = labels.append(Axis(0), more.view());
            }
            (Target::Values(values), Target::Values(more)) => {
                let _ = values.append(Axis(0), more.view());
            }
            _ => {}
        }
    }
    all
}

/// Factor from a loss to the unit of the targets.
pub fn loss_unit(model: &Model, encoding: Option<&Encoding>) -> f64 {
    let unit = encoding.and_then(|encoding| encoding.target().unit());
    let (Some(unit), Some(loss)) = (unit, model.loss()) else { return 1.0 };
    loss_in_unit(loss, unit).unwrap_or(1.0)
}

/// Predicted numbers in the unit of the targets.
pub fn in_unit(model: &Model, encoding: Option<&Encoding>, outputs: &Array2<f32>) -> Array2<f64> {
    let mut numbers = decoded(encoding, outputs);
    if model.predicts_logarithms() {
        // In the unit of the file: for a loss that takes logarithms the targets are not
        // standardized.
        numbers.mapv_inplace(f64::exp);
    }
    numbers
}

fn decoded(encoding: Option<&Encoding>, numbers: &Array2<f32>) -> Array2<f64> {
    encoding.map_or_else(|| numbers.mapv(f64::from), |encoding| encoding.decode(numbers))
}

/// The column of each row's largest output, the first one if tied.
pub fn largest(outputs: &Array2<f32>) -> Vec<usize> {
    let largest = |row: ArrayView1<f32>| {
        let mut best = 0;
        for (column, value) in row.iter().enumerate() {
            if *value > row[best] {
                best = column;
            }
        }
        best
    };
    outputs.rows().into_iter().map(largest).collect()
}

/// Threshold from which an output predicts its label.
pub fn threshold(model: &Model) -> f32 {
    if model.output_activation() == "sigmoid" { 0.5 } else { 0.0 }
}

/// Names of the binary labels.
pub fn label_names(encoding: Option<&Encoding>, count: usize) -> Vec<String> {
    match encoding.map(Encoding::target) {
        Some(TargetEncoding::Flags { columns, .. }) => columns.clone(),
        _ => (0..count).map(|label| label.to_string()).collect(),
    }
}

/// Names of the outputs: the target columns, or numbers.
pub fn output_names(encoding: Option<&Encoding>, count: usize) -> Vec<String> {
    match encoding.map_or(&[][..], |encoding| encoding.target().columns()) {
        names if names.len() == count => names.to_vec(),
        _ => (0..count).map(|output| output.to_string()).collect(),
    }
}

/// Errors per target.
fn of_targets(
    names: &[String],
    predicted: &Array2<f64>,
    actual: &Array2<f64>,
) -> Outcome<Vec<(String, Regression)>> {
    let column =
        |numbers: &Array2<f64>, place: usize| numbers.slice(s![.., place..=place]).to_owned();
    let of = |(place, name): (usize, &String)| {
        Ok((name.clone(), regression(&column(predicted, place), &column(actual, place))?))
    };
    names.iter().enumerate().map(of).collect()
}

/// `MAE 0.5, RMSE 0.7, R² 0.9`
fn errors_in_words(found: &Regression) -> String {
    let r2 = found.r2.map_or("no R² (the targets do not vary)".into(), |r2| format!("R² {r2:.4}"));
    format!("MAE {}, RMSE {}, {r2}", rounded(found.mae), rounded(found.rmse))
}

fn of_labels(
    names: &[String],
    values: &Array2<f32>,
    outputs: &Array2<f32>,
    threshold: f32,
) -> Outcome<Vec<(String, Confusion)>> {
    let of = |(label, name): (usize, &String)| {
        let actual: Vec<usize> =
            values.column(label).iter().map(|&value| usize::from(value > 0.0)).collect();
        let predicted: Vec<usize> =
            outputs.column(label).iter().map(|&value| usize::from(value > threshold)).collect();
        Ok((name.clone(), Confusion::new(2, &actual, &predicted)?))
    };
    names.iter().enumerate().map(of).collect()
}

fn class_as_json(name: &str, confusion: &Confusion, class: usize) -> Value {
    json!({
        "class": name, "rows": confusion.support(class), "precision": confusion.precision(class),
        "recall": confusion.recall(class), "f1": confusion.f1(class),
    })
}

fn matrix(classes: &[String], confusion: &Confusion) -> comfy_table::Table {
    let headings: Vec<&str> = [""].into_iter().chain(classes.iter().map(String::as_str)).collect();
    let mut table = crate::output::table(&headings);
    for (class, name) in classes.iter().enumerate() {
        let counts = confusion.row(class).iter().map(ToString::to_string);
        table.add_row([name.clone()].into_iter().chain(counts));
    }
    table
}

fn precision_and_recall<'a>(
    heading: &str,
    lines: impl Iterator<Item = (&'a str, &'a Confusion, usize)>,
) -> comfy_table::Table {
    let mut table = crate::output::table(&[heading, "rows", "precision", "recall", "F1"]);
    let share = |share: Option<f64>| share.map_or("-".into(), |share| format!("{share:.4}"));
    for (name, confusion, class) in lines {
        table.add_row([
            name.to_string(),
            confusion.support(class).to_string(),
            share(confusion.precision(class)),
            share(confusion.recall(class)),
            share(confusion.f1(class)),
        ]);
    }
    table
}

/// Beyond it a number is written with an exponent.
const LARGEST_WITH_ALL_DIGITS: f64 = 1e9;

/// A number in six significant digits, or with all digits before its decimal point.
fn rounded(number: f64) -> String {
    if number.abs() >= LARGEST_WITH_ALL_DIGITS {
        return text::number(number);
    }
    let whole = number.abs().max(1e-9).log10().floor();
    let digits = (5.0 - whole).clamp(0.0, 9.0) as usize;
    format!("{number:.digits$}")
}

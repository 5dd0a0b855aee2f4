//! `gradus predict`: what a saved model says of the rows of a data set.

use std::path::PathBuf;

use clap::Args;
use gradus::Model;
use gradus::data::{Dataset, Target};
use ndarray::{Array2, ArrayView1};
use serde_json::{Value, json};

use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::samples::{Source, labels_for};
use crate::saved;

/// Predicts the rows of a data set with a saved model
#[derive(Args)]
pub struct Predict {
    /// A model that `gradus train --out` saved
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    device: DeviceChoice,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

impl Predict {
    pub fn run(&self) -> Outcome {
        saved::check_kind("MODEL", &self.model, saved::Kind::Network)?;
        let device = self.device.open(false)?;
        let mut model = Model::load(&self.model, &device).map_err(|error| Failure::from(error).of("MODEL"))?;
        if model.keeps_average() {
            model = model.averaged()?;
        }
        let split = self.source.read_for(&model)?;
        let rows = split.test.unwrap_or(split.train);
        let outputs = model.predict(&rows.features)?;
        let classes = model.predicts_classes().then(|| classes(&outputs));
        let accuracy = accuracy(&model, classes.as_deref(), &rows)?;
        if let Some(accuracy) = accuracy {
            output::note(&format!("accuracy: {:.2} % of {} rows", 100.0 * accuracy, rows.rows()));
        }
        if self.json {
            let predictions: Value = match &classes {
                Some(classes) if model.names().classes.is_empty() => json!(classes),
                Some(classes) => classes.iter().map(|&class| named(&model, class)).collect(),
                None => outputs.rows().into_iter().map(values).collect(),
            };
            return output::print_json(
                &json!({ "device": device.name(), "predictions": predictions, "accuracy": accuracy }),
            );
        }
        output::print(&match classes {
            Some(classes) => lines(classes.iter().map(|&class| named(&model, class))),
            None => lines(
                outputs.rows().into_iter().map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
            ),
        })
    }
}

/// A class by its name, where the data that the model was trained on gave names.
fn named(model: &Model, class: usize) -> String {
    model.names().classes.get(class).cloned().unwrap_or_else(|| class.to_string())
}

/// The number of a row with one output, the list of several.
fn values(row: ArrayView1<f32>) -> Value {
    if row.len() == 1 { json!(row[0]) } else { json!(row.to_vec()) }
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

/// The column of each row's largest output, the first of several.
fn classes(outputs: &Array2<f32>) -> Vec<usize> {
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

/// The share of rows whose class is right, where there are classes on both sides.
fn accuracy(model: &Model, classes: Option<&[usize]>, rows: &Dataset) -> Outcome<Option<f64>> {
    let Some(classes) = classes.filter(|_| rows.target != Target::None) else {
        return Ok(None);
    };
    let labels = labels_for(model, rows)?;
    let right = classes.iter().zip(&labels).filter(|(class, label)| **class as i64 == **label).count();
    Ok(Some(right as f64 / classes.len().max(1) as f64))
}

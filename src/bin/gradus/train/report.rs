//! Report of a training run, as JSON and as text.

use std::io::IsTerminal;

use gradus::{History, cases, text};
use serde_json::{Map, Value, json};

use crate::output;
use crate::samples::Task;
use crate::scores::Scores;
use crate::train::options::Train;
use crate::train::page::diagnosis_as_json;
use crate::train::trained::Trained;

impl Train {
    pub(super) fn as_json(&self, trained: &Trained, task: &Task) -> Value {
        let number = cases::number_to_json;
        let columns = trained.history.columns();
        // Include this run's lists even if it ended before its first epoch was complete.
        let validates = trained.history.epochs.is_empty() && self.validation != Some(0.0);
        let empty = |name: &&str| match *name {
            "loss" => true,
            "accuracy" => task.predicts() == "classes",
            "val_loss" => validates,
            "val_accuracy" => validates && task.predicts() == "classes",
            _ => false,
        };
        let names = ["loss", "accuracy", "val_loss", "val_accuracy"];
        let mut history: Map<String, Value> = names
            .iter()
            .filter(|name| empty(name))
            .map(|name| (name.to_string(), json!([])))
            .collect();
        history.extend(columns.into_iter().map(|(name, values)| {
            (
                name.to_string(),
                values.into_iter().map(|value| value.map_or(Value::Null, number)).collect(),
            )
        }));
        let epochs = trained.epochs().max(1) as f64;
        let mut document = json!({
            "device": trained.model.device().name(),
            "adapter": trained.model.device().describe(),
            "parameters": trained.model.parameters(),
            "history": history,
            "epochs_before": trained.history.before,
            "test": trained.test.as_ref().map(Scores::as_json),
            "seconds": trained.seconds,
            "seconds_per_epoch": trained.seconds / epochs,
            "steps": trained.history.steps.len(),
            "diagnosis": diagnosis_as_json(&trained.history.diagnosis()),
            "stopped": trained.history.stopped.as_ref().map(ToString::to_string),
            "restored_epoch": trained.history.restored,
            "baseline": trained.history.baseline.map(|baseline| {
                json!({ "loss": number(baseline.loss), "val_loss": baseline.val_loss.map(number) })
            }),
        });
        if let Some(scores) = &trained.validation {
            document["validation"] = Value::Object(scores.as_json());
        }
        document["settings"] =
            self.settings_as_json(&trained.model, &trained.chosen, trained.in_pieces, task);
        if trained.chosen.skip_non_finite || trained.chosen.mixed_precision {
            document["skipped"] =
                trained.history.epochs.iter().map(|epoch| epoch.skipped).sum::<usize>().into();
        }
        if self.step_losses {
            document["step_losses"] =
                trained.history.steps.iter().map(|&loss| number(loss)).collect();
        }
        document
    }
}

/// The epochs, and the quality of the predictions on the other rows.
pub fn as_text(trained: &Trained, is_weighed: bool) -> String {
    // Without a terminal each epoch of this run was already a line on stderr.
    let mut text = format!("{}\n\n", epochs(&trained.history, !std::io::stderr().is_terminal()));
    let each = trained.seconds / trained.epochs().max(1) as f64;
    if let Some(baseline) = trained.history.baseline {
        let validation = baseline
            .val_loss
            .map(|loss| format!(", val_loss {}", text::number(loss)))
            .unwrap_or_default();
        text += &format!("predicting the mean: loss {}{validation}\n", text::number(baseline.loss));
    }
    text += &format!(
        "{} steps in {}, {} an epoch\n",
        text::count(trained.history.steps.len() as u64),
        text::seconds(trained.seconds),
        text::seconds(each)
    );
    let diagnosis = trained.history.diagnosis().to_string();
    if !diagnosis.is_empty() {
        text += &output::folded(&format!("diagnosis: {diagnosis}\n"));
    }
    for (name, scores) in [("validation", &trained.validation), ("test", &trained.test)] {
        if let Some(scores) = scores {
            // The losses of the epochs are weighted.
            let note = if is_weighed { " (each row counts alike)" } else { "" };
            text += &output::folded(&format!("{name}{note}: {}\n", scores.in_words()));
        }
    }
    text
}

/// Table of the epochs: all of them, or the last one if they were reported as they ended.
fn epochs(history: &History, are_printed: bool) -> comfy_table::Table {
    let columns = history.columns();
    let headings: Vec<&str> =
        ["epoch"].into_iter().chain(columns.iter().map(|(name, _)| *name)).collect();
    let mut table = output::table(&headings);
    let count = history.epochs.len();
    for epoch in
        (0..count).filter(|epoch| !are_printed || *epoch < history.before || epoch + 1 == count)
    {
        let shown = |name: &str, x: f64| match name {
            // Fractions of 1, aligned for comparison down the column.
            "accuracy" | "val_accuracy" | "r2" | "val_r2" if x.abs() < 1e3 => format!("{x:.4}"),
            _ => text::number(x),
        };
        let numbers = columns
            .iter()
            .map(|(name, values)| values[epoch].map_or(String::new(), |x| shown(name, x)));
        table.add_row([(epoch + 1).to_string()].into_iter().chain(numbers));
    }
    table
}

//! The page of a training run: what the training says about its rate and length, and its losses.

use gradus::rates::Diagnosis;
use gradus::{History, text};
use serde_json::{Value, json};

use crate::output::Outcome;
use crate::page::Page;
use crate::page::axis::Axis;
use crate::page::chart::{Chart, Mark};
use crate::page::svg::Colour;
use crate::samples::Task;
use crate::train::options::Train;
use crate::train::trained::{Trained, restored_in_words};

/// Points of a line at most: more steps are drawn as means of as many successive ones.
const MOST_POINTS: usize = 1000;

/// Losses that span this factor are drawn on a logarithmic axis.
const WIDE: f64 = 30.0;

impl Train {
    /// Writes the page that `--html` asks for, if any.
    pub(super) fn write_page(&self, trained: &Trained, task: &Task) -> Outcome {
        let Some(file) = &self.html else { return Ok(()) };
        let settings = self.chosen_in_words(&trained.chosen, task, &trained.model);
        let origin = format!(
            "gradus {} · {} · {} · {} parameters · {settings}",
            env!("CARGO_PKG_VERSION"),
            self.source.path().display(),
            trained.model.device().describe(),
            text::count(trained.model.parameters() as u64)
        );
        page(trained, &origin)?.write(file)
    }
}

fn page(trained: &Trained, origin: &str) -> Outcome<Page> {
    let history = &trained.history;
    let mut page = Page::new("gradus train", origin);
    page.section("What the training says");
    let mut points: Vec<String> = history.stopped.iter().map(ToString::to_string).collect();
    points.extend(restored_in_words(history));
    points.extend(Some(history.diagnosis().to_string()).filter(|line| !line.is_empty()));
    for (name, scores) in [("validation", &trained.validation), ("test", &trained.test)] {
        points.extend(scores.as_ref().map(|scores| format!("{name}: {}", scores.in_words())));
    }
    page.list(points);
    page.section("Loss");
    page.chart(
        &losses(history),
        "The loss of each batch before its update, and on the validation rows after each epoch.",
    )?;
    if !history.updates.is_empty() {
        page.section("Size of the updates");
        let caption = "‖Δw‖ / ‖w‖ of the first updates: some 1e-3 to 1e-2 in short trainings at a right rate.";
        page.chart(&updates(history), caption)?;
    }
    page.section("Epochs");
    let columns = history.columns();
    let headings: Vec<&str> =
        ["epoch"].into_iter().chain(columns.iter().map(|(name, _)| *name)).collect();
    let rows = (0..history.epochs.len()).map(|epoch| {
        let values =
            columns.iter().map(|(_, values)| values[epoch].map_or(String::new(), text::number));
        [(epoch + 1).to_string()].into_iter().chain(values).collect::<Vec<String>>()
    });
    page.table(&headings, 0.., rows);
    Ok(page)
}

fn losses(history: &History) -> Chart {
    let steps = &history.steps;
    let epochs = &history.epochs[history.before.min(history.epochs.len())..];
    let validation: Vec<(f64, f64)> = epochs
        .iter()
        .enumerate()
        .filter_map(|(epoch, of)| {
            let step = steps.len() as f64 * (epoch + 1) as f64 / epochs.len() as f64;
            Some((step, of.val_loss?))
        })
        .collect();
    let all = || steps.iter().copied().chain(validation.iter().map(|(_, loss)| *loss));
    let (low, high) =
        (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let y = if low > 0.0 && high > WIDE * low { Axis::log("loss") } else { Axis::linear("loss") };
    let last = validation
        .last()
        .map_or(String::new(), |(_, loss)| format!(", validation {}", text::number(*loss)));
    let end = steps.last().map_or(f64::NAN, |loss| *loss);
    let description =
        format!("Loss over {} steps, at the end {}{last}", steps.len(), text::number(end));
    let chart = Chart::new(description, Axis::linear("step"), y).series(
        "batch",
        Colour::Blue,
        Mark::Line,
        thinned(steps.iter().copied(), MOST_POINTS),
    );
    match validation.is_empty() {
        true => chart,
        false => chart.series("validation", Colour::Orange, Mark::Points, validation),
    }
}

fn updates(history: &History) -> Chart {
    let ratios = history.updates.iter().map(|update| update.update_ratio);
    let chart = Chart::new(
        "Size of the updates against the weights",
        Axis::linear("step"),
        Axis::log("‖Δw‖ / ‖w‖"),
    );
    chart.series("update", Colour::Purple, Mark::Line, thinned(ratios, MOST_POINTS))
}

/// The values by their numbers from 1 on, or the means of successive ones.
pub(crate) fn thinned(values: impl Iterator<Item = f64>, most: usize) -> Vec<(f64, f64)> {
    let values: Vec<f64> = values.collect();
    let each = values.len().div_ceil(most).max(1);
    let mean = |(number, some): (usize, &[f64])| {
        let middle = (number * each) as f64 + (some.len() as f64 + 1.0) / 2.0;
        (middle, some.iter().sum::<f64>() / some.len() as f64)
    };
    values.chunks(each).enumerate().map(mean).collect()
}

/// The diagnosis in a JSON document.
pub(super) fn diagnosis_as_json(diagnosis: &Diagnosis) -> Value {
    let mut document = json!(diagnosis);
    document["text"] = Value::from(diagnosis.to_string());
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_steps_become_their_means() {
        let points = thinned((0..2500).map(f64::from), MOST_POINTS);
        assert_eq!(points.len(), 834);
        assert_eq!(points[0], (2.0, 1.0));
        assert_eq!(points[833], (2500.0, 2499.0));
        assert_eq!(thinned([5.0, 6.0].into_iter(), MOST_POINTS), [(1.0, 5.0), (2.0, 6.0)]);
    }
}

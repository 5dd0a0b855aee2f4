//! The training state in a model's file, for resuming.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Result;
use crate::nn::train::engine::Outcome;
use crate::nn::train::history::{Epoch, History};
use crate::nn::train::training::{
    Best, Cut, EarlyStoppingMonitor, Options, Progress, Snapshot, Training,
};

/// Names of a snapshot's tensors, after the snapshot's own name: its parameters, then its states.
const PARTS: [&str; 6] = ["parameters", "first", "second", "third", "fourth", "fifth"];

/// Numbers per epoch: a bit mask of the optional values present, then all values.
const COLUMNS: usize = 9;

/// The training in the file's description; its numbers are tensors, which preserve every bit and
/// NaN.
#[derive(Serialize, Deserialize)]
pub(crate) struct Record {
    options: Options,
    planned: usize,
    rows: u64,
    epochs: usize,
    waited: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    best: Option<BestEpoch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<Progress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cut: Option<CutEpoch>,
}

#[derive(Serialize, Deserialize)]
struct BestEpoch {
    epoch: usize,
    progress: Progress,
}

#[derive(Serialize, Deserialize)]
struct CutEpoch {
    batches: usize,
    skipped: usize,
    progress: Progress,
}

/// Numbers of each tensor of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotLengths {
    /// With the running statistics.
    pub parameters: usize,
    pub states: usize,
}

impl Record {
    pub fn of(training: &Training) -> Self {
        let best = |best: &Best| BestEpoch { epoch: best.epoch, progress: best.snapshot.progress };
        let cut = |cut: &Cut| CutEpoch {
            batches: cut.outcomes.len(),
            skipped: cut.skipped,
            progress: cut.before.progress,
        };
        Record {
            options: training.options.clone(),
            planned: training.planned,
            rows: training.rows,
            epochs: training.done(),
            waited: training.monitor.waited,
            best: training.monitor.best.as_ref().map(best),
            last: training.last.as_ref().map(|last| last.progress),
            cut: training.cut.as_ref().map(cut),
        }
    }

    /// The training, for a model with the given number of states; `read` returns a
    /// tensor of a shape.
    pub fn training(
        self,
        lengths: SnapshotLengths,
        states: usize,
        read: impl Fn(&str, &[usize]) -> Result<Vec<f64>>,
    ) -> Result<Training> {
        let table = |name: &str, rows: usize, columns: usize| {
            if rows == 0 {
                Ok(Vec::new())
            } else {
                read(&format!("training.{name}"), &[rows, columns])
            }
        };
        let snapshot = |name: &str, progress: Progress| {
            progress.loss_scale.check()?;
            let part = |part: &&str| {
                let is_parameters = *part == PARTS[0];
                let length = if is_parameters { lengths.parameters } else { lengths.states };
                read(&format!("training.{name}.{part}"), &[length])
            };
            let mut parts = PARTS.iter().take(1 + states).map(part).collect::<Result<Vec<_>>>()?;
            Ok::<_, crate::Error>(Snapshot { parameters: parts.remove(0), states: parts, progress })
        };
        let epochs: Vec<Epoch> =
            table("history", self.epochs, COLUMNS)?.chunks_exact(COLUMNS).map(epoch).collect();
        // The best epoch, if it is in the history.
        let best = self
            .best
            .and_then(|best| Some((epochs.get(best.epoch.checked_sub(1)?)?.watched(), best)));
        let best = best.map(|(value, best)| {
            Ok::<_, crate::Error>(Best {
                snapshot: snapshot("best", best.progress)?,
                epoch: best.epoch,
                value,
            })
        });
        let cut = self.cut.map(|cut| {
            let numbers = table("cut", cut.batches, 2)?;
            let outcomes = numbers
                .chunks_exact(2)
                .map(|pair| Outcome { loss: pair[0], correct: pair[1] })
                .collect();
            let before = snapshot("before", cut.progress)?;
            Ok::<_, crate::Error>(Cut { before, outcomes, skipped: cut.skipped })
        });
        let monitor = EarlyStoppingMonitor {
            history: History { epochs, ..History::default() },
            best: best.transpose()?,
            waited: self.waited,
        };
        let last = self.last.map(|progress| snapshot("last", progress)).transpose()?;
        Ok(Training {
            watch: None,
            monitor,
            last,
            cut: cut.transpose()?,
            ..Training::new(self.options, self.planned, self.rows)
        })
    }
}

/// Passes a training's tensors to `add`: name, shape, values, and true if they need f64. `exact` is
/// true if weights do.
pub(crate) fn tensors<'t>(
    training: &'t Training,
    exact: bool,
    mut add: impl FnMut(String, Vec<usize>, Cow<'t, [f64]>, bool),
) {
    let history: Vec<f64> = training.monitor.history.epochs.iter().flat_map(columns).collect();
    if !history.is_empty() {
        add("training.history".into(), vec![training.done(), COLUMNS], history.into(), true);
    }
    let best = training.monitor.best.as_ref().map(|best| &best.snapshot);
    let before = training.cut.as_ref().map(|cut| &cut.before);
    for (name, snapshot) in [("best", best), ("last", training.last.as_ref()), ("before", before)] {
        let Some(Snapshot { parameters, states, .. }) = snapshot else { continue };
        for (part, values) in PARTS.iter().zip(std::iter::once(parameters).chain(states)) {
            add(format!("training.{name}.{part}"), vec![values.len()], values.into(), exact);
        }
    }
    if let Some(cut) = training.cut.as_ref().filter(|cut| !cut.outcomes.is_empty()) {
        let numbers: Vec<f64> =
            cut.outcomes.iter().flat_map(|outcome| [outcome.loss, outcome.correct]).collect();
        add("training.cut".into(), vec![cut.outcomes.len(), 2], numbers.into(), true);
    }
}

fn columns(report: &Epoch) -> [f64; COLUMNS] {
    let optional = [
        report.accuracy,
        report.val_loss,
        report.val_accuracy,
        report.learning_rate,
        report.r2,
        report.val_r2,
    ];
    let there = optional
        .iter()
        .enumerate()
        .map(|(place, value)| f64::from(u8::from(value.is_some()) << place))
        .sum();
    let [accuracy, val_loss, val_accuracy, rate, r2, val_r2] =
        optional.map(|value| value.unwrap_or(0.0));
    [there, report.loss, accuracy, val_loss, val_accuracy, rate, r2, val_r2, report.skipped as f64]
}

/// The wall time is not saved: the same training gives the same file.
fn epoch(columns: &[f64]) -> Epoch {
    let there = columns[0] as u8;
    let optional = |place: usize| (there >> place & 1 == 1).then_some(columns[2 + place]);
    Epoch {
        loss: columns[1],
        accuracy: optional(0),
        val_loss: optional(1),
        val_accuracy: optional(2),
        learning_rate: optional(3),
        r2: optional(4),
        val_r2: optional(5),
        skipped: columns[8] as usize,
        seconds: 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_comes_back_with_every_bit() {
        for (accuracy, val_loss, rate) in [
            (None, None, None),
            (Some(0.5), Some(f64::NAN), Some(1e-300)),
            (None, Some(0.1 + 0.2), None),
        ] {
            let report = Epoch {
                loss: 0.1,
                accuracy,
                val_loss,
                learning_rate: rate,
                r2: rate,
                val_r2: accuracy,
                skipped: 3,
                ..Epoch::default()
            };
            let found = epoch(&columns(&report));
            assert_eq!(format!("{found:?}"), format!("{report:?}"));
        }
    }
}

//! The training loop: epochs of batches, validation, and when to end.

use std::time::{Duration, Instant};

use ndarray::{ArrayBase, Data, Ix2};

use crate::model::{Model, PREDICTION_BATCH, Progress};
use crate::random::Permutation;
use crate::train::engine::{Batch, Metric, Objective, Outcome};
use crate::train::history::{Epoch, History, Stop};
use crate::train::options::{Fit, ValidationTargets};
use crate::train::progress::Bar;
use crate::train::samples::Rows;
use crate::{Error, Result, Targets};

/// How well a model does on some rows.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Score {
    /// Mean loss.
    pub loss: f64,
    /// Share of rows predicted right, where the targets are classes.
    pub accuracy: Option<f64>,
}

/// How often a bar is drawn anew.
const REDRAW: Duration = Duration::from_millis(150);

/// Rows that are loaded, and how many there are.
#[derive(Clone, Copy)]
struct Loaded {
    data: usize,
    rows: usize,
    kept: usize,
}

/// Weights to come back to.
struct Snapshot {
    parameters: Vec<f64>,
    states: [Vec<f64>; 2],
    progress: Progress,
    epoch: usize,
    value: f64,
}

impl Model {
    /// Trains: Keras' `fit`. Goes on from where the model stands, so that two calls, or a call after
    /// [`Model::load`], give the same bits as one long call.
    ///
    /// Class labels for a loss that takes dense targets become one-hot rows (−1 and +1 for the hinges' signs).
    /// The data is uploaded once and shuffled on the device.
    ///
    /// # Errors
    /// Shapes, labels and values that do not fit, options outside their domains, a model that was not compiled, and
    /// what the device reports. A loss that is not finite is no error: it ends the training ([`History::stopped`]).
    pub fn fit<'a, S: Data<Elem = f32>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
        targets: impl Into<Targets<'a>>,
        fit: Fit,
    ) -> Result<History> {
        fit.check()?;
        let mut objective = self.objective("fit")?;
        let rows = Rows::new(self.intake(), &*objective.loss, "fit", features, &targets.into())?;
        objective.metric = Metric::of(&*objective.loss, rows.one_hot);
        objective.clip_norm = fit.clip_norm;
        // Rows of their own are enough to validate with: none are held back then.
        let split = if fit.validation.is_some() { 0.0 } else { fit.validation_split };
        let held_back = (rows.rows as f64 * split) as usize;
        let training = rows.rows - held_back;
        if training == 0 {
            return Err(Error::Empty { operation: "fit".into(), name: "the rows left by validation_split".into() });
        }
        let data = self.engine.load(&rows.part(0, training))?;
        let kept = rows.kept_of(&*objective.loss, 0, training);
        let loaded = Loaded { data, rows: training, kept };
        let mut validation = None;
        if held_back > 0 {
            let kept = rows.kept_of(&*objective.loss, training, held_back);
            let data = self.engine.load(&rows.part(training, held_back))?;
            validation = Some(Loaded { data, rows: held_back, kept });
        }
        if let Some(given) = &fit.validation {
            let targets = match &given.1 {
                ValidationTargets::Dense(dense) => Targets::from(dense),
                ValidationTargets::Labels(labels) => Targets::from(labels),
            };
            let rows = Rows::new(self.intake(), &*objective.loss, "fit (validation)", &given.0, &targets)?;
            validation = Some(Loaded { data: self.engine.load(&rows.all())?, rows: rows.rows, kept: rows.kept });
        }
        let history = self.epochs(&objective, &fit, loaded, validation);
        self.engine.unload(loaded.data);
        if let Some(validation) = validation {
            self.engine.unload(validation.data);
        }
        history
    }

    /// Loss and accuracy on rows that are not trained on: Keras' `evaluate`.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn evaluate<'a, S: Data<Elem = f32>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Score> {
        let mut objective = self.objective("evaluate")?;
        let rows = Rows::new(self.intake(), &*objective.loss, "evaluate", features, &targets.into())?;
        objective.metric = Metric::of(&*objective.loss, rows.one_hot);
        let loaded = Loaded { data: self.engine.load(&rows.all())?, rows: rows.rows, kept: rows.kept };
        let score = self.score(&objective, loaded);
        self.engine.unload(loaded.data);
        score
    }

    fn objective(&self, operation: &str) -> Result<Objective> {
        let compiled = self.compiled.as_ref().ok_or_else(|| Error::Input {
            operation: operation.into(),
            name: "the model".into(),
            found: "has no loss yet".into(),
            allowed: "call compile(loss, optimizer) first".into(),
        })?;
        Ok(Objective {
            loss: compiled.loss.clone(),
            optimizer: compiled.optimizer.clone(),
            metric: None,
            clip_norm: None,
        })
    }

    fn score(&mut self, objective: &Objective, loaded: Loaded) -> Result<Score> {
        let batches: Vec<Batch> = pieces(loaded.rows, PREDICTION_BATCH)
            .map(|(start, rows)| Batch {
                start,
                rows,
                order: None,
                // One divisor for all batches, so that their losses add up to the mean.
                divisor_rows: Some(loaded.kept.max(1)),
                accumulate: false,
                update: None,
            })
            .collect();
        let outcomes = self.engine.evaluate(loaded.data, objective, &batches)?;
        let correct: f64 = outcomes.iter().map(|outcome| outcome.correct).sum();
        Ok(Score {
            loss: outcomes.iter().map(|outcome| outcome.loss).sum(),
            accuracy: objective.metric.map(|_| correct / loaded.kept.max(1) as f64),
        })
    }

    fn epochs(
        &mut self,
        objective: &Objective,
        fit: &Fit,
        training: Loaded,
        validation: Option<Loaded>,
    ) -> Result<History> {
        let mut history = History::default();
        let mut best: Option<Snapshot> = None;
        let mut waited = 0;
        for epoch in 1..=fit.epochs {
            let begun = Instant::now();
            let before = self.progress;
            self.engine.remember()?;
            let batches = self.batches(objective, fit, training);
            let bar = Bar::new(fit.progress, epoch, fit.epochs, training.rows);
            let outcomes = self.train(training.data, objective, &batches, bar.as_ref());
            let outcomes = match outcomes {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    // The epoch did not happen: neither its updates, which were counted when the batches were made,
                    // nor what they did to the weights. That a lost device cannot go back is told by `error` already.
                    self.progress = before;
                    let _ = self.engine.recall();
                    return Err(error);
                }
            };
            if let Some((batch, loss)) = self.first_not_finite(&outcomes)? {
                self.engine.recall()?;
                self.progress = before;
                history.stopped = Some(Stop::NotFinite { epoch, batch: batch + 1, loss });
                break;
            }
            self.progress.epochs += 1;
            let mut told = summarize(objective, &batches, &outcomes, training.kept, &mut history.steps);
            if let Some(validation) = validation {
                let score = self.score(objective, validation)?;
                (told.val_loss, told.val_accuracy) = (Some(score.loss), score.accuracy);
            }
            told.seconds = begun.elapsed().as_secs_f64();
            if let Some(bar) = bar {
                bar.finish(line(&told));
            }
            let watched = told.val_loss.unwrap_or(told.loss);
            history.epochs.push(told);
            if let Some(path) = &fit.checkpoint {
                self.save(path)?;
            }
            let Some(early) = &fit.early_stopping else { continue };
            // Anything is better than NaN, which is less than nothing.
            let gain = |best: &Snapshot| best.value.is_nan() || watched < best.value - early.min_delta;
            if best.as_ref().is_none_or(gain) {
                best = Some(self.snapshot(epoch, watched)?);
                waited = 0;
                continue;
            }
            waited += 1;
            if waited >= early.patience.max(1) {
                history.stopped = best.as_ref().map(|best| Stop::Early { best_epoch: best.epoch, best: best.value });
                break;
            }
        }
        if let (Some(best), Some(true)) = (best, fit.early_stopping.as_ref().map(|early| early.restore_best)) {
            self.engine.set_parameters(&best.parameters)?;
            self.engine.set_states(&best.states)?;
            self.progress = best.progress;
        }
        Ok(history)
    }

    /// The batches of the next epoch. Counts their updates as done.
    fn batches(&mut self, objective: &Objective, fit: &Fit, training: Loaded) -> Vec<Batch> {
        let order =
            fit.shuffle.then(|| Permutation::new(training.rows as u32, self.description.seed, self.progress.epochs));
        let whole = objective.optimizer.whole_batch();
        let rate = fit.learning_rate.unwrap_or_else(|| objective.optimizer.initial_learning_rate());
        let size = fit.batch_size.min(training.rows);
        pieces(training.rows, size)
            .map(|(start, rows)| {
                let is_last = start + rows == training.rows;
                let update = (!whole || is_last).then(|| {
                    self.progress.steps += 1;
                    objective.optimizer.step(self.progress.steps, rate)
                });
                // A whole batch is added up from pieces: each is a part of one mean.
                let divisor_rows = whole.then(|| training.kept.max(1));
                Batch { start, rows, order, divisor_rows, accumulate: whole && start > 0, update }
            })
            .collect()
    }

    /// Trains on batches, in pieces while somebody watches: reading a loss is a wait.
    fn train(
        &mut self,
        data: usize,
        objective: &Objective,
        batches: &[Batch],
        bar: Option<&Bar>,
    ) -> Result<Vec<Outcome>> {
        let Some(bar) = bar else {
            return self.engine.train(data, objective, batches);
        };
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(batches.len());
        let mut at_once = 8;
        while outcomes.len() < batches.len() {
            let begun = Instant::now();
            let now = &batches[outcomes.len()..(outcomes.len() + at_once).min(batches.len())];
            outcomes.extend(self.engine.train(data, objective, now)?);
            let done = &batches[..outcomes.len()];
            let rows: usize = done.iter().map(|batch| batch.rows).sum();
            bar.update(rows, line(&summarize(objective, done, &outcomes, rows, &mut Vec::new())));
            let each = begun.elapsed().as_secs_f64() / now.len() as f64;
            at_once = ((REDRAW.as_secs_f64() / each.max(1e-9)) as usize).clamp(1, 4 * at_once);
        }
        Ok(outcomes)
    }

    /// The first batch whose loss is not finite; the last one if it is the parameters that are not.
    fn first_not_finite(&self, outcomes: &[Outcome]) -> Result<Option<(usize, f64)>> {
        if let Some(batch) = outcomes.iter().position(|outcome| !outcome.loss.is_finite()) {
            return Ok(Some((batch, outcomes[batch].loss)));
        }
        // The last update of an epoch may spoil weights that no loss has seen yet.
        let spoiled = self.engine.parameters()?.into_iter().find(|parameter| !parameter.is_finite());
        Ok(spoiled.map(|parameter| (outcomes.len().saturating_sub(1), parameter)))
    }

    fn snapshot(&self, epoch: usize, value: f64) -> Result<Snapshot> {
        let (parameters, states) = (self.engine.parameters()?, self.engine.states()?);
        Ok(Snapshot { parameters, states, progress: self.progress, epoch, value })
    }
}

/// Places and lengths of pieces of so many rows.
fn pieces(rows: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(size).map(move |start| (start, size.min(rows - start)))
}

/// An epoch's mean loss and accuracy from those of its batches; the losses of the updates go to `steps`.
fn summarize(
    objective: &Objective,
    batches: &[Batch],
    outcomes: &[Outcome],
    kept: usize,
    steps: &mut Vec<f64>,
) -> Epoch {
    let rows: usize = batches.iter().map(|batch| batch.rows).sum();
    let correct: f64 = outcomes.iter().map(|outcome| outcome.correct).sum();
    let mut loss = 0.0;
    if objective.optimizer.whole_batch() {
        loss = outcomes.iter().map(|outcome| outcome.loss).sum();
        steps.push(loss);
    } else {
        for (batch, outcome) in batches.iter().zip(outcomes) {
            loss += outcome.loss * batch.rows as f64 / rows as f64;
            steps.push(outcome.loss);
        }
    }
    let accuracy = objective.metric.map(|_| correct / kept.max(1) as f64);
    Epoch { loss, accuracy, ..Epoch::default() }
}

fn line(epoch: &Epoch) -> String {
    let mut text = format!("loss {:.4}", epoch.loss);
    for (name, value) in
        [("accuracy", epoch.accuracy), ("val_loss", epoch.val_loss), ("val_accuracy", epoch.val_accuracy)]
    {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {value:.4}"));
        }
    }
    text
}

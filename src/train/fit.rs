//! The training loop: epochs of batches, validation, and when to end.

use std::time::{Duration, Instant};

use ndarray::{ArrayBase, Data, Ix2};

use crate::inputs::FloatElement;
use crate::model::Model;
use crate::train::course::{self, Course, Loaded, Snapshot, Watch, summarize};
use crate::train::engine::{Aims, Batch, Metric, Objective, Outcome, Samples};
use crate::train::history::{Epoch, History};
use crate::train::options::Fit;
use crate::train::progress::Bar;
use crate::train::samples::{Intake, Rows};
use crate::{Error, Result, Targets, text};

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

impl Model {
    /// Trains: Keras' `fit`. Goes on from where the model stands, so that two calls, or a call after
    /// [`Model::load`], give the same bits as one long call.
    ///
    /// A loss of lists takes [`Targets::grouped`]: a row of features is an item, a batch some lists, and shuffling, validation and the
    /// mean are over lists. On the host the network runs over the items alone, on a GPU also over the padding of a batch, whose lists are
    /// all as long there as the longest of them, rounded up to a power of two or one and a half.
    ///
    /// Class labels for a loss that takes dense targets become one-hot rows (−1 and +1 for the hinges' signs).
    /// The data is uploaded once and shuffled on the device.
    ///
    /// # Errors
    /// Shapes, labels and values that do not fit, options outside their domains, a model that was not compiled, and
    /// what the device reports. A loss that is not finite is no error: it ends the training ([`History::stopped`]).
    pub fn fit<'a, S: Data<Elem: FloatElement>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
        targets: impl Into<Targets<'a>>,
        fit: Fit,
    ) -> Result<History> {
        fit.check()?;
        if self.network.lookup.is_some() {
            fit.check_for_embedding()?;
        }
        // Epochs number the orders of the rows in 32 bits; a file may say that there were nearly as many.
        let left = u32::MAX - self.progress.epochs;
        if u32::try_from(fit.epochs).map_or(true, |epochs| epochs > left) {
            return Err(Error::option("fit", "epochs", fit.epochs, &format!("up to {left}, which are left of 2³²")));
        }
        let mut objective = self.objective("fit")?;
        let intake = Intake { network: &self.network, scaling: self.scaling.as_ref() };
        let load = |samples: &Samples| self.engine.load(samples);
        let course = Course::new(intake, &objective.loss, FloatElement::floats(features), &targets.into(), &fit, load)?;
        (objective.metric, objective.aims) = (course.metric, fit.aims());
        self.keep_average(fit.average)?;
        self.schedule = fit.schedule.clone();
        let history = self.epochs(&objective, &fit, &course);
        course.data().for_each(|data| self.engine.unload(data));
        let mut history = history?;
        history.baseline = course.yardstick.as_ref().map(|yardstick| yardstick.baseline);
        course.reach.explain(&mut history.stopped);
        Ok(history)
    }

    /// Loss and accuracy on rows that are not trained on: Keras' `evaluate`.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn evaluate<'a, S: Data<Elem: FloatElement>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Score> {
        let mut objective = self.objective("evaluate")?;
        let rows =
            Rows::new(self.intake(), &*objective.loss, "evaluate", FloatElement::floats(features), &targets.into())?;
        objective.metric = Metric::of(&*objective.loss, rows.one_hot);
        let loaded = Loaded::new(&rows, self.engine.load(&rows.all())?);
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
            loss: compiled.behind_layer.as_ref().unwrap_or(&compiled.loss).clone(),
            in_chunks: compiled.behind_layer.is_some(),
            optimizer: compiled.optimizer.clone(),
            metric: None,
            aims: Aims::default(),
        })
    }

    fn score(&mut self, objective: &Objective, loaded: Loaded) -> Result<Score> {
        let outcomes = self.engine.evaluate(loaded.data, objective, &course::scoring(loaded))?;
        Ok(course::score(objective, &outcomes, loaded.kept))
    }

    fn epochs(&mut self, objective: &Objective, fit: &Fit, course: &Course) -> Result<History> {
        let (mut watch, training) = (Watch::default(), course.training);
        let early = fit.early_stopping.as_ref();
        for epoch in 1..=fit.epochs {
            let begun = Instant::now();
            let before = self.progress;
            self.engine.remember()?;
            let batches = course::batches(objective, fit, training, self.description.seed, &mut self.progress);
            let bar = Bar::new(fit.progress, epoch, fit.epochs, training.rows);
            let outcomes = match self.train(training.data, objective, &batches, bar.as_ref()) {
                Ok(outcomes) => outcomes,
                Err(error) => {
                    // The epoch did not happen: neither its updates, which were counted when the batches were made,
                    // nor what they did to the weights. That a lost device cannot go back is told by `error` already.
                    self.progress = before;
                    let _ = self.engine.recall();
                    return Err(error);
                }
            };
            if let Some((batch, loss)) = course::first_not_finite(objective, &outcomes, || self.engine.parameters())? {
                self.engine.recall()?;
                self.progress = before;
                watch.spoil(batch, loss);
                break;
            }
            self.progress.epochs += 1;
            let mut told = summarize(objective, &batches, &outcomes, training.kept, &mut watch.history.steps);
            if let Some(validation) = course.validation {
                let score = self.score(objective, validation)?;
                (told.val_loss, told.val_accuracy) = (Some(score.loss), score.accuracy);
            }
            told.skipped = self.skipped(objective)?;
            self.measure(course, &mut told)?;
            course::observe(fit, &mut self.progress, &mut told);
            told.seconds = begun.elapsed().as_secs_f64();
            if let Some(bar) = bar {
                bar.finish(line(&told));
            }
            if let Some(path) = &fit.checkpoint {
                self.save(path)?;
            }
            if watch.add(told, early, || self.snapshot())? {
                break;
            }
        }
        if let Some(best) = watch.restored(early) {
            self.engine.set_parameters(&best.parameters)?;
            self.engine.set_states(&best.states)?;
            self.progress = best.progress;
        }
        Ok(watch.history)
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

    /// Adds R² to an epoch of a regression.
    fn measure(&mut self, course: &Course, told: &mut Epoch) -> Result<()> {
        let Some(yardstick) = &course.yardstick else { return Ok(()) };
        let (data, batch) = (course.validation.unwrap_or(course.training).data, self.network.prediction_batch());
        yardstick.tell(told, || self.engine.predict(data, batch))
    }

    /// How many steps of the epoch were left out.
    fn skipped(&mut self, objective: &Objective) -> Result<usize> {
        if !objective.aims.skip_non_finite {
            return Ok(0);
        }
        let skipped = self.engine.take_skipped()?;
        self.progress.averaged = self.progress.averaged.saturating_sub(skipped as u64);
        Ok(skipped)
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let (parameters, states) = (self.engine.parameters()?, self.engine.states()?);
        Ok(Snapshot { parameters, states, progress: self.progress })
    }
}

fn line(epoch: &Epoch) -> String {
    let mut text = format!("loss {}", text::number(epoch.loss));
    for (name, value) in [
        ("accuracy", epoch.accuracy),
        ("val_loss", epoch.val_loss),
        ("val_accuracy", epoch.val_accuracy),
        ("r2", epoch.r2),
        ("val_r2", epoch.val_r2),
    ] {
        if let Some(value) = value {
            text.push_str(&format!(", {name} {}", text::significant(value, 4)));
        }
    }
    text
}

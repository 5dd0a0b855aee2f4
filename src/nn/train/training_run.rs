//! Training run, shared by single models and populations: rows, batches, epoch reports, checks for
//! non-finite losses.

use std::sync::Arc;

use crate::cpu::random::Permutation;
use crate::losses::LossDefinition;
use crate::nn::train::baseline::{Reach, Yardstick};
use crate::nn::train::engine::{Batch, Metric, Outcome, SampleTargets, Samples, TrainingSpec};
use crate::nn::train::features::FeatureArray;
use crate::nn::train::history::Epoch;
use crate::nn::train::options::Fit;
use crate::nn::train::samples::{InputSpec, Rows};
use crate::nn::train::score::Score;
use crate::nn::train::training::Progress;
use crate::nn::train::updates::Known;
use crate::{Error, Result, Targets};

/// Handle and number of loaded rows, or lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    pub data: usize,
    pub rows: usize,
    pub kept: usize,
    /// True if the rows are lists.
    pub lists: bool,
    /// Rows scored at a time.
    pub at_once: usize,
}

impl Loaded {
    /// All of `rows`, loaded under the handle `data`.
    pub fn new(rows: &Rows, data: usize) -> Self {
        let lists = rows.lists.is_some();
        Loaded { data, rows: rows.rows, kept: rows.kept, lists, at_once: rows.at_once() }
    }
}

/// The rows of a training, on the device.
#[derive(Clone, Debug)]
pub(crate) struct TrainingRun {
    pub training: Loaded,
    pub validation: Option<Loaded>,
    pub metric: Option<Metric>,
    /// Reference values for the R² of a regression.
    pub yardstick: Option<Yardstick>,
    pub reach: Reach,
    /// The targets of the training rows, if they are watched.
    pub watched: Option<WatchedTargets>,
}

/// The targets of the training rows in host memory.
#[derive(Clone, Debug)]
pub(crate) enum WatchedTargets {
    Labels(Vec<i32>),
    Dense(Vec<f32>),
}

impl WatchedTargets {
    fn new(targets: SampleTargets) -> Self {
        match targets {
            SampleTargets::Labels(labels) => WatchedTargets::Labels(labels.to_vec()),
            SampleTargets::Dense(dense) => WatchedTargets::Dense(dense.to_vec()),
            SampleTargets::None => WatchedTargets::Dense(Vec::new()),
        }
    }

    pub fn view(&self) -> SampleTargets<'_> {
        match self {
            WatchedTargets::Labels(labels) => SampleTargets::Labels(labels),
            WatchedTargets::Dense(dense) => SampleTargets::Dense(dense),
        }
    }
}

impl TrainingRun {
    /// Checks the rows, splits them by `fit` and passes them to `load`.
    pub fn new<'a>(
        input_spec: InputSpec,
        loss: &Arc<dyn LossDefinition>,
        features: impl Into<FeatureArray<'a>>,
        targets: &Targets,
        fit: &Fit,
        mut load: impl FnMut(&Samples) -> Result<usize>,
    ) -> Result<Self> {
        let mut rows = Rows::new(input_spec, &**loss, "fit", features, targets)?;
        // Separate validation rows suffice: none are held out.
        let split = if fit.validation.is_some() { 0.0 } else { fit.validation_split };
        let held_back = (rows.rows as f64 * split) as usize;
        let training = rows.rows - held_back;
        if training == 0 {
            return Err(Error::Empty {
                operation: "fit".into(),
                name: "the rows left by validation_split".into(),
            });
        }
        let weighting = rows.weigh(&**loss, &fit.weighting, training)?;
        let mut part = |first: usize, count: usize| {
            let kept = rows.kept_of(&**loss, first, count);
            let data = load(&rows.part(first, count))?;
            Ok::<_, Error>(Loaded { rows: count, kept, ..Loaded::new(&rows, data) })
        };
        let mut training_run = TrainingRun {
            training: part(0, training)?,
            validation: None,
            metric: Metric::of(&**loss, rows.one_hot, input_spec.graph.columns()),
            yardstick: None,
            reach: Reach::of(rows.features.all().values(), rows.dense(0, rows.rows)),
            watched: fit.watch_rows.then(|| WatchedTargets::new(rows.part(0, training).targets)),
        };
        let outputs = input_spec.graph.outputs();
        if held_back > 0 {
            training_run.validation = Some(part(training, held_back)?);
        }
        let held = (held_back > 0).then(|| rows.weighed(training, held_back));
        let mut yardstick = None;
        if let Some(given) = &fit.validation {
            let targets = given.1.targets();
            let mut validation =
                Rows::new(input_spec, &**loss, "fit (validation)", given.0.features(), &targets)?;
            let all = validation.rows;
            validation.weigh(&**loss, &weighting, all)?;
            training_run.validation = Some(Loaded::new(&validation, load(&validation.all())?));
            yardstick = Some(Yardstick::new(
                loss,
                rows.weighed(0, training),
                Some(validation.weighed(0, all)),
                outputs,
            ));
        }
        let own = || Yardstick::new(loss, rows.weighed(0, training), held, outputs);
        // Classes have accuracy instead.
        training_run.yardstick =
            yardstick.unwrap_or_else(own).filter(|_| training_run.metric.is_none());
        Ok(training_run)
    }

    /// Handles of the loaded data, for unloading.
    pub fn data(&self) -> impl Iterator<Item = usize> {
        [Some(self.training), self.validation].into_iter().flatten().map(|loaded| loaded.data)
    }
}

/// Rejects an accumulation over batches whose common divisor is not known from their rows:
/// `positions` is the number of targets of a row.
pub(crate) fn check_accumulation(
    training_spec: &TrainingSpec,
    fit: &Fit,
    training: Loaded,
    positions: usize,
) -> Result<()> {
    if fit.batches_per_update() == 1 {
        return Ok(());
    }
    let is_whole = training_spec.optimizer.whole_batch();
    let reason = if is_whole && fit.accumulate > 1 {
        "its optimizer adds up the gradients of all batches"
    } else if training.lists {
        "the rows are lists"
    } else if !is_whole && training.kept != training.rows * positions {
        "some labels are ignored"
    } else {
        return Ok(());
    };
    if fit.accumulate == 1 {
        let allowed = format!("left out: {reason}");
        return Err(Error::option("fit", "shard", "given", &allowed));
    }
    let allowed = format!("1: {reason}");
    Err(Error::option("fit", "accumulate", fit.accumulate, &allowed))
}

/// Rejects a batch size that leaves a batch of fewer rows than an op can be trained on, before the
/// first step instead of at the end of the first epoch.
pub(crate) fn check_last_batch(fit: &Fit, training: Loaded, least: usize) -> Result<()> {
    let (rows, size) = (training.rows, fit.batch_size.min(training.rows).max(1));
    let last = if rows % size == 0 { size } else { rows % size };
    if training.lists || last >= least {
        return Ok(());
    }
    let found = format!("{}, which leaves a last batch of {last} of {rows} rows", fit.batch_size);
    let allowed = format!(
        "a size that leaves {least} or more: batch norm of one value per channel knows no variance"
    );
    Err(Error::option("fit", "batch_size", found, &allowed))
}

/// The batches of the next epoch. Counts their updates as done.
pub(crate) fn batches(
    training_spec: &TrainingSpec,
    fit: &Fit,
    training: Loaded,
    seed: u64,
    progress: &mut Progress,
) -> Vec<Batch> {
    let order = fit.shuffle.then(|| Permutation::new(training.rows as u32, seed, progress.epochs));
    let whole = training_spec.optimizer.whole_batch();
    let own = fit.learning_rate.unwrap_or_else(|| training_spec.optimizer.initial_learning_rate());
    let size = fit.batch_size.min(training.rows);
    // Batches per update, and targets per row where several are added up.
    let each = if whole { usize::MAX } else { fit.batches_per_update() };
    let positions = training.kept / training.rows.max(1);
    pieces(training.rows, size)
        .enumerate()
        .map(|(number, (start, rows))| {
            let first = number - number % each;
            let is_last = start + rows == training.rows;
            let ends = is_last || (number + 1) % each == 0;
            let update = ends.then(|| {
                let rate = fit.schedule.as_ref().map_or(own, |learning_rate_policy| {
                    learning_rate_policy.rate(progress.steps, progress.epochs, &progress.watched)
                });
                progress.steps += 1;
                progress.averaged += u64::from(training_spec.step_options.average.is_some());
                training_spec.optimizer.step(progress.steps, rate)
            });
            // Each batch of an update is a term of one mean.
            let of_update = || (training.rows - first * size).min(size.saturating_mul(each));
            let divisor_rows = match (whole, each) {
                (true, _) => Some(training.kept.max(1)),
                (false, 1) => None,
                (false, _) => Some(of_update() * positions),
            };
            let accumulate = number > first;
            // The epoch and the first row number a batch, also in a resumed training.
            let noise = [seed as u32, (seed >> 32) as u32, progress.epochs, start as u32];
            Batch { start, rows, order, divisor_rows, accumulate, update, noise }
        })
        .collect()
}

/// Keeps the batches of the first `left` updates of an epoch that began at `before`; true if the
/// last of them is that of the epoch or an earlier one.
pub(crate) fn limit(
    batches: &mut Vec<Batch>,
    left: u64,
    progress: &mut Progress,
    before: Progress,
) -> bool {
    let all = progress.steps - before.steps;
    if all < left {
        return false;
    }
    if left == 0 {
        batches.clear();
    }
    let mut updates = 0;
    let ends = |batch: &Batch| {
        updates += u64::from(batch.update.is_some());
        updates == left
    };
    if let Some(last) = batches.iter().position(ends) {
        batches.truncate(last + 1);
    }
    progress.steps -= all - left;
    progress.averaged -= progress.averaged.saturating_sub(before.averaged).min(all - left);
    true
}

/// The batches of an epoch's first updates, that is all up to the last of them.
pub(crate) fn first_updates(batches: &[Batch], updates: usize) -> usize {
    let ends = batches.iter().enumerate().filter(|(_, batch)| batch.update.is_some());
    match ends.take(updates).last() {
        Some((place, _)) => place + 1,
        None => 0,
    }
}

/// What the diagnosis of a training needs besides its history.
pub(crate) fn known(training_spec: &TrainingSpec, fit: &Fit) -> Known {
    let own = || fit.learning_rate.unwrap_or(training_spec.optimizer.initial_learning_rate());
    let rate = fit.schedule.is_none().then(own);
    let is_whole = training_spec.optimizer.whole_batch();
    // Lists and all rows at once are no sample of rows.
    let has_rows = !is_whole && !training_spec.loss.targets().pads();
    let of_update = fit.batch_size.saturating_mul(fit.batches_per_update());
    let batch_rows = if has_rows { of_update } else { 0 };
    Known { rate, batch_rows }
}

/// The number of labels in an epoch's first batches, with `positions` to a row; none if some of its
/// `kept` labels are ignored, since these are counted over all rows only.
pub(crate) fn counted(
    batches: &[Batch],
    rows: usize,
    kept: usize,
    positions: usize,
) -> Option<usize> {
    let here: usize = batches.iter().map(|batch| batch.rows).sum();
    (kept == rows * positions).then_some(here * positions)
}

/// Sets the rate of the last update in an epoch's report, and passes the epoch to the schedule.
pub(crate) fn observe(fit: &Fit, progress: &mut Progress, report: &mut Epoch) {
    let Some(learning_rate_policy) = &fit.schedule else { return };
    let (steps, epochs) = (progress.steps.saturating_sub(1), progress.epochs.saturating_sub(1));
    report.learning_rate = Some(learning_rate_policy.rate(steps, epochs, &progress.watched));
    learning_rate_policy.schedule.observe(&mut progress.watched, report.watched());
}

/// The batches that score rows.
pub(crate) fn scoring(loaded: Loaded) -> Vec<Batch> {
    pieces(loaded.rows, loaded.at_once)
        .map(|(start, rows)| Batch {
            start,
            rows,
            order: None,
            // One divisor for all batches, so that their losses add up to the mean.
            divisor_rows: Some(loaded.kept.max(1)),
            accumulate: false,
            update: None,
            noise: [0; 4],
        })
        .collect()
}

/// The score of rows from the outcomes of their batches.
pub(crate) fn score(training_spec: &TrainingSpec, outcomes: &[Outcome], kept: usize) -> Score {
    let correct: f64 = outcomes.iter().map(|outcome| outcome.correct).sum();
    Score {
        loss: outcomes.iter().map(|outcome| outcome.loss).sum(),
        accuracy: training_spec.metric.map(|_| correct / kept.max(1) as f64),
    }
}

/// Starts and lengths of chunks of `size` rows.
fn pieces(rows: usize, size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(size).map(move |start| (start, size.min(rows - start)))
}

/// An epoch's mean loss and accuracy from those of its batches; the losses of the updates go to
/// `steps`.
pub(crate) fn summarize(
    training_spec: &TrainingSpec,
    batches: &[Batch],
    outcomes: &[Outcome],
    kept: usize,
    steps: &mut Vec<f64>,
) -> Epoch {
    let correct: f64 = outcomes.iter().map(|outcome| outcome.correct).sum();
    let loss;
    if training_spec.optimizer.whole_batch() {
        loss = outcomes.iter().map(|outcome| outcome.loss).sum();
        steps.push(loss);
    } else {
        let updates = updates(batches, outcomes);
        // Skipped updates are excluded from the mean.
        let counts = |loss: f64| !training_spec.step_options.skip_non_finite || loss.is_finite();
        let counted = updates.iter().filter(|(loss, _)| counts(*loss));
        let all: usize = counted.clone().map(|(_, rows)| rows).sum();
        loss = match all {
            // A sum of none would be a loss of 0.
            0 if !updates.is_empty() => f64::NAN,
            _ => counted.map(|&(loss, rows)| loss * rows as f64 / all as f64).sum(),
        };
        steps.extend(updates.iter().map(|(loss, _)| loss));
    }
    let accuracy = training_spec.metric.map(|_| correct / kept.max(1) as f64);
    Epoch { loss, accuracy, ..Epoch::default() }
}

/// The loss and the rows of each update: the losses of its batches are terms of one mean.
fn updates(batches: &[Batch], outcomes: &[Outcome]) -> Vec<(f64, usize)> {
    let (mut updates, mut open) = (Vec::with_capacity(outcomes.len()), None);
    for (batch, outcome) in batches.iter().zip(outcomes) {
        let now = match open.take() {
            Some((loss, rows)) => (loss + outcome.loss, rows + batch.rows),
            None => (outcome.loss, batch.rows),
        };
        match batch.update {
            Some(_) => updates.push(now),
            None => open = Some(now),
        }
    }
    updates.extend(open);
    updates
}

/// The first batch whose loss is not finite; the last one if the parameters are not finite, which
/// the last update of an epoch may cause before any loss shows it.
pub(crate) fn first_not_finite(
    training_spec: &TrainingSpec,
    outcomes: &[Outcome],
    parameters: impl FnOnce() -> Result<Vec<f64>>,
) -> Result<Option<(usize, f64)>> {
    // With `skip_non_finite` the step was skipped. Not so in mixed precision alone: its loss scale
    // makes gradients finite, and no loss.
    let ends = !training_spec.step_options.skip_non_finite;
    if let Some(batch) = outcomes.iter().position(|outcome| ends && !outcome.loss.is_finite()) {
        return Ok(Some((batch, outcomes[batch].loss)));
    }
    let not_finite = parameters()?.into_iter().find(|parameter| !parameter.is_finite());
    Ok(not_finite.map(|parameter| (outcomes.len().saturating_sub(1), parameter)))
}

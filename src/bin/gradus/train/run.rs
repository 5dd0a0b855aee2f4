//! The training itself, and what it gives.

use std::time::Instant;

use gradus::data::Dataset;
use gradus::{Average, EarlyStopping, Fit, History, Model};

use super::Train;
use super::settings::Settings;
use crate::output::Outcome;
use crate::samples::{Prepared, Task};
use crate::scores::{Scores, loss_unit};

/// What a training gave.
pub struct Trained {
    pub model: Model,
    pub history: History,
    pub chosen: Settings,
    pub validation: Option<Scores>,
    pub test: Option<Scores>,
    pub seconds: f64,
}

impl Train {
    pub(super) fn fit(&self, mut model: Model, task: &Task, parts: &Prepared, chosen: Settings) -> Outcome<Trained> {
        let mut fit = Fit::new().epochs(chosen.epochs).batch_size(chosen.batch_size);
        let rows = parts.train.groups.as_ref().filter(|_| task.ranks).map_or(parts.train.rows(), Vec::len);
        let updates = rows.div_ceil(chosen.batch_size);
        fit = self.paced(fit, &model, updates, &chosen)?.skip_non_finite(self.skip_non_finite);
        if let Some(norm) = self.clip_norm {
            fit = fit.clip_norm(norm);
        }
        if let Some(norm) = self.clip_tensor_norm {
            fit = fit.clip_tensor_norm(norm);
        }
        if let Some(value) = self.clip_value {
            fit = fit.clip_value(value);
        }
        if let Some(decay) = self.average {
            fit = fit.average(Average::new(decay));
        }
        if let Some(patience) = self.patience {
            fit = fit.early_stopping(EarlyStopping::new().patience(patience));
        }
        if let Some(path) = &self.out {
            fit = fit.checkpoint(path);
        }
        if let Some(validation) = &parts.validation {
            fit = fit.validation_data(&validation.features, task.truth(validation)?.targets());
        }
        let start = Instant::now();
        let mut history = model.fit(&parts.train.features, task.truth(&parts.train)?.targets(), fit)?;
        let seconds = start.elapsed().as_secs_f64();
        let mut averaged = if model.keeps_average() { Some(model.averaged()?) } else { None };
        let judged = averaged.as_mut().unwrap_or(&mut model);
        let mut scores = |rows: &Dataset| Scores::of(judged, task, rows, Some(&parts.encoding));
        let test = parts.test.as_ref().map(&mut scores).transpose()?;
        let validation = parts.validation.as_ref().map(&mut scores).transpose()?;
        let unit = loss_unit(judged, Some(&parts.encoding));
        in_unit(&mut history, unit);
        Ok(Trained { model, history, chosen, validation, test, seconds })
    }

    /// With the learning rate that was asked for: a schedule, a number, or the schedule that a saved model goes on with.
    fn paced(&self, fit: Fit, model: &Model, updates: usize, settings: &Settings) -> Outcome<Fit> {
        if let Some(schedule) = self.named_schedule(updates, settings)? {
            return Ok(fit.shared_schedule(schedule.into(), self.schedule_by_epoch));
        }
        if let Some(rate) = self.learning_rate {
            return Ok(fit.learning_rate(rate));
        }
        Ok(match model.schedule() {
            Some((schedule, by_epoch)) => fit.shared_schedule(schedule, by_epoch),
            None => fit,
        })
    }
}

/// Losses of standardized targets in the targets' own unit.
fn in_unit(history: &mut History, unit: f64) {
    history.steps.iter_mut().for_each(|loss| *loss *= unit);
    for epoch in &mut history.epochs {
        epoch.loss *= unit;
        epoch.val_loss = epoch.val_loss.map(|loss| loss * unit);
    }
}

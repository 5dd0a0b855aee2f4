//! Runs the training and returns its result.

use std::ops::ControlFlow;
use std::time::Instant;

use gradus::data::{Blocks, Dataset};
use gradus::{Average, EarlyStopping, Epoch, Fit, History, Model, Stop, text};

use crate::interrupt::Interrupt;
use crate::log::Log;
use crate::output;
use crate::output::Outcome;
use crate::samples::{Large, Prepared, Task};
use crate::scores::{Scores, loss_unit};
use crate::train::network::Changes;
use crate::train::options::{Settings, Train};
use crate::train::trained::Trained;

impl Train {
    pub(super) fn fit(
        &self,
        mut model: Model,
        task: &Task,
        parts: &mut Prepared,
        chosen: Settings,
        interrupt: &Interrupt,
    ) -> Outcome<Trained> {
        Train::note_single_classes(parts, task)?;
        Train::note_unseen_classes(parts, task)?;
        let rows =
            parts.train.groups.as_ref().filter(|_| task.ranks).map_or(parts.rows(), Vec::len);
        let updates = self.updates(rows, &chosen);
        let chosen = chosen.of_updates(updates, self.resume.is_some());
        let mut fit = self.asked(&model, updates, &chosen)?;
        fit = self.weights.add_to(fit, parts, model.loss())?;
        let log = Log::new(self.log.as_deref(), self.resume.is_some())?
            .with_tensorboard(self.tensorboard.as_deref())?;
        let unit = loss_unit(&model, Some(&parts.encoding));
        log.behind(
            model.history().len(),
            model.history().iter().map(|epoch| numbers(epoch, unit)).collect(),
        );
        fit = report(fit, &log, chosen.before.numbered, chosen.epochs, move |epoch| {
            numbers(epoch, unit)
        });
        if let Some(path) = &self.out {
            fit = fit.checkpoint(path);
        }
        if let Some(validation) = &parts.validation {
            fit = fit.validation_data(&validation.features, task.truth(validation)?.targets());
        }
        let in_pieces = parts.large.is_some();
        let (start, step) = (Instant::now(), interrupt.clone());
        let of_steps = log.clone();
        let fit = fit.on_step(move |epoch, report| {
            of_steps.step(epoch, report, unit);
            step.flow()
        });
        let mut history = match &mut parts.large {
            Some(Large { training, validation, .. }) => model.fit_blocks(
                training,
                validation.as_mut().map(|rows| rows as &mut dyn Blocks),
                fit,
            )?,
            None => {
                let truth = task.truth(&parts.train)?;
                // Bytes of IDX files take a quarter of the memory, to the same bits.
                let is_plain = self.source.is_images() && !model.scales_inputs();
                match is_plain.then(|| parts.train.pixels()).flatten() {
                    Some(pixels) => model.fit(&pixels, truth.targets(), fit)?,
                    None => model.fit(&parts.train.features, truth.targets(), fit)?,
                }
            }
        };
        let seconds = start.elapsed().as_secs_f64();
        if history.before > 0 {
            log.catch_up();
        }
        let logged = log.close();
        interrupt.end_at_once();
        in_unit(&mut history, loss_unit(&model, Some(&parts.encoding)));
        if matches!(history.stopped, Some(Stop::Asked { .. })) {
            return Ok(Trained {
                model,
                history,
                chosen,
                validation: None,
                test: None,
                seconds,
                logged,
                in_pieces,
            });
        }
        if let Some(warning) = worse_than_the_mean(&history) {
            output::note(&warning);
        }
        let mut averaged = if model.keeps_average() { Some(model.averaged()?) } else { None };
        let scored = averaged.as_mut().unwrap_or(&mut model);
        let encoding = &parts.encoding;
        let mut scores = |rows: &Dataset| Scores::of(scored, task, rows, Some(encoding));
        let mut test = parts.test.as_ref().map(&mut scores).transpose()?;
        let mut validation = parts.validation.as_ref().map(&mut scores).transpose()?;
        if let Some(large) = &mut parts.large {
            let mut scores =
                |rows: &mut dyn Blocks| Scores::of_blocks(scored, task, rows, Some(encoding));
            test = large.test.as_mut().map(|rows| scores(rows)).transpose()?.or(test);
            validation = large.validation.as_mut().map(|rows| scores(rows)).transpose()?;
        }
        Train::note_same_answers(averaged.as_mut().unwrap_or(&mut model), parts, task)?;
        Ok(Trained { model, history, chosen, validation, test, seconds, logged, in_pieces })
    }

    /// Updates of an epoch of so many rows.
    pub(super) fn updates(&self, rows: usize, chosen: &Settings) -> usize {
        let batches = chosen.accumulate.saturating_mul(self.processes());
        rows.div_ceil(chosen.batch_size.saturating_mul(batches))
    }

    /// The requested options, on top of those a saved model was trained with.
    pub(super) fn asked(&self, model: &Model, updates: usize, chosen: &Settings) -> Outcome<Fit> {
        let saved = self.resume.as_ref().and_then(|_| model.fit_to_resume());
        // What is left of a saved training, which may end at a step, is in its options.
        let goes_on = saved.is_some() && self.epochs.is_none() && self.steps.is_none();
        let mut fit = saved.unwrap_or_default().resume(self.resume.is_some());
        if !goes_on {
            let rest = usize::from(chosen.before.is_cut && self.epochs.is_some());
            fit = fit.epochs(chosen.epochs - rest).finish_epoch(rest > 0);
        }
        if let Some(steps) = chosen.steps {
            fit = fit.steps(steps);
        }
        fit = fit.batch_size(chosen.batch_size).skip_non_finite(chosen.skip_non_finite);
        fit = fit.mixed_precision(chosen.mixed_precision);
        fit = self.with_policy(fit, model, updates, chosen)?;
        if let Some((name, limit)) = chosen.clip {
            fit = fit.clear_clip();
            fit = match name {
                "clip_norm" => fit.clip_norm(limit),
                "clip_tensor_norm" => fit.clip_tensor_norm(limit),
                _ => fit.clip_value(limit),
            };
        }
        if let Some(decay) = self.average {
            fit = fit.average(Average::new(decay));
        }
        if let Some(Changes(augment)) = self.network.augment {
            fit = fit.augment(augment);
        }
        if let Some(patience) = self.patience {
            fit = fit.early_stopping(EarlyStopping::new().patience(patience));
        }
        if let Some(batches) = self.accumulate {
            fit = fit.accumulate(batches.get());
        }
        Ok(match &self.ranks {
            Some(ranks) => ranks.add_to(fit),
            None => fit,
        })
    }

    /// Sets the requested learning rate: a schedule, a number, or the schedule that a saved model
    /// continues with.
    fn with_policy(
        &self,
        fit: Fit,
        model: &Model,
        updates: usize,
        settings: &Settings,
    ) -> Outcome<Fit> {
        if let Some(schedule) = self.named_schedule(updates, settings)? {
            return Ok(fit
                .clear_learning_rate()
                .shared_schedule(schedule.into(), self.schedule_by_epoch));
        }
        if let Some(rate) = self.learning_rate {
            return Ok(fit.clear_learning_rate().learning_rate(rate));
        }
        Ok(match model.schedule() {
            Some((schedule, by_epoch)) => fit.shared_schedule(schedule, by_epoch),
            None => fit,
        })
    }
}

/// Reports the figures of each epoch as it ends, numbered after those before.
pub(super) fn report(
    fit: Fit,
    log: &Log,
    before: usize,
    epochs: usize,
    figures: impl Fn(&Epoch) -> Vec<(&'static str, f64)> + Send + Sync + 'static,
) -> Fit {
    let log = log.clone();
    fit.on_epoch(move |number, epoch| {
        // On other rows a new training run begins and counts from 1.
        let planned = if number > before { before + epochs } else { epochs };
        log.report(number, planned, figures(epoch), epoch.seconds);
        ControlFlow::Continue(())
    })
}

/// The metrics of an epoch by name; losses in the unit of the targets, where `unit` is the size of
/// one encoded unit.
pub(super) fn numbers(epoch: &Epoch, unit: f64) -> Vec<(&'static str, f64)> {
    let all = [
        ("loss", Some(epoch.loss * unit)),
        ("accuracy", epoch.accuracy),
        ("r2", epoch.r2),
        ("val_loss", epoch.val_loss.map(|loss| loss * unit)),
        ("val_accuracy", epoch.val_accuracy),
        ("val_r2", epoch.val_r2),
        ("learning_rate", epoch.learning_rate),
        ("skipped", Some(epoch.skipped as f64).filter(|&skipped| skipped > 0.0)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Warning for a regression that is no better than predicting the mean.
fn worse_than_the_mean(history: &History) -> Option<String> {
    let (baseline, last) = (history.baseline?, history.epochs.last()?);
    let (name, found, mean) = match (last.val_loss, baseline.val_loss) {
        (Some(found), Some(mean)) => ("val_loss", found, mean),
        _ => ("loss", last.loss, baseline.loss),
    };
    (found > mean).then(|| {
        format!(
            "note: predicting the mean is better, {name} {} against {}: more epochs, another learning rate or another loss may help; a loss of \
             logarithms or ratios takes targets as they are, and learns those near 1 soonest",
            text::number(mean),
            text::number(found)
        )
    })
}

/// Converts losses of standardized targets to the targets' own unit.
fn in_unit(history: &mut History, unit: f64) {
    if let Some(baseline) = &mut history.baseline {
        baseline.loss *= unit;
        baseline.val_loss = baseline.val_loss.map(|loss| loss * unit);
    }
    if let Some(Stop::Early { best, .. }) = &mut history.stopped {
        *best *= unit;
    }
    history.steps.iter_mut().for_each(|loss| *loss *= unit);
    for epoch in &mut history.epochs {
        epoch.loss *= unit;
        epoch.val_loss = epoch.val_loss.map(|loss| loss * unit);
    }
}

//! The training loop of a population: as a model's, with a history per member.

use std::time::Instant;

use ndarray::{ArrayBase, Data, Ix2};

use crate::criterion::inputs::FloatElement;
use crate::nn::optimizers::Clip;
use crate::nn::population::Population;
use crate::nn::schedules;
use crate::nn::train::batched_engine::MemberBatches;
use crate::nn::train::engine::{Metric, Samples, StepOptions, TrainingSpec};
use crate::nn::train::samples::{InputSpec, Rows};
use crate::nn::train::training::{EarlyStoppingMonitor, Snapshot};
use crate::nn::train::training_run;
use crate::nn::train::training_run::{Loaded, TrainingRun, summarize};
use crate::{Error, Fit, History, Result, Score, Targets};

impl Population {
    /// Trains every member on the same rows: [`crate::Model::fit`] for all, with a history for
    /// each. Each member stops early, or at a loss that is not finite, independently of the others.
    /// `learning_rate` applies to all of them. There is no progress bar, and an epoch's `seconds`
    /// are those of all members together.
    ///
    /// # Errors
    /// As [`crate::Model::fit`]; [`Error::Option`] for a `checkpoint`, which holds a single model,
    /// and for `accumulate`, `steps`, `augment`, `mixed_precision`, `resume`, `watch_rows`, `reduce`,
    /// `shard` and callbacks.
    pub fn fit<'a, S: Data<Elem: FloatElement>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
        targets: impl Into<Targets<'a>>,
        fit: Fit,
    ) -> Result<Vec<History>> {
        fit.check()?;
        if let Some(path) = &fit.checkpoint {
            let allowed = "left out; save the members one by one (Population::member)";
            return Err(Error::option("population", "checkpoint", path.display(), allowed));
        }
        for (name, given) in [
            ("accumulate", fit.accumulate > 1),
            ("steps", fit.steps.is_some()),
            ("resume", fit.resume),
            ("augment", fit.augment.changes()),
            ("mixed_precision", fit.mixed_precision),
            ("watch_rows", fit.watch_rows),
            ("reduce", fit.reduce.is_some()),
            ("shard", fit.shard.is_some()),
            ("on_step", fit.on_step.is_some()),
            ("on_epoch", fit.on_epoch.is_some()),
        ] {
            if given {
                return Err(Error::option(
                    "population",
                    name,
                    "given",
                    "left out: it is for one model (`Model::fit`)",
                ));
            }
        }
        let mut training_specs = self.training_specs("fit")?;
        training_specs.iter().try_for_each(|spec| fit.check_skipping(&*spec.optimizer))?;
        if matches!(fit.step_options().clip, Some(Clip::Norm(_))) {
            self.train_in_turn()?;
        }
        let input_spec = InputSpec { graph: &self.graph, scaling: self.scaling.as_ref() };
        let load = |samples: &Samples| self.batched_engine.load(samples);
        let training_run = TrainingRun::new(
            input_spec,
            &training_specs[0].loss,
            FloatElement::floats(features),
            &targets.into(),
            &fit,
            load,
        )?;
        for training_spec in &mut training_specs {
            (training_spec.metric, training_spec.step_options) =
                (training_run.metric, fit.step_options());
        }
        self.keep_average(fit.average)?;
        let fits = self.fits(&fit)?;
        let histories = self.epochs(&training_specs, &fits, &training_run);
        training_run.data().for_each(|data| self.batched_engine.unload(data));
        let mut histories = histories?;
        for (history, training_spec) in histories.iter_mut().zip(&training_specs) {
            // With other loss options the reference values for R² differ.
            let same = training_spec.loss.options() == training_specs[0].loss.options();
            history.baseline = training_run
                .yardstick
                .as_ref()
                .filter(|_| same)
                .map(|yardstick| yardstick.baseline);
            history.known = training_run::known(training_spec, &fit);
            training_run.reach.explain(&mut history.stopped);
        }
        Ok(histories)
    }

    /// The options of each member's training: those of all, with its own schedule.
    fn fits(&self, fit: &Fit) -> Result<Vec<Fit>> {
        let own = |member: &crate::Member| match &member.schedule {
            None => Ok(fit.clone()),
            Some((name, options)) => {
                let schedule = schedules::from_name(name, options)?;
                Ok(fit.clone().shared_schedule(schedule.into(), false))
            }
        };
        self.members.iter().map(own).collect()
    }

    /// Each member's loss and accuracy on rows without training.
    ///
    /// # Errors
    /// As [`crate::Model::fit`].
    pub fn evaluate<'a, S: Data<Elem: FloatElement>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Vec<Score>> {
        let mut training_specs = self.training_specs("evaluate")?;
        let input_spec = InputSpec { graph: &self.graph, scaling: self.scaling.as_ref() };
        let rows = Rows::new(
            input_spec,
            &*training_specs[0].loss,
            "evaluate",
            FloatElement::floats(features),
            &targets.into(),
        )?;
        for training_spec in &mut training_specs {
            training_spec.metric =
                Metric::of(&*training_spec.loss, rows.one_hot, self.graph.columns());
        }
        let loaded = Loaded::new(&rows, self.batched_engine.load(&rows.all())?);
        let all: Vec<usize> = (0..self.len()).collect();
        let scores = self.scores_of(&all, &training_specs, loaded);
        self.batched_engine.unload(loaded.data);
        scores
    }

    fn training_specs(&self, operation: &str) -> Result<Vec<TrainingSpec>> {
        if self.compiled.is_empty() {
            return Err(Error::Input {
                operation: operation.into(),
                name: "the population".into(),
                found: "has no loss yet".into(),
                allowed: "call compile(loss, optimizer) first".into(),
            });
        }
        let training_spec = |compiled: &crate::nn::model::Compiled| TrainingSpec {
            chunked_head: false,
            loss: compiled.loss.clone(),
            optimizer: compiled.optimizer.clone(),
            metric: None,
            step_options: StepOptions::default(),
        };
        Ok(self.compiled.iter().map(training_spec).collect())
    }

    /// The scores of some members on rows.
    fn scores_of(
        &mut self,
        members: &[usize],
        training_specs: &[TrainingSpec],
        loaded: Loaded,
    ) -> Result<Vec<Score>> {
        let member_step =
            |&member: &usize| MemberBatches { member, batches: training_run::scoring(loaded) };
        let outcomes = self.batched_engine.evaluate(
            loaded.data,
            training_specs,
            &members.iter().map(member_step).collect::<Vec<_>>(),
        )?;
        let scores = members.iter().zip(&outcomes);
        Ok(scores
            .map(|(&member, outcomes)| {
                training_run::score(&training_specs[member], outcomes, loaded.kept)
            })
            .collect())
    }

    fn epochs(
        &mut self,
        training_specs: &[TrainingSpec],
        fits: &[Fit],
        training_run: &TrainingRun,
    ) -> Result<Vec<History>> {
        let fit = &fits[0];
        let mut monitors: Vec<EarlyStoppingMonitor> =
            training_specs.iter().map(|_| EarlyStoppingMonitor::default()).collect();
        let mut active: Vec<usize> = (0..self.len()).collect();
        self.scores.fill(None);
        for _ in 0..fit.epochs {
            if active.is_empty() {
                break;
            }
            active = self.epoch(active, training_specs, fits, training_run, &mut monitors)?;
        }
        let early = fit.early_stopping.as_ref();
        for (member, monitor) in monitors.iter_mut().enumerate() {
            self.scores[member] =
                monitor.history.epochs.last().map(|epoch| epoch.val_loss.unwrap_or(epoch.loss));
            if let Some(best) =
                monitor.best.take().filter(|_| early.is_some_and(|early| early.restore_best))
            {
                self.restore(member, &best.snapshot)?;
                self.scores[member] = Some(best.value);
                monitor.history.restored =
                    Some(best.epoch).filter(|epoch| *epoch < monitor.history.epochs.len());
            }
        }
        Ok(monitors.into_iter().map(|monitor| monitor.history).collect())
    }

    /// One epoch of the active members; returns those that continue.
    fn epoch(
        &mut self,
        mut active: Vec<usize>,
        training_specs: &[TrainingSpec],
        fits: &[Fit],
        training_run: &TrainingRun,
        monitors: &mut [EarlyStoppingMonitor],
    ) -> Result<Vec<usize>> {
        let (begun, training) = (Instant::now(), training_run.training);
        let before = self.progress.clone();
        self.batched_engine.remember()?;
        let mut member_steps = Vec::with_capacity(active.len());
        for &member in &active {
            let (training_spec, seed) = (&training_specs[member], self.seed(member));
            let batches = training_run::batches(
                training_spec,
                &fits[member],
                training,
                seed,
                &mut self.progress[member],
            );
            member_steps.push(MemberBatches { member, batches });
        }
        let outcomes = match self.batched_engine.train(training.data, training_specs, &member_steps)
        {
            Ok(outcomes) => outcomes,
            Err(error) => {
                // As for a single model: undo the epoch, for all members.
                self.progress = before;
                active.iter().for_each(|&member| drop(self.batched_engine.recall(member)));
                return Err(error);
            }
        };
        let mut epochs = Vec::with_capacity(active.len());
        for (member_step, outcomes) in member_steps.iter().zip(&outcomes) {
            let (member, monitor) = (member_step.member, &mut monitors[member_step.member]);
            if let Some((batch, loss)) =
                training_run::first_not_finite(&training_specs[member], outcomes, || {
                    self.batched_engine.parameters(member)
                })?
            {
                self.batched_engine.recall(member)?;
                self.progress[member] = before[member];
                monitor.abort(&training_specs[member], batch, loss, outcomes);
                active.retain(|&other| other != member);
                continue;
            }
            self.progress[member].epochs += 1;
            let steps = &mut monitor.history.steps;
            let mut epoch = summarize(
                &training_specs[member],
                &member_step.batches,
                outcomes,
                training.kept,
                steps,
            );
            if training_specs[member].step_options.skips() {
                epoch.skipped = self.batched_engine.take_skipped(member)?;
                let averaged = &mut self.progress[member].averaged;
                *averaged = averaged.saturating_sub(epoch.skipped as u64);
            }
            epochs.push(epoch);
        }
        if let Some(validation) = training_run.validation {
            let scores = self.scores_of(&active, training_specs, validation)?;
            for (epoch, score) in epochs.iter_mut().zip(scores) {
                (epoch.val_loss, epoch.val_accuracy) = (Some(score.loss), score.accuracy);
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let mut going_on = Vec::with_capacity(active.len());
        for (member, mut epoch) in active.into_iter().zip(epochs) {
            epoch.seconds = seconds;
            if let Some(yardstick) = &training_run.yardstick {
                yardstick.add_r2_of_loss(&mut epoch);
            }
            let fit = &fits[member];
            training_run::observe(fit, &mut self.progress[member], &mut epoch);
            if !monitors[member]
                .add(epoch, fit.early_stopping.as_ref(), || self.snapshot(member))?
            {
                going_on.push(member);
            }
        }
        Ok(going_on)
    }

    fn snapshot(&self, member: usize) -> Result<Snapshot> {
        let (parameters, states) =
            (self.batched_engine.parameters(member)?, self.batched_engine.states(member)?);
        Ok(Snapshot { parameters, states, progress: self.progress[member] })
    }

    fn restore(&mut self, member: usize, snapshot: &Snapshot) -> Result<()> {
        self.batched_engine.set_parameters(member, &snapshot.parameters)?;
        self.batched_engine.set_states(member, &snapshot.states)?;
        self.progress[member] = snapshot.progress;
        Ok(())
    }
}

//! The steps of a training whose gradients a function gets before each update, in one process or
//! in several.

use std::time::Instant;

use crate::nn::model::Model;
use crate::nn::train::engine::{Batch, Outcome, TrainingSpec};
use crate::nn::train::exchange::{Exchange, Tail, another_failed, hash, hash_of_numbers};
use crate::nn::train::options::Fit;
use crate::nn::train::pass::{LoadedBatches, Pass};
use crate::nn::train::progress::{REDRAW, line};
use crate::nn::train::reduce::Noted;
use crate::nn::train::score::Score;
use crate::nn::train::training::Training;
use crate::nn::train::training_run::{self, Loaded, summarize};
use crate::runtime::device::Device;
use crate::{Error, Result};

/// An update of an epoch: its batches by their number in it.
struct Update {
    /// The batches that are trained on now.
    from: usize,
    until: usize,
    /// The first batch of the update; before `from` if its rows come in blocks.
    first: usize,
}

/// What this process alone knows of a pass.
#[derive(Default)]
struct Own {
    /// The outcomes of its batches.
    outcomes: Vec<Outcome>,
    /// A callback of the last update requests the end.
    asks: bool,
    /// An error behind the exchange of the last update: the others hear of it in the next one.
    error: Option<Error>,
}

impl Model {
    /// As [`Model::train`], update by update: this process trains on its batches of it, the
    /// gradient is reduced, and the parameters move.
    pub(super) fn train_reduced(
        &mut self,
        data: usize,
        pass: &Pass,
        part: LoadedBatches<'_>,
        outcomes: &mut Vec<Outcome>,
        exchange: &Exchange,
    ) -> Result<bool> {
        let end = part.before + part.batches.len();
        let (begun, mut own) = (outcomes.len(), Own::default());
        let mut drawn = Instant::now();
        while outcomes.len() < end {
            let from = outcomes.len();
            let ends = |batch: &Batch| batch.update.is_some();
            let until =
                pass.batches[from..end].iter().position(ends).map_or(end, |at| from + at + 1);
            let first = pass.batches[..from].iter().rposition(ends).map_or(0, |at| at + 1);
            let update = Update { from, until, first };
            let stops = self.train_update(data, pass, part, &update, outcomes, &mut own)?;
            let summary = || {
                let targets: usize = pass.batches[..until].iter().map(|batch| batch.rows).sum();
                let targets = targets * self.graph.positions();
                summarize(
                    pass.training_spec,
                    &pass.batches[..until],
                    outcomes,
                    targets,
                    &mut vec![],
                )
            };
            if let Some(bar) = pass.watcher.bar.as_ref().filter(|_| drawn.elapsed() >= REDRAW) {
                let rows = pass.batches[..until].iter().map(|batch| batch.rows).sum();
                bar.update(rows, line(&summary()));
                drawn = Instant::now();
            }
            own.asks = pass.watcher.asks(pass.training_spec, pass.batches, outcomes, from);
            if stops || own.asks && exchange.shard.is_none() {
                break;
            }
        }
        let stopped = outcomes.len() < end;
        let firsts = |number: usize| {
            let ends = |batch: &Batch| batch.update.is_some();
            pass.batches[..number].iter().rposition(ends).map_or(0, |at| at + 1)
        };
        let owns = |number: usize| exchange.owns(begun + number - firsts(begun + number));
        if exchange.shard.is_some() {
            let count = outcomes.len() - begun;
            let found = own.error.map_or(Ok(own.outcomes), Err);
            let exact = exchange.outcomes(found, count, owns)?;
            outcomes[begun..].copy_from_slice(&exact);
            own.asks = exchange.any(Ok(own.asks || stopped))?;
        }
        Ok(own.asks)
    }

    /// Trains on this process's batches of an update, or of a part of it; adds the outcomes. True if
    /// any process requests the end.
    fn train_update(
        &mut self,
        data: usize,
        pass: &Pass,
        part: LoadedBatches<'_>,
        update: &Update,
        outcomes: &mut Vec<Outcome>,
        own: &mut Own,
    ) -> Result<bool> {
        let Some(exchange) = pass.exchange else { return Ok(false) };
        let Update { from, until, first } = *update;
        let of_process = |number: usize| {
            let batch = part.batches[number - part.before];
            Batch { update: None, accumulate: number - first >= exchange.world(), ..batch }
        };
        let owned = (from..until).filter(|number| exchange.owns(number - first));
        let batches: Vec<Batch> = owned.map(of_process).collect();
        let step = pass.batches[until - 1].update;
        let found = match own.error.take() {
            Some(error) => Err(error),
            None if batches.is_empty() => Ok(Vec::new()),
            None => self.engine.train(data, pass.training_spec, &batches),
        };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                if step.is_some() {
                    exchange.fail(self.graph.length, self.is_double());
                }
                return Err(error);
            }
        };
        let sum = |of: fn(&Outcome) -> f64| found.iter().map(of).sum();
        let outcome =
            Outcome { loss: sum(|found| found.loss), correct: sum(|found| found.correct) };
        own.outcomes.extend(&found);
        let mut stops = false;
        if exchange.shard.is_none() {
            outcomes.extend(&found);
        }
        if let Some(step) = &step {
            let mut tail = Tail { outcome, asks: own.asks, failed: false }.numbers();
            // A process without rows in an update has no gradient from an earlier one either.
            let has_rows = until - first > exchange.rank();
            let tail_here = if exchange.shard.is_some() { &mut tail[..] } else { &mut [] };
            let (done, is_done) = {
                let reduce = &mut *exchange.reducer.lock();
                let mut noted = Noted { reduce, is_done: None };
                let done = self.engine.reduce(has_rows, tail_here, &mut noted);
                (done, noted.is_done)
            };
            let is_late = is_done == Some(true) && exchange.shard.is_some();
            if let Err(error) = done {
                if is_done.is_none() {
                    exchange.fail(self.graph.length, self.is_double());
                }
                // The others have this process's part: they hear of it in their next exchange.
                if !is_late {
                    return Err(error);
                }
                own.error = Some(error);
            }
            let tail = Tail::of(tail);
            if exchange.shard.is_some() {
                if tail.failed {
                    return Err(another_failed());
                }
                // Until the end of the epoch: the sum of the update behind its last batch.
                outcomes.resize(until - 1, Outcome::default());
                outcomes.push(tail.outcome);
                stops = tail.asks;
            }
            let mut watching = pass.training_spec.clone();
            watching.step_options.watch = until <= pass.watched;
            if own.error.is_none() {
                match self.engine.update(&watching, step) {
                    Err(error) if exchange.shard.is_some() => own.error = Some(error),
                    done => done?,
                }
            }
        } else if exchange.shard.is_some() {
            outcomes.resize(until, Outcome::default());
        }
        Ok(stops)
    }

    /// True if gradients are f64.
    fn is_double(&self) -> bool {
        matches!(self.device(), Device::Reference)
    }

    /// Compares what the processes of a training begin with.
    pub(super) fn greet(
        &self,
        training_spec: &TrainingSpec,
        fit: &Fit,
        training: &Training,
        exchange: &mut Exchange,
    ) -> Result<()> {
        if exchange.shard.is_none() {
            return Ok(());
        }
        let options = serde_json::to_string(&training.options).map_err(|error| Error::Exchange {
            message: format!("the options cannot be compared: {error}"),
        });
        let own = options
            .and_then(|options| Ok((options, self.engine.parameters()?, self.engine.states()?)));
        let (options, parameters, states) = exchange.agree_on(own)?;
        let (loss, optimizer) = (&training_spec.loss, &training_spec.optimizer);
        let schedule = fit.schedule.as_ref().map(|policy| {
            format!("{} {} {}", policy.schedule.name(), policy.schedule.options(), policy.by_epoch)
        });
        let compiled = format!(
            "{} {} {} {} {schedule:?} {:?}",
            loss.name(),
            loss.options(),
            optimizer.name(),
            optimizer.options(),
            fit.average
        );
        let cut = training.cut.as_ref().map_or(0, |cut| 1 + cut.outcomes.len());
        let numbers = states.iter().map(Vec::as_slice).chain([&parameters[..]]);
        let facts = [
            ("precision", u64::from(self.is_double())),
            ("number of parameters", self.graph.length as u64),
            ("data set", training.rows),
            ("seed", self.description.seed),
            ("loss, optimizer or schedule", hash(&compiled)),
            ("set of options", hash(&options)),
            ("number of epochs", training.left() as u64),
            ("interrupted epoch", cut as u64),
            ("number of updates", self.progress.steps),
            ("loss scale", self.engine.loss_scale()?.factor as u64),
            ("set of weights", hash_of_numbers(numbers)),
        ];
        // Two kinds of vectors round sums in different places.
        let device = match self.device() {
            Device::Gpu(gpu) => gpu.describe(),
            Device::Cpu => format!("cpu {:?}", pulp::Arch::new()),
            Device::Reference => "reference".into(),
        };
        exchange.greet(&facts, hash(&device))
    }

    /// Makes the state of all processes the same at the end of an epoch: the running statistics are
    /// those of each process's own rows, and their mean is taken; where devices are of several
    /// kinds, the first process has the weights and the optimizer's state.
    pub(super) fn even_out(&mut self, exchange: &Exchange) -> Result<()> {
        let length = self.graph.all_length();
        let has_statistics = self.graph.statistic_length() > 0;
        if exchange.shard.is_none() || !has_statistics && !exchange.is_mixed {
            return Ok(());
        }
        let read = self.engine.parameters().and_then(|parameters| {
            let is_read = exchange.is_mixed;
            Ok((parameters, if is_read { self.engine.states()? } else { Vec::new() }))
        });
        let (mut parameters, states) = exchange.agree_on(read)?;
        let statistics = parameters.split_off(length);
        let world = exchange.world() as f64;
        let mut all: Vec<f64> = statistics.iter().map(|statistic| statistic / world).collect();
        if exchange.is_mixed {
            let own = parameters.iter().chain(states.iter().flatten());
            let is_first = exchange.rank() == 0;
            all.extend(own.map(|&own| if is_first { own } else { -0.0 }));
        }
        let count = all.len();
        let mut all = exchange.share(Ok(all), count)?;
        let rest = all.split_off(statistics.len());
        let mut done = Ok(());
        if exchange.is_mixed {
            let (first, rest) = rest.split_at(length);
            parameters.copy_from_slice(first);
            let states: Vec<Vec<f64>> = rest.chunks(length).map(<[f64]>::to_vec).collect();
            done = self.engine.set_states(&states);
        }
        parameters.extend(all);
        exchange.agree(done.and_then(|()| self.engine.set_parameters(&parameters)))
    }

    /// The score of rows, of which each process measures its part.
    pub(crate) fn score_together(
        &mut self,
        training_spec: &TrainingSpec,
        loaded: Loaded,
        exchange: Option<&Exchange>,
    ) -> Result<Score> {
        let all = training_run::scoring(loaded);
        let Some(exchange) = exchange else {
            let outcomes = self.engine.evaluate(loaded.data, training_spec, &all)?;
            return Ok(training_run::score(training_spec, &outcomes, loaded.kept));
        };
        let numbers = (0..all.len()).filter(|&number| exchange.owns(number));
        let own: Vec<Batch> = numbers.map(|number| all[number]).collect();
        let found = match own.is_empty() {
            true => Ok(Vec::new()),
            false => self.engine.evaluate(loaded.data, training_spec, &own),
        };
        let outcomes = exchange.outcomes(found, all.len(), |number| exchange.owns(number))?;
        Ok(training_run::score(training_spec, &outcomes, loaded.kept))
    }
}

//! The training loop: epochs of batches, validation, early stopping.

use std::time::Instant;

use ndarray::{ArrayBase, ArrayD, Data, Dimension};

use crate::criterion::inputs::shape_error;
use crate::data::Fingerprint;
use crate::nn::graph::nodes::Parameter;
use crate::nn::model::Model;
use crate::nn::train::engine::{Batch, Metric, Outcome, Samples, StepOptions, TrainingSpec};
use crate::nn::train::exchange::Exchange;
use crate::nn::train::features::{FeatureArray, FeatureElement};
use crate::nn::train::history::{Epoch, History, Stop};
use crate::nn::train::options::Fit;
use crate::nn::train::pass::{LoadedBatches, Pass, Watcher};
use crate::nn::train::progress::{Bar, REDRAW, line};
use crate::nn::train::row_history::RowHistory;
use crate::nn::train::row_results::RowRule;
use crate::nn::train::samples::{InputSpec, Rows};
use crate::nn::train::score::Score;
use crate::nn::train::stream::{Feed, Streamed};
use crate::nn::train::training::{Cut, Options, Progress, Snapshot, Training};
use crate::nn::train::training_run;
use crate::nn::train::training_run::{Loaded, TrainingRun, summarize};
use crate::nn::train::updates::UpdateSigns;
use crate::runtime::files;
use crate::{Error, Result, Targets};

/// Initial batches per group with a bar or callback, before the time of a batch is known.
const FIRST_PIECE: usize = 8;

impl Model {
    /// Trains the model: Keras' `fit`. Continues from the current state, so that two calls, or a
    /// call after [`Model::load`], give the same bits as one long call; with early stopping, use
    /// [`Fit::resume`] for that.
    ///
    /// Features of u8 are pixels: the model sees p / 255, here and in [`Model::predict`]. Convert
    /// bytes that are counts or codes to f32 first.
    ///
    /// A loss of lists takes [`Targets::grouped`]: a row of features is an item, a batch consists
    /// of lists, and shuffling, validation and the mean are over lists. On the host the network
    /// runs over the items only, on a GPU also over padding: all lists of a batch are padded there
    /// to the longest of them, rounded up to a power of two or one and a half times one.
    ///
    /// Class labels for a loss that takes dense targets become one-hot rows (−1 and +1 for hinge
    /// losses). The data is uploaded once and shuffled on the device.
    ///
    /// # Errors
    /// Shapes, labels and values that do not fit, options outside their domains, a model that was
    /// not compiled, a step that the device cannot hold ([`Error::TooLarge`], before anything is
    /// allocated: [`Model::memory`]), and device errors. A loss that is not finite is not an error: it ends the
    /// training ([`History::stopped`]).
    pub fn fit<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
        fit: Fit,
    ) -> Result<History> {
        let features = FeatureElement::features(features);
        let prepared = self.prepared(features, &targets.into(), &fit);
        let (training_spec, training_run, rows) = fit.begun(prepared)?;
        self.trained(&training_spec, &fit, training_run, &mut Feed::Loaded, rows)
    }

    /// Checks the options and the rows, and loads the rows; returns their fingerprint too.
    fn prepared(
        &mut self,
        features: FeatureArray<'_>,
        targets: &Targets<'_>,
        fit: &Fit,
    ) -> Result<(TrainingSpec, TrainingRun, u64)> {
        self.check(fit)?;
        let mut training_spec = self.training_spec("fit")?;
        self.check_memory(fit, features.shape().first().copied().unwrap_or(0))?;
        let input_spec = InputSpec { graph: &self.graph, scaling: self.scaling.as_ref() };
        let mut rows = Fingerprint::new();
        let load = |samples: &Samples| {
            samples.add_to(&mut rows);
            self.engine.load(samples)
        };
        let training_run =
            TrainingRun::new(input_spec, &training_spec.loss, features, targets, fit, load)?;
        (training_spec.metric, training_spec.step_options) =
            (training_run.metric, fit.step_options());
        Ok((training_spec, training_run, rows.value()))
    }

    /// Rejects a step on `rows` rows of training data that the device cannot hold.
    pub(crate) fn check_memory(&self, fit: &Fit, rows: usize) -> Result<()> {
        // A batch of lists has at least an item; how many is known only with the data.
        let has_lists = self.loss().is_some_and(|loss| loss.targets().pads());
        let held_out = if fit.validation.is_some() { 0.0 } else { fit.validation_split };
        let training = rows - (rows as f64 * held_out) as usize;
        let batch = if has_lists { 1 } else { fit.batch_size.min(training).max(1) };
        self.memory_with(batch, fit.average.is_some())?.check()
    }

    /// Rejects options that exclude each other, and files that cannot be written.
    pub(crate) fn check(&self, fit: &Fit) -> Result<()> {
        fit.check()?;
        if self.graph.embedding().is_some() {
            fit.check_for_embedding()?;
        }
        fit.augment.check(self.graph.shape(self.graph.input()))?;
        if let Some(compiled) = &self.compiled {
            fit.check_skipping(&*compiled.optimizer)?;
        }
        let has_lists =
            self.compiled.as_ref().is_some_and(|compiled| compiled.loss.targets().pads());
        if fit.augment.changes() && has_lists {
            let allowed = "left out: the loss is one of lists";
            return Err(Error::option("fit", "augment", "given", allowed));
        }
        // Epochs index the row orders in 32 bits; a file may claim nearly as many.
        let left = u32::MAX - self.progress.epochs;
        if u32::try_from(fit.epochs).map_or(true, |epochs| epochs > left) {
            return Err(Error::option(
                "fit",
                "epochs",
                fit.epochs,
                &format!("up to {left}, which are left of 2³²"),
            ));
        }
        fit.checkpoint.as_ref().filter(|_| fit.is_first()).map_or(Ok(()), files::check_writable)
    }

    /// Trains on loaded rows, or on those of a feed.
    pub(crate) fn trained(
        &mut self,
        training_spec: &TrainingSpec,
        fit: &Fit,
        training_run: TrainingRun,
        feed: &mut Feed,
        rows: u64,
    ) -> Result<History> {
        let accumulates = match feed {
            Feed::Blocks(_) if fit.accumulate > 1 => {
                let allowed = "1: the rows come in blocks";
                Err(Error::option("fit", "accumulate", fit.accumulate, allowed))
            }
            Feed::Blocks(_) if fit.shard.is_some() => {
                Err(Error::option("fit", "shard", "given", "left out: the rows come in blocks"))
            }
            Feed::Blocks(_) if fit.steps.is_some() => {
                Err(Error::option("fit", "steps", "given", "left out: the rows come in blocks"))
            }
            _ => training_run::check_accumulation(
                training_spec,
                fit,
                training_run.training,
                self.graph.positions(),
            ),
        };
        let last = match feed {
            Feed::Blocks(_) => Ok(()),
            _ => {
                let least = self.graph.least_rows();
                training_run::check_last_batch(fit, training_run.training, least)
            }
        };
        let ready = accumulates.and(last).and_then(|()| {
            let watch = self.watch(training_spec, fit, &training_run, feed)?;
            let training = self.begin(fit, rows, feed)?;
            self.keep_average(fit.average)?;
            Ok((watch, training))
        });
        // Rows in blocks are refused in each process by itself.
        let exchange =
            fit.exchange().filter(|_| fit.shard.is_none() || !matches!(feed, Feed::Blocks(_)));
        let ready = match ready {
            Ok((watch, training)) => match agreed(exchange.as_ref(), Ok(())) {
                Ok(()) => Ok((watch, training)),
                Err(error) => {
                    self.training = Some(training);
                    Err(error)
                }
            },
            Err(error) => agreed(exchange.as_ref(), Err(error)),
        };
        let (watch, mut training) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                training_run.data().for_each(|data| self.engine.unload(data));
                return Err(error);
            }
        };
        training.monitor.history.rows = watch.as_ref().map(|_| RowHistory::default());
        self.schedule = fit.schedule.clone();
        (training.watch, training.exchange) = (watch, exchange);
        let history = self.epochs(training_spec, fit, &training_run, feed, &mut training);
        (training.watch, training.exchange) = (None, None);
        training_run.data().chain(feed.data()).for_each(|data| self.engine.unload(data));
        self.training = Some(training);
        let mut history = history?;
        history.baseline = training_run.yardstick.as_ref().map(|yardstick| yardstick.baseline);
        history.known = training_run::known(training_spec, fit);
        feed.reach(training_run.reach).explain(&mut history.stopped);
        Ok(history)
    }

    /// Loss and accuracy on rows without training: Keras' `evaluate`.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn evaluate<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Score> {
        let mut training_spec = self.training_spec("evaluate")?;
        let rows = Rows::new(
            self.input_spec(),
            &*training_spec.loss,
            "evaluate",
            FeatureElement::features(features),
            &targets.into(),
        )?;
        training_spec.metric = Metric::of(&*training_spec.loss, rows.one_hot, self.graph.columns());
        let loaded = Loaded::new(&rows, self.engine.load(&rows.all())?);
        let score = self.score_together(&training_spec, loaded, None);
        self.engine.unload(loaded.data);
        score
    }

    /// The loss of one batch in training and its gradient by every parameter, by path: PyTorch's
    /// `loss.backward()` without a step. Penalties are part of neither. Batch norm moves its
    /// running statistics, as in training.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, losses::Mse, optimizers::Adam};
    /// use ndarray::array;
    /// let mut model = Sequential::new(1)
    ///     .then(Dense::new(1).bias(false))
    ///     .on(&Device::reference())?
    ///     .compile(Mse::new(), Adam::new())?;
    /// let (loss, gradients) = model.gradients(&array![[1.0]], &array![[0.0]])?;
    /// let w = model.named_parameters()?[0].1[[0, 0]];
    /// assert_eq!((loss, gradients[0].1[[0, 0]]), (w * w, 2.0 * w));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::fit`]; [`Error::Input`] for a model that begins with an embedding whose rows
    /// alone are moved ([`Sequential::of_ids`](crate::Sequential::of_ids)).
    #[expect(clippy::type_complexity, reason = "the pairs of `named_parameters`")]
    pub fn gradients<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<(f64, Vec<(String, ArrayD<f64>)>)> {
        if self.graph.embedding().is_some() {
            return Err(Error::Input {
                operation: "gradients".into(),
                name: "the model".into(),
                found: "begins with an embedding of which only the rows of a batch are moved"
                    .into(),
                allowed: "Sequential::tokens with a TokenEmbedding".into(),
            });
        }
        let training_spec = self.training_spec("gradients")?;
        let rows = Rows::new(
            self.input_spec(),
            &*training_spec.loss,
            "gradients",
            FeatureElement::features(features),
            &targets.into(),
        )?;
        let batch = Batch {
            start: 0,
            rows: rows.rows,
            order: None,
            divisor_rows: None,
            accumulate: false,
            update: None,
            noise: [0; 4],
        };
        let data = self.engine.load(&rows.all())?;
        let outcome = self.engine.train(data, &training_spec, &[batch]);
        self.engine.unload(data);
        let loss = outcome?.first().map_or(f64::NAN, |outcome| outcome.loss);
        let flat = self.engine.gradients()?;
        let named = |parameter: &Parameter| {
            let values = flat[self.graph.range(parameter)].to_vec();
            let array = ArrayD::from_shape_vec(&parameter.shape[..], values);
            Ok((
                parameter.path.clone(),
                array.map_err(|error| {
                    shape_error(&parameter.path, error.to_string(), "its shape")
                })?,
            ))
        };
        Ok((loss, self.graph.parameters.iter().map(named).collect::<Result<_>>()?))
    }

    pub(crate) fn training_spec(&self, operation: &str) -> Result<TrainingSpec> {
        let compiled = self.compiled.as_ref().ok_or_else(|| Error::Input {
            operation: operation.into(),
            name: "the model".into(),
            found: "has no loss yet".into(),
            allowed: "call compile(loss, optimizer) first".into(),
        })?;
        Ok(TrainingSpec {
            loss: compiled.fused_head.as_ref().unwrap_or(&compiled.loss).clone(),
            chunked_head: compiled.fused_head.is_some(),
            optimizer: compiled.optimizer.clone(),
            metric: None,
            step_options: StepOptions::default(),
        })
    }

    /// The training to resume, or a new one.
    fn begin(&mut self, fit: &Fit, rows: u64, feed: &Feed) -> Result<Training> {
        let mut options = Options::of(fit, matches!(feed, Feed::Blocks(_)), self.progress.steps);
        options.sample_weight |= feed.weighs();
        let found = self.training.take().filter(|_| fit.resume);
        let (is_begun, has_ended) = match &found {
            Some(found) => (found.done() > 0 || found.cut.is_some(), found.planned == 0),
            None => (false, false),
        };
        if has_ended && !is_begun {
            log::warn!(
                "the saved training had stopped early: a new one begins with its best weights, without its history and its best loss"
            );
        }
        let found = found.filter(|_| is_begun);
        let Some(mut found) = found else { return Ok(Training::new(options, fit.epochs, rows)) };
        if found.rows != rows || self.average != fit.average {
            let (what, more) = match found.rows == rows {
                true => ("average is not that", ""),
                false => {
                    ("rows are not those", "; what it is validated on may have been trained on")
                }
            };
            log::warn!(
                "the {what} of the saved training: a new one begins with its weights, without its history and its best loss{more}"
            );
            return Ok(Training::new(options, fit.epochs, rows));
        }
        if found.options.sample_weight != options.sample_weight {
            let [before, now] = [found.options.sample_weight, options.sample_weight]
                .map(|has| if has { "weights" } else { "no weights" });
            log::warn!(
                "the rows had {before} before the training was saved and have {now} now: hand it the same"
            );
        }
        if let Some(last) = found.last.take() {
            self.restore(&last)?;
        }
        let is_compared = fit.early_stopping.is_some() && found.monitor.best.is_some();
        let validates = fit.validation.is_some();
        if let Some(what) = found.options.other_weights(&options, validates).filter(|_| is_compared)
        {
            log::warn!(
                "the {what} are not those of the saved training: early stopping compares no loss of before with one of now, and counts from \
                 here"
            );
            (found.monitor.best, found.monitor.waited) = (None, 0);
        }
        // The epoch that was cut begins anew if its batches are others: it is finished all the same.
        let rest = usize::from(fit.finish_epoch && found.cut.is_some());
        if let Some(cut) = found.cut.take_if(|_| !found.options.same_batches(&options)) {
            log::warn!("the batches are not those of the epoch that was cut: it begins anew");
            self.restore(&cut.before)?;
        }
        if fit.early_stopping.is_none() {
            (found.monitor.best, found.monitor.waited) = (None, 0);
        }
        found.monitor.history.before = found.done();
        // From the update that the restored weights have.
        options.until = fit.until(self.progress.steps);
        (found.planned, found.options) = (found.done() + rest + fit.epochs, options);
        Ok(found)
    }

    fn epochs(
        &mut self,
        training_spec: &TrainingSpec,
        fit: &Fit,
        training_run: &TrainingRun,
        feed: &mut Feed,
        training: &mut Training,
    ) -> Result<History> {
        if let Some(mut exchange) = training.exchange.take() {
            self.greet(training_spec, fit, training, &mut exchange)?;
            training.exchange = Some(exchange);
        }
        let early = fit.early_stopping.as_ref();
        let mut at_once = FIRST_PIECE;
        // A training may have been interrupted when early stopping had just waited long enough.
        let mut ends = early.is_some_and(|early| training.monitor.ends(early));
        let before = training.done();
        // An epoch that was cut behind its last step is still to be reported.
        let is_over = |until: u64| training.cut.is_none() && until <= self.progress.steps;
        if training.options.until.is_some_and(is_over) {
            training.planned = training.done();
        }
        while !ends && training.left() > 0 {
            ends = self.epoch(training_spec, fit, training_run, feed, training, &mut at_once)?;
        }
        let done = training.done();
        let history = self.finish(fit, training)?;
        let is_reported =
            matches!(history.stopped, Some(Stop::Asked { .. } | Stop::NotFinite { .. }));
        if let Some((call, last)) = fit
            .on_epoch
            .as_ref()
            .zip(history.epochs.last())
            .filter(|_| done > before && !is_reported)
        {
            call.ends(done, last);
        }
        Ok(history)
    }

    /// One epoch, or the rest of it; returns true if it is the last one.
    fn epoch(
        &mut self,
        training_spec: &TrainingSpec,
        fit: &Fit,
        training_run: &TrainingRun,
        feed: &mut Feed,
        training: &mut Training,
        at_once: &mut usize,
    ) -> Result<bool> {
        let (begun, loaded) = (Instant::now(), training_run.training);
        let exchange = training.exchange.clone();
        let exchange = exchange.as_ref();
        let (mut outcomes, mut skipped) = agreed(exchange, self.begin_epoch(training.cut.take()))?;
        let before = self.progress;
        let mut batches = training_run::batches(
            training_spec,
            fit,
            loaded,
            self.description.seed,
            &mut self.progress,
        );
        let all = batches.len();
        if let Some(until) = training.options.until {
            let left = until.saturating_sub(before.steps);
            if training_run::limit(&mut batches, left, &mut self.progress, before) {
                training.planned = training.done() + 1;
            }
        }
        if outcomes.len() > batches.len() {
            // Only an edited file gets here.
            agreed(exchange, self.engine.recall())?;
            (outcomes, skipped) = (Vec::new(), 0);
        }
        let earlier = outcomes.len();
        let watcher = Watcher {
            bar: Bar::new(
                fit.progress && fit.is_first(),
                training.done() + 1,
                training.planned,
                loaded.rows,
            ),
            on_step: fit.on_step.as_ref(),
            epoch: training.done() + 1,
            of_epoch: all,
        };
        let left =
            fit.watched(self.graph.length).saturating_sub(training.monitor.history.updates.len());
        let watched = training_run::first_updates(&batches, updates_of(&batches[..earlier]) + left);
        let pass = Pass { training_spec, batches: &batches, watched, watcher: &watcher, exchange };
        let is_asked = match feed {
            Feed::Loaded => {
                let part = LoadedBatches { batches: &batches, before: 0 };
                self.train(loaded.data, &pass, part, &mut outcomes, at_once)
            }
            Feed::Blocks(blocks) => {
                self.train_blocks(blocks, &pass, fit, before.epochs, &mut outcomes, at_once)
            }
            Feed::Made(made) => {
                let part = LoadedBatches { batches: &batches, before: 0 };
                let data = self.load_epoch(made, training_spec, fit, loaded, before.epochs);
                agreed(exchange, data)
                    .and_then(|data| self.train(data, &pass, part, &mut outcomes, at_once))
            }
        };
        let is_asked = is_asked.and_then(|is_asked| {
            exchange.map_or(Ok(()), |exchange| self.even_out(exchange)).map(|()| is_asked)
        });
        let is_asked = is_asked.and_then(|is_asked| {
            let found = self.behind_pass(training_spec, &outcomes);
            agreed(exchange, found).map(|found| (is_asked, found))
        });
        let (is_asked, (updates, mut not_finite, more)) = match is_asked {
            Ok(found) => found,
            Err(error) => {
                // Undo the epoch: its updates, which were counted when the batches were made, and
                // their effect on the weights. If a lost device cannot be restored, `error` already
                // reports it.
                self.progress = before;
                let _ = self.engine.take_updates();
                let _ = self.engine.recall();
                return Err(error);
            }
        };
        training.monitor.history.updates.extend(updates);
        // Behind the last step no other one meets what it has done.
        let is_last = training.left() == 1 && !is_asked && training_run.validation.is_none();
        if not_finite.is_none() && is_last {
            let data = feed.loaded(loaded.data);
            let behind = self.loss_behind(data, training_spec, batches.last());
            let behind = match exchange {
                Some(exchange) => exchange.of_first(behind)?,
                None => behind?,
            };
            not_finite = behind
                .filter(|loss| !loss.is_finite())
                .map(|loss| (batches.len().saturating_sub(1), loss));
        }
        if let Some((batch, loss)) = not_finite {
            agreed(exchange, self.engine.recall())?;
            self.progress = before;
            training.monitor.abort(training_spec, batch, loss, &outcomes);
            return Ok(true);
        }
        skipped += more;
        if is_asked {
            let counted = updates_of(&batches[..outcomes.len()]) as u64;
            let averaged = if training_spec.step_options.average.is_some() {
                counted.saturating_sub(skipped as u64)
            } else {
                0
            };
            self.progress = Progress {
                steps: before.steps + counted,
                averaged: before.averaged + averaged,
                ..before
            };
            let cut = self.cut(training, before, batches.len(), outcomes, skipped);
            agreed(exchange, cut)?;
            return Ok(true);
        }
        self.progress.averaged = self.progress.averaged.saturating_sub(skipped as u64);
        self.progress.epochs += 1;
        let mut steps = Vec::new();
        let kept = feed.kept(loaded.kept);
        // Of an epoch that is cut short the labels that count are known if all do.
        let of_rows = match batches.len() == all {
            true => Some(kept),
            false => training_run::counted(&batches, loaded.rows, kept, self.graph.positions()),
        };
        let mut report =
            summarize(training_spec, &batches, &outcomes, of_rows.unwrap_or(kept), &mut steps);
        report.accuracy = report.accuracy.filter(|_| of_rows.is_some());
        training
            .monitor
            .history
            .steps
            .extend(steps.into_iter().skip(updates_of(&batches[..earlier])));
        let score = match (training_run.validation, &mut *feed) {
            (Some(validation), _) => {
                let shared = exchange.filter(|exchange| exchange.shard.is_some());
                Some((self.score_together(training_spec, validation, shared)?, None))
            }
            (
                None,
                Feed::Blocks(Streamed { validation: Some(blocks), weights: [_, weights], .. }),
            ) => Some(self.score_blocks(training_spec, &mut **blocks, Some(weights))?),
            (None, _) => None,
        };
        feed.measure(&mut report);
        let (score, val_r2) = score.unzip();
        report.val_r2 = val_r2.flatten();
        (report.val_loss, report.val_accuracy) =
            (score.map(|score| score.loss), score.and_then(|score| score.accuracy));
        report.skipped = skipped;
        let measured = self.watch_epoch(training_run, training);
        let measured = measured.and_then(|()| self.measure(training_run, &mut report));
        agreed(exchange, measured)?;
        training_run::observe(fit, &mut self.progress, &mut report);
        report.seconds = begun.elapsed().as_secs_f64();
        if let Some(bar) = watcher.bar {
            bar.finish(line(&report));
        }
        self.close(fit, training, report)
    }

    /// Remembers the state to restore if a loss is not finite; returns the outcomes and the skipped
    /// steps of an epoch that was cut.
    fn begin_epoch(&mut self, cut: Option<Cut>) -> Result<(Vec<Outcome>, usize)> {
        let Some(cut) = cut else {
            self.engine.remember()?;
            return Ok((Vec::new(), 0));
        };
        // It is that from the beginning of the whole epoch.
        let now = self.snapshot()?;
        self.restore(&cut.before)?;
        self.engine.remember()?;
        self.restore(&now)?;
        self.progress = cut.before.progress;
        Ok((cut.outcomes, cut.skipped))
    }

    /// What the device has noted in a pass: the measured updates, the first loss or weight that is
    /// not finite, with its batch, and the number of skipped steps.
    #[expect(clippy::type_complexity, reason = "taken apart at once")]
    fn behind_pass(
        &mut self,
        training_spec: &TrainingSpec,
        outcomes: &[Outcome],
    ) -> Result<(Vec<UpdateSigns>, Option<(usize, f64)>, usize)> {
        let updates = self.engine.take_updates()?;
        let not_finite =
            training_run::first_not_finite(training_spec, outcomes, || self.engine.parameters())?;
        Ok((updates, not_finite, self.skipped(training_spec)?))
    }

    /// Records an epoch, saves, and decides to continue; true if the training ends.
    fn close(&mut self, fit: &Fit, training: &mut Training, report: Epoch) -> Result<bool> {
        let ends =
            training.monitor.add(report.clone(), fit.early_stopping.as_ref(), || self.snapshot());
        let ends = agreed(training.exchange.as_ref(), ends)?;
        // The last epoch's file is written at the end.
        // An epoch is reported after it is saved: the last one after `finish`.
        if ends || training.left() == 0 {
            return Ok(ends);
        }
        let saved = match fit.checkpoint.as_ref().filter(|_| fit.is_first()) {
            Some(path) => self.save_in(path, Some(training)),
            None => Ok(()),
        };
        let done = training.done();
        let ends = |()| fit.on_epoch.as_ref().is_some_and(|call| call.ends(done, &report));
        let is_asked = saved.map(ends);
        let is_asked = match &training.exchange {
            Some(exchange) if exchange.shard.is_some() => exchange.any(is_asked)?,
            _ => is_asked?,
        };
        if is_asked {
            training.monitor.history.stopped =
                Some(Stop::Asked { epochs: done, batches: 0, of: 0 });
        }
        Ok(is_asked)
    }

    /// Saves an epoch that a callback ended midway.
    fn cut(
        &mut self,
        training: &mut Training,
        began: Progress,
        of: usize,
        outcomes: Vec<Outcome>,
        skipped: usize,
    ) -> Result<()> {
        let now = self.snapshot()?;
        self.engine.recall()?;
        let before = self.snapshot()?;
        let progress = Progress { loss_scale: before.progress.loss_scale, ..began };
        let before = Snapshot { progress, ..before };
        self.restore(&now)?;
        training.monitor.history.stopped =
            Some(Stop::Asked { epochs: training.done(), batches: outcomes.len(), of });
        training.cut = Some(Cut { before, outcomes, skipped });
        Ok(())
    }

    /// Restores the best weights at the end of the training, and saves.
    fn finish(&mut self, fit: &Fit, training: &mut Training) -> Result<History> {
        let stopped = &training.monitor.history.stopped;
        let (is_asked, is_early) = (
            matches!(stopped, Some(Stop::Asked { .. })),
            matches!(stopped, Some(Stop::Early { .. })),
        );
        let restores =
            fit.early_stopping.as_ref().is_some_and(|early| early.restore_best && !is_asked);
        let done = training.done();
        if let Some(best) =
            training.monitor.best.as_ref().filter(|best| restores && best.epoch < done)
        {
            let last = self.snapshot()?;
            self.restore(&best.snapshot)?;
            training.last = Some(last);
            training.monitor.history.restored = Some(best.epoch);
        }
        let history = std::mem::take(&mut training.monitor.history);
        if is_early {
            training.end();
        } else {
            // Needed by a file and by further calls.
            training.monitor.history.epochs.clone_from(&history.epochs);
        }
        if let Some(path) = fit.checkpoint.as_ref().filter(|_| fit.is_first()) {
            self.save_in(path, Some(training))?;
        }
        Ok(history)
    }

    /// Trains on the batches without an outcome yet, in groups if a bar or callback is set: reading
    /// a loss waits for the device. Returns true if the callback requests the end.
    pub(crate) fn train(
        &mut self,
        data: usize,
        pass: &Pass,
        part: LoadedBatches<'_>,
        outcomes: &mut Vec<Outcome>,
        at_once: &mut usize,
    ) -> Result<bool> {
        let Pass { training_spec, watcher, .. } = pass;
        let LoadedBatches { batches, before } = part;
        let end = before + batches.len();
        if outcomes.len() >= end {
            return Ok(false);
        }
        if let Some(exchange) = pass.exchange {
            return self.train_reduced(data, pass, part, outcomes, exchange);
        }
        if watcher.bar.is_none() && watcher.on_step.is_none() {
            let first = outcomes.len();
            outcomes.extend(self.train_steps(data, pass, &batches[first - before..], first)?);
            return Ok(false);
        }
        while outcomes.len() < end {
            let (begun, first) = (Instant::now(), outcomes.len());
            let mut until = (first - before + *at_once).min(batches.len());
            if !training_spec.optimizer.whole_batch() {
                // A training that is cut within an update would lose the gradients so far.
                let ends = |batch: &Batch| batch.update.is_some();
                let ahead = batches[until - 1..].iter().position(ends);
                until = ahead.map_or(batches.len(), |ahead| until + ahead);
            }
            let now = &batches[first - before..until];
            outcomes.extend(self.train_steps(data, pass, now, first)?);
            if let Some(bar) = &watcher.bar {
                let done = &pass.batches[..outcomes.len()];
                let rows: usize = done.iter().map(|batch| batch.rows).sum();
                let targets = rows * self.graph.positions();
                bar.update(
                    rows,
                    line(&summarize(training_spec, done, outcomes, targets, &mut Vec::new())),
                );
            }
            let each = begun.elapsed().as_secs_f64() / now.len() as f64;
            *at_once = ((REDRAW.as_secs_f64() / each.max(1e-9)) as usize).clamp(1, 4 * *at_once);
            if watcher.asks(training_spec, pass.batches, outcomes, first) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Trains on batches, of which `first` is the number in the epoch; the first ones of the epoch
    /// may be measured.
    fn train_steps(
        &mut self,
        data: usize,
        pass: &Pass,
        batches: &[Batch],
        first: usize,
    ) -> Result<Vec<Outcome>> {
        let (now, rest) = batches.split_at(pass.watched.saturating_sub(first).min(batches.len()));
        let mut outcomes = Vec::with_capacity(batches.len());
        if !now.is_empty() {
            let mut watching = pass.training_spec.clone();
            watching.step_options.watch = true;
            outcomes = self.engine.train(data, &watching, now)?;
        }
        if !rest.is_empty() {
            outcomes.extend(self.engine.train(data, pass.training_spec, rest)?);
        }
        Ok(outcomes)
    }

    /// The rule of the rows that are watched, if any are.
    fn watch(
        &self,
        training_spec: &TrainingSpec,
        fit: &Fit,
        training_run: &TrainingRun,
        feed: &Feed,
    ) -> Result<Option<RowRule>> {
        if fit.watch_rows && !matches!(feed, Feed::Loaded) {
            let allowed = "left out: the rows are others in each epoch, or come in blocks";
            return Err(Error::option("fit", "watch_rows", "true", allowed));
        }
        let Some(targets) = &training_run.watched else { return Ok(None) };
        let rule = self.row_rule("fit (watch_rows)", training_spec)?;
        rule.check("fit (watch_rows)", targets.view(), 1)?;
        Ok(Some(rule))
    }

    /// Predicts the training rows for their history.
    fn watch_epoch(&mut self, training_run: &TrainingRun, training: &mut Training) -> Result<()> {
        let (Some(rule), Some(targets)) = (&training.watch, &training_run.watched) else {
            return Ok(());
        };
        let batch = self.graph.prediction_batch();
        let outputs = self.engine.predict(training_run.training.data, batch)?;
        let losses = rule.losses(&outputs, targets.view())?;
        let classes = rule.classes(&outputs, targets.view());
        if let Some(rows) = &mut training.monitor.history.rows {
            rows.add(&losses, classes.as_ref());
        }
        Ok(())
    }

    /// The loss of the epoch's last batch by the weights that its step has left. `None` if steps that
    /// are not finite are skipped anyhow, and where the batch is not on the device any more or there
    /// is no memory for it.
    fn loss_behind(
        &mut self,
        data: Option<usize>,
        training_spec: &TrainingSpec,
        last: Option<&Batch>,
    ) -> Result<Option<f64>> {
        let (Some(data), Some(last)) = (data, last) else { return Ok(None) };
        if training_spec.step_options.skip_non_finite {
            return Ok(None);
        }
        // The divisor is that of training: of a part of a mean it may be that of more rows.
        let batch = Batch { update: None, accumulate: false, ..*last };
        match self.engine.evaluate(data, training_spec, &[batch]) {
            Ok(outcomes) => Ok(outcomes.first().map(|outcome| outcome.loss)),
            Err(Error::OutOfMemory { .. } | Error::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Adds R² to an epoch of a regression.
    fn measure(&mut self, training_run: &TrainingRun, report: &mut Epoch) -> Result<()> {
        let Some(yardstick) = &training_run.yardstick else { return Ok(()) };
        let (data, batch) = (
            training_run.validation.unwrap_or(training_run.training).data,
            self.graph.prediction_batch(),
        );
        yardstick.add_r2(report, || self.engine.predict(data, batch))
    }

    /// Number of steps skipped since the last call.
    fn skipped(&mut self, training_spec: &TrainingSpec) -> Result<usize> {
        if training_spec.step_options.skips() { self.engine.take_skipped() } else { Ok(0) }
    }

    fn snapshot(&self) -> Result<Snapshot> {
        let (parameters, states) = (self.engine.parameters()?, self.engine.states()?);
        let progress = Progress { loss_scale: self.engine.loss_scale()?, ..self.progress };
        Ok(Snapshot { parameters, states, progress })
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.engine.set_parameters(&snapshot.parameters)?;
        self.engine.set_states(&snapshot.states)?;
        self.engine.set_loss_scale(snapshot.progress.loss_scale)?;
        self.progress = snapshot.progress;
        Ok(())
    }
}

/// What this process has found, if no process that trains with it has an error.
fn agreed<T>(exchange: Option<&Exchange>, own: Result<T>) -> Result<T> {
    match exchange {
        Some(exchange) => exchange.agree_on(own),
        None => own,
    }
}

/// Number of updates.
fn updates_of(batches: &[Batch]) -> usize {
    batches.iter().filter(|batch| batch.update.is_some()).count()
}

//! Training of a recommender, epoch by epoch, with interruption and resumption.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::nn::train::history::Stop;
use crate::nn::train::options::StepReport;
use crate::recommend::engine::{Cut, Tally, UpdateOptions};
use crate::recommend::fit::Fit;
use crate::recommend::interactions::Interactions;
use crate::recommend::model::{Epoch, History, Model};
use crate::recommend::sampling::Rules;
use crate::runtime::files;
use crate::{Error, Result};

/// Interval between callbacks.
const ASKED: Duration = Duration::from_millis(150);

/// Batches of the first submission, before the time per batch is known.
const FIRST_PIECE: usize = 8;

impl Model {
    /// Trains from newly initialized embeddings, discarding earlier training (LightFM's `fit`).
    ///
    /// # Errors
    /// [`Error::Shape`] for interactions of a different number of users or items, [`Error::Empty`]
    /// for none, [`Error::Option`] if the embeddings do not stay finite; errors of the device.
    pub fn fit(&mut self, interactions: &Interactions, epochs: usize) -> Result<History> {
        self.check(interactions)?;
        self.engine.set_state(&self.description.first_state())?;
        (self.epochs, self.seen, self.cut) = (0, None, None);
        self.history.clear();
        self.fit_partial(interactions, epochs)
    }

    /// Continues training. `fit` of 3 epochs and `fit_partial` of 4 on the same interactions equal
    /// `fit` of 7.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub fn fit_partial(&mut self, interactions: &Interactions, epochs: usize) -> Result<History> {
        self.train(interactions, Fit::new().epochs(epochs))
    }

    /// As [`Model::fit_partial`], with a checkpoint and callbacks. An epoch interrupted by a
    /// callback resumes at its next batch, even if the recommender was saved and loaded in between:
    /// the bits are those of uninterrupted training.
    ///
    /// # Errors
    /// As [`Model::fit`]; [`Error::Io`] if the checkpoint cannot be written.
    pub fn train(&mut self, interactions: &Interactions, fit: Fit) -> Result<History> {
        self.check(interactions)?;
        self.check_ids("interactions", interactions)?;
        // Epochs number the draws in 32 bits; a file may claim nearly as many.
        let left = u32::MAX - self.epochs;
        let planned =
            u32::try_from(fit.epochs).ok().and_then(|epochs| self.epochs.checked_add(epochs));
        let Some(planned) = planned else {
            let allowed = format!("up to {left}, which are left of 2³²");
            return Err(Error::option("recommend", "epochs", fit.epochs, &allowed));
        };
        if let Some(path) = &fit.checkpoint {
            files::check_writable(path)?;
        }
        self.planned = planned;
        let is_known = self.seen.as_ref().is_some_and(|seen| **seen == *interactions);
        // Resume only on the same interactions. `seen` cannot tell: it is the union over all calls,
        // and may be larger than the epoch's interactions or equal them by chance.
        let goes_on =
            |cut: &Cut| cut.over.map_or(is_known, |over| over == interactions.fingerprint());
        self.cut = self.cut.take().filter(goes_on);
        let all = match &self.seen {
            Some(seen) if !is_known => Arc::new(seen.united(interactions)),
            Some(seen) => seen.clone(),
            None => Arc::new(interactions.clone()),
        };
        self.engine.set_interactions(Arc::new(interactions.clone()))?;
        self.seen = Some(all);
        let options = &self.description.options;
        let (rules, update_options) =
            (options.rules(self.description.items as u32), options.update_options(interactions));
        let (mut history, mut at_once) = (History::default(), FIRST_PIECE);
        if let Some(path) = fit.checkpoint.as_ref().filter(|_| self.epochs == planned) {
            // No epoch remains to write it.
            self.save(path)?;
        }
        while self.epochs < planned && history.stopped.is_none() {
            self.epoch(interactions, &fit, &rules, &update_options, &mut history, &mut at_once)?;
            if let Some(path) = &fit.checkpoint {
                self.save(path)?;
            }
            let Some(last) = history.epochs.last().filter(|_| history.stopped.is_none()) else {
                continue;
            };
            let ends =
                fit.on_epoch.as_ref().is_some_and(|call| call.ends(self.epochs as usize, last));
            if ends && self.epochs < planned {
                history.stopped =
                    Some(Stop::Asked { epochs: self.epochs as usize, batches: 0, of: 0 });
            }
        }
        Ok(history)
    }

    /// One epoch, or the rest of an interrupted one.
    fn epoch(
        &mut self,
        interactions: &Interactions,
        fit: &Fit,
        rules: &Rules,
        update_options: &UpdateOptions,
        history: &mut History,
        at_once: &mut usize,
    ) -> Result<()> {
        let start = Instant::now();
        let batches = interactions.len().div_ceil(update_options.batch_size);
        let (mut done, mut tally) = self
            .cut
            .take()
            .map_or((0, Tally::default()), |cut| (cut.batches.min(batches), cut.tally));
        while done < batches {
            let begun = Instant::now();
            let next = if fit.on_step.is_some() { (done + *at_once).min(batches) } else { batches };
            self.engine.batches(rules, update_options, self.epochs, done..next, &mut tally)?;
            let each = begun.elapsed().as_secs_f64() / (next - done) as f64;
            *at_once = ((ASKED.as_secs_f64() / each.max(1e-9)) as usize)
                .clamp(1, at_once.saturating_mul(4));
            done = next;
            let seen = (done * update_options.batch_size).min(interactions.len());
            let report = StepReport { batch: done, batches, loss: tally.loss / seen as f64 };
            if fit.on_step.as_ref().is_some_and(|call| call.ends(self.epochs as usize + 1, &report))
            {
                self.check_finite(&tally, update_options)?;
                self.cut =
                    Some(Cut { batches: done, tally, over: Some(interactions.fingerprint()) });
                history.stopped =
                    Some(Stop::Asked { epochs: self.epochs as usize, batches: done, of: batches });
                return Ok(());
            }
        }
        self.check_finite(&tally, update_options)?;
        self.epochs += 1;
        let report = Epoch {
            loss: tally.loss / interactions.len() as f64,
            sampled: tally.draws,
            updates: tally.updates,
            seconds: start.elapsed().as_secs_f64(),
        };
        self.history.push(report);
        history.epochs.push(report);
        Ok(())
    }

    fn check_finite(&self, tally: &Tally, update_options: &UpdateOptions) -> Result<()> {
        if tally.loss.is_finite() && self.engine.is_finite()? {
            return Ok(());
        }
        let found = format!(
            "{}, which epoch {} did not stay finite with",
            update_options.learning_rate,
            self.epochs + 1
        );
        Err(Error::option("recommend", "learning_rate", found, "lower"))
    }

    fn check(&self, interactions: &Interactions) -> Result<()> {
        self.check_sizes("interactions", interactions)?;
        if interactions.is_empty() {
            return Err(Error::Empty {
                operation: "recommend".into(),
                name: "interactions".into(),
            });
        }
        Ok(())
    }
}

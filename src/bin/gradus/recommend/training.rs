//! Trains, tests, and trains again on all interactions.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

use gradus::recommend::{
    Epoch, Fit, History, Interactions, Metrics, Model, Preparation, Recommender, Refit,
    SideFeatures, popularity,
};
use gradus::{Device, HeldOut, Stop};

use crate::interrupt::Interrupt;
use crate::log::Log;
use crate::output;
use crate::output::{Failure, Outcome};
use crate::recommend::Recommend;
use crate::recommend::files::Read;

/// Cutoff k of the test metrics.
const TOP: usize = 10;

/// Default number of epochs.
const EPOCHS: usize = 20;

/// True if a recommender records its planned number of epochs; files of gradus 0.1.0 do not.
fn says(model: &Model) -> bool {
    model.epochs_left() > 0 || !model.history().is_empty()
}

/// Result of a training run.
pub(super) struct Trained {
    pub device: String,
    pub history: History,
    /// All epochs, including those before a resume.
    pub all: Vec<Epoch>,
    pub before: usize,
    /// Number of requested epochs.
    pub epochs: usize,
    /// Reason for an early end.
    pub stopped: Option<Stop>,
    pub test: Option<Metrics>,
    /// Metrics of the popularity baseline on the same test.
    pub popularity: Option<Metrics>,
    /// Epochs of the training on all interactions.
    pub refit: Option<Vec<Epoch>>,
    /// True if that training was requested and not started.
    pub is_refit_left: bool,
    /// Error if not all epochs are in the file given by --log.
    pub logged: Outcome,
    /// Side features, including those of a saved recommender.
    pub user_features: Option<SideFeatures>,
    pub item_features: Option<SideFeatures>,
}

impl Recommend {
    pub(super) fn train(&self, data: &Read, interrupt: &Interrupt) -> Outcome<Trained> {
        let Read { train, test, preparation, .. } = data;
        let device =
            if self.json { self.device.open(false)? } else { self.device.open_and_report()? };
        let mut model = match &self.resume {
            Some(path) => self.resumed(path, train, &device)?,
            None => self.recommender(data).on(&device)?,
        };
        model.set_preparation(*preparation);
        let before = model.epochs() as usize;
        let left = self.resume.as_ref().filter(|_| says(&model)).map(|_| model.epochs_left());
        let epochs = self.epochs.map(NonZeroUsize::get).or(left).unwrap_or(EPOCHS);
        let log = Log::new(self.log.as_deref(), self.resume.is_some())?;
        // A resumed training on all interactions stays one.
        let log = if preparation.refit == Refit::Done { log.of_refit() } else { log };
        log.behind(
            before,
            model.history().iter().map(|epoch| vec![("loss", epoch.loss)]).collect(),
        );
        let history = model.train(train, self.fit(before, epochs, interrupt, &log))?;
        log.catch_up();
        let is_refitted = preparation.refit == Refit::Planned && history.stopped.is_none();
        if !is_refitted {
            interrupt.end_at_once();
        }
        let is_tested = !test.is_empty() && history.stopped.is_none();
        let popularity = if is_tested { Some(popularity(test, train, TOP)?) } else { None };
        let test = if is_tested { Some(model.evaluate(test, Some(train), TOP)?) } else { None };
        if let (Some(own), Some(popular)) = (&test, &popularity)
            && own.precision_at_k < popular.precision_at_k
        {
            output::note(&format!(
                "note: the most popular items alone are a better answer, precision@{TOP} {:.4} against {:.4}: more epochs, another --loss, fewer \
                 --components or more interactions may help",
                popular.precision_at_k, own.precision_at_k
            ));
        }
        let mut trained = Trained {
            device: device.describe(),
            all: model.history().to_vec(),
            before,
            epochs,
            stopped: history.stopped.clone(),
            history,
            test,
            popularity,
            refit: None,
            is_refit_left: is_refitted,
            logged: Ok(()),
            user_features: model.user_features().cloned(),
            item_features: model.item_features().cloned(),
        };
        // After an interrupt do not start it: the file holds a complete training run.
        if is_refitted && !interrupt.is_asked() {
            self.refit(&model, data, interrupt, &log, &mut trained)?;
        }
        interrupt.end_at_once();
        trained.logged = log.close();
        Ok(trained)
    }

    /// Trains a new recommender with the same settings on all interactions.
    fn refit(
        &self,
        tested: &Model,
        data: &Read,
        interrupt: &Interrupt,
        log: &Log,
        trained: &mut Trained,
    ) -> Outcome {
        let Preparation { held_out, .. } = data.preparation;
        output::note(&format!(
            "training again on all {} interactions (--refit): what is saved has learned from the test part too",
            data.interactions.len()
        ));
        let mut model = tested.recommender().clone().on(tested.device())?;
        let held_out = HeldOut { share: 0.0, ..held_out };
        model.set_preparation(Preparation { held_out, refit: Refit::Done, ..data.preparation });
        let history = model.train(
            &data.interactions,
            self.fit(0, tested.epochs() as usize, interrupt, &log.of_refit()),
        )?;
        (trained.stopped, trained.is_refit_left) = (history.stopped, false);
        trained.refit = Some(history.epochs);
        Ok(())
    }

    /// Training options for `epochs` epochs after the `done` ones.
    fn fit(&self, done: usize, epochs: usize, interrupt: &Interrupt, log: &Log) -> Fit {
        let (step, log) = (interrupt.clone(), log.clone());
        let fit = Fit::new().epochs(epochs).on_step(move |_, _| step.flow()).on_epoch(
            move |number, epoch| {
                log.report(number, done + epochs, vec![("loss", epoch.loss)], epoch.seconds);
                ControlFlow::Continue(())
            },
        );
        match &self.out {
            Some(path) => fit.checkpoint(path),
            None => fit,
        }
    }

    fn recommender(&self, data: &Read) -> Recommender {
        let mut recommender =
            Recommender::new(data.interactions.users(), data.interactions.items())
                .components(self.components.get())
                .loss(self.loss.into())
                .learning_rate(self.learning_rate)
                .max_sampled(self.max_sampled)
                .seed(self.seed);
        if let Some(batch_size) = self.batch_size {
            recommender = recommender.batch_size(batch_size.get());
        }
        if let Some(features) = &data.user_features {
            recommender = recommender.user_features(features.clone());
        }
        if let Some(features) = &data.item_features {
            recommender = recommender.item_features(features.clone());
        }
        recommender
    }

    /// A saved recommender, if it was trained on these interactions.
    fn resumed(&self, path: &Path, train: &Interactions, device: &Device) -> Outcome<Model> {
        let model =
            Model::load(path, device).map_err(|error| Failure::from(error).of("--resume"))?;
        if model.seen().is_none_or(|seen| seen != train) {
            let message = format!(
                "--resume: {} was trained on other interactions than --interactions has; take the file that it was trained on",
                path.display()
            );
            return Err(Failure::Failed(message));
        }
        if self.epochs.is_none() && says(&model) {
            let (done, left) = (model.epochs() as usize, model.epochs_left());
            output::note(&match left {
                0 => "resumed: the saved training is over; --epochs N adds to it".into(),
                _ => format!("resumed: {done} of {} epochs are done", done + left),
            });
        }
        Ok(model)
    }
}

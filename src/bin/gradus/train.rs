//! `gradus train`: trains a network on a data set or a text.

mod images;
mod network;
pub(crate) mod options;
pub(crate) mod page;
pub(crate) mod refit;
mod report;
mod resume;
mod run;
mod settings;
mod surprises;
mod text;
pub(crate) mod trained;
mod weights;

use std::path::{Path, PathBuf};
use std::rc::Rc;

use gradus::data::{Dataset, Standardization, TargetKind};
use gradus::losses::LossDefinition;
use gradus::{
    Dense, Device, Fit, HeldOut, Model, Sequential, Stop, activations, losses, optimizers,
};
use serde_json::{Map, Value, json};

use crate::interrupt::Interrupt;
use crate::output::{DeviceChoice, Failure, Outcome};
use crate::ranks::Ranks;
use crate::samples::{Asked, Prepared, Task, target_kind, unfit};
use crate::saved::Kind;
use crate::train::images::scale_pixels;
use crate::train::network::Network;
use crate::train::options::{Earlier, Plan, Settings, Train, named};
use crate::train::trained::{Trained, restored_in_words};
use crate::{language, output, saved};

/// A model that is ready to be trained, and what it is trained on.
pub(crate) struct Ready {
    pub model: Model,
    pub task: Task,
    pub settings: Settings,
    pub parts: Prepared,
}

impl Train {
    /// Trains as one of several processes: the first one prints and writes.
    pub fn run_as(&mut self, ranks: Rc<Ranks>) -> Outcome {
        if ranks.place().0 > 0 {
            output::be_quiet(ranks.place().0);
            // The library leaves the file of `--out` to the first process.
            (self.log, self.html, self.tensorboard, self.json) = (None, None, None, false);
        }
        self.ranks = Some(ranks);
        self.run()
    }

    pub fn run(&self) -> Outcome {
        self.check_network()?;
        let plan = self.plan()?;
        if let Some(path) = &self.out {
            saved::check_out("--out", path, &self.inputs())?;
        }
        let models = [self.resume.as_deref(), self.out.as_deref()];
        if let Some(path) = &self.html {
            saved::check_out("--html", path, &self.inputs())?;
            saved::check_models("--html", path, models)?;
        }
        if let Some(path) = &self.log {
            saved::check_log(path, &self.inputs(), models)?;
            if self.json {
                saved::check_log_beside_document(path)?;
            }
            if self.tensorboard.as_deref().is_some_and(|folder| saved::is_same(path, folder)) {
                let path = path.display();
                return Err(Failure::Usage(format!(
                    "--log: {path} is the folder of --tensorboard; name a file"
                )));
            }
            if self.html.as_deref().is_some_and(|page| saved::is_same(path, page)) {
                let path = path.display();
                return Err(Failure::Failed(format!(
                    "--log: {path}: it is the page of --html; name another file"
                )));
            }
        }
        if let Some(path) = &self.resume {
            saved::check_kind("--resume", path, Kind::Network)?;
        }
        let earlier = self.resume.as_deref().map(Earlier::of);
        let held_out = self.held_out(earlier.as_ref());
        if let Some(text) = self.source.text() {
            return self.run_text(text, plan, held_out, earlier.as_ref());
        }
        let Ready { mut model, task, settings, mut parts } = match plan {
            Some(plan) => self.ready(plan, held_out)?,
            None => self.resumed(
                held_out,
                &self.device(earlier.as_ref()).open_and_report()?,
                earlier.as_ref(),
            )?,
        };
        model.set_held_out(held_out);
        if let Some(done) = earlier
            .as_ref()
            .filter(|_| self.epochs.is_none() && self.steps.is_none())
            .and_then(Earlier::in_words)
        {
            output::note(&format!("resumed: {done}"));
        }
        if let Some(doubt) = task.doubt(&parts.train, parts.rows(), self.source.target().as_deref())
        {
            output::note(&format!("warning: {doubt}"));
        }
        let interrupt = Interrupt::listen()?;
        if !self.json {
            let chosen = output::folded(&self.in_words(&parts, &settings, &task, &model));
            let summary = output::folded(&model.summary_for(settings.batch_size));
            output::print_beside(self.out.as_deref(), &format!("{summary}\n{chosen}"))?;
        }
        let mut trained = self.fit(model, &task, &mut parts, settings, &interrupt)?;
        let report = if self.json {
            output::document(&self.as_json(&trained, &task))
        } else {
            report::as_text(&trained, self.weights.is_weighed(&trained.model))
        };
        output::print_beside(self.out.as_deref(), &report)?;
        self.write_page(&trained, &task)?;
        let Trained { logged, .. } = &mut trained;
        let logged = std::mem::replace(logged, Ok(()));
        self.ended(&trained, interrupt.is_asked()).and(logged)
    }

    /// The device: with matrix units for mixed precision.
    fn device(&self, earlier: Option<&Earlier>) -> DeviceChoice {
        self.device.with_matrix_units(self.is_mixed(earlier))
    }

    /// A new model and the rows to train it on.
    fn ready(&self, plan: Plan, held_out: HeldOut) -> Outcome<Ready> {
        let parts = self.parts(target_kind(&*plan.loss), held_out, None)?;
        let task = Task::of(&*plan.loss, &parts.train)?;
        self.refuse_quantities(&parts, &task)?;
        self.weights.check(&parts, &*plan.loss)?;
        let layers = self.layers(&parts.train, &task)?;
        let device = self.device(None).open_and_report()?;
        let settings = self.settings(task.ranks, None).with(&plan);
        Ok(Ready { model: self.new_model(plan, layers, &parts, &device)?, task, settings, parts })
    }

    /// What a range test needs: a new model, its rows, and the options of its training. Options
    /// that only a training has are refused.
    pub(crate) fn for_range_test(&self) -> Outcome<(Ready, Fit)> {
        let given = [
            ("--learning-rate", self.learning_rate.is_some()),
            ("--resume", self.resume.is_some()),
            ("--text", self.source.text().is_some()),
            ("--test", self.test.is_some()),
            ("--out", self.out.is_some()),
            ("--log", self.log.is_some()),
            ("--tensorboard", self.tensorboard.is_some()),
            ("--step-losses", self.step_losses),
            ("--patience", self.patience.is_some()),
            ("--average", self.average.is_some()),
            ("--stream", self.stream),
        ];
        if let Some((flag, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
            return Err(Failure::Usage(format!(
                "{flag}: rates tests learning rates on a new model and writes none; leave it out"
            )));
        }
        self.check_network()?;
        let Some(plan) = self.plan()? else {
            return Err(Failure::Usage("--loss is needed; `gradus losses` lists them".into()));
        };
        let ready = self.ready(plan, self.held_out(None))?;
        let Ready { model, task, settings, parts } = &ready;
        if parts.large.is_some() {
            return Err(Failure::Failed(
                "the table is larger than memory: test the rates on a part of its rows".into(),
            ));
        }
        let rows = parts.train.groups.as_ref().filter(|_| task.ranks);
        let rows = rows.map_or(parts.rows(), Vec::len);
        let updates = self.updates(rows, settings);
        let chosen = settings.clone().of_updates(updates, false);
        let fit = self.asked(model, updates, &chosen)?;
        let mut fit = self.weights.add_to(fit, parts, model.loss())?;
        if let Some(validation) = &parts.validation {
            fit = fit.validation_data(&validation.features, task.truth(validation)?.targets());
        }
        Ok((ready, fit))
    }

    /// The input files.
    pub(crate) fn inputs(&self) -> Vec<(&'static str, PathBuf)> {
        let mut inputs = self.source.files();
        let test =
            self.test.as_deref().map(|path| self.source.files_beside(path)).unwrap_or_default();
        inputs.extend(test.into_iter().map(|path| ("--test", path)));
        inputs.extend(self.weights.file());
        inputs
    }

    /// Result of the command after a training run.
    fn ended(&self, trained: &Trained, interrupted: bool) -> Outcome {
        match &trained.history.stopped {
            Some(stop @ Stop::NotFinite { .. }) => {
                let best = trained.history.restored;
                let best = best.map_or(String::new(), |epoch| {
                    format!("; epoch {epoch} was the best: the model has its weights")
                });
                return Err(Failure::Failed(format!("{stop}{best}")));
            }
            Some(stop @ Stop::Asked { .. }) => {
                let kept = match &self.out {
                    Some(path) => format!("saved to {}: go on with --resume", path.display()),
                    None => "nothing is saved: --out was not given".into(),
                };
                return Err(Failure::Interrupted(format!("{stop}; {kept}")));
            }
            Some(stop) => output::note(&stop.to_string()),
            None => {
                if let Some(best) = restored_in_words(&trained.history) {
                    output::note(&best);
                }
            }
        }
        if interrupted { Err(Failure::Interrupted("the training was over".into())) } else { Ok(()) }
    }

    /// Settings to compile a new model with, before any data is read: wrong names and options are
    /// usage errors.
    fn plan(&self) -> Outcome<Option<Plan>> {
        // The number of updates is not known yet: take more than any warm-up has.
        self.named_schedule(1 << 40, &self.settings(false, None))?;
        if self.resume.is_some() {
            return Ok(None);
        }
        let options: Map<String, Value> = self.settings.iter().cloned().collect();
        let name = self.loss.as_deref().unwrap_or("cross_entropy");
        let loss = losses::from_name(name, &Value::Object(options))
            .map_err(|error| named(error, "--loss", "--set"))?;
        if let Some(why) = unfit(&*loss) {
            return Err(Failure::Usage(format!("--loss: {why}")));
        }
        let mut options: Map<String, Value> = self.optimizer_settings.iter().cloned().collect();
        if let Some(rate) = self.settings(loss.targets().pads(), None).learning_rate {
            options.insert("learning_rate".into(), json!(rate));
        }
        let optimizer = optimizers::from_name(&self.optimizer, &Value::Object(options))
            .map_err(|error| named(error, "--optimizer", "--optimizer-set"))?;
        activations::from_name(&self.activation, &Value::Null)
            .map_err(|error| Failure::usage(error).of("--activation"))?;
        Ok(Some(Plan { loss, optimizer }))
    }

    /// The rows, encoded as in the original run for a resumed model, or anew.
    fn parts(
        &self,
        kind: TargetKind,
        held_out: HeldOut,
        known: Option<&Model>,
    ) -> Outcome<Prepared> {
        self.source.prepare(&Asked {
            kind,
            known,
            held_out,
            test: self.test.as_deref(),
            standardize: !self.no_standardize,
            sample_weight: self.weights.sample_weight.as_deref(),
            stream: self.stream,
        })
    }

    fn new_model(
        &self,
        plan: Plan,
        layers: Sequential,
        parts: &Prepared,
        device: &Device,
    ) -> Outcome<Model> {
        let (train, network) = (&parts.train, self.network());
        let model = layers.on(device).map_err(|error| match network {
            Network::Dense => error.into(),
            _ => Failure::from(error).of(&format!("--model {}", network.name())),
        })?;
        let mut model = model.compile_boxed(plan.loss, plan.optimizer)?;
        let is_unscaled = !self.source.is_images() && !parts.encoding.takes_tables();
        if !self.no_standardize && is_unscaled && network.takes_images() {
            scale_pixels(&mut model, train)?;
        } else if !self.no_standardize && is_unscaled {
            let learned = Standardization::fit(&train.features)?;
            model.set_input_scaling(learned.mean, learned.scale)?;
        }
        if !self.source.is_images() {
            let (features, classes, target) = self.source.names(train);
            model.set_names(features, classes, target);
        }
        model.set_encoding(parts.encoding.clone());
        Ok(model)
    }

    /// The layers of a new model.
    fn layers(&self, train: &Dataset, task: &Task) -> Outcome<Sequential> {
        let settings = self.settings(task.ranks, None);
        let layers = match self.network() {
            Network::Dense => self.dense(&settings, train, task)?,
            network => self.of_images(network, train, task)?,
        };
        let layers = layers.seed(self.seed).l1(self.l1).l2(settings.l2);
        Ok(layers.proximal_l1(self.proximal_l1))
    }

    fn dense(&self, settings: &Settings, train: &Dataset, task: &Task) -> Outcome<Sequential> {
        let mut layers = Sequential::new(train.features.ncols());
        for &units in &settings.hidden {
            let activation = activations::from_name(&self.activation, &Value::Null)?;
            layers = layers.then(Dense::new(units).boxed_activation(activation));
        }
        let last = activations::from_name(task.activation, &Value::Null)?;
        Ok(layers.then(Dense::new(task.outputs).boxed_activation(last)))
    }

    /// Rejects another loss than that of a saved model.
    fn check_same_loss(&self, loss: &dyn LossDefinition) -> Outcome {
        let (name, path) = (loss.name(), self.resume.as_deref());
        match (self.loss.as_deref().filter(|asked| *asked != name), path) {
            (Some(asked), Some(path)) => Err(Failure::Usage(format!(
                "--loss is {asked} but {} goes on with {name}; leave --loss out",
                path.display()
            ))),
            _ => Ok(()),
        }
    }

    fn resumed(
        &self,
        held_out: HeldOut,
        device: &Device,
        earlier: Option<&Earlier>,
    ) -> Outcome<Ready> {
        let path = self.resume.as_deref().unwrap_or(Path::new(""));
        let model =
            Model::load(path, device).map_err(|error| Failure::from(error).of("--resume"))?;
        let Some(loss) = model.loss() else {
            return Err(Failure::Failed(format!(
                "{}: the model was saved without a loss",
                path.display()
            )));
        };
        language::refuse(&model, path, "--text FILE trains it further")
            .map_err(|failure| failure.of("--resume"))?;
        self.check_same_loss(loss)?;
        saved::check_resumed(Some(path), self.out.as_deref())?;
        let parts = self.parts(target_kind(loss), held_out, Some(&model))?;
        let task = Task::of(loss, &parts.train)?;
        self.weights.check(&parts, loss)?;
        if (parts.train.features.ncols(), task.outputs) != (model.inputs(), model.outputs()) {
            let found =
                format!("{} features and {} outputs", parts.train.features.ncols(), task.outputs);
            let wanted = format!("{} and {}", model.inputs(), model.outputs());
            return Err(Failure::Failed(format!(
                "the data has {found}; the model was trained on {wanted}"
            )));
        }
        let settings = self.settings(task.ranks, earlier);
        Ok(Ready { model, task, settings, parts })
    }
}

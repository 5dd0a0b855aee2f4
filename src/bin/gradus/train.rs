//! `gradus train`: trains a dense network on a data set.

mod report;
mod resume;
mod run;
mod settings;
mod surprises;
mod weights;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use gradus::data::{Standardization, TargetKind};
use gradus::losses::{self, LossDefinition};
use gradus::optimizers::{self, Optimizer};
use gradus::{Dense, Device, Error, HeldOut, Model, Sequential, Stop, activations};
use serde_json::{Map, Value, json};

use crate::interrupt::Interrupt;
use crate::numbers;
use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::samples::{Asked, Prepared, Source, Task, target_kind, unfit};
use crate::saved::{self, Kind};

use resume::Earlier;
use run::Trained;
use settings::Settings;
use weights::WeightOptions;

/// Trains a dense network on a data set
#[derive(Args)]
pub struct Train {
    #[command(flatten)]
    source: Source,
    /// The loss; `gradus losses` lists them
    #[arg(long, value_name = "NAME", required_unless_present = "resume")]
    loss: Option<String>,
    /// Units of the hidden layers, or `none` [default: 128,64; for a listwise loss 32]
    #[arg(long, value_name = "UNITS", value_parser = hidden, conflicts_with = "resume")]
    hidden: Option<Hidden>,
    /// The activation of the hidden layers
    #[arg(long, value_name = "NAME", default_value = "relu", conflicts_with = "resume")]
    activation: String,
    /// The optimizer
    #[arg(long, value_name = "NAME", default_value = "adam", conflicts_with = "resume")]
    optimizer: String,
    /// An option of the optimizer, e.g. weight_decay=0.1; may be repeated
    #[arg(long = "optimizer-set", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "resume")]
    optimizer_settings: Vec<(String, Value)>,
    /// The learning rate [default: the optimizer's own; 0.002 for adam with a listwise loss]
    #[arg(long, value_name = "RATE", value_parser = numbers::not_negative, allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Passes over the data, with --resume additional ones [default: 5; for a listwise loss 20;
    /// with --resume the remaining ones]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    epochs: Option<NonZeroUsize>,
    /// Rows per batch, queries for a listwise loss [default: 64; for a listwise loss 8]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    batch_size: Option<NonZeroUsize>,
    /// Adds L1 Σ|w|
    #[arg(long, value_name = "L1", default_value_t = 0.0, value_parser = numbers::not_negative, allow_negative_numbers = true, conflicts_with = "resume")]
    l1: f64,
    /// Adds L2 Σw² [default: 0; for a listwise loss 0.01]
    #[arg(long, value_name = "L2", value_parser = numbers::not_negative, allow_negative_numbers = true, conflicts_with = "resume")]
    l2: Option<f64>,
    /// A learning-rate schedule, e.g. cosine; `gradus losses` lists them. With --resume the saved
    /// one continues unless this is given
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// An option of the schedule, e.g. minimum=1e-5; may be repeated. Its steps default to those of
    /// the whole training run
    #[arg(long = "schedule-set", value_name = "NAME=VALUE", value_parser = setting, requires = "schedule")]
    schedule_settings: Vec<(String, Value)>,
    /// Counts the schedule's steps in epochs, not updates
    #[arg(long, requires = "schedule")]
    schedule_by_epoch: bool,
    /// Adds L1 Σ|w| as a proximal step, which leaves exact zeros
    #[arg(long, value_name = "L1", default_value_t = 0.0, value_parser = numbers::not_negative, allow_negative_numbers = true, conflicts_with = "resume")]
    proximal_l1: f64,
    /// Clips the gradient so that its norm over all parameters is at most this
    #[arg(long, value_name = "NORM", value_parser = numbers::positive, allow_negative_numbers = true)]
    clip_norm: Option<f64>,
    /// Clips the gradient of each tensor so that its norm is at most this
    #[arg(long, value_name = "NORM", value_parser = numbers::positive, allow_negative_numbers = true, conflicts_with = "clip_norm")]
    clip_tensor_norm: Option<f64>,
    /// Clips each element of the gradient to [−VALUE, VALUE]
    #[arg(long, value_name = "VALUE", value_parser = numbers::positive, allow_negative_numbers = true, conflicts_with_all = ["clip_norm", "clip_tensor_norm"])]
    clip_value: Option<f64>,
    /// Skips updates whose gradient is not finite, and counts them
    #[arg(long)]
    skip_non_finite: bool,
    /// Keeps a running average of the weights with this decay, used by the test and by `predict`
    #[arg(long, value_name = "DECAY", value_parser = numbers::share, allow_negative_numbers = true)]
    average: Option<f64>,
    /// Seed of the initial weights and of the order of the rows
    #[arg(long, value_name = "SEED", default_value_t = 7, value_parser = numbers::seed, allow_negative_numbers = true, conflicts_with = "resume")]
    seed: u64,
    /// Fraction of the rows to validate on, of the queries if the rows are grouped [default: 0.1;
    /// with --resume the same rows as before]
    #[arg(long, value_name = "SHARE", value_parser = numbers::share, allow_negative_numbers = true)]
    validation: Option<f64>,
    /// Test rows for the end of the training run, in the format of --data
    #[arg(long, value_name = "PATH")]
    test: Option<PathBuf>,
    /// Stops after this many epochs in a row without a lower validation loss (training loss without
    /// validation rows)
    #[arg(long, value_name = "N", value_parser = numbers::times, allow_negative_numbers = true)]
    patience: Option<usize>,
    #[command(flatten)]
    weights: WeightOptions,
    /// An option of the loss, e.g. delta=0.5; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "resume")]
    settings: Vec<(String, Value)>,
    /// Reads a table in chunks, anew in each epoch; automatic if its numbers would not fit into
    /// memory (on Linux)
    #[arg(long)]
    stream: bool,
    /// Leaves the features of a table unscaled
    #[arg(long)]
    no_standardize: bool,
    /// Resumes a saved model with its loss, optimizer and training options; an interrupted run
    /// continues to its last epoch. Requires --out
    #[arg(long, value_name = "MODEL")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceChoice,
    /// File in which the model is saved after each epoch
    #[arg(long, value_name = "MODEL")]
    out: Option<PathBuf>,
    /// File for one JSON document per line, one line per epoch; with --resume lines are appended
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Adds the loss of each batch to the JSON document
    #[arg(long, requires = "json")]
    step_losses: bool,
}

/// Units of the hidden layers.
#[derive(Clone, Debug)]
struct Hidden(Vec<usize>);

fn hidden(text: &str) -> Result<Hidden, String> {
    if text.is_empty() || text == "none" {
        return Ok(Hidden(Vec::new()));
    }
    let units = text.split(',').map(|part| part.trim().parse().ok().filter(|units| *units > 0));
    let units: Option<Vec<usize>> = units.collect();
    units.map(Hidden).ok_or_else(|| "it must be numbers of units such as 128,64, or none".into())
}

/// Parses NAME=VALUE; the value is JSON, else a string.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE, such as delta=0.5")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.into(), value))
}

/// An error in a name, or in an option set for it.
fn named(error: Error, name: &str, options: &str) -> Failure {
    let is_name = matches!(&error, Error::Unknown { kind, .. } if !kind.starts_with("option of "));
    Failure::usage(error).of(if is_name { name } else { options })
}

impl Train {
    pub fn run(&self) -> Outcome {
        let plan = self.plan()?;
        if let Some(path) = &self.out {
            saved::check_out("--out", path, &self.inputs())?;
        }
        if let Some(path) = &self.log {
            saved::check_log(path, &self.inputs(), [self.resume.as_deref(), self.out.as_deref()])?;
        }
        if let Some(path) = &self.resume {
            saved::check_kind("--resume", path, Kind::Network)?;
        }
        let earlier = self.resume.as_deref().map(Earlier::of);
        let held_out = self.held_out(earlier.as_ref());
        let (mut model, task, settings, mut parts) = match plan {
            Some(plan) => {
                let parts = self.parts(target_kind(&*plan.loss), held_out, None)?;
                let task = Task::of(&*plan.loss, &parts.train)?;
                self.refuse_quantities(&parts, &task)?;
                self.weights.check(&parts, &*plan.loss)?;
                let device = self.device.open_and_report()?;
                let settings = self.settings(task.ranks, None).with(&plan);
                (self.new_model(plan, &task, &parts, &device)?, task, settings, parts)
            }
            None => self.resumed(held_out, &self.device.open_and_report()?, earlier.as_ref())?,
        };
        model.set_held_out(held_out);
        if let Some(done) =
            earlier.as_ref().filter(|_| self.epochs.is_none()).and_then(Earlier::in_words)
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
            let summary = output::folded(&model.summary());
            output::print_beside(self.out.as_deref(), &format!("{summary}\n{chosen}"))?;
        }
        let mut trained = self.fit(model, &task, &mut parts, settings, &interrupt)?;
        let report = if self.json {
            output::document(&self.as_json(&trained, &task))
        } else {
            report::as_text(&trained, self.weights.is_weighed(&trained.model))
        };
        output::print_beside(self.out.as_deref(), &report)?;
        let Trained { logged, .. } = &mut trained;
        let logged = std::mem::replace(logged, Ok(()));
        self.ended(&trained, interrupt.is_asked()).and(logged)
    }

    /// The input files.
    fn inputs(&self) -> Vec<(&'static str, PathBuf)> {
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
            Some(stop @ Stop::NotFinite { .. }) => return Err(Failure::Failed(stop.to_string())),
            Some(stop @ Stop::Asked { .. }) => {
                let kept = match &self.out {
                    Some(path) => format!("saved to {}: go on with --resume", path.display()),
                    None => "nothing is saved: --out was not given".into(),
                };
                return Err(Failure::Interrupted(format!("{stop}; {kept}")));
            }
            Some(stop) => output::note(&stop.to_string()),
            None => {}
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
        let name = self.loss.as_deref().unwrap_or_default();
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
        task: &Task,
        parts: &Prepared,
        device: &Device,
    ) -> Outcome<Model> {
        let train = &parts.train;
        let settings = self.settings(task.ranks, None);
        let mut layers =
            Sequential::new(train.features.ncols()).seed(self.seed).l1(self.l1).l2(settings.l2);
        layers = layers.proximal_l1(self.proximal_l1);
        for units in settings.hidden {
            let activation = activations::from_name(&self.activation, &Value::Null)?;
            layers = layers.then(Dense::new(units).boxed_activation(activation));
        }
        let last = activations::from_name(task.activation, &Value::Null)?;
        layers = layers.then(Dense::new(task.outputs).boxed_activation(last));
        let mut model = layers.on(device)?.compile_boxed(plan.loss, plan.optimizer)?;
        if !self.no_standardize && !self.source.is_images() && !parts.encoding.takes_tables() {
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

    fn resumed(
        &self,
        held_out: HeldOut,
        device: &Device,
        earlier: Option<&Earlier>,
    ) -> Outcome<(Model, Task, Settings, Prepared)> {
        let path = self.resume.as_deref().unwrap_or(Path::new(""));
        let model =
            Model::load(path, device).map_err(|error| Failure::from(error).of("--resume"))?;
        let Some(loss) = model.loss() else {
            return Err(Failure::Failed(format!(
                "{}: the model was saved without a loss",
                path.display()
            )));
        };
        let name = loss.name();
        if let Some(asked) = self.loss.as_deref().filter(|asked| *asked != name) {
            let message = format!(
                "--loss is {asked} but {} goes on with {name}; leave --loss out",
                path.display()
            );
            return Err(Failure::Usage(message));
        }
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
        Ok((model, task, settings, parts))
    }
}

/// Settings to compile a new model with.
struct Plan {
    loss: Box<dyn LossDefinition>,
    optimizer: Box<dyn Optimizer>,
}

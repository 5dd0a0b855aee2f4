//! `gradus train`: a dense network on a data set, from the command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use gradus::data::{Dataset, Standardization};
use gradus::losses::{self, Loss};
use gradus::optimizers::{self, Optimizer};
use gradus::schedules::{self, Schedule};
use gradus::{Average, Dense, Device, EarlyStopping, Fit, History, Model, Score, Sequential, Stop, activations, cases};
use serde_json::{Map, Value, json};

use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::ranking::Ranking;
use crate::samples::{Source, Task};

/// Trains a dense network on a data set
#[derive(Args)]
pub struct Train {
    #[command(flatten)]
    source: Source,
    /// The loss; `gradus losses` lists them
    #[arg(long, value_name = "NAME", required_unless_present = "resume")]
    loss: Option<String>,
    /// Units of the hidden layers, or `none` [default: 128,64; for a loss of lists 32]
    #[arg(long, value_name = "UNITS", value_parser = hidden, conflicts_with = "resume")]
    hidden: Option<Hidden>,
    /// The activation of the hidden layers
    #[arg(long, value_name = "NAME", default_value = "relu", conflicts_with = "resume")]
    activation: String,
    /// The optimizer
    #[arg(long, value_name = "NAME", default_value = "adam", conflicts_with = "resume")]
    optimizer: String,
    /// An option of the optimizer, such as weight_decay=0.1; may be repeated
    #[arg(long = "optimizer-set", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "resume")]
    optimizer_settings: Vec<(String, Value)>,
    /// The learning rate; without it the optimizer's own, and 0.002 for adam and a loss of lists
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    learning_rate: Option<f64>,
    /// Passes over the data [default: 5; for a loss of lists 20]
    #[arg(long, value_name = "N")]
    epochs: Option<NonZeroUsize>,
    /// Rows of a batch, queries for a loss of lists [default: 64; for a loss of lists 8]
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Adds L1 Σ|w|
    #[arg(long, value_name = "L1", default_value_t = 0.0, allow_negative_numbers = true, conflicts_with = "resume")]
    l1: f64,
    /// Adds L2 Σw² [default: 0; for a loss of lists 0.01]
    #[arg(long, value_name = "L2", allow_negative_numbers = true, conflicts_with = "resume")]
    l2: Option<f64>,
    /// A schedule of the learning rate, such as cosine; a wrong name lists them. With --resume the saved one goes on without it
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// An option of the schedule, such as minimum=1e-5; may be repeated. Its steps are those of the whole training if nobody sets them
    #[arg(long = "schedule-set", value_name = "NAME=VALUE", value_parser = setting, requires = "schedule")]
    schedule_settings: Vec<(String, Value)>,
    /// Whether the schedule counts epochs, not updates
    #[arg(long, requires = "schedule")]
    schedule_by_epoch: bool,
    /// Adds L1 Σ|w| as a proximal step, which leaves exact zeros
    #[arg(long, value_name = "L1", default_value_t = 0.0, allow_negative_numbers = true, conflicts_with = "resume")]
    proximal_l1: f64,
    /// Clips the gradient so that its norm over all parameters is at most this
    #[arg(long, value_name = "NORM", allow_negative_numbers = true)]
    clip_norm: Option<f64>,
    /// Clips the gradient of each tensor so that its norm is at most this
    #[arg(long, value_name = "NORM", allow_negative_numbers = true, conflicts_with = "clip_norm")]
    clip_tensor_norm: Option<f64>,
    /// Clips each element of the gradient to at most this, of either sign
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, conflicts_with_all = ["clip_norm", "clip_tensor_norm"])]
    clip_value: Option<f64>,
    /// Leaves out updates whose gradient is not finite, and counts them
    #[arg(long)]
    skip_non_finite: bool,
    /// Keeps a running average of the weights with this decay: it is tested with it, and `predict` predicts with it
    #[arg(long, value_name = "DECAY", allow_negative_numbers = true)]
    average: Option<f64>,
    /// What the first weights and the order of the rows follow from
    #[arg(long, value_name = "SEED", default_value_t = 7, conflicts_with = "resume")]
    seed: u64,
    /// Share of the rows to validate on, of the queries where the rows belong to some
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, allow_negative_numbers = true)]
    validation: f64,
    /// Rows to test on when the training is over, in the form of --data
    #[arg(long, value_name = "PATH")]
    test: Option<PathBuf>,
    /// Stops after so many epochs in a row without a better validation loss (training loss where nothing is validated)
    #[arg(long, value_name = "N")]
    patience: Option<usize>,
    /// An option of the loss, such as delta=0.5; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "resume")]
    settings: Vec<(String, Value)>,
    /// Leaves the features of a table as they are
    #[arg(long)]
    no_standardize: bool,
    /// Goes on with a saved model, its loss and its optimizer
    #[arg(long, value_name = "MODEL")]
    resume: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Where to save the model, after each epoch
    #[arg(long, value_name = "MODEL")]
    out: Option<PathBuf>,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Adds the loss of each batch to the JSON document
    #[arg(long, requires = "json")]
    step_losses: bool,
}

/// Adam's learning rate for a loss of lists.
const RANKING_RATE: f64 = 2e-3;

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

/// NAME=VALUE; the value is JSON, else a word.
fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE, such as delta=0.5")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.into(), value))
}

/// The rows to train on, to validate on and to test on.
struct Parts {
    train: Dataset,
    validation: Option<Dataset>,
    test: Option<Dataset>,
}

/// What a training gave.
struct Trained {
    model: Model,
    history: History,
    chosen: Settings,
    /// On rows of queries.
    validation: Option<(Score, Ranking)>,
    test: Option<(Score, Option<Ranking>)>,
    seconds: f64,
}

/// What a training goes by, chosen where nobody said it.
#[derive(Clone, Debug)]
struct Settings {
    hidden: Vec<usize>,
    /// The optimizer's own if none.
    learning_rate: Option<f64>,
    epochs: usize,
    /// Of rows, or of queries.
    batch_size: usize,
    l2: f64,
}

impl Train {
    pub fn run(&self) -> Outcome {
        let plan = self.plan()?;
        let parts = self.parts()?;
        let task = match &plan {
            Some(plan) => Some(Task::of(&*plan.loss, &parts.train)?),
            None => None,
        };
        let device = self.device.open_and_tell()?;
        let (model, task) = match (plan, task) {
            (Some(plan), Some(task)) => (self.new_model(plan, &task, &parts.train, &device)?, task),
            _ => self.resumed(&parts.train, &device)?,
        };
        let settings = self.settings(task.ranks);
        if !self.json {
            output::print(&format!("{}\n{}\n", model.summary(), self.in_words(&parts, &settings, task.ranks)))?;
        }
        let trained = self.fit(model, &task, &parts, settings)?;
        if let Some(path) = &self.out {
            trained.model.save(path)?;
        }
        if self.json {
            output::print_json(&self.as_json(&trained))?;
        } else {
            output::print(&as_text(&trained))?;
        }
        match &trained.history.stopped {
            Some(stop @ Stop::NotFinite { .. }) => Err(Failure::Failed(stop.to_string())),
            Some(stop) => {
                output::note(&stop.to_string());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What a new model is compiled with, before any data is read: names and options that are wrong are bad usage.
    fn plan(&self) -> Outcome<Option<Plan>> {
        self.check_limits()?;
        // How many updates there will be is not known yet: more than any warm-up has.
        self.named_schedule(1 << 40, &self.settings(false))?;
        if self.resume.is_some() {
            return Ok(None);
        }
        for (name, penalty) in
            [("--l1", self.l1), ("--l2", self.l2.unwrap_or(0.0)), ("--proximal-l1", self.proximal_l1)]
        {
            if !(penalty.is_finite() && penalty >= 0.0) {
                return Err(Failure::Usage(format!("{name} is {penalty}; it must be finite and >= 0")));
            }
        }
        let options: Map<String, Value> = self.settings.iter().cloned().collect();
        let loss = losses::from_name(self.loss.as_deref().unwrap_or_default(), &Value::Object(options))
            .map_err(Failure::usage)?;
        let mut options: Map<String, Value> = self.optimizer_settings.iter().cloned().collect();
        if let Some(rate) = self.settings(loss.targets().pads()).learning_rate {
            options.insert("learning_rate".into(), json!(rate));
        }
        let optimizer = optimizers::from_name(&self.optimizer, &Value::Object(options)).map_err(Failure::usage)?;
        activations::from_name(&self.activation, &Value::Null).map_err(Failure::usage)?;
        Ok(Some(Plan { loss, optimizer }))
    }

    /// What was asked for, and what is taken where nothing was. For a loss of lists by NDCG@5 of three of them
    /// (`lambda_rank`, `list_net`, `pairwise_logistic`) on a fifth of the training queries of LightGBM's ranking example, mean of 12 seeds.
    fn settings(&self, ranks: bool) -> Settings {
        let or = |given: Option<NonZeroUsize>, own: usize| given.map_or(own, NonZeroUsize::get);
        let is_set = self.optimizer_settings.iter().any(|(name, _)| name == "learning_rate");
        let own_rate = (ranks && self.optimizer == "adam" && !is_set && self.resume.is_none()).then_some(RANKING_RATE);
        Settings {
            hidden: self.hidden.clone().map_or(if ranks { vec![32] } else { vec![128, 64] }, |Hidden(units)| units),
            learning_rate: self.learning_rate.or(own_rate),
            epochs: or(self.epochs, if ranks { 20 } else { 5 }),
            batch_size: or(self.batch_size, if ranks { 8 } else { 64 }),
            l2: self.l2.unwrap_or(if ranks { 0.01 } else { 0.0 }),
        }
    }

    /// The rows of queries and what was chosen for them; nothing where rows stand for themselves.
    fn in_words(&self, parts: &Parts, settings: &Settings, ranks: bool) -> String {
        let Some(groups) = &parts.train.groups else { return String::new() };
        let queries = |rows: &Dataset| rows.groups.as_ref().map_or(0, Vec::len);
        let mut text = format!("{} queries to train on ({} rows)", groups.len(), parts.train.rows());
        if let Some(validation) = &parts.validation {
            text += &format!(", {} to validate on", queries(validation));
        }
        if let Some(test) = &parts.test {
            text += &format!(", {} to test on", queries(test));
        }
        if ranks && self.resume.is_none() {
            let hidden: Vec<String> = settings.hidden.iter().map(ToString::to_string).collect();
            let hidden = if hidden.is_empty() { "none".into() } else { hidden.join(",") };
            let rate = settings.learning_rate.map_or("the optimizer's own".into(), |rate| rate.to_string());
            let scaled = if self.no_standardize { "as they are" } else { "standardized" };
            text += &format!(
                "\nhidden {hidden}, l2 {}, {} at learning rate {rate}, {} epochs of batches of {} queries, features {scaled}",
                settings.l2, self.optimizer, settings.epochs, settings.batch_size
            );
        }
        text + "\n"
    }

    fn check_limits(&self) -> Outcome<()> {
        let limits = [
            ("--clip-norm", self.clip_norm),
            ("--clip-tensor-norm", self.clip_tensor_norm),
            ("--clip-value", self.clip_value),
        ];
        for (name, limit) in limits {
            if let Some(limit) = limit.filter(|limit| !(limit.is_finite() && *limit > 0.0)) {
                return Err(Failure::Usage(format!("{name} is {limit}; it must be finite and > 0")));
            }
        }
        match self.average.filter(|decay| !(0.0..1.0).contains(decay)) {
            Some(decay) => Err(Failure::Usage(format!("--average is {decay}; it must be in [0, 1)"))),
            None => Ok(()),
        }
    }

    /// The schedule that was asked for. It begins with --learning-rate or the optimizer's own, and takes the whole training, of so many
    /// updates an epoch, where it has such options and nobody sets them.
    fn named_schedule(&self, updates: usize, settings: &Settings) -> Outcome<Option<Box<dyn Schedule>>> {
        let Some(name) = &self.schedule else { return Ok(None) };
        let mut options: Map<String, Value> = self.schedule_settings.iter().cloned().collect();
        let entry = schedules::entry(name).map_err(Failure::usage)?;
        if entry.options.iter().any(|option| option.name == "learning_rate") && !options.contains_key("learning_rate") {
            let own = || Some(optimizers::from_name(&self.optimizer, &Value::Null).ok()?.initial_learning_rate());
            let set = self.optimizer_settings.iter().find(|(name, _)| name == "learning_rate");
            let rate = settings.learning_rate.or(set.and_then(|(_, rate)| rate.as_f64())).or_else(own);
            options.extend(rate.map(|rate| ("learning_rate".to_string(), json!(rate))));
        }
        let spans = ["cosine", "linear", "one_cycle", "polynomial", "warmup_cosine"].contains(&entry.name);
        if spans && !options.contains_key("steps") {
            let each = if self.schedule_by_epoch { 1 } else { updates };
            options.insert("steps".into(), json!(settings.epochs.saturating_mul(each).max(2)));
        }
        schedules::from_name(name, &Value::Object(options)).map(Some).map_err(Failure::usage)
    }

    fn parts(&self) -> Outcome<Parts> {
        if !(0.0..1.0).contains(&self.validation) {
            return Err(Failure::Usage(format!("--validation is {}; it must be in [0, 1)", self.validation)));
        }
        let split = self.source.read()?;
        let test = match (&self.test, split.test) {
            (Some(path), _) => Some(self.source.read_beside(path, &split.train)?),
            (None, own) => own,
        };
        for dataset in [Some(&split.train), test.as_ref()].into_iter().flatten() {
            dataset.check_finite()?;
        }
        // A table may be sorted by its target: its last rows would be no sample of it.
        let rows = if self.source.is_images() { split.train } else { split.train.shuffled(self.seed)? };
        let (train, validation) = if self.validation > 0.0 {
            let (train, validation) = rows.split(self.validation)?;
            (train, Some(validation))
        } else {
            (rows, None)
        };
        Ok(Parts { train, validation, test })
    }

    fn new_model(&self, plan: Plan, task: &Task, train: &Dataset, device: &Device) -> Outcome<Model> {
        let settings = self.settings(task.ranks);
        let mut layers = Sequential::new(train.features.ncols()).seed(self.seed).l1(self.l1).l2(settings.l2);
        layers = layers.proximal_l1(self.proximal_l1);
        for units in settings.hidden {
            let activation = activations::from_name(&self.activation, &Value::Null)?;
            layers = layers.then(Dense::new(units).boxed_activation(activation));
        }
        let last = activations::from_name(task.activation, &Value::Null)?;
        layers = layers.then(Dense::new(task.outputs).boxed_activation(last));
        let mut model = layers.on(device)?.compile_boxed(plan.loss, plan.optimizer)?;
        if !self.no_standardize && !self.source.is_images() {
            let learned = Standardization::fit(&train.features)?;
            model.set_input_scaling(learned.mean, learned.scale)?;
        }
        if !self.source.is_images() {
            let (features, classes, target) = self.source.names(train);
            model.set_names(features, classes, target);
        }
        Ok(model)
    }

    fn resumed(&self, train: &Dataset, device: &Device) -> Outcome<(Model, Task)> {
        let path = self.resume.as_deref().unwrap_or(std::path::Path::new(""));
        let model = Model::load(path, device)?;
        let Some(loss) = model.loss() else {
            return Err(Failure::Failed(format!("{}: the model was saved without a loss", path.display())));
        };
        let name = loss.name();
        if let Some(asked) = self.loss.as_deref().filter(|asked| *asked != name) {
            let message = format!("--loss is {asked} but {} goes on with {name}; leave --loss out", path.display());
            return Err(Failure::Usage(message));
        }
        let names = self.source.names(train);
        let known = model.names();
        if !known.features.is_empty() && (known.features != names.0 || known.classes != names.1) {
            let found = format!("{} and classes {}", names.0.join(", "), names.1.join(", "));
            let wanted = format!("{} and classes {}", known.features.join(", "), known.classes.join(", "));
            return Err(Failure::Failed(format!("the data has columns {found}; the model was trained on {wanted}")));
        }
        let task = Task::of(loss, train)?;
        Ok((model, task))
    }

    fn fit(&self, mut model: Model, task: &Task, parts: &Parts, chosen: Settings) -> Outcome<Trained> {
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
        let history = model.fit(&parts.train.features, task.truth(&parts.train)?.targets(), fit)?;
        let seconds = start.elapsed().as_secs_f64();
        let mut averaged = if model.keeps_average() { Some(model.averaged()?) } else { None };
        let judged = averaged.as_mut().unwrap_or(&mut model);
        let mut score = |rows: &Dataset| -> Outcome<(Score, Option<Ranking>)> {
            let score = judged.evaluate(&rows.features, task.truth(rows)?.targets())?;
            Ok((score, Ranking::of(judged, rows)?))
        };
        let test = parts.test.as_ref().map(&mut score).transpose()?;
        let of_queries = parts.validation.as_ref().filter(|rows| rows.groups.is_some());
        let validation = of_queries.map(&mut score).transpose()?;
        let validation = validation.and_then(|(score, ranking)| Some((score, ranking?)));
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

    fn as_json(&self, trained: &Trained) -> Value {
        let number = cases::number_to_json;
        let history: Map<String, Value> = trained
            .history
            .columns()
            .into_iter()
            .map(|(name, values)| (name.to_string(), values.into_iter().map(number).collect()))
            .collect();
        let epochs = trained.history.epochs.len().max(1) as f64;
        let mut document = json!({
            "device": trained.model.device().name(),
            "adapter": trained.model.device().describe(),
            "parameters": trained.model.parameters(),
            "history": history,
            "test": trained.test.as_ref().map(|(score, ranking)| score_as_json(score, ranking.as_ref())),
            "seconds": trained.seconds,
            "seconds_per_epoch": trained.seconds / epochs,
            "steps": trained.history.steps.len(),
            "stopped": trained.history.stopped.as_ref().map(ToString::to_string),
        });
        if let Some((score, ranking)) = &trained.validation {
            document["validation"] = score_as_json(score, Some(ranking));
        }
        if self.resume.is_none() {
            let Settings { hidden, learning_rate, epochs, batch_size, l2 } = &trained.chosen;
            document["settings"] = json!({
                "hidden": hidden,
                "learning_rate": learning_rate,
                "epochs": epochs,
                "batch_size": batch_size,
                "l2": l2,
                "standardized": trained.model.scales_inputs(),
            });
        }
        if self.skip_non_finite {
            document["skipped"] = trained.history.epochs.iter().map(|epoch| epoch.skipped).sum::<usize>().into();
        }
        if self.step_losses {
            document["step_losses"] = trained.history.steps.iter().map(|&loss| number(loss)).collect();
        }
        document
    }
}

/// What a new model is compiled with.
struct Plan {
    loss: Box<dyn Loss>,
    optimizer: Box<dyn Optimizer>,
}

fn as_text(trained: &Trained) -> String {
    let mut text = format!("{}\n\n", epochs(&trained.history));
    let each = trained.seconds / trained.history.epochs.len().max(1) as f64;
    text += &format!("{} steps in {:.1} s, {each:.2} s an epoch\n", trained.history.steps.len(), trained.seconds);
    if let Some((score, ranking)) = &trained.validation {
        text += &format!("validation: loss {:.5}, {}\n", score.loss, ranking.in_words());
    }
    if let Some((score, ranking)) = &trained.test {
        let ranking = ranking.as_ref().map_or(String::new(), |ranking| format!(", {}", ranking.in_words()));
        text += &format!("test: {}{ranking}\n", describe(score));
    }
    text
}

fn score_as_json(score: &Score, ranking: Option<&Ranking>) -> Value {
    let mut object = Map::new();
    object.insert("loss".into(), cases::number_to_json(score.loss));
    object.insert("accuracy".into(), json!(score.accuracy));
    if let Some(ranking) = ranking {
        ranking.add_to(&mut object);
    }
    Value::Object(object)
}

/// Loss and accuracy in words.
pub fn describe(score: &Score) -> String {
    let accuracy = score.accuracy.map(|accuracy| format!(", accuracy {:.2} %", 100.0 * accuracy));
    format!("loss {:.5}{}", score.loss, accuracy.unwrap_or_default())
}

/// The epochs as a table.
fn epochs(history: &History) -> comfy_table::Table {
    let columns = history.columns();
    let headings: Vec<&str> = ["epoch"].into_iter().chain(columns.iter().map(|(name, _)| *name)).collect();
    let mut table = output::table(&headings);
    for epoch in 0..history.epochs.len() {
        let numbers = columns.iter().map(|(_, values)| values.get(epoch).map_or(String::new(), |x| format!("{x:.5}")));
        table.add_row([(epoch + 1).to_string()].into_iter().chain(numbers));
    }
    table
}

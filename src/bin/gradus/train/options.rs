//! Options of the training.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use clap::{Args, ValueEnum};
use gradus::Error;
use gradus::losses::LossDefinition;
use gradus::optimizers::Optimizer;
use serde_json::{Map, Value};

use crate::numbers;
use crate::output::{DeviceChoice, Failure};
use crate::ranks::Ranks;
use crate::samples::source::Source;
use crate::train::network::NetworkOptions;
use crate::train::weights::WeightOptions;

/// Trains a network on a data set: dense, or of images, or of text
#[derive(Args)]
pub struct Train {
    #[command(flatten)]
    pub(super) source: Source,
    #[command(flatten)]
    pub(super) network: NetworkOptions,
    /// The loss; `gradus losses` lists them [default with --model lenet5 … gpt: cross_entropy]
    #[arg(long, value_name = "NAME", required_unless_present_any = ["resume", "model", "text"])]
    pub(super) loss: Option<String>,
    /// Units of the hidden layers, or `none` [default: 128,64; for a listwise loss 32]
    #[arg(long, value_name = "UNITS", value_parser = hidden, conflicts_with = "resume")]
    pub(super) hidden: Option<Hidden>,
    /// The activation of the hidden layers
    #[arg(long, value_name = "NAME", default_value = "relu", conflicts_with = "resume")]
    pub(super) activation: String,
    /// The optimizer
    #[arg(long, value_name = "NAME", default_value = "adam", conflicts_with = "resume")]
    pub(super) optimizer: String,
    /// An option of the optimizer, e.g. weight_decay=0.1; may be repeated
    #[arg(long = "optimizer-set", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "resume")]
    pub(super) optimizer_settings: Vec<(String, Value)>,
    /// The learning rate [default: the optimizer's own; 0.002 for adam with a listwise loss]
    #[arg(long, value_name = "RATE", value_parser = numbers::not_negative, allow_negative_numbers = true)]
    pub(super) learning_rate: Option<f64>,
    /// Passes over the data, with --resume additional ones, behind the rest of an interrupted one
    /// [default: 5; for a listwise loss 20; with --resume the remaining ones]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    pub(super) epochs: Option<NonZeroUsize>,
    /// Updates in place of epochs: the training ends with the last of them, also in the midst of an
    /// epoch; with --resume additional ones
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true, conflicts_with_all = ["epochs", "stream"])]
    pub(super) steps: Option<NonZeroUsize>,
    /// Rows per batch, queries for a listwise loss [default: 64; for a listwise loss 8]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    pub(super) batch_size: Option<NonZeroUsize>,
    /// Batches per update, in each process: an update is of their mean, with the memory of one
    /// [default: 1; with --resume as before]; 1 with --stream
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    pub(super) accumulate: Option<NonZeroUsize>,
    /// Adds L1 Σ|w|
    #[arg(long, value_name = "L1", default_value_t = 0.0, value_parser = numbers::not_negative, allow_negative_numbers = true, conflicts_with = "resume")]
    pub(super) l1: f64,
    /// Adds L2 Σw² [default: 0; for a listwise loss 0.01]
    #[arg(long, value_name = "L2", value_parser = numbers::not_negative, allow_negative_numbers = true, conflicts_with = "resume")]
    pub(super) l2: Option<f64>,
    /// A learning-rate schedule, e.g. cosine; `gradus losses` lists them. With --resume the saved
    /// one continues unless this is given
    #[arg(long, value_name = "NAME")]
    pub(super) schedule: Option<String>,
    /// An option of the schedule, e.g. minimum=1e-5; may be repeated. Its steps default to those of
    /// the whole training run
    #[arg(long = "schedule-set", value_name = "NAME=VALUE", value_parser = setting, requires = "schedule")]
    pub(super) schedule_settings: Vec<(String, Value)>,
    /// Counts the schedule's steps in epochs, not updates
    #[arg(long, requires = "schedule")]
    pub(super) schedule_by_epoch: bool,
    /// Adds L1 Σ|w| as a proximal step, which leaves exact zeros
    #[arg(long, value_name = "L1", default_value_t = 0.0, value_parser = numbers::not_negative, allow_negative_numbers = true, conflicts_with = "resume")]
    pub(super) proximal_l1: f64,
    /// Clips the gradient so that its norm over all parameters is at most this
    #[arg(long, value_name = "NORM", value_parser = numbers::positive, allow_negative_numbers = true)]
    pub(super) clip_norm: Option<f64>,
    /// Clips the gradient of each tensor so that its norm is at most this
    #[arg(long, value_name = "NORM", value_parser = numbers::positive, allow_negative_numbers = true, conflicts_with = "clip_norm")]
    pub(super) clip_tensor_norm: Option<f64>,
    /// Clips each element of the gradient to [−VALUE, VALUE]
    #[arg(long, value_name = "VALUE", value_parser = numbers::positive, allow_negative_numbers = true, conflicts_with_all = ["clip_norm", "clip_tensor_norm"])]
    pub(super) clip_value: Option<f64>,
    /// Skips updates whose gradient is not finite, and counts them
    #[arg(long)]
    pub(super) skip_non_finite: bool,
    /// Rounds the operands of products to f16 while training, with dynamic loss scaling; on matrix
    /// units where the device has them
    #[arg(long, value_name = "on|off", num_args = 0..=1, require_equals = true, default_missing_value = "on")]
    pub(super) mixed_precision: Option<Switch>,
    /// Keeps a running average of the weights with this decay, used by the test and by `predict`
    #[arg(long, value_name = "DECAY", value_parser = numbers::share, allow_negative_numbers = true)]
    pub(super) average: Option<f64>,
    /// Seed of the initial weights and of the order of the rows
    #[arg(long, value_name = "SEED", default_value_t = 7, value_parser = numbers::seed, allow_negative_numbers = true, conflicts_with = "resume")]
    pub(super) seed: u64,
    /// Fraction of the rows to validate on, of the queries if the rows are grouped [default: 0.1;
    /// with --resume the same rows as before]
    #[arg(long, value_name = "SHARE", value_parser = numbers::share, allow_negative_numbers = true)]
    pub(super) validation: Option<f64>,
    /// Test rows for the end of the training run, in the format of --data
    #[arg(long, value_name = "PATH", conflicts_with = "text")]
    pub(super) test: Option<PathBuf>,
    /// Stops after this many epochs in a row (1 for 0) without a lower validation loss (training loss
    /// without validation rows)
    #[arg(long, value_name = "N", value_parser = numbers::times, allow_negative_numbers = true)]
    pub(super) patience: Option<usize>,
    #[command(flatten)]
    pub(super) weights: WeightOptions,
    /// An option of the loss, e.g. delta=0.5; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "resume")]
    pub(super) settings: Vec<(String, Value)>,
    /// Reads a table in chunks, anew in each epoch; automatic if its numbers would not fit into
    /// memory (on Linux)
    #[arg(long, conflicts_with = "text")]
    pub(super) stream: bool,
    /// Leaves the features of a table unscaled
    #[arg(long, conflicts_with = "resume")]
    pub(super) no_standardize: bool,
    /// Resumes a saved model with its loss, optimizer and training options; an interrupted run
    /// continues to its last epoch. Requires --out
    #[arg(long, value_name = "MODEL")]
    pub(super) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(super) device: DeviceChoice,
    /// File in which the model is saved after each epoch
    #[arg(long, value_name = "MODEL")]
    pub(super) out: Option<PathBuf>,
    /// File for one JSON document per line, one line per epoch; with --resume lines are appended
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    /// Folder for an event file of TensorBoard, which gets the loss of each batch and the metrics of
    /// each epoch while the training runs
    #[arg(long, value_name = "FOLDER")]
    pub(super) tensorboard: Option<PathBuf>,
    /// Writes an HTML page with pictures
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Prints one JSON document on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Adds the loss of each batch to the JSON document
    #[arg(long, requires = "json")]
    pub(super) step_losses: bool,
    /// The processes that train together.
    #[arg(skip)]
    pub(super) ranks: Option<Rc<Ranks>>,
}

/// Units of the hidden layers.
#[derive(Clone, Debug)]
pub(super) struct Hidden(pub(super) Vec<usize>);

pub(super) fn hidden(text: &str) -> Result<Hidden, String> {
    if text.is_empty() || text == "none" {
        return Ok(Hidden(Vec::new()));
    }
    let units = text.split(',').map(|part| part.trim().parse().ok().filter(|units| *units > 0));
    let units: Option<Vec<usize>> = units.collect();
    units.map(Hidden).ok_or_else(|| "it must be numbers of units such as 128,64, or none".into())
}

/// Parses NAME=VALUE; the value is JSON, else a string.
pub(super) fn setting(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE, such as delta=0.5")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.into(), value))
}

/// An error in a name, or in an option set for it.
pub(super) fn named(error: Error, name: &str, options: &str) -> Failure {
    let is_name = matches!(&error, Error::Unknown { kind, .. } if !kind.starts_with("option of "));
    Failure::usage(error).of(if is_name { name } else { options })
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(super) enum Switch {
    /// On
    On,
    /// Off, also where a saved training has it on
    Off,
}

/// Settings to compile a new model with.
pub(super) struct Plan {
    pub(super) loss: Box<dyn LossDefinition>,
    pub(super) optimizer: Box<dyn Optimizer>,
}

/// Settings of a training run.
#[derive(Clone, Debug)]
pub struct Settings {
    pub hidden: Vec<usize>,
    /// None for the optimizer's own default.
    pub learning_rate: Option<f64>,
    pub epochs: usize,
    /// Updates in place of epochs.
    pub steps: Option<usize>,
    /// Progress of a saved model, as a schedule counts it.
    pub before: Before,
    /// In rows, or in queries.
    pub batch_size: usize,
    /// Batches of an update in this process.
    pub accumulate: usize,
    pub l2: f64,
    pub average: Option<f64>,
    pub patience: Option<usize>,
    pub skip_non_finite: bool,
    pub mixed_precision: bool,
    /// Clipping option and its value.
    pub clip: Option<(&'static str, f64)>,
    /// Changes of the images, as JSON.
    pub augment: Option<Value>,
    /// Loss and optimizer with all their options, and the settings inherited from a saved model.
    pub(super) compiled: Map<String, Value>,
}

impl Settings {
    /// Loss and optimizer with all their options.
    pub fn compiled(&self) -> &Map<String, Value> {
        &self.compiled
    }
}

impl Train {
    /// The file or folder of the rows.
    pub fn data(&self) -> &Path {
        self.source.path()
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The number of processes that share an update.
    pub(super) fn processes(&self) -> usize {
        self.ranks.as_ref().map_or(1, |ranks| ranks.place().1)
    }
}

/// Completed updates and epochs of a saved model, without those of an interrupted epoch, which is
/// repeated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Before {
    pub updates: usize,
    pub epochs: usize,
    /// Completed epochs of the resumed run, as numbered in reports.
    pub numbered: usize,
    /// An epoch was interrupted: it is finished before others begin.
    pub is_cut: bool,
}

/// The description in a model file; null if it cannot be read, which the reader will report.
pub(super) struct Earlier(pub(super) Value);

//! Model files: safetensors with the weights, the optimizer's state and, as JSON, everything else.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::Encoding;
use crate::nn::graph::nodes::Parameter;
use crate::nn::layers::embedding::Embedding;
use crate::nn::layers::form::LayerForm;
use crate::nn::layers::list::layer_of;
use crate::nn::layers::sequential::Sequential;
use crate::nn::model::{HeldOut, Model, Names};
use crate::nn::optimizers::ParameterGroups;
use crate::nn::train::average::Average;
use crate::nn::train::learning_rate_policy::LearningRatePolicy;
use crate::nn::train::record;
use crate::nn::train::record::{Record, SnapshotLengths};
use crate::nn::train::samples::Scaling;
use crate::nn::train::training::{Progress, Training};
use crate::nn::{optimizers, schedules};
use crate::runtime::file_tensors::{check_seal, numbers, sealed};
use crate::runtime::files;
use crate::{Device, Error, Result, losses};

/// The key of the description in the file's metadata.
const KEY: &str = "gradus";

/// Names of the optimizer's states; a running average follows them.
const STATES: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// The highest known version of the description; a file with a higher one is rejected. Version 2
/// adds embeddings, version 3 layers other than dense ones and inputs of several axes.
const VERSION: u32 = 3;

/// The field common to all versions of the description.
#[derive(Deserialize)]
struct Form {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    inputs: usize,
    /// The shape of a sample, if it has more axes than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shape: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    embedding: Option<Embedding>,
    seed: u64,
    l1: f64,
    l2: f64,
    #[serde(default)]
    proximal_l1: f64,
    layers: Vec<LayerForm>,
    loss: Option<Named>,
    optimizer: Option<Named>,
    progress: Progress,
    #[serde(default)]
    average: Option<Average>,
    #[serde(default)]
    schedule: Option<Scheduled>,
    #[serde(default)]
    names: Names,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held_out: Option<HeldOut>,
    #[serde(default, skip_serializing_if = "is_default")]
    groups: ParameterGroups,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<Record>,
}

/// A schedule by name, and its unit.
#[derive(Serialize, Deserialize)]
struct Scheduled {
    name: String,
    options: Value,
    by_epoch: bool,
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
    options: Value,
}

/// A tensor to write: f64 on the reference device keeps its bits, all others are f32. Its bytes are
/// made when it is written, so that the bytes of one tensor at a time are in memory beside the file's.
struct Entry<'v> {
    name: String,
    shape: Vec<usize>,
    values: Cow<'v, [f64]>,
    dtype: Dtype,
}

impl View for &Entry<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = self.values.iter();
        match self.dtype {
            Dtype::F64 => values.flat_map(|value| value.to_le_bytes()).collect(),
            _ => values.flat_map(|&value| (value as f32).to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        self.values.len() * if self.dtype == Dtype::F64 { 8 } else { 4 }
    }
}

impl Entry<'_> {
    /// Refuses what a reader refuses: weights and states that are not finite. An optimizer's state may
    /// be infinite while weights and losses are not.
    fn check(&self) -> Result<()> {
        // Losses of epochs may be anything.
        let is_history = ["training.history", "training.cut"].contains(&self.name.as_str());
        let found = self.values.iter().enumerate().find(|(_, value)| !value.is_finite());
        match found.filter(|_| !is_history) {
            None => Ok(()),
            Some((index, value)) => Err(Error::Input {
                operation: "saving the model".into(),
                name: self.name.clone(),
                found: format!("is {value} at index {index}"),
                allowed: "finite numbers: the training has diverged; lower the learning rate"
                    .into(),
            }),
        }
    }
}

impl Model {
    /// Saves weights, the optimizer's state, the training progress and the description to a
    /// safetensors file, with a checksum that [`Model::load`] compares. The file is replaced atomically ([`files::write`]): a crash while saving
    /// leaves the previous one.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Input`] for a weight or state that is not finite, which no
    /// reader would take; device errors.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_in(path.as_ref(), self.training.as_ref())
    }

    /// The file of [`Model::save`] in memory, to send to another process or keep elsewhere:
    /// [`Model::from_bytes`] reads it.
    ///
    /// ```
    /// use gradus::{Dense, Device, Model, Sequential};
    /// use ndarray::array;
    /// let mut model = Sequential::new(2).then(Dense::new(1)).on(&Device::cpu())?;
    /// let mut copy = Model::from_bytes(&model.to_bytes()?, &Device::cpu())?;
    /// let x = array![[1.0, 2.0]];
    /// assert_eq!(copy.predict(&x)?, model.predict(&x)?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Device errors.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.bytes_of(Path::new(files::IN_MEMORY), self.training.as_ref())
    }

    /// Saves during a training.
    pub(crate) fn save_in(&self, path: &Path, training: Option<&Training>) -> Result<()> {
        files::write(path, &self.bytes_of(path, training)?)
    }

    /// The file's bytes; errors name `path`.
    fn bytes_of(&self, path: &Path, training: Option<&Training>) -> Result<Vec<u8>> {
        let (parameters, states) = (self.engine.parameters()?, self.engine.states()?);
        let entries = self.entries(&parameters, &states, training);
        entries.iter().try_for_each(Entry::check)?;
        let mut description = self.describe();
        description.training = training.map(Record::of);
        description.progress.loss_scale = self.engine.loss_scale()?;
        let text = serde_json::to_string(&description)
            .map_err(|error| io_error(path, error.to_string()))?;
        let views = || entries.iter().map(|entry| (entry.name.as_str(), entry));
        let metadata = HashMap::from([(KEY.to_string(), sealed(&text, views()))]);
        safetensors::serialize(views(), Some(metadata))
            .map_err(|error| io_error(path, error.to_string()))
    }

    fn entries<'v>(
        &self,
        parameters: &'v [f64],
        states: &'v [Vec<f64>],
        training: Option<&'v Training>,
    ) -> Vec<Entry<'v>> {
        let exact = matches!(self.device, Device::Reference);
        let mut entries = Vec::new();
        let mut add = |name: String, shape: Vec<usize>, values: Cow<'v, [f64]>, exact: bool| {
            let dtype = if exact { Dtype::F64 } else { Dtype::F32 };
            entries.push(Entry { name, shape, values, dtype });
        };
        for parameter in &self.graph.parameters {
            let values = &parameters[self.graph.range(parameter)];
            add(parameter.path.clone(), parameter.shape.clone(), values.into(), exact);
        }
        let statistics = &parameters[self.graph.all_length()..];
        for statistic in &self.graph.statistics {
            let values = &statistics[statistic.range.clone()];
            add(statistic.path.clone(), vec![values.len()], values.into(), exact);
        }
        if self.compiled.is_some() {
            for (name, state) in STATES.into_iter().zip(states) {
                add(format!("optimizer.{name}"), vec![state.len()], state.into(), exact);
            }
        }
        if let Some(Scaling { mean, scale }) = &self.scaling {
            // Few numbers, which need not live as long as the others.
            let own = |values: &[f64]| Cow::Owned(values.to_vec());
            add("input.mean".into(), vec![mean.len()], own(mean), true);
            add("input.scale".into(), vec![scale.len()], own(scale), true);
        }
        if let Some(training) = training {
            record::tensors(training, exact, add);
        }
        entries
    }

    fn describe(&self) -> Description {
        let Sequential { embedding, layers, l1, l2, proximal_l1, seed, .. } = &self.description;
        let layers: Vec<LayerForm> = layers.iter().map(LayerForm::of).collect();
        let shape = self.description.input.clone().filter(|shape| shape.len() > 1);
        // An older gradus would train frozen layers without a word.
        let is_new =
            shape.is_some() || !layers.iter().all(LayerForm::is_dense) || !is_default(&self.groups);
        let version = match (is_new, embedding) {
            (true, _) => VERSION,
            (false, Some(_)) => 2,
            (false, None) => 1,
        };
        let compiled = self.compiled.as_ref();
        Description {
            version,
            inputs: self.graph.inputs(),
            shape,
            embedding: *embedding,
            seed: *seed,
            l1: *l1,
            l2: *l2,
            proximal_l1: *proximal_l1,
            layers,
            loss: compiled.map(|c| Named { name: c.loss.name().into(), options: c.loss.options() }),
            optimizer: compiled
                .map(|c| Named { name: c.optimizer.name().into(), options: c.optimizer.options() }),
            progress: self.progress,
            average: self.average,
            schedule: self.schedule.as_ref().map(|learning_rate_policy| Scheduled {
                name: learning_rate_policy.schedule.name().into(),
                options: learning_rate_policy.schedule.options(),
                by_epoch: learning_rate_policy.by_epoch,
            }),
            names: self.names.clone(),
            encoding: self.encoding.clone(),
            held_out: self.held_out,
            groups: self.groups.clone(),
            training: None,
        }
    }

    /// Loads a model from a file written by [`Model::save`], ready to predict or to continue
    /// training.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Data`] for a file that is damaged, also in a single bit, or not from
    /// gradus.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::of_bytes(path, &bytes, device)
    }

    /// As [`Model::load`], of the bytes of [`Model::to_bytes`] or of a whole file.
    ///
    /// # Errors
    /// [`Error::Data`] for bytes that are damaged or not from gradus; device errors.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Self> {
        Self::of_bytes(Path::new(files::IN_MEMORY), bytes, device)
    }

    /// The model of a file's bytes; errors name `path`.
    fn of_bytes(path: &Path, bytes: &[u8], device: &Device) -> Result<Self> {
        let refused = |position: &str, found: String, expected: &str| Error::Data {
            path: path.into(),
            position: position.into(),
            found,
            expected: expected.into(),
        };
        let not_tensors = |error: safetensors::SafeTensorError| {
            refused("the header", error.to_string(), "a safetensors file written by gradus")
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(not_tensors)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(not_tensors)?;
        let text = metadata.metadata().as_ref().and_then(|map| map.get(KEY));
        let text = text.ok_or_else(|| {
            refused(
                "the metadata",
                "no key `gradus`".into(),
                "a network saved by `gradus train` or `Model::save`",
            )
        })?;
        let damaged = |error: serde_json::Error| {
            refused("the metadata", error.to_string(), "the description of a model")
        };
        // A newer version may have other fields: the version is read first.
        let Form { version } = serde_json::from_str(text).map_err(damaged)?;
        if version > VERSION {
            let allowed = format!("up to version {VERSION}; use a newer gradus");
            return Err(refused("the metadata", format!("version {version}"), &allowed));
        }
        let description: Description = serde_json::from_str(text).map_err(damaged)?;
        let read = |name: &str, shape: &[usize]| {
            let view = tensors
                .tensor(name)
                .map_err(|_| refused(&format!("tensor `{name}`"), "nothing".into(), "a tensor"))?;
            if view.shape() != shape {
                return Err(refused(
                    &format!("tensor `{name}`"),
                    format!("shape {:?}", view.shape()),
                    &format!("{shape:?}"),
                ));
            }
            let numbers = numbers(&view).ok_or_else(|| {
                refused(&format!("tensor `{name}`"), format!("{:?}", view.dtype()), "F32 or F64")
            })?;
            // A validation loss and a batch that was skipped may be anything.
            let is_record = matches!(name, "training.history" | "training.cut");
            match numbers.iter().position(|number| !is_record && !number.is_finite()) {
                Some(place) => {
                    let found = format!("{} at index {place}", numbers[place]);
                    Err(refused(&format!("tensor `{name}`"), found, "finite numbers"))
                }
                None => Ok(numbers),
            }
        };
        let model = build(description, device, |name| tensors.tensor(name).is_ok(), read)?;
        // Last: what a tensor or a field has wrong is reported in its own words.
        check_seal(path, text, &tensors)?;
        Ok(model)
    }
}

/// The model of a description; `read` returns each tensor that the file `has`.
fn build(
    description: Description,
    device: &Device,
    has: impl Fn(&str) -> bool,
    read: impl Fn(&str, &[usize]) -> Result<Vec<f64>>,
) -> Result<Model> {
    let mut sequential = Sequential::new(description.inputs)
        .seed(description.seed)
        .l1(description.l1)
        .l2(description.l2);
    sequential = sequential.proximal_l1(description.proximal_l1);
    sequential.embedding = description.embedding;
    if let Some(shape) = description.shape {
        sequential.input = Some(shape);
    }
    for layer in description.layers {
        sequential.layers.push(layer_of(layer)?);
    }
    // Sizes without matching tensors must not allocate memory: the tensors are read before a model
    // of the description's sizes is created.
    let graph = sequential.graph()?;
    let of = |parameter: &Parameter| {
        Ok((graph.range(parameter), read(&parameter.path, &parameter.shape)?))
    };
    let found: Vec<(Range<usize>, Vec<f64>)> =
        graph.parameters.iter().map(of).collect::<Result<_>>()?;
    let mut parameters = vec![0.0; graph.all_length()];
    for (place, numbers) in found {
        parameters[place].copy_from_slice(&numbers);
    }
    for statistic in &graph.statistics {
        parameters.extend(read(&statistic.path, &[statistic.range.len()])?);
    }
    let mut model = sequential.on(device)?;
    model.set_parameter_groups(description.groups)?;
    if let (Some(loss), Some(optimizer)) = (description.loss, description.optimizer) {
        let loss = losses::from_name(&loss.name, &loss.options)?;
        let optimizer = optimizers::from_name(&optimizer.name, &optimizer.options)?;
        model = model.compile_known(loss, optimizer)?;
        let length = [model.graph.all_length()];
        let own = model.compiled.as_ref().map_or(0, |compiled| compiled.optimizer.states());
        // The running average follows the optimizer's own states.
        let count = own + usize::from(description.average.is_some());
        let states =
            STATES.iter().take(count).map(|name| read(&format!("optimizer.{name}"), &length));
        model.engine.set_states(&states.collect::<Result<Vec<_>>>()?)?;
        model.average = description.average;
    }
    model.engine.set_parameters(&parameters)?;
    description.progress.loss_scale.check()?;
    model.engine.set_loss_scale(description.progress.loss_scale)?;
    model.progress = description.progress;
    model.held_out = description.held_out;
    if let Some(record) = description.training {
        let states = model.compiled.as_ref().map_or(0, |compiled| compiled.optimizer.states());
        let states = states + usize::from(model.average.is_some());
        let length = model.graph.all_length();
        let lengths = SnapshotLengths { parameters: parameters.len(), states: length };
        model.training = Some(record.training(lengths, states, &read)?);
    }
    if let Some(Scheduled { name, options, by_epoch }) = description.schedule {
        model.schedule = Some(LearningRatePolicy {
            schedule: schedules::from_name(&name, &options)?.into(),
            by_epoch,
        });
    }
    model.names = description.names;
    model.encoding = description.encoding;
    if has("input.mean") || has("input.scale") {
        let width = [model.graph.inputs()];
        model.set_input_scaling(read("input.mean", &width)?, read("input.scale", &width)?)?;
    }
    Ok(model)
}

/// True for one group of all parameters, which needs no line in a file.
fn is_default(groups: &ParameterGroups) -> bool {
    *groups == ParameterGroups::default()
}

fn io_error(path: &Path, message: String) -> Error {
    Error::Io { path: path.into(), source: std::io::Error::other(message) }
}

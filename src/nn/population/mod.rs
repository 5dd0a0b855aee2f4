//! Populations: many models of one shape, trained on the same rows.

pub(crate) mod engines;
mod training;

use std::sync::Arc;

use ndarray::{Array2, ArrayBase, Data, Ix2};
use serde_json::{Map, Value};

use crate::criterion::inputs::FloatElement;
use crate::losses::{LossDefinition, Mean};
use crate::nn::graph::nodes::Graph;
use crate::nn::layers::sequential::Sequential;
use crate::nn::model::{Compiled, Model};
use crate::nn::optimizers::Optimizer;
use crate::nn::train::average::Average;
use crate::nn::train::batched_engine::{BatchedEngine, no_member};
use crate::nn::train::engine::{SampleTargets, Samples};
use crate::nn::train::samples;
use crate::nn::train::samples::{InputSpec, Scaling};
use crate::nn::train::training::Progress;
use crate::nn::train::weights::Weights;
use crate::runtime::device::Device;
use crate::{Error, Result};

/// Seed and option overrides, for optimizer and loss, of one member of a [`Population`].
///
/// ```
/// use gradus::Member;
/// let member = Member::new().seed(3).learning_rate(1e-3).optimizer("beta1", 0.8).loss("label_smoothing", 0.1);
/// # let _ = member;
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    seed: Option<u64>,
    optimizer: Map<String, Value>,
    loss: Map<String, Value>,
    schedule: Option<(String, Value)>,
}

impl Member {
    /// A member with the description's seed and the options of the loss and the optimizer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Seed of its initial weights and of the order of its batches (default: the description's
    /// seed).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The learning rate of its optimizer.
    pub fn learning_rate(self, learning_rate: f64) -> Self {
        self.optimizer("learning_rate", learning_rate)
    }

    /// Sets an option of its optimizer by name; [`Population::compile`] rejects unknown ones.
    pub fn optimizer(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.optimizer.insert(name.into(), value.into());
        self
    }

    /// Its own learning-rate schedule by name and options, e.g. `cosine` with a `learning_rate` and
    /// `steps` of its own; counted in updates. [`Population::fit`] rejects unknown names and
    /// options; a schedule of [`crate::Fit`] is then that of the other members.
    pub fn schedule(mut self, name: &str, options: impl Into<Value>) -> Self {
        self.schedule = Some((name.into(), options.into()));
        self
    }

    /// Sets an option of its loss by name; [`Population::compile`] rejects unknown ones.
    pub fn loss(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.loss.insert(name.into(), value.into());
        self
    }
}

/// Models of one shape, trained on the same rows, each with its own seed and options: for
/// learning-rate search, means over seeds, and ensembles.
///
/// Each member trains like a [`Model`] with its seed and options: the same initial weights, the
/// same order of rows, the same history, up to rounding if the device uses another kernel. The rows
/// are uploaded once for all.
///
/// On the CPU and the reference the members run in parallel on all cores. On a GPU members of up to
/// 16,384 parameters (2,048 on a software adapter) run in parallel in the same dispatches, one
/// workgroup per member, which trains its model for many steps without a launch in between; larger
/// ones are trained one after another, and so are those whose optimizer or clip reads whole tensors
/// (`lamb`, `adafactor`, `muon`, [`crate::Fit::clip_tensor_norm`]) or whose loss is one of lists.
///
/// See the crate's documentation for an example; Keras, PyTorch (`torch.func.stack_module_state`)
/// and jax (`vmap` over parameters) leave the loop to the user.
#[derive(Debug)]
pub struct Population {
    description: Sequential,
    graph: Graph,
    device: Device,
    members: Vec<Member>,
    batched_engine: Box<dyn BatchedEngine>,
    /// One per member, once compiled.
    compiled: Vec<Compiled>,
    progress: Vec<Progress>,
    /// The value monitored by early stopping, after the last training: lower is better.
    scores: Vec<Option<f64>>,
    scaling: Option<Scaling>,
    average: Option<Average>,
}

impl Population {
    /// Creates the members with their initial weights on a device.
    ///
    /// # Errors
    /// As [`Sequential::on`]; [`Error::Empty`] without members.
    pub fn new(
        description: Sequential,
        members: impl IntoIterator<Item = Member>,
        device: &Device,
    ) -> Result<Self> {
        let members: Vec<Member> = members.into_iter().collect();
        if members.is_empty() {
            return Err(Error::Empty {
                operation: "a population".into(),
                name: "its members".into(),
            });
        }
        let graph = description.graph()?;
        if graph.embedding().is_some() {
            return Err(Error::Input {
                operation: "a population".into(),
                name: "the model".into(),
                found: "begins with an embedding".into(),
                allowed: "train such models one by one (`Sequential::on`)".into(),
            });
        }
        let batched_engine = match engines::side_by_side(&graph, device, members.len())? {
            Some(engine) => engine,
            None => engines::several(&graph, device, members.len())?,
        };
        let (progress, scores) =
            (vec![Progress::default(); members.len()], vec![None; members.len()]);
        let device = device.clone();
        let compiled = Vec::new();
        let mut population = Population {
            description,
            graph,
            device,
            members,
            batched_engine,
            compiled,
            progress,
            scores,
            scaling: None,
            average: None,
        };
        for member in 0..population.len() {
            let parameters = population.graph.initial_parameters(population.seed(member));
            population.batched_engine.set_parameters(member, &parameters)?;
        }
        Ok(population)
    }

    /// Sets the loss and the optimizer, in which each member then overrides its own options.
    /// Members that were trained before keep their weights and get a fresh optimizer state.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a member's unknown option, [`Error::Option`] for one outside its
    /// domain or one of the loss that requires other targets than those of the first member.
    pub fn compile(
        self,
        loss: impl LossDefinition + 'static,
        optimizer: impl Optimizer + 'static,
    ) -> Result<Self> {
        self.compile_boxed(Box::new(loss), Box::new(optimizer))
    }

    /// As [`Population::compile`], for a loss and an optimizer created by name.
    ///
    /// # Errors
    /// As [`Population::compile`].
    pub fn compile_boxed(
        mut self,
        loss: Box<dyn LossDefinition>,
        optimizer: Box<dyn Optimizer>,
    ) -> Result<Self> {
        let (loss, optimizer): (Arc<dyn LossDefinition>, Arc<dyn Optimizer>) =
            (Arc::from(loss), Arc::from(optimizer));
        loss.check()?;
        crate::losses::check_trainable(&*loss)?;
        crate::losses::check_outputs(&*loss, self.graph.output_activation())?;
        optimizer.check()?;
        let compiled: Vec<Compiled> = self
            .members
            .iter()
            .map(|member| {
                Ok(Compiled {
                    loss: loss_of(member, &loss)?,
                    fused_head: None,
                    optimizer: optimizer_of(member, &optimizer)?,
                })
            })
            .collect::<Result<_>>()?;
        let first = &compiled[0].loss;
        let differs = |other: &Compiled| {
            let other = &other.loss;
            (other.targets(), other.ignored()) != (first.targets(), first.ignored())
                || (other.spec().mean == Mean::OverElements)
                    != (first.spec().mean == Mean::OverElements)
        };
        if let Some(member) = compiled.iter().position(differs) {
            let found = compiled[member].loss.options();
            let owner = format!("member {member}");
            return Err(Error::option(
                &owner,
                "loss",
                found,
                "with the targets and ignored labels of member 0",
            ));
        }
        self.compiled = compiled;
        self.average = None;
        for progress in &mut self.progress {
            *progress = Progress { epochs: progress.epochs, ..Progress::default() };
        }
        // The fused small-model kernel supports rows, not lists.
        let in_turn = |compiled: &Compiled| {
            compiled.optimizer.per_tensor().is_some() || compiled.loss.targets().pads()
        };
        if self.compiled.iter().any(in_turn) {
            self.train_in_turn()?;
        }
        let length = self.graph.length;
        let first = |compiled: &Compiled| compiled.optimizer.first_states(length);
        let states = self.compiled.iter().map(first).collect();
        self.set_states(states, None)?;
        Ok(self)
    }

    /// Sets the states of all members, each in the layout of a single model, followed by their
    /// running averages.
    fn set_states(
        &mut self,
        mut states: Vec<Vec<Vec<f64>>>,
        averages: Option<Vec<Vec<f64>>>,
    ) -> Result<()> {
        if self.batched_engine.is_side_by_side() {
            // All members have the same number: options determine how many an optimizer needs.
            let most = states.iter().map(Vec::len).max().unwrap_or(0);
            states.iter_mut().for_each(|states| states.resize(most, vec![0.0; self.graph.length]));
        }
        for (states, average) in states.iter_mut().zip(averages.into_iter().flatten()) {
            states.push(average);
        }
        self.batched_engine.set_all_states(&states)
    }

    /// The states of a member in the layout of a single model, and its running average.
    fn states(&self, member: usize) -> Result<(States, Option<Vec<f64>>)> {
        let mut states = self.batched_engine.states(member)?;
        let average = if self.average.is_some() { states.pop() } else { None };
        states
            .truncate(self.compiled.get(member).map_or(0, |compiled| compiled.optimizer.states()));
        Ok((states, average))
    }

    /// Switches members from shared dispatches to one after another, for a rule or a clip that
    /// reads whole tensors.
    fn train_in_turn(&mut self) -> Result<()> {
        if !self.batched_engine.is_side_by_side() {
            return Ok(());
        }
        let all: Vec<_> =
            (0..self.len()).map(|member| self.states(member)).collect::<Result<_>>()?;
        let mut batched_engine = engines::several(&self.graph, &self.device, self.len())?;
        for member in 0..self.len() {
            batched_engine.set_parameters(member, &self.batched_engine.parameters(member)?)?;
        }
        self.batched_engine = batched_engine;
        let (states, averages): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        self.set_states(states, averages.into_iter().collect())
    }

    /// Allocates new running averages, and discards those that are no longer requested.
    fn keep_average(&mut self, average: Option<Average>) -> Result<()> {
        if self.average == average {
            return Ok(());
        }
        let members = 0..self.len();
        let states =
            members.clone().map(|member| Ok(self.states(member)?.0)).collect::<Result<_>>()?;
        let start = |average: &Average| {
            members
                .clone()
                .map(|member| Ok(average.start(&self.batched_engine.parameters(member)?)))
                .collect::<Result<_>>()
        };
        let averages = average.as_ref().map(start).transpose()?;
        self.average = average;
        self.progress.iter_mut().for_each(|progress| progress.averaged = 0);
        self.set_states(states, averages)
    }

    /// Subtracts `mean` from each feature and divides by `scale` before the first layer, for every
    /// member.
    ///
    /// # Errors
    /// As [`Model::set_input_scaling`].
    pub fn set_input_scaling(&mut self, mean: Vec<f64>, scale: Vec<f64>) -> Result<()> {
        if self.graph.takes_ids() {
            return Err(Error::Input {
                operation: "input scaling".into(),
                name: "the model".into(),
                found: "takes ids".into(),
                allowed: "only numbers can be scaled".into(),
            });
        }
        self.scaling = Some(Scaling::new(mean, scale, self.graph.inputs())?);
        Ok(())
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Always false: there is at least one member.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members' seeds and options, in order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The population's device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// A copy of a member as a single model, with its weights, optimizer state and progress: to
    /// predict, save or continue training.
    ///
    /// # Errors
    /// [`Error::Option`] for a member out of range, and device errors.
    pub fn member(&self, member: usize) -> Result<Model> {
        if member >= self.len() {
            return Err(no_member(member, self.len()));
        }
        let mut model = self.description.clone().seed(self.seed(member)).on(&self.device)?;
        model.engine.set_parameters(&self.batched_engine.parameters(member)?)?;
        let (mut states, average) = self.states(member)?;
        states.extend(average);
        model.engine.set_states(&states)?;
        model.compiled = self.compiled.get(member).cloned();
        model.average = self.average;
        model.progress = self.progress[member];
        model.scaling = self.scaling.clone();
        Ok(model)
    }

    /// The member with the lowest loss after the last [`Population::fit`]: the validation loss, or
    /// the training loss without validation. The first of equals; `None` before a training, or if
    /// no loss is finite.
    pub fn best(&self) -> Option<usize> {
        let finite = |(member, score): (usize, &Option<f64>)| {
            score.filter(|s| s.is_finite()).map(|s| (member, s))
        };
        let scores = self.scores.iter().enumerate().filter_map(finite);
        scores.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(member, _)| member)
    }

    /// Each member's predictions: [rows, units of the last layer].
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict<S: Data<Elem: FloatElement>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
    ) -> Result<Vec<Array2<f32>>> {
        let rows = features.nrows();
        let flat = samples::features(self.input_spec(), "predict", FloatElement::floats(features))?;
        let targets = SampleTargets::None;
        let weights = Weights::default();
        let samples = Samples {
            rows,
            features: flat.all(),
            targets,
            has_ignored: false,
            lists: None,
            weights,
        };
        let data = self.batched_engine.load(&samples)?;
        let predictions = self.batched_engine.predict(data, self.graph.prediction_batch());
        self.batched_engine.unload(data);
        let outputs = self.graph.outputs();
        predictions?.into_iter().map(|flat| samples::predictions(rows, outputs, flat)).collect()
    }

    /// The mean of all members' predictions: the ensemble.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_mean<S: Data<Elem: FloatElement>>(
        &mut self,
        features: &ArrayBase<S, Ix2>,
    ) -> Result<Array2<f32>> {
        let all = self.predict(features)?;
        let mut sum = Array2::<f64>::zeros((features.nrows(), self.graph.outputs()));
        all.iter().for_each(|predictions| sum += &predictions.mapv(f64::from));
        Ok(sum.mapv(|value| (value / all.len() as f64) as f32))
    }

    fn seed(&self, member: usize) -> u64 {
        self.members[member].seed.unwrap_or(self.description.seed)
    }

    fn input_spec(&self) -> InputSpec<'_> {
        InputSpec { graph: &self.graph, scaling: self.scaling.as_ref() }
    }
}

/// The states of an optimizer, each as long as the parameters.
type States = Vec<Vec<f64>>;

/// The options with a member's overrides.
fn merged(options: Value, own: &Map<String, Value>) -> Value {
    let mut all = match options {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    all.extend(own.clone());
    Value::Object(all)
}

fn loss_of(member: &Member, loss: &Arc<dyn LossDefinition>) -> Result<Arc<dyn LossDefinition>> {
    if member.loss.is_empty() {
        return Ok(loss.clone());
    }
    let own = (loss.entry().make)(&merged(loss.options(), &member.loss))?;
    own.check()?;
    Ok(Arc::from(own))
}

fn optimizer_of(member: &Member, optimizer: &Arc<dyn Optimizer>) -> Result<Arc<dyn Optimizer>> {
    if member.optimizer.is_empty() {
        return Ok(optimizer.clone());
    }
    let own = (optimizer.entry().make)(&merged(optimizer.options(), &member.optimizer))?;
    own.check()?;
    Ok(Arc::from(own))
}

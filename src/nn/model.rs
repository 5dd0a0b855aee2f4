//! Models: a sequence of layers on a device.

use std::any::Any;
use std::fmt::Write as _;
use std::sync::Arc;

use ndarray::{Array2, ArrayBase, ArrayD, ArrayViewD, Data, Dimension};

use crate::criterion::inputs::shape_error;
use crate::data::Encoding;
use crate::error::text;
use crate::losses::{Domain, LossDefinition, SeveralInputs, Template};
use crate::nn::activations::activation::Activation;
use crate::nn::activations::{Identity, Softmax};
use crate::nn::embedding::kernels::takes_rows;
use crate::nn::graph::nodes::{Graph, Value};
use crate::nn::layers::sequential::Sequential;
use crate::nn::layers::{Dense, Layer};
use crate::nn::loss_scale::LossScale;
use crate::nn::memory::{Kept, Memory, Walks};
use crate::nn::optimizers::{Optimizer, ParameterGroups};
use crate::nn::schedules::Schedule;
use crate::nn::train::average::Average;
use crate::nn::train::engine::{Engine, Purpose, SampleTargets, Samples};
use crate::nn::train::features::FeatureElement;
use crate::nn::train::gpu::state::GpuEngine;
use crate::nn::train::history::Epoch;
use crate::nn::train::host::CpuEngine;
use crate::nn::train::learning_rate_policy::LearningRatePolicy;
use crate::nn::train::options::Fit;
use crate::nn::train::samples;
use crate::nn::train::samples::{InputSpec, Scaling};
use crate::nn::train::training::{Progress, Training};
use crate::nn::train::weights::Weights;
use crate::runtime::device::Device;
use crate::{Error, Result};

impl Sequential {
    /// Creates the model with its initial weights on a device.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for a size of 0 or a negative penalty, [`crate::Error::Empty`]
    /// without layers, [`crate::Error::TooLarge`] for more parameters than the device can hold, and
    /// device errors.
    pub fn on(self, device: &Device) -> Result<Model> {
        let graph = self.graph()?;
        self.with_graph(graph, device)
    }

    /// The model of a graph that was made from these layers.
    pub(crate) fn with_graph(self, graph: Graph, device: &Device) -> Result<Model> {
        Memory::new(device, Kept::of(&graph, 0), None).check()?;
        let mut engine: Box<dyn Engine> = match device {
            Device::Gpu(gpu) => Box::new(GpuEngine::new(gpu, graph.clone())?),
            Device::Cpu => Box::new(CpuEngine::<f32>::new(graph.clone())),
            Device::Reference => Box::new(CpuEngine::<f64>::new(graph.clone())),
        };
        engine.set_parameters(&graph.initial_parameters(self.seed))?;
        Ok(Model {
            description: self,
            graph,
            device: device.clone(),
            engine,
            compiled: None,
            progress: Progress::default(),
            average: None,
            schedule: None,
            scaling: None,
            names: Names::default(),
            encoding: None,
            held_out: None,
            training: None,
            groups: ParameterGroups::default(),
        })
    }
}

/// A model on a device. Created by [`Sequential::on`] or [`Model::load`].
#[derive(Debug)]
pub struct Model {
    pub(crate) description: Sequential,
    pub(crate) graph: Graph,
    pub(crate) device: Device,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) compiled: Option<Compiled>,
    pub(crate) progress: Progress,
    pub(crate) average: Option<Average>,
    /// The schedule of the last training.
    pub(crate) schedule: Option<LearningRatePolicy>,
    pub(crate) scaling: Option<Scaling>,
    pub(crate) names: Names,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) held_out: Option<HeldOut>,
    /// The current or last training.
    pub(crate) training: Option<Training>,
    pub(crate) groups: ParameterGroups,
}

/// The validation split of a model's training data: saved with the model, so that those rows stay
/// held out when training resumes.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct HeldOut {
    /// Seed of the row order; its last rows were held out.
    pub seed: u64,
    /// Fraction of rows held out.
    pub share: f64,
}

/// Names of a model's columns and classes in its source data: saved with the model, so that another
/// file is read like the first one. Empty if not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Names {
    /// The features, in order.
    pub features: Vec<String>,
    /// The classes, by label.
    pub classes: Vec<String>,
    /// The column of the target.
    pub target: Option<String>,
}

/// The loss and optimizer of a compiled model.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub loss: Arc<dyn LossDefinition>,
    /// If the loss is fused with the last layer: the equivalent loss on that layer's outputs.
    pub fused_head: Option<Arc<dyn LossDefinition>>,
    pub optimizer: Arc<dyn Optimizer>,
}

impl Compiled {
    /// The loss and optimizer of a model.
    pub fn of_graph(
        graph: &Graph,
        loss: Box<dyn LossDefinition>,
        optimizer: Box<dyn Optimizer>,
    ) -> Result<Self> {
        loss.check()?;
        let fused_head = fused_head(graph, &*loss)?;
        if fused_head.is_none() {
            crate::losses::check_trainable(&*loss)?;
        }
        optimizer.check()?;
        if graph.embedding().is_some() && !takes_rows(&*optimizer) {
            let allowed = "one that moves each element by itself, keeps no averaged weights and takes batches";
            return Err(Error::option("embedding", "optimizer", optimizer.name(), allowed));
        }
        Ok(Compiled { loss: Arc::from(loss), fused_head, optimizer: Arc::from(optimizer) })
    }
}

/// Rejects frozen parameters whose averages, which predictions use, would stay at their start.
fn check_freezing(groups: &ParameterGroups, optimizer: Option<&dyn Optimizer>) -> Result<()> {
    match optimizer.filter(|optimizer| groups.freezes() && optimizer.averaged_state().is_some()) {
        None => Ok(()),
        Some(optimizer) => Err(Error::option(
            "parameter groups",
            "freeze",
            format!("used with {}", optimizer.name()),
            "an optimizer that predicts with the parameters themselves",
        )),
    }
}

/// The loss on the last layer's outputs, for a loss that takes that layer's weights and labels.
fn fused_head(graph: &Graph, loss: &dyn LossDefinition) -> Result<Option<Arc<dyn LossDefinition>>> {
    let inner = loss.inner().filter(|inner| inner.targets().takes_labels());
    let (Template::Several(SeveralInputs::Linear, _), Some(inner)) = (loss.template(), inner)
    else {
        return Ok(None);
    };
    match graph.output_activation() {
        name if name != Identity.name() => Err(Error::Input {
            operation: loss.name().into(),
            name: "the last layer".into(),
            found: format!("has the activation {name}"),
            allowed: "it must have none: the loss takes it for its own linear layer".into(),
        }),
        _ if !graph.ends_in_dense() => Err(Error::Input {
            operation: loss.name().into(),
            name: "the last layer".into(),
            found: "is not a dense one".into(),
            allowed: "it must be Dense or TiedDense: the loss takes it for its own linear layer"
                .into(),
        }),
        _ => Ok(Some(Arc::from(crate::losses::from_name(inner.name(), &inner.options())?))),
    }
}

impl Model {
    /// Sets the loss and the optimizer: Keras' `compile`. A model that was trained before keeps its
    /// weights and gets a fresh optimizer state.
    ///
    /// [`crate::losses::LinearCrossEntropy`] includes the model's last layer: the training is the
    /// same as with cross-entropy on that layer's outputs, but only a chunk of rows of them exists
    /// at a time.
    ///
    /// # Errors
    /// [`crate::Error::Input`] for a last layer whose activation the loss already includes: a
    /// softmax or sigmoid under a loss of logits; [`crate::Error::Option`] for an option outside
    /// its domain, and, if the model begins with an embedding, for an optimizer that reads whole
    /// tensors or keeps averaged weights; [`crate::Error::Input`] for a loss with inputs other than
    /// predictions and targets, and for [`crate::losses::LinearCrossEntropy`] if the last layer has
    /// an activation.
    pub fn compile(
        self,
        loss: impl LossDefinition + 'static,
        optimizer: impl Optimizer + 'static,
    ) -> Result<Self> {
        self.compile_boxed(Box::new(loss), Box::new(optimizer))
    }

    /// As [`Model::compile`], for a loss and an optimizer created by name.
    ///
    /// # Errors
    /// As [`Model::compile`].
    pub fn compile_boxed(
        self,
        loss: Box<dyn LossDefinition>,
        optimizer: Box<dyn Optimizer>,
    ) -> Result<Self> {
        crate::losses::check_outputs(&*loss, self.graph.output_activation())?;
        self.compile_known(loss, optimizer)
    }

    /// As [`Model::compile_boxed`] for a loaded file: a saved model must load with any last layer.
    pub(crate) fn compile_known(
        mut self,
        loss: Box<dyn LossDefinition>,
        optimizer: Box<dyn Optimizer>,
    ) -> Result<Self> {
        self.set_compiled(loss, optimizer)?;
        Ok(self)
    }

    /// As [`Model::compile_boxed`], of a model that is kept: an error leaves it as it was.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, losses, optimizers};
    /// use serde_json::Value::Null;
    /// let mut model = Sequential::new(2).then(Dense::new(1)).on(&Device::cpu())?;
    /// let adam = || optimizers::from_name("adam", &Null);
    /// assert!(model.compile_in_place(losses::from_name("triplet_margin", &Null)?, adam()?).is_err());
    /// model.compile_in_place(losses::from_name("mse", &Null)?, adam()?)?;
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::compile`].
    pub fn compile_in_place(
        &mut self,
        loss: Box<dyn LossDefinition>,
        optimizer: Box<dyn Optimizer>,
    ) -> Result<()> {
        crate::losses::check_outputs(&*loss, self.graph.output_activation())?;
        self.set_compiled(loss, optimizer)
    }

    fn set_compiled(
        &mut self,
        loss: Box<dyn LossDefinition>,
        optimizer: Box<dyn Optimizer>,
    ) -> Result<()> {
        let compiled = Compiled::of_graph(&self.graph, loss, optimizer)?;
        check_freezing(&self.groups, Some(&*compiled.optimizer))?;
        Memory::new(&self.device, Kept::of(&self.graph, compiled.optimizer.states()), None)
            .check()?;
        self.engine.set_states(&compiled.optimizer.first_states(self.graph.all_length()))?;
        self.engine.set_loss_scale(LossScale::default())?;
        self.progress = Progress { epochs: self.progress.epochs, ..Progress::default() };
        (self.average, self.training) = (None, None);
        self.compiled = Some(compiled);
        Ok(())
    }

    /// Puts the parameters into groups: learning rates, frozen layers and weight decay by path.
    /// Replaces earlier groups; saved with the model, so that a resumed training keeps them. The
    /// optimizer's state stays; a rule as Adam's counts its steps for all parameters together, so
    /// [`Model::compile`] again before layers that were frozen from the beginning are trained.
    ///
    /// The gradient of a frozen layer is computed all the same, since layers before it may need
    /// it. On a GPU a small network of dense layers in groups is trained by separate kernels, as
    /// a large one.
    ///
    /// # Errors
    /// [`crate::Error::Option`] for a factor that is negative or not finite;
    /// [`crate::Error::Unknown`] with the known paths for one that names no parameter;
    /// [`crate::Error::Option`] for frozen parameters of an optimizer that predicts with averages
    /// that it keeps as states, such as [`crate::optimizers::ScheduleFreeAdamW`].
    pub fn set_parameter_groups(&mut self, groups: ParameterGroups) -> Result<()> {
        let optimizer = self.compiled.as_ref().map(|compiled| &*compiled.optimizer);
        check_freezing(&groups, optimizer)?;
        let mut graph = self.graph.clone();
        graph.set_groups(&groups)?;
        self.engine.set_groups(&graph)?;
        (self.graph, self.groups) = (graph, groups);
        Ok(())
    }

    /// The groups of the parameters.
    pub fn parameter_groups(&self) -> &ParameterGroups {
        &self.groups
    }

    /// Subtracts `mean` from each feature and divides by `scale` before the first layer; saved with
    /// the model.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if there is not one number per feature, [`crate::Error::Option`] for
    /// a scale of 0.
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

    /// True if the model scales its features: [`Model::set_input_scaling`].
    pub fn scales_inputs(&self) -> bool {
        self.scaling.is_some()
    }

    /// The model's requirements on input rows.
    pub(crate) fn input_spec(&self) -> InputSpec<'_> {
        InputSpec { graph: &self.graph, scaling: self.scaling.as_ref() }
    }

    /// Names of columns and classes.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Sets the names of columns and classes; saved with the model.
    pub fn set_names(
        &mut self,
        features: Vec<String>,
        classes: Vec<String>,
        target: Option<String>,
    ) {
        self.names = Names { features, classes, target };
    }

    /// The encoding from a table's columns to the model's features, and from its outputs to numbers
    /// or classes.
    pub fn encoding(&self) -> Option<&Encoding> {
        self.encoding.as_ref()
    }

    /// Sets the encoding of a table's columns; saved with the model. Features and targets passed to
    /// the model must already be encoded: [`Encoding::apply`].
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = Some(encoding);
    }

    /// Predictions for rows of features: [rows, units of the last layer]. Features are [rows,
    /// features], or [rows, height, width, channels] for a model of images. An output with more than
    /// one axis is flat: [rows, tokens · units] for a model of sequences. Features of u8 are pixels:
    /// the model sees p / 255.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the number of features differs from the model's,
    /// [`crate::Error::Empty`] without rows, [`crate::Error::NonFinite`] for NaN or infinities.
    pub fn predict<S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
    ) -> Result<Array2<f32>> {
        let (rows, predictions) = self.predicted(features)?;
        samples::predictions(rows, self.graph.outputs(), predictions)
    }

    /// As [`Model::predict`], in f64: the full precision of the reference device.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential};
    /// use ndarray::array;
    /// let mut model = Sequential::new(1).then(Dense::new(1)).on(&Device::reference())?;
    /// model.set_named_parameters([("layers.0.weight", array![[0.1]].into_dyn().view())])?;
    /// assert_eq!(model.predict_f64(&array![[1.0]])?[[0, 0]], 0.1);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_f64<S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
    ) -> Result<Array2<f64>> {
        let (rows, predictions) = self.predicted(features)?;
        Array2::from_shape_vec((rows, self.graph.outputs()), predictions)
            .map_err(|error| shape_error("predict", error.to_string(), "[rows, outputs]"))
    }

    /// Predictions for rows of features, flat, and the number of rows.
    fn predicted<S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
    ) -> Result<(usize, Vec<f64>)> {
        let rows = features.shape().first().copied().unwrap_or(0);
        let flat =
            samples::features(self.input_spec(), "predict", FeatureElement::features(features))?;
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
        let data = self.engine.load(&samples)?;
        let predictions = self.engine.predict(data, self.graph.prediction_batch());
        self.engine.unload(data);
        Ok((rows, predictions?))
    }

    /// Number of weights and biases.
    pub fn parameters(&self) -> usize {
        self.graph.parameter_count()
    }

    /// The model's device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The shape of a row: [height, width, channels] for a model of images, `[tokens]` of sequences,
    /// `[features]`.
    pub fn input_shape(&self) -> &[usize] {
        self.graph.shape(self.graph.input())
    }

    /// Number of features per row.
    pub fn inputs(&self) -> usize {
        self.graph.inputs()
    }

    /// Length of a prediction.
    pub fn outputs(&self) -> usize {
        self.graph.outputs()
    }

    /// The loss that the model was compiled with.
    pub fn loss(&self) -> Option<&dyn LossDefinition> {
        self.compiled.as_ref().map(|compiled| &*compiled.loss)
    }

    /// True for a classifier: its loss takes classes, or its last layer is a softmax.
    pub fn predicts_classes(&self) -> bool {
        let takes_classes = self.loss().is_some_and(|loss| {
            !matches!(
                loss.inner().unwrap_or(loss).targets(),
                Domain::Real | Domain::Positive | Domain::NonNegative
            )
        });
        let softmax = self.graph.output_activation() == Softmax.name();
        self.outputs() > 1 && (takes_classes || softmax)
    }

    /// True if an output is the logarithm of the predicted number, as for
    /// [`crate::losses::PoissonNll`]: the prediction is exp(output).
    pub fn predicts_logarithms(&self) -> bool {
        self.loss().is_some_and(|loss| {
            let is_number =
                matches!(loss.targets(), Domain::Real | Domain::Positive | Domain::NonNegative);
            is_number && loss.predictions() == Domain::Exponent
        })
    }

    /// The name of the last layer's activation; with the loss it determines the meaning of the
    /// outputs.
    pub fn output_activation(&self) -> &'static str {
        self.graph.output_activation()
    }

    /// The schedule of the last training, and true if it counts epochs: to continue with it
    /// ([`crate::Fit::shared_schedule`]).
    pub fn schedule(&self) -> Option<(Arc<dyn Schedule>, bool)> {
        self.schedule.as_ref().map(|learning_rate_policy| {
            (learning_rate_policy.schedule.clone(), learning_rate_policy.by_epoch)
        })
    }

    /// The held-out rows of the training data.
    pub fn held_out(&self) -> Option<HeldOut> {
        self.held_out
    }

    /// Sets the held-out rows; saved with the model.
    pub fn set_held_out(&mut self, held_out: HeldOut) {
        self.held_out = Some(held_out);
    }

    /// True if the current or last training read its rows in blocks ([`Model::fit_blocks`]): it
    /// resumes in that order.
    pub fn takes_blocks(&self) -> bool {
        self.training.as_ref().is_some_and(|training| training.options.in_blocks)
    }

    /// The options for resuming the current or last training, or that of the loaded file: those
    /// that affect its numbers, its schedule and average, and the number of epochs left, which may
    /// be 0. Validation rows, the checkpoint and callbacks must be set again. `None` for an
    /// untrained model.
    ///
    /// ```
    /// use gradus::{Dense, Device, EarlyStopping, Fit, Model, Sequential, losses::Mse,
    /// optimizers::Adam};
    /// # use ndarray::array;
    /// # let (x, y) = (array![[0.0_f32], [1.0], [2.0]], array![[0.0_f32], [1.0], [2.0]]);
    /// # let path = std::env::temp_dir().join(format!("gradus-resume-{}.safetensors", std::process::id()));
    /// let mut model =
    /// Sequential::new(1).then(Dense::new(1)).on(&Device::cpu())?.compile(Mse::new(),
    /// Adam::new())?; let fit =
    /// Fit::new().epochs(9).early_stopping(EarlyStopping::new().patience(3)).checkpoint(&path);
    /// model.fit(&x, &y, fit.on_epoch(|epoch, _| if epoch < 4 { std::ops::ControlFlow::Continue(())
    /// } else { std::ops::ControlFlow::Break(()) }))?;
    ///
    /// // Another day, or behind a crash:
    /// let mut model = Model::load(&path, &Device::cpu())?;
    /// let fit = model.fit_to_resume().unwrap_or_default();
    /// let history = model.fit(&x, &y, fit.checkpoint(&path))?;
    /// assert_eq!((history.before, history.epochs.len()), (4, 9));
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn fit_to_resume(&self) -> Option<Fit> {
        let training = self.training.as_ref()?;
        let mut fit = training.options.fit().epochs(training.left()).resume(true);
        (fit.schedule, fit.average) = (self.schedule.clone(), self.average);
        fit.steps_until = training.options.until;
        Some(fit)
    }

    /// The epochs of the current or last training, or that of the loaded file. Empty if early
    /// stopping ended it, and for an untrained model.
    pub fn history(&self) -> &[Epoch] {
        self.training.as_ref().map_or(&[], |training| &training.monitor.history.epochs)
    }

    /// Number of parameter updates so far.
    pub fn steps(&self) -> u64 {
        self.progress.steps
    }

    /// Weights [inputs, units] and bias (empty if none) of each dense layer without a name; those of
    /// any layer by path: [`Model::named_parameters`].
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, layers::LayerNorm};
    /// let model = Sequential::new(3).then(LayerNorm::new()).then(Dense::new(2)).on(&Device::cpu())?;
    /// let weights = model.weights()?;
    /// assert_eq!((weights.len(), weights[0].0.dim(), weights[0].1.len()), (1, (3, 2), 2));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Device errors.
    pub fn weights(&self) -> Result<Vec<(Array2<f64>, Vec<f64>)>> {
        let flat = self.engine.parameters()?;
        let of = |path: String| {
            let parameter = self.graph.parameter(&path);
            parameter.map(|parameter| (parameter.shape.clone(), &flat[self.graph.range(parameter)]))
        };
        let layer = |index: usize| {
            let (shape, weight) = of(format!("layers.{index}.weight"))?;
            // Norms have one axis, convolutions four.
            let [inputs, units] = shape[..] else { return None };
            let weight = Array2::from_shape_vec((inputs, units), weight.to_vec()).ok()?;
            Some((
                weight,
                of(format!("layers.{index}.bias")).map_or_else(Vec::new, |(_, bias)| bias.to_vec()),
            ))
        };
        Ok((0..self.description.layers.len()).filter_map(layer).collect())
    }

    /// All parameters by path, in the order in which they are saved: `embedding.weight`,
    /// `layers.0.weight`, `layers.0.bias` and so on. PyTorch's `named_parameters`; a weight is
    /// [inputs, units].
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential};
    /// let model = Sequential::new(3).then(Dense::new(2)).on(&Device::cpu())?;
    /// let named = model.named_parameters()?;
    /// assert_eq!((named[0].0.as_str(), named[0].1.shape()), ("layers.0.weight", &[3, 2][..]));
    /// assert_eq!((named[1].0.as_str(), named[1].1.shape()), ("layers.0.bias", &[2][..]));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Device errors.
    pub fn named_parameters(&self) -> Result<Vec<(String, ArrayD<f64>)>> {
        let flat = self.engine.parameters()?;
        let named = |parameter: &crate::nn::graph::nodes::Parameter| {
            let values = flat[self.graph.range(parameter)].to_vec();
            let array = ArrayD::from_shape_vec(&parameter.shape[..], values);
            let refused = |error: ndarray::ShapeError| {
                shape_error(&parameter.path, error.to_string(), "its shape")
            };
            Ok((parameter.path.clone(), array.map_err(refused)?))
        };
        self.graph.parameters.iter().map(named).collect()
    }

    /// Sets parameters by path: those of [`Model::named_parameters`], or some of them. Progress and
    /// the optimizer's state stay.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential};
    /// use ndarray::array;
    /// let mut model = Sequential::new(1).then(Dense::new(1)).on(&Device::cpu())?;
    /// let weight = array![[2.0]].into_dyn();
    /// model.set_named_parameters([("layers.0.weight", weight.view())])?;
    /// assert_eq!(model.predict(&array![[3.0]])?[[0, 0]], 6.0);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unknown`] with the known paths, [`Error::Shape`] for another shape,
    /// [`Error::NonFinite`]; the model is left as it was. Device errors.
    pub fn set_named_parameters<'p>(
        &mut self,
        named: impl IntoIterator<Item = (&'p str, ArrayViewD<'p, f64>)>,
    ) -> Result<()> {
        let mut flat = self.engine.parameters()?;
        for (path, values) in named {
            let known = || self.graph.parameters.iter().map(|known| known.path.as_str());
            let parameter = self.graph.parameter(path);
            let parameter = parameter.ok_or_else(|| Error::unknown("parameter", path, known()))?;
            if values.shape() != parameter.shape {
                let found = format!("given as {:?}", values.shape());
                return Err(shape_error(path, found, &format!("{:?}", parameter.shape)));
            }
            let mut outside = values.iter().enumerate().filter(|(_, value)| !value.is_finite());
            if let Some((place, value)) = outside.next() {
                return Err(Error::NonFinite {
                    operation: "set_named_parameters".into(),
                    name: path.into(),
                    found: value.to_string(),
                    position: format!("element {place}"),
                    count: 1 + outside.count(),
                });
            }
            let own = &mut flat[self.graph.range(parameter)];
            own.iter_mut().zip(values.iter()).for_each(|(own, &value)| *own = value);
        }
        self.engine.set_parameters(&flat)
    }

    /// Running statistics by path, as `bn1.running_mean`; empty for a model without batch norm.
    /// PyTorch's `named_buffers`.
    ///
    /// # Errors
    /// Device errors.
    pub fn named_statistics(&self) -> Result<Vec<(String, Vec<f64>)>> {
        if self.graph.statistics.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.engine.parameters()?.split_off(self.graph.all_length());
        let named = |statistic: &crate::nn::graph::nodes::Statistic| {
            (statistic.path.clone(), all[statistic.range.clone()].to_vec())
        };
        Ok(self.graph.statistics.iter().map(named).collect())
    }

    /// The table of a model that begins with an embedding, [rows, width].
    ///
    /// # Errors
    /// Device errors.
    pub fn embedding(&self) -> Result<Option<Array2<f64>>> {
        let Some(embedding) = self.graph.embedding() else { return Ok(None) };
        let mut table = self.engine.parameters()?.split_off(self.graph.length);
        table.truncate(embedding.length());
        let array = Array2::from_shape_vec((embedding.rows, embedding.width), table);
        array
            .map(Some)
            .map_err(|error| shape_error("embedding", error.to_string(), "[rows, width]"))
    }

    /// Memory of the model on its device, in bytes: of parameters, gradients and optimizer, of a
    /// training step of `batch_size` rows, and of a prediction. From the shapes alone: nothing is
    /// allocated or run. Rows are those that run through the network: for a loss of lists, the items
    /// of a batch.
    ///
    /// [`Model::fit`] refuses a step that does not fit before it begins.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, losses::Mse, optimizers::Adam};
    /// let model = Sequential::new(100)
    ///     .then(Dense::new(50))
    ///     .then(Dense::new(1))
    ///     .on(&Device::cpu())?
    ///     .compile(Mse::new(), Adam::new())?;
    /// let memory = model.memory(64)?;
    /// // 100 · 50 + 50 and 50 + 1 numbers, each layer's padded to a multiple of four.
    /// assert_eq!((memory.parameters, memory.gradients), (4 * (5052 + 52), 4 * (5052 + 52)));
    /// // The input and the first layer's output are read again in the backward pass.
    /// assert_eq!(memory.activations, 4 * 64 * (100 + 50));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Option`] for a batch size of 0.
    pub fn memory(&self, batch_size: usize) -> Result<Memory> {
        self.memory_with(batch_size, self.average.is_some())
    }

    /// As [`Model::memory`], with a running average or without.
    pub(crate) fn memory_with(&self, batch_size: usize, averages: bool) -> Result<Memory> {
        if batch_size == 0 {
            return Err(Error::option("memory", "batch_size", batch_size, "at least 1"));
        }
        let compiled = self.compiled.as_ref();
        let states = compiled.map_or(0, |compiled| compiled.optimizer.states());
        let chunked_head = compiled.is_some_and(|compiled| compiled.fused_head.is_some());
        let of_outputs = |compiled: &Compiled| {
            compiled.fused_head.as_ref().unwrap_or(&compiled.loss).targets().takes_labels()
        };
        let takes_labels = compiled.is_some_and(of_outputs);
        let graph = &self.graph;
        let targets = if takes_labels { graph.positions() } else { graph.outputs() };
        let (engine, rows) = (&self.engine, graph.prediction_batch());
        let prediction = engine.batch_plan(rows, Purpose::Prediction, false);
        let evaluation = engine.batch_plan(rows, Purpose::Evaluation, chunked_head);
        let training = engine.batch_plan(batch_size, Purpose::Training, chunked_head);
        let walks =
            Walks { training, evaluation, prediction, targets: batch_size.saturating_mul(targets) };
        let kept = Kept::of(graph, states + usize::from(averages));
        Ok(Memory::new(&self.device, kept, Some(&walks)))
    }

    /// A table of the layers, their shapes and parameter counts, those inside of named blocks too (a
    /// block of a deep network is one line), and the memory of a training step
    /// of 32 rows, the default of [`Fit::batch_size`]: Keras' `summary`.
    pub fn summary(&self) -> String {
        self.summary_for(32)
    }

    /// As [`Model::summary`], with the memory of a training step of `batch_size` rows.
    pub fn summary_for(&self, batch_size: usize) -> String {
        let mut lines = Vec::new();
        if let Some(embedding) = self.graph.embedding() {
            let (ids, outputs) = (embedding.ids, embedding.outputs());
            let (name, shape) = (format!("embedding of {ids} ids"), format!("[rows, {outputs}]"));
            lines.push((name, shape, embedding.length()));
        }
        let mut last = 0;
        for (path, layer) in self.description.lines() {
            let name = line_name(&path, layer);
            let is_own = |of: &str| {
                of.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let own = self.graph.parameters.iter().filter(|parameter| is_own(&parameter.path));
            let parameters: usize = own.map(|parameter| parameter.length()).sum();
            // A layer without a node, as an identity, has the output of the layer before it.
            last = self.graph.nodes.iter().rposition(|node| is_own(&node.path)).unwrap_or(last);
            let axes: Vec<String> =
                self.graph.shape(Value(last + 1)).iter().map(ToString::to_string).collect();
            let shape = format!("[rows, {}]", axes.join(", "));
            lines.push((name, shape, parameters));
        }
        let wide = |least: usize, column: fn(&(String, String, usize)) -> &String| {
            lines.iter().map(|line| column(line).chars().count()).fold(least, usize::max)
        };
        let [names, shapes] = [wide(24, |line| &line.0), wide(16, |line| &line.1)];
        let mut text = format!("{:<names$} {:<shapes$} {:>12}\n", "layer", "output", "parameters");
        for (name, shape, parameters) in &lines {
            let _ = writeln!(text, "{name:<names$} {shape:<shapes$} {parameters:>12}");
        }
        let parameters = self.parameters();
        let _ = write!(
            text,
            "{parameters} parameters ({}) on {}",
            text::bytes(4.0 * parameters as f64),
            self.device.describe()
        );
        if let Ok(memory) = self.memory(batch_size.max(1)) {
            let _ = write!(text, "\n{memory}");
        }
        text
    }
}

/// The name of a layer in a summary: its path, then what it is.
fn line_name(path: &str, layer: &dyn Layer) -> String {
    let path = path.trim_start_matches("layers.");
    let any = layer as &dyn Any;
    match any.downcast_ref::<Dense>() {
        // A layer that is numbered says its activation.
        Some(dense) if path.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("{path} dense, {}", dense.activation.name())
        }
        _ if any.is::<Sequential>() => format!("{path} block"),
        _ => format!("{path} {}", layer.name()),
    }
}

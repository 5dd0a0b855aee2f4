//! Networks: description, training, prediction.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use gradus::{
    Augment, Average, ClassWeight, EarlyStopping, Epoch, Fit, History, Reduce, Sequential, Stop,
    Targets, activations, layers, losses, optimizers, schedules,
};
use ndarray::{ArrayD, Ix1};
use numpy::{Element, IntoPyArray, PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyKeyError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use serde_json::{Value, json};

use crate::arrays::{Array, View};
use crate::device::{Device, device_of};
use crate::errors::{raised, refused};
use crate::json::{options, value_of};
use crate::threads::{Failure, Threads};

/// A network on a device; `gradus_ml.Sequential` makes it.
#[pyclass(frozen, module = "gradus_ml._gradus")]
pub struct Model {
    model: Mutex<gradus::Model>,
    pub threads: Threads,
}

/// Features that a model reads.
pub enum Features<'a> {
    F32(ndarray::ArrayViewD<'a, f32>),
    F64(ndarray::ArrayViewD<'a, f64>),
    U8(ndarray::ArrayViewD<'a, u8>),
}

/// Calls with the features, whose types differ.
macro_rules! with_features {
    ($features:expr, |$array:ident| $run:expr) => {
        match $features {
            $crate::model::Features::F32($array) => $run,
            $crate::model::Features::F64($array) => $run,
            $crate::model::Features::U8($array) => $run,
        }
    };
}
pub(crate) use with_features;

pub fn features<'a>(array: &'a Array<'_>) -> PyResult<Features<'a>> {
    match array.view() {
        View::F32(array) => Ok(Features::F32(array)),
        View::F64(array) => Ok(Features::F64(array)),
        View::U8(array) => Ok(Features::U8(array)),
        _ => Err(refused("model", "x", "holds no numbers", "it must be an array of numbers")),
    }
}

/// Features as given: whole numbers of more than a byte are ids or counts, bytes are pixels.
pub fn features_array<'py>(name: &str, object: &Bound<'py, PyAny>) -> PyResult<Array<'py>> {
    let array = Array::new(name, object)?;
    Ok(match &array {
        Array::I64(_) | Array::Bool(_) => array.into_floats(),
        _ => array,
    })
}

/// Whole numbers are labels where the loss takes them, else numbers.
pub fn targets_array<'py>(
    model: &gradus::Model,
    name: &str,
    object: &Bound<'py, PyAny>,
    grouped: bool,
) -> PyResult<Array<'py>> {
    let array = Array::new(name, object)?;
    // `fit` makes one-hot rows of labels [rows] for a loss of dense targets with several outputs.
    let is_number = model.loss().is_some_and(|loss| {
        let loss = loss.inner().unwrap_or(loss);
        grouped
            || !loss.targets().takes_labels()
                && (model.outputs() == 1 || array.view().shape().len() > 1)
    });
    Ok(if is_number { array.into_floats() } else { array.into_labels() })
}

pub fn targets<'a>(view: &'a View<'a>, groups: Option<&'a [usize]>) -> PyResult<Targets<'a>> {
    match (groups, view) {
        (None, view) => Ok(view.targets()),
        (Some(groups), View::F32(array)) => Ok(Targets::grouped(array, groups)),
        (Some(groups), View::F64(array)) => Ok(Targets::grouped(array, groups)),
        _ => Err(refused("model", "y", "holds no relevances", "with groups it must hold numbers")),
    }
}

impl Model {
    /// The model, if no other call has it: a callback of `fit` would wait for itself.
    pub fn own(&self) -> PyResult<MutexGuard<'_, gradus::Model>> {
        match self.model.try_lock() {
            Ok(model) => Ok(model),
            Err(TryLockError::Poisoned(error)) => Ok(error.into_inner()),
            Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
                "the model is in use: by another thread, or by the fit that called this callback",
            )),
        }
    }

    fn device_of(&self, model: &gradus::Model) -> Device {
        Device { device: model.device().clone(), threads: self.threads }
    }

    /// What `make` makes on a device.
    pub fn on(
        py: Python<'_>,
        device: &Device,
        make: impl FnOnce(&gradus::Device) -> gradus::Result<gradus::Model> + Send,
    ) -> PyResult<Self> {
        let model = device.threads.detached(py, || make(&device.device)).map_err(raised)?;
        Ok(Model { model: Mutex::new(model), threads: device.threads })
    }
}

/// A key of a description.
pub fn key<'py>(given: &Bound<'py, PyDict>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    given.get_item(name)?.ok_or_else(|| PyKeyError::new_err(name.to_string()))
}

/// The layers' activations may be given by name alone.
fn with_activation(value: Value) -> Value {
    match value {
        Value::String(name) => json!({ "name": name, "options": {} }),
        Value::Null => json!({ "name": "identity", "options": {} }),
        other => other,
    }
}

#[pymethods]
impl Model {
    /// From a description: `input` (the shape of a row), `embedding` ([ids, rows, width] or None),
    /// `layers` (dicts of `layer`, `name`, `options`), `seed`, `l1`, `l2`, `proximal_l1`.
    #[new]
    fn new(
        py: Python<'_>,
        description: &Bound<'_, PyDict>,
        device: &Bound<'_, PyAny>,
    ) -> PyResult<Self> {
        let shape: Vec<usize> = key(description, "input")?.extract()?;
        let embedding: Option<(usize, usize, usize)> = key(description, "embedding")?.extract()?;
        let mut network = match (embedding, &shape[..]) {
            (Some((ids, rows, width)), _) => Sequential::of_ids(ids, [rows, width]),
            (None, &[inputs]) => Sequential::new(inputs),
            (None, &[height, width, channels]) => Sequential::images([height, width, channels]),
            _ => {
                return Err(refused(
                    "a model",
                    "the input",
                    &format!("has the shape {shape:?}"),
                    "it must be [features], [tokens] or [height, width, channels]",
                ));
            }
        };
        network = network
            .seed(key(description, "seed")?.extract()?)
            .l1(key(description, "l1")?.extract()?)
            .l2(key(description, "l2")?.extract()?)
            .proximal_l1(key(description, "proximal_l1")?.extract()?);
        for layer in key(description, "layers")?.try_iter()? {
            let form = value_of("a model", "layers", &layer?)?;
            let kind = form["layer"].as_str().unwrap_or("").to_string();
            let made = layers::from_name(&kind, form["options"].clone()).map_err(raised)?;
            network = network.then_shared(form["name"].as_str(), made);
        }
        let device = device_of(py, Some(device))?;
        Model::on(py, &device, |device| network.on(device))
    }

    /// Reads a file of `save`.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf, device: &Bound<'_, PyAny>) -> PyResult<Self> {
        let device = device_of(py, Some(device))?;
        Model::on(py, &device, |device| gradus::Model::load(path, device))
    }

    /// Reads the bytes of `to_bytes`.
    #[staticmethod]
    fn from_bytes(py: Python<'_>, data: &[u8], device: &Bound<'_, PyAny>) -> PyResult<Self> {
        let device = device_of(py, Some(device))?;
        Model::on(py, &device, |device| gradus::Model::from_bytes(data, device))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let model = self.own()?;
        let bytes = self.threads.detached(py, || model.to_bytes()).map_err(raised)?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let model = self.own()?;
        self.threads.detached(py, || model.save(path)).map_err(raised)
    }

    /// The bytes of an ONNX file.
    fn to_onnx<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let model = self.own()?;
        let bytes = self.threads.detached(py, || model.to_onnx()).map_err(raised)?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn save_onnx(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let model = self.own()?;
        self.threads.detached(py, || model.save_onnx(path)).map_err(raised)
    }

    /// PyTorch's names and order of axes.
    fn save_weights(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let model = self.own()?;
        self.threads.detached(py, || model.save_weights(path)).map_err(raised)
    }

    fn load_weights(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let mut guard = self.own()?;
        let model = &mut *guard;
        self.threads.detached(py, || model.load_weights(path)).map_err(raised)
    }

    #[pyo3(signature = (loss, loss_options, optimizer, optimizer_options))]
    fn compile(
        &self,
        py: Python<'_>,
        loss: &str,
        loss_options: Option<&Bound<'_, PyDict>>,
        optimizer: &str,
        optimizer_options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let loss = losses::from_name(loss, &options(loss, loss_options)?).map_err(raised)?;
        let given = options(optimizer, optimizer_options)?;
        let optimizer = optimizers::from_name(optimizer, &given).map_err(raised)?;
        let mut guard = self.own()?;
        let model = &mut *guard;
        self.threads.detached(py, || model.compile_in_place(loss, optimizer)).map_err(raised)
    }

    /// Trains; `settings` are the options of `Sequential.fit` that were given.
    fn fit<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: &Bound<'py, PyAny>,
        groups: Option<Vec<usize>>,
        settings: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let mut guard = self.own()?;
        let model = &mut *guard;
        let x = features_array("x", x)?;
        let y = targets_array(model, "y", y, groups.is_some())?;
        let failure = Arc::new(Failure::default());
        let fit = fit_of(model, settings, &failure)?;
        let (features, view) = (features(&x)?, y.view());
        let targets = targets(&view, groups.as_deref())?;
        let history = self.threads.training(py, &failure, || {
            with_features!(features, |array| model.fit(&array, targets, fit))
        })?;
        drop(guard);
        if let Some(error) = failure.take() {
            return Err(error);
        }
        report(py, &history.map_err(raised)?)
    }

    /// Loss and accuracy.
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: &Bound<'py, PyAny>,
        groups: Option<Vec<usize>>,
    ) -> PyResult<(f64, Option<f64>)> {
        let mut guard = self.own()?;
        let model = &mut *guard;
        let x = features_array("x", x)?;
        let y = targets_array(model, "y", y, groups.is_some())?;
        let (features, view) = (features(&x)?, y.view());
        let targets = targets(&view, groups.as_deref())?;
        let score = self
            .threads
            .detached(py, || with_features!(features, |array| model.evaluate(&array, targets)));
        let score = score.map_err(raised)?;
        Ok((score.loss, score.accuracy))
    }

    fn predict<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let mut guard = self.own()?;
        let model = &mut *guard;
        let x = features_array("x", x)?;
        let features = features(&x)?;
        let found =
            self.threads.detached(py, || with_features!(features, |array| model.predict(&array)));
        Ok(found.map_err(raised)?.into_pyarray(py))
    }

    /// As `predict`, float64.
    fn predict_exact<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let mut guard = self.own()?;
        let model = &mut *guard;
        let x = features_array("x", x)?;
        let features = features(&x)?;
        let found = self
            .threads
            .detached(py, || with_features!(features, |array| model.predict_f64(&array)));
        Ok(found.map_err(raised)?.into_pyarray(py))
    }

    /// The loss of a batch and its gradients by path.
    fn gradients<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        y: &Bound<'py, PyAny>,
    ) -> PyResult<(f64, Bound<'py, PyDict>)> {
        let mut guard = self.own()?;
        let model = &mut *guard;
        let x = features_array("x", x)?;
        let y = targets_array(model, "y", y, false)?;
        let (features, view) = (features(&x)?, y.view());
        let found = self.threads.detached(py, || {
            with_features!(features, |array| model.gradients(&array, view.targets()))
        });
        let (loss, gradients) = found.map_err(raised)?;
        Ok((loss, named(py, gradients)?))
    }

    fn named_parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.own()?;
        let found = self.threads.detached(py, || model.named_parameters()).map_err(raised)?;
        named(py, found)
    }

    fn set_named_parameters(&self, py: Python<'_>, parameters: &Bound<'_, PyDict>) -> PyResult<()> {
        let mut guard = self.own()?;
        let model = &mut *guard;
        let mut all: Vec<(String, ArrayD<f64>)> = Vec::new();
        for (path, array) in parameters.iter() {
            let path: String = path.extract()?;
            let array = match Array::new(&path, &array)?.into_floats().view() {
                View::F32(array) => array.mapv(f64::from),
                View::F64(array) => array.to_owned(),
                _ => {
                    return Err(refused("model", &path, "holds no numbers", "it must hold floats"));
                }
            };
            all.push((path, array));
        }
        let views = all.iter().map(|(path, array)| (path.as_str(), array.view()));
        self.threads
            .detached(py, || model.set_named_parameters(views.collect::<Vec<_>>()))
            .map_err(raised)
    }

    fn set_input_scaling(&self, mean: Vec<f64>, scale: Vec<f64>) -> PyResult<()> {
        self.own()?.set_input_scaling(mean, scale).map_err(raised)
    }

    /// The model of the averaged weights.
    fn averaged(&self, py: Python<'_>) -> PyResult<Self> {
        let model = self.own()?;
        Model::on(py, &self.device_of(&model), |_| model.averaged())
    }

    fn summary(&self, batch_size: usize) -> PyResult<String> {
        Ok(self.own()?.summary_for(batch_size))
    }

    #[getter]
    fn parameters(&self) -> PyResult<usize> {
        Ok(self.own()?.parameters())
    }

    #[getter]
    fn steps(&self) -> PyResult<u64> {
        Ok(self.own()?.steps())
    }

    #[getter]
    fn input_shape(&self) -> PyResult<Vec<usize>> {
        Ok(self.own()?.input_shape().to_vec())
    }

    #[getter]
    fn outputs(&self) -> PyResult<usize> {
        Ok(self.own()?.outputs())
    }

    #[getter]
    fn output_activation(&self) -> PyResult<&'static str> {
        Ok(self.own()?.output_activation())
    }

    #[getter]
    fn loss(&self) -> PyResult<Option<&'static str>> {
        Ok(self.own()?.loss().map(|loss| loss.name()))
    }

    #[getter]
    fn predicts_classes(&self) -> PyResult<bool> {
        Ok(self.own()?.predicts_classes())
    }

    #[getter]
    fn device(&self) -> PyResult<Device> {
        Ok(self.device_of(&*self.own()?))
    }
}

fn named<'py>(py: Python<'py>, arrays: Vec<(String, ArrayD<f64>)>) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    arrays
        .into_iter()
        .try_for_each(|(path, array)| found.set_item(path, array.into_pyarray(py)))?;
    Ok(found)
}

/// Runs Python's signal handlers, then a callback; a true answer or an exception ends the training.
pub fn ask(failure: &Failure, call: impl FnOnce(Python<'_>) -> PyResult<bool>) -> ControlFlow<()> {
    let found = Python::attach(|py| {
        py.check_signals()?;
        call(py)
    });
    match found {
        Ok(false) if !failure.is_there() => ControlFlow::Continue(()),
        Ok(_) => ControlFlow::Break(()),
        Err(error) => {
            failure.keep(error);
            ControlFlow::Break(())
        }
    }
}

/// A callable that changes an array in place: numbers are copied into a new array of Python's own,
/// which it may keep, and back.
struct Reducer {
    call: Py<PyAny>,
    failure: Arc<Failure>,
}

impl Reduce for Reducer {
    fn reduce(&mut self, numbers: &mut [f32]) -> gradus::Result<()> {
        reduced(&self.call, &self.failure, numbers)
    }

    fn reduce_f64(&mut self, numbers: &mut [f64]) -> gradus::Result<()> {
        reduced(&self.call, &self.failure, numbers)
    }
}

/// Calls with a new array of the numbers, as the callable may keep that of a call before.
fn reduced<T: Element + Copy>(
    call: &Py<PyAny>,
    failure: &Failure,
    numbers: &mut [T],
) -> gradus::Result<()> {
    let done = Python::attach(|py| {
        let array = PyArray1::from_slice(py, numbers);
        call.call1(py, (&array,))?;
        let allowed = format!("it must stay an array of {} numbers in order", numbers.len());
        let wrong = |found: &str| refused("fit", "the array of `reduce`", found, &allowed);
        let changed = array.try_readonly().map_err(|_| wrong("is written to elsewhere"))?;
        let changed = changed.as_slice().map_err(|_| wrong("has other strides"))?;
        if changed.len() != numbers.len() {
            return Err(wrong(&format!("has {} numbers", changed.len())));
        }
        numbers.copy_from_slice(changed);
        Ok::<(), PyErr>(())
    });
    done.map_err(|error| {
        let message = error.to_string();
        failure.keep(error);
        gradus::Error::Exchange { message }
    })
}

fn weights(name: &str, object: &Bound<'_, PyAny>) -> PyResult<ndarray::Array1<f64>> {
    let array = match Array::new(name, object)?.into_floats().view() {
        View::F32(array) => array.mapv(f64::from),
        View::F64(array) => array.to_owned(),
        _ => return Err(refused("fit", name, "holds no numbers", "it must hold floats")),
    };
    let found = format!("has the shape {:?}", array.shape());
    array
        .into_dimensionality::<Ix1>()
        .map_err(|_| refused("fit", name, &found, "it must be [rows]"))
}

fn fit_of(
    model: &gradus::Model,
    settings: &Bound<'_, PyDict>,
    failure: &Arc<Failure>,
) -> PyResult<Fit> {
    // A training that goes on begins with the options of the file.
    let resume =
        settings.get_item("resume")?.is_some_and(|value| value.is_truthy().unwrap_or(false));
    let mut fit = match model.fit_to_resume().filter(|_| resume) {
        Some(fit) => fit,
        None => Fit::new(),
    };
    fit = fit.progress(false);
    for (name, value) in settings.iter() {
        let name: String = name.extract()?;
        if value.is_none() {
            continue;
        }
        fit = match name.as_str() {
            "resume" => fit,
            "epochs" => fit.epochs(value.extract()?),
            "steps" => fit.steps(value.extract()?),
            "batch_size" => fit.batch_size(value.extract()?),
            "accumulate" => fit.accumulate(value.extract()?),
            "shuffle" => fit.shuffle(value.extract()?),
            "validation_split" => fit.validation_split(value.extract()?),
            "validation_data" => validation(model, fit, &value)?,
            "validation_weight" => fit.validation_weight(&weights(&name, &value)?),
            "sample_weight" => fit.sample_weight(&weights(&name, &value)?),
            "class_weight" => match value.extract::<String>() {
                Ok(word) if word == "balanced" => fit.class_weight(ClassWeight::Balanced),
                Ok(word) => {
                    return Err(refused(
                        "fit",
                        &name,
                        &format!("is {word}"),
                        "it must be balanced or one number for each class",
                    ));
                }
                Err(_) => fit.class_weight(ClassWeight::Each(value.extract()?)),
            },
            "pos_weight" => fit.pos_weight(value.extract()?),
            "learning_rate" => fit.learning_rate(value.extract()?),
            "schedule" => {
                let (name, given, by_epoch): (String, Bound<'_, PyDict>, bool) = value.extract()?;
                let schedule =
                    schedules::from_name(&name, &options(&name, Some(&given))?).map_err(raised)?;
                fit.shared_schedule(schedule.into(), by_epoch)
            }
            "clip_norm" => fit.clip_norm(value.extract()?),
            "clip_tensor_norm" => fit.clip_tensor_norm(value.extract()?),
            "clip_value" => fit.clip_value(value.extract()?),
            "skip_non_finite" => fit.skip_non_finite(value.extract()?),
            "mixed_precision" => fit.mixed_precision(value.extract()?),
            "average" => fit.average(Average::new(value.extract()?)),
            "augment" => {
                let (crop, flip, cutout) = value.extract()?;
                fit.augment(Augment::new().crop(crop).flip(flip).cutout(cutout))
            }
            "early_stopping" => {
                let (patience, min_delta, restore_best) = value.extract()?;
                let early = EarlyStopping::new().patience(patience).min_delta(min_delta);
                fit.early_stopping(early.restore_best(restore_best))
            }
            "checkpoint" => fit.checkpoint(value.extract::<PathBuf>()?),
            "on_epoch" => {
                let (call, failure) = (value.unbind(), failure.clone());
                fit.on_epoch(move |number, epoch| {
                    ask(&failure, |py| call.call1(py, (number, columns(py, epoch)?))?.is_truthy(py))
                })
            }
            "on_step" => {
                let (call, failure) = (value.unbind(), failure.clone());
                fit.on_step(move |epoch, step| {
                    ask(&failure, |py| {
                        call.call1(py, (epoch, step.batch, step.batches, step.loss))?.is_truthy(py)
                    })
                })
            }
            "reduce" => fit.reduce(Reducer { call: value.unbind(), failure: failure.clone() }),
            "shard" => {
                let (rank, world) = value.extract()?;
                fit.shard(rank, world)
            }
            _ => return Err(refused("fit", &name, "is unknown", "see help(Sequential.fit)")),
        };
    }
    let heard = settings.get_item("on_step")?.is_some_and(|call| !call.is_none());
    if !heard {
        // Ctrl-C is heard between steps.
        let failure = failure.clone();
        fit = fit.on_step(move |_, _| ask(&failure, |_| Ok(false)));
    }
    Ok(fit)
}

fn validation(model: &gradus::Model, fit: Fit, given: &Bound<'_, PyAny>) -> PyResult<Fit> {
    let (x, y, groups): (Bound<'_, PyAny>, Bound<'_, PyAny>, Option<Vec<usize>>) =
        given.extract()?;
    let x = features_array("validation_data", &x)?;
    let y = targets_array(model, "validation_data", &y, groups.is_some())?;
    let view = y.view();
    let targets = targets(&view, groups.as_deref())?;
    Ok(with_features!(features(&x)?, |array| fit.validation_data(&array, targets)))
}

/// The numbers of an epoch that it has.
fn columns<'py>(py: Python<'py>, epoch: &Epoch) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("loss", epoch.loss)?;
    for (name, value) in [
        ("accuracy", epoch.accuracy),
        ("val_loss", epoch.val_loss),
        ("val_accuracy", epoch.val_accuracy),
        ("r2", epoch.r2),
        ("val_r2", epoch.val_r2),
        ("learning_rate", epoch.learning_rate),
    ] {
        if let Some(value) = value {
            found.set_item(name, value)?;
        }
    }
    found.set_item("seconds", epoch.seconds)?;
    Ok(found)
}

fn report<'py>(py: Python<'py>, history: &History) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    let epochs = PyList::empty(py);
    for epoch in &history.epochs {
        epochs.append(columns(py, epoch)?)?;
    }
    let named = PyDict::new(py);
    history.columns().into_iter().try_for_each(|(name, values)| named.set_item(name, values))?;
    found.set_item("columns", named)?;
    found.set_item("epochs", epochs)?;
    found.set_item("steps", history.steps.clone().into_pyarray(py))?;
    found.set_item("stopped", history.stopped.as_ref().map(ToString::to_string))?;
    let (kind, early) = match &history.stopped {
        Some(Stop::Early { best_epoch, .. }) => (Some("early"), Some(*best_epoch)),
        Some(Stop::NotFinite { .. }) => (Some("not_finite"), None),
        Some(Stop::Asked { .. }) => (Some("asked"), None),
        None => (None, None),
    };
    let best = early.or(history.restored);
    found.set_item("stop", kind)?;
    found.set_item("best_epoch", best)?;
    Ok(found)
}

/// The activation of that name, described for a layer; an error for another name or option.
#[pyfunction]
pub fn activation<'py>(py: Python<'py>, given: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let form = with_activation(value_of("activation", "activation", given)?);
    let name = form["name"].as_str().unwrap_or("").to_string();
    let made = activations::from_name(&name, &form["options"]).map_err(raised)?;
    crate::json::to_python(py, &json!({ "name": made.name(), "options": made.options() }))
}

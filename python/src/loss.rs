//! Losses on arrays.

use gradus::losses::{self, Domain, LossDefinition, OneInput, Role, Template};
use gradus::{Criterion, Evaluation, Inputs, OnEmpty, Reduction};
use numpy::{Element, IntoPyArray, PyArrayDyn, PyArrayMethods};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use serde_json::Value;

use crate::arrays::{Array, View, add_input};
use crate::device::{Device, device_of};
use crate::errors::{raised, refused};
use crate::json::{options, to_python};
use crate::names::option_lines;
use crate::threads::Threads;

/// What an input of a loss may hold.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Floats,
    Labels,
    FloatsOrLabels,
    Mask,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Floats => "floats",
            Kind::Labels => "labels",
            Kind::FloatsOrLabels => "floats or labels",
            Kind::Mask => "mask",
        }
    }
}

/// An input of a loss.
struct Input {
    name: &'static str,
    shape: &'static str,
    kind: Kind,
    required: bool,
    differentiated: bool,
}

/// The inputs of a loss, those in front that are given by position.
fn inputs_of(loss: &dyn LossDefinition) -> (Vec<Input>, usize) {
    let optional =
        |name, shape, kind| Input { name, shape, kind, required: false, differentiated: false };
    let mut all: Vec<Input> = match loss.arguments() {
        [] => {
            let pointwise = loss.is_pointwise();
            let targets = match loss.targets() {
                Domain::Label => (Kind::Labels, "[rows]"),
                Domain::Class => {
                    (Kind::FloatsOrLabels, "[rows] labels, or that of the predictions")
                }
                Domain::ClassList => {
                    (Kind::FloatsOrLabels, "[rows, classes] lists of labels, filled up with -1")
                }
                _ => (Kind::Floats, "that of the predictions"),
            };
            let shape = match (pointwise, loss.targets().pads()) {
                (true, _) => "any",
                (_, true) => "[lists, items]",
                _ => "[rows, classes]",
            };
            vec![
                Input {
                    name: "predictions",
                    shape,
                    kind: Kind::Floats,
                    required: true,
                    differentiated: true,
                },
                Input {
                    name: "targets",
                    shape: targets.1,
                    kind: targets.0,
                    required: true,
                    differentiated: false,
                },
            ]
        }
        arguments => arguments
            .iter()
            .map(|argument| Input {
                name: argument.name,
                shape: argument.shape,
                kind: if argument.role.is_integers() { Kind::Labels } else { Kind::Floats },
                required: !argument.role.is_optional(),
                differentiated: matches!(
                    argument.role,
                    Role::Differentiated | Role::OptionalDifferentiated
                ),
            })
            .collect(),
    };
    let positional = all.len();
    all.push(optional("weight", "that of the values, or one for each row", Kind::Floats));
    all.push(optional("row_weight", "[rows], or the first axes of the values", Kind::Floats));
    all.push(optional("mask", "that of the values, or one for each row", Kind::Mask));
    all.push(optional("upstream", "that of the value", Kind::Floats));
    for input in loss.inputs() {
        let kind = if input.name == "class_mask" { Kind::Mask } else { Kind::Floats };
        all.push(optional(input.name, input.shape, kind));
    }
    (all, positional)
}

/// A loss with its options, ready on a device. Call it with arrays; it gives the value and the
/// gradient in one pass.
///
/// Args:
///     name: a name of `gradus_ml.losses()`.
///     device: a `Device` or its name.
///     reduction: "none", "sum", "mean", "batch_mean", "weighted_mean", or a number that the sum is
///         divided by.
///     on_empty: "zero" or "nan", the value of a mean over nothing.
///     class_axis: the axis of the classes, for a loss over classes: 1 as in PyTorch, -1 (where they
///         are if it is None) as in Keras. Predictions of three axes and more that fit both are
///         refused without it.
///     from_probabilities: predictions are probabilities, for a loss of logits or of
///         log-probabilities: Keras' `from_logits=False`.
///     **options: the options of the loss.
///
/// Raises:
///     ValueError: for an unknown name, and for an option outside its domain. A loss without a class
///         axis, or without probabilities, refuses them at the call.
///     RuntimeError: if there is no such device.
///
/// Example:
///     >>> import gradus_ml as gm, numpy as np
///     >>> huber = gm.Loss("huber", delta=0.5)
///     >>> value, gradient = huber(np.float32([1, 2]), np.float32([1, 4]))
///     >>> value, gradient.tolist()
///     (0.4375, [0.0, -0.25])
#[pyclass(frozen, module = "gradus_ml")]
pub struct Loss {
    criterion: Criterion,
    threads: Threads,
    inputs: Vec<Input>,
    positional: usize,
    differentiated: usize,
    /// Predictions and targets, whose gradient can be written in place.
    is_single: bool,
    reduction: String,
    on_empty: String,
    class_axis: Option<isize>,
    from_probabilities: bool,
}

fn reduction_of(given: &Bound<'_, PyAny>) -> PyResult<(Reduction, String)> {
    if let Ok(name) = given.cast::<PyString>() {
        let name: String = name.extract()?;
        return Ok((Reduction::named(&name).map_err(raised)?, name));
    }
    let Ok(divisor) = given.extract::<f64>() else {
        return Err(refused(
            "loss",
            "reduction",
            "is neither a name nor a number",
            "it must be one of none, sum, mean, batch_mean, weighted_mean or a number",
        ));
    };
    Ok((Reduction::Divisor(divisor), format!("divisor({divisor})")))
}

/// An evaluation whose gradients are of either precision.
enum Found {
    Single(Evaluation<f32>),
    Double(Evaluation<f64>),
}

impl Loss {
    fn owner(&self) -> &'static str {
        self.criterion.loss().name()
    }

    fn input(&self, name: &str) -> PyResult<usize> {
        self.inputs.iter().position(|input| input.name == name).ok_or_else(|| {
            let known: Vec<&str> = self.inputs.iter().map(|input| input.name).collect();
            let known = known.join(", ");
            PyValueError::new_err(format!(
                "unknown input of {} `{name}`; known: {known}",
                self.owner()
            ))
        })
    }

    /// The arrays by the number of their input, in the order of the inputs.
    fn collect<'py>(
        &self,
        arrays: &Bound<'py, PyTuple>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Vec<(usize, Array<'py>)>> {
        let mut found = Vec::with_capacity(arrays.len() + named.map_or(0, |named| named.len()));
        if arrays.len() > self.positional {
            let names: Vec<&str> =
                self.inputs[..self.positional].iter().map(|input| input.name).collect();
            return Err(refused(
                self.owner(),
                "the inputs",
                &format!("are {} arrays", arrays.len()),
                &format!("by position it takes {}", names.join(", ")),
            ));
        }
        for (place, array) in arrays.iter_borrowed().enumerate() {
            if !array.is_none() {
                found.push((place, self.array(place, &array)?));
            }
        }
        for (name, array) in named.into_iter().flatten() {
            let name = name.cast_into::<PyString>()?;
            let place = self.input(&name.to_cow()?)?;
            if place < arrays.len() {
                return Err(refused(
                    self.owner(),
                    self.inputs[place].name,
                    "is given twice",
                    "once by position or by name",
                ));
            }
            if !array.is_none() {
                found.push((place, self.array(place, &array)?));
            }
        }
        found.sort_by_key(|(place, _)| *place);
        let missing = self.inputs.iter().enumerate().find(|(place, input)| {
            input.required && !found.iter().any(|(given, _)| given == place)
        });
        match missing {
            None => Ok(found),
            Some((_, input)) => {
                Err(refused(self.owner(), input.name, "is missing", "it must be an array"))
            }
        }
    }

    fn array<'py>(&self, place: usize, object: &Bound<'py, PyAny>) -> PyResult<Array<'py>> {
        let Input { name, kind, .. } = self.inputs[place];
        let array = Array::new(name, object)?;
        Ok(match kind {
            Kind::Floats => array.into_floats(),
            Kind::Labels | Kind::FloatsOrLabels => array.into_labels(),
            Kind::Mask => array,
        })
    }

    fn bound<'a>(&self, found: &[(usize, Array)], views: &'a [View<'a>]) -> PyResult<Inputs<'a>> {
        let name = |place: usize| self.inputs[found[place].0].name;
        // The first one is required, so it is there.
        let mut inputs = Inputs::named(name(0), views[0].targets());
        for (place, view) in views.iter().enumerate().skip(1) {
            inputs = add_input(inputs, self.owner(), name(place), view)?;
        }
        Ok(inputs)
    }

    fn run(&self, py: Python<'_>, inputs: &Inputs) -> PyResult<Found> {
        let found = self.threads.detached(py, || match self.criterion.device() {
            gradus::Device::Reference => self.criterion.evaluate_f64(inputs).map(Found::Double),
            _ => self.criterion.evaluate(inputs).map(Found::Single),
        });
        found.map_err(raised)
    }

    fn value<'py>(
        &self,
        py: Python<'py>,
        values: ndarray::ArrayD<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.reduction.as_str() {
            "none" => Ok(values.into_pyarray(py).into_any()),
            _ => values.sum().into_bound_py_any(py),
        }
    }
}

fn gradients<'py, R: Element>(
    py: Python<'py>,
    found: Evaluation<R>,
) -> PyResult<Bound<'py, PyDict>> {
    let gradients = PyDict::new(py);
    gradients.set_item(found.first, found.gradient.into_pyarray(py))?;
    for (name, gradient) in found.others {
        gradients.set_item(name, gradient.into_pyarray(py))?;
    }
    Ok(gradients)
}

/// Copies into the arrays of `out`, an array or a dictionary of them.
fn copy_out<'py>(
    owner: &str,
    gradients: &Bound<'py, PyDict>,
    out: &Bound<'py, PyAny>,
) -> PyResult<()> {
    let copyto = out.py().import("numpy")?.getattr("copyto")?;
    let shape =
        |array: &Bound<'py, PyAny>| Ok::<_, PyErr>(array.getattr("shape")?.str()?.to_string());
    let copy = |name: &str, gradient: &Bound<'py, PyAny>, out: &Bound<'py, PyAny>| {
        let (ours, theirs) = (shape(gradient)?, shape(out)?);
        if ours != theirs {
            return Err(refused(
                owner,
                "out",
                &format!("is {theirs} but {name} is {ours}"),
                "both must have one shape",
            ));
        }
        copyto.call1((out, gradient)).map(drop)
    };
    if let Ok(named) = out.cast::<PyDict>() {
        for (name, out) in named.iter() {
            let name: String = name.extract()?;
            let Some(gradient) = gradients.get_item(&name)? else {
                let known: Vec<String> = gradients.keys().extract()?;
                return Err(refused(
                    owner,
                    "out",
                    &format!("names {name}"),
                    &format!("gradients: {}", known.join(", ")),
                ));
            };
            copy(&name, &gradient, &out)?;
        }
        return Ok(());
    }
    match gradients.len() {
        1 => gradients
            .iter()
            .try_for_each(|(name, gradient)| copy(&name.extract::<String>()?, &gradient, out)),
        _ => Err(refused(
            owner,
            "out",
            "is one array",
            "a loss with several gradients takes a dict of arrays by name",
        )),
    }
}

#[pymethods]
impl Loss {
    #[new]
    #[pyo3(signature = (
        name, /, *, device=None, reduction=None, on_empty="zero", class_axis=None,
        from_probabilities=false, **options
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        py: Python<'_>,
        name: &str,
        device: Option<&Bound<'_, PyAny>>,
        reduction: Option<&Bound<'_, PyAny>>,
        on_empty: &str,
        class_axis: Option<isize>,
        from_probabilities: bool,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let loss = losses::from_name(name, &self::options(name, options)?).map_err(raised)?;
        let (inputs, positional) = inputs_of(&*loss);
        let is_single = loss.arguments().is_empty();
        let differentiated = inputs.iter().filter(|input| input.differentiated).count();
        let (reduction, reduction_name) = match reduction {
            None => (Reduction::Mean, "mean".to_string()),
            Some(given) => reduction_of(given)?,
        };
        let empty = match on_empty {
            "zero" => OnEmpty::Zero,
            "nan" => OnEmpty::Nan,
            _ => {
                return Err(refused(
                    name,
                    "on_empty",
                    &format!("is {on_empty}"),
                    "it must be zero or nan",
                ));
            }
        };
        let device = device_of(py, device)?;
        let criterion = Criterion::from_boxed(loss, &device.device).map_err(raised)?;
        let criterion =
            criterion.reduction(reduction).on_empty(empty).from_probabilities(from_probabilities);
        Ok(Loss {
            criterion: match class_axis {
                Some(axis) => criterion.class_axis(axis),
                None => criterion,
            },
            threads: device.threads,
            inputs,
            positional,
            differentiated,
            is_single,
            reduction: reduction_name,
            on_empty: on_empty.into(),
            class_axis,
            from_probabilities,
        })
    }

    /// Value and gradient.
    ///
    /// Args:
    ///     *arrays: the inputs in the order of `inputs`; any of them may be given by name instead.
    ///     out: an array that the gradient is written into, or a dict of them by input; contiguous
    ///         float32 costs no copy on "cpu".
    ///     **named: inputs by name, and `weight`, `row_weight`, `mask`, `upstream`.
    ///
    /// Returns:
    ///     The value, a float, or an array of float64 with reduction "none"; and the gradient by the
    ///     differentiated input with its shape, or a dict of gradients by name if there are several.
    ///     Gradients are float32, on "reference" float64.
    ///
    /// Raises:
    ///     ValueError: for shapes that do not fit, invalid labels, unknown names.
    ///     RuntimeError: for failures of the device.
    #[pyo3(signature = (*arrays, out=None, **named))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        arrays: &Bound<'py, PyTuple>,
        out: Option<&Bound<'py, PyAny>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let found = self.collect(arrays, named)?;
        let views: Vec<View> = found.iter().map(|(_, array)| array.view()).collect();
        let inputs = self.bound(&found, &views)?;
        let out = out.filter(|out| !out.is_none());
        // Without a copy where the loss has one gradient and `out` its type.
        if let Some(out) = out
            && self.is_single
            && let Ok(array) = out.cast::<PyArrayDyn<f32>>()
        {
            let mut array = array.try_readwrite().map_err(|_| {
                refused(
                    self.owner(),
                    "out",
                    "is an input too, or read-only",
                    "it must be an array of its own",
                )
            })?;
            let mut gradient = array.as_array_mut();
            let step =
                self.threads.detached(py, || self.criterion.evaluate_into(&inputs, &mut gradient));
            let value = self.value(py, step.map_err(raised)?.values)?;
            return Ok((value, out.clone()));
        }
        let (values, gradients) = match self.run(py, &inputs)? {
            Found::Single(mut found) => (std::mem::take(&mut found.values), gradients(py, found)?),
            Found::Double(mut found) => (std::mem::take(&mut found.values), gradients(py, found)?),
        };
        let value = self.value(py, values)?;
        if let Some(out) = out {
            copy_out(self.owner(), &gradients, out)?;
            return Ok((value, out.clone()));
        }
        if self.differentiated == 1
            && let Some((_, gradient)) = gradients.iter().next()
        {
            return Ok((value, gradient));
        }
        Ok((value, gradients.into_any()))
    }

    /// As a call, with everything that a loss can say: a dict of `value`, `gradients` by input,
    /// `count` (elements or rows that counted), and if asked `hessian` (the second derivative by
    /// each prediction) and `auxiliaries` (arrays by row: values, lse, argmax, correct, entropy,
    /// target_probability). With `target_gradient` there is a gradient of `targets` too, in their
    /// shape: for dense targets that another network makes.
    ///
    /// Raises:
    ///     ValueError: as a call; for a loss without second derivatives, auxiliaries or a gradient of
    ///         targets, and for that of labels.
    #[pyo3(signature = (*arrays, hessian=false, auxiliary=false, target_gradient=false, **named))]
    fn evaluate<'py>(
        &self,
        py: Python<'py>,
        arrays: &Bound<'py, PyTuple>,
        hessian: bool,
        auxiliary: bool,
        target_gradient: bool,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let found = self.collect(arrays, named)?;
        let views: Vec<View> = found.iter().map(|(_, array)| array.view()).collect();
        let mut inputs = self.bound(&found, &views)?;
        if hessian {
            inputs = inputs.hessian();
        }
        if auxiliary {
            inputs = inputs.auxiliary();
        }
        if target_gradient {
            inputs = inputs.target_gradient();
        }
        match self.run(py, &inputs)? {
            Found::Single(found) => self.report(py, found),
            Found::Double(found) => self.report(py, found),
        }
    }

    /// The name of the loss.
    #[getter]
    fn name(&self) -> &'static str {
        self.owner()
    }

    /// The device.
    #[getter]
    fn device(&self) -> Device {
        Device { device: self.criterion.device().clone(), threads: self.threads }
    }

    /// The name of the reduction.
    #[getter]
    fn reduction(&self) -> &str {
        &self.reduction
    }

    /// The axis of the classes; None where it was not given.
    #[getter]
    fn class_axis(&self) -> Option<isize> {
        self.class_axis
    }

    /// True if predictions are probabilities in place of logits.
    #[getter(from_probabilities)]
    fn are_probabilities(&self) -> bool {
        self.from_probabilities
    }

    /// True if the gradients are the derivatives of the value; false for a loss that holds part of
    /// itself constant.
    #[getter]
    fn derives_its_value(&self) -> bool {
        derives_its_value(self.criterion.loss())
    }

    /// True if dense targets have a gradient: `evaluate(target_gradient=True)`.
    #[getter(target_gradient)]
    fn has_target_gradient(&self) -> bool {
        self.criterion.loss().spec().target_derivative.is_some()
    }

    /// All options with their values.
    #[getter]
    fn options<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.criterion.loss().options())
    }

    /// The names of all inputs, first those that may be given by position.
    #[getter]
    fn inputs(&self) -> Vec<&'static str> {
        self.inputs.iter().map(|input| input.name).collect()
    }

    /// True if each value depends on its own element, row or list of the predictions alone.
    #[getter]
    fn is_separate(&self) -> bool {
        self.is_single
    }

    /// The inputs that there is a gradient of.
    #[getter]
    fn differentiated(&self) -> Vec<&'static str> {
        self.criterion.loss().differentiated()
    }

    fn __repr__(&self) -> String {
        let options = match self.criterion.loss().options() {
            Value::Object(map) => {
                map.iter().map(|(name, value)| format!(", {name}={value}")).collect()
            }
            _ => String::new(),
        };
        let device = self.criterion.device().name();
        let mut inputs = String::new();
        if let Some(axis) = self.class_axis {
            inputs.push_str(&format!(", class_axis={axis}"));
        }
        if self.from_probabilities {
            inputs.push_str(", from_probabilities=True");
        }
        format!(
            "Loss({:?}, device={device:?}, reduction={:?}{inputs}{options})",
            self.owner(),
            self.reduction
        )
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let named = match to_python(py, &self.criterion.loss().options())?.cast_into::<PyDict>() {
            Ok(dict) => dict,
            Err(_) => PyDict::new(py),
        };
        named.set_item("device", self.device())?;
        named.set_item("reduction", &self.reduction)?;
        named.set_item("on_empty", &self.on_empty)?;
        named.set_item("class_axis", self.class_axis)?;
        named.set_item("from_probabilities", self.from_probabilities)?;
        Ok((PyTuple::new(py, [self.owner()])?, named))
    }
}

impl Loss {
    fn report<'py, R: Element>(
        &self,
        py: Python<'py>,
        mut found: Evaluation<R>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let report = PyDict::new(py);
        report.set_item("value", self.value(py, std::mem::take(&mut found.values))?)?;
        report.set_item("count", found.count)?;
        if let Some(hessian) = found.hessian.take() {
            report.set_item("hessian", hessian.into_pyarray(py))?;
        }
        if let Some(found) = found.auxiliaries.take() {
            let each = PyDict::new(py);
            each.set_item("values", found.values.into_pyarray(py))?;
            each.set_item("lse", found.lse.into_pyarray(py))?;
            let argmax: Vec<i64> = found.argmax.into_iter().map(|column| column as i64).collect();
            each.set_item("argmax", argmax.into_pyarray(py))?;
            each.set_item("correct", found.correct.into_pyarray(py))?;
            each.set_item("entropy", found.entropy.into_pyarray(py))?;
            each.set_item("target_probability", found.target_probability.into_pyarray(py))?;
            report.set_item("auxiliaries", each)?;
        }
        report.set_item("gradients", gradients(py, found)?)?;
        Ok(report)
    }
}

/// Every loss: `name`, `summary`, `formula`, `torch`, `keras`, `optax`, `source`, `inputs`,
/// `options` with defaults, `variants`, `hessian`, `auxiliary`, `target_gradient`, `pointwise`,
/// `class_axis`, `from_probabilities`, `derives_its_value`.
#[pyfunction]
pub fn catalogue(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    losses::CATALOGUE
        .iter()
        .map(|entry| {
            let loss = losses::from_name(entry.name, &Value::Null).map_err(raised)?;
            let line = PyDict::new(py);
            line.set_item("name", entry.name)?;
            line.set_item("summary", entry.summary)?;
            line.set_item("formula", entry.formula)?;
            line.set_item("torch", entry.torch)?;
            line.set_item("keras", entry.keras)?;
            line.set_item("optax", entry.optax)?;
            line.set_item("source", entry.source)?;
            let (known, positional) = inputs_of(&*loss);
            let inputs = PyList::empty(py);
            for (place, input) in known.iter().enumerate() {
                let of = PyDict::new(py);
                of.set_item("name", input.name)?;
                of.set_item("shape", input.shape)?;
                of.set_item("kind", input.kind.name())?;
                of.set_item("positional", place < positional)?;
                of.set_item("required", input.required)?;
                of.set_item("differentiated", input.differentiated)?;
                of.set_item("domain", domain_of(&*loss, input.name))?;
                inputs.append(of)?;
            }
            line.set_item("inputs", inputs)?;
            line.set_item("options", option_lines(py, entry.options, &loss.options())?)?;
            let variants = PyList::empty(py);
            for variant in entry.variants {
                let value: Value = serde_json::from_str(variant)
                    .map_err(|error| PyValueError::new_err(error.to_string()))?;
                variants.append(to_python(py, &value)?)?;
            }
            line.set_item("variants", variants)?;
            line.set_item("hessian", loss.spec().hessian_diagonal.is_some())?;
            line.set_item("auxiliary", loss.spec().auxiliary)?;
            line.set_item("target_gradient", loss.spec().target_derivative.is_some())?;
            line.set_item("pointwise", loss.is_pointwise())?;
            line.set_item("class_axis", has_class_axis(&*loss))?;
            line.set_item("from_probabilities", takes_probabilities(&*loss))?;
            line.set_item("derives_its_value", derives_its_value(&*loss))?;
            Ok(line)
        })
        .collect()
}

/// True if `Criterion::class_axis` is taken.
fn has_class_axis(loss: &dyn LossDefinition) -> bool {
    matches!(loss.template(), Template::OneInput(OneInput::Rowwise(_)))
}

/// True if `Criterion::from_probabilities` is taken.
fn takes_probabilities(loss: &dyn LossDefinition) -> bool {
    match loss.predictions() {
        Domain::LogDistribution => true,
        Domain::Logits => has_class_axis(loss),
        Domain::Real if loss.is_pointwise() => {
            matches!(loss.targets(), Domain::Probability | Domain::ZeroOne)
        }
        _ => false,
    }
}

fn derives_its_value(loss: &dyn LossDefinition) -> bool {
    match loss.template() {
        Template::OneInput(_) => true,
        Template::Several(_, host) => host.derives_its_value(),
    }
}

/// The domain of an input's numbers: `real`, `probability`, `sign`.
fn domain_of(loss: &dyn LossDefinition, name: &str) -> Option<String> {
    let domain = match loss.arguments() {
        [] if name == "predictions" => loss.predictions(),
        [] if name == "targets" => loss.targets(),
        arguments => arguments.iter().find(|argument| argument.name == name)?.domain,
    };
    let mut words = String::new();
    for letter in format!("{domain:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    Some(words)
}

//! The rules of the optimizers on arrays of others, as PyTorch's.

use gradus::optimizers::{self, Optimizer, ParameterSpan};
use numpy::{PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{raised, refused};
use crate::json::{options, to_python};
use crate::threads::detached;

/// An optimizer's rule; `gradus_ml.torch_optim.Optimizer` runs it.
#[pyclass(frozen, module = "gradus_ml._gradus")]
pub struct Rule {
    rule: Box<dyn Optimizer>,
}

/// A step on flat numbers of one type.
fn update<T: gradus::Real + numpy::Element>(
    py: Python<'_>,
    rule: &dyn Optimizer,
    step: (u64, f64),
    columns: usize,
    [parameters, gradients]: [&Bound<'_, PyAny>; 2],
    states: &[Bound<'_, PyAny>],
) -> PyResult<()> {
    let wrong = |name: &str| {
        let allowed = "it must be a flat array of the parameters' type, not written to elsewhere";
        refused("step", name, "does not fit", allowed)
    };
    fn cast<'a, 'py, T: numpy::Element>(
        name: &str,
        object: &'a Bound<'py, PyAny>,
    ) -> PyResult<&'a Bound<'py, PyArray1<T>>> {
        let allowed = "it must be a flat array of the parameters' type";
        object
            .cast::<PyArray1<T>>()
            .map_err(|_| refused("step", name, "is of another type", allowed))
    }
    let parameters = cast::<T>("parameters", parameters)?;
    let gradients = cast::<T>("gradients", gradients)?;
    let all =
        states.iter().map(|state| cast::<T>("a state", state)).collect::<PyResult<Vec<_>>>()?;
    let mut parameters = parameters.try_readwrite().map_err(|_| wrong("parameters"))?;
    let gradients: PyReadonlyArray1<'_, T> =
        gradients.try_readonly().map_err(|_| wrong("gradients"))?;
    let mut states: Vec<Vec<T>> = Vec::new();
    for state in &all {
        states.push(state.try_readonly().map_err(|_| wrong("a state"))?.as_array().to_vec());
    }
    let (own, gradients) = (
        parameters.as_slice_mut().map_err(|_| wrong("parameters"))?,
        gradients.as_slice().map_err(|_| wrong("gradients"))?,
    );
    let span = ParameterSpan { end: own.len(), columns, ..ParameterSpan::default() };
    let step = rule.step(step.0, step.1);
    detached(py, || rule.update(&step, &[span], own, gradients, &mut states)).map_err(raised)?;
    for (state, values) in all.iter().zip(&states) {
        let mut state = state.try_readwrite().map_err(|_| wrong("a state"))?;
        state.as_slice_mut().map_err(|_| wrong("a state"))?.copy_from_slice(values);
    }
    Ok(())
}

#[pymethods]
impl Rule {
    #[new]
    fn new(name: &str, given: &Bound<'_, PyDict>) -> PyResult<Self> {
        let given = options(name, Some(given))?;
        optimizers::from_name(name, &given).map(|rule| Rule { rule }).map_err(raised)
    }

    #[getter]
    fn options<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.rule.options())
    }

    #[getter]
    fn learning_rate(&self) -> f64 {
        self.rule.initial_learning_rate()
    }

    /// The first value of each state.
    #[getter]
    fn first_states(&self) -> Vec<f64> {
        self.rule.initial_states().into_iter().take(self.rule.states()).collect()
    }

    /// The state that holds the weights for prediction, if any.
    #[getter]
    fn averaged_state(&self) -> Option<usize> {
        self.rule.averaged_state()
    }

    /// Step `t`, from 1, on a flat tensor of rows of `columns`, 0 for a vector, in place.
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn step(
        &self,
        py: Python<'_>,
        t: u64,
        learning_rate: f64,
        columns: usize,
        parameters: &Bound<'_, PyAny>,
        gradients: &Bound<'_, PyAny>,
        states: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (rule, step, arrays) = (&*self.rule, (t, learning_rate), [parameters, gradients]);
        match parameters.cast::<PyArray1<f64>>() {
            Ok(_) => update::<f64>(py, rule, step, columns, arrays, &states),
            Err(_) => update::<f32>(py, rule, step, columns, arrays, &states),
        }
    }
}

//! The other lists of gradus: optimizers, activations, schedules, layers.

use gradus::{Entry, OptionDoc};
use gradus::{
    activations as activation_list, optimizers as optimizer_list, schedules as schedule_list,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;

use crate::errors::raised;
use crate::json::to_python;

/// The options of an entry with their defaults.
pub fn option_lines<'py>(
    py: Python<'py>,
    options: &[OptionDoc],
    defaults: &Value,
) -> PyResult<Bound<'py, PyList>> {
    let lines = PyList::empty(py);
    for option in options {
        let line = PyDict::new(py);
        line.set_item("name", option.name)?;
        line.set_item("default", to_python(py, &defaults[option.name])?)?;
        line.set_item("domain", option.domain)?;
        line.set_item("meaning", option.meaning)?;
        lines.append(line)?;
    }
    Ok(lines)
}

fn line<'py, T: ?Sized>(
    py: Python<'py>,
    entry: &Entry<T>,
    defaults: &Value,
) -> PyResult<Bound<'py, PyDict>> {
    let line = PyDict::new(py);
    line.set_item("name", entry.name)?;
    line.set_item("summary", entry.summary)?;
    line.set_item("formula", entry.formula)?;
    line.set_item("torch", entry.torch)?;
    line.set_item("keras", entry.keras)?;
    line.set_item("options", option_lines(py, entry.options, defaults)?)?;
    Ok(line)
}

/// Every optimizer: name, summary, formula, equivalents, options.
#[pyfunction]
pub fn optimizers(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let of = |entry: &&'static Entry<dyn optimizer_list::Optimizer>| {
        let made = optimizer_list::from_name(entry.name, &Value::Null).map_err(raised)?;
        line(py, entry, &made.options())
    };
    optimizer_list::CATALOGUE.iter().map(of).collect()
}

/// Every activation: name, summary, formula, equivalents, options.
#[pyfunction]
pub fn activations(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let of = |entry: &&'static Entry<dyn activation_list::Activation>| {
        let made = activation_list::from_name(entry.name, &Value::Null).map_err(raised)?;
        line(py, entry, &made.options())
    };
    activation_list::CATALOGUE.iter().map(of).collect()
}

/// The name of every schedule of the learning rate.
#[pyfunction]
pub fn schedules() -> Vec<&'static str> {
    schedule_list::CATALOGUE.iter().map(|entry| entry.name).collect()
}

/// The name of every layer.
#[pyfunction]
pub fn layers() -> Vec<&'static str> {
    gradus::layers::LAYERS.iter().map(|entry| entry.name).collect()
}

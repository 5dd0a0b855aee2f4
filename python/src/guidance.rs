//! Advice for a data set, and the search for a network.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use gradus::advise::{Advice, AdviseOptions};
use gradus::data::{Column, Dataset, Table, Target};
use gradus::tune::{Budget, Candidate, Decision, Metric, State, Trial, Tune, Tuned};
use ndarray::{Array2, ArrayD, Ix1, Ix2};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::Value;

use crate::arrays::{Array, View};
use crate::device::device_of;
use crate::errors::{raised, refused};
use crate::json::to_python;
use crate::model::ask;
use crate::threads::{Failure, detached};

/// Numbers of two axes, as f32.
pub fn table_of(owner: &str, name: &str, object: &Bound<'_, PyAny>) -> PyResult<Array2<f32>> {
    let array: ArrayD<f32> = match Array::new(name, object)?.into_floats().view() {
        View::F32(array) => array.to_owned(),
        View::F64(array) => array.mapv(|x| x as f32),
        _ => return Err(refused(owner, name, "holds no numbers", "it must hold numbers")),
    };
    let found = format!("has the shape {:?}", array.shape());
    array
        .into_dimensionality::<Ix2>()
        .map_err(|_| refused(owner, name, &found, "it must be [rows, columns]"))
}

/// Rows with labels of named classes, or with numbers [rows, outputs] if there are no names.
fn dataset(
    owner: &str,
    x: &Bound<'_, PyAny>,
    y: &Bound<'_, PyAny>,
    classes: Option<Vec<String>>,
) -> PyResult<Dataset> {
    let features = table_of(owner, "x", x)?;
    let target = match classes {
        None => Target::Values(table_of(owner, "y", y)?),
        Some(classes) => {
            let array = Array::new("y", y)?.into_labels();
            let View::I64(labels) = array.view() else {
                return Err(refused(owner, "y", "holds no labels", "it must hold whole numbers"));
            };
            let found = format!("has the shape {:?}", labels.shape());
            let labels = labels.to_owned().into_dimensionality::<Ix1>();
            let labels = labels.map_err(|_| refused(owner, "y", &found, "it must be [rows]"))?;
            Target::Labels { labels, classes }
        }
    };
    Dataset::new(features, target).map_err(raised)
}

fn advice_of<'py>(py: Python<'py>, advice: &Advice) -> PyResult<Bound<'py, PyAny>> {
    let json = serde_json::to_value(advice)
        .map_err(|error| refused("advise", "the advice", &error.to_string(), "numbers"))?;
    to_python(py, &json)
}

/// Advice for rows of arrays.
#[pyfunction]
pub fn advise_arrays<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    classes: Option<Vec<String>>,
    images: bool,
    seed: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let rows = dataset("advise", x, y, classes)?;
    let options = AdviseOptions { images, seed, ..AdviseOptions::default() };
    let advice = detached(py, || gradus::advise::advise_arrays(&rows, &options));
    advice_of(py, &advice.map_err(raised)?)
}

/// Advice for a table: columns of numbers (NaN is a blank) or of words (an empty one is a blank).
#[pyfunction]
pub fn advise_table<'py>(
    py: Python<'py>,
    columns: Vec<(String, Bound<'py, PyAny>)>,
    targets: Vec<String>,
    left_out: Vec<String>,
    seed: u64,
) -> PyResult<Bound<'py, PyAny>> {
    let column = |(name, cells): &(String, Bound<'py, PyAny>)| {
        if let Ok(words) = cells.extract::<Vec<String>>() {
            return Ok(Column::words(name, words.iter().map(String::as_str)));
        }
        let numbers: ArrayD<f64> = match Array::new(name, cells)?.into_floats().view() {
            View::F32(array) => array.mapv(f64::from),
            View::F64(array) => array.to_owned(),
            _ => return Err(refused("advise", name, "holds no cells", "numbers or words")),
        };
        Ok(Column::numbers(name, numbers.into_iter().collect()))
    };
    let columns = columns.iter().map(column).collect::<PyResult<Vec<_>>>()?;
    let table = Table::new(columns).map_err(raised)?;
    let options = AdviseOptions { targets, left_out, images: false, seed };
    let advice = detached(py, || gradus::advise::advise(&table, &options));
    advice_of(py, &advice.map_err(raised)?)
}

/// Searches; `settings` are those of `gradus_ml.tune.tune` that were given.
#[pyfunction]
pub fn tune<'py>(
    py: Python<'py>,
    x: &Bound<'py, PyAny>,
    y: &Bound<'py, PyAny>,
    classes: Option<Vec<String>>,
    settings: &Bound<'py, PyDict>,
    device: &Bound<'py, PyAny>,
    on_rung: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let rows = dataset("tune", x, y, classes)?;
    let mut search = Tune::new();
    for (name, value) in settings.iter() {
        let name: String = name.extract()?;
        search = match name.as_str() {
            "metric" => {
                search.metric(Metric::from_name(&value.extract::<String>()?).map_err(raised)?)
            }
            "budget" => search.budget(Budget::RowUpdates(value.extract()?)),
            "seconds" => search.budget(Budget::Seconds(value.extract()?)),
            "rungs" => search.budget(Budget::Rungs(value.extract()?)),
            "bracket" => search.bracket(value.extract()?),
            "group" => search.group(value.extract()?),
            "seed" => search.seed(value.extract()?),
            "study" => search.study(value.extract::<PathBuf>()?),
            _ => return Err(refused("tune", &name, "is unknown", "see help(tune)")),
        };
    }
    let device = device_of(py, Some(device))?;
    let failure = Arc::new(Failure::default());
    let found = device.threads.training(py, &failure, || {
        search.run_with(&rows, &device.device, |rung, _| {
            // Ctrl-C is heard between rungs.
            let found = ask(&failure, |py| {
                let Some(call) = &on_rung else { return Ok(false) };
                let of_rung = PyDict::new(py);
                of_rung.set_item("bracket", rung.bracket)?;
                of_rung.set_item("rung", rung.rung)?;
                of_rung.set_item("trials", rung.trials)?;
                of_rung.set_item("failed", rung.failed)?;
                of_rung.set_item("best", rung.best)?;
                of_rung.set_item("leader", rung.leader)?;
                of_rung.set_item("cost", rung.cost)?;
                of_rung.set_item("from_file", rung.from_file)?;
                call.call1(py, (of_rung,))?.is_truthy(py)
            });
            match found {
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
                ControlFlow::Break(()) => ControlFlow::Break(()),
            }
        })
    })?;
    if let Some(error) = failure.take() {
        return Err(error);
    }
    tuned(py, &found.map_err(raised)?)
}

fn tuned<'py>(py: Python<'py>, found: &Tuned) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    all.set_item("metric", found.metric.name())?;
    let trials = PyList::empty(py);
    for one in &found.trials {
        trials.append(trial(py, found, one)?)?;
    }
    all.set_item("trials", trials)?;
    let order: Vec<usize> = found.leaderboard().iter().map(|trial| trial.number).collect();
    all.set_item("leaderboard", order)?;
    all.set_item("winner", candidate(py, &found.winner)?)?;
    all.set_item("epochs", found.epochs)?;
    let importances = PyDict::new(py);
    for importance in &found.importances {
        importances.set_item(&importance.parameter, importance.share)?;
    }
    all.set_item("importances", importances)?;
    all.set_item("decision", found.decision.as_ref().map(|one| decision(py, one)).transpose()?)?;
    all.set_item("cost", found.cost)?;
    all.set_item("rungs", found.rungs)?;
    all.set_item("stopped", found.stopped)?;
    all.set_item("inputs", found.sizes[0])?;
    all.set_item("outputs", found.sizes[1])?;
    Ok(all)
}

fn trial<'py>(py: Python<'py>, tuned: &Tuned, trial: &Trial) -> PyResult<Bound<'py, PyDict>> {
    let one = PyDict::new(py);
    one.set_item("number", trial.number)?;
    one.set_item("bracket", trial.bracket)?;
    let state = match trial.state {
        State::Complete => "complete",
        State::Pruned => "pruned",
        State::Failed => "failed",
        State::Stopped => "stopped",
    };
    one.set_item("state", state)?;
    one.set_item("values", &trial.values)?;
    one.set_item("cost", trial.cost)?;
    let parameters = PyDict::new(py);
    for (name, value) in tuned.space.values(&trial.configuration) {
        parameters.set_item(name, value)?;
    }
    one.set_item("parameters", parameters)?;
    one.set_item("candidate", candidate(py, &tuned.candidate(&trial.configuration))?)?;
    Ok(one)
}

fn candidate<'py>(py: Python<'py>, found: &Candidate) -> PyResult<Bound<'py, PyDict>> {
    let one = PyDict::new(py);
    let pair = |(name, options): &(String, serde_json::Map<String, Value>)| {
        Ok::<_, PyErr>((name.clone(), to_python(py, &Value::Object(options.clone()))?))
    };
    one.set_item("loss", pair(&found.loss)?)?;
    one.set_item("hidden", &found.hidden)?;
    one.set_item("activation", &found.activation)?;
    one.set_item("optimizer", pair(&found.optimizer)?)?;
    one.set_item("learning_rate", found.learning_rate)?;
    one.set_item("schedule", &found.schedule)?;
    one.set_item("batch_size", found.batch_size)?;
    Ok(one)
}

fn decision<'py>(py: Python<'py>, found: &Decision) -> PyResult<Bound<'py, PyDict>> {
    let one = PyDict::new(py);
    let finalists = PyList::empty(py);
    for finalist in &found.finalists {
        let line = PyDict::new(py);
        line.set_item("trial", finalist.trial)?;
        line.set_item("rung", finalist.rung)?;
        line.set_item("searched", finalist.searched)?;
        line.set_item("value", finalist.value)?;
        line.set_item("difference", finalist.difference)?;
        line.set_item("error", finalist.error)?;
        finalists.append(line)?;
    }
    one.set_item("finalists", finalists)?;
    one.set_item("winner", found.winner)?;
    one.set_item("bias", found.bias)?;
    one.set_item("splits", found.splits)?;
    one.set_item("reason", &found.reason)?;
    one.set_item("cost", found.cost)?;
    Ok(one)
}

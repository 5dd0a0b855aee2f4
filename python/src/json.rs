//! Options between Python and JSON.

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use serde_json::{Map, Value};

use crate::errors::refused;

/// The options of a dictionary; an empty object for none.
pub fn options(owner: &str, given: Option<&Bound<'_, PyDict>>) -> PyResult<Value> {
    match given {
        Some(dict) => Ok(Value::Object(object(owner, dict)?)),
        None => Ok(Value::Object(Map::new())),
    }
}

fn object(owner: &str, dict: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    dict.iter()
        .map(|(name, value)| {
            let name: String = name.extract()?;
            // `lambda_` is what Python allows of the option `lambda`.
            let name = name.strip_suffix('_').unwrap_or(&name).to_string();
            let value = value_of(owner, &name, &value)?;
            Ok((name, value))
        })
        .collect()
}

/// A value of Python's as JSON: numbers (those of NumPy too), words, lists and dictionaries.
pub fn value_of(owner: &str, name: &str, value: &Bound<'_, PyAny>) -> PyResult<Value> {
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(value) = value.cast::<PyBool>() {
        return Ok(Value::Bool(value.is_true()));
    }
    if let Ok(value) = value.cast::<PyString>() {
        return Ok(Value::String(value.extract()?));
    }
    if let Ok(value) = value.cast::<PyDict>() {
        return Ok(Value::Object(object(owner, value)?));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items = value.try_iter()?.map(|item| value_of(owner, name, &item?));
        return Ok(Value::Array(items.collect::<PyResult<_>>()?));
    }
    if value.is_instance_of::<PyInt>()
        && let Ok(whole) = value.extract::<i64>()
    {
        return Ok(whole.into());
    }
    if let Ok(item) = value.call_method0("tolist")
        && !item.is(value)
    {
        return value_of(owner, name, &item);
    }
    let number = if value.is_instance_of::<PyFloat>() || value.hasattr("__float__")? {
        serde_json::Number::from_f64(value.extract()?)
    } else {
        None
    };
    number.map(Value::Number).ok_or_else(|| {
        let found = value.str().map_or_else(|_| "an object".into(), |text| text.to_string());
        refused(
            owner,
            name,
            &format!("is {found}"),
            "it must be a finite number, a word, a list or a dict",
        )
    })
}

/// JSON as a value of Python's.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::String(value) => value.into_bound_py_any(py),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into_bound_py_any(py),
            None => number.as_f64().into_bound_py_any(py),
        },
        Value::Array(items) => {
            let list = PyList::empty(py);
            items.iter().try_for_each(|item| list.append(to_python(py, item)?))?;
            Ok(list.into_any())
        }
        Value::Object(map) => {
            let dict = PyDict::new(py);
            map.iter().try_for_each(|(name, value)| dict.set_item(name, to_python(py, value)?))?;
            Ok(dict.into_any())
        }
    }
}

//! Numbers and tensors of a case as JSON.

use ndarray::{ArrayD, IxDyn};
use serde_json::{Map, Number, Value, json};

use crate::{Error, Result};

/// Rejects unknown keys: a misspelt one would be ignored silently.
pub(super) fn check_keys(case: &Value, known: &[&str]) -> Result<()> {
    let keys = case.as_object().into_iter().flat_map(Map::keys);
    match keys.into_iter().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Error::unknown("key of a case", key, known.iter().copied())),
        None => Ok(()),
    }
}

pub(super) fn missing(operation: &str, name: &str, allowed: &str) -> Error {
    Error::Input {
        operation: operation.into(),
        name: name.into(),
        found: "is missing".into(),
        allowed: format!("it must be {allowed}"),
    }
}

/// A number, or one of the words for values that JSON cannot represent.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(word) => match word.as_str() {
            "NaN" => Some(f64::NAN),
            "inf" => Some(f64::INFINITY),
            "-inf" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn numbers(loss: &str, name: &str, value: &Value) -> Result<ArrayD<f32>> {
    read_tensor(loss, name, value, "a number, \"NaN\", \"inf\" or \"-inf\"", |v| {
        number(v).map(|x| x as f32)
    })
}

/// 2⁵³: beyond it a float is not a unique integer, and from 9.2e18 on not an i64.
pub(super) const LARGEST_INTEGER: f64 = 9_007_199_254_740_992.0;

pub(super) fn whole_numbers(loss: &str, name: &str, value: &Value) -> Result<ArrayD<i64>> {
    read_tensor(loss, name, value, "an integer", |v| {
        v.as_i64().or_else(|| {
            v.as_f64().filter(|x| x.fract() == 0.0 && x.abs() <= LARGEST_INTEGER).map(|x| x as i64)
        })
    })
}

pub(super) fn flags(loss: &str, name: &str, value: &Value) -> Result<ArrayD<bool>> {
    read_tensor(loss, name, value, "true or false", |v| {
        v.as_bool().or_else(|| v.as_f64().map(|x| x != 0.0))
    })
}

pub(super) fn read_tensor<T>(
    loss: &str,
    name: &str,
    value: &Value,
    kind: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<ArrayD<T>> {
    let refused = |found: String, allowed: String| Error::Input {
        operation: loss.into(),
        name: name.into(),
        found,
        allowed,
    };
    let (Some(shape), Some(data)) =
        (value.get("shape").and_then(Value::as_array), value.get("data").and_then(Value::as_array))
    else {
        return Err(refused(
            "is no tensor".into(),
            "it must be {\"shape\": […], \"data\": […]}".into(),
        ));
    };
    let axes: Option<Vec<usize>> =
        shape.iter().map(|axis| axis.as_u64().map(|axis| axis as usize)).collect();
    let axes = axes.ok_or_else(|| {
        let shape = Value::Array(shape.clone());
        refused(format!("has shape {shape}"), "axes must be whole numbers, 0 or more".into())
    })?;
    let mut elements = Vec::with_capacity(data.len());
    for (index, item) in data.iter().enumerate() {
        let element = read(item);
        elements.push(element.ok_or_else(|| {
            refused(format!("holds {item} at element {index}"), format!("it must hold {kind}"))
        })?);
    }
    let count = elements.len();
    ArrayD::from_shape_vec(IxDyn(&axes), elements).map_err(|_| {
        refused(
            format!("has {count} elements in data"),
            format!("shape {axes:?} wants another number"),
        )
    })
}

/// A tensor as JSON.
pub(super) fn tensor(values: &ArrayD<f64>) -> Value {
    let data: Vec<Value> = values.iter().map(|&x| number_to_json(x)).collect();
    json!({ "shape": values.shape(), "data": data })
}

/// A number as JSON; NaN and infinities as words.
pub fn number_to_json(x: f64) -> Value {
    match Number::from_f64(x) {
        Some(number) => Value::Number(number),
        None if x.is_nan() => "NaN".into(),
        None if x > 0.0 => "inf".into(),
        None => "-inf".into(),
    }
}

//! Cases as JSON: a loss, its options and inputs in, value and gradients out; or an optimizer and
//! gradients in, the parameters after some steps out; or a schedule and steps in, the learning rate
//! of each out. The format of `gradus eval` and of the golden tests.

mod optimizer;
mod schedule;

use ndarray::{ArrayD, IxDyn};
use serde_json::{Map, Number, Value, json};

use crate::criterion::inputs;
use crate::criterion::inputs::Inputs;
use crate::losses::LossDefinition;
use crate::{Criterion, Device, Error, OnEmpty, Reduction, Result, losses};

/// The answer to one case: `{"name", "value", "gradients", "count"}` for a loss, `{"name",
/// "parameters": {"1": tensor, …}}` for an optimizer, `{"name", "learning_rate": […]}` for a
/// schedule, or `{"name", "error"}`.
pub fn answer(case: &Value, device: &Device) -> Value {
    let name = case.get("name").cloned().unwrap_or(Value::Null);
    match evaluate(case, device) {
        Ok(mut found) => {
            found.shift_insert(0, "name".into(), name);
            Value::Object(found)
        }
        Err(error) => json!({ "name": name, "error": error.to_string() }),
    }
}

/// Value, gradients and count for a loss; the parameters by step for an optimizer; the rates for a
/// schedule.
///
/// # Errors
/// Invalid cases: an unknown loss, option or input, incompatible shapes.
pub fn evaluate(case: &Value, device: &Device) -> Result<Map<String, Value>> {
    if let Some(name) = case.get("optimizer").and_then(Value::as_str) {
        return optimizer::evaluate(name, case, device);
    }
    if let Some(name) = case.get("schedule").and_then(Value::as_str) {
        return schedule::evaluate(name, case);
    }
    check_keys(case, &["name", "loss", "options", "inputs", "upstream", "expect", "source"])?;
    let loss_name = case.get("loss").and_then(Value::as_str).ok_or_else(|| {
        missing(
            "a case",
            "loss",
            "the name of a loss (or \"optimizer\" that of an optimizer, \"schedule\" that of a schedule)",
        )
    })?;
    let (loss, reduction, on_empty) =
        loss_of(loss_name, case.get("options").unwrap_or(&Value::Null))?;
    let criterion = Criterion::from_boxed(loss, device)?.reduction(reduction).on_empty(on_empty);
    let given = case.get("inputs").and_then(Value::as_object);
    let given = given.ok_or_else(|| missing(loss_name, "inputs", "an object of tensors"))?;
    let mut tensors = Tensors::read(criterion.loss(), given)?;
    if let Some(upstream) = case.get("upstream").filter(|upstream| !upstream.is_null()) {
        tensors.upstream = Some(numbers(loss_name, "upstream", upstream)?);
    }
    let found = criterion.evaluate_f64(&tensors.inputs())?;
    let mut gradients = Map::new();
    gradients.insert(criterion.loss().differentiated()[0].into(), tensor(&found.gradient));
    gradients
        .extend(found.others.iter().map(|(name, gradient)| ((*name).into(), tensor(gradient))));
    let answer = [
        ("value".to_string(), tensor(&found.values)),
        ("gradients".to_string(), Value::Object(gradients)),
        ("count".to_string(), found.count.into()),
    ];
    Ok(answer.into_iter().collect())
}

/// Rejects unknown keys: a misspelt one would be ignored silently.
fn check_keys(case: &Value, known: &[&str]) -> Result<()> {
    let keys = case.as_object().into_iter().flat_map(Map::keys);
    match keys.into_iter().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Error::unknown("key of a case", key, known.iter().copied())),
        None => Ok(()),
    }
}

/// The loss, its reduction and its empty-mean behaviour, from one object of options.
fn loss_of(
    name: &str,
    options: &Value,
) -> Result<(Box<dyn losses::LossDefinition>, Reduction, OnEmpty)> {
    losses::entry(name)?;
    let mut own = match options {
        Value::Null => Map::new(),
        Value::Object(options) => options.clone(),
        other => return Err(Error::option(name, "options", other, "a JSON object")),
    };
    let divisor = own.remove("divisor");
    let reduction = match own.remove("reduction") {
        None if divisor.is_some() => Reduction::Divisor(positive(name, divisor.as_ref())?),
        None => Reduction::Mean,
        Some(Value::String(word)) if word == "divisor" => {
            Reduction::Divisor(positive(name, divisor.as_ref())?)
        }
        Some(Value::String(word)) => Reduction::named(&word)?,
        Some(other) => {
            return Err(Error::option(name, "reduction", other, "a name such as \"mean\""));
        }
    };
    let on_empty = match own.remove("on_empty") {
        None => OnEmpty::Zero,
        Some(Value::String(word)) if word.eq_ignore_ascii_case("nan") => OnEmpty::Nan,
        Some(Value::String(word)) if word.eq_ignore_ascii_case("zero") => OnEmpty::Zero,
        Some(other) => return Err(Error::option(name, "on_empty", other, "\"zero\" or \"nan\"")),
    };
    Ok((losses::from_name(name, &Value::Object(own))?, reduction, on_empty))
}

fn positive(name: &str, divisor: Option<&Value>) -> Result<f64> {
    let number = divisor.and_then(Value::as_f64).filter(|divisor| *divisor > 0.0);
    number.ok_or_else(|| Error::option(name, "divisor", divisor.unwrap_or(&Value::Null), "> 0"))
}

/// The tensors of a case, owned.
#[derive(Default)]
struct Tensors {
    arrays: Vec<(String, Tensor)>,
    weight: Option<ArrayD<f32>>,
    mask: Option<ArrayD<bool>>,
    class_mask: Option<ArrayD<bool>>,
    upstream: Option<ArrayD<f32>>,
}

/// One tensor of a case.
enum Tensor {
    Numbers(ArrayD<f32>),
    Whole(ArrayD<i64>),
}

impl Tensors {
    fn read(loss: &dyn LossDefinition, given: &Map<String, Value>) -> Result<Self> {
        let owner = loss.name();
        let mut tensors = Tensors::default();
        let rank = |value: &Value| value.get("shape").and_then(Value::as_array).map_or(0, Vec::len);
        let predicted_rank = given.get("predictions").map_or(0, rank);
        for (name, value) in given {
            let argument = loss.arguments().iter().find(|argument| argument.name == *name);
            // Labels have one axis fewer than the logits; targets of the same rank are dense.
            let is_label = name == "targets"
                && loss.targets().takes_labels()
                && rank(value) + 1 == predicted_rank;
            let is_whole = argument.map_or(is_label, |argument| argument.role.is_integers());
            match name.as_str() {
                "weight" => tensors.weight = Some(numbers(owner, name, value)?),
                "mask" => tensors.mask = Some(flags(owner, name, value)?),
                "class_mask" => tensors.class_mask = Some(flags(owner, name, value)?),
                _ => {
                    inputs::check_known(loss, name)?;
                    let tensor = if is_whole {
                        Tensor::Whole(whole_numbers(owner, name, value)?)
                    } else {
                        Tensor::Numbers(numbers(owner, name, value)?)
                    };
                    tensors.arrays.push((name.clone(), tensor));
                }
            }
        }
        Ok(tensors)
    }

    fn inputs(&self) -> Inputs<'_> {
        let mut inputs = Inputs::none();
        for (name, tensor) in &self.arrays {
            inputs = match tensor {
                Tensor::Numbers(numbers) => inputs.input(name, numbers),
                Tensor::Whole(whole) => inputs.input(name, whole),
            };
        }
        if let Some(weight) = &self.weight {
            inputs = inputs.weight(weight);
        }
        if let Some(mask) = &self.mask {
            inputs = inputs.mask(mask);
        }
        if let Some(mask) = &self.class_mask {
            inputs = inputs.class_mask(mask);
        }
        if let Some(upstream) = &self.upstream {
            inputs = inputs.upstream(upstream);
        }
        inputs
    }
}

fn missing(operation: &str, name: &str, allowed: &str) -> Error {
    Error::Input {
        operation: operation.into(),
        name: name.into(),
        found: "is missing".into(),
        allowed: format!("it must be {allowed}"),
    }
}

/// A number, or one of the words for values that JSON cannot represent.
fn number(value: &Value) -> Option<f64> {
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

fn numbers(loss: &str, name: &str, value: &Value) -> Result<ArrayD<f32>> {
    read_tensor(loss, name, value, "a number, \"NaN\", \"inf\" or \"-inf\"", |v| {
        number(v).map(|x| x as f32)
    })
}

/// 2⁵³: beyond it a float is not a unique integer, and from 9.2e18 on not an i64.
const LARGEST_INTEGER: f64 = 9_007_199_254_740_992.0;

fn whole_numbers(loss: &str, name: &str, value: &Value) -> Result<ArrayD<i64>> {
    read_tensor(loss, name, value, "an integer", |v| {
        v.as_i64().or_else(|| {
            v.as_f64().filter(|x| x.fract() == 0.0 && x.abs() <= LARGEST_INTEGER).map(|x| x as i64)
        })
    })
}

fn flags(loss: &str, name: &str, value: &Value) -> Result<ArrayD<bool>> {
    read_tensor(loss, name, value, "true or false", |v| {
        v.as_bool().or_else(|| v.as_f64().map(|x| x != 0.0))
    })
}

fn read_tensor<T>(
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
        refused(format!("has shape {shape:?}"), "axes must be whole numbers".into())
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
fn tensor(values: &ArrayD<f64>) -> Value {
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

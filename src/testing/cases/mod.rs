//! Cases as JSON: a loss, its options and inputs in, value and gradients out; or an optimizer and
//! gradients in, the parameters after some steps out; or a schedule and steps in, the learning rate
//! of each out. The format of `gradus eval` and of the golden tests.

mod optimizer;
mod schedule;
pub(crate) mod values;

use ndarray::ArrayD;
use serde_json::{Map, Value, json};

use crate::criterion::inputs;
use crate::criterion::inputs::Inputs;
use crate::losses::{LossDefinition, Role};
use crate::testing::cases::values::{check_keys, flags, missing, numbers, tensor, whole_numbers};
use crate::{Criterion, Device, Error, OnEmpty, Reduction, Result, losses};

pub use crate::testing::cases::values::number_to_json;

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
    check_keys(
        case,
        &["name", "loss", "options", "inputs", "upstream", "target_gradient", "expect", "source"],
    )?;
    let loss_name = case.get("loss").and_then(Value::as_str).ok_or_else(|| {
        missing(
            "a case",
            "loss",
            "the name of a loss (or \"optimizer\" that of an optimizer, \"schedule\" that of a schedule)",
        )
    })?;
    let options = case.get("options").unwrap_or(&Value::Null);
    let criterion = criterion_of(loss_name, options, device)?;
    let given = case.get("inputs").and_then(Value::as_object);
    let given = given.ok_or_else(|| missing(loss_name, "inputs", "an object of tensors"))?;
    let mut tensors = Tensors::read(criterion.loss(), given)?;
    if let Some(upstream) = case.get("upstream").filter(|upstream| !upstream.is_null()) {
        tensors.upstream = Some(numbers(loss_name, "upstream", upstream)?);
    }
    let mut inputs = tensors.inputs();
    match case.get("target_gradient") {
        None | Some(Value::Null | Value::Bool(false)) => (),
        Some(Value::Bool(true)) => inputs = inputs.target_gradient(),
        Some(other) => {
            return Err(Error::option(loss_name, "target_gradient", other, "true or false"));
        }
    }
    let found = criterion.evaluate_f64(&inputs)?;
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

/// The loss with its reduction, its empty mean and its class axis, from one object of options.
fn criterion_of(name: &str, options: &Value, device: &Device) -> Result<Criterion> {
    losses::entry(name)?;
    let mut own = match options {
        Value::Null => Map::new(),
        Value::Object(options) => options.clone(),
        other => return Err(Error::option(name, "options", other, "a JSON object")),
    };
    let divisor = own.remove("divisor");
    let reduction = own.remove("reduction");
    if let (Some(given), Some(word)) = (&divisor, &reduction)
        && word != "divisor"
    {
        let allowed =
            format!("no divisor beside the reduction {word}, or \"reduction\": \"divisor\"");
        return Err(Error::option(name, "divisor", given, &allowed));
    }
    let reduction = match reduction {
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
    let class_axis = match own.remove("class_axis") {
        None => None,
        Some(axis) => {
            let allowed = "a whole number: 1 (PyTorch's) or -1 (the last)";
            let axis =
                axis.as_i64().ok_or_else(|| Error::option(name, "class_axis", &axis, allowed))?;
            Some(axis as isize)
        }
    };
    let from_probabilities = match own.remove("from_probabilities") {
        None => false,
        Some(Value::Bool(given)) => given,
        Some(other) => {
            return Err(Error::option(name, "from_probabilities", other, "true or false"));
        }
    };
    let loss = losses::from_name(name, &Value::Object(own))?;
    let criterion = Criterion::from_boxed(loss, device)?
        .reduction(reduction)
        .on_empty(on_empty)
        .from_probabilities(from_probabilities);
    Ok(match class_axis {
        None => criterion,
        Some(axis) => criterion.class_axis(axis),
    })
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
        let shape = |name: &str| given.get(name).and_then(|value| value.get("shape"));
        // The classes of a linear layer are an axis of its weight.
        let logits_rank = match given.get("linear_weight").map(rank) {
            Some(weight_rank) => (predicted_rank + weight_rank).saturating_sub(2),
            None => predicted_rank,
        };
        for (name, value) in given {
            let argument = loss.arguments().iter().find(|argument| argument.name == *name);
            // Labels have one axis fewer than the logits; targets of the same rank are dense.
            // A single row of logits may have its label as [1].
            let is_single = loss.arguments().is_empty()
                && logits_rank <= 1
                && shape("targets") != shape("predictions");
            // So may each row, as [rows, 1].
            let last =
                |name: &str| shape(name).and_then(Value::as_array).and_then(|axes| axes.last());
            let is_column = loss.arguments().is_empty()
                && rank(value) == logits_rank
                && last("targets").and_then(Value::as_u64) == Some(1)
                && last("predictions") != last("targets");
            let is_label = name == "targets"
                && (loss.targets().takes_labels() || !loss.arguments().is_empty())
                && (rank(value) + 1 == logits_rank
                    || is_single
                    || is_column
                    || (loss.arguments().is_empty()
                        && !loss.targets().takes_dense()
                        // One-hot rows.
                        && (rank(value) < 2 || shape("targets") != shape("predictions"))));
            let is_whole = argument.map_or(is_label, |argument| match argument.role {
                Role::Classes => is_label,
                role => role.is_integers(),
            });
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

//! Cases of optimizers: given gradients step by step, the parameters after the requested steps.

use ndarray::ArrayD;
use serde_json::{Map, Value};

use crate::cpu::real::Real;
use crate::nn::optimizers;
use crate::nn::optimizers::update::Runner;
use crate::nn::optimizers::update::job::Update;
use crate::nn::optimizers::{Clip, GradientTransform, Optimizer, ParameterSpan, Step};
use crate::testing::cases::values::{check_keys, missing, numbers, tensor};
use crate::{Device, Error, Gpu, Result};

/// `{"parameters": {"1": tensor, …}}` for each step in `report`; without it, for the last step.
pub(crate) fn evaluate(name: &str, case: &Value, device: &Device) -> Result<Map<String, Value>> {
    check_keys(
        case,
        &["name", "optimizer", "options", "parameters", "gradients", "report", "expect", "source"],
    )?;
    optimizers::entry(name)?;
    let (options, around) = Around::take(name, case.get("options").unwrap_or(&Value::Null))?;
    let optimizer = optimizers::from_name(name, &options)?;
    let parameters = numbers(name, "parameters", case.get("parameters").unwrap_or(&Value::Null))?;
    let gradients = gradients(name, case, parameters.shape(), around.maximize)?;
    let report = report(name, case, gradients.len())?;
    let spans = [span(name, &*optimizer, parameters.shape())?];
    let given = Given {
        parameters,
        gradients,
        report,
        gradient_transform: around.gradient_transform(&spans),
    };
    let found = match device {
        Device::Cpu => on_host::<f32>(&*optimizer, &given)?,
        Device::Reference => on_host::<f64>(&*optimizer, &given)?,
        Device::Gpu(gpu) => on_gpu(&*optimizer, &given, gpu)?,
    };
    Ok(Map::from_iter([("parameters".to_string(), Value::Object(found))]))
}

/// The validated input of a case.
struct Given<'a> {
    parameters: ArrayD<f32>,
    gradients: Vec<ArrayD<f32>>,
    /// Steps to report, counted from 1.
    report: Vec<usize>,
    gradient_transform: GradientTransform<'a>,
}

/// Constructor of a clip from its limit.
type Kind = fn(f64) -> Clip;

/// Options of a case common to all optimizers: gradient preprocessing.
#[derive(Default)]
struct Around {
    clip: Option<Clip>,
    maximize: bool,
}

impl Around {
    /// Removes them from a case's options.
    fn take(name: &str, options: &Value) -> Result<(Value, Around)> {
        let Value::Object(options) = options else {
            return Ok((options.clone(), Around::default()));
        };
        let mut options = options.clone();
        let mut around = Around::default();
        let kinds: [(&str, Kind); 3] = [
            // As in optax: no epsilon is added to the norm.
            ("clip_global_norm", |limit| Clip::GlobalNorm { limit, epsilon: 0.0 }),
            ("clip_norm", Clip::Norm),
            ("clip_value", Clip::Value),
        ];
        for (key, kind) in kinds {
            let Some(given) = options.shift_remove(key) else { continue };
            let limit = given.as_f64().filter(|limit| *limit > 0.0 && limit.is_finite());
            let limit = limit.ok_or_else(|| Error::option(name, key, &given, "finite and > 0"))?;
            if around.clip.replace(kind(limit)).is_some() {
                return Err(Error::option(name, key, limit, "left out beside another clip"));
            }
        }
        if let Some(given) = options.shift_remove("maximize") {
            let maximize = given.as_bool();
            around.maximize =
                maximize.ok_or_else(|| Error::option(name, "maximize", &given, "true or false"))?;
        }
        Ok((Value::Object(options), around))
    }

    fn gradient_transform<'a>(&self, spans: &'a [ParameterSpan]) -> GradientTransform<'a> {
        GradientTransform { spans, clip: self.clip, skip_non_finite: false }
    }
}

/// The parameter span of the tensor: one axis is a vector, two are a matrix.
fn span(name: &str, optimizer: &dyn Optimizer, shape: &[usize]) -> Result<ParameterSpan> {
    let end = shape.iter().product();
    let columns = match *shape {
        [_, columns] => columns,
        [] | [_] => 0,
        // A norm does not depend on the axes; per-row and per-column state does.
        _ if optimizer
            .per_tensor()
            .is_none_or(|per_tensor| per_tensor == optimizers::PerTensor::default()) =>
        {
            0
        }
        _ => {
            return Err(Error::Shape {
                operation: name.into(),
                found: format!("parameters are {shape:?}"),
                allowed: "it takes vectors and matrices".into(),
            });
        }
    };
    Ok(ParameterSpan { end, columns, ..ParameterSpan::default() })
}

fn gradients(name: &str, case: &Value, shape: &[usize], negated: bool) -> Result<Vec<ArrayD<f32>>> {
    let given = case.get("gradients").and_then(Value::as_array);
    let given =
        given.ok_or_else(|| missing(name, "gradients", "a list of tensors, one for each step"))?;
    let mut gradients = Vec::with_capacity(given.len());
    for (index, gradient) in given.iter().enumerate() {
        let gradient = numbers(name, &format!("gradients[{index}]"), gradient)?;
        if gradient.shape() != shape {
            return Err(Error::Shape {
                operation: name.into(),
                found: format!(
                    "parameters are {shape:?} but gradients[{index}] are {:?}",
                    gradient.shape()
                ),
                allowed: format!("each gradient must be {shape:?} too"),
            });
        }
        gradients.push(if negated { -gradient } else { gradient });
    }
    if gradients.is_empty() {
        return Err(Error::Empty { operation: name.into(), name: "gradients".into() });
    }
    Ok(gradients)
}

/// Steps to report, counted from 1.
fn report(name: &str, case: &Value, steps: usize) -> Result<Vec<usize>> {
    let refused = |found: &Value| {
        Error::option(
            name,
            "report",
            found,
            &format!("a list of steps from 1 to {steps}, the number of gradients"),
        )
    };
    match case.get("report") {
        None | Some(Value::Null) => Ok(vec![steps]),
        Some(Value::Array(given)) => given
            .iter()
            .map(|step| {
                let step = step
                    .as_u64()
                    .map(|step| step as usize)
                    .filter(|step| (1..=steps).contains(step));
                step.ok_or_else(|| refused(&given.clone().into()))
            })
            .collect(),
        Some(other) => Err(refused(other)),
    }
}

/// Runs the steps; `advance` applies one gradient, `read` returns the parameters after it.
fn reported<S>(
    optimizer: &dyn Optimizer,
    given: &Given,
    mut state: S,
    mut advance: impl FnMut(&mut S, &Step, &ArrayD<f32>) -> Result<()>,
    read: impl Fn(&S) -> Result<Vec<f64>>,
) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    for (index, gradient) in given.gradients.iter().enumerate() {
        let t = index + 1;
        advance(
            &mut state,
            &optimizer.step(t as u64, optimizer.initial_learning_rate()),
            gradient,
        )?;
        if given.report.contains(&t) {
            let values = crate::runtime::tensor::shaped(given.parameters.shape(), read(&state)?)?;
            found.insert(t.to_string(), tensor(&values));
        }
    }
    Ok(found)
}

fn on_host<R: Real + Default>(
    optimizer: &dyn Optimizer,
    given: &Given,
) -> Result<Map<String, Value>> {
    let in_precision =
        |values: &ArrayD<f32>| values.iter().map(|&x| R::from_f32(x)).collect::<Vec<R>>();
    let parameters = in_precision(&given.parameters);
    let states = optimizer.first_states(parameters.len());
    reported(
        optimizer,
        given,
        (parameters, states),
        |(parameters, states), step, gradient| {
            let gradient = in_precision(gradient);
            optimizer
                .update_transformed(step, &given.gradient_transform, parameters, &gradient, states)
                .map(drop)
        },
        |(parameters, _)| Ok(parameters.iter().map(|x| x.to_f64()).collect()),
    )
}

fn on_gpu(optimizer: &dyn Optimizer, given: &Given, gpu: &Gpu) -> Result<Map<String, Value>> {
    let flat = |values: &ArrayD<f32>| values.iter().copied().collect::<Vec<f32>>();
    let length = given.parameters.len();
    let parameters = gpu.upload("parameters", &flat(&given.parameters))?;
    let gradients = gpu.buffer("gradients", length)?;
    let job =
        Update { optimizer, length, gradient_transform: given.gradient_transform, average: None };
    let runner = Runner::new(gpu, &job, &parameters, &gradients)?;
    reported(
        optimizer,
        given,
        (),
        |(), step, gradient| {
            gpu.queue().write_buffer(&gradients, 0, bytemuck::cast_slice(&flat(gradient)));
            runner.run(step)
        },
        |()| {
            let values: Vec<f32> = pollster::block_on(gpu.download(&parameters, 0, length))?;
            Ok(values.into_iter().map(f64::from).collect())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::cases::answer;
    use serde_json::json;

    fn case(changes: Value) -> Value {
        let mut case = json!({
            "name": "w",
            "optimizer": "sgd",
            "options": { "learning_rate": 0.5 },
            "parameters": { "shape": [2], "data": [1.0, 2.0] },
            "gradients": [{ "shape": [2], "data": [1.0, -1.0] }, { "shape": [2], "data": [0.0, 1.0] }],
            "report": [1, 2],
        });
        for (name, value) in changes.as_object().unwrap() {
            case[name] = value.clone();
        }
        case
    }

    #[test]
    fn each_reported_step_holds_the_parameters_after_it() {
        for device in crate::runtime::device::test_adapter::each_device() {
            let found = answer(&case(json!({})), &device);
            assert_eq!(found["parameters"]["1"]["data"], json!([0.5, 2.5]));
            assert_eq!(found["parameters"]["2"]["data"], json!([0.5, 2.0]));
        }
    }

    #[test]
    fn what_is_wrong_with_a_case_is_named() {
        for (changes, named) in [
            (json!({ "optimizer": "sdg" }), "unknown optimizer `sdg`"),
            (json!({ "options": { "lr": 1 } }), "unknown option of sgd `lr`"),
            (json!({ "gradients": [] }), "gradients hold no rows"),
            (
                json!({ "gradients": [{ "shape": [1], "data": [1.0] }] }),
                "parameters are [2] but gradients[0] are [1]",
            ),
            (json!({ "report": [0] }), "report is [0]; it must be a list of steps from 1 to 2"),
            (json!({ "parameters": null }), "parameters is no tensor"),
        ] {
            let found = answer(&case(changes), &Device::Cpu);
            let message = found["error"].as_str().unwrap();
            assert!(message.contains(named), "{message}");
        }
    }
}

//! Cases of optimizers: given gradients, step by step, and the parameters after the steps that are asked for.

use ndarray::ArrayD;
use serde_json::{Map, Value};

use super::{missing, numbers, tensor};
use crate::kernel::Slice;
use crate::kernels::network::{self, OptimizerParams};
use crate::optimizers::{self, Optimizer, Step};
use crate::real::Real;
use crate::{Device, Error, Gpu, Result};

/// `{"parameters": {"1": tensor, …}}` for each step in `report`; without it, for the last step.
pub(super) fn evaluate(name: &str, case: &Value, device: &Device) -> Result<Map<String, Value>> {
    let optimizer = optimizers::from_name(name, case.get("options").unwrap_or(&Value::Null))?;
    let parameters = numbers(name, "parameters", case.get("parameters").unwrap_or(&Value::Null))?;
    let gradients = gradients(name, case, parameters.shape())?;
    let report = report(name, case, gradients.len())?;
    let given = Given { parameters, gradients, report };
    let found = match device {
        Device::Cpu => on_host::<f32>(&*optimizer, &given)?,
        Device::Reference => on_host::<f64>(&*optimizer, &given)?,
        Device::Gpu(gpu) => on_gpu(&*optimizer, &given, gpu)?,
    };
    Ok(Map::from_iter([("parameters".to_string(), Value::Object(found))]))
}

/// What a case gives, checked.
struct Given {
    parameters: ArrayD<f32>,
    gradients: Vec<ArrayD<f32>>,
    /// The steps to report, counted from 1.
    report: Vec<usize>,
}

fn gradients(name: &str, case: &Value, shape: &[usize]) -> Result<Vec<ArrayD<f32>>> {
    let given = case.get("gradients").and_then(Value::as_array);
    let given = given.ok_or_else(|| missing(name, "gradients", "a list of tensors, one for each step"))?;
    let mut gradients = Vec::with_capacity(given.len());
    for (index, gradient) in given.iter().enumerate() {
        let gradient = numbers(name, &format!("gradients[{index}]"), gradient)?;
        if gradient.shape() != shape {
            return Err(Error::Shape {
                operation: name.into(),
                found: format!("parameters are {shape:?} but gradients[{index}] are {:?}", gradient.shape()),
                allowed: format!("each gradient must be {shape:?} too"),
            });
        }
        gradients.push(gradient);
    }
    if gradients.is_empty() {
        return Err(Error::Empty { operation: name.into(), name: "gradients".into() });
    }
    Ok(gradients)
}

/// The steps to report, counted from 1.
fn report(name: &str, case: &Value, steps: usize) -> Result<Vec<usize>> {
    let refused = |found: &Value| {
        Error::option(name, "report", found, &format!("a list of steps from 1 to {steps}, the number of gradients"))
    };
    match case.get("report") {
        None | Some(Value::Null) => Ok(vec![steps]),
        Some(Value::Array(given)) => given
            .iter()
            .map(|step| {
                let step = step.as_u64().map(|step| step as usize).filter(|step| (1..=steps).contains(step));
                step.ok_or_else(|| refused(&given.clone().into()))
            })
            .collect(),
        Some(other) => Err(refused(other)),
    }
}

/// Goes through the steps; `advance` takes one with its gradient, `read` gives the parameters behind it.
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
        advance(&mut state, &optimizer.step(t as u64, optimizer.initial_learning_rate()), gradient)?;
        if given.report.contains(&t) {
            let values = crate::tensor::shaped(given.parameters.shape(), read(&state)?)?;
            found.insert(t.to_string(), tensor(&values));
        }
    }
    Ok(found)
}

fn on_host<R: Real + Default>(optimizer: &dyn Optimizer, given: &Given) -> Result<Map<String, Value>> {
    let in_precision = |values: &ArrayD<f32>| values.iter().map(|&x| R::from_f32(x)).collect::<Vec<R>>();
    let parameters = in_precision(&given.parameters);
    let zeros = || vec![R::ZERO; parameters.len()];
    let state = (parameters.clone(), zeros(), zeros());
    reported(
        optimizer,
        given,
        state,
        |(parameters, first, second), step, gradient| {
            optimizer.update(step, &[], parameters, &in_precision(gradient), first, second)
        },
        |(parameters, _, _)| Ok(parameters.iter().map(|x| x.to_f64()).collect()),
    )
}

fn on_gpu(optimizer: &dyn Optimizer, given: &Given, gpu: &Gpu) -> Result<Map<String, Value>> {
    let flat = |values: &ArrayD<f32>| values.iter().copied().collect::<Vec<f32>>();
    let length = given.parameters.len();
    let parameters = gpu.upload("parameters", &flat(&given.parameters))?;
    let (first, second) = (gpu.buffer("optimizer state", length)?, gpu.buffer("optimizer state", length)?);
    let (segments, clip) = (gpu.buffer("segments", 4)?, gpu.buffer("no clip", 4)?);
    let (kernel, workgroups) = network::optimizer(gpu, optimizer, length, false)?;
    reported(
        optimizer,
        given,
        parameters,
        |parameters, step, gradient| {
            let gradient = gpu.upload("a gradient", &flat(gradient))?;
            let storage = [&segments, &*parameters, &gradient, &first, &second, &clip].map(Slice::from);
            let params = OptimizerParams::new(length, &[], step);
            gpu.submit([&gpu.dispatch(&kernel, &params, &storage, workgroups)?])
        },
        |parameters| {
            let values: Vec<f32> = pollster::block_on(gpu.download(parameters, 0, length))?;
            Ok(values.into_iter().map(f64::from).collect())
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::answer;
    use super::*;
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
        for device in [
            Device::gpu().expect("these tests need an adapter, a software one will do"),
            Device::Cpu,
            Device::Reference,
        ] {
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
            (json!({ "gradients": [{ "shape": [1], "data": [1.0] }] }), "parameters are [2] but gradients[0] are [1]"),
            (json!({ "report": [0] }), "report is [0]; it must be a list of steps from 1 to 2"),
            (json!({ "parameters": null }), "parameters is no tensor"),
        ] {
            let found = answer(&case(changes), &Device::Cpu);
            let message = found["error"].as_str().unwrap();
            assert!(message.contains(named), "{message}");
        }
    }
}

//! Cases of schedules: steps in, the learning rate of each out.

use serde_json::{Map, Value, json};

use crate::nn::schedules;
use crate::nn::schedules::{Schedule, Watched};
use crate::testing::cases::values::{check_keys, number, number_to_json};
use crate::{Error, Result};

/// `{"learning_rate": […]}` for each of `steps`. A schedule that depends on a monitored metric
/// reads it from `values`: each step's value is available to later steps.
pub(crate) fn evaluate(name: &str, case: &Value) -> Result<Map<String, Value>> {
    check_keys(case, &["name", "schedule", "options", "steps", "values", "expect", "source"])?;
    let schedule = schedules::from_name(name, case.get("options").unwrap_or(&Value::Null))?;
    let steps = steps(name, case.get("steps").unwrap_or(&Value::Null))?;
    let rates: Vec<Value> = match case.get("values").filter(|values| !values.is_null()) {
        Some(values) => watched(name, &*schedule, &steps, values)?,
        None => steps.iter().map(|&step| number_to_json(schedule.rate(step))).collect(),
    };
    Ok(Map::from_iter([("learning_rate".to_string(), json!(rates))]))
}

fn steps(name: &str, given: &Value) -> Result<Vec<u64>> {
    let steps =
        given.as_array().map(|steps| steps.iter().map(Value::as_u64).collect::<Option<Vec<u64>>>());
    steps
        .flatten()
        .ok_or_else(|| Error::option(name, "steps", given, "a list of whole numbers from 0 on"))
}

fn watched(
    name: &str,
    schedule: &dyn Schedule,
    steps: &[u64],
    given: &Value,
) -> Result<Vec<Value>> {
    let values =
        given.as_array().map(|values| values.iter().map(number).collect::<Option<Vec<f64>>>());
    let values = values
        .flatten()
        .ok_or_else(|| Error::option(name, "values", given, "a list of numbers"))?;
    let after = |&step: &u64| {
        let mut watched = Watched::default();
        values.iter().take(step as usize).for_each(|&value| schedule.observe(&mut watched, value));
        number_to_json(schedule.rate_after(step, &watched))
    };
    Ok(steps.iter().map(after).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::testing::cases::answer;

    #[test]
    fn each_step_has_its_rate() {
        let case = json!({ "name": "s", "schedule": "step", "options": { "learning_rate": 0.5, "every": 2, "factor": 0.5 },
            "steps": [0, 1, 2, 5] });
        assert_eq!(
            answer(&case, &Device::Reference),
            json!({ "name": "s", "learning_rate": [0.5, 0.5, 0.25, 0.125] })
        );
    }

    #[test]
    fn a_plateau_goes_by_the_values_before_a_step() {
        let case = json!({ "schedule": "reduce_on_plateau", "options": { "learning_rate": 0.5, "patience": 0 },
            "steps": [0, 1, 2, 3], "values": [1.0, 2.0, 0.5, 0.4] });
        assert_eq!(answer(&case, &Device::Cpu)["learning_rate"], json!([0.5, 0.5, 0.05, 0.05]));
    }

    #[test]
    fn what_is_wrong_with_a_case_is_named() {
        for (case, named) in [
            (json!({ "schedule": "stop", "steps": [0] }), "unknown schedule `stop`"),
            (
                json!({ "schedule": "step" }),
                "step: steps is null; it must be a list of whole numbers",
            ),
            (json!({ "schedule": "step", "steps": [-1] }), "steps is [-1]"),
            (
                json!({ "schedule": "step", "steps": [1], "optimizers": 1 }),
                "unknown key of a case `optimizers`",
            ),
        ] {
            let found = answer(&case, &Device::Cpu);
            assert!(found["error"].as_str().unwrap().contains(named), "{found}");
        }
    }
}

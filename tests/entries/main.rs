//! One test per loss, activation and optimizer, and for the matrix product, so that `cargo test
//! huber` runs only those of huber: golden values, central differences, each device against the
//! reference, and property tests. Without an adapter the GPU tests are ignored.

mod drawn;
mod golden;
mod properties;
mod properties_several;
#[path = "../support/mod.rs"]
mod support;

use std::process::ExitCode;
use std::sync::Arc;

use gradus::losses::Template;
use gradus::testing::{self, Report};
use gradus::{Device, Result, activations, losses, optimizers};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::Value;

use drawn::Draw;
use properties::Property;

/// Asserts that the reports are not empty and all passed.
fn checked(reports: Result<Vec<Report>>) -> Result<(), Failed> {
    let reports = reports?;
    let is_wrong = |report: &&Report| !report.passed || report.cases == 0;
    let line = |report: &Report| {
        let Report { name, cases, value_error, gradient_error, place, .. } = report;
        format!(
            "{name}: {cases} cases, value {value_error:.1e}, gradient {gradient_error:.1e}; {place}"
        )
    };
    let wrong: Vec<String> = reports.iter().filter(is_wrong).map(line).collect();
    if reports.is_empty() {
        return Err("nothing was checked".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Checks one entry on a device.
type Check = fn(&str, &Device) -> Result<Vec<Report>>;

/// All checks of a device.
fn checks() -> Vec<(&'static str, Check)> {
    let loss: Check = |name, device| testing::check_loss(losses::entry(name)?, device);
    let activation: Check =
        |name, device| testing::check_activation(activations::entry(name)?, device);
    let optimizer: Check =
        |name, device| testing::check_optimizer(optimizers::entry(name)?, device);
    let matmul: Check = |_, device| testing::check_matmul(device);
    let mut all: Vec<(&'static str, Check)> =
        losses::CATALOGUE.iter().map(|entry| (entry.name, loss)).collect();
    all.extend(activations::CATALOGUE.iter().map(|entry| (entry.name, activation)));
    all.extend(optimizers::CATALOGUE.iter().map(|entry| (entry.name, optimizer)));
    all.push(("matmul", matmul));
    all
}

/// Draws per loss and property on the CPU, and on a GPU, where each new set of switches is a
/// pipeline that a software compiler takes time for.
const CPU_DRAWS: u32 = 8;
const GPU_DRAWS: u32 = 2;

/// The draws of a loss, its properties, and the property for a GPU.
type Properties = (
    BoxedStrategy<Draw>,
    &'static [(&'static str, Property)],
    fn(&Draw, &Device) -> Result<(), TestCaseError>,
);

fn properties_of(name: &'static str) -> Result<Properties, Failed> {
    let loss = losses::from_name(name, &serde_json::Value::Null)?;
    Ok(if loss.arguments().is_empty() {
        (properties::draws(name), properties::PROPERTIES, properties::holds_on)
    } else {
        (
            properties_several::draws(name),
            properties_several::PROPERTIES,
            properties_several::holds_on,
        )
    })
}

/// False if the gradients are never the derivatives of the values, as a part of the loss is held
/// constant with all options: golden values check them.
fn derives_its_value(name: &str) -> bool {
    let entry = losses::entry(name).expect("it is in the list");
    std::iter::once("{}").chain(entry.variants.iter().copied()).any(|options| {
        let options = serde_json::from_str(options).expect("a variant is JSON");
        let loss = losses::from_name(name, &options).expect("a variant is valid");
        match loss.template() {
            Template::Several(_, host) => host.derives_its_value(),
            Template::OneInput(_) => true,
        }
    })
}

fn holds(name: &'static str) -> Result<(), Failed> {
    let (draws, properties, _) = properties_of(name)?;
    for (title, property) in properties {
        let found = TestRunner::new(drawn::config(CPU_DRAWS)).run(&draws, |draw| property(&draw));
        found.map_err(|error| format!("{title}: {error}"))?;
    }
    Ok(())
}

fn holds_on(name: &'static str, device: &Device) -> Result<(), Failed> {
    let (draws, _, property) = properties_of(name)?;
    Ok(TestRunner::new(drawn::config(GPU_DRAWS)).run(&draws, |draw| property(&draw, device))?)
}

fn main() -> ExitCode {
    let gpu = support::adapter();
    let is_ignored = gpu.is_err() && !support::requires_gpu();
    let seen = || {
        properties::an_error_of_one_in_ten_thousand_is_seen();
        Ok(())
    };
    let mut trials = vec![Trial::test("the comparison of the properties can fail", seen)];
    let golden = golden::all();
    for name in losses::CATALOGUE.iter().map(|entry| entry.name) {
        let cases: Arc<Vec<Value>> =
            Arc::new(golden.iter().filter(|case| case["loss"] == name).cloned().collect());
        let differences = move || checked(testing::central_differences(losses::entry(name)?));
        if derives_its_value(name) {
            trials.push(Trial::test(format!("{name} by central differences"), differences));
        }
        for device in [Device::reference(), Device::cpu()] {
            let (title, cases) =
                (format!("{name} by golden values on {}", device.name()), cases.clone());
            trials.push(Trial::test(title, move || golden::check(&cases, &device)));
        }
        trials.push(Trial::test(format!("{name} properties on cpu"), move || holds(name)));
        let device = gpu.clone();
        let on_gpu = move || golden::check(&cases, &device?);
        trials.push(
            Trial::test(format!("{name} by golden values on gpu"), on_gpu)
                .with_ignored_flag(is_ignored),
        );
        let device = gpu.clone();
        let on_gpu = move || holds_on(name, &device?);
        trials.push(
            Trial::test(format!("{name} properties on gpu"), on_gpu).with_ignored_flag(is_ignored),
        );
    }
    for (name, check) in checks() {
        for device in [Device::reference(), Device::cpu()] {
            let title = format!("{name} on {}", device.name());
            trials.push(Trial::test(title, move || checked(check(name, &device))));
        }
        let device = gpu.clone();
        let on_gpu = move || checked(check(name, &device?));
        trials.push(Trial::test(format!("{name} on gpu"), on_gpu).with_ignored_flag(is_ignored));
    }
    if let (Err(why), false) = (&gpu, support::requires_gpu()) {
        eprintln!("the tests on a GPU are ignored: {why}");
    }
    let Conclusion { num_failed, .. } = libtest_mimic::run(&Arguments::from_args(), trials);
    if num_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

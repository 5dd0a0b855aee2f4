//! Each loss, activation and optimizer of the lists, and the matrix product, on each device against the reference: a test for each, so that
//! `cargo test huber` runs those of one. Without an adapter those of the GPU are ignored.

mod support;

use std::process::ExitCode;

use gradus::testing::{self, Report};
use gradus::{Device, Result, activations, losses, optimizers};
use libtest_mimic::{Arguments, Conclusion, Failed, Trial};

/// That all have passed and that there was something to judge.
fn judged(reports: Result<Vec<Report>>) -> Result<(), Failed> {
    let reports = reports?;
    let is_wrong = |report: &&Report| !report.passed || report.cases == 0;
    let line = |report: &Report| {
        let Report { name, cases, value_error, gradient_error, place, .. } = report;
        format!("{name}: {cases} cases, value {value_error:.1e}, gradient {gradient_error:.1e}; {place}")
    };
    let wrong: Vec<String> = reports.iter().filter(is_wrong).map(line).collect();
    if reports.is_empty() {
        return Err("nothing was judged".into());
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

/// Judges one entry on a device.
type Judge = fn(&str, &Device) -> Result<Vec<Report>>;

/// All that a device must be right about.
fn judges() -> Vec<(&'static str, Judge)> {
    let loss: Judge = |name, device| testing::check_loss(losses::entry(name)?, device);
    let activation: Judge = |name, device| testing::check_activation(activations::entry(name)?, device);
    let optimizer: Judge = |name, device| testing::check_optimizer(optimizers::entry(name)?, device);
    let matmul: Judge = |_, device| testing::check_matmul(device);
    let mut all: Vec<(&'static str, Judge)> = losses::CATALOGUE.iter().map(|entry| (entry.name, loss)).collect();
    all.extend(activations::CATALOGUE.iter().map(|entry| (entry.name, activation)));
    all.extend(optimizers::CATALOGUE.iter().map(|entry| (entry.name, optimizer)));
    all.push(("matmul", matmul));
    all
}

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = losses::CATALOGUE
        .iter()
        .map(|entry| {
            let judge = || judged(testing::central_differences(entry));
            Trial::test(format!("{} by central differences", entry.name), judge)
        })
        .collect();
    let gpu = support::adapter();
    for (name, judge) in judges() {
        for device in [Device::reference(), Device::cpu()] {
            let title = format!("{name} on {}", device.name());
            trials.push(Trial::test(title, move || judged(judge(name, &device))));
        }
        let (gpu, is_ignored) = (gpu.clone(), gpu.is_err() && !support::requires_gpu());
        let on_gpu = move || judged(judge(name, &gpu?));
        trials.push(Trial::test(format!("{name} on gpu"), on_gpu).with_ignored_flag(is_ignored));
    }
    if let (Err(why), false) = (&gpu, support::requires_gpu()) {
        eprintln!("the tests on a GPU are ignored: {why}");
    }
    let Conclusion { num_failed, .. } = libtest_mimic::run(&Arguments::from_args(), trials);
    if num_failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

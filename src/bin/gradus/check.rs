//! `gradus check`: compares every kernel with the f64 reference on a device and prints a table of
//! errors.

use std::time::{Duration, Instant};

use clap::Args;
use gradus::testing::{self, Report};
use gradus::{Device, activations, losses, optimizers};
use serde_json::{Value, json};

use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::{names, numbers};

/// Compares every kernel with the f64 reference on a device
#[derive(Args)]
pub struct Check {
    /// Names to check: losses, activations, optimizers, matmul [default: all]
    names: Vec<String>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Starts no further check after this time, and lists those left out
    #[arg(long, value_name = "SECONDS", value_parser = numbers::seconds, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
}

/// The subject of a check, by name.
#[derive(Clone, Copy)]
enum Subject {
    Loss(&'static gradus::Entry<dyn losses::LossDefinition>),
    Activation(&'static gradus::Entry<dyn activations::Activation>),
    Optimizer(&'static gradus::Entry<dyn optimizers::Optimizer>),
    Matmul,
}

impl Subject {
    fn all() -> Vec<Subject> {
        let losses = losses::CATALOGUE.iter().map(|entry| Subject::Loss(entry));
        let activations = activations::CATALOGUE.iter().map(|entry| Subject::Activation(entry));
        let optimizers = optimizers::CATALOGUE.iter().map(|entry| Subject::Optimizer(entry));
        losses.chain(activations).chain(optimizers).chain([Subject::Matmul]).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Subject::Loss(entry) => entry.name,
            Subject::Activation(entry) => entry.name,
            Subject::Optimizer(entry) => entry.name,
            Subject::Matmul => "matmul",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Subject::Loss(_) => "loss",
            Subject::Activation(_) => "activation",
            Subject::Optimizer(_) => "optimizer",
            Subject::Matmul => "matmul",
        }
    }

    fn check(self, device: &Device) -> gradus::Result<Vec<Report>> {
        match self {
            Subject::Loss(entry) => testing::check_loss(entry, device),
            Subject::Activation(entry) => testing::check_activation(entry, device),
            Subject::Optimizer(entry) => testing::check_optimizer(entry, device),
            Subject::Matmul => testing::check_matmul(device),
        }
    }
}

impl Check {
    pub fn run(&self) -> Outcome {
        let subjects =
            if self.seconds.is_some() { mixed(self.subjects()?) } else { self.subjects()? };
        let device = self.device.open_and_report()?;
        let (mut reports, mut left_out) = (Vec::new(), Vec::new());
        let (start, time) = (Instant::now(), self.seconds.map(Duration::from_secs_f64));
        for subject in subjects {
            if time.is_some_and(|time| start.elapsed() >= time) {
                left_out.push(subject.name());
                continue;
            }
            let found = subject.check(&device)?;
            reports.extend(found.into_iter().map(|report| (subject.kind(), report)));
        }
        if self.json {
            output::print_json(&as_json(&device, &reports, &left_out))?;
        } else {
            output::print(&as_table(&reports))?;
        }
        if !left_out.is_empty() {
            let seconds = self.seconds.unwrap_or_default();
            output::note(&format!(
                "left out, since the {seconds} s were over: {}",
                left_out.join(", ")
            ));
        }
        let failed: Vec<_> = reports.iter().filter(|(_, report)| !report.passed).collect();
        for (_, report) in &failed {
            output::error(&format!("{}: {}", report.name, report.place));
        }
        if failed.is_empty() { Ok(()) } else { Err(Failure::Printed) }
    }

    fn subjects(&self) -> Outcome<Vec<Subject>> {
        let all = Subject::all();
        if let Some(name) =
            self.names.iter().find(|name| all.iter().all(|subject| subject.name() != name.as_str()))
        {
            let known: Vec<&str> = all.iter().map(|subject| subject.name()).collect();
            return Err(Failure::Usage(names::among("name", name, &known)));
        }
        let asked = |subject: &Subject| {
            self.names.is_empty() || self.names.iter().any(|name| name == subject.name())
        };
        Ok(all.into_iter().filter(asked).collect())
    }
}

/// Reorders the checks so that all kinds are interleaved: an interrupted run has covered some of
/// each.
fn mixed<T>(all: Vec<T>) -> Vec<T> {
    let mut numbered: Vec<(usize, T)> = all.into_iter().enumerate().collect();
    // Multiples of the golden ratio spread evenly (D. Knuth, The Art of Computer Programming 3,
    // section 6.4).
    numbered.sort_by_key(|(index, _)| (*index as u32).wrapping_mul(0x9e37_79b9));
    numbered.into_iter().map(|(_, one)| one).collect()
}

fn as_json(device: &Device, reports: &[(&str, Report)], left_out: &[&str]) -> Value {
    // NaN and infinities as strings: `null` would mean "not measured".
    let error = gradus::cases::number_to_json;
    let rows: Vec<Value> = reports
        .iter()
        .map(|(kind, report)| {
            json!({
                "name": report.name, "kind": kind, "cases": report.cases,
                "value_error": error(report.value_error), "gradient_error": error(report.gradient_error),
                "passed": report.passed, "place": report.place,
            })
        })
        .collect();
    json!({
        "device": device.name(),
        "adapter": device.describe(),
        "passed": !reports.is_empty() && reports.iter().all(|(_, report)| report.passed),
        "left_out": left_out,
        "checks": rows,
    })
}

fn as_table(reports: &[(&str, Report)]) -> String {
    let mut table =
        output::table(&["kernel", "kind", "cases", "value error", "gradient error", "result"]);
    for (kind, report) in reports {
        table.add_row(vec![
            report.name.clone(),
            (*kind).into(),
            report.cases.to_string(),
            format!("{:.1e}", report.value_error),
            format!("{:.1e}", report.gradient_error),
            if report.passed { "passed" } else { "FAILED" }.into(),
        ]);
    }
    let passed = reports.iter().filter(|(_, report)| report.passed).count();
    format!("{table}\n\n{passed} of {} passed\n", reports.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixed_order_has_all_and_begins_with_some_of_each_kind() {
        let found = mixed((0..100).collect());
        assert!(
            found[..10].iter().any(|i| *i < 25) && found[..10].iter().any(|i| *i >= 75),
            "{found:?}"
        );
        let mut sorted = found;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}

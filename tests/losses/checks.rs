//! The checks of tests/entries with wgpu's bounds checks enabled.

use crate::support::gpu;
use gradus::testing::{self, Report};
use gradus::{Device, Gpu, GpuOptions, Result, activations, losses, optimizers};

/// Prints every report and asserts that none is empty and all have passed.
fn ask(device: &str, reports: Result<Vec<Report>>, failures: &mut Vec<String>) {
    for report in reports.unwrap_or_else(|error| panic!("{device}: {error}")) {
        println!(
            "{device}: {:<40} {:>5} cases, value {:.1e}, gradient {:.1e}; {}",
            report.name, report.cases, report.value_error, report.gradient_error, report.place
        );
        if !report.passed || report.cases == 0 {
            failures.push(format!("{device}: {}: {}", report.name, report.place));
        }
    }
}

fn assert_none(failures: Vec<String>) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// wgpu's bounds checks make out-of-bounds reads and writes harmless: results that depend on one
/// change.
#[test]
fn results_are_right_with_bounds_checked_too() {
    let Some(_) = gpu() else { return };
    let device = Gpu::open_with(GpuOptions::default().checked(true))
        .map(Device::Gpu)
        .expect("the adapter opened before");
    let mut failures = Vec::new();
    for name in ["mse", "bce_with_logits", "cross_entropy"] {
        ask(
            "checked",
            losses::entry(name).and_then(|entry| testing::check_loss(entry, &device)),
            &mut failures,
        );
    }
    ask(
        "checked",
        activations::entry("gelu").and_then(|e| testing::check_activation(e, &device)),
        &mut failures,
    );
    ask(
        "checked",
        optimizers::entry("adam").and_then(|e| testing::check_optimizer(e, &device)),
        &mut failures,
    );
    ask("checked", testing::check_matmul(&device), &mut failures);
    assert_none(failures);
}

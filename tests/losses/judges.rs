//! The second and the third judge: central differences for the reference's derivatives, the reference for what every
//! device computes. Driven by the lists.

use std::time::Instant;

use crate::support::{each_device, gpu};
use gradus::testing::{self, Report};
use gradus::{Device, Gpu, GpuOptions, Result, activations, losses, optimizers};

/// Prints every report and asks that all have passed and none was empty.
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

fn settle(failures: Vec<String>) {
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn the_reference_derives_every_loss_as_its_central_differences_do() {
    let mut failures = Vec::new();
    for entry in losses::CATALOGUE {
        ask("central differences", testing::central_differences(entry), &mut failures);
    }
    settle(failures);
}

#[test]
fn every_loss_is_right_on_every_device() {
    let mut failures = Vec::new();
    for device in each_device() {
        let start = Instant::now();
        for entry in losses::CATALOGUE {
            ask(device.name(), testing::check_loss(entry, &device), &mut failures);
        }
        println!("{}: {:.1} s", device.describe(), start.elapsed().as_secs_f64());
    }
    settle(failures);
}

#[test]
fn every_activation_is_right_on_every_device() {
    let mut failures = Vec::new();
    for device in each_device() {
        for entry in activations::CATALOGUE {
            ask(device.name(), testing::check_activation(entry, &device), &mut failures);
        }
    }
    settle(failures);
}

#[test]
fn every_optimizer_is_right_on_every_device() {
    let mut failures = Vec::new();
    for device in each_device() {
        for entry in optimizers::CATALOGUE {
            ask(device.name(), testing::check_optimizer(entry, &device), &mut failures);
        }
    }
    settle(failures);
}

#[test]
fn the_matrix_product_is_right_on_every_device() {
    let mut failures = Vec::new();
    for device in each_device() {
        ask(device.name(), testing::check_matmul(&device), &mut failures);
    }
    settle(failures);
}

/// wgpu's own bounds checks turn a read or a write outside into a harmless one: results that hinge on it change.
#[test]
fn results_are_right_with_bounds_checked_too() {
    let Some(_) = gpu() else { return };
    let device =
        Gpu::open_with(GpuOptions::default().checked(true)).map(Device::Gpu).expect("the adapter opened before");
    let mut failures = Vec::new();
    for name in ["mse", "bce_with_logits", "cross_entropy"] {
        ask("checked", losses::entry(name).and_then(|entry| testing::check_loss(entry, &device)), &mut failures);
    }
    ask("checked", activations::entry("gelu").and_then(|e| testing::check_activation(e, &device)), &mut failures);
    ask("checked", optimizers::entry("adam").and_then(|e| testing::check_optimizer(e, &device)), &mut failures);
    ask("checked", testing::check_matmul(&device), &mut failures);
    settle(failures);
}

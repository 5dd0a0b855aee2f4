//! Every kernel variant, forced by its switch: unchecked and checked, with and without subgroups,
//! for software and for hardware; and calls with other kernel options.

use std::process::Command;

use gradus::losses::{self, CrossEntropy, Loss};
use gradus::testing::{self, Report};
use gradus::{
    Criterion, Device, Gpu, GpuOptions, Reduction, Result, Tensor, activations, optimizers,
};
use ndarray::{Array1, Array2};

/// The GPU with forced variants; `None` without a GPU.
fn forced(options: GpuOptions) -> Option<Device> {
    crate::support::gpu()?;
    Some(Device::Gpu(Gpu::open_with(options).expect("the adapter opened before")))
}

fn ask(device: &Device, reports: Result<Vec<Report>>, failures: &mut Vec<String>) {
    for report in reports.unwrap_or_else(|error| panic!("{}: {error}", device.describe())) {
        if !report.passed || report.cases == 0 {
            failures.push(format!("{}: {}: {}", device.describe(), report.name, report.place));
        }
    }
}

fn check(options: GpuOptions) {
    let Some(device) = forced(options) else { return };
    let mut failures = Vec::new();
    for name in ["huber", "cross_entropy", "kl_div"] {
        let reports = losses::entry(name).and_then(|entry| testing::check_loss(entry, &device));
        ask(&device, reports, &mut failures);
    }
    ask(
        &device,
        activations::entry("softmax").and_then(|e| testing::check_activation(e, &device)),
        &mut failures,
    );
    ask(
        &device,
        optimizers::entry("sgd").and_then(|e| testing::check_optimizer(e, &device)),
        &mut failures,
    );
    ask(&device, testing::check_matmul(&device), &mut failures);
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn results_are_right_without_subgroups() {
    check(GpuOptions::default().subgroups(false));
}

#[test]
fn results_are_right_without_subgroups_and_with_bounds_checked() {
    check(GpuOptions::default().subgroups(false).checked(true));
}

#[test]
fn results_are_right_with_the_variants_for_hardware() {
    check(GpuOptions::default().hardware_variants(true));
}

#[test]
fn results_are_right_with_the_variants_for_hardware_without_subgroups() {
    check(GpuOptions::default().hardware_variants(true).subgroups(false));
}

/// A deterministic number in [−2, 2) for an index.
fn number(index: usize) -> f32 {
    (index.wrapping_mul(2_654_435_761) >> 7) as u16 as f32 / 16_384.0 - 2.0
}

/// Each boundary of the variant table by row length, and one beyond it. `exp` of numbers up to 4 is
/// 11 ulp off, the longest chain of additions is 1 + 40,003 / (4 · 8) at eight threads and adds at
/// most half an ulp each at random (the root of 1251 halves: 18), product and quotient another 4:
/// 33 ulp of 1.2e-7 are 4e-6.
#[test]
fn every_variant_by_row_length_gives_what_the_reference_does() {
    for hardware in [false, true] {
        for subgroups in [false, true] {
            let options = GpuOptions::default().hardware_variants(hardware).subgroups(subgroups);
            let Some(device) = forced(options) else { return };
            for columns in [64, 65, 68, 1024, 1025, 2048, 8192, 8195, 32_768, 40_003, 40_004] {
                let logits = Array2::from_shape_fn((3, columns), |(r, c)| number(r * columns + c));
                let labels = Array1::from(vec![0, columns as i64 / 2, columns as i64 - 1]);
                let on = |device: &Device| {
                    CrossEntropy::new().on(device).unwrap().reduction(Reduction::Sum)
                };
                let exact = on(&Device::reference()).value_and_gradient(&logits, &labels).unwrap();
                let found = on(&device).value_and_gradient(&logits, &labels).unwrap();
                let name = format!("{} columns on {}", columns, device.describe());
                let off = (found.value() / exact.value() - 1.0).abs();
                assert!(off <= 4e-6, "value of {name} is {off:e} off");
                for (place, (e, f)) in exact.gradient.iter().zip(&found.gradient).enumerate() {
                    let near = (e - f).abs() <= 4e-6 * e.abs();
                    assert!(near, "cell {place} of {name}: {f:e} instead of {e:e}");
                }
            }
        }
    }
}

/// Logits of four values, so that the largest and the hinge are there many times, in rows that a
/// lane, several lanes and several parts of a lane share. What ties share is exact in eighths; the
/// rest is off by sums of at most 300 numbers below 8: 300 · 2⁻²⁴ · 8 = 1.4e-4 of a sum, and of a
/// gradient in [−2, 2] the ulps of exp.
#[test]
fn ties_are_shared_alike_by_every_variant() {
    for hardware in [false, true] {
        let options = GpuOptions::default().hardware_variants(hardware);
        let Some(device) = forced(options) else { return };
        for name in ["multiclass_hinge", "multi_margin", "sparsemax", "cross_entropy"] {
            for columns in [3, 5, 9, 40, 300] {
                let level = |r: usize, c: usize| ((r * 7 + c * 5) % 4) as f32 - 1.5;
                let logits = Array2::from_shape_fn((4, columns), |(r, c)| level(r, c));
                let labels = Array1::from_shape_fn(4, |r| (r * 13 % columns) as i64);
                let on = |device: &Device| criterion(name, device).reduction(Reduction::Sum);
                let exact = on(&Device::reference()).value_and_gradient(&logits, &labels).unwrap();
                let found = on(&device).value_and_gradient(&logits, &labels).unwrap();
                let place = format!("{name} of {columns} columns on {}", device.describe());
                let off = (found.value() - exact.value()).abs() / exact.value().abs().max(1.0);
                assert!(off <= 1.4e-4, "value of {place} is {off:e} off");
                for (e, f) in exact.gradient.iter().zip(&found.gradient) {
                    assert!((e - f).abs() <= 2e-6, "{place}: {f:e} instead of {e:e}");
                }
            }
        }
    }
}

#[test]
fn a_temperature_is_above_zero_and_finite() {
    for temperature in [-1.0, 0.0, f64::INFINITY, f64::NAN] {
        let refused = CrossEntropy::new().temperature(temperature).on(&Device::cpu());
        let message = refused.unwrap_err().to_string();
        assert!(message.starts_with("cross_entropy: temperature is"), "{message}");
    }
}

fn criterion(name: &str, device: &Device) -> Criterion {
    let loss = losses::from_name(name, &serde_json::json!({})).unwrap();
    Criterion::from_boxed(loss, device).unwrap()
}

/// Inputs of a loss on a device: logits, and labels, a distribution, or 0 and 1.
fn inputs(name: &str, device: &Device, rows: usize, columns: usize) -> (Array2<f32>, Tensor) {
    let predictions = Array2::from_shape_fn((rows, columns), |(r, c)| number(r * columns + c));
    let targets = match name {
        "cross_entropy" => {
            // One row in five is ignored.
            let label = |r: usize| if r % 5 == 4 { -100 } else { (r * 31 % columns) as i64 };
            Tensor::from_labels(device, &(0..rows).map(label).collect::<Vec<_>>()).unwrap()
        }
        "kl_div" => {
            let even = Array2::from_elem((rows, columns), 1.0 / columns as f32);
            Tensor::from_array(device, even.view().into_dyn()).unwrap()
        }
        _ => {
            let truths = Array2::from_shape_fn((rows, columns), |(r, c)| ((r + c) % 2) as f32);
            Tensor::from_array(device, truths.view().into_dyn()).unwrap()
        }
    };
    (predictions, targets)
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    tensor.to_array().unwrap().iter().map(|x| x.to_bits()).collect()
}

/// Devices whose kernels differ: the CPU, and the GPU in all its variants.
fn devices() -> Vec<Device> {
    let ways = [false, true].into_iter().flat_map(|hardware| {
        [false, true]
            .map(|subgroups| GpuOptions::default().hardware_variants(hardware).subgroups(subgroups))
    });
    std::iter::once(Device::cpu()).chain(ways.filter_map(forced)).collect()
}

#[test]
fn a_gradient_over_the_predictions_is_the_same_bit_for_bit() {
    for device in devices() {
        for name in ["mse", "bce_with_logits", "cross_entropy", "kl_div"] {
            for (rows, columns) in [(50, 10), (37, 12), (21, 133), (5, 1028), (2, 9001)] {
                let (predictions, targets) = inputs(name, &device, rows, columns);
                let upload = || Tensor::from_array(&device, predictions.view().into_dyn()).unwrap();
                let criterion = criterion(name, &device);
                let apart = criterion.backward(&upload(), &targets).unwrap();
                let over = upload();
                let clone = over.clone();
                let in_place = criterion.backward_in_place(over, &targets).unwrap();
                let what = format!("{name} [{rows}, {columns}] on {}", device.describe());
                assert_eq!(
                    apart.value().unwrap().to_bits(),
                    in_place.value().unwrap().to_bits(),
                    "value of {what}"
                );
                assert!(bits(&apart.gradient) == bits(&in_place.gradient), "gradient of {what}");
                if matches!(device, Device::Gpu(_)) {
                    assert!(
                        bits(&clone) == bits(&in_place.gradient),
                        "{what}: the memory is not the predictions'"
                    );
                }
            }
        }
    }
}

/// A power of two only changes the exponent.
#[test]
fn an_upstream_of_four_makes_the_gradient_four_times_as_large_and_leaves_the_value() {
    for device in devices() {
        for name in ["huber", "cross_entropy", "kl_div"] {
            let (predictions, targets) = inputs(name, &device, 30, 34);
            let predictions = Tensor::from_array(&device, predictions.view().into_dyn()).unwrap();
            let criterion = criterion(name, &device);
            let one = criterion.backward(&predictions, &targets).unwrap();
            let four = criterion.backward_with_upstream(&predictions, &targets, 4.0).unwrap();
            assert_eq!(
                one.value().unwrap(),
                four.value().unwrap(),
                "{name} on {}",
                device.describe()
            );
            let expected = one.gradient.to_array().unwrap().mapv(|x| 4.0 * x);
            assert_eq!(
                expected,
                four.gradient.to_array().unwrap(),
                "{name} on {}",
                device.describe()
            );
        }
    }
}

#[test]
fn the_environment_forces_variants_and_the_command_says_which() {
    if crate::support::gpu().is_none() {
        return;
    }
    let run = |name: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradus"));
        command
            .args(["check", "mse", "--device", "gpu"])
            .env(name, value)
            .output()
            .expect("it is built")
    };
    let named = [
        ("GRADUS_CHECKED", "1", "[checked shaders]"),
        ("GRADUS_SUBGROUPS", "off", "[no subgroups]"),
        ("GRADUS_VARIANTS", "hardware", "[variants for hardware]"),
    ];
    for (name, value, said) in named {
        let output = run(name, value);
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && report.contains(said), "{name}={value}: {report}");
    }
    let refused = run("GRADUS_SUBGROUPS", "perhaps");
    let report = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && report.contains("GRADUS_SUBGROUPS"), "{report}");
}

//! Tensors larger than one binding, and more workgroups than one dimension of a dispatch allows.

use gradus::losses::{CrossEntropy, Ctc, GaussianNll, Loss, Mse};
use gradus::{Criterion, Device, Error, Inputs, Reduction, Tensor};
use ndarray::{Array1, Array2, ArrayD};

/// The GPU, if its binding limit is small enough for a test to exceed: 128 MiB on software Vulkan.
fn small_bindings() -> Option<Device> {
    let device = crate::support::gpu()?;
    let Device::Gpu(gpu) = &device else { return None };
    if gpu.limits().max_storage_buffer_binding_size > 256 << 20 {
        println!(
            "IGNORED: one binding takes {} bytes",
            gpu.limits().max_storage_buffer_binding_size
        );
        return None;
    }
    Some(device)
}

/// A deterministic number in [−2, 2) for an index.
fn number(index: usize) -> f32 {
    (index.wrapping_mul(2_654_435_761) >> 7) as u16 as f32 / 16_384.0 - 2.0
}

fn numbers(rows: usize, columns: usize, first: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| number(first + row * columns + column))
}

/// Both are f32: a few roundings of 6e-8 each of a cell's factors, which are at most `size`.
fn same(expected: &ArrayD<f32>, found: &ArrayD<f32>, size: f32) {
    assert_eq!(expected.shape(), found.shape());
    let width = expected.shape()[1];
    for (place, (e, f)) in expected.iter().zip(found).enumerate() {
        let near = (e - f).abs() <= 2e-6 * size;
        assert!(near, "row {} column {}: {f} instead of {e}", place / width, place % width);
    }
}

#[test]
fn a_pointwise_loss_over_the_binding_limit_is_computed_in_parts() {
    let Some(device) = small_bindings() else { return };
    // 2²⁵ elements fill 128 MiB; rows and columns are odd so that no chunk ends with a row.
    let (rows, columns) = (33_001, 1_021);
    let (predictions, targets) = (numbers(rows, columns, 0), numbers(rows, columns, 5));
    let weight = Array1::from_shape_fn(rows, |row| 1.0 + (row % 3) as f32);
    let inputs = Inputs::new(&predictions, &targets).weight(&weight);
    let on = |device: &Device| Mse::new().on(device).unwrap().reduction(Reduction::BatchMean);
    let (expected, found) =
        (on(&Device::cpu()).evaluate(&inputs).unwrap(), on(&device).evaluate(&inputs).unwrap());
    assert!(
        (found.value() / expected.value() - 1.0).abs() <= 2e-6,
        "{} {}",
        found.value(),
        expected.value()
    );
    same(&expected.gradient, &found.gradient, 24.0 / rows as f32);
}

fn labels(rows: usize, columns: usize) -> Vec<i64> {
    (0..rows).map(|row| if row % 7 == 3 { -100 } else { (row * 31 % columns) as i64 }).collect()
}

#[test]
fn a_row_wise_loss_over_the_binding_limit_is_computed_in_parts() {
    let Some(device) = small_bindings() else { return };
    // More rows than the 65,535 workgroups of one dimension, and more cells than one binding holds.
    let (rows, columns) = (66_001, 513);
    let predictions = numbers(rows, columns, 0);
    let labels = Array1::from(labels(rows, columns));
    let upstream = Array1::from_shape_fn(rows, |row| 1.0 + (row % 5) as f32);
    let inputs = Inputs::new(&predictions, &labels).upstream(&upstream);
    let on = |device: &Device| CrossEntropy::new().on(device).unwrap().reduction(Reduction::None);
    let (expected, found) =
        (on(&Device::cpu()).evaluate(&inputs).unwrap(), on(&device).evaluate(&inputs).unwrap());
    for (row, (e, f)) in expected.values.iter().zip(&found.values).enumerate() {
        let near = (e - f).abs() <= 2e-6 * e.abs();
        assert!(near, "row {row}: {f} instead of {e}");
    }
    same(&expected.gradient, &found.gradient, 5.0);
}

#[test]
fn the_first_bad_label_on_the_device_is_named_in_whatever_part_it_lies() {
    let Some(device) = crate::support::gpu() else { return };
    let (rows, columns) = (70_000, 40);
    let predictions =
        Tensor::from_array(&device, numbers(rows, columns, 0).view().into_dyn()).unwrap();
    let criterion: Criterion = CrossEntropy::new().on(&device).unwrap();
    let mut all = labels(rows, columns);
    assert!(
        criterion
            .backward(&predictions, &Tensor::from_labels(&device, &all).unwrap())
            .unwrap()
            .value()
            .is_ok()
    );
    (all[68_123], all[69_000], all[69_999]) = (40, -7, 1_000_000);
    let step =
        criterion.backward(&predictions, &Tensor::from_labels(&device, &all).unwrap()).unwrap();
    match step.value() {
        Err(Error::Label { row: 68_123, label: 40, classes: 40, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_very_long_row_and_a_very_deep_product_are_whole() {
    // A driver may silently end a long loop: Mesa's software Vulkan does after 65,535 iterations.
    let Some(device) = crate::support::gpu() else { return };
    let columns = 1_500_001;
    let logits = numbers(2, columns, 5);
    let labels = ndarray::array![7_i64, columns as i64 - 1];
    let on = |device: &Device| {
        let criterion = CrossEntropy::new().on(device).unwrap().reduction(Reduction::Sum);
        criterion.value_and_gradient(&logits, &labels).unwrap()
    };
    let (found, expected) = (on(&device), on(&Device::cpu()));
    // Probabilities near 1e-6: relative error, and absolute error for the labels'.
    for (f, e) in found.gradient.iter().zip(&expected.gradient) {
        assert!((f - e).abs() <= 1e-5 * e.abs(), "{f} instead of {e}");
    }
    assert!((found.value() - expected.value()).abs() <= 1e-6 * expected.value());

    let k = 300_000;
    let ones = |shape: [usize; 2]| {
        Tensor::from_array(&device, Array2::<f32>::ones(shape).view().into_dyn()).unwrap()
    };
    let plan = gradus::Plan::matmul(&ones([3, k]), &ones([k, 5])).unwrap();
    plan.run().unwrap();
    // Integers below 2^24: exact in any order.
    assert!(plan.result.to_array().unwrap().iter().all(|&sum| sum == k as f32));
}

#[test]
fn one_variance_of_a_very_long_row_and_very_many_classes_of_a_sequence_are_whole() {
    // As above: eight threads would need 75,000 iterations and more.
    let Some(device) = crate::support::gpu() else { return };
    let (x, y, variance) =
        (numbers(1, 600_000, 1), numbers(1, 600_000, 2), ndarray::array![[0.5_f32]]);
    let on = |device: &Device| {
        let inputs = Inputs::new(&x, &y).input("variance", &variance);
        GaussianNll::new().on(device).unwrap().reduction(Reduction::Sum).evaluate(&inputs).unwrap()
    };
    let of = |device: &Device| on(device).gradient_of("variance").unwrap()[[0, 0]];
    let (found, expected) = (of(&device), of(&Device::reference()));
    // 600,000 terms of one size in a tree of 2,344 and 8 levels in f32: at most (2,352)·6e-8 of
    // their magnitudes, far less on average.
    assert!((found - expected).abs() <= 1e-4 * expected.abs(), "{found} instead of {expected}");

    let classes = 300_000;
    let logits = numbers(3, classes, 3).insert_axis(ndarray::Axis(1));
    let (labels, rows, count) =
        (ndarray::array![[299_999_i64]], ndarray::array![3_i64], ndarray::array![1_i64]);
    let on = |device: &Device| {
        let inputs = Inputs::new(&logits, &labels)
            .input("input_lengths", &rows)
            .input("target_lengths", &count);
        Ctc::new().on(device).unwrap().evaluate(&inputs).unwrap()
    };
    let (found, expected) = (on(&device), on(&Device::reference()));
    assert!(
        (found.value() - expected.value()).abs() <= 1e-6 * expected.value(),
        "{}",
        found.value()
    );
    for (f, e) in found.gradient.iter().zip(&expected.gradient) {
        // Probabilities near 3e-6, and for the label and the blank the f32 rounding of 1 minus
        // them.
        assert!((f - e).abs() <= 1e-5 * e.abs() + 1e-7, "{f} instead of {e}");
    }
}

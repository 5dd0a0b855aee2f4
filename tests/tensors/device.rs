//! Device tensors: over the binding limit, over 65,535 workgroups, labels checked on the device,
//! and device errors.

use gradus::losses::{CrossEntropy, Loss, Mse};
use gradus::{Device, Error, Gpu, GpuOptions, Inputs, Reduction, Tensor};
use ndarray::{Array1, Array2, array};

/// The adapter's binding limit in elements, if tensors beyond it fit into memory here.
fn binding_elements(device: &Device) -> Option<usize> {
    let Device::Gpu(gpu) = device else { return None };
    let elements = (gpu.limits().max_storage_buffer_binding_size / 4) as usize;
    let buffer = (gpu.limits().max_buffer_size / 4) as usize;
    if elements > 1 << 26 || buffer < elements + elements / 8 {
        println!(
            "IGNORED: {} binds {elements} elements, too many to go beyond in a test",
            device.describe()
        );
        return None;
    }
    Some(elements)
}

#[test]
fn a_pointwise_tensor_over_the_binding_limit_is_taken_in_parts() {
    let Some(device) = crate::support::gpu() else { return };
    let Some(limit) = binding_elements(&device) else { return };
    let length = limit + limit / 16 + 5;
    let predictions = Array1::from_shape_fn(length, |i| (i % 97) as f32);
    let targets = Array1::from_shape_fn(length, |i| (i % 89) as f32);
    let step = Mse::new().on(&device).unwrap().value_and_gradient(&predictions, &targets).unwrap();
    let mut expected = 0.0;
    for (i, (p, t)) in predictions.iter().zip(&targets).enumerate() {
        let error = f64::from(p - t);
        expected += error * error / length as f64;
        let found = f64::from(step.gradient[[i]]);
        // One product and the factor, each rounded once.
        assert!(
            (found - 2.0 * error / length as f64).abs() <= 3e-7 * found.abs(),
            "element {i}: {found}"
        );
    }
    // Chains of some thousand additions of numbers of one sign, each off by half an ulp at random.
    assert!(
        (step.value() - expected).abs() <= 1e-5 * expected,
        "{} instead of {expected}",
        step.value()
    );
}

#[test]
fn a_row_wise_tensor_over_the_binding_limit_is_taken_in_parts() {
    let Some(device) = crate::support::gpu() else { return };
    let Some(limit) = binding_elements(&device) else { return };
    let columns = 1000;
    let rows = limit / columns + 777;
    let logits =
        Array2::from_shape_fn(
            (rows, columns),
            |(r, c)| if c == (7 * r) % columns { 5.0 } else { 0.0 },
        );
    let labels = Array1::from_shape_fn(rows, |r| {
        (if r % 2 == 0 { 7 * r } else { 7 * r + 1 }) as i64 % columns as i64
    });
    let criterion = CrossEntropy::new().on(&device).unwrap().reduction(Reduction::Sum);
    let step = criterion.value_and_gradient(&logits, &labels).unwrap();
    let total = 5.0_f64.exp() + (columns - 1) as f64;
    let (hit, miss) = (total.ln() - 5.0, total.ln());
    let expected = (rows.div_ceil(2)) as f64 * hit + (rows / 2) as f64 * miss;
    assert!(
        (step.value() - expected).abs() <= 1e-5 * expected,
        "{} instead of {expected}",
        step.value()
    );
    for r in [0, 1, rows / 2, rows - 2, rows - 1] {
        let p = 5.0_f64.exp() / total;
        let derivative = if r % 2 == 0 { p - 1.0 } else { p };
        let found = f64::from(step.gradient[[r, (7 * r) % columns]]);
        assert!((found - derivative).abs() <= 2e-6, "row {r}: {found} instead of {derivative}");
    }
}

#[test]
fn more_workgroups_than_one_dimension_takes_are_folded() {
    let Some(device) = crate::support::gpu() else { return };
    // One workgroup per row of 33 and more columns: 70,000 rows are more than 65,535 workgroups.
    let (rows, columns) = (70_000, 40);
    let logits = Array2::<f32>::zeros((rows, columns));
    let labels = Array1::from_shape_fn(rows, |r| (r % columns) as i64);
    let step =
        CrossEntropy::new().on(&device).unwrap().value_and_gradient(&logits, &labels).unwrap();
    // The logarithm of 40, and a sum of equal numbers in chains of some thousand.
    assert!((step.value() - 40.0_f64.ln()).abs() < 1e-4, "{}", step.value());
    let last = step.gradient.row_of(rows - 1);
    assert!((last[(rows - 1) % columns] - (1.0 / 40.0 - 1.0) / rows as f32).abs() < 1e-10);
}

trait RowOf {
    fn row_of(&self, row: usize) -> Vec<f32>;
}

impl RowOf for ndarray::ArrayD<f32> {
    fn row_of(&self, row: usize) -> Vec<f32> {
        self.index_axis(ndarray::Axis(0), row).iter().copied().collect()
    }
}

#[test]
fn tensors_on_the_device_give_what_arrays_give() {
    for device in crate::support::each_device() {
        let logits = array![[1.0, 2.0, -1.0], [0.5, 0.0, 3.0], [2.0, 2.0, 2.0], [0.0, 1.0, 0.0]];
        let labels = array![0_i64, -100, 2, 1];
        let criterion = CrossEntropy::new().on(&device).unwrap();
        let expected = criterion.value_and_gradient(&logits, &labels).unwrap();
        let p = Tensor::from_array(&device, logits.view().into_dyn()).unwrap();
        let t = Tensor::from_labels(&device, labels.as_slice().unwrap()).unwrap();
        let found = criterion.backward(&p, &t).unwrap();
        assert!((found.value().unwrap() - expected.value()).abs() < 1e-6, "{}", device.describe());
        for (a, b) in found.gradient.to_array().unwrap().iter().zip(&expected.gradient) {
            assert!((a - b).abs() < 1e-6, "{}: {a} against {b}", device.describe());
        }
    }
}

#[test]
fn a_wrong_label_on_the_device_is_reported_when_the_value_is_read() {
    let Some(device) = crate::support::gpu() else { return };
    let logits =
        Tensor::from_array(&device, Array2::<f32>::zeros((5, 10)).view().into_dyn()).unwrap();
    let labels = Tensor::from_labels(&device, &[1, 2, 10, 3, -7]).unwrap();
    let step = CrossEntropy::new().on(&device).unwrap().backward(&logits, &labels).unwrap();
    let message = step.value().unwrap_err().to_string();
    assert!(message.contains("row 2 has label 10") && message.contains("0 to 9"), "{message}");
    let gradient = step.gradient.to_array().unwrap();
    assert!(gradient.row_of(2).iter().all(|g| g.is_nan()), "the row of the wrong label is NaN");
    assert!(gradient.row_of(0).iter().all(|g| g.is_finite()), "the others are not");
}

#[test]
fn all_ignored_rows_give_zero_and_say_so() {
    for device in crate::support::each_device() {
        let logits = array![[1.0, f32::NAN], [2.0, 0.0]];
        let labels = array![-100_i64, -100];
        let step =
            CrossEntropy::new().on(&device).unwrap().value_and_gradient(&logits, &labels).unwrap();
        assert_eq!((step.value(), step.count), (0.0, 0), "{}", device.describe());
        assert!(step.gradient.iter().all(|&g| g == 0.0), "{}", device.describe());
        let criterion = CrossEntropy::new().on(&device).unwrap().on_empty(gradus::OnEmpty::Nan);
        assert!(criterion.value_and_gradient(&logits, &labels).unwrap().value().is_nan());
    }
}

#[test]
fn auxiliary_outputs_come_with_the_same_pass() {
    for device in crate::support::each_device() {
        let logits = array![[1.0, 2.0, 3.0], [5.0, 0.0, 5.0]];
        let labels = array![2_i64, 1];
        let criterion = CrossEntropy::new().on(&device).unwrap();
        let step = criterion.evaluate(&Inputs::new(&logits, &labels).auxiliary()).unwrap();
        let found = step.auxiliaries.unwrap();
        for row in 0..2 {
            let values: Vec<f64> = logits.row(row).to_vec();
            let total: f64 = values.iter().map(|x| x.exp()).sum();
            let entropy: f64 = values.iter().map(|x| x.exp() / total * (total.ln() - x)).sum();
            assert!((found.lse[row] - total.ln()).abs() < 1e-6, "{}", device.describe());
            assert!(
                (found.entropy[row] - entropy).abs() < 2e-6,
                "{}: {}",
                device.describe(),
                found.entropy[row]
            );
            let probability = values[labels[row] as usize].exp() / total;
            assert!(
                (found.target_probability[row] - probability).abs() < 1e-6,
                "{}",
                device.describe()
            );
        }
        assert_eq!(
            (found.argmax, found.correct),
            (vec![2, 0], vec![true, false]),
            "{}",
            device.describe()
        );
    }
}

#[test]
fn checked_and_unchecked_shaders_give_equal_bits() {
    if crate::support::gpu().is_none() {
        return;
    }
    let logits = Array2::from_shape_fn((37, 131), |(r, c)| ((r * 31 + c * 17) % 23) as f32 / 5.0);
    let labels = Array1::from_shape_fn(37, |r| (r * 3) as i64 % 131);
    let run = |checked: bool| {
        let device = Device::Gpu(Gpu::open_with(GpuOptions::default().checked(checked)).unwrap());
        let step =
            CrossEntropy::new().on(&device).unwrap().value_and_gradient(&logits, &labels).unwrap();
        (step.value().to_bits(), step.gradient.mapv(f32::to_bits))
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_buffer_that_no_device_holds_is_an_error_not_a_panic() {
    let Some(device) = crate::support::gpu() else { return };
    let Device::Gpu(gpu) = &device else { return };
    let most = gpu.limits().max_storage_buffer_binding_size / 4;
    // One row longer than a binding: it cannot be split.
    let columns = (most as usize / 64 + 1).min(1 << 25);
    if columns * 64 > 1 << 27 {
        println!("IGNORED: {} binds too much for this test", device.describe());
        return;
    }
    let logits = Array2::<f32>::zeros((65, columns));
    let labels = Array1::from_elem(65, 0_i64);
    let error =
        CrossEntropy::new().on(&device).unwrap().value_and_gradient(&logits, &labels).unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[test]
fn the_share_of_the_target_on_a_masked_class_is_left_out() {
    // 0.5 (lse − 1) + 0.25 (lse − 0.5), with the lse of 1 and 0.5.
    let lse = 1.0 + (-0.5_f64).exp().ln_1p();
    let exact = 0.5 * (lse - 1.0) + 0.25 * (lse - 0.5);
    for device in crate::support::each_device() {
        let (logits, targets) = (array![[1.0, 2.0, 0.5]], array![[0.5, 0.25, 0.25]]);
        let mask = array![true, false, true];
        let inputs = Inputs::new(&logits, &targets).class_mask(&mask);
        let step = CrossEntropy::new().on(&device).unwrap().evaluate(&inputs).unwrap();
        // Some 4 roundings of f32 of numbers below 2.
        assert!((step.value() - exact).abs() < 5e-7, "{}: {}", device.describe(), step.value());
    }
}

#[test]
fn rows_left_out_have_no_auxiliary_outputs_and_a_softcap_leaves_the_argmax() {
    for device in crate::support::each_device() {
        let logits = array![[20.0, 30.0, 3.0], [1.0, 2.0, 3.0]];
        let labels = array![1_i64, -1];
        let loss = CrossEntropy::new().softcap(1.0).ignore_index(-1);
        let step =
            loss.on(&device).unwrap().evaluate(&Inputs::new(&logits, &labels).auxiliary()).unwrap();
        let found = step.auxiliaries.unwrap();
        assert_eq!(
            (found.argmax, found.correct),
            (vec![1, 0], vec![true, false]),
            "{}",
            device.describe()
        );
        assert_eq!((found.lse[1], found.entropy[1], found.target_probability[1]), (0.0, 0.0, 0.0));
    }
}

#[test]
fn an_ignored_label_outside_32_bits_leaves_its_row_out() {
    for device in crate::support::each_device() {
        let (logits, labels) = (array![[1.0, 2.0], [3.0, 4.0]], array![9_999_999_999_i64, 1]);
        let loss = CrossEntropy::new().ignore_index(9_999_999_999);
        let step = loss.on(&device).unwrap().value_and_gradient(&logits, &labels).unwrap();
        assert_eq!(step.count, 1, "{}", device.describe());
        assert!(
            (step.value() - (1.0 + (-1.0_f64).exp()).ln()).abs() < 1e-6,
            "{}",
            device.describe()
        );
    }
}

#[test]
fn nothing_left_on_the_device_is_zero_or_nan_as_asked() {
    for device in crate::support::each_device() {
        let logits =
            Tensor::from_array(&device, Array2::<f32>::zeros((3, 4)).view().into_dyn()).unwrap();
        let labels = Tensor::from_labels(&device, &[-100; 3]).unwrap();
        let zero = CrossEntropy::new().on(&device).unwrap();
        assert_eq!(
            zero.backward(&logits, &labels).unwrap().value().unwrap(),
            0.0,
            "{}",
            device.describe()
        );
        let nan = zero.on_empty(gradus::OnEmpty::Nan);
        assert!(
            nan.backward(&logits, &labels).unwrap().value().unwrap().is_nan(),
            "{}",
            device.describe()
        );
    }
}

#[test]
fn a_device_that_is_gone_gives_an_error_and_no_panic() {
    let Some(Device::Gpu(gpu)) = crate::support::gpu() else { return };
    let device = Device::Gpu(Gpu::open_with(GpuOptions::default().checked(true)).unwrap());
    drop(gpu);
    let Device::Gpu(gpu) = &device else { return };
    gpu.destroy();
    let values = array![1.0_f32, 2.0, 3.0, 4.0];
    let error = Mse::new().on(&device).unwrap().value_and_gradient(&values, &values).unwrap_err();
    assert!(matches!(error, Error::DeviceLost { .. } | Error::Gpu { .. }), "{error}");
}

/// A wait for a device is bounded: the error names the kernel, and the device counts as lost.
#[test]
fn a_wait_ends_with_the_name_of_what_was_running() {
    if crate::support::gpu().is_none() {
        return;
    }
    let patience = std::time::Duration::from_micros(1);
    let gpu = Gpu::open_with(GpuOptions::default().timeout(Some(patience))).unwrap();
    let device = Device::Gpu(gpu);
    let values = Array2::<f32>::from_elem((1024, 2048), 0.5);
    let error = Mse::new().on(&device).unwrap().value_and_gradient(&values, &values).unwrap_err();
    assert!(matches!(&error, Error::Timeout { running, .. } if running.contains("mse")), "{error}");
    assert!(
        error.to_string().contains("within 0.000001 s")
            && error.to_string().contains("GRADUS_GPU_TIMEOUT")
    );
    let error = device.synchronize().unwrap_err();
    assert!(
        matches!(&error, Error::DeviceLost { reason, .. } if reason.contains("mse")),
        "{error}"
    );
}

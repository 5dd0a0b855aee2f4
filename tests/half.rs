//! Tensors of f16: the devices by the reference on the same rounded numbers.

mod support;

use gradus::losses::{self, BceWithLogits, CrossEntropy, Huber, KlDiv, Loss, Mse};
use gradus::{Criterion, Device, Reduction, Tensor, f16};
use ndarray::{Array2, ArrayD};
use support::each_device;

fn halves(rows: usize, columns: usize, seed: usize, truths: bool) -> ArrayD<f16> {
    let number = |(row, column)| {
        let x = (((row * columns + column) * 7919 + seed * 104_729) % 997) as f32 / 997.0;
        f16::from_f32(if truths { x } else { 8.0 * x - 4.0 })
    };
    Array2::from_shape_fn((rows, columns), number).into_dyn()
}

fn on(device: &Device, loss: &dyn Loss, reduction: Reduction) -> Criterion {
    let boxed = losses::from_name(loss.name(), &loss.options()).unwrap();
    Criterion::from_boxed(boxed, device).unwrap().reduction(reduction)
}

/// The gradient is rounded once, to a neighbour in f16, which is one unit of 2⁻¹⁰ relative (2⁻²⁴ among the subnormal numbers) at most;
/// f32 is 1e-4 off at most before that.
fn judge(loss: &dyn Loss, [rows, columns]: [usize; 2], labels: bool) {
    let (x, t) = (halves(rows, columns, 1, false), halves(rows, columns, 2, true));
    let names: Vec<i64> = (0..rows).map(|row| if row % 5 == 2 { -100 } else { (row * 7 % columns) as i64 }).collect();
    for reduction in [Reduction::Sum, Reduction::Mean] {
        let exact = on(&Device::reference(), loss, reduction);
        let wide = |h: &ArrayD<f16>| h.mapv(f16::to_f32);
        let labelled = ndarray::Array1::from(names.clone());
        let expected = match labels {
            true => exact.value_and_gradient(&wide(&x), &labelled).unwrap(),
            false => exact.value_and_gradient(&wide(&x), &wide(&t)).unwrap(),
        };
        for device in each_device() {
            let title = format!("{} [{rows}, {columns}] on {}", loss.name(), device.name());
            let targets = if labels {
                Tensor::from_labels(&device, &names).unwrap()
            } else {
                Tensor::from_half(&device, t.view()).unwrap()
            };
            let predictions = Tensor::from_half(&device, x.view()).unwrap();
            assert_eq!(predictions.to_half_array().unwrap(), x, "{title}");
            let step = on(&device, loss, reduction).backward(&predictions, &targets).unwrap();
            let value = step.value().unwrap();
            assert!((value - expected.value()).abs() <= 2e-5 * expected.value().abs(), "{title}: {value}");
            let found = step.gradient.to_half_array().unwrap();
            for (place, (found, &expected)) in found.iter().zip(&expected.gradient).enumerate() {
                let (found, expected) = (f64::from(found.to_f32()), f64::from(expected));
                let unit = expected.abs().max(2.0_f64.powi(-14)) / 1024.0;
                assert!(
                    (found - expected).abs() <= unit + 1e-4 * expected.abs() + 1e-7,
                    "{title}: element {place} is {found:e} instead of {expected:e}"
                );
            }
            // Over the predictions: the same bits.
            let over = on(&device, loss, reduction).backward_in_place(predictions, &targets).unwrap();
            assert_eq!(over.gradient.to_half_array().unwrap(), found, "{title}");
        }
    }
}

#[test]
fn pointwise_losses_of_any_shape_are_those_of_the_rounded_numbers() {
    for shape in [[1, 1], [3, 7], [100, 33], [64, 1000]] {
        judge(&Mse::new(), shape, false);
        judge(&Huber::new(), shape, false);
        judge(&BceWithLogits::new(), shape, false);
    }
}

#[test]
fn rowwise_losses_of_whole_words_are_those_of_the_rounded_numbers() {
    for shape in [[7, 4], [50, 20], [33, 100], [5, 1000], [3, 4100]] {
        judge(&CrossEntropy::new(), shape, true);
        judge(&CrossEntropy::new(), shape, false);
        judge(&KlDiv::new(), shape, false);
    }
}

#[test]
fn what_has_no_f16_is_refused_by_name() {
    for device in each_device() {
        let half = Tensor::from_half(&device, halves(2, 3, 1, false).view()).unwrap();
        let full = Tensor::from_array(&device, Array2::<f32>::zeros((2, 3)).view().into_dyn()).unwrap();
        let refused = |loss: &dyn Loss, x: &Tensor, t: &Tensor| {
            on(&device, loss, Reduction::Sum).backward(x, t).unwrap_err().to_string()
        };
        assert!(refused(&Mse::new(), &half, &full).contains("targets are f32 but predictions are f16"));
        assert!(refused(&Mse::new(), &full, &half).contains("targets are f16 but predictions are f32"));
        assert!(refused(&CrossEntropy::new(), &half, &half).contains("a multiple of 4"));
        assert!(refused(&losses::ListNet::new(), &half, &half).contains("this one f32"));
        assert!(full.to_half_array().is_err());
    }
}

//! Sparse row updates against a dense gradient and the dense optimizer; devices against each other.

use ndarray::{Array2, s};

use crate::nn::embedding::*;
use crate::nn::optimizers;
use crate::nn::optimizers::{Adagrad, Adam, Sgd};
use crate::runtime::device::test_adapter::each_device;
use crate::runtime::device::{Gpu, GpuOptions};
use crate::testing;

const SIZES: [[usize; 3]; 5] = [[1, 1, 1], [7, 3, 4], [40, 12, 33], [600, 5, 8], [1500, 300, 32]];

fn gpu() -> Device {
    Device::gpu().expect("these tests need an adapter, a software one will do")
}

/// Random ids, the first half of which hits few rows, and a gradient.
fn drawn([count, rows, width]: [usize; 3], seed: u64) -> (Vec<i64>, Array2<f32>) {
    let mut random = Random::new(seed, 1);
    let most = |at: usize| if 2 * at < count { rows.div_ceil(3) } else { rows };
    let ids = (0..count).map(|at| (random.uniform() * most(at) as f64) as i64).collect();
    (ids, Array2::from_shape_simple_fn((count, width), || random.normal() as f32))
}

/// As [`drawn`] with a gradient in eighths, whose sums are exact in f32: only the update rule
/// rounds.
fn drawn_in_eighths(sizes: [usize; 3], seed: u64) -> (Vec<i64>, Array2<f32>) {
    let (ids, gradient) = drawn(sizes, seed);
    (ids, gradient.mapv(|x| (8.0 * x).round() / 8.0))
}

/// The table after three updates.
fn trained(device: &Device, sizes: [usize; 3], optimizer: &dyn Optimizer) -> Array2<f32> {
    let [_, rows, width] = sizes;
    let mut table = Embedding::uniform(device, [rows, width], 0.5, 3).unwrap();
    for seed in 0..3 {
        let (ids, gradient) = drawn_in_eighths(sizes, seed);
        let ids = Tensor::from_labels(device, &ids).unwrap();
        let gradient = Tensor::from_array(device, gradient.view().into_dyn()).unwrap();
        table.update(&ids, &gradient, optimizer).unwrap();
    }
    table.to_array().unwrap()
}

/// The same table by a dense gradient and a dense step, in f64; with `lazy`, rows that are not hit
/// keep their values.
fn dense([count, rows, width]: [usize; 3], optimizer: &dyn Optimizer, lazy: bool) -> Array2<f64> {
    let first = Embedding::uniform(&Device::reference(), [rows, width], 0.5, 3)
        .unwrap()
        .to_array()
        .unwrap();
    let mut table = first.mapv(f64::from);
    let mut states = optimizer.first_states::<f64>(rows * width);
    for t in 0..3 {
        let (ids, gradient) = drawn_in_eighths([count, rows, width], t);
        let mut sums = Array2::<f64>::zeros((rows, width));
        for (row, &id) in gradient.rows().into_iter().zip(&ids) {
            let mut sum = sums.row_mut(id as usize);
            sum += &row.mapv(f64::from);
        }
        assert!(sums.iter().all(|sum| sum.abs() <= LARGEST_SUM));
        let (before, states_before) = (table.clone(), states.clone());
        let step = optimizer.step(t + 1, optimizer.initial_learning_rate());
        let parameters = table.as_slice_mut().unwrap();
        optimizer.update(&step, &[], parameters, sums.as_slice().unwrap(), &mut states).unwrap();
        for row in (0..rows).filter(|&row| lazy && !ids.contains(&(row as i64))) {
            table.row_mut(row).assign(&before.row(row));
            let numbers = row * width..(row + 1) * width;
            let kept = states.iter_mut().zip(&states_before);
            kept.for_each(|(state, before)| {
                state[numbers.clone()].copy_from_slice(&before[numbers.clone()])
            });
        }
    }
    table
}

/// The largest difference, relative to 1 + the larger number.
fn difference(found: &Array2<f32>, exact: &Array2<f64>) -> f64 {
    found
        .iter()
        .zip(exact)
        .map(|(&a, &b)| (f64::from(a) - b).abs() / (1.0 + b.abs()))
        .fold(0.0, larger)
}

/// Maximum that propagates NaN: `f64::max` would drop it.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b <= a { a } else { b }
}

#[test]
fn a_difference_that_is_no_number_is_found() {
    let exact = Array2::zeros((2, 2));
    for place in 0..4 {
        let mut found = Array2::<f32>::zeros((2, 2));
        found.as_slice_mut().unwrap()[place] = f32::NAN;
        assert!(difference(&found, &exact).is_nan(), "{place}");
    }
}

/// Bound on any sum of a few hundred normal numbers here.
const LARGEST_SUM: f64 = 80.0;

/// The sums are exact. A step of these rules is at most rate · |sum| ≤ 0.1 · 80 = 8: the
/// accumulator whose root divides the sum begins with 1 or holds its square. The step has a dozen
/// roundings with a division (2.5 units in WGSL, 5 roundings) and a root (4), and is subtracted
/// from a number no larger than the sum of all steps before. Three steps: 3 · 12 · 8 · 2⁻²⁴ =
/// 1.7e-5.
const TOLERANCE: f64 = 1.7e-5;

fn rules() -> Vec<Box<dyn Optimizer>> {
    let lightfm = Adagrad::new()
        .learning_rate(0.05)
        .initial_accumulator_value(1.0)
        .epsilon(0.0)
        .delayed(true);
    vec![
        Box::new(lightfm),
        Box::new(Adagrad::new().learning_rate(0.05)),
        Box::new(Sgd::new().learning_rate(0.1)),
    ]
}

#[test]
fn without_momentum_rows_move_as_by_the_dense_gradient_and_the_dense_optimizer() {
    for device in each_device() {
        for sizes in SIZES {
            for rule in rules() {
                let found =
                    difference(&trained(&device, sizes, &*rule), &dense(sizes, &*rule, false));
                assert!(
                    found <= TOLERANCE,
                    "{} {sizes:?} {}: {found:e}",
                    rule.name(),
                    device.name()
                );
            }
        }
    }
}

#[test]
fn every_rule_moves_the_rows_that_were_hit_and_no_others() {
    for entry in optimizers::CATALOGUE {
        for options in testing::report::sets_of_options(entry.variants) {
            let rule = (entry.make)(&testing::report::options_value(entry.name, options).unwrap())
                .unwrap();
            if !takes_rows(&*rule) {
                continue;
            }
            let sizes = [40, 12, 8];
            let exact = dense(sizes, &*rule, true);
            for device in each_device() {
                let found = trained(&device, sizes, &*rule);
                // Rules with signs or roots of small numbers may turn the rounding of a sum into a
                // step of full size: the catalogue's own checks compare them to f64, here three
                // steps must agree within a hundredth of one.
                let limit = 0.01 * rule.initial_learning_rate().max(0.01);
                let difference = difference(&found, &exact);
                assert!(
                    difference <= limit,
                    "{} {options} {}: {difference:e}",
                    entry.name,
                    device.name()
                );
            }
        }
    }
}

#[test]
fn the_gpu_sums_as_the_cpu_does_to_the_bit() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let options = GpuOptions { hardware_variants: true, ..GpuOptions::default() };
    let devices = [gpu(), Device::Gpu(Gpu::open_with(options).unwrap())];
    for sizes in SIZES {
        // SGD at rate 1 from a table of zeros: the rows are the negated sums.
        let sums = |device: &Device| {
            let mut table = Embedding::uniform(device, [sizes[1], sizes[2]], 0.0, 0).unwrap();
            let (ids, gradient) = drawn(sizes, 9);
            let ids = Tensor::from_labels(device, &ids).unwrap();
            let gradient = Tensor::from_array(device, gradient.view().into_dyn()).unwrap();
            table.update(&ids, &gradient, &Sgd::new().learning_rate(1.0)).unwrap();
            table.to_array().unwrap().mapv(f32::to_bits)
        };
        for device in &devices {
            assert_eq!(sums(device), sums(&Device::cpu()), "{sizes:?}");
        }
    }
}

#[test]
fn gathered_rows_are_those_of_the_table() {
    for device in each_device() {
        for [count, rows, width] in SIZES {
            let table = Embedding::uniform(&device, [rows, width], 0.5, 3).unwrap();
            let (ids, _) = drawn([count, rows, width], 4);
            let found = table.gather(&Tensor::from_labels(&device, &ids).unwrap()).unwrap();
            assert_eq!(found.shape(), [count, width]);
            let (found, all) = (found.to_array().unwrap(), table.to_array().unwrap());
            let found = found.into_dimensionality::<ndarray::Ix2>().unwrap();
            for (at, &id) in ids.iter().enumerate() {
                assert_eq!(found.row(at), all.slice(s![id as usize, ..]));
            }
        }
    }
}

#[test]
fn an_id_that_names_no_row_is_reported_with_its_position_and_moves_nothing() {
    crate::runtime::device::test_adapter::needs_gpu!();
    for width in [3, 4] {
        let device = gpu();
        let mut table = Embedding::uniform(&device, [5, width], 0.5, 3).unwrap();
        let before = table.to_array().unwrap();
        let bad = Tensor::from_labels(&device, &[-1, 5, i64::from(i32::MIN), i64::from(i32::MAX)])
            .unwrap();
        let gradient =
            Tensor::from_array(&device, Array2::<f32>::ones((4, width)).view().into_dyn()).unwrap();
        table.update(&bad, &gradient, &Sgd::new()).unwrap();
        let error = table.check().unwrap_err().to_string();
        assert_eq!(error, "embedding: row 0 has label -1; labels must be 0 to 4 (5 classes)");
        assert_eq!(table.to_array().unwrap(), before);
        let ids = Tensor::from_labels(&device, &[4, 0, 9, 7]).unwrap();
        let rows = table.gather(&ids).unwrap().to_array().unwrap();
        assert!(
            rows.slice(s![2.., ..]).iter().all(|x| x.is_nan())
                && rows.slice(s![..2, ..]).iter().all(|x| !x.is_nan())
        );
        assert!(table.to_array().unwrap_err().to_string().contains("row 2 has label 9"));
        for host in [Device::cpu(), Device::reference()] {
            let table = Embedding::uniform(&host, [5, width], 0.5, 3).unwrap();
            let error = table
                .gather(&Tensor::from_labels(&host, &[0, 5]).unwrap())
                .unwrap_err()
                .to_string();
            assert!(error.contains("row 1 has label 5"), "{error}");
        }
    }
}

#[test]
fn one_id_ten_thousand_times_is_summed_once() {
    for device in each_device() {
        let mut table = Embedding::uniform(&device, [3, 4], 0.0, 0).unwrap();
        let ids = Tensor::from_labels(&device, &[1; 10_000]).unwrap();
        let gradient =
            Tensor::from_array(&device, Array2::<f32>::ones((10_000, 4)).view().into_dyn())
                .unwrap();
        table.update(&ids, &gradient, &Sgd::new().learning_rate(1.0)).unwrap();
        let mut exact = Array2::<f32>::zeros((3, 4));
        exact.row_mut(1).fill(-10_000.0);
        assert_eq!(table.to_array().unwrap(), exact);
    }
}

#[test]
fn an_optimizer_that_does_not_fit_is_refused() {
    for device in each_device() {
        let mut table = Embedding::uniform(&device, [3, 4], 0.5, 0).unwrap();
        let ids = Tensor::from_labels(&device, &[1, 2]).unwrap();
        let gradient =
            Tensor::from_array(&device, Array2::<f32>::ones((2, 4)).view().into_dyn()).unwrap();
        for name in ["lamb", "muon", "schedule_free_sgd", "gradient_descent"] {
            let rule = optimizers::from_name(name, &Value::Null).unwrap();
            let error = table.update(&ids, &gradient, &*rule).unwrap_err().to_string();
            assert!(error.starts_with(&format!("embedding: optimizer is {name}")), "{error}");
        }
        table.update(&ids, &gradient, &Adam::new()).unwrap();
        table.update(&ids, &gradient, &Adam::new().learning_rate(0.5)).unwrap();
        assert!(table.update(&ids, &gradient, &Adam::new().beta1(0.5)).is_err());
        assert!(table.update(&ids, &gradient, &Sgd::new()).is_err());
        let narrow =
            Tensor::from_array(&device, Array2::<f32>::ones((2, 3)).view().into_dyn()).unwrap();
        assert!(
            table
                .update(&ids, &narrow, &Adam::new())
                .unwrap_err()
                .to_string()
                .contains("it must be [2, 4]")
        );
        assert_eq!(table.steps(), 2);
    }
}

#[test]
fn a_gradient_of_another_device_is_refused() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let (here, there) = (gpu(), gpu());
    let mut table = Embedding::uniform(&here, [3, 4], 0.5, 0).unwrap();
    let ids = Tensor::from_labels(&here, &[1, 2]).unwrap();
    for device in [there, Device::cpu()] {
        let gradient =
            Tensor::from_array(&device, Array2::<f32>::ones((2, 4)).view().into_dyn()).unwrap();
        let error = table.update(&ids, &gradient, &Sgd::new()).unwrap_err().to_string();
        assert!(error.contains("do not lie where the table does"), "{error}");
    }
}

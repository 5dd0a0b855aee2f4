//! f16 tensors: every loss that accepts them gives its f32 result on the same numbers, rounded
//! once.

use crate::support::each_device;
use gradus::losses::{self, CrossEntropy, Domain, Loss, LossDefinition, Mse, OneInput, Template};
use gradus::{Criterion, Device, Gpu, GpuOptions, Reduction, Tensor, f16};
use ndarray::{Array1, ArrayD, IxDyn};
use serde_json::Value;

/// A deterministic number in [−2, 2) for an index.
fn number(index: usize) -> f32 {
    (index.wrapping_mul(2_654_435_761) >> 7) as u16 as f32 / 16_384.0 - 2.0
}

/// Numbers in the domain of an input, rounded to f16.
fn numbers(domain: Domain, [rows, columns]: [usize; 2], seed: usize) -> ArrayD<f16> {
    let each = |one: &dyn Fn(f32) -> f32| {
        (0..rows * columns).map(|i| one(number(i + seed))).collect::<Vec<_>>()
    };
    let values = match domain {
        Domain::Cosine => each(&|x| 0.45 * x),
        Domain::Sign => each(&f32::signum),
        Domain::ZeroOne => each(&|x| f32::from(x > 0.0)),
        // One item in six is padding.
        Domain::Relevance | Domain::Grade => each(&|x| (1.5 * (x + 2.0)).floor() - 1.0),
        Domain::Positive | Domain::Variance => each(&|x| 0.25 + 1.5 * (x + 2.0)),
        Domain::LogProbability => each(&|x| -0.05 - 1.5 * (x + 2.0)),
        Domain::NonNegative => each(&|x| (2.0 * x).max(0.0)),
        Domain::Probability => each(&|x| (x + 2.0) / 4.0),
        Domain::Distribution | Domain::Class | Domain::LogDistribution => {
            let softmax = |row: &[f32]| {
                let sum: f32 = row.iter().map(|x| x.exp()).sum();
                row.iter().map(|x| x.exp() / sum).collect::<Vec<_>>()
            };
            let shares = each(&|x| x).chunks(columns).flat_map(softmax).collect::<Vec<_>>();
            if domain == Domain::LogDistribution {
                shares.iter().map(|p| p.ln()).collect()
            } else {
                shares
            }
        }
        _ => each(&|x| 2.0 * x),
    };
    ArrayD::from_shape_vec(IxDyn(&[rows, columns]), values).unwrap().mapv(f16::from_f32)
}

/// Targets: numbers, or labels.
enum Truths {
    Dense(ArrayD<f16>),
    Labels(Vec<i64>),
}

impl Truths {
    /// Uploads to a device in f32 and in f16.
    fn upload(&self, device: &Device) -> [Tensor; 2] {
        match self {
            Truths::Dense(values) => both(device, values),
            Truths::Labels(labels) => {
                [(); 2].map(|()| Tensor::from_labels(device, labels).unwrap())
            }
        }
    }
}

/// The same numbers in f32 and in f16.
fn both(device: &Device, values: &ArrayD<f16>) -> [Tensor; 2] {
    let wide = values.mapv(f16::to_f32);
    [
        Tensor::from_array(device, wide.view()).unwrap(),
        Tensor::from_half(device, values.view()).unwrap(),
    ]
}

/// One label in five is ignored, if the loss supports that.
fn labels(loss: &dyn LossDefinition, [rows, columns]: [usize; 2]) -> Truths {
    let left_out = loss.ignored().first().copied().unwrap_or(0);
    let label =
        |row| if row % 5 == 4 { left_out } else { (row * 31 % loss.classes(columns)) as i64 };
    Truths::Labels((0..rows).map(label).collect())
}

/// Example inputs of a template's losses, one of each kind.
fn cases(loss: &dyn LossDefinition, shape: [usize; 2]) -> Vec<(ArrayD<f16>, Truths)> {
    let predictions = || numbers(loss.predictions(), shape, 0);
    let rowwise = matches!(loss.template(), Template::OneInput(OneInput::Rowwise(_)));
    let mut cases = Vec::new();
    if loss.targets().takes_dense() {
        cases.push((predictions(), Truths::Dense(numbers(loss.targets(), shape, 7_000_001))));
    }
    if rowwise && loss.targets().takes_labels() {
        cases.push((predictions(), labels(loss, shape)));
    }
    cases
}

/// One ulp of f16 at a number: 2⁻¹⁰ of its power of two, 2⁻²⁴ for subnormal numbers.
fn unit(x: f32) -> f32 {
    2.0_f32.powf(x.abs().max(2.0_f32.powi(-14)).log2().floor() - 10.0)
}

/// The f16 gradient is the f32 gradient rounded, or its neighbour if the kernels' f32 results lie
/// on either side of a tie. The f32 gradients differ by the order in which a row is summed: 64
/// roundings of 2⁻²⁴ of the largest entry in the tensor, visible where a small entry is a
/// difference of large terms.
fn compare(title: &str, wide: &ArrayD<f32>, half: &ArrayD<f16>) {
    assert_eq!(wide.shape(), half.shape(), "{title}");
    let largest =
        wide.iter().filter(|x| x.is_finite()).fold(0.0_f32, |largest, x| largest.max(x.abs()));
    for (place, (&g, &h)) in wide.iter().zip(half).enumerate() {
        let expected = f16::from_f32(g);
        let same = expected.to_bits() == h.to_bits() || (expected.is_nan() && h.is_nan());
        let allowed = unit(g) + 64.0 * 2.0_f32.powi(-24) * largest;
        let near = g.is_finite() && (expected.to_f32() - h.to_f32()).abs() <= allowed;
        assert!(same || near, "{title}: element {place} is {h:e} instead of {expected:e} ({g:e})");
    }
}

/// Runs a loss in both types; with `over` the f16 gradient also overwrites the predictions, and
/// must have the same bits.
fn check(criterion: &Criterion, predictions: &ArrayD<f16>, truths: &Truths, over: bool) {
    let device = criterion.device();
    let (loss, shape) = (criterion.loss(), predictions.shape());
    let kind = if matches!(truths, Truths::Labels(_)) { "labels" } else { "dense" };
    let title =
        format!("{} {} {shape:?} {kind} on {}", loss.name(), loss.options(), device.describe());
    let [wide, half] = both(device, predictions);
    let [wide_truths, half_truths] = truths.upload(device);
    let expected =
        criterion.backward(&wide, &wide_truths).unwrap_or_else(|error| panic!("{title}: {error}"));
    let found =
        criterion.backward(&half, &half_truths).unwrap_or_else(|error| panic!("{title}: {error}"));
    let (e, f) = (expected.value().unwrap(), found.value().unwrap());
    // Summed in another order: the longest sum here has 40,004 terms at 4 · 8 cells per iteration,
    // at half an ulp each at random 18 of 6e-8, and the same again over the rows. A row's value may
    // be a difference of its largest number, at most 20.
    let near = e.is_finite() && (e - f).abs() <= 4e-6 * (e.abs() + 20.0);
    assert!(e == f || (e.is_nan() && f.is_nan()) || near, "{title}: {f} instead of {e}");
    let gradient = found.gradient.to_half_array().unwrap();
    compare(&title, &expected.gradient.to_array().unwrap(), &gradient);
    if over {
        let over = criterion.backward_in_place(half, &half_truths).unwrap();
        let bits = |gradient: &ArrayD<f16>| gradient.mapv(f16::to_bits);
        assert_eq!(
            bits(&over.gradient.to_half_array().unwrap()),
            bits(&gradient),
            "{title}, in place"
        );
        assert_eq!(over.value().unwrap().to_bits(), f.to_bits(), "{title}, in place");
    }
}

/// The losses that accept f16, with each set of options; the first is the defaults.
fn each_loss(rowwise: bool) -> Vec<(Vec<Value>, &'static str)> {
    let takes = |loss: &dyn LossDefinition| match loss.template() {
        Template::OneInput(OneInput::Pointwise(_)) => !rowwise,
        Template::OneInput(OneInput::Rowwise(_)) => rowwise,
        _ => false,
    };
    let mut found = Vec::new();
    for entry in losses::CATALOGUE {
        if takes(&*(entry.make)(&Value::Null).unwrap()) {
            let sets = entry.variants.iter().map(|options| serde_json::from_str(options).unwrap());
            found.push((std::iter::once(Value::Null).chain(sets).collect(), entry.name));
        }
    }
    assert!(found.len() >= 18, "only {}", found.len());
    found
}

fn criterion(name: &str, options: &Value, device: &Device, reduction: Reduction) -> Criterion {
    Criterion::from_boxed(losses::from_name(name, options).unwrap(), device)
        .unwrap()
        .reduction(reduction)
}

/// Puts NaN, infinities, the extremes of f16 and subnormal numbers among the predictions, and NaN
/// among the targets. One per row: the sum of two large ones may be small, with a value that
/// depends on the order of additions.
fn sprinkle(predictions: &mut ArrayD<f16>, truths: &mut Truths) {
    let special =
        [0x7e00, 0x7c00, 0xfc00, 0x0001, 0x83ff, 0x7bff, 0xfbff, 0x8000].map(f16::from_bits);
    let step = predictions.shape()[1] + 1;
    predictions
        .iter_mut()
        .step_by(step)
        .zip(special.iter().cycle())
        .for_each(|(x, &special)| *x = special);
    if let Truths::Dense(values) = truths {
        values.iter_mut().skip(2).step_by(23).for_each(|y| *y = f16::NAN);
    }
}

#[test]
fn pointwise_losses_of_any_shape_are_those_in_f32_rounded() {
    let Some(device) = crate::support::gpu() else { return };
    for (sets, name) in each_loss(false) {
        for (number, options) in sets.iter().enumerate() {
            let criterion = criterion(name, options, &device, Reduction::Sum);
            for shape in [[1, 1], [1, 2], [1, 3], [3, 7], [101, 331]] {
                for (predictions, truths) in cases(criterion.loss(), shape) {
                    check(&criterion, &predictions, &truths, number == 0);
                }
            }
            for (mut predictions, mut truths) in cases(criterion.loss(), [13, 17]) {
                sprinkle(&mut predictions, &mut truths);
                check(&criterion, &predictions, &truths, number == 0);
            }
        }
    }
}

/// Rows that end in a word and between two, processed by one thread and by a row group.
#[test]
fn row_wise_losses_of_any_length_are_those_in_f32_rounded() {
    let Some(device) = crate::support::gpu() else { return };
    for (sets, name) in each_loss(true) {
        for (number, options) in sets.iter().enumerate() {
            let lengths: &[usize] =
                if number == 0 { &[1, 2, 3, 4, 7, 65, 66, 68, 131] } else { &[5, 67] };
            for (place, &columns) in lengths.iter().enumerate() {
                let reduction = if place % 2 == 0 { Reduction::Mean } else { Reduction::Sum };
                let criterion = criterion(name, options, &device, reduction);
                for (mut predictions, mut truths) in cases(criterion.loss(), [37, columns]) {
                    check(&criterion, &predictions, &truths, number == 0 && columns > 4);
                    if [7, 68, 131].contains(&columns) {
                        sprinkle(&mut predictions, &mut truths);
                        check(&criterion, &predictions, &truths, false);
                    }
                }
            }
        }
    }
}

/// Each boundary of the variant table by row length, and one beyond it, in each residue modulo
/// four.
#[test]
fn every_variant_by_row_length_takes_f16() {
    for hardware in [false, true] {
        for subgroups in [false, true] {
            if crate::support::gpu().is_none() {
                return;
            }
            let options = GpuOptions::default().hardware_variants(hardware).subgroups(subgroups);
            let device = Device::Gpu(Gpu::open_with(options).expect("the adapter opened before"));
            for columns in [3, 64, 65, 1023, 1025, 1026, 2048, 8193, 40_002, 40_003, 40_004] {
                for name in ["cross_entropy", "kl_div", "sparsemax", "list_net"] {
                    let criterion = criterion(name, &Value::Null, &device, Reduction::Sum);
                    for (predictions, truths) in cases(criterion.loss(), [5, columns]) {
                        check(&criterion, &predictions, &truths, columns != 40_002);
                    }
                }
            }
            let criterion = criterion("huber", &Value::Null, &device, Reduction::Mean);
            for (predictions, truths) in cases(criterion.loss(), [71, 1001]) {
                check(&criterion, &predictions, &truths, true);
            }
        }
    }
}

/// The gradient of `mse` is 2(x − y): with y half an ulp of x it is a tie, with a bit more or less
/// it is beside one. Each upstream is a power of two, so that f32 rounds only x − y, as in the
/// host's f32.
#[test]
fn the_gradient_is_rounded_to_the_nearest_number_and_ties_to_the_even_one() {
    let all = Array1::from_iter((0..=u16::MAX).map(f16::from_bits)).into_dyn();
    let least = f16::from_bits(1);
    for device in each_device() {
        let criterion = Mse::new().on(&device).unwrap().reduction(Reduction::Sum);
        for beside in [-1, 0, 1] {
            let half_unit =
                |x: &f16| f16::from_f32(unit(x.to_f32()) / 2.0 + beside as f32 * least.to_f32());
            let truths = all.mapv(|x| if x.is_finite() { half_unit(&x) } else { f16::ZERO });
            for upstream in [2.0_f32, 0.5, 2.0_f32.powi(-14), 2.0_f32.powi(-25)] {
                let [x, y] = [&all, &truths]
                    .map(|values| Tensor::from_half(&device, values.view()).unwrap());
                let step = criterion.backward_with_upstream(&x, &y, upstream).unwrap();
                let found = step.gradient.to_half_array().unwrap();
                for (place, found) in found.iter().enumerate() {
                    let (x, y) = (all[place].to_f32(), truths[place].to_f32());
                    let derivative = upstream * (2.0 * (x - y));
                    let expected = f16::from_f32(derivative);
                    let same = found.to_bits() == expected.to_bits()
                        || (found.is_nan() && expected.is_nan());
                    assert!(
                        same,
                        "{}: {derivative:e} became {found:e} instead of {expected:e}",
                        device.describe()
                    );
                }
            }
        }
    }
}

#[test]
fn numbers_go_up_and_come_down_as_they_are_or_rounded() {
    for device in each_device() {
        for length in [0, 1, 2, 3, 65_536] {
            let values =
                Array1::from_iter((0..length).map(|i| f16::from_bits(i as u16))).into_dyn();
            let tensor = Tensor::from_half(&device, values.view()).unwrap();
            assert!(tensor.is_half() && tensor.shape() == [length]);
            let bits = |array: ArrayD<f16>| array.mapv(f16::to_bits);
            assert_eq!(bits(tensor.to_half_array().unwrap()), bits(values.clone()));
            let wide = tensor.to_array().unwrap();
            let same = |(w, h): (&f32, &f16)| {
                w.to_bits() == h.to_f32().to_bits() || (w.is_nan() && h.is_nan())
            };
            assert!(wide.iter().zip(&values).all(same), "{}", device.describe());
        }
        // Column-major: the elements follow the indices, not memory.
        let turned = ndarray::array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 65_520.0]].reversed_axes();
        let tensor = Tensor::from_array_as_half(&device, turned.view().into_dyn()).unwrap();
        let found: Vec<f32> = tensor.to_array().unwrap().iter().copied().collect();
        assert_eq!(
            (tensor.shape(), found),
            (&[3, 2][..], vec![1.0, 4.0, 2.0, 5.0, 3.0, f32::INFINITY])
        );
    }
}

/// More cells than one binding holds, in rows of odd length: the second chunk begins with a row
/// that begins a word.
#[test]
fn rows_over_the_binding_limit_are_computed_in_parts() {
    let Some(device) = crate::support::gpu() else { return };
    let Device::Gpu(gpu) = &device else { return };
    if gpu.limits().max_storage_buffer_binding_size > 256 << 20 {
        println!(
            "IGNORED: one binding takes {} bytes",
            gpu.limits().max_storage_buffer_binding_size
        );
        return;
    }
    let [rows, columns] = [66_001, 513];
    for name in ["cross_entropy", "mse"] {
        let criterion = criterion(name, &Value::Null, &device, Reduction::Sum);
        let predictions = numbers(Domain::Real, [rows, columns], 0);
        let truths = match name {
            "mse" => Truths::Dense(predictions.mapv(|x| f16::from_f32(0.3 * x.to_f32()))),
            _ => labels(criterion.loss(), [rows, columns]),
        };
        check(&criterion, &predictions, &truths, false);
    }
}

#[test]
fn what_has_no_f16_is_refused_by_name() {
    for device in each_device() {
        let x = numbers(Domain::Real, [2, 3], 1);
        let [full, half] = both(&device, &x);
        let refused = |loss: &dyn LossDefinition, x: &Tensor, t: &Tensor| {
            let criterion = criterion(loss.name(), &loss.options(), &device, Reduction::Sum);
            criterion.backward(x, t).unwrap_err().to_string()
        };
        assert!(
            refused(&Mse::new(), &half, &full).contains("targets are f32 but predictions are f16")
        );
        assert!(
            refused(&Mse::new(), &full, &half).contains("targets are f16 but predictions are f32")
        );
        assert!(refused(&losses::LambdaRank::new(), &half, &half).contains("this one f32"));
        let found = full.to_half_array().unwrap_err().to_string();
        assert!(found.contains("holds f32") && found.contains("Tensor::from_half"), "{found}");
        let labels = Tensor::from_labels(&device, &[0, 1]).unwrap();
        assert!(labels.to_half_array().unwrap_err().to_string().contains("holds labels"));
    }
}

#[test]
fn a_label_that_is_no_class_is_named_with_predictions_of_f16() {
    for device in each_device() {
        let half = Tensor::from_half(&device, numbers(Domain::Real, [3, 5], 1).view()).unwrap();
        let labels = Tensor::from_labels(&device, &[0, 5, -1]).unwrap();
        let step = CrossEntropy::new().on(&device).unwrap().backward(&half, &labels);
        let error = step.and_then(|step| step.value()).unwrap_err().to_string();
        assert!(error.contains("row 1") && error.contains('5'), "{error}");
    }
}

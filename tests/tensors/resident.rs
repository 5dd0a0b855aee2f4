//! Device tensors give the results of arrays: every loss, every input, every reduction.

use crate::drawn::{With, agrees, difference, differences, draw, flat, of_predictions};
use crate::support::{each_device, gpu};
use gradus::losses::{
    self, Bce, CrossEntropy, LinearCrossEntropy, Loss, LossDefinition, Mse, Ordinal,
};
use gradus::random::Random;
use gradus::{
    Criterion, Device, Entry, Evaluation, Inputs, OnEmpty, Plan, Reduction, Tensor, TensorInputs,
};
use ndarray::{Array1, Array2, array};
use serde_json::Value;

const REDUCTIONS: [Reduction; 6] = [
    Reduction::Mean,
    Reduction::None,
    Reduction::Sum,
    Reduction::BatchMean,
    Reduction::WeightedMean,
    Reduction::Divisor(7.0),
];

/// Tests each loss with each reduction, alone and with all optional inputs.
fn walk(device: &Device, is_chosen: impl Fn(&dyn LossDefinition) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (number, entry) in losses::CATALOGUE.iter().enumerate() {
        let loss = || losses::from_name(entry.name, &Value::Null).unwrap();
        if !is_chosen(&*loss()) {
            continue;
        }
        for (index, reduction) in REDUCTIONS.into_iter().enumerate() {
            let criterion = Criterion::from_boxed(loss(), device).unwrap().reduction(reduction);
            let mut random = Random::new(77, (10 * number + index) as u64);
            let all = With { weight: true, mask: true, per_row: index % 2 == 0, upstream: true };
            let mask = With { mask: true, per_row: index % 2 == 1, ..With::default() };
            for (with, rows, columns) in [(With::default(), 12, 9), (all, 13, 8), (mask, 9, 5)] {
                let data = draw(&mut random, criterion.loss(), rows, columns).with(
                    &mut random,
                    &criterion,
                    with,
                );
                wrong.extend(
                    agrees(&criterion, &data).err().map(|error| format!("{error} ({with:?})")),
                );
            }
        }
    }
    wrong
}

#[test]
fn every_loss_of_predictions_and_targets_gives_the_bits_of_the_arrays_call() {
    let Some(device) = gpu() else { return };
    let wrong = walk(&device, |loss| loss.arguments().is_empty());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_loss_of_several_inputs_gives_the_bits_of_the_arrays_call() {
    let Some(device) = gpu() else { return };
    let wrong = walk(&device, |loss| !loss.arguments().is_empty());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn any_shape_and_options_give_the_bits_of_the_arrays_call() {
    let Some(device) = gpu() else { return };
    let mut random = Random::new(5, 0);
    let mut wrong = Vec::new();
    for _ in 0..150 {
        let mut below = |n: usize| random.next_u32() as usize % n;
        let entry: &Entry<dyn LossDefinition> = losses::CATALOGUE[below(losses::CATALOGUE.len())];
        let options = match below(entry.variants.len() + 1) {
            0 => "{}",
            number => entry.variants[number - 1],
        };
        let options: Value = serde_json::from_str(options).unwrap();
        let (rows, columns, reduction) = (1 + below(40), 1 + below(70), REDUCTIONS[below(6)]);
        let with = With {
            weight: below(2) == 0,
            mask: below(2) == 0,
            per_row: below(2) == 0,
            upstream: below(2) == 0,
        };
        let criterion =
            Criterion::from_boxed(losses::from_name(entry.name, &options).unwrap(), &device)
                .unwrap()
                .reduction(reduction);
        let data =
            draw(&mut random, criterion.loss(), rows, columns).with(&mut random, &criterion, with);
        wrong.extend(
            agrees(&criterion, &data)
                .err()
                .map(|error| format!("{error} ({options} {rows}x{columns} {with:?})")),
        );
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn many_rows_are_counted_to_the_last() {
    let Some(device) = gpu() else { return };
    let mut random = Random::new(6, 0);
    let with = With { weight: true, mask: true, per_row: false, upstream: false };
    for reduction in [Reduction::Mean, Reduction::WeightedMean] {
        let rows = CrossEntropy::new().on(&device).unwrap().reduction(reduction);
        let data =
            of_predictions(&mut random, rows.loss(), 20_011, 3).with(&mut random, &rows, with);
        agrees(&rows, &data).unwrap();
        let elements = Bce::new().on(&device).unwrap().reduction(reduction);
        let data = of_predictions(&mut random, elements.loss(), 1511, 67).with(
            &mut random,
            &elements,
            with,
        );
        agrees(&elements, &data).unwrap();
    }
}

#[test]
fn the_comparison_finds_one_bit() {
    let Some(device) = gpu() else { return };
    let criterion = CrossEntropy::new().on(&device).unwrap();
    let mut random = Random::new(8, 0);
    let data = of_predictions(&mut random, criterion.loss(), 12, 9);
    let uploaded = data.upload(&device);
    let found = criterion.evaluate_tensors(&uploaded.inputs()).unwrap();
    let expected = criterion.evaluate(&data.inputs()).unwrap();
    assert_eq!(differences(&expected, &found), None);
    let mut off = expected.clone();
    let kept = off.gradient.iter().position(|&g| g != 0.0).unwrap();
    let cell = off.gradient.iter_mut().nth(kept).unwrap();
    *cell = f32::from_bits(cell.to_bits() + 1);
    assert!(differences(&off, &found).unwrap().contains(&format!("gradient[{kept}]")));
    let mut off = expected.clone();
    off.values.mapv_inplace(|value| f64::from(f32::from_bits((value as f32).to_bits() ^ 1)));
    assert!(differences(&off, &found).unwrap().contains("value[0]"));
    assert!(
        differences(&Evaluation { count: 0, ..expected.clone() }, &found)
            .unwrap()
            .contains("count")
    );
    assert!(
        difference("x", &[1.0], &[f32::NAN]).is_some() && difference("x", &[1.0], &[]).is_some()
    );
    // A missing weight or upstream would be detected.
    let weighed = data.with(
        &mut random,
        &criterion,
        With { weight: true, upstream: true, ..With::default() },
    );
    assert!(differences(&criterion.evaluate(&weighed.inputs()).unwrap(), &found).is_some());
}

/// The error of a divisor summed in f32 is the rounding of its longest chain of additions: a thread
/// adds 64 terms, the joining workgroup's threads 16 of these sums and its tree 6 times two, 86
/// additions of positive weights, each 2⁻²⁴ of their result. Its inverse, the product by the weight
/// and the products that follow round four more times on both sides.
#[test]
fn a_mean_over_any_weights_is_off_by_no_more_than_its_additions() {
    let Some(device) = gpu() else { return };
    let share = (86.0 + 8.0) / f64::from(1 << 24);
    let mut random = Random::new(9, 0);
    let (p, t) = (
        Array2::from_shape_simple_fn((5000, 3), || random.normal() as f32),
        Array2::zeros((5000, 3)),
    );
    let weight = Array1::from_shape_simple_fn(5000, || 0.1 + random.uniform() as f32);
    let criterion = Mse::new().on(&device).unwrap().reduction(Reduction::WeightedMean);
    let expected = criterion.evaluate(&Inputs::new(&p, &t).weight(&weight)).unwrap();
    let upload = |array: ndarray::ArrayViewD<'_, f32>| Tensor::from_array(&device, array).unwrap();
    let (p, t, weight) = (
        upload(p.view().into_dyn()),
        upload(t.view().into_dyn()),
        upload(weight.view().into_dyn()),
    );
    let found = criterion.evaluate_tensors(&TensorInputs::new(&p, &t).weight(&weight)).unwrap();
    // All values are positive: their sum only has the rounding of its own additions, which are the
    // same.
    assert!((found.value().unwrap() - expected.value()).abs() <= share * expected.value());
    for (&found, &expected) in flat(&found.gradient).iter().zip(&expected.gradient) {
        assert!(
            f64::from((found - expected).abs()) <= share * f64::from(expected.abs()),
            "{found:e} {expected:e}"
        );
    }
}

#[test]
fn auxiliary_outputs_and_the_hessian_come_with_weights_and_masks() {
    for device in each_device() {
        let mut random = Random::new(11, 0);
        for reduction in [Reduction::Mean, Reduction::None, Reduction::Sum] {
            let criterion = CrossEntropy::new().on(&device).unwrap().reduction(reduction);
            let with = With { weight: true, mask: true, per_row: true, upstream: true };
            let data = of_predictions(&mut random, criterion.loss(), 11, 6).with(
                &mut random,
                &criterion,
                with,
            );
            let expected = criterion.evaluate(&data.inputs().auxiliary().hessian()).unwrap();
            let uploaded = data.upload(&device);
            let found =
                criterion.evaluate_tensors(&uploaded.inputs().auxiliary().hessian()).unwrap();
            assert_eq!(differences(&expected, &found), None, "{}", device.describe());
            let hessian: Vec<f32> = expected.hessian.unwrap().iter().copied().collect();
            assert_eq!(
                difference("hessian", &hessian, &flat(found.hessian.as_ref().unwrap())),
                None
            );
            let (expected, found) =
                (expected.auxiliaries.unwrap(), found.auxiliaries().unwrap().unwrap());
            assert_eq!((expected.values, expected.argmax), (found.values, found.argmax));
            assert_eq!((expected.entropy, expected.correct), (found.entropy, found.correct));
        }
        let plain = Mse::new().on(&device).unwrap();
        let one = Tensor::from_array(&device, array![1.0_f32].view().into_dyn()).unwrap();
        assert!(plain.backward(&one, &one).unwrap().auxiliaries().unwrap().is_none());
    }
}

#[test]
fn a_class_mask_on_the_device_takes_classes_out() {
    for device in each_device() {
        let criterion = CrossEntropy::new().on(&device).unwrap();
        let logits = array![[1.0_f32, f32::NAN, 0.5], [0.0, 2.0, -1.0]];
        let (labels, mask) = (array![0_i64, 2], array![true, false, true]);
        let wide = array![[true, false, true], [false, true, true]];
        for mask in [mask.into_dyn(), wide.into_dyn()] {
            let expected =
                criterion.evaluate(&Inputs::new(&logits, &labels).class_mask(&mask)).unwrap();
            let upload = Tensor::from_array(&device, logits.view().into_dyn()).unwrap();
            let labels = Tensor::from_labels(&device, &[0, 2]).unwrap();
            let mask = Tensor::from_mask(&device, &mask).unwrap();
            let found = criterion
                .evaluate_tensors(&TensorInputs::new(&upload, &labels).class_mask(&mask))
                .unwrap();
            assert_eq!(differences(&expected, &found), None, "{}", device.describe());
        }
    }
}

#[test]
fn nothing_left_counts_0_and_is_0_or_nan_as_asked() {
    for device in each_device() {
        for (entry, reduction) in losses::CATALOGUE.iter().flat_map(|entry| {
            [Reduction::Mean, Reduction::BatchMean, Reduction::Sum].map(|r| (entry, r))
        }) {
            if ![
                "mse",
                "cross_entropy",
                "list_net",
                "lambda_rank",
                "bpr",
                "ctc",
                "sup_con",
                "linear_cross_entropy",
            ]
            .contains(&entry.name)
            {
                continue;
            }
            let made = || losses::from_name(entry.name, &Value::Null).unwrap();
            let criterion = Criterion::from_boxed(made(), &device).unwrap().reduction(reduction);
            let mut random = Random::new(12, 0);
            let with = With { mask: true, ..With::default() };
            let mut data =
                draw(&mut random, criterion.loss(), 8, 4).with(&mut random, &criterion, with);
            data.mask.as_mut().unwrap().fill(false);
            let uploaded = data.upload(&device);
            let found = criterion.evaluate_tensors(&uploaded.inputs()).unwrap();
            assert_eq!(
                (found.value().unwrap(), found.count().unwrap()),
                (0.0, 0),
                "{}",
                entry.name
            );
            assert!(flat(&found.gradient).iter().all(|&g| g == 0.0), "{}", entry.name);
            let nan =
                criterion.on_empty(OnEmpty::Nan).evaluate_tensors(&uploaded.inputs()).unwrap();
            assert_eq!(
                nan.value().unwrap().is_nan(),
                reduction != Reduction::Sum,
                "{} {reduction:?}",
                entry.name
            );
        }
    }
}

#[test]
fn on_the_host_tensors_give_what_arrays_give() {
    for device in [Device::cpu(), Device::reference()] {
        let mut random = Random::new(13, 0);
        for entry in losses::CATALOGUE {
            let loss = losses::from_name(entry.name, &Value::Null).unwrap();
            let reduction = REDUCTIONS[random.next_u32() as usize % 6];
            let criterion = Criterion::from_boxed(loss, &device).unwrap().reduction(reduction);
            let with = With { weight: true, mask: true, per_row: true, upstream: true };
            let data =
                draw(&mut random, criterion.loss(), 7, 5).with(&mut random, &criterion, with);
            agrees(&criterion, &data).unwrap();
        }
    }
}

#[test]
fn an_upstream_is_the_same_as_a_number_and_as_a_tensor() {
    for device in each_device() {
        let criterion = Ordinal::new().on(&device).unwrap();
        let mut random = Random::new(14, 0);
        let data = of_predictions(&mut random, criterion.loss(), 9, 4);
        let uploaded = data.upload(&device);
        let half = Tensor::from_array(&device, ndarray::arr0(-0.5_f32).view().into_dyn()).unwrap();
        let number = criterion.evaluate_tensors(&uploaded.inputs().upstream(-0.5)).unwrap();
        let tensor = criterion.evaluate_tensors(&uploaded.inputs().upstream(&half)).unwrap();
        let plain = criterion.evaluate_tensors(&uploaded.inputs()).unwrap();
        assert_eq!(flat(&number.gradient), flat(&tensor.gradient));
        let expected: Vec<f32> = flat(&plain.gradient).iter().map(|g| -0.5 * g).collect();
        assert_eq!(flat(&number.gradient), expected);
        assert_eq!(number.value().unwrap(), plain.value().unwrap());
    }
}

#[test]
fn a_plan_of_several_inputs_runs_as_often_as_wanted() {
    let Some(device) = gpu() else { return };
    let criterion = LinearCrossEntropy::new().on(&device).unwrap();
    let mut random = Random::new(15, 0);
    let with = With { mask: true, weight: true, ..With::default() };
    let data = draw(&mut random, criterion.loss(), 10, 6).with(&mut random, &criterion, with);
    let uploaded = data.upload(&device);
    let expected = criterion.evaluate(&data.inputs()).unwrap();
    let plan = Plan::evaluation(&criterion, &uploaded.inputs()).unwrap();
    for _ in 0..3 {
        plan.run().unwrap();
        assert_eq!(differences(&expected, &plan.result), None);
    }
}

//! Invalid device tensors: labels detected on the device, shapes and kinds rejected by name.

use crate::drawn::{Data, agrees, draw};
use crate::support::{each_device, gpu};
use gradus::losses::{
    self, CrossEntropy, Ctc, InfoNce, LinearCrossEntropy, Loss, Mse, MultilabelMargin,
};
use gradus::random::Random;
use gradus::{Criterion, Device, Reduction, Tensor, TensorInputs, Upstream};
use ndarray::{Array1, Array2, ArrayD};
use serde_json::Value;

#[test]
fn a_wrong_label_is_found_in_every_loss_that_takes_labels() {
    let Some(device) = gpu() else { return };
    let mut random = Random::new(10, 0);
    let mut found = Vec::new();
    for entry in losses::CATALOGUE {
        let loss = losses::from_name(entry.name, &Value::Null).unwrap();
        let is_linear = loss.inner().is_some_and(|inner| inner.targets().takes_labels());
        if !loss.targets().takes_labels() && !is_linear {
            continue;
        }
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            let loss = losses::from_name(entry.name, &Value::Null).unwrap();
            let criterion = Criterion::from_boxed(loss, &device).unwrap().reduction(reduction);
            let mut data = draw(&mut random, criterion.loss(), 700, 4);
            let targets =
                &mut data.integers.iter_mut().find(|(name, _)| *name == "targets").unwrap().1;
            (targets[650], targets[77], targets[400]) = (9999, 1_000_000, -9);
            let mut mask = Array1::from_elem(700, true);
            let uploaded = data.upload(&device);
            let step = criterion.evaluate_tensors(&uploaded.inputs()).unwrap();
            let message = step.value().unwrap_err().to_string();
            let arrays = criterion.evaluate(&data.inputs()).unwrap_err().to_string();
            assert_eq!(message, arrays);
            assert!(message.contains("row 77 has label 1000000"), "{message}");
            assert_eq!(step.count().unwrap_err().to_string(), arrays);
            // No other row is affected.
            let first = step.gradient.to_array().unwrap();
            assert!(
                first.index_axis(ndarray::Axis(0), 77).iter().all(|g| g.is_nan()),
                "{}",
                entry.name
            );
            assert!(
                first.index_axis(ndarray::Axis(0), 78).iter().all(|g| g.is_finite()),
                "{}",
                entry.name
            );
            // A masked label is not checked.
            mask[77] = false;
            let keeps = Tensor::from_mask(&device, &mask).unwrap();
            let message = criterion
                .evaluate_tensors(&uploaded.inputs().mask(&keeps))
                .unwrap()
                .value()
                .unwrap_err()
                .to_string();
            assert!(message.contains("row 400 has label -9"), "{message}");
            (mask[650], mask[400]) = (false, false);
            data.mask = Some(mask.into_dyn());
            agrees(&criterion, &data).unwrap();
        }
        found.push(entry.name);
    }
    assert!(
        found.contains(&"cross_entropy")
            && found.contains(&"ordinal")
            && found.contains(&"linear_cross_entropy")
    );
}

#[test]
fn a_class_that_is_none_is_found_in_lists_of_floats_and_of_whole_numbers() {
    let Some(device) = gpu() else { return };
    let criterion = MultilabelMargin::new().on(&device).unwrap();
    let logits =
        Tensor::from_array(&device, Array2::<f32>::zeros((3, 3)).view().into_dyn()).unwrap();
    let message = |lists: &Tensor| {
        criterion.backward(&logits, lists).unwrap().value().unwrap_err().to_string()
    };
    let floats = |lists: [[f32; 3]; 3]| {
        Tensor::from_array(&device, ndarray::arr2(&lists).view().into_dyn()).unwrap()
    };
    let whole =
        |lists: [[i64; 3]; 3]| Tensor::from_integers(&device, &ndarray::arr2(&lists)).unwrap();
    let expected = "multilabel_margin: row 1 has label 3";
    assert!(message(&whole([[0, -1, 9], [2, 3, 1], [7, 0, 0]])).starts_with(expected));
    assert!(
        message(&floats([[0.0, -1.0, 9.0], [2.0, 3.0, 1.0], [7.0, 0.0, 0.0]]))
            .starts_with(expected)
    );
    assert!(message(&whole([[0, -1, 9], [2, -3, 1], [0, 0, 0]])).contains("hold -3 in row 1"));
    assert!(
        message(&floats([[0.0, -1.0, 0.0], [2.0, 0.5, 1.0], [0.0, 0.0, 0.0]]))
            .contains("hold 0.5 at element 4")
    );
    // Entries behind the end of a list are ignored.
    let fine = criterion.backward(&logits, &whole([[0, -1, 9], [2, 1, 0], [-1, -7, 8]])).unwrap();
    assert!(fine.value().unwrap().is_finite());
}

#[test]
fn what_is_wrong_with_a_sequence_is_said_as_of_arrays() {
    let Some(device) = gpu() else { return };
    let criterion = Ctc::new().on(&device).unwrap();
    let logits = ArrayD::<f32>::zeros(vec![4, 3, 5]);
    let says = |targets: [[i64; 2]; 3], inputs: [i64; 3], lengths: [i64; 3], mask: [bool; 3]| {
        let data = Data {
            arrays: vec![("predictions", logits.clone())],
            integers: vec![
                ("targets", ndarray::arr2(&targets).into_dyn()),
                ("input_lengths", ndarray::arr1(&inputs).into_dyn()),
                ("target_lengths", ndarray::arr1(&lengths).into_dyn()),
            ],
            mask: Some(ndarray::arr1(&mask).into_dyn()),
            ..Data::default()
        };
        let step = criterion.evaluate_tensors(&data.upload(&device).inputs()).unwrap();
        let of_arrays = criterion.evaluate(&data.inputs()).map(|found| found.value());
        match (step.value(), of_arrays) {
            (Err(found), Err(expected)) => {
                assert_eq!(found.to_string(), expected.to_string());
                // An invalid item shows in the gradient, if its length is one.
                found.to_string()
            }
            (found, expected) => {
                assert_eq!(found.unwrap() as f32, expected.unwrap() as f32);
                String::new()
            }
        }
    };
    let (good, all) = ([[1, 2], [3, 4], [1, 1]], [true; 3]);
    assert_eq!(says(good, [4, 4, 4], [2, 1, 2], all), "");
    assert!(says([[1, 2], [3, 99], [1, 1]], [4; 3], [2; 3], all).contains("row 1 has label 99"));
    assert!(says([[1, 2], [3, -4], [1, 1]], [4; 3], [2; 3], all).contains("row 1 has label -4"));
    assert_eq!(says([[1, 2], [3, 99], [1, 1]], [4; 3], [2; 3], [true, false, true]), "");
    assert_eq!(says([[1, 2], [3, 99], [1, 1]], [4; 3], [2, 1, 2], all), "");
    assert!(
        says([[1, 2], [0, 4], [1, 1]], [4; 3], [2; 3], all)
            .contains("hold the blank (0) in item 1")
    );
    assert!(says(good, [4, 5, 4], [2; 3], all).contains("input_lengths holds 5 at item 1"));
    assert!(says(good, [4, 4, -1], [2; 3], all).contains("input_lengths holds -1 at item 2"));
    assert!(says(good, [4; 3], [2, 2, 3], all).contains("target_lengths holds 3 at item 2"));
}

#[test]
fn shapes_kinds_and_names_that_do_not_fit_are_refused_by_name() {
    for device in each_device() {
        let floats = |shape: &[usize]| {
            Tensor::from_array(&device, ArrayD::<f32>::ones(shape).view()).unwrap()
        };
        let whole =
            |shape: &[usize]| Tensor::from_integers(&device, &ArrayD::<i64>::zeros(shape)).unwrap();
        let rows = CrossEntropy::new().on(&device).unwrap();
        let (logits, labels) = (floats(&[4, 3]), whole(&[4]));
        let refused = |inputs: TensorInputs<'_>, words: &str| {
            let message = rows.evaluate_tensors(&inputs).unwrap_err().to_string();
            assert!(message.contains(words), "{}: {message} (not {words})", device.describe());
        };
        let inputs = || TensorInputs::new(&logits, &labels);
        refused(inputs().weight(&floats(&[3])), "weight is [3]");
        refused(inputs().weight(&whole(&[4])), "weight holds whole numbers");
        refused(inputs().mask(&whole(&[4, 3])), "mask is [4, 3]");
        refused(inputs().mask(&floats(&[4])), "mask holds floats");
        refused(inputs().class_weight(&floats(&[4])), "class_weight is [4]");
        refused(inputs().class_mask(&whole(&[4])), "class_mask is [4]");
        refused(inputs().input("pos_weight", &floats(&[3])), "pos_weight");
        refused(inputs().input("anchor", &floats(&[3])), "anchor");
        refused(inputs().upstream(&floats(&[4])), "upstream is [4]");
        refused(TensorInputs::named("predictions", &logits), "targets is missing");
        refused(
            TensorInputs::new(&logits, &whole(&[5])),
            "predictions are [4, 3] but targets are [5]",
        );
        refused(TensorInputs::new(&labels, &labels), "predictions holds whole numbers");
        refused(
            inputs().hessian().auxiliary().upstream(Upstream::Number(1.0)).weight(&floats(&[9])),
            "weight is [9]",
        );
        let message = Mse::new()
            .on(&device)
            .unwrap()
            .evaluate_tensors(&TensorInputs::new(&logits, &logits).auxiliary());
        assert!(message.unwrap_err().to_string().contains("auxiliary outputs were asked for"));
        let each = rows.clone().reduction(Reduction::None);
        let message = each.evaluate_tensors(&inputs().upstream(2.0)).unwrap_err().to_string();
        assert!(message.contains("upstream is []") && message.contains("[4]"), "{message}");
        let pair = InfoNce::new().on(&device).unwrap();
        let message = pair.backward(&logits, &labels).unwrap_err().to_string();
        assert!(
            message.contains("unknown input of info_nce") && message.contains("predictions"),
            "{message}"
        );
        let linear = LinearCrossEntropy::new().on(&device).unwrap();
        let wrong = TensorInputs::new(&logits, &labels);
        let layer = floats(&[5, 2]);
        let message =
            linear.evaluate_tensors(&wrong.input("linear_weight", &layer)).unwrap_err().to_string();
        assert!(message.contains("predictions is [4, 3] but linear_weight is [5, 2]"), "{message}");
        let message =
            linear.evaluate_tensors(&TensorInputs::new(&logits, &labels)).unwrap_err().to_string();
        assert!(message.contains("linear_weight is missing"), "{message}");
        let layer = floats(&[5, 3]);
        let inputs = TensorInputs::new(&logits, &logits).input("linear_weight", &layer);
        let message = linear.evaluate_tensors(&inputs).unwrap_err().to_string();
        assert!(message.contains("targets must be [4, 5]"), "{message}");
        if let (Device::Gpu(_), Ok(elsewhere)) =
            (&device, Tensor::from_labels(&Device::cpu(), &[0; 4]))
        {
            let message = rows.backward(&logits, &elsewhere).unwrap_err().to_string();
            assert!(message.contains("targets live on another device (cpu)"), "{message}");
        }
    }
}

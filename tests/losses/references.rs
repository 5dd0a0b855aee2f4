//! A reference set of the similarity losses: a queue of negatives, a memory of other batches.

use gradus::losses::Loss;
use gradus::losses::{self, InfoNce, LossDefinition, SupCon};
use gradus::{Criterion, Device, Evaluation, Inputs, Reduction, Tensor, TensorInputs};
use ndarray::{Array1, Array2, array, concatenate};
use serde_json::{Value, json};

use crate::support::each_device;

fn numbers(rows: usize, columns: usize, seed: usize) -> Array2<f32> {
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        ((row * columns + column + seed * 77) * 7919 % 1009) as f32 / 504.5 - 1.0
    })
}

fn labels(rows: usize, seed: usize) -> Array1<i64> {
    Array1::from_shape_fn(rows, |row| ((row * 5 + seed) % 4) as i64)
}

fn criterion(name: &str, options: &Value, device: &Device) -> Criterion {
    let loss: Box<dyn LossDefinition> = losses::from_name(name, options).unwrap();
    Criterion::from_boxed(loss, device).unwrap()
}

/// The losses over one matrix with labels.
fn labelled() -> Vec<(&'static str, Value)> {
    vec![
        ("sup_con", json!({})),
        ("nt_xent", json!({})),
        ("multi_similarity", json!({})),
        ("batch_triplet", json!({"mining": "batch_hard"})),
        ("batch_triplet", json!({"mining": "semi_hard"})),
    ]
}

fn assert_near(name: &str, found: f64, wanted: f64, largest: f64, device: &Device) {
    // Sums of some ten products of up to 24 numbers, and a few functions of them.
    let allowed = if device.name() == "reference" { 1e-12 } else { 2e-5 };
    let apart = (found - wanted).abs();
    assert!(apart <= allowed * largest, "{name} on {}: {found}, {wanted}", device.name());
}

fn assert_same(name: &str, found: &Evaluation<f64>, wanted: &Evaluation<f64>, device: &Device) {
    assert_near(name, found.value(), wanted.value(), wanted.value().abs().max(1.0), device);
    assert_eq!(found.count, wanted.count, "{name}");
    for input in ["predictions", "references"] {
        let of = |step: &Evaluation<f64>| match input {
            "predictions" => step.gradient.clone(),
            _ => step.gradient_of("references").unwrap().to_owned(),
        };
        let (found, wanted) = (of(found), of(wanted));
        let largest = wanted.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
        for (x, y) in found.iter().zip(&wanted) {
            assert_near(&format!("{name}, {input}"), *x, *y, largest, device);
        }
    }
}

#[test]
fn each_device_gives_the_reference_and_its_central_differences() {
    let (rows, others, columns) = (7, 24, 5);
    let (x, y) = (numbers(rows, columns, 1), numbers(others, columns, 2));
    let (of_x, of_y) = (labels(rows, 1), labels(others, 2));
    let weight = Array1::from_shape_fn(rows, |row| (row % 3) as f32 / 2.0 + 0.25);
    for (name, options) in labelled() {
        let make =
            |device: &Device| criterion(name, &options, device).reduction(Reduction::WeightedMean);
        let inputs = Inputs::new(&x, &of_x)
            .input("references", &y)
            .input("reference_labels", &of_y)
            .weight(&weight);
        let exact = make(&Device::reference()).evaluate_f64(&inputs).unwrap();
        assert_eq!(exact.gradient_of("references").unwrap().shape(), [others, columns]);
        assert!(exact.value() > 0.0 && exact.count > 0, "{name}");
        for device in each_device() {
            let found = make(&device).evaluate_f64(&inputs).unwrap();
            assert_same(name, &found, &exact, &device);
        }
        let step = 1e-6;
        let wide = |array: &Array2<f32>| array.mapv(f64::from);
        for (input, shape) in [("predictions", (rows, columns)), ("references", (others, columns))]
        {
            for place in (0..shape.0 * shape.1).step_by(11) {
                let moved = |by: f64| {
                    let (mut x, mut y) = (wide(&x), wide(&y));
                    let at = if input == "predictions" { &mut x } else { &mut y };
                    at.as_slice_mut().unwrap()[place] += by;
                    let inputs = Inputs::new(&x, &of_x)
                        .input("references", &y)
                        .input("reference_labels", &of_y)
                        .weight(&weight);
                    make(&Device::reference()).evaluate_f64(&inputs).unwrap().value()
                };
                let wanted = (moved(step) - moved(-step)) / (2.0 * step);
                let gradient = match input {
                    "predictions" => exact.gradient.to_owned(),
                    _ => exact.gradient_of("references").unwrap().to_owned(),
                };
                let found = gradient.as_slice().unwrap()[place];
                // The weights of multi_similarity's pairs, and a mined pair, do not change by 1e-6.
                assert!((found - wanted).abs() < 1e-7, "{name} {input} {place}: {found} {wanted}");
            }
        }
    }
}

/// The references are what the rows are compared with: those of the batch are no candidates.
#[test]
fn rows_are_compared_with_the_references_alone() {
    let (x, y) = (array![[2.0_f32, 0.0]], array![[1.0_f32, 0.0], [0.0, 3.0]]);
    for device in each_device() {
        let sup_con = SupCon::new().temperature(1.0).on(&device).unwrap();
        let of_x = array![4_i64];
        let step = sup_con
            .evaluate(
                &Inputs::new(&x, &of_x)
                    .input("references", &y)
                    .input("reference_labels", &array![4_i64, 9]),
            )
            .unwrap();
        // Cosines 1 (the positive) and 0: ln(e + 1) − 1.
        let wanted = (1.0_f64.exp() + 1.0).ln() - 1.0;
        assert!((step.value() - wanted).abs() < 1e-6, "on {}", device.name());
        // No reference of its label: nothing to average.
        let others = array![3_i64, 9];
        let none =
            Inputs::new(&x, &of_x).input("references", &y).input("reference_labels", &others);
        assert_eq!(sup_con.evaluate(&none).unwrap().count, 0);
    }
}

#[test]
fn a_queue_adds_negatives_to_pairs() {
    let (x, y, queue) = (numbers(4, 6, 1), numbers(4, 6, 2), numbers(9, 6, 3));
    for device in each_device() {
        let criterion = InfoNce::new().temperature(0.5).on(&device).unwrap();
        let inputs = Inputs::named("first", &x).input("second", &y).input("references", &queue);
        let found = criterion.evaluate_f64(&inputs).unwrap();
        let unit = |row: ndarray::ArrayView1<f32>| {
            let row = row.mapv(f64::from);
            let length = row.dot(&row).sqrt();
            row / length
        };
        let all = concatenate![ndarray::Axis(0), y, queue];
        let mut total = 0.0;
        for row in 0..4 {
            let scores: Vec<f64> = all
                .rows()
                .into_iter()
                .map(|other| unit(x.row(row)).dot(&unit(other)) / 0.5)
                .collect();
            total += scores.iter().map(|s| s.exp()).sum::<f64>().ln() - scores[row];
        }
        assert_near("queue", found.value(), total / 4.0, 1.0, &device);
        assert_eq!(found.gradient_of("second").unwrap().shape(), [4, 6]);
        assert_eq!(found.gradient_of("references").unwrap().shape(), [9, 6]);
        // A queue that is the second matrix's own rows of another call: the gradients are those of
        // the exact device.
        let exact = InfoNce::new().temperature(0.5).on(&Device::reference()).unwrap();
        let exact = exact.evaluate_f64(&inputs).unwrap();
        for name in ["second", "references"] {
            let (a, b) = (found.gradient_of(name).unwrap(), exact.gradient_of(name).unwrap());
            let largest = b.iter().fold(0.0_f64, |most, g| most.max(g.abs()));
            a.iter().zip(b).for_each(|(a, b)| assert_near(name, *a, *b, largest, &device));
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let (x, of_x, y) = (numbers(3, 2, 1), labels(3, 1), numbers(5, 2, 2));
    let sup_con = SupCon::new().on(&Device::reference()).unwrap();
    let text = |inputs: Inputs| sup_con.evaluate(&inputs).unwrap_err().to_string();
    let given = || Inputs::new(&x, &of_x);
    let of_y = labels(4, 1);
    assert!(text(given().input("references", &y)).contains("reference_labels are missing"));
    let found = text(given().input("references", &y).input("reference_labels", &of_y));
    assert!(found.contains("reference_labels is [4]") && found.contains("[5]"), "{found}");
    let wide = numbers(5, 3, 1);
    let found = text(given().input("references", &wide));
    assert!(found.contains("references is [5, 3]"), "{found}");
    let found = text(given().input("reference_labels", &of_y));
    assert!(found.contains("without references"), "{found}");
    let both = InfoNce::new().symmetric(true).on(&Device::reference()).unwrap();
    let inputs = Inputs::named("first", &x).input("second", &x).input("references", &y);
    let found = both.evaluate(&inputs).unwrap_err().to_string();
    assert!(found.contains("symmetric"), "{found}");
    if let Some(device) = crate::support::gpu() {
        let tensor =
            |array: &Array2<f32>| Tensor::from_array(&device, array.view().into_dyn()).unwrap();
        let (x, y) = (tensor(&x), tensor(&y));
        let inputs = TensorInputs::named("first", &x).input("second", &x).input("references", &y);
        let error = InfoNce::new().on(&device).unwrap().evaluate_tensors(&inputs).unwrap_err();
        assert!(error.to_string().contains("arrays alone"), "{error}");
    }
}

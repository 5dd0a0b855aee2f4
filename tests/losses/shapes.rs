//! Inputs in other shapes than those of the templates: NumPy's rule, the class axis, one row, a
//! batch without rows.

use gradus::losses::{
    Bce, BceWithLogits, CosineEmbedding, CrossEntropy, Ctc, Focal, GaussianNll, KlDiv,
    LinearCrossEntropy, Loss, Mse, MultiMargin,
};
use gradus::{Criterion, Device, Evaluation, Inputs, OnEmpty, Reduction};
use ndarray::{Array, Array2, Array3, ArrayD, Axis, array};

use crate::support::each_device;

/// Numbers without a pattern in [−1, 1).
fn numbers(shape: &[usize], seed: usize) -> ArrayD<f32> {
    let length = shape.iter().product();
    let number = |i: usize| ((i + seed * 77) * 7919 % 1009) as f32 / 504.5 - 1.0;
    Array::from_iter((0..length).map(number)).into_shape_with_order(shape).unwrap()
}

fn assert_same(found: &Evaluation, wanted: &Evaluation, allowed: f64) {
    assert!((found.value() - wanted.value()).abs() <= allowed * wanted.value().abs());
    let (found, wanted) = (&found.gradient, &wanted.gradient);
    assert_eq!(found.len(), wanted.len());
    for (x, y) in found.iter().zip(wanted) {
        assert!(f64::from((x - y).abs()) <= allowed, "{x} instead of {y}");
    }
}

#[test]
fn classes_may_be_on_axis_one() {
    let logits = numbers(&[2, 3, 4], 1);
    let labels = Array2::from_shape_fn((2, 4), |(i, j)| ((i + j) % 3) as i64);
    let moved = logits.clone().permuted_axes(vec![0, 2, 1]).as_standard_layout().into_owned();
    for device in each_device() {
        let criterion = CrossEntropy::new().on(&device).unwrap();
        let found = criterion.clone().class_axis(1).value_and_gradient(&logits, &labels).unwrap();
        let wanted = criterion.value_and_gradient(&moved, &labels).unwrap();
        assert_eq!(found.gradient.shape(), [2, 3, 4]);
        let back = Evaluation {
            gradient: wanted.gradient.clone().permuted_axes(vec![0, 2, 1]).to_owned(),
            ..wanted
        };
        assert_same(&found, &back, 0.0);
    }
}

#[test]
fn two_readings_of_three_axes_are_asked_for() {
    let criterion = CrossEntropy::new().on(&Device::reference()).unwrap();
    let (logits, labels) = (numbers(&[1, 2, 2], 1), array![[0_i64, 1]]);
    let error = criterion.value_and_gradient(&logits, &labels).unwrap_err().to_string();
    assert!(error.contains("class_axis = 1") && error.contains("or -1"), "{error}");
    let first = criterion.clone().class_axis(1).value_and_gradient(&logits, &labels).unwrap();
    let last = criterion.clone().class_axis(-1).value_and_gradient(&logits, &labels).unwrap();
    assert_ne!(first.value(), last.value());
    // PyTorch's probabilities of three axes too.
    let dense = numbers(&[2, 3, 4], 2).mapv(f32::abs);
    let error = criterion.value_and_gradient(&numbers(&[2, 3, 4], 1), &dense).unwrap_err();
    assert!(error.to_string().contains("class_axis"), "{error}");
    let error = criterion.class_axis(3).value_and_gradient(&logits, &labels).unwrap_err();
    assert!(error.to_string().contains("from -3 to 2"), "{error}");
    let error = Mse::new().on(&Device::reference()).unwrap().class_axis(0);
    let error = error.value_and_gradient(&array![1.0], &array![1.0]).unwrap_err().to_string();
    assert!(error.contains("only losses over classes"), "{error}");
}

#[test]
fn weights_follow_numpys_rule_and_then_the_leading_axes() {
    let (x, y) = (numbers(&[2, 3, 4], 1), numbers(&[2, 3, 4], 2));
    let by_hand = |criterion: &Criterion, whole: &ArrayD<f32>| {
        criterion.evaluate(&Inputs::new(&x, &y).weight(whole)).unwrap()
    };
    for device in each_device() {
        let criterion = Mse::new().on(&device).unwrap();
        for shape in [&[4][..], &[3, 4], &[3, 1], &[2, 1, 1], &[1], &[2, 3]] {
            let weight = numbers(shape, 3);
            let view = match shape {
                [2, 3] => weight.view().insert_axis(Axis(2)),
                _ => weight.view(),
            };
            let whole = view.broadcast(vec![2, 3, 4]).unwrap().to_owned();
            let found = criterion.evaluate(&Inputs::new(&x, &y).weight(&weight)).unwrap();
            assert_same(&found, &by_hand(&criterion, &whole), 0.0);
        }
        // Of classes too: one for each of the leading axes.
        let classes = CrossEntropy::new().on(&device).unwrap().reduction(Reduction::Sum);
        let labels = Array2::from_shape_fn((2, 3), |(i, j)| (i + j) as i64 % 4);
        let of_rows = |weight: &ArrayD<f32>| {
            classes.evaluate(&Inputs::new(&x, &labels).weight(weight)).unwrap()
        };
        let whole = array![[0.5, 0.5, 0.5], [2.0, 2.0, 2.0]].into_dyn();
        assert_same(&of_rows(&array![0.5, 2.0].into_dyn()), &of_rows(&whole), 0.0);
        // A square: PyTorch's column weights; rows are [rows, 1].
        let (x, y) = (array![[1.0, 2.0], [3.0, 4.0]], Array2::<f32>::zeros((2, 2)));
        let sum = criterion.reduction(Reduction::Sum);
        let of = |inputs: Inputs| sum.evaluate(&inputs).unwrap().value();
        assert_eq!(of(Inputs::new(&x, &y).weight(&array![1.0, 0.0])), 10.0);
        assert_eq!(of(Inputs::new(&x, &y).weight(&array![[1.0], [0.0]])), 5.0);
        assert_eq!(of(Inputs::new(&x, &y).mask(&array![true, false])), 10.0);
    }
    let error = Mse::new().on(&Device::reference()).unwrap();
    let error = error.evaluate(&Inputs::new(&x, &y).weight(&array![1.0, 2.0, 3.0])).unwrap_err();
    assert!(error.to_string().contains("weight is [3]"), "{error}");
}

#[test]
fn targets_variances_and_positive_weights_are_repeated() {
    for device in each_device() {
        let x = numbers(&[3, 2], 1);
        let criterion = Mse::new().on(&device).unwrap();
        let found = criterion.value_and_gradient(&x, &array![[0.5], [0.25], [1.0]]).unwrap();
        let whole = array![[0.5, 0.5], [0.25, 0.25], [1.0, 1.0]];
        assert_same(&found, &criterion.value_and_gradient(&x, &whole).unwrap(), 0.0);
        // Predictions are not: PyTorch's [N] against [N, 1] is a matrix of N² errors.
        assert!(criterion.value_and_gradient(&array![1.0, 2.0], &array![[1.0], [2.0]]).is_err());

        let (variance, y) = (array![[0.5, 2.0]], numbers(&[3, 2], 2));
        let criterion = GaussianNll::new().on(&device).unwrap();
        let found = criterion.evaluate(&Inputs::new(&x, &y).input("variance", &variance)).unwrap();
        let whole = array![[0.5, 2.0], [0.5, 2.0], [0.5, 2.0]];
        let wanted = criterion.evaluate(&Inputs::new(&x, &y).input("variance", &whole)).unwrap();
        assert_same(&found, &wanted, 0.0);
        let summed = wanted.gradient_of("variance").unwrap().sum_axis(Axis(0));
        let of_variance = found.gradient_of("variance").unwrap();
        assert_eq!(of_variance.shape(), [1, 2]);
        for (x, y) in of_variance.iter().zip(&summed) {
            assert!((x - y).abs() < 1e-6);
        }

        let (logits, labels) =
            (numbers(&[2, 3, 4], 1), numbers(&[2, 3, 4], 2).mapv(|x| f32::from(x > 0.0)));
        let weight = numbers(&[3, 4], 3).mapv(f32::abs);
        let criterion = BceWithLogits::new().on(&device).unwrap().reduction(Reduction::Sum);
        let found = criterion.evaluate(&Inputs::new(&logits, &labels).pos_weight(&weight)).unwrap();
        // Row by row, with the weights of each as column weights.
        let mut total = 0.0;
        for i in 0..2 {
            for j in 0..3 {
                let (x, y) = (logits.index_axis(Axis(0), i), labels.index_axis(Axis(0), i));
                let (x, y) =
                    (x.index_axis(Axis(0), j).to_owned(), y.index_axis(Axis(0), j).to_owned());
                let w = weight.index_axis(Axis(0), j).to_owned();
                total += criterion.evaluate(&Inputs::new(&x, &y).pos_weight(&w)).unwrap().value();
            }
        }
        assert!((found.value() - total).abs() < 1e-5 * total);
    }
}

#[test]
fn one_row_needs_no_axis_of_rows() {
    for device in each_device() {
        let criterion = CosineEmbedding::new().on(&device).unwrap().reduction(Reduction::None);
        let (a, b, y) = (array![1.0, 2.0], array![2.0, -1.0], ndarray::arr0(1.0));
        let inputs = Inputs::named("first", &a).input("second", &b).input("targets", &y);
        let found = criterion.evaluate(&inputs).unwrap();
        assert_eq!((found.values.shape(), found.gradient.shape()), (&[][..], &[2][..]));
        assert!((found.value() - 1.0).abs() < 1e-6); // orthogonal

        let criterion = MultiMargin::new().on(&device).unwrap();
        let (scores, label) = (array![0.5, 1.0, 0.0], array![1_i64]);
        let found = criterion.value_and_gradient(&scores, &label).unwrap();
        assert!((found.value() - 0.5 / 3.0).abs() < 1e-6);
        assert_eq!(found.gradient.shape(), [3]);

        // Two labels of two steps: alone, and as a batch of one.
        let logits = numbers(&[5, 3], 1);
        let (labels, steps, length) =
            (array![1_i64, 2], ndarray::arr0(5_i64), ndarray::arr0(2_i64));
        let inputs = Inputs::new(&logits, &labels)
            .input("input_lengths", &steps)
            .input("target_lengths", &length);
        let criterion = Ctc::new().on(&device).unwrap();
        let found = criterion.evaluate(&inputs).unwrap();
        let (logits, labels) = (logits.insert_axis(Axis(1)), array![[1_i64, 2]]);
        let (steps, length) = (array![5_i64], array![2_i64]);
        let inputs = Inputs::new(&logits, &labels)
            .input("input_lengths", &steps)
            .input("target_lengths", &length);
        assert_same(&found, &criterion.evaluate(&inputs).unwrap(), 0.0);
    }
}

#[test]
fn vectors_may_be_in_rows_of_several_axes() {
    let (a, b) = (numbers(&[2, 3, 4], 1), numbers(&[1, 3, 4], 2));
    let y =
        ArrayD::from_shape_fn(
            vec![2, 3],
            |place| if (place[0] + place[1]) % 2 == 0 { 1.0 } else { -1.0 },
        );
    let flat = |array: &ArrayD<f32>, columns: usize| {
        Array2::from_shape_vec((6, columns), array.iter().copied().collect()).unwrap()
    };
    let whole = b.broadcast(vec![2, 3, 4]).unwrap().to_owned();
    let (rows_a, rows_b) = (flat(&a, 4), flat(&whole, 4));
    let rows_y = flat(&y, 1).remove_axis(Axis(1));
    for device in each_device() {
        for reduction in [Reduction::Mean, Reduction::None] {
            let criterion = CosineEmbedding::new().on(&device).unwrap().reduction(reduction);
            let given = Inputs::named("first", &a).input("second", &b).input("targets", &y);
            let found = criterion.evaluate(&given).unwrap();
            let given =
                Inputs::named("first", &rows_a).input("second", &rows_b).input("targets", &rows_y);
            let wanted = criterion.evaluate(&given).unwrap();
            assert_same(&found, &wanted, 0.0);
            assert_eq!(found.gradient.shape(), [2, 3, 4]);
            assert_eq!(found.gradient_of("second").unwrap().shape(), [1, 3, 4]);
            if reduction == Reduction::None {
                assert_eq!(found.values.shape(), [2, 3]);
            }
        }
    }
}

#[test]
fn sequences_may_follow_each_other_without_padding() {
    let logits = numbers(&[6, 2, 4], 1);
    let (steps, lengths) = (array![6_i64, 5], array![1_i64, 2]);
    let inputs = |labels| {
        Inputs::new(&logits, labels)
            .input("input_lengths", &steps)
            .input("target_lengths", &lengths)
    };
    let (flat, padded) = (array![3_i64, 1, 2].into_dyn(), array![[3_i64, 0], [1, 2]].into_dyn());
    for device in each_device() {
        let criterion = Ctc::new().on(&device).unwrap();
        let found = criterion.evaluate(&inputs(&flat)).unwrap();
        assert_same(&found, &criterion.evaluate(&inputs(&padded)).unwrap(), 0.0);
    }
}

#[test]
fn labels_may_be_a_column_or_one_hot_rows() {
    let logits = numbers(&[3, 4], 1);
    let labels = array![2_i64, 0, 3];
    let one_hot =
        Array2::from_shape_fn((3, 4), |(i, c)| f32::from(u8::from(labels[i] == c as i64)));
    let column = labels.clone().insert_axis(Axis(1));
    let criterion = Focal::new().on(&Device::reference()).unwrap();
    let wanted = criterion.value_and_gradient(&logits, &labels).unwrap();
    assert_same(&criterion.value_and_gradient(&logits, &column).unwrap(), &wanted, 0.0);
    // Focal loss takes dense targets; a loss of labels alone takes one-hot rows as their labels.
    assert_same(&criterion.value_and_gradient(&logits, &one_hot).unwrap(), &wanted, 1e-12);
    let criterion = MultiMargin::new().on(&Device::reference()).unwrap();
    let wanted = criterion.value_and_gradient(&logits, &labels).unwrap();
    assert_same(&criterion.value_and_gradient(&logits, &one_hot).unwrap(), &wanted, 0.0);
    let smoothed = one_hot.mapv(|t| 0.9 * t + 0.025);
    assert!(criterion.value_and_gradient(&logits, &smoothed).is_err());
    // A column of floats is no probability of all classes.
    let criterion = CrossEntropy::new().on(&Device::reference()).unwrap();
    assert!(criterion.value_and_gradient(&logits, &column.mapv(|x| x as f32)).is_err());
}

#[test]
fn probabilities_have_the_gradient_of_probabilities() {
    let reference = Device::reference();
    let p = array![[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]];
    let criterion = CrossEntropy::new().on(&reference).unwrap().from_probabilities(true);
    let labels = array![1_i64, 2];
    let value = |p: &Array2<f64>| criterion.evaluate_f64(&Inputs::new(p, &labels)).unwrap();
    let step = value(&p);
    assert!((step.value() + 0.5 * (0.5_f64.ln() + 0.8_f64.ln())).abs() < 1e-12);
    for place in [(0, 0), (0, 1), (1, 2)] {
        let (mut up, mut down) = (p.clone(), p.clone());
        (up[place], down[place]) = (p[place] + 1e-5, p[place] - 1e-5);
        let difference = (value(&up).value() - value(&down).value()) / 2e-5;
        assert!((step.gradient[[place.0, place.1]] - difference).abs() < 1e-9);
    }
    let (labels_of_one, mask) = (array![1_i64], array![true, true, false]);
    // A class that is masked has no part in the sum, and no gradient, whatever it holds.
    let masked = array![[0.2, 0.3, f64::NAN]];
    let inputs = Inputs::new(&masked, &labels_of_one).class_mask(&mask);
    let step = criterion.evaluate_f64(&inputs).unwrap();
    assert!((step.value() + 0.6_f64.ln()).abs() < 1e-12);
    assert_eq!(step.gradient[[0, 2]], 0.0);
    // Clipped, with a target: the derivative of the value, which is not one of 1/1e-7; and none of
    // the masked class, whose row has one.
    let (clipped, mask) = (array![[0.0, 0.5, 0.5, 0.7]], array![true, true, true, false]);
    let dense = array![[0.5, 0.25, 0.25, 0.0]];
    let value = |p: &Array2<f64>| {
        criterion.evaluate_f64(&Inputs::new(p, &dense).class_mask(&mask)).unwrap()
    };
    let step = value(&clipped);
    for class in 0..4 {
        // The step stays below the clip, and the value has 16 digits.
        let mut up = clipped.clone();
        up[[0, class]] += 1e-8;
        let difference = (value(&up).value() - step.value()) / 1e-8;
        let found = step.gradient[[0, class]];
        assert!((found - difference).abs() < 1e-6, "{class}: {found} instead of {difference}");
    }
    assert!(step.gradient[[0, 3]] == 0.0 && step.gradient[[0, 0]].abs() > 0.1);
    // Independent probabilities: bce of logits is bce.
    let (x, y) = (array![0.3, 0.9], array![1.0, 0.25]);
    let of_logits = BceWithLogits::new().on(&reference).unwrap().from_probabilities(true);
    let found = of_logits.value_and_gradient(&x, &y).unwrap();
    let wanted = Bce::new().on(&reference).unwrap().value_and_gradient(&x, &y).unwrap();
    assert_same(&found, &wanted, 1e-6);
    // The divergence of two distributions.
    let criterion = KlDiv::new().on(&reference).unwrap().from_probabilities(true);
    let found = criterion
        .reduction(Reduction::Sum)
        .value_and_gradient(&array![0.5, 0.5], &array![0.25, 0.75]);
    let wanted = 0.25 * 0.5_f64.ln() + 0.75 * 1.5_f64.ln();
    assert!((found.unwrap().value() - wanted).abs() < 1e-12);
    let error = Mse::new().on(&reference).unwrap().from_probabilities(true);
    assert!(
        error.value_and_gradient(&x, &y).unwrap_err().to_string().contains("from_probabilities")
    );
}

#[test]
fn a_batch_without_rows_is_worth_nothing() {
    for device in each_device() {
        let (x, y) = (Array2::<f32>::zeros((0, 3)), Array2::<f32>::zeros((0, 3)));
        let criterion = Mse::new().on(&device).unwrap();
        let found = criterion.value_and_gradient(&x, &y).unwrap();
        assert_eq!((found.value(), found.count, found.gradient.shape()), (0.0, 0, &[0, 3][..]));
        let found = criterion.evaluate(&Inputs::new(&x, &y).target_gradient()).unwrap();
        assert_eq!(found.gradient_of("targets").unwrap().shape(), [0, 3]);
        let nan = criterion.clone().on_empty(OnEmpty::Nan);
        assert!(nan.value_and_gradient(&x, &y).unwrap().value().is_nan());
        let sum = criterion.reduction(Reduction::Sum).on_empty(OnEmpty::Nan);
        assert_eq!(sum.value_and_gradient(&x, &y).unwrap().value(), 0.0);
        let labels = ndarray::Array1::<i64>::zeros(0);
        let criterion = CrossEntropy::new().on(&device).unwrap().reduction(Reduction::None);
        let found = criterion.value_and_gradient(&x, &labels).unwrap();
        assert_eq!(found.values.shape(), [0]);
        // No class at all is another matter.
        assert!(
            criterion.value_and_gradient(&Array2::<f32>::zeros((2, 0)), &array![0_i64, 0]).is_err()
        );
    }
}

/// A cohort without items and matrices without rows: one value of all rows at once.
#[test]
fn a_value_of_all_rows_at_once_is_worth_nothing_without_rows() {
    for device in each_device() {
        let (first, second) = (Array2::<f32>::zeros((0, 3)), Array2::<f32>::zeros((0, 3)));
        let none = ndarray::Array1::<f32>::zeros(0);
        for name in ["vicreg", "barlow_twins", "cox"] {
            let loss = gradus::losses::from_name(name, &serde_json::Value::Null).unwrap();
            let criterion = Criterion::from_boxed(loss, &device).unwrap();
            let inputs = if name == "cox" {
                let inputs = Inputs::named("predictions", &none).input("times", &none);
                inputs.input("events", &none)
            } else {
                Inputs::named("first", &first).input("second", &second)
            };
            let found = criterion.evaluate(&inputs).unwrap();
            assert_eq!((found.value(), found.count, found.gradient.len()), (0.0, 0, 0), "{name}");
            let nan = criterion.on_empty(OnEmpty::Nan).evaluate(&inputs).unwrap();
            assert!(nan.value().is_nan(), "{name}");
        }
        // A value for each proxy, and no embedding.
        let proxies = Array2::<f32>::ones((4, 3));
        let criterion = gradus::losses::ProxyAnchor::new().on(&device).unwrap();
        let criterion = criterion.reduction(Reduction::None);
        let labels = ndarray::Array1::<i64>::zeros(0);
        let found = criterion.evaluate(&Inputs::new(&first, &labels).input("proxies", &proxies));
        let found = found.unwrap();
        assert_eq!((found.values.shape(), found.gradient.shape()), (&[4][..], &[0, 3][..]));
        assert_eq!(found.gradient_of("proxies").unwrap().shape(), [4, 3]);
        // Rows without a column are another matter.
        let (first, second) = (Array2::<f32>::zeros((3, 0)), Array2::<f32>::zeros((3, 0)));
        let criterion = gradus::losses::Vicreg::new().on(&device).unwrap();
        let inputs = Inputs::named("first", &first).input("second", &second);
        assert!(criterion.evaluate(&inputs).is_err());
    }
}

#[test]
fn a_linear_head_may_have_several_positions_and_dense_targets() {
    let (x, weight) = (numbers(&[4, 3], 1), numbers(&[5, 2, 3], 2));
    let labels = Array2::from_shape_fn((4, 2), |(i, d)| ((2 * i + d) % 5) as i64);
    for device in each_device() {
        let criterion = LinearCrossEntropy::new().on(&device).unwrap();
        let inputs = Inputs::new(&x, &labels).input("linear_weight", &weight);
        let found = criterion.evaluate(&inputs).unwrap();
        // The logits of both positions by hand.
        let logits = Array3::from_shape_fn((4, 2, 5), |(i, d, c)| {
            (0..3).map(|f| x[[i, f]] * weight[[c, d, f]]).sum::<f32>()
        });
        let plain = CrossEntropy::new().on(&device).unwrap();
        let wanted = plain.value_and_gradient(&logits, &labels).unwrap();
        assert!((found.value() - wanted.value()).abs() < 1e-6);
        let of_weight = found.gradient_of("linear_weight").unwrap();
        assert_eq!(of_weight.shape(), [5, 2, 3]);
        for ((c, d, f), place) in [((1, 0, 2), [1, 0, 2]), ((4, 1, 0), [4, 1, 0])] {
            let sum: f32 = (0..4).map(|i| wanted.gradient[[i, d, c]] * x[[i, f]]).sum();
            assert!((of_weight[place] - sum).abs() < 1e-6);
        }

        let one = numbers(&[5, 3], 2);
        let dense = Array2::from_shape_fn((4, 5), |(i, c)| f32::from(u8::from((2 * i) % 5 == c)));
        let found =
            criterion.evaluate(&Inputs::new(&x, &dense).input("linear_weight", &one)).unwrap();
        let labels = array![0_i64, 2, 4, 1];
        let wanted =
            criterion.evaluate(&Inputs::new(&x, &labels).input("linear_weight", &one)).unwrap();
        assert_same(&found, &wanted, 1e-6);
    }
}

#[test]
fn weights_of_rows_are_given_by_name() {
    let (x, y) = (numbers(&[3, 3], 1), numbers(&[3, 3], 2));
    let weight = array![0.5_f64, 2.0, 0.1];
    for device in each_device() {
        let criterion = Mse::new().on(&device).unwrap();
        let named = criterion.evaluate_f64(&Inputs::new(&x, &y).row_weight(&weight)).unwrap();
        let column = weight.clone().insert_axis(Axis(1));
        let wanted = criterion.evaluate_f64(&Inputs::new(&x, &y).weight(&column)).unwrap();
        assert_eq!((named.values, named.gradient), (wanted.values, wanted.gradient));
        // [rows, time] of [rows, time, columns], and of classes on axis 1.
        let (x, y) = (numbers(&[2, 3, 4], 1), numbers(&[2, 3, 4], 2));
        let weight = numbers(&[2, 3], 3).mapv(f32::abs);
        let found = criterion.evaluate(&Inputs::new(&x, &y).row_weight(&weight)).unwrap();
        let whole = weight.clone().insert_axis(Axis(2));
        let wanted = criterion.evaluate(&Inputs::new(&x, &y).weight(&whole)).unwrap();
        assert_same(&found, &wanted, 0.0);
        let classes = CrossEntropy::new().on(&device).unwrap().class_axis(1);
        let labels = Array2::from_shape_fn((2, 4), |(i, j)| ((i + j) % 3) as i64);
        let rows = array![0.5, 3.0];
        let found = classes.evaluate(&Inputs::new(&x, &labels).row_weight(&rows)).unwrap();
        let whole = array![[0.5], [3.0]];
        let wanted = classes.evaluate(&Inputs::new(&x, &labels).weight(&whole)).unwrap();
        assert_same(&found, &wanted, 0.0);
    }
    let criterion = Mse::new().on(&Device::reference()).unwrap();
    let given = Inputs::new(&x, &y).weight(&weight).row_weight(&weight);
    let text = criterion.evaluate(&given).unwrap_err().to_string();
    assert!(text.contains("row_weight is given"), "{text}");
    let two = array![1.0, 2.0];
    let text = criterion.evaluate(&Inputs::new(&x, &y).row_weight(&two)).unwrap_err().to_string();
    assert!(text.contains("row_weight is [2] and the values are [3, 3]"), "{text}");
    let case = serde_json::json!({
        "name": "rows", "loss": "mae", "options": {"reduction": "sum"},
        "inputs": {"predictions": {"shape": [2, 2], "data": [1, 2, 3, 4]},
                   "targets": {"shape": [2, 2], "data": [0, 0, 0, 0]},
                   "row_weight": {"shape": [2], "data": [1, 10]}}
    });
    let answer = gradus::cases::answer(&case, &Device::reference());
    assert_eq!(answer["value"]["data"][0], 73.0, "{answer}");
}

#[test]
fn the_target_of_a_masked_class_is_left_out() {
    let (logits, dense) = (array![[0.5, -1.0, 2.0]], array![[0.25, 0.5, 0.25]]);
    let mask = array![true, false, true];
    for device in each_device() {
        let losses: [Box<dyn gradus::losses::LossDefinition>; 2] = [
            Box::new(CrossEntropy::new().label_smoothing(0.1)),
            gradus::losses::from_name("poly1_cross_entropy", &serde_json::Value::Null).unwrap(),
        ];
        for loss in losses {
            let criterion = Criterion::from_boxed(loss, &device).unwrap();
            let of = |logits, dense| criterion.evaluate(&Inputs::new(logits, dense)).unwrap();
            let inputs = Inputs::new(&logits, &dense).class_mask(&mask);
            let found = criterion.evaluate(&inputs).unwrap();
            let wanted = of(&array![[0.5, 2.0]], &array![[0.25, 0.25]]);
            let name = criterion.loss().name();
            assert!((found.value() - wanted.value()).abs() < 1e-6, "{name} on {}", device.name());
            assert_eq!(found.gradient[[0, 1]], 0.0);
            for (column, at) in [(0, 0), (2, 1)] {
                let apart = found.gradient[[0, column]] - wanted.gradient[[0, at]];
                assert!(apart.abs() < 1e-6, "{name} on {}", device.name());
            }
        }
        // A label, and a logit of -inf, still cost infinity.
        let criterion = CrossEntropy::new().on(&device).unwrap();
        let labels = array![1_i64];
        let found = criterion.evaluate(&Inputs::new(&logits, &labels).class_mask(&mask)).unwrap();
        assert_eq!(found.value(), f64::INFINITY);
        let closed = array![[0.5, f32::NEG_INFINITY, 2.0]];
        let found = criterion.value_and_gradient(&closed, &dense.mapv(|x: f64| x as f32)).unwrap();
        assert_eq!(found.value(), f64::INFINITY);
    }
}

#[test]
fn errors_name_the_shape_that_was_given_before_the_classes_were_moved() {
    let criterion = CrossEntropy::new().on(&Device::reference()).unwrap().class_axis(1);
    let logits = numbers(&[2, 3, 4, 5], 1);
    let labels = Array3::<i64>::zeros((2, 4, 4));
    let text = criterion.value_and_gradient(&logits, &labels).unwrap_err().to_string();
    assert!(text.contains("predictions are [2, 3, 4, 5]"), "{text}");
    assert!(text.contains("labels [2, 4, 5] or dense [2, 3, 4, 5]"), "{text}");
}

#[test]
fn a_layer_with_several_positions_takes_weights_and_masks_of_rows() {
    let (rows, classes, positions, features) = (4, 3, 2, 5);
    let x = numbers(&[rows, features], 1);
    let layer = numbers(&[classes, positions, features], 2);
    let labels = Array2::from_shape_fn((rows, positions), |(i, j)| ((i + j) % 3) as i64);
    let weight = array![0.5_f32, 2.0, 0.0, 1.5];
    let mask = array![[true, false], [true, true], [true, true], [false, true]];
    for device in each_device() {
        for reduction in [Reduction::Mean, Reduction::WeightedMean, Reduction::Sum] {
            let criterion = LinearCrossEntropy::new().on(&device).unwrap().reduction(reduction);
            let inputs = Inputs::new(&x, &labels)
                .input("linear_weight", &layer)
                .row_weight(&weight)
                .mask(&mask);
            let found = criterion.evaluate(&inputs).unwrap();
            // Position by position, whose sums add up.
            let sum = criterion.clone().reduction(Reduction::Sum);
            let (mut total, mut weights) = (0.0, 0.0);
            for position in 0..positions {
                let layer = layer.index_axis(Axis(1), position);
                let (labels, mask) = (labels.column(position), mask.column(position));
                let inputs = Inputs::new(&x, &labels)
                    .input("linear_weight", &layer)
                    .weight(&weight)
                    .mask(&mask);
                total += sum.evaluate(&inputs).unwrap().value();
                weights +=
                    weight.iter().zip(mask).map(|(w, &m)| if m { *w } else { 0.0 }).sum::<f32>();
            }
            let divisor = match reduction {
                Reduction::Mean => 6.0, // of eight values, two are masked
                Reduction::WeightedMean => f64::from(weights),
                _ => 1.0,
            };
            let apart = (found.value() - total / divisor).abs();
            assert!(apart < 1e-6, "{reduction:?} on {}: {apart}", device.name());
            assert_eq!(found.count, 6);
        }
    }
}

#[test]
fn focal_takes_dense_targets_and_smooths_labels() {
    let logits = array![[0.5, -1.0, 2.0], [9.0, -3.0, 0.0]];
    let dense = array![[0.25, 0.5, 0.25], [0.9, 0.0, 0.1]];
    let labels = array![2_i64, 0];
    let one_hot = array![[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]];
    let by_hand = |targets: &Array2<f64>| -> Vec<f64> {
        let rows = logits.rows().into_iter().zip(targets.rows());
        rows.map(|(x, t)| {
            let total: f64 = x.iter().map(|x: &f64| x.exp()).sum();
            let of = |(x, t): (&f64, &f64)| {
                let p = x.exp() / total;
                -0.25 * t * (1.0 - p).powf(2.5) * p.ln()
            };
            x.iter().zip(t).map(of).sum()
        })
        .collect()
    };
    let near = |found: &Evaluation, wanted: &[f64], device: &Device| {
        for (x, y) in found.values.iter().zip(wanted) {
            assert!((x - y).abs() < 1e-6, "{x} instead of {y} on {}", device.name());
        }
    };
    for device in each_device() {
        let focal = Focal::new().gamma(2.5).alpha(0.25);
        let criterion = |loss: Focal| loss.on(&device).unwrap().reduction(Reduction::None);
        let plain = criterion(focal.clone());
        let found = plain.value_and_gradient(&logits, &dense).unwrap();
        near(&found, &by_hand(&dense), &device);
        // A label is its one-hot row.
        let (a, b) = (
            plain.value_and_gradient(&logits, &labels).unwrap(),
            plain.value_and_gradient(&logits, &one_hot).unwrap(),
        );
        near(&a, &by_hand(&one_hot), &device);
        for (x, y) in a.gradient.iter().zip(&b.gradient) {
            assert!((x - y).abs() < 1e-6, "{x} {y} on {}", device.name());
        }
        let smooth = criterion(focal.label_smoothing(0.3));
        let spread = one_hot.mapv(|t: f64| 0.7 * t + 0.1);
        let found = smooth.evaluate(&Inputs::new(&logits, &labels)).unwrap();
        near(&found, &by_hand(&spread), &device);
        let dense_found = plain.value_and_gradient(&logits, &spread).unwrap();
        for (x, y) in found.gradient.iter().zip(&dense_found.gradient) {
            assert!((x - y).abs() < 1e-6, "{x} {y} on {}", device.name());
        }
    }
}

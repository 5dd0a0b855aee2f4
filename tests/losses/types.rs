//! Array types accepted by losses, and the gradient of each input by name.

use gradus::losses::{CrossEntropy, Loss, LossDefinition, MarginRanking, Mse, TripletMargin};
use gradus::{Device, Inputs, Reduction, Tensor, TensorInputs};
use ndarray::{Array1, Array2, array};

#[test]
fn f64_gives_the_bits_of_f32_and_what_f32_cannot_hold_is_named() {
    let wide =
        Array2::from_shape_fn((3, 4), |(row, column)| 0.1 * row as f64 - 0.37 * column as f64);
    let narrow = wide.mapv(|x| x as f32);
    let (weight, narrow_weight) = (array![0.1_f64, 0.7, 3.0], array![0.1_f32, 0.7, 3.0]);
    // The reference takes f64 as it is: tests of `src/criterion/evaluate.rs`.
    {
        let criterion = Mse::new().on(&Device::cpu()).unwrap();
        let targets = wide.mapv(|x| x * x);
        let found = criterion.evaluate(&Inputs::new(&wide, &targets).weight(&weight)).unwrap();
        let targets = targets.mapv(|x| x as f32);
        let expected =
            criterion.evaluate(&Inputs::new(&narrow, &targets).weight(&narrow_weight)).unwrap();
        assert_eq!(
            (found.value().to_bits(), &found.gradient),
            (expected.value().to_bits(), &expected.gradient)
        );
        let mut gradient = Array2::<f32>::zeros((3, 4));
        criterion
            .evaluate_into(&Inputs::new(&wide, &targets).weight(&weight), &mut gradient)
            .unwrap();
        assert_eq!(gradient.into_dyn(), expected.gradient);
    }
    let criterion = Mse::new().on(&Device::cpu()).unwrap();
    let (ones, huge) = (array![1.0_f64, 1.0], array![1.0_f64, -1e300]);
    let upstream = criterion.clone().reduction(Reduction::None);
    for (name, error) in [
        ("predictions", criterion.evaluate(&Inputs::new(&huge, &ones)).unwrap_err()),
        ("targets", criterion.evaluate_f64(&Inputs::new(&ones, &huge)).unwrap_err()),
        ("weight", criterion.evaluate(&Inputs::new(&ones, &ones).weight(&huge)).unwrap_err()),
        ("upstream", upstream.evaluate(&Inputs::new(&ones, &ones).upstream(&huge)).unwrap_err()),
    ] {
        let expected =
            format!("mse: {name} holds -1e300 at element 1; it must be a number within f32");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
    // An infinity stays infinite: the caller wrote it.
    assert_eq!(
        criterion.value_and_gradient(&array![f64::INFINITY], &array![0.0]).unwrap().value(),
        f64::INFINITY
    );
}

#[test]
fn labels_come_in_any_whole_number() {
    let logits = array![[0.3, -1.0, 0.2], [2.0, 0.1, -0.4], [0.0, 0.5, 0.25]];
    let criterion = CrossEntropy::new().on(&Device::cpu()).unwrap();
    let expected = criterion.value_and_gradient(&logits, &array![2_i64, 0, 1]).unwrap();
    macro_rules! same {
        ($($whole:ty),+) => {$(
            let found = criterion.value_and_gradient(&logits, &array![2 as $whole, 0, 1]).unwrap();
            assert_eq!((found.value(), &found.gradient), (expected.value(), &expected.gradient));
        )+};
    }
    same!(i32, u64, usize, u32, u8);
    let error =
        criterion.value_and_gradient(&logits, &array![2_u64, u64::MAX, 1]).unwrap_err().to_string();
    assert!(error.starts_with("cross_entropy: row 1 has label 9223372036854775807"), "{error}");
}

#[test]
fn each_input_that_has_a_gradient_gives_it_by_its_name() {
    let device = Device::cpu();
    let (first, second, targets) =
        (array![1.0_f32, 2.0], array![3.0_f32, 0.0], array![1.0_f32, -1.0]);
    let inputs = Inputs::named("first", &first).input("second", &second).input("targets", &targets);
    let found = MarginRanking::new().on(&device).unwrap().evaluate(&inputs).unwrap();
    assert_eq!(found.gradient_of("first"), Some(&found.gradient));
    assert_eq!(found.gradient_of("second"), Some(&found.others[0].1));
    assert_eq!((found.first, found.gradient_of("targets")), ("first", None));
    let rows = Array2::from_shape_fn((2, 3), |(row, column)| (row * 3 + column) as f32);
    let (positive, negative) = (rows.mapv(|x| x + 0.5), rows.mapv(|x| 1.0 - x));
    let inputs =
        Inputs::named("anchor", &rows).input("positive", &positive).input("negative", &negative);
    let found = TripletMargin::new().on(&device).unwrap().evaluate(&inputs).unwrap();
    for name in (&TripletMargin::new() as &dyn LossDefinition).differentiated() {
        assert_eq!(
            found.gradient_of(name).map(|gradient| gradient.shape()),
            Some(&[2, 3][..]),
            "{name}"
        );
    }
    let plain = Mse::new().on(&device).unwrap().value_and_gradient(&first, &second).unwrap();
    assert_eq!(plain.gradient_of("predictions"), Some(&plain.gradient));
    assert_eq!(plain.gradient_of("targets"), None);
    let tensor =
        |numbers: &Array1<f32>| Tensor::from_array(&device, numbers.view().into_dyn()).unwrap();
    let (first, second, targets) = (tensor(&first), tensor(&second), tensor(&targets));
    let inputs =
        TensorInputs::named("first", &first).input("second", &second).input("targets", &targets);
    let found = MarginRanking::new().on(&device).unwrap().evaluate_tensors(&inputs).unwrap();
    for name in ["first", "second"] {
        assert!(found.gradient_of(name).is_some(), "{name}");
    }
    assert!(found.gradient_of("targets").is_none());
}

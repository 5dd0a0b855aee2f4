//! Metrics of the user's choice after a training.

use gradus::losses::{BceWithLogits, CrossEntropy, Mse};
use gradus::metrics::Metric;
use gradus::optimizers::Adam;
use gradus::{Dense, Device, Fit, Sequential};
use ndarray::{Array1, Array2, array};

use crate::devices;

#[test]
fn metrics_are_those_of_the_predictions_on_every_device() {
    let x = Array2::from_shape_fn((30, 3), |(row, at)| ((row * 7 + at * 3) % 11) as f32 / 5.0);
    let mut y: Array1<i64> = (0..30).map(|row| row % 4).collect();
    y[5] = -100;
    for (name, device) in devices() {
        let mut model = Sequential::new(3)
            .then(Dense::new(4))
            .seed(1)
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new().learning_rate(0.05))
            .unwrap();
        model.fit(&x, &y, Fit::new().epochs(3)).unwrap();
        let asked = [Metric::Accuracy, Metric::TopK(4), Metric::Perplexity, Metric::RocAuc];
        let found = model.evaluate_with(&x, &y, &asked).unwrap();
        let score = model.evaluate(&x, &y).unwrap();
        assert_eq!(found[0], ("accuracy".into(), score.accuracy.unwrap()), "{name}");
        assert_eq!(found[1], ("top_4".into(), 1.0), "{name}");
        // The loss of 29 rows in f32: a few roundings.
        let expected = score.loss.exp();
        assert!((found[2].1 - expected).abs() < 1e-5 * expected, "{name}: {found:?}");
        assert!(found[3].1 > 0.0 && found[3].1 < 1.0, "{name}: {found:?}");
        let error = model.evaluate_with(&x, &y, &[Metric::Rmse]).unwrap_err().to_string();
        assert!(error.contains("rmse") && error.contains("classes"), "{error}");
    }
}

#[test]
fn one_output_is_two_classes_or_a_number() {
    let x = array![[-1.0_f32], [0.5], [1.0], [2.0]];
    let on = |loss| {
        let model = Sequential::new(1).then(Dense::new(1)).on(&Device::reference()).unwrap();
        model.compile_boxed(loss, Box::new(Adam::new())).unwrap()
    };
    let mut model = on(Box::new(BceWithLogits::new()));
    let w = model.named_parameters().unwrap()[0].1[[0, 0]];
    // Class 1 is predicted where w x > 0; the scores rise with x or fall with it.
    let asked = [Metric::Recall, Metric::RocAuc];
    let found = model.evaluate_with(&x, &array![0.0_f32, 1.0, 1.0, 1.0], &asked).unwrap();
    let expected = if w > 0.0 { 1.0 } else { 0.0 };
    assert_eq!(found, [("recall".into(), expected), ("roc_auc".into(), expected)]);
    let mut model = on(Box::new(Mse::new()));
    let w = model.named_parameters().unwrap()[0].1[[0, 0]];
    let found = model.evaluate_with(&x, &array![0.0_f32, 0.0, 0.0, 0.0], &[Metric::Mae]).unwrap();
    assert!((found[0].1 - 4.5 / 4.0 * w.abs()).abs() < 1e-12, "{found:?}");
    let refused = model.evaluate_with(&x, &Array1::<f32>::zeros(4), &[Metric::F1Macro]);
    assert!(refused.unwrap_err().to_string().contains("f1_macro"));
}

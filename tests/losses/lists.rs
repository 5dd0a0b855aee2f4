//! Edge cases of the losses over lists: padding, lists without a pair, equal scores, infinities,
//! long lists, lists over the binding limit, device tensors.

use crate::support::each_device;
use gradus::losses::{self, LossDefinition};
use gradus::{Criterion, Device, Evaluation, Gpu, GpuOptions, Inputs, OnEmpty, Reduction, Tensor};
use ndarray::{Array2, array};

/// All losses over lists: those whose targets may be padded.
fn lists() -> Vec<&'static str> {
    let all = losses::CATALOGUE
        .iter()
        .map(|entry| (entry.make)(&serde_json::Value::Null).expect("the defaults hold"));
    all.filter(|loss| loss.targets().pads()).map(|loss| loss.name()).collect()
}

fn criterion(name: &str, device: &Device) -> Criterion {
    let loss = losses::from_name(name, &serde_json::Value::Null).expect("it is in the list");
    Criterion::from_boxed(loss, device).expect("the defaults hold")
}

fn evaluate(
    name: &str,
    device: &Device,
    scores: &Array2<f32>,
    truths: &Array2<f32>,
) -> Evaluation<f64> {
    criterion(name, device)
        .evaluate_f64(&Inputs::new(scores, truths))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A deterministic number in [−2, 2) for an index.
fn number(index: usize) -> f32 {
    (index.wrapping_mul(2_654_435_761) >> 7) as u16 as f32 / 16_384.0 - 2.0
}

fn scores(lists: usize, items: usize) -> Array2<f32> {
    Array2::from_shape_fn((lists, items), |(list, item)| number(list * items + item))
}

/// Grades 0 to 4, and padding.
fn truths(lists: usize, items: usize) -> Array2<f32> {
    Array2::from_shape_fn((lists, items), |(list, item)| ((list * 31 + item * 7) % 6) as f32 - 1.0)
}

#[test]
fn there_are_thirteen_losses_over_lists() {
    assert_eq!(lists().len(), 13, "{:?}", lists());
}

#[test]
fn padding_changes_nothing_whatever_its_score() {
    let (scores, truths) = (array![[1.0, -0.5, 2.0]], array![[2.0, 0.0, 1.0]]);
    for device in each_device() {
        for name in lists() {
            let plain = evaluate(name, &device, &scores, &truths);
            for score in [0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let longer = array![[score, 1.0, -0.5, score, 2.0, score]];
                let padded = evaluate(
                    name,
                    &device,
                    &longer,
                    &array![[-1.0, 2.0, 0.0, -0.5, 1.0, f32::NEG_INFINITY]],
                );
                let off = (padded.value() - plain.value()).abs();
                assert!(
                    off <= 2e-7 * plain.value().abs(),
                    "{name}: {} instead of {}",
                    padded.value(),
                    plain.value()
                );
                assert_eq!(padded.count, plain.count, "{name}");
                for (item, place) in [(0, 1), (1, 2), (2, 4)] {
                    let (e, f) = (plain.gradient[[0, item]], padded.gradient[[0, place]]);
                    assert!(
                        (e - f).abs() <= 1e-6,
                        "{name} on {}: {f} instead of {e}",
                        device.name()
                    );
                }
                assert!(
                    [0, 3, 5].iter().all(|&place| padded.gradient[[0, place]] == 0.0),
                    "{name}: {}",
                    padded.gradient
                );
            }
        }
    }
}

#[test]
fn lists_of_padding_are_nothing() {
    let (scores, truths) =
        (array![[1.0, f32::NAN], [3.0, -2.0]], array![[-1.0, -1.0], [-3.0, -1.0]]);
    for device in each_device() {
        for name in lists() {
            let found = evaluate(name, &device, &scores, &truths);
            assert_eq!((found.value(), found.count), (0.0, 0), "{name} on {}", device.name());
            assert!(
                found.gradient.iter().all(|&derivative| derivative == 0.0),
                "{name}: {}",
                found.gradient
            );
            let nan = criterion(name, &device).on_empty(OnEmpty::Nan);
            assert!(nan.value_and_gradient(&scores, &truths).unwrap().value().is_nan(), "{name}");
        }
    }
}

/// A list of padding is excluded from the mean: the result is the mean of the others.
#[test]
fn a_list_of_padding_is_left_out_of_the_mean() {
    for device in each_device() {
        for name in lists() {
            let one = evaluate(name, &device, &array![[1.0, -0.5]], &array![[2.0, 0.0]]);
            let two = evaluate(
                name,
                &device,
                &array![[1.0, -0.5], [7.0, 8.0]],
                &array![[2.0, 0.0], [-1.0, -1.0]],
            );
            assert_eq!(
                (one.value(), one.count),
                (two.value(), two.count),
                "{name} on {}",
                device.name()
            );
        }
    }
}

#[test]
fn equal_targets_have_no_pairs() {
    for device in each_device() {
        for name in ["pairwise_logistic", "pairwise_hinge", "pairwise_soft_zero_one", "lambda_rank"]
        {
            for truths in
                [array![[2.0, 2.0, 2.0]], array![[0.0, 0.0, -1.0]], array![[3.0, -1.0, -1.0]]]
            {
                let found = evaluate(name, &device, &array![[1.0, 4.0, -3.0]], &truths);
                assert_eq!(found.value(), 0.0, "{name}");
                assert!(
                    found.gradient.iter().all(|&derivative| derivative == 0.0),
                    "{name}: {}",
                    found.gradient
                );
                assert_eq!(found.count, usize::from(name == "lambda_rank"), "{name}");
            }
        }
    }
}

#[test]
fn a_list_of_one_item_has_no_gradient() {
    for device in each_device() {
        for name in lists().into_iter().filter(|name| *name != "calibrated_softmax") {
            let found = evaluate(name, &device, &array![[5.0]], &array![[2.0]]);
            assert!(
                found.gradient[[0, 0]].abs() <= 1e-7,
                "{name} on {}: {}",
                device.name(),
                found.gradient
            );
        }
    }
}

/// ln 2, 1 and 1/2 for each pair of equal scores; ties rank by index.
#[test]
fn equal_scores_are_right() {
    for device in each_device() {
        let value = |name: &str| {
            evaluate(name, &device, &array![[0.5, 0.5, 0.5]], &array![[1.0, 0.0, 0.0]]).value()
        };
        let near = |found: f64, expected: f64| {
            assert!((found - expected).abs() <= 3e-7, "{found} instead of {expected}")
        };
        near(value("pairwise_logistic"), 2f64.ln());
        near(value("pairwise_hinge"), 1.0);
        near(value("pairwise_soft_zero_one"), 0.5);
        near(value("list_mle"), 6f64.ln());
        near(value("approx_ndcg"), -1.0 / 3f64.log2());
        near(value("approx_mrr"), -0.5);
        // The first item ranks first: ranks 1 and 2, and 1 and 3.
        near(value("lambda_rank"), 2f64.ln() * (1.0 - 1.0 / 3f64.log2() + 0.5));
    }
}

/// The tolerance of a device in f32: a few roundings of the terms, which are as large as the
/// largest result.
fn near(name: &str, exact: &Evaluation<f64>, found: &Evaluation<f64>) {
    let tensors =
        [("value", &exact.values, &found.values), ("gradient", &exact.gradient, &found.gradient)];
    for (which, exact, found) in tensors {
        let largest = exact
            .iter()
            .filter(|x| x.is_finite())
            .fold(0.0, |largest: f64, x| largest.max(x.abs()));
        for (place, (&e, &f)) in exact.iter().zip(found).enumerate() {
            let same =
                e == f || (e.is_nan() && f.is_nan()) || (e - f).abs() <= 1e-5 * largest + 1e-30;
            assert!(same, "{which} {place} of {name} is {f:e} instead of {e:e}");
        }
    }
}

#[test]
fn large_scores_and_infinities_are_those_of_the_reference() {
    let lists_of_scores = [
        array![[1e4, -1e4, 0.0, 9_999.0], [-1e4, 1e4, 1e4, -1e4]],
        array![[f32::NEG_INFINITY, 1.0, f32::NEG_INFINITY, 0.0], [f32::NEG_INFINITY; 4]],
        array![[f32::INFINITY, 1.0, 0.0, -1.0], [0.0, 1.0, f32::INFINITY, f32::INFINITY]],
        array![[f32::NAN, 1.0, 0.0, -1.0], [0.0, 1.0, 2.0, 3.0]],
    ];
    for scores in &lists_of_scores {
        for truths in [
            array![[3.0, 1.0, 0.0, 2.0], [0.0, 1.0, 1.0, 4.0]],
            array![[0.0, 1.0, 2.0, -1.0], [0.0; 4]],
        ] {
            for name in lists() {
                let each = |device: &Device| {
                    let criterion = criterion(name, device).reduction(Reduction::None);
                    criterion.evaluate_f64(&Inputs::new(scores, &truths)).unwrap()
                };
                let exact = each(&Device::reference());
                for device in each_device() {
                    near(
                        &format!("{name} of {scores} on {}", device.name()),
                        &exact,
                        &each(&device),
                    );
                }
            }
        }
    }
}

#[test]
fn nan_is_the_list_s_own() {
    let scores = array![[f32::NAN, 1.0, 0.0], [0.5, 1.0, 2.0], [0.5, 1.0, 2.0]];
    let truths = array![[2.0, 1.0, -1.0], [2.0, 1.0, 0.0], [f32::NAN, 1.0, -1.0]];
    for device in each_device() {
        for name in lists() {
            let each = criterion(name, &device).reduction(Reduction::None);
            let found = each.evaluate_f64(&Inputs::new(&scores, &truths)).unwrap();
            for list in [0, 2] {
                assert!(found.values[list].is_nan(), "{name} on {}", device.name());
                assert!(
                    found.gradient[[list, 0]].is_nan() && found.gradient[[list, 1]].is_nan(),
                    "{name}"
                );
                assert_eq!(found.gradient[[list, 2]], 0.0, "{name}: padding");
            }
            assert!(found.values[1].is_finite(), "{name} on {}", device.name());
            assert!((0..3).all(|item| found.gradient[[1, item]].is_finite()), "{name}");
        }
    }
}

#[test]
fn grades_that_overflow_are_refused_by_name() {
    let error = criterion("approx_ndcg", &Device::cpu())
        .value_and_gradient(&array![[1.0]], &array![[101.0]])
        .unwrap_err();
    assert!(error.to_string().contains("up to 100"), "{error}");
    let found = evaluate("lambda_rank", &Device::cpu(), &array![[1.0, 2.0]], &array![[100.0, 0.0]]);
    assert!(found.value().is_finite() && found.value() > 0.0);
}

/// 3,000 items take several workgroups on software Vulkan too, 40 take one.
#[test]
fn long_lists_and_all_variants_give_what_the_reference_does() {
    let Some(gpu) = crate::support::gpu() else { return };
    let hardware = GpuOptions::default().hardware_variants(true);
    let devices = [
        gpu,
        Device::Gpu(Gpu::open_with(hardware).expect("the adapter opened before")),
        Device::cpu(),
    ];
    for name in lists() {
        for (lists, items) in [(2, 3_000), (5, 40), (900, 3)] {
            let (scores, truths) = (scores(lists, items), truths(lists, items));
            let exact = evaluate(name, &Device::reference(), &scores, &truths);
            for device in &devices {
                near(
                    &format!("{name} [{lists}, {items}]"),
                    &exact,
                    &evaluate(name, device, &scores, &truths),
                );
            }
        }
    }
}

#[test]
fn tensors_on_the_device_give_the_same_with_the_divisor_counted_there() {
    for device in each_device() {
        for name in lists() {
            for (lists, items, padded) in [(7, 20, 2), (3, 5, 3), (2, 1_500, 0)] {
                let (scores, mut truths) = (scores(lists, items), truths(lists, items));
                truths.rows_mut().into_iter().take(padded).for_each(|mut list| list.fill(-1.0));
                let upload = |values: &Array2<f32>| {
                    Tensor::from_array(&device, values.view().into_dyn()).unwrap()
                };
                for reduction in [Reduction::Mean, Reduction::WeightedMean, Reduction::BatchMean] {
                    let criterion = criterion(name, &device).reduction(reduction);
                    let exact = criterion.value_and_gradient(&scores, &truths).unwrap();
                    let apart = criterion.backward(&upload(&scores), &upload(&truths)).unwrap();
                    let over =
                        criterion.backward_in_place(upload(&scores), &upload(&truths)).unwrap();
                    let what =
                        format!("{name} [{lists}, {items}] {reduction:?} on {}", device.name());
                    assert_eq!(
                        apart.value().unwrap().to_bits(),
                        over.value().unwrap().to_bits(),
                        "{what}"
                    );
                    assert!(
                        (apart.value().unwrap() - exact.value()).abs()
                            <= 1e-6 * exact.value().abs(),
                        "{what}"
                    );
                    let (apart, over) =
                        (apart.gradient.to_array().unwrap(), over.gradient.to_array().unwrap());
                    assert_eq!(apart, over, "{what}");
                    for (a, e) in apart.iter().zip(&exact.gradient) {
                        assert!((a - e).abs() <= 1e-6 * e.abs(), "{what}: {a} instead of {e}");
                    }
                }
            }
        }
    }
}

/// A record of an item takes four numbers: 2²³ items fill a binding of 128 MiB.
#[test]
fn lists_over_the_binding_limit_are_computed_in_parts() {
    let Some(device) = crate::support::gpu() else { return };
    let (lists, items) = (1_100_001, 8);
    let (scores, truths) = (scores(lists, items), truths(lists, items));
    for name in ["pairwise_hinge", "list_mle"] {
        for reduction in [Reduction::Mean, Reduction::None] {
            let on = |device: &Device| criterion(name, device).reduction(reduction);
            let exact = on(&Device::cpu()).value_and_gradient(&scores, &truths).unwrap();
            let found = on(&device).value_and_gradient(&scores, &truths).unwrap();
            let largest = exact.gradient.iter().fold(0.0, |largest: f32, x| largest.max(x.abs()));
            for (place, (e, f)) in exact.gradient.iter().zip(&found.gradient).enumerate() {
                assert!(
                    (e - f).abs() <= 1e-5 * largest,
                    "{name}: gradient {place} is {f} instead of {e}"
                );
            }
            for (list, (e, f)) in exact.values.iter().zip(&found.values).enumerate() {
                assert!(
                    (e - f).abs() <= 1e-5 * e.abs() + 1e-6,
                    "{name}: value {list} is {f} instead of {e}"
                );
            }
        }
    }
}

#[test]
fn a_model_is_not_trained_with_a_loss_of_lists_on_rows_that_are_in_none() {
    use gradus::{Dense, Fit, Sequential, optimizers::Adam};
    for name in lists() {
        let loss: Box<dyn LossDefinition> =
            losses::from_name(name, &serde_json::Value::Null).unwrap();
        assert!(!loss.is_pointwise());
        let model = Sequential::new(3).then(Dense::new(1)).on(&Device::cpu()).unwrap();
        let mut model = model.compile_boxed(loss, Box::new(Adam::new())).unwrap();
        let (features, targets) = (Array2::<f32>::zeros((4, 3)), Array2::<f32>::zeros((4, 1)));
        let error = model.fit(&features, &targets, Fit::new()).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("Targets::grouped"), "{error}");
    }
}

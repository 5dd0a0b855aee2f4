//! Groups of parameters: frozen layers, learning rates and weight decay by path.

use gradus::layers::{BatchNorm, Conv2d, GlobalAvgPool2d, TokenEmbedding};
use gradus::losses::CrossEntropy;
use gradus::optimizers::{Adam, AdamW, Lamb, Optimizer, ScheduleFreeSgd, Sgd};
use gradus::{Dense, Device, Fit, Model, ParameterGroups, Sequential};
use ndarray::{Array1, Array2, Array4};

use crate::devices;

fn images(rows: usize) -> (Array4<f32>, Array1<i64>) {
    let of = |(row, y, x, _): (usize, usize, usize, usize)| {
        ((row * 7 + y * 3 + x * 5) % 11) as f32 / 10.0 - if row % 2 == 0 { 0.2 } else { 0.6 }
    };
    let x = Array4::from_shape_fn((rows, 4, 4, 1), of);
    (x, (0..rows).map(|row| (row % 3) as i64).collect())
}

fn network(device: &Device, optimizer: impl Optimizer + 'static) -> Model {
    Sequential::images([4, 4, 1])
        .named("conv", Conv2d::new(4, 3).padding(1))
        .named("bn", BatchNorm::new())
        .named("pool", GlobalAvgPool2d::new())
        .named("fc", Dense::new(3))
        .seed(1)
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), optimizer)
        .unwrap()
}

fn fit() -> Fit {
    Fit::new().epochs(2).batch_size(8)
}

/// The parameters by path, flat.
fn flat(model: &Model) -> Vec<(String, Vec<f64>)> {
    let named = model.named_parameters().unwrap().into_iter();
    named.map(|(path, values)| (path, values.iter().copied().collect())).collect()
}

#[test]
fn frozen_layers_keep_their_bits_and_their_batch_norm_its_statistics_going() {
    let (x, y) = images(24);
    for (name, device) in devices() {
        let mut model = network(&device, AdamW::new().learning_rate(0.05));
        let groups = ParameterGroups::new().freeze("conv").freeze("bn");
        model.set_parameter_groups(groups.clone()).unwrap();
        assert_eq!(*model.parameter_groups(), groups);
        let (before, statistics) = (flat(&model), model.named_statistics().unwrap());
        model.fit(&x, &y, fit().clip_norm(1.0)).unwrap();
        for ((path, before), (_, after)) in before.iter().zip(flat(&model)) {
            assert_eq!(*before == after, !path.starts_with("fc"), "{name}: {path}");
        }
        assert_ne!(statistics, model.named_statistics().unwrap(), "{name}");
        // What is no longer frozen moves again.
        model.set_parameter_groups(ParameterGroups::new()).unwrap();
        model.fit(&x, &y, fit()).unwrap();
        for ((path, before), (_, after)) in before.iter().zip(flat(&model)) {
            // The gradient of a bias before a batch norm is 0 but for roundings.
            assert!(*before != after || path == "conv.bias", "{name}: {path}");
        }
    }
}

#[test]
fn a_factor_of_two_is_twice_the_learning_rate() {
    let (x, y) = images(24);
    for (name, device) in devices() {
        let mut doubled = network(&device, Sgd::new().learning_rate(0.0625).momentum(0.5));
        let groups = ParameterGroups::new().learning_rate("", 2.0);
        doubled.set_parameter_groups(groups).unwrap();
        doubled.fit(&x, &y, fit()).unwrap();
        let mut plain = network(&device, Sgd::new().learning_rate(0.125).momentum(0.5));
        plain.fit(&x, &y, fit()).unwrap();
        assert_eq!(flat(&doubled), flat(&plain), "{name}");
    }
}

#[test]
fn a_resumed_training_keeps_its_groups() {
    let (x, y) = images(24);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let groups = || {
        ParameterGroups::new().decay_only_matrices().freeze("bn").learning_rate("conv.weight", 0.5)
    };
    for (name, device) in devices() {
        let begun = || {
            let mut model = network(&device, AdamW::new().learning_rate(0.02).weight_decay(0.5));
            model.set_parameter_groups(groups()).unwrap();
            model
        };
        let mut through = begun();
        through.fit(&x, &y, fit().epochs(4)).unwrap();
        let mut first = begun();
        first.fit(&x, &y, fit()).unwrap();
        first.save(&path).unwrap();
        let mut loaded = Model::load(&path, &device).unwrap();
        assert_eq!(*loaded.parameter_groups(), groups());
        loaded.fit(&x, &y, fit()).unwrap();
        assert_eq!(flat(&loaded), flat(&through), "{name}");
    }
}

#[test]
fn devices_agree_on_groups_for_elementwise_and_per_tensor_rules() {
    let (x, y) = images(24);
    let groups = ParameterGroups::new()
        .decay_only_matrices()
        .learning_rate("conv", 0.5)
        // Its gradient is 0 but for roundings, since a batch norm follows.
        .freeze("conv.bias")
        .freeze("bn.bias");
    let trained = |device: &Device, per_tensor: bool| {
        let mut model = match per_tensor {
            true => network(device, Lamb::new().learning_rate(0.02).weight_decay(0.1)),
            false => network(device, AdamW::new().learning_rate(0.02).weight_decay(0.1)),
        };
        model.set_parameter_groups(groups.clone()).unwrap();
        model.fit(&x, &y, fit()).unwrap();
        flat(&model)
    };
    for per_tensor in [false, true] {
        let expected = trained(&Device::reference(), per_tensor);
        for (name, device) in devices() {
            for ((path, found), (_, expected)) in trained(&device, per_tensor).iter().zip(&expected)
            {
                for (found, expected) in found.iter().zip(expected) {
                    // Six steps of 0.02: a rounding of the gradient moves a parameter by a part in
                    // 1e5 of a step, more where the gradient is nearly 0 and its scale too.
                    let off = (found - expected).abs();
                    assert!(off < 1e-3, "{name}, {path}: {found} instead of {expected}");
                }
            }
        }
    }
}

#[test]
fn a_table_of_ids_is_frozen_and_scaled_too() {
    let x = Array2::from_shape_fn((16, 2), |(row, at)| ((row + at) % 5) as f32);
    let y: Array1<i64> = (0..16).map(|row| row % 3).collect();
    for (name, device) in devices() {
        let trained = |rate: f64, factor: Option<f64>| {
            let mut model = Sequential::of_ids(2, [5, 4])
                .then(Dense::new(3))
                .seed(2)
                .on(&device)
                .unwrap()
                .compile(CrossEntropy::new(), Sgd::new().learning_rate(rate))
                .unwrap();
            let before = model.embedding().unwrap().unwrap();
            if let Some(factor) = factor {
                let groups = ParameterGroups::new().learning_rate("embedding", factor);
                model.set_parameter_groups(groups).unwrap();
            }
            model.fit(&x, &y, Fit::new().batch_size(16)).unwrap();
            (before, model.embedding().unwrap().unwrap())
        };
        let (before, after) = trained(0.5, Some(0.0));
        assert_eq!(before, after, "{name}");
        // One step, so that the other parameters are the same.
        assert_eq!(trained(0.25, Some(2.0)), trained(0.5, None), "{name}");
        assert_ne!(trained(0.5, None).1, before, "{name}");
    }
    // A table whose gradient is dense is a parameter as any other.
    let mut model = Sequential::tokens(2)
        .then(TokenEmbedding::new(5, 4))
        .then(Dense::new(3))
        .on(&Device::cpu())
        .unwrap();
    let error = model.set_parameter_groups(ParameterGroups::new().freeze("embedding")).unwrap_err();
    assert!(error.to_string().contains("layers.0"), "{error}");
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let mut model = network(&Device::cpu(), Adam::new());
    let before = model.parameter_groups().clone();
    let mut refused = |groups| model.set_parameter_groups(groups).unwrap_err().to_string();
    let message = refused(ParameterGroups::new().freeze("conv").freeze("head"));
    assert!(message.contains("`head`") && message.contains("conv, bn, fc"), "{message}");
    let message = refused(ParameterGroups::new().learning_rate("fc", -1.0));
    assert!(message.contains("fc") && message.contains(">= 0"), "{message}");
    assert_eq!(*model.parameter_groups(), before);

    model.set_parameter_groups(ParameterGroups::new().freeze("fc")).unwrap();
    let error = model.compile(CrossEntropy::new(), ScheduleFreeSgd::new()).unwrap_err();
    assert!(error.to_string().contains("schedule_free_sgd"), "{error}");
}

//! Networks learn, with the same bits in each run, and go on from a file as if never interrupted.

use gradus::activations::Relu;
use gradus::layers::{
    BatchNorm, Conv2d, Dropout, Flatten, GlobalAvgPool2d, LayerNorm, MaxPool2d, Residual, closure,
};
use gradus::losses::CrossEntropy;
use gradus::optimizers::{Adam, AdamW};
use gradus::random::Random;
use gradus::zoo::{Gpt, lenet5, resnet};
use gradus::{Dense, Device, Fit, Model, Sequential};
use ndarray::{Array1, Array2, Array4};

use crate::devices;

/// Images of 8 × 8 with a bright square in one of four corners, and noise.
fn corners(rows: usize) -> (Array4<f32>, Array1<i64>) {
    let mut random = Random::new(5, 0);
    let mut x = Array4::<f32>::zeros((rows, 8, 8, 1));
    let labels: Vec<i64> = (0..rows).map(|row| (row % 4) as i64).collect();
    for (row, &label) in labels.iter().enumerate() {
        for ((y, column, _), pixel) in x.index_axis_mut(ndarray::Axis(0), row).indexed_iter_mut() {
            let is_bright = (y / 4, column / 4) == (label as usize / 2, label as usize % 2);
            *pixel = 0.5 * random.uniform() as f32 + if is_bright { 0.3 } else { 0.0 };
        }
    }
    (x, labels.into())
}

fn convolutional() -> Sequential {
    let block = Residual::new(
        Sequential::block()
            .named("conv1", Conv2d::new(8, 3).padding(1).bias(false))
            .named("bn1", BatchNorm::new().activation(Relu))
            .named("conv2", Conv2d::new(8, 3).padding(1)),
    )
    .activation(Relu);
    Sequential::images([8, 8, 1])
        .then(Conv2d::new(8, 3).padding(1).activation(Relu))
        .then(block)
        .then(MaxPool2d::new(2))
        .then(Dropout::new(0.1))
        .then(GlobalAvgPool2d::new())
        .then(LayerNorm::new())
        .then(Dense::new(4))
        .seed(3)
}

fn ready(model: Sequential, device: &Device) -> Model {
    model.on(device).unwrap().compile(CrossEntropy::new(), Adam::new().learning_rate(0.01)).unwrap()
}

#[test]
fn a_convolutional_network_learns_on_every_device_and_two_runs_agree() {
    let (x, y) = corners(64);
    for (name, device) in devices() {
        let run = || {
            let mut model = ready(convolutional(), &device);
            let history = model.fit(&x, &y, Fit::new().epochs(10).batch_size(16)).unwrap();
            (history, model.named_parameters().unwrap(), model.evaluate(&x, &y).unwrap())
        };
        let (history, parameters, score) = run();
        let (first, last) = (history.epochs[0].loss, history.epochs[9].loss);
        assert!(last < 0.5 * first, "{name}: {first} to {last}");
        assert!(score.accuracy.unwrap() > 0.8, "{name}: {score:?}");
        let (_, again, score_again) = run();
        assert_eq!((parameters, score), (again, score_again), "{name}");
    }
}

#[test]
fn a_saved_network_predicts_and_trains_on_with_the_same_bits() {
    let (x, y) = corners(40);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    for (name, device) in devices() {
        let mut through = ready(convolutional(), &device);
        through.fit(&x, &y, Fit::new().epochs(3).batch_size(16)).unwrap();
        let mut model = ready(convolutional(), &device);
        model.fit(&x, &y, Fit::new().epochs(1).batch_size(16)).unwrap();
        model.save(&path).unwrap();
        let mut loaded = Model::load(&path, &device).unwrap();
        assert_eq!(loaded.predict(&x).unwrap(), model.predict(&x).unwrap(), "{name}");
        assert_eq!(loaded.summary(), model.summary());
        loaded.fit(&x, &y, Fit::new().epochs(2).batch_size(16)).unwrap();
        assert_eq!(
            loaded.named_parameters().unwrap(),
            through.named_parameters().unwrap(),
            "{name}"
        );
        assert_eq!(
            loaded.named_statistics().unwrap(),
            through.named_statistics().unwrap(),
            "{name}"
        );
    }
}

/// Sequences that count up: the next token is known but for the first.
fn counting(rows: usize, tokens: usize, below: usize) -> (Array2<f32>, Array2<i64>) {
    let of = |row: usize, token: usize| (row * 5 + token) % below;
    let x = Array2::from_shape_fn((rows, tokens), |(row, token)| of(row, token) as f32);
    let y = Array2::from_shape_fn((rows, tokens), |(row, token)| of(row, token + 1) as i64);
    (x, y)
}

#[test]
fn a_gpt_learns_to_count_on_every_device() {
    let (x, y) = counting(24, 6, 7);
    for (name, device) in devices() {
        let mut model = Gpt::new(7, 6)
            .layers(1)
            .heads(2)
            .width(16)
            .dropout(0.05)
            .build()
            .on(&device)
            .unwrap()
            .compile(CrossEntropy::new(), AdamW::new().learning_rate(0.02))
            .unwrap();
        let history = model.fit(&x, &y, Fit::new().epochs(15).batch_size(8)).unwrap();
        let score = model.evaluate(&x, &y).unwrap();
        let last = history.epochs[14].loss;
        assert!(score.accuracy.unwrap() > 0.95, "{name}: {score:?}, loss {last}");
        assert_eq!(model.predict(&x).unwrap().shape(), [24, 6 * 7]);
    }
}

#[test]
fn devices_agree_on_the_losses_of_twenty_steps() {
    let (x, y) = corners(80);
    let losses = |device: &Device| {
        let mut model = lenet_in_small(device);
        model.fit(&x, &y, Fit::new().epochs(4).batch_size(16)).unwrap().steps
    };
    let expected = losses(&Device::reference());
    assert_eq!(expected.len(), 20);
    for (name, device) in devices() {
        for (step, (found, expected)) in losses(&device).iter().zip(&expected).enumerate() {
            let off = (found - expected).abs();
            assert!(off <= 1e-3 * expected, "{name}, step {step}: {found}, {expected}");
        }
    }
}

fn lenet_in_small(device: &Device) -> Model {
    let model = Sequential::images([8, 8, 1])
        .then(Conv2d::new(4, 3).padding(1).activation(Relu))
        .then(MaxPool2d::new(2))
        .then(Flatten::new())
        .then(Dense::new(4));
    ready(model, device)
}

#[test]
fn layers_of_functions_nest_and_their_weights_load() {
    let build = || {
        let block = closure(|builder, x| {
            let units = builder.shape(x)[0];
            let y = builder.layer("down", &Dense::new(units / 2).activation(Relu), x)?;
            builder.layer("up", &Dense::new(units), y)
        });
        Sequential::new(8).named("block", Residual::new(block)).named("head", Dense::new(4))
    };
    let model = ready(build(), &Device::cpu());
    let names: Vec<String> =
        model.named_parameters().unwrap().into_iter().map(|(name, _)| name).collect();
    let expected = [
        "block.down.weight",
        "block.down.bias",
        "block.up.weight",
        "block.up.bias",
        "head.weight",
        "head.bias",
    ];
    assert_eq!(names, expected);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    model.save_weights(&path).unwrap();
    let mut other = ready(build().seed(99), &Device::cpu());
    other.load_weights(&path).unwrap();
    assert_eq!(other.named_parameters().unwrap(), model.named_parameters().unwrap());
    model.save(&path).unwrap();
    let message = Model::load(&path, &Device::cpu()).unwrap_err().to_string();
    assert!(message.contains("closure") && message.contains("conv2d"), "{message}");
}

#[test]
fn the_summary_has_a_line_for_each_layer() {
    let model = lenet5([28, 28, 1], 10).on(&Device::cpu()).unwrap();
    let summary = model.summary();
    for line in
        ["conv1 conv2d", "[rows, 28, 28, 6]", "flatten flatten", "[rows, 400]", "61706 parameters"]
    {
        assert!(summary.contains(line), "{summary}");
    }
}

#[test]
fn the_summary_lists_the_blocks_of_a_network() {
    let gpt = Gpt::new(65, 64).layers(3).bias(false).build().on(&Device::cpu()).unwrap();
    let summary = gpt.summary();
    let lines: Vec<Vec<&str>> =
        summary.lines().map(|line| line.split_whitespace().collect()).collect();
    // 12 · 128² of the products and 2 · 128 of the norms of a block.
    let block = (12 * 128 * 128 + 2 * 128).to_string();
    for wanted in [
        ["transformer.wte", "token_embedding", "[rows,", "64,", "128]", "8320"],
        ["transformer.wpe", "position_embedding", "[rows,", "64,", "128]", "8192"],
        ["transformer.h.0", "block", "[rows,", "64,", "128]", &block],
        ["transformer.h.2", "block", "[rows,", "64,", "128]", &block],
        ["transformer.ln_f", "layer_norm", "[rows,", "64,", "128]", "128"],
        ["lm_head", "tied_dense", "[rows,", "64,", "65]", "0"],
    ] {
        assert!(lines.iter().any(|line| line[..] == wanted), "{wanted:?}\n{summary}");
    }
    // The head, seven layers, and what stands below: parameters and memory.
    assert_eq!(lines.len(), 1 + 7 + 2, "{summary}");
    let counted = lines[1..8].iter().filter_map(|line| line.last()?.parse::<usize>().ok());
    assert_eq!(counted.sum::<usize>(), gpt.parameters());
    let resnet = resnet(1, [28, 28, 1], 10).on(&Device::cpu()).unwrap().summary();
    assert!(resnet.contains("layer2.0 residual"), "{resnet}");
    assert!(!resnet.contains("layer2.0.conv1"), "{resnet}");
}

/// An activation is part of the product before it on a GPU, and a node of its own on the CPU: the
/// places that dropout draws must not depend on it.
#[test]
fn dropout_draws_the_same_places_on_every_device() {
    let (x, y) = corners(48);
    let losses = |device: &Device| {
        let model = Sequential::images([8, 8, 1])
            .then(Flatten::new())
            .then(Dense::new(24).activation(Relu))
            .then(Dropout::new(0.5))
            .then(Dense::new(4));
        let mut model = ready(model, device);
        model.fit(&x, &y, Fit::new().epochs(2).batch_size(16)).unwrap().steps
    };
    let expected = losses(&Device::reference());
    for (name, device) in devices() {
        for (step, (found, expected)) in losses(&device).iter().zip(&expected).enumerate() {
            let off = (found - expected).abs();
            assert!(off <= 1e-4 * expected, "{name}, step {step}: {found}, {expected}");
        }
    }
}

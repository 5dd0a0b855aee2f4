//! Networks with PyTorch's weights against PyTorch's answers in f64: outputs, loss, every gradient,
//! running statistics. `tests/networks/parity/*.safetensors` were made by PyTorch 2.15; each has the
//! weights as `state_dict` names them, and behind prefixes what PyTorch answered.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gradus::activations::{Gelu, Relu6, Silu};
use gradus::layers::{
    Activate, AdaptiveAvgPool2d, AvgPool2d, BatchNorm, Conv2d, Flatten, MaxPool2d,
};
use gradus::losses::CrossEntropy;
use gradus::optimizers::Adam;
use gradus::zoo::{Gpt, Vgg11, resnet18};
use gradus::{Dense, Model, Sequential};
use ndarray::{ArrayD, Axis, IxDyn};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::devices;

const ANSWERS: [&str; 5] = ["in.", "eval.", "train.", "grad.", "after."];

/// The tensors of a file in f64, by name.
fn tensors(name: &str) -> BTreeMap<String, ArrayD<f64>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/networks/parity");
    let bytes = std::fs::read(path.join(format!("{name}.safetensors"))).unwrap();
    let read = SafeTensors::deserialize(&bytes).unwrap();
    let numbers = |view: &TensorView| -> Vec<f64> {
        let data = view.data();
        match view.dtype() {
            Dtype::F32 => {
                data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
            }
            Dtype::F64 => data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
            Dtype::I64 => {
                data.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect()
            }
            other => panic!("{other:?}"),
        }
    };
    read.iter()
        .map(|(name, view)| {
            let array = ArrayD::from_shape_vec(IxDyn(view.shape()), numbers(&view)).unwrap();
            (name.to_string(), array)
        })
        .collect()
}

/// A file of the weights alone, as a user has it.
fn weights_of(name: &str, folder: &std::path::Path) -> PathBuf {
    let all = tensors(name);
    let path = folder.join(format!("{name}.safetensors"));
    let weights: Vec<(String, Vec<usize>, Vec<u8>)> = all
        .into_iter()
        .filter(|(name, _)| !ANSWERS.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, array)| {
            let bytes = array.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
            (name, array.shape().to_vec(), bytes)
        })
        .collect();
    let views = weights.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap())
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    path
}

/// A tensor of a file in the order of axes that the model has.
fn in_our_order(
    name: &str,
    array: &ArrayD<f64>,
    ours: &[usize],
    image: Option<[usize; 3]>,
) -> ArrayD<f64> {
    // Tables of tokens and positions have their rows first on both sides.
    let is_table = name.contains("wte") || name.contains("wpe");
    let mut array = match array.ndim() {
        4 => array.clone().permuted_axes(IxDyn(&[2, 3, 1, 0])),
        2 if !is_table => array.clone().permuted_axes(IxDyn(&[1, 0])),
        _ => array.clone(),
    };
    if let Some([height, width, channels]) = image {
        let area = height * width;
        let rows: Vec<usize> =
            (0..area * channels).map(|at| at % channels * area + at / channels).collect();
        array = array.select(Axis(0), &rows);
    }
    assert_eq!(array.shape(), ours);
    array
}

/// The largest difference, relative to the largest expected number, and at least to `floor`.
fn difference<'a>(
    found: impl IntoIterator<Item = &'a f64>,
    expected: &ArrayD<f64>,
    floor: f64,
) -> f64 {
    let largest = expected.iter().fold(floor, |most, x| most.max(x.abs()));
    let found: Vec<f64> = found.into_iter().copied().collect();
    assert_eq!(found.len(), expected.len());
    let differences = found.iter().zip(expected).map(|(f, e)| (f - e).abs() / largest);
    // NaN is a difference.
    differences.fold(0.0, |most, d| if d.is_nan() || d > most { d } else { most })
}

struct Network {
    name: &'static str,
    model: Sequential,
    /// The dense layer behind a flatten, and the image that was flattened.
    flattened: Option<(&'static str, [usize; 3])>,
}

fn networks() -> Vec<Network> {
    let odd = Sequential::images([21, 17, 3])
        .named(
            "a",
            Conv2d::new(6, [3, 5]).stride([2, 1]).padding([0, 2]).groups(3).activation(Gelu::new()),
        )
        .named("pool", MaxPool2d::new(3).stride(2).padding(1).ceil_mode(true))
        .named("b", Conv2d::new(10, 3).padding(2).dilation(2).groups(2).activation(Silu))
        .named("mean", AvgPool2d::new(3).stride(1).padding(1).count_include_pad(false))
        .named("dw", Conv2d::new(10, 3).stride(2).padding(1).groups(10).bias(false))
        .named("bn", BatchNorm::new().epsilon(1e-3).momentum(0.01))
        .named("act", Activate::new(Relu6))
        .named("grid", AdaptiveAvgPool2d::new(2))
        .named("flat", Flatten::new())
        .named("fc", Dense::new(5));
    let vgg = Vgg11::new().filters(8).hidden(&[32]).build([32, 32, 3], 10);
    let gpt = Gpt::new(65, 29).layers(2).heads(4).width(32).positions(32).build();
    vec![
        Network { name: "odd_shapes", model: odd, flattened: Some(("fc", [2, 2, 10])) },
        Network { name: "nanogpt_l2_c32", model: gpt, flattened: None },
        Network { name: "vgg11_bn_w8", model: vgg, flattened: None },
        Network { name: "resnet18_w8", model: resnet18([32, 32, 3], 10, 8), flattened: None },
    ]
}

/// Rows of features: images with channels innermost.
fn features(all: &BTreeMap<String, ArrayD<f64>>) -> ArrayD<f64> {
    let x = all["in.x"].clone();
    match x.ndim() {
        4 => x.permuted_axes(IxDyn(&[0, 2, 3, 1])).as_standard_layout().into_owned(),
        _ => x,
    }
}

fn loaded(network: &Network, device: &gradus::Device, folder: &std::path::Path) -> Model {
    let mut model = network
        .model
        .clone()
        .on(device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap();
    model.load_weights(weights_of(network.name, folder)).unwrap();
    model
}

/// How far a network in f64 moves when its input is rounded once to f32: relative to the loss, and
/// for each gradient relative to `floor` of it.
struct Movement {
    loss: f64,
    gradients: BTreeMap<String, f64>,
}

/// Each layer of a network in f32 rounds as much as its input was, and roundings of some twenty
/// layers add up to less than √20 of one for the most part.
const LAYERS_ROUND: f64 = 8.0;

/// Relative error of the numbers before the loss in f32: sums of up to 576 products, √576 roundings of 2⁻²⁴ each for the
/// most part, in up to 20 layers: √576 · √20 · 6e-8.
const OF_LOSS: f64 = 6.4e-6;

/// Batch norm over as few as four values, as at the end of these networks, makes roundings larger:
/// by how much is measured and not guessed.
fn movement(
    network: &Network,
    folder: &std::path::Path,
    x: &ArrayD<f64>,
    labels: &ndarray::Array1<i64>,
) -> Movement {
    let device = gradus::Device::reference();
    let mut random = gradus::random::Random::new(3, 0);
    // Ids are whole numbers: only images can be a rounding off.
    let is_image = x.ndim() == 4;
    let rounding = |x: &f64, random: &mut gradus::random::Random| {
        x + x * 2f64.powi(-24) * if random.uniform() < 0.5 { 1.0 } else { -1.0 }
    };
    let off = x.map(|x| if is_image { rounding(x, &mut random) } else { *x });
    // Features become f32 on their way in, so the rounding is one of the next number.
    let off = off.mapv(|x| x as f32);
    let (loss, gradients) = loaded(network, &device, folder).gradients(x, labels).unwrap();
    let (moved, moved_gradients) =
        loaded(network, &device, folder).gradients(&off, labels).unwrap();
    let largest = largest_beside(&gradients);
    let pairs = gradients.iter().zip(&moved_gradients);
    let gradients = pairs
        .map(|((path, exact), (_, moved))| (path.clone(), difference(moved, exact, largest[path])));
    Movement { loss: (moved - loss).abs() / loss, gradients: gradients.collect() }
}

/// For each gradient the largest number of it and of the weights beside it: a bias before batch norm
/// has the gradient 0 but for rounding, and what it is a sum of is as large as that of the weights.
fn largest_beside(gradients: &[(String, ArrayD<f64>)]) -> BTreeMap<String, f64> {
    let largest = |array: &ArrayD<f64>| array.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    let all: BTreeMap<&str, f64> =
        gradients.iter().map(|(path, array)| (path.as_str(), largest(array))).collect();
    let of = |path: &str| {
        let beside = all.get(path.replace(".bias", ".weight").as_str()).copied().unwrap_or(0.0);
        (path.to_string(), beside.max(all[path]))
    };
    all.keys().map(|path| of(path)).collect()
}

#[test]
fn outputs_losses_gradients_and_statistics_are_those_of_pytorch() {
    let folder = tempfile::tempdir().unwrap();
    for network in networks() {
        let all = tensors(network.name);
        let x = features(&all);
        let labels: Vec<i64> = all["in.labels"].iter().map(|&label| label as i64).collect();
        let labels = ndarray::Array1::from(labels);
        let moves = movement(&network, folder.path(), &x, &labels);
        for (device_name, device) in devices() {
            // f64 to some thousand roundings; f32 by the sums of these networks, and by how far
            // they move.
            let exact = device_name == "reference";
            let tolerance =
                |f32: f64, moved: f64| if exact { 1e-9 } else { f32 + LAYERS_ROUND * moved };
            let name = format!("{} on {device_name}", network.name);
            let mut model = loaded(&network, &device, folder.path());

            // `predict` gives f32.
            let output = model.predict(&x).unwrap().mapv(f64::from);
            let off = difference(&output, &all["eval.output"], 1.0);
            assert!(off <= 1e-5, "{name}: outputs are off by {off:e}");

            let (loss, gradients) = model.gradients(&x, &labels).unwrap();
            let expected = all["train.loss"].sum();
            let off = (loss - expected).abs() / expected;
            let allowed = tolerance(OF_LOSS, moves.loss);
            assert!(off <= allowed, "{name}: the loss is off by {off:e}, allowed {allowed:e}");
            let expected: Vec<(String, ArrayD<f64>)> = gradients
                .iter()
                .map(|(path, found)| {
                    let image = network.flattened.and_then(|(layer, image)| {
                        (*path == format!("{layer}.weight")).then_some(image)
                    });
                    let expected = &all[&format!("grad.{path}")];
                    (path.clone(), in_our_order(path, expected, found.shape(), image))
                })
                .collect();
            let largest = largest_beside(&expected);
            for ((path, found), (_, expected)) in gradients.iter().zip(&expected) {
                let off = difference(found, expected, largest[path]);
                let allowed = tolerance(1e-4, moves.gradients[path]);
                assert!(off <= allowed, "{name}: {path} is off by {off:e}, allowed {allowed:e}");
            }
            let given = all.keys().filter(|key| key.starts_with("grad.")).count();
            assert_eq!(gradients.len(), given, "{name}");

            let statistics = model.named_statistics().unwrap();
            for (path, found) in &statistics {
                let off = difference(found, &all[&format!("after.{path}")], 1e-30);
                // A tenth of the batch's variance, which is off by twice what its numbers are.
                assert!(off <= tolerance(0.2 * OF_LOSS, 0.0), "{name}: {path} is off by {off:e}");
            }
            let given = all
                .keys()
                .filter(|key| key.starts_with("after.") && !key.ends_with("num_batches_tracked"));
            assert_eq!(statistics.len(), given.count(), "{name}");
        }
    }
}

/// The comparison above fails if a single number is wrong.
#[test]
fn a_wrong_number_is_noticed() {
    let expected = ArrayD::from_shape_vec(IxDyn(&[3]), vec![1.0, -2.0, 0.5]).unwrap();
    assert_eq!(difference(&[1.0, -2.0, 0.5], &expected, 1.0), 0.0);
    assert!(difference(&[1.0, -2.0, 0.5003], &expected, 1.0) > 1e-4);
    assert!(difference(&[1.0, f64::NAN, 0.5], &expected, 1.0).is_nan());
}

#[test]
fn weights_survive_saving_in_pytorchs_order() {
    let folder = tempfile::tempdir().unwrap();
    let device = gradus::Device::cpu();
    for network in networks() {
        let model = loaded(&network, &device, folder.path());
        let path = folder.path().join("saved.safetensors");
        model.save_weights(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let saved = SafeTensors::deserialize(&bytes).unwrap();
        let all = tensors(network.name);
        let own =
            all.iter().filter(|(name, _)| !ANSWERS.iter().any(|prefix| name.starts_with(prefix)));
        let mut count = 0;
        for (name, expected) in own {
            let found = saved.tensor(name).unwrap_or_else(|_| panic!("{name} is missing"));
            assert_eq!(found.shape(), expected.shape(), "{name}");
            if !name.ends_with("num_batches_tracked") {
                let bytes: Vec<u8> =
                    expected.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
                assert_eq!(found.data(), bytes, "{name}");
            }
            count += 1;
        }
        assert_eq!(saved.len(), count, "{}", network.name);
    }
}

#[test]
fn weights_of_another_model_are_refused_by_three_lists() {
    let folder = tempfile::tempdir().unwrap();
    let mut model = Sequential::images([32, 32, 3])
        .named("conv1", Conv2d::new(8, 7).padding(3).stride(2).bias(false))
        .named("bn1", BatchNorm::new())
        .named("flat", Flatten::new())
        .named("fc", Dense::new(10))
        .named("extra", Dense::new(3))
        .on(&gradus::Device::cpu())
        .unwrap();
    let before = model.named_parameters().unwrap();
    let error = model.load_weights(weights_of("resnet18_w8", folder.path())).unwrap_err();
    let message = error.to_string();
    for part in [
        "missing: extra.bias, extra.weight",
        "unexpected: layer1.0.bn1.bias",
        "of another shape: fc.weight is [10, 64], not [10, 2048]",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(model.named_parameters().unwrap(), before, "nothing changes");
}

//! BERT against its formula, written out here in f64 without anything of the library; rows with
//! padding; its names; files with more tensors than the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gradus::layers::{MaskedMean, SelfAttention, TokenEmbedding, TokenTypeEmbedding};
use gradus::losses::Mse;
use gradus::optimizers::Adam;
use gradus::random::Random;
use gradus::zoo::Bert;
use gradus::{Device, LoadWeights, Model, Sequential};
use ndarray::{Array2, ArrayD, array, s};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::devices;

const VOCABULARY: usize = 11;
const WIDTH: usize = 8;
const HEADS: usize = 2;
const LAYERS: usize = 2;
const EPSILON: f64 = 1e-3;

type Parameters = BTreeMap<String, ArrayD<f64>>;

fn bert(tokens: usize) -> Bert {
    Bert::new(VOCABULARY, tokens)
        .layers(LAYERS)
        .heads(HEADS)
        .width(WIDTH)
        .hidden(12)
        .positions(9)
        .epsilon(EPSILON)
}

/// Rows with no, some and much padding; a padding id between others is a token.
fn ids() -> Array2<f32> {
    array![[3.0, 1.0, 10.0, 7.0, 2.0], [5.0, 0.0, 9.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0, 0.0]]
}

const LENGTHS: [usize; 3] = [5, 3, 1];

/// A tensor of a file: its name, shape and bytes.
type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

fn write(path: &Path, tensors: &[Tensor]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The tensors of a small BERT with random numbers, so that no factor is 1 and no term 0.
fn random_tensors(folder: &Path) -> Vec<Tensor> {
    let path = folder.join("initial.safetensors");
    bert(5).build().on(&Device::cpu()).unwrap().save_weights(&path).unwrap();
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    let mut random = Random::new(2, 0);
    let tensor = |name: &str| {
        let shape = file.tensor(name).unwrap().shape().to_vec();
        let middle = if name.ends_with("LayerNorm.weight") { 1.0 } else { 0.0 };
        let mut number = |_| (middle + random.uniform() - 0.5) as f32;
        let numbers = (0..shape.iter().product::<usize>()).map(&mut number);
        (name.to_string(), Dtype::F32, shape, numbers.flat_map(f32::to_le_bytes).collect())
    };
    names.into_iter().map(tensor).collect()
}

fn random_file(folder: &Path) -> PathBuf {
    let path = folder.join("random.safetensors");
    write(&path, &random_tensors(folder));
    path
}

fn loaded(model: Sequential, device: &Device, path: &Path) -> Model {
    let mut model = model.on(device).unwrap().compile(Mse::new(), Adam::new()).unwrap();
    model.load_weights(path).unwrap();
    model
}

/// erf by a series of positive terms: 2/√π e^(−x²) Σ 2ⁿ x^(2n+1) / (1 · 3 · … · (2n + 1)).
fn erf(x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while term.abs() > 1e-18 * sum.abs() {
        term *= 2.0 * x * x / (2.0 * n + 1.0);
        (sum, n) = (sum + term, n + 1.0);
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt()))
}

/// x W + b for each token.
fn linear(of: &Parameters, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (weight, bias) = (&of[&format!("{name}.weight")], &of[&format!("{name}.bias")]);
    let unit =
        |x: &[f64], j: usize| bias[j] + (0..x.len()).map(|i| x[i] * weight[[i, j]]).sum::<f64>();
    x.iter().map(|x| (0..bias.len()).map(|j| unit(x, j)).collect()).collect()
}

/// The layer norm of a sum.
fn norm(of: &Parameters, name: &str, x: &[Vec<f64>], y: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (weight, bias) = (&of[&format!("{name}.weight")], &of[&format!("{name}.bias")]);
    let token = |(x, y): (&Vec<f64>, &Vec<f64>)| -> Vec<f64> {
        let sum: Vec<f64> = x.iter().zip(y).map(|(x, y)| x + y).collect();
        let mean = sum.iter().sum::<f64>() / sum.len() as f64;
        let variance = sum.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sum.len() as f64;
        let factor = 1.0 / (variance + EPSILON).sqrt();
        let normed = sum.iter().enumerate();
        normed.map(|(e, x)| weight[e] * (x - mean) * factor + bias[e]).collect()
    };
    x.iter().zip(y).map(token).collect()
}

fn attention(of: &Parameters, path: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let [q, k, v] = ["query", "key", "value"]
        .map(|name| linear(of, &format!("{path}.attention.self.{name}"), x));
    let depth = WIDTH / HEADS;
    let mut mixed = vec![vec![0.0; WIDTH]; x.len()];
    for head in 0..HEADS {
        let places = head * depth..(head + 1) * depth;
        for query in 0..x.len() {
            let score = |key: &Vec<f64>| {
                let dot: f64 = places.clone().map(|e| q[query][e] * key[e]).sum();
                (dot / (depth as f64).sqrt()).exp()
            };
            let scores: Vec<f64> = k.iter().map(score).collect();
            let total: f64 = scores.iter().sum();
            for e in places.clone() {
                mixed[query][e] = scores.iter().zip(&v).map(|(s, v)| s / total * v[e]).sum();
            }
        }
    }
    linear(of, &format!("{path}.attention.output.dense"), &mixed)
}

/// The vectors of the tokens of a row without padding.
fn forward(of: &Parameters, ids: &[usize]) -> Vec<Vec<f64>> {
    let table = |name: &str| &of[&format!("embeddings.{name}_embeddings.weight")];
    let (words, positions, types) = (table("word"), table("position"), table("token_type"));
    let embedded = |(t, &id): (usize, &usize)| {
        (0..WIDTH).map(|e| words[[id, e]] + positions[[t, e]] + types[[0, e]]).collect()
    };
    let x: Vec<Vec<f64>> = ids.iter().enumerate().map(embedded).collect();
    let mut x = norm(of, "embeddings.LayerNorm", &x, &vec![vec![0.0; WIDTH]; ids.len()]);
    for layer in 0..LAYERS {
        let path = format!("encoder.layer.{layer}");
        let y = attention(of, &path, &x);
        x = norm(of, &format!("{path}.attention.output.LayerNorm"), &x, &y);
        let mut hidden = linear(of, &format!("{path}.intermediate.dense"), &x);
        hidden.iter_mut().flatten().for_each(|h| *h = gelu(*h));
        let y = linear(of, &format!("{path}.output.dense"), &hidden);
        x = norm(of, &format!("{path}.output.LayerNorm"), &x, &y);
    }
    x
}

/// A row's ids without its padding.
fn valid_ids(row: usize) -> Vec<usize> {
    ids().row(row).iter().take(LENGTHS[row]).map(|&id| id as usize).collect()
}

/// The mean squared error of the pooled outputs.
fn loss(of: &Parameters, targets: &Array2<f64>) -> f64 {
    let mut sum = 0.0;
    for row in 0..LENGTHS.len() {
        let x = forward(of, &valid_ids(row));
        for e in 0..WIDTH {
            let mean = x.iter().map(|token| token[e]).sum::<f64>() / x.len() as f64;
            sum += (mean - targets[[row, e]]).powi(2);
        }
    }
    sum / targets.len() as f64
}

fn targets() -> Array2<f64> {
    let mut random = Random::new(3, 0);
    // Numbers that f32 has.
    Array2::from_shape_simple_fn((LENGTHS.len(), WIDTH), || f64::from(random.uniform() as f32))
}

#[test]
fn loss_and_gradients_are_those_of_the_formula_and_its_central_differences() {
    let folder = tempfile::tempdir().unwrap();
    let (path, targets) = (random_file(folder.path()), targets());
    type Named = Vec<(String, ArrayD<f64>)>;
    let mut exact: Option<(f64, Named)> = None;
    for (name, device) in devices() {
        let mut model = loaded(bert(5).mean_pooling().build(), &device, &path);
        let (value, gradients) = model.gradients(&ids(), &targets).unwrap();
        let Some((expected_value, expected)) = &exact else {
            assert_eq!(name, "reference");
            let of: Parameters = model.named_parameters().unwrap().into_iter().collect();
            let expected = loss(&of, &targets);
            // Some thousand roundings to 1e-16.
            assert!((value - expected).abs() <= 1e-12 * expected, "{value}, not {expected}");
            for (path, gradient) in &gradients {
                // Numbers from all over the tensor.
                for place in (0..gradient.len()).step_by(1 + gradient.len() / 9) {
                    let at = |step: f64| {
                        let mut moved = of.clone();
                        *moved.get_mut(path).unwrap().iter_mut().nth(place).unwrap() += step;
                        loss(&moved, &targets)
                    };
                    let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                    let found = *gradient.iter().nth(place).unwrap();
                    // h² of a third derivative of up to a hundred.
                    assert!(
                        (found - difference).abs() <= 2e-8,
                        "{path} at {place}: {found}, not {difference}"
                    );
                }
            }
            exact = Some((value, gradients));
            continue;
        };
        // f32 through two blocks.
        assert!((value - expected_value).abs() <= 2e-6 * expected_value, "{name}: {value}");
        for ((path, found), (_, expected)) in gradients.iter().zip(expected) {
            let largest = expected.iter().fold(0.01_f64, |most, x| most.max(x.abs()));
            let off = (found - expected).mapv(f64::abs).fold(0.0_f64, |most, &x| most.max(x));
            assert!(off <= 2e-5 * largest, "{name}: {path} is off by {off:e} of {largest:e}");
        }
    }
}

#[test]
fn vectors_of_tokens_are_those_of_the_formula_and_padding_changes_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = random_file(folder.path());
    for (name, device) in devices() {
        let mut long = loaded(bert(5).build(), &device, &path);
        assert_eq!(long.outputs(), 5 * WIDTH);
        let of: Parameters = long.named_parameters().unwrap().into_iter().collect();
        let found = long.predict(&ids()).unwrap();
        for (row, length) in LENGTHS.into_iter().enumerate() {
            let expected = forward(&of, &valid_ids(row)).concat();
            for (found, expected) in found.row(row).iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() <= 1e-5, "{name}, row {row}");
            }
            // The same row without its padding.
            let mut short = loaded(bert(length).build(), &device, &path);
            let alone = short.predict(&ids().slice(s![row..=row, ..length])).unwrap();
            let valid = found.slice(s![row..=row, ..length * WIDTH]);
            let off = (&alone - &valid).mapv(f32::abs).fold(0.0_f32, |most, &x| most.max(x));
            assert!(off <= 2e-6, "{name}, row {row}: off by {off:e}");
        }
    }
}

#[test]
fn names_are_those_of_hugging_face_and_a_saved_model_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = random_file(folder.path());
    let mut model = loaded(bert(5).mean_pooling().build(), &Device::cpu(), &path);
    let mut expected: Vec<String> =
        ["word_embeddings", "position_embeddings", "token_type_embeddings"]
            .map(|name| format!("embeddings.{name}.weight"))
            .into();
    let mut norms_and_dense = vec!["embeddings.LayerNorm".to_string()];
    for layer in 0..LAYERS {
        for name in [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
            "attention.output.dense",
            "attention.output.LayerNorm",
            "intermediate.dense",
            "output.dense",
            "output.LayerNorm",
        ] {
            norms_and_dense.push(format!("encoder.layer.{layer}.{name}"));
        }
    }
    for name in norms_and_dense {
        expected.extend([format!("{name}.weight"), format!("{name}.bias")]);
    }
    let names = model.named_parameters().unwrap().into_iter().map(|(name, _)| name);
    assert_eq!(names.collect::<Vec<_>>(), expected);
    let saved = folder.path().join("model.safetensors");
    model.save(&saved).unwrap();
    let mut again = Model::load(&saved, &Device::cpu()).unwrap();
    assert_eq!(again.predict(&ids()).unwrap(), model.predict(&ids()).unwrap());
    assert_eq!(again.outputs(), WIDTH);
}

#[test]
fn tensors_of_a_file_are_left_out_by_prefix_and_kept_in_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with_head.safetensors");
    let plain = random_file(folder.path());
    let mut tensors: Vec<Tensor> = random_tensors(folder.path())
        .into_iter()
        .map(|(name, dtype, shape, bytes)| (format!("bert.{name}"), dtype, shape, bytes))
        .collect();
    tensors.extend([
        ("bert.embeddings.position_ids".into(), Dtype::I64, vec![1, 2], vec![0; 16]),
        ("bert.pooler.dense.weight".into(), Dtype::F32, vec![1, 3], vec![0; 12]),
        ("cls.bias".into(), Dtype::F32, vec![2], vec![0; 8]),
    ]);
    write(&path, &tensors);
    let fresh = || bert(5).build().on(&Device::cpu()).unwrap();
    let mut model = fresh();
    let initial = model.named_parameters().unwrap();
    let options = LoadWeights::new().prefix("bert.");
    let message = model.load_weights_with(&path, &options).unwrap_err().to_string();
    let unexpected = "unexpected: bert.embeddings.position_ids, bert.pooler.dense.weight, cls.bias";
    assert!(message.contains(unexpected) && !message.contains("missing"), "{message}");
    assert_eq!(model.named_parameters().unwrap(), initial);

    let options = options.ignore("bert.pooler.").ignore("bert.embeddings.position_ids");
    let options = options.ignore("cls.");
    model.load_weights_with(&path, &options).unwrap();
    let expected = loaded(bert(5).build(), &Device::cpu(), &plain).named_parameters().unwrap();
    assert_eq!(model.named_parameters().unwrap(), expected);

    // An ignored tensor of the model is missing, unless the model keeps its own.
    let options = options.ignore("bert.encoder.layer.1.");
    let mut model = fresh();
    let message = model.load_weights_with(&path, &options).unwrap_err().to_string();
    assert!(message.contains("missing: bert.encoder.layer.1.attention.output"), "{message}");
    assert!(!message.contains("encoder.layer.0") && !message.contains("unexpected"), "{message}");
    model.load_weights_with(&path, &options.keep("encoder.layer.1.")).unwrap();
    let found = model.named_parameters().unwrap();
    for ((name, found), (own, of_file)) in found.into_iter().zip(initial.into_iter().zip(expected))
    {
        let is_kept = name.starts_with("encoder.layer.1.");
        assert_eq!(found, if is_kept { own.1 } else { of_file.1 }, "{name}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let words = || Sequential::tokens(4).then(TokenEmbedding::new(9, 6));
    for (model, parts) in [
        (words().then(SelfAttention::new(2).padding(9)), ["padding", "below 9"]),
        (words().then(MaskedMean::new(9)), ["padding", "below 9"]),
        (Sequential::new(4).then(MaskedMean::new(0)), ["[4]", "[tokens, width]"]),
        (words().then(TokenTypeEmbedding::new(0)), ["types", "0"]),
        (Bert::new(9, 600).layers(1).heads(1).width(4).build(), ["600", "512"]),
        (Bert::new(9, 6).layers(1).heads(5).width(4).build(), ["heads", "5"]),
    ] {
        let message = model.on(&Device::cpu()).map(|_| ()).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{message}: no {part}");
        }
    }
}

//! The inputs of every case, from gradus's seeded generator, written once for both libraries.

use std::path::Path;

use gradus::random::Random;
use gradus::{Dense, Device, Sequential};

use crate::protocol::{Request, Result};
use crate::{layers, networks};

/// Period of the repeated numbers, a prime: rows of common lengths are not identical, and 2²⁸ draws
/// would take minutes.
const PERIOD: usize = 65_521;

/// Writes the inputs of a case into its folder.
pub fn write(request: &Request) -> Result<()> {
    std::fs::create_dir_all(&request.inputs)?;
    let elements: usize = request.shape.iter().product();
    let floats = |name: &str, values: Vec<f32>| {
        save(&request.inputs, name, "f32", values.iter().map(|x| x.to_le_bytes()))
    };
    let labels = |seed, rows, classes| {
        let drawn = labels(seed, rows, classes);
        save(&request.inputs, "labels", "i32", drawn.iter().map(|label| label.to_le_bytes()))
    };
    if let Some(spec) = layers::spec(request)? {
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        floats("input", normal(4, count(&spec.input)))?;
        floats("upstream", normal(5, count(&spec.output)))?;
        for (number, (name, shape)) in spec.parameters.iter().enumerate() {
            let drawn = normal(6 + number as u64, count(shape)).into_iter();
            // He's initial weights; of a norm, factors around 1 and offsets around 0.
            let values = match (*name, shape.split_last()) {
                ("weight", Some((_, fan_in @ [_, ..]))) => {
                    let scale = (2.0 / count(fan_in) as f32).sqrt();
                    drawn.map(|x| scale * x).collect()
                }
                ("weight", _) => drawn.map(|x| 1.0 + 0.1 * x).collect(),
                _ => drawn.map(|x| 0.1 * x).collect(),
            };
            floats(name, values)?;
        }
        return Ok(());
    }
    if let Some(network) = networks::network(request)? {
        return training_data(request, network);
    }
    match request.case.as_str() {
        "mse" | "mae" | "huber" | "bce_with_logits" => {
            floats("predictions", normal(1, elements))?;
            let targets = normal(2, elements).into_iter();
            let truth = |x: f32| f32::from(u8::from(x > 0.0));
            floats(
                "targets",
                if request.case == "bce_with_logits" {
                    targets.map(truth).collect()
                } else {
                    targets.collect()
                },
            )
        }
        "cross_entropy" | "focal" | "multi_margin" => {
            let [rows, classes] = request.sizes()?;
            floats("predictions", normal(1, elements))?;
            labels(3, rows, classes)
        }
        "nll" => {
            let [rows, classes] = request.sizes()?;
            floats("predictions", logarithms(&normal(1, elements), classes))?;
            labels(3, rows, classes)
        }
        "kl_div" => {
            let [_, classes] = request.sizes()?;
            floats("predictions", logarithms(&normal(1, elements), classes))?;
            let targets = logarithms(&normal(2, elements), classes);
            floats("targets", targets.into_iter().map(f32::exp).collect())
        }
        "triplet_margin" => {
            floats("anchor", normal(1, elements))?;
            floats("positive", normal(2, elements))?;
            floats("negative", normal(3, elements))
        }
        "info_nce" => {
            floats("first", normal(1, elements))?;
            floats("second", normal(2, elements))
        }
        // Labels without the blank, which is class 0.
        "ctc" => {
            let [steps, rows, classes, length] = request.sizes()?;
            floats("predictions", normal(1, steps * rows * classes))?;
            let drawn = self::labels(3, rows * length, classes - 1).into_iter();
            let words = drawn.map(|label| (label + 1).to_le_bytes());
            save(&request.inputs, "labels", "i32", words)
        }
        "linear_cross_entropy" => {
            let [rows, features, classes] = request.sizes()?;
            floats("predictions", normal(1, rows * features))?;
            let scale = 1.0 / (features as f32).sqrt();
            let weight = normal(2, classes * features).into_iter().map(|x| scale * x);
            floats("linear_weight", weight.collect())?;
            labels(3, rows, classes)
        }
        "matmul" => {
            let [m, n, k] = request.sizes()?;
            floats("left", normal(1, m * k))?;
            floats("right", normal(2, k * n))
        }
        "dense" => {
            let [rows, inputs, units] = request.sizes()?;
            floats("input", uniform(4, rows * inputs))?;
            floats("upstream", normal(5, rows * units))?;
            weights(request, &[inputs, units])
        }
        "train_step" | "epoch" => {
            let (batch, widths, steps) = request.network()?;
            let rows = request.rows(batch, steps);
            floats("features", uniform(4, rows * widths[0]))?;
            labels(3, rows, widths[widths.len() - 1])?;
            weights(request, widths)
        }
        other => Err(format!("no case {other}").into()),
    }
}

fn save<const N: usize>(
    folder: &Path,
    name: &str,
    kind: &str,
    words: impl Iterator<Item = [u8; N]>,
) -> Result<()> {
    let bytes: Vec<u8> = words.flatten().collect();
    Ok(std::fs::write(folder.join(format!("{name}.{kind}")), bytes)?)
}

/// Batches for a network, one for each step, and its initial weights.
fn training_data(request: &Request, network: Sequential) -> Result<()> {
    let words = |name: &str, values: &[i32]| {
        save(&request.inputs, name, "i32", values.iter().map(|x| x.to_le_bytes()))
    };
    if request.case == "gpt" {
        let [batch, context, vocabulary, ..] = request.sizes::<6>()?;
        let text = labels(3, batch * request.steps * (context + 1), vocabulary);
        // The targets are the next tokens.
        let rows = || text.chunks_exact(context + 1);
        words("ids", &rows().flat_map(|row| &row[..context]).copied().collect::<Vec<_>>())?;
        words("labels", &rows().flat_map(|row| &row[1..]).copied().collect::<Vec<_>>())?;
    } else {
        let [batch, height, width, channels, classes] = request.sizes()?;
        let rows = batch * request.steps;
        let pixels = uniform(4, rows * height * width * channels);
        save(&request.inputs, "features", "f32", pixels.iter().map(|x| x.to_le_bytes()))?;
        words("labels", &labels(3, rows, classes))?;
    }
    let model = network.seed(1).on(&Device::reference())?;
    Ok(model.save_weights(request.inputs.join(networks::WEIGHTS))?)
}

/// The initial weights of a gradus model.
fn weights(request: &Request, widths: &[usize]) -> Result<()> {
    let hidden = widths[1..]
        .iter()
        .fold(Sequential::new(widths[0]), |model, &units| model.then(Dense::new(units)));
    for (i, (weight, bias)) in
        hidden.seed(1).on(&Device::reference())?.weights()?.into_iter().enumerate()
    {
        let narrow = |x: &f64| (*x as f32).to_le_bytes();
        save(&request.inputs, &format!("weight{i}"), "f32", weight.iter().map(narrow))?;
        save(&request.inputs, &format!("bias{i}"), "f32", bias.iter().map(narrow))?;
    }
    Ok(())
}

fn repeated(length: usize, draw: impl FnMut() -> f32) -> Vec<f32> {
    let block: Vec<f32> = std::iter::repeat_with(draw).take(length.min(PERIOD)).collect();
    block.iter().copied().cycle().take(length).collect()
}

fn normal(seed: u64, length: usize) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    repeated(length, || random.normal() as f32)
}

fn uniform(seed: u64, length: usize) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    repeated(length, || random.uniform() as f32)
}

/// Logarithms of the softmax of each row.
fn logarithms(values: &[f32], classes: usize) -> Vec<f32> {
    let of_row = |row: &[f32]| {
        let lse = row.iter().map(|x| x.exp()).sum::<f32>().ln();
        row.iter().map(|x| x - lse).collect::<Vec<f32>>()
    };
    values.chunks_exact(classes).flat_map(of_row).collect()
}

fn labels(seed: u64, rows: usize, classes: usize) -> Vec<i32> {
    let mut random = Random::new(seed, 0);
    (0..rows)
        .map(|_| ((random.uniform() * classes as f64) as i32).min(classes as i32 - 1))
        .collect()
}

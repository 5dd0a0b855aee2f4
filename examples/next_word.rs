//! A model of language that begins with an embedding: which word comes next in a text.
//!
//! ```text
//! cargo run --release --example next_word -- TEXT [auto|gpu|cpu|reference] [EPOCHS] [LEARNING_RATE]
//! ```
//!
//! TEXT is a file of plain text, for example tiny-shakespeare (252,272 words, 14,563 of them different). The word at hand is looked up
//! in a table of vectors; its vector goes through a linear layer to a logit for each word, and `linear_cross_entropy` gives the loss and
//! all gradients without ever holding the logits. The table moves the rows that the batch named and no others; the layer's weights are a
//! table too, all of whose rows are named. Nothing leaves the device but the loss. The last tenth of the text is held back; beside its
//! perplexity stands that of the words' frequencies, which know nothing of the word before.

use std::collections::HashMap;
use std::time::Instant;

use gradus::losses::{LinearCrossEntropy, Loss};
use gradus::optimizers::Adam;
use gradus::random::Permutation;
use gradus::{Criterion, Device, Embedding, Result, Tensor, TensorInputs};

const WIDTH: usize = 64;
const BATCH: usize = 1024;
const SEED: u64 = 7;

/// Words of letters and apostrophes; any other sign that is no digit is a word of its own.
fn words(text: &str) -> Vec<&str> {
    let is_letter = |c: char| c.is_alphabetic() || c == '\'';
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = if is_letter(first) { rest.find(|c| !is_letter(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, behind) = rest.split_at(end);
        if !first.is_whitespace() && !first.is_numeric() {
            found.push(word);
        }
        rest = behind;
    }
    found
}

/// The table of the words' vectors, and the weights of the layer behind it: [words, WIDTH] both.
struct Model {
    device: Device,
    words: Embedding,
    weights: Embedding,
    all: Tensor,
    criterion: Criterion,
}

impl Model {
    fn new(device: &Device, vocabulary: usize) -> Result<Self> {
        let table = |seed| Embedding::uniform(device, [vocabulary, WIDTH], 0.05, seed);
        Ok(Model {
            device: device.clone(),
            words: table(SEED)?,
            weights: table(SEED + 1)?,
            all: Tensor::from_labels(device, &(0..vocabulary as i64).collect::<Vec<_>>())?,
            criterion: LinearCrossEntropy::new().on(device)?,
        })
    }

    /// The mean loss of pairs of a word and the next; moves both tables if there is an optimizer.
    fn step(&mut self, pairs: &[(i64, i64)], optimizer: Option<&Adam>) -> Result<f64> {
        let side =
            |of: fn(&(i64, i64)) -> i64| Tensor::from_labels(&self.device, &pairs.iter().map(of).collect::<Vec<_>>());
        let (now, next) = (side(|pair| pair.0)?, side(|pair| pair.1)?);
        let (vectors, weights) = (self.words.gather(&now)?, self.weights.gather(&self.all)?);
        let inputs = TensorInputs::new(&vectors, &next).input("linear_weight", &weights);
        let found = self.criterion.evaluate_tensors(&inputs)?;
        if let (Some(optimizer), Some(gradient)) = (optimizer, found.gradient_of("linear_weight")) {
            self.words.update(&now, &found.gradient, optimizer)?;
            self.weights.update(&self.all, gradient, optimizer)?;
        }
        found.value()
    }

    /// e to the mean loss.
    fn perplexity(&mut self, pairs: &[(i64, i64)]) -> Result<f64> {
        let mut sum = 0.0;
        for batch in pairs.chunks(BATCH) {
            sum += self.step(batch, None)? * batch.len() as f64;
        }
        Ok((sum / pairs.len() as f64).exp())
    }
}

/// e to the mean loss of the frequencies of the words in some pairs, one added to each, on others.
fn perplexity_of_frequencies(training: &[(i64, i64)], held_back: &[(i64, i64)], vocabulary: usize) -> f64 {
    let mut counts = vec![1.0; vocabulary];
    training.iter().for_each(|(_, next)| counts[*next as usize] += 1.0);
    let total: f64 = counts.iter().sum();
    let loss: f64 = held_back.iter().map(|(_, next)| -(counts[*next as usize] / total).ln()).sum();
    (loss / held_back.len() as f64).exp()
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let usage = "next_word TEXT [auto|gpu|cpu|reference] [EPOCHS] [LEARNING_RATE]";
    let path = arguments.first().ok_or(usage)?;
    let device = match arguments.get(1).map(String::as_str) {
        None | Some("auto") => Device::auto(),
        Some("gpu") => Device::gpu()?,
        Some("cpu") => Device::cpu(),
        Some("reference") => Device::reference(),
        Some(_) => return Err(usage.into()),
    };
    let epochs: u32 = arguments.get(2).map_or(Ok(3), |text| text.parse()).map_err(|_| usage)?;
    let rate: f64 = arguments.get(3).map_or(Ok(0.01), |text| text.parse()).map_err(|_| usage)?;
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let (mut numbers, mut vocabulary) = (HashMap::new(), Vec::new());
    let ids: Vec<i64> = words(&text)
        .into_iter()
        .map(|word| {
            *numbers.entry(word).or_insert_with(|| {
                vocabulary.push(word);
                vocabulary.len() as i64 - 1
            })
        })
        .collect();
    if ids.len() < 20 {
        return Err(format!("{path}: {} words; 20 at least are needed", ids.len()).into());
    }
    let pairs: Vec<(i64, i64)> = ids.iter().copied().zip(ids.iter().copied().skip(1)).collect();
    let (training, held_back) = pairs.split_at(pairs.len() - pairs.len() / 10);
    let frequencies = perplexity_of_frequencies(training, held_back, vocabulary.len());
    println!("{} words, {} different, on {}", ids.len(), vocabulary.len(), device.describe());
    println!("perplexity of the words' frequencies on the last tenth: {frequencies:.1}");

    let mut model = Model::new(&device, vocabulary.len())?;
    let optimizer = Adam::new().learning_rate(rate);
    for epoch in 0..epochs {
        let begun = Instant::now();
        let order = Permutation::new(training.len() as u32, SEED, epoch);
        let shuffled: Vec<(i64, i64)> =
            (0..training.len()).map(|place| training[order.at(place as u32) as usize]).collect();
        let mut sum = 0.0;
        for batch in shuffled.chunks(BATCH) {
            sum += model.step(batch, Some(&optimizer))? * batch.len() as f64;
        }
        let trained = (sum / training.len() as f64).exp();
        let seconds = begun.elapsed().as_secs_f64();
        let perplexity = model.perplexity(held_back)?;
        println!("epoch {}: perplexity {trained:.1}, on the last tenth {perplexity:.1} ({seconds:.1} s)", epoch + 1);
    }
    Ok(())
}

//! A GPT of characters: trains on a text, prints the validation loss, then writes text of its own.
//!
//! ```text
//! cargo run --release --example char_gpt -- TEXT [auto|gpu|cpu|reference] [STEPS] [SEED]
//! ```
//!
//! nanoGPT's settings for a laptop: 4 blocks of 4 heads, 128 wide, sequences of 64 characters, 12 a
//! batch, AdamW (0.9, 0.99), a warm-up of 100 steps to 1e-3 and a cosine to 1e-4, gradients clipped
//! at norm 1. The last tenth of the text is held out.

use gradus::data::text::Characters;
use gradus::losses::CrossEntropy;
use gradus::optimizers::AdamW;
use gradus::random::Random;
use gradus::schedules::WarmupCosine;
use gradus::{Device, Fit, Generate, zoo::Gpt};
use ndarray::Array2;

const CONTEXT: usize = 64;
const BATCH: usize = 12;

/// Sequences at random places, and the characters that follow.
fn sequences(text: &[i64], count: usize, random: &mut Random) -> (Array2<f32>, Array2<i64>) {
    let (mut x, mut y) = (Array2::zeros((count, CONTEXT)), Array2::zeros((count, CONTEXT)));
    for row in 0..count {
        let start = (random.uniform() * (text.len() - CONTEXT - 1) as f64) as usize;
        for token in 0..CONTEXT {
            x[[row, token]] = text[start + token] as f32;
            y[[row, token]] = text[start + token + 1];
        }
    }
    (x, y)
}

fn main() -> gradus::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = arguments.first() else {
        eprintln!("usage: char_gpt TEXT [DEVICE] [STEPS] [SEED]");
        std::process::exit(2);
    };
    let text = std::fs::read_to_string(path)
        .map_err(|source| gradus::Error::Io { path: path.into(), source })?;
    let characters = Characters::of(&text)?;
    let ids = characters.ids(&text)?;
    let (train, held_back) = ids.split_at(ids.len() * 9 / 10);
    let device = match arguments.get(1).map_or("auto", String::as_str) {
        "gpu" => Device::gpu()?,
        "cpu" => Device::cpu(),
        "reference" => Device::reference(),
        _ => Device::auto(),
    };
    let steps: usize = arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(2000);
    let seed: u64 = arguments.get(3).and_then(|text| text.parse().ok()).unwrap_or(1);
    let optimizer = AdamW::new().learning_rate(1e-3).beta2(0.99).weight_decay(0.1);
    let mut model = Gpt::new(characters.len(), CONTEXT)
        .bias(false)
        .build()
        .seed(seed)
        .on(&device)?
        .compile(CrossEntropy::new(), optimizer)?;
    println!("{}", model.summary());
    let mut random = Random::new(seed, 1);
    let (x, y) = sequences(held_back, 768, &mut random);
    let schedule = WarmupCosine::new()
        .peak(1e-3)
        .warmup_steps(100.min(steps as u64 / 2))
        .steps(steps as u64)
        .minimum(1e-4);
    let mut done = 0;
    while done < steps {
        let now = 500.min(steps - done);
        let (batch_x, batch_y) = sequences(train, now * BATCH, &mut random);
        let fit = Fit::new()
            .epochs(1)
            .batch_size(BATCH)
            .shuffle(false)
            .clip_norm(1.0)
            .schedule(schedule.clone());
        let history = model.fit(&batch_x, &batch_y, fit)?;
        done += now;
        let (loss, seconds) = (history.epochs[0].loss, history.epochs[0].seconds);
        println!(
            "step {done}: loss {loss:.4}, validation loss {:.4}, {:.1} ms a step",
            model.evaluate(&x, &y)?.loss,
            1e3 * seconds / now as f64
        );
    }
    let options = Generate::new().tokens(300).temperature(0.8).seed(seed);
    let written = model.generate(&ids[..1], &options)?;
    println!("{}", characters.text(&written)?);
    Ok(())
}

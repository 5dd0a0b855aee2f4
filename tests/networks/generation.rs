//! Next-token models write: greedily as `predict` says, the same for a seed, and past their context.

use std::time::Instant;

use gradus::data::text::{Characters, sequences};
use gradus::layers::{SelfAttention, TokenEmbedding};
use gradus::losses::CrossEntropy;
use gradus::optimizers::AdamW;
use gradus::zoo::{Gpt, small_cnn};
use gradus::{Dense, Device, Fit, Generate, Model, Sequential};
use ndarray::Array2;

use crate::devices;

fn untrained(device: &Device) -> Model {
    Gpt::new(7, 6).layers(1).heads(2).width(16).build().on(device).unwrap()
}

#[test]
fn at_temperature_0_each_token_is_the_most_likely_one() {
    for (name, device) in devices() {
        let mut model = untrained(&device);
        assert_eq!(model.context(), Some(6));
        // The prompt is shorter than the context, and the tokens pass its end.
        let prompt = [3_i64, 1];
        let greedy = Generate::new().tokens(7).temperature(0.0);
        let found = model.generate(&prompt, &greedy).unwrap();
        let mut expected = prompt.to_vec();
        for _ in 0..7 {
            let window = &expected[expected.len().saturating_sub(6)..];
            // What stands behind the prompt changes nothing.
            let row = |padding: f32| {
                Array2::from_shape_fn((1, 6), |(_, token)| {
                    window.get(token).map_or(padding, |&id| id as f32)
                })
            };
            let last = 7 * (window.len() - 1);
            let logits = model.predict(&row(4.0)).unwrap();
            let logits = &logits.as_slice().unwrap()[last..last + 7];
            let most = (0..7).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            expected.push(most as i64);
        }
        assert_eq!(found, expected[2..], "{name}");
    }
}

#[test]
fn a_seed_makes_the_same_text_and_another_seed_another() {
    for (name, device) in devices() {
        let mut model = untrained(&device);
        let options = Generate::new().tokens(30);
        let first = model.generate(&[0], &options.seed(1)).unwrap();
        assert_eq!(first, model.generate(&[0], &options.seed(1)).unwrap(), "{name}");
        assert_ne!(first, model.generate(&[0], &options.seed(2)).unwrap(), "{name}");
        assert!(first.iter().all(|id| (0..7).contains(id)), "{name}: {first:?}");
        // One token to draw from is the most likely one.
        let greedy = model.generate(&[0], &options.temperature(0.0)).unwrap();
        assert_eq!(model.generate(&[0], &options.top_k(1)).unwrap(), greedy, "{name}");
        assert_eq!(model.generate(&[0], &options.top_p(1e-9)).unwrap(), greedy, "{name}");
        assert!(model.generate(&[0], &options.tokens(0)).unwrap().is_empty());
    }
}

#[test]
fn a_gpt_of_characters_goes_on_with_what_it_learned_after_loading() {
    let text = "abcdefg".repeat(30);
    let characters = Characters::of(&text).unwrap();
    let (x, y) = sequences(&characters.ids(&text).unwrap(), 6, 5).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gpt.safetensors");
    for (name, device) in devices() {
        let mut model = untrained(&device)
            .compile(CrossEntropy::new(), AdamW::new().learning_rate(0.02))
            .unwrap();
        model.set_names(Vec::new(), characters.names(), None);
        model.fit(&x, &y, Fit::new().epochs(10).batch_size(8)).unwrap();
        model.save(&path).unwrap();
        let mut loaded = Model::load(&path, &device).unwrap();
        let known = Characters::from_names(&loaded.names().classes).unwrap();
        assert_eq!(known, characters);
        let prompt = known.ids("cde").unwrap();
        let ids = loaded.generate(&prompt, &Generate::new().tokens(9).temperature(0.0)).unwrap();
        assert_eq!(known.text(&ids).unwrap(), "fgabcdefg", "{name}");
    }
}

#[test]
fn what_is_no_next_token_model_and_bad_options_are_refused() {
    let device = Device::cpu();
    let mut model = untrained(&device);
    for (prompt, options, parts) in [
        (&[][..], Generate::new(), ["the prompt", "is empty"]),
        (&[1, 7][..], Generate::new(), ["id 7 at position 1", "0 to 6"]),
        (&[-1][..], Generate::new(), ["id -1 at position 0", "0 to 6"]),
        (&[1][..], Generate::new().temperature(-0.5), ["temperature is -0.5", ">= 0"]),
        (&[1][..], Generate::new().temperature(f64::NAN), ["temperature is NaN", ">= 0"]),
        (&[1][..], Generate::new().top_k(0), ["top_k is 0", "at least 1"]),
        (&[1][..], Generate::new().top_p(0.0), ["top_p is 0", "at most 1"]),
        (&[1][..], Generate::new().top_p(1.5), ["top_p is 1.5", "at most 1"]),
        (&[1][..], Generate::new().top_p(f64::NAN), ["top_p is NaN", "above 0"]),
    ] {
        let message = model.generate(prompt, &options).unwrap_err().to_string();
        for part in parts {
            assert!(message.contains(part), "{message}: no {part}");
        }
    }
    let tokens = || Sequential::tokens(4).then(TokenEmbedding::new(5, 8));
    for (model, part) in [
        (small_cnn([8, 8, 1], 3), "no ids"),
        (tokens().then(Dense::new(3)), "[4, 3]"),
        (tokens().then(SelfAttention::new(2)).then(Dense::new(5)), "attends to later tokens"),
    ] {
        let mut model = model.on(&device).unwrap();
        assert_eq!(model.context(), None);
        let message = model.generate(&[0], &Generate::new()).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains("causal"), "{message}: no {part}");
    }
}

/// Milliseconds per token, with the keys and values of earlier tokens kept and by a pass over all
/// 256 tokens for each.
#[test]
#[ignore = "measures: cargo test --release --test networks speed_of_generation -- --ignored --nocapture"]
fn speed_of_generation() {
    const PASSES: usize = 10;
    for (name, device) in devices() {
        let mut model = Gpt::new(65, 256).build().on(&device).unwrap();
        let tokens = |count| Generate::new().tokens(count).temperature(0.0);
        // Compiles what is compiled once.
        let first = model.generate(&[1, 2], &tokens(3)).unwrap();
        let start = Instant::now();
        let found = model.generate(&[1], &tokens(200)).unwrap();
        let kept = start.elapsed().as_secs_f64() * 1e3 / found.len() as f64;
        let x = Array2::<f32>::zeros((1, 256));
        let start = Instant::now();
        let outputs = (0..PASSES).map(|_| model.predict(&x).unwrap().len()).sum::<usize>();
        let whole = start.elapsed().as_secs_f64() * 1e3 / PASSES as f64;
        eprintln!("{name}: {kept:.2} ms a token, by whole passes {whole:.2} ms");
        assert_eq!((first.len(), found.len(), outputs), (3, 200, PASSES * 256 * 65));
        assert!(kept < whole, "{name}: keeping keys and values costs {kept} ms, not {whole}");
    }
}

//! Recommenders: the serial algorithm against an independent implementation, properties of the
//! metrics, equal bits, files, rejected inputs.

mod features;
mod files;
mod ranking;
mod reasons;
mod resuming;
mod serial;
mod side;
mod sparse;
#[path = "../support/mod.rs"]
mod support;
mod training;
mod weights;

use gradus::Error;
use gradus::random::Random;
use gradus::recommend::{Interactions, Loss, Model};

const LOSSES: [Loss; 4] = [Loss::Warp, Loss::WarpKos, Loss::Bpr, Loss::Logistic];

/// Users of three tastes: each chooses about half of the items of its taste, and one in twenty of
/// the others.
fn tastes(users: usize, items: usize, seed: u64) -> Interactions {
    let mut random = Random::new(seed, 0);
    let mut pairs = Vec::new();
    for user in 0..users as u32 {
        for item in 0..items as u32 {
            let share = if user % 3 == item % 3 { 0.5 } else { 0.05 };
            if random.uniform() < share {
                pairs.push((user, item));
            }
        }
    }
    Interactions::new(users, items, &pairs).unwrap()
}

fn all_scores(model: &Model, users: usize, items: usize) -> Vec<f32> {
    let pairs = (0..users as u32).flat_map(|user| (0..items as u32).map(move |item| (user, item)));
    let (users, items): (Vec<u32>, Vec<u32>) = pairs.unzip();
    model.predict(&users, &items).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Asserts that an error's message contains these words.
fn says<T: std::fmt::Debug>(outcome: Result<T, Error>, words: &[&str]) {
    let message = outcome.unwrap_err().to_string();
    for word in words {
        assert!(message.contains(word), "`{word}` is not in: {message}");
    }
}

//! The device against the CPU: the samples of an epoch, the parameters after it, scores and ranks.

use crate::Gpu;
use crate::cpu::random::{Permutation, Random};
use crate::recommend::engine::{Layout, Optimizer, Table};
use crate::recommend::features::Features;
use crate::recommend::gpu::*;
use crate::recommend::host::CpuEngine;
use crate::recommend::sampling;
use crate::recommend::sampling::{LANES, Loss, NO_ITEM, RankWeight, Sample, Vectors};
use crate::runtime::device::GpuOptions;
use crate::runtime::kernel::Command;

impl GpuEngine {
    /// Runs an epoch and returns the sample of each interaction, by place.
    pub(super) fn traced(
        &mut self,
        rules: &Rules,
        update_options: &UpdateOptions,
        epoch: u32,
    ) -> (Vec<Sample<f32>>, Tally) {
        let count = self.interactions.as_ref().unwrap().count;
        let all = self.gpu.buffer("samples of an epoch", 4 * count).unwrap();
        let gpu = self.gpu.clone();
        let batches = self.prepared(rules, update_options).unwrap().unwrap();
        let capacity = update_options.batch_size.min(count);
        let copy = |batch: usize| {
            let length = capacity.min(count - batch * capacity) as u64;
            let (to, to_offset) = (all.clone(), 16 * (batch * capacity) as u64);
            vec![Command::Copy {
                from: batches.records.clone(),
                from_offset: 0,
                to,
                to_offset,
                size: 16 * length,
            }]
        };
        let which = batches.within(0..usize::MAX);
        batches.run(&gpu, rules, epoch, which.clone(), copy).unwrap();
        let mut tally = Tally::default();
        batches.add_to(&gpu, which, &mut tally).unwrap();
        let words: Vec<u32> = pollster::block_on(gpu.download(&all, 0, 4 * count)).unwrap();
        let sample = |words: &[u32]| Sample {
            positive: words[0],
            negative: words[1],
            draws: words[2],
            step: f32::from_bits(words[3]),
            loss: 0.0,
        };
        (words.chunks(4).map(sample).collect(), tally)
    }
}

fn gpu() -> Gpu {
    Gpu::open().expect("these tests need an adapter, a software one will do")
}

/// The kernel variants: the adapter's, and those of hardware, where a group of threads samples an
/// interaction.
pub(super) fn variants() -> [Gpu; 2] {
    [GpuOptions::default(), GpuOptions { hardware_variants: true, ..GpuOptions::default() }].map(
        |options| {
            Gpu::open_with(options).expect("these tests need an adapter, a software one will do")
        },
    )
}

pub(super) fn layout(users: u32, items: u32, components: usize) -> Layout {
    Layout { users, items, components, user_features: None, item_features: None }
}

/// Users like items near them on a ring and dislike a few.
pub(super) fn interactions(users: u32, items: u32, each: u32) -> Interactions {
    let mut random = Random::new(u64::from(users), 5);
    let mut triples = std::collections::BTreeMap::new();
    for user in 0..users {
        for _ in 0..each {
            // Squared, so that some items are popular.
            let away = (random.uniform().powi(2) * f64::from(items)) as u32;
            let item = (user * items / users + away) % items;
            let weight = if random.uniform() < 0.1 { -1.0 } else { 0.5 + random.uniform() as f32 };
            triples.insert((user, item), weight);
        }
    }
    let triples: Vec<(u32, u32, f32)> =
        triples.into_iter().map(|((user, item), weight)| (user, item, weight)).collect();
    Interactions::weighted(users as usize, items as usize, &triples).unwrap()
}

pub(super) fn state(layout: &Layout, spread: f64) -> State {
    let mut random = Random::new(11, 0);
    let mut table = |rows: u32| {
        let length = rows as usize * layout.components;
        let mut drawn = |length: usize| {
            (0..length).map(|_| f64::from((spread * random.normal()) as f32)).collect()
        };
        let (embeddings, biases) = (drawn(length), drawn(rows as usize));
        Table {
            embeddings,
            biases,
            embedding_squares: vec![1.0; length],
            bias_squares: vec![1.0; rows as usize],
            ..Table::default()
        }
    };
    let rows = |entities: u32, features: &Option<Arc<Features>>| {
        features.as_ref().map_or(entities, |features| features.features() as u32)
    };
    State {
        users: table(rows(layout.users, &layout.user_features)),
        items: table(rows(layout.items, &layout.item_features)),
    }
}

pub(super) fn rules(loss: Loss, items: u32, max_sampled: u32) -> Rules {
    let rank_weights = RankWeight::Log.of_draws(items, max_sampled);
    Rules {
        loss,
        seed: 0x0123_4567_89ab_cdef,
        max_sampled,
        margin: 1.0,
        rank_weights,
        exact_rank: false,
        k: 3,
        n: 7,
    }
}

pub(super) const UPDATE_OPTIONS: UpdateOptions = UpdateOptions {
    optimizer: Optimizer::Adagrad,
    learning_rate: 0.05,
    user_alpha: 0.0,
    item_alpha: 0.0,
    user_bias_gradient: false,
    batch_size: 128,
};

/// Both engines with the same tables and interactions.
pub(super) fn both(
    layout: &Layout,
    state: &State,
    interactions: &Arc<Interactions>,
) -> (GpuEngine, CpuEngine<f32>) {
    on(&gpu(), layout, state, interactions)
}

pub(super) fn on(
    gpu: &Gpu,
    layout: &Layout,
    state: &State,
    interactions: &Arc<Interactions>,
) -> (GpuEngine, CpuEngine<f32>) {
    let (mut device, mut host) =
        (GpuEngine::new(layout.clone(), gpu).unwrap(), CpuEngine::new(layout.clone()));
    for engine in [&mut device as &mut dyn Engine, &mut host] {
        engine.set_state(state).unwrap();
        engine.set_interactions(interactions.clone()).unwrap();
    }
    (device, host)
}

/// Entities from their features: each component and bias is Σ weight · feature.
fn summed(table: &Table, features: &Option<Arc<Features>>, components: usize) -> Table {
    let Some(features) = features else { return table.clone() };
    let mut sums = Table::default();
    for entity in 0..features.entities() {
        let (ids, weights) = features.of(entity);
        let sum = |number: &dyn Fn(usize) -> f64| {
            let parts =
                ids.iter().zip(weights).map(|(&id, &weight)| weight * number(id as usize) as f32);
            f64::from(parts.fold(0.0, |sum, part| sum + part))
        };
        (0..components)
            .for_each(|k| sums.embeddings.push(sum(&|id| table.embeddings[id * components + k])));
        sums.biases.push(sum(&|id| table.biases[id]));
    }
    sums
}

/// The samples of the first batch, from the definition alone.
pub(super) fn defined(
    rules: &Rules,
    state: &State,
    layout: &Layout,
    known: &Interactions,
    places: usize,
) -> Vec<Sample<f32>> {
    let stride = layout.components.next_multiple_of(LANES);
    let state = State {
        users: summed(&state.users, &layout.user_features, layout.components),
        items: summed(&state.items, &layout.item_features, layout.components),
    };
    let padded = |table: &Table| -> Vec<f32> {
        let rows = table.embeddings.chunks(layout.components);
        rows.flat_map(|row| (0..stride).map(|k| row.get(k).map_or(0.0, |&x| x as f32))).collect()
    };
    let biases = |table: &Table| -> Vec<f32> { table.biases.iter().map(|&x| x as f32).collect() };
    let (users, items) = (padded(&state.users), padded(&state.items));
    let (user_biases, item_biases) = (biases(&state.users), biases(&state.items));
    let vectors = Vectors {
        users: &users,
        user_biases: &user_biases,
        items: &items,
        item_biases: &item_biases,
        stride,
    };
    let order = Permutation::new(known.len() as u32, rules.seed, 4);
    (0..places as u32)
        .map(|at| sampling::sample(rules, &known.known(), &vectors, 4, order.at(at)))
        .collect()
}

/// Error of σ from a different e^x: 4 ulp of a step below 1.5.
const STEP: f32 = 4.0 * 1.5 * f32::EPSILON;

pub(super) fn assert_same(found: &[Sample<f32>], exact: &[Sample<f32>], case: &str) {
    assert_eq!(found.len(), exact.len(), "{case}");
    for (place, (found, exact)) in found.iter().zip(exact).enumerate() {
        // A disliked interaction has no positive item on the device.
        let positive = if exact.step == 0.0 { found.positive } else { exact.positive };
        let expected = (positive, exact.negative, exact.draws);
        assert_eq!(
            (found.positive, found.negative, found.draws),
            expected,
            "{case}, place {place}"
        );
        assert!(
            (found.step - exact.step).abs() <= STEP,
            "{case}, place {place}: {} for {}",
            found.step,
            exact.step
        );
    }
}

pub(super) const LOSSES: [Loss; 4] = [Loss::Warp, Loss::WarpKos, Loss::Bpr, Loss::Logistic];

#[test]
fn every_interaction_draws_what_the_definition_says() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let variants = variants();
    for (users, items, components) in [(5, 40, 3), (60, 200, 8), (90, 333, 33)] {
        let layout = layout(users, items, components);
        let known = Arc::new(interactions(users, items, 20));
        let state = state(&layout, 0.4);
        // 3,000 draws exceed the limit of one invocation of a software adapter: a thread group
        // samples there too.
        let cases = LOSSES.iter().flat_map(|loss| [1, 10, 50, 3000].map(|draws| (*loss, draws)));
        for ((loss, max_sampled), gpu) in
            cases.flat_map(|case| variants.each_ref().map(|gpu| (case, gpu)))
        {
            let rules = rules(loss, items, max_sampled);
            let (mut device, _) = on(gpu, &layout, &state, &known);
            // One batch: all samples read the same rows.
            let update_options = UpdateOptions { batch_size: known.len(), ..UPDATE_OPTIONS };
            let (found, _) = device.traced(&rules, &update_options, 4);
            let exact = defined(&rules, &state, &layout, &known, known.len());
            assert_same(&found, &exact, &format!("{loss:?}, {items} items, {max_sampled} draws"));
            assert!(exact.iter().filter(|sample| sample.step != 0.0).count() > known.len() / 4);
            assert!(
                loss == Loss::Logistic || exact.iter().any(|sample| sample.negative != NO_ITEM)
            );
        }
    }
}

#[test]
fn the_exact_rank_counts_every_item() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let layout = layout(40, 150, 5);
    let known = Arc::new(interactions(40, 150, 10));
    let state = state(&layout, 0.6);
    for loss in [Loss::Warp, Loss::WarpKos] {
        let rank_weights = RankWeight::Harmonic.of_ranks(150);
        let rules = Rules { exact_rank: true, rank_weights, ..rules(loss, 150, 10) };
        let (mut device, _) = both(&layout, &state, &known);
        let (found, _) =
            device.traced(&rules, &UpdateOptions { batch_size: known.len(), ..UPDATE_OPTIONS }, 4);
        assert_same(
            &found,
            &defined(&rules, &state, &layout, &known, known.len()),
            &format!("{loss:?}"),
        );
    }
}

/// The largest difference between two lists.
pub(super) fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    // Propagates NaN, which `f64::max` would drop.
    let larger = |a: f64, b: f64| if a.is_nan() || b <= a { a } else { b };
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, larger)
}

#[test]
fn a_difference_that_is_no_number_is_found() {
    assert!(
        difference(&[1.0, f64::NAN, 2.0], &[1.0; 3]).is_nan()
            && difference(&[f64::NAN, 1.0], &[1.0; 2]).is_nan()
    );
    assert_eq!(difference(&[1.0, 3.0, 2.0], &[1.0; 3]), 2.0);
}

#[test]
fn an_epoch_of_batches_leaves_what_the_cpu_leaves() {
    crate::runtime::device::test_adapter::needs_gpu!();
    for (optimizer, alpha, user_bias_gradient, components) in [
        (Optimizer::Adagrad, 0.0, false, 32),
        (Optimizer::Adagrad, 1e-3, true, 5),
        (Optimizer::Sgd, 1e-3, false, 8),
    ] {
        let layout = layout(70, 250, components);
        let known = Arc::new(interactions(70, 250, 25));
        let state = state(&layout, 0.3);
        let update_options = UpdateOptions {
            optimizer,
            user_alpha: alpha,
            item_alpha: 2.0 * alpha,
            user_bias_gradient,
            ..UPDATE_OPTIONS
        };
        for loss in LOSSES {
            let (mut device, mut host) = both(&layout, &state, &known);
            let rules = rules(loss, 250, 10);
            for epoch in 0..2 {
                let (found, exact) = (
                    device.epoch(&rules, &update_options, epoch).unwrap(),
                    host.epoch(&rules, &update_options, epoch).unwrap(),
                );
                assert_eq!((found.draws, found.updates), (exact.draws, exact.updates), "{loss:?}");
                assert!(
                    (found.loss / exact.loss - 1.0).abs() < 1e-5,
                    "{loss:?}: {} for {}",
                    found.loss,
                    exact.loss
                );
            }
            let (found, exact) = (device.state().unwrap(), host.state().unwrap());
            // Some 200 hits of a row in two epochs, each rounded to half an ulp of a number below
            // 4: 200 · 2⁻²³ · 2 = 5e-5.
            for (found, exact) in [(&found.users, &exact.users), (&found.items, &exact.items)] {
                for (name, a, b) in [
                    ("embeddings", &found.embeddings, &exact.embeddings),
                    ("biases", &found.biases, &exact.biases),
                    ("squares of embeddings", &found.embedding_squares, &exact.embedding_squares),
                    ("squares of biases", &found.bias_squares, &exact.bias_squares),
                ] {
                    let largest = b.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
                    let off = difference(a, b) / largest;
                    assert!(off < 5e-5, "{loss:?} {optimizer:?} {name}: {off:e}");
                }
            }
            assert!(device.is_finite().unwrap());
        }
    }
}

#[test]
fn two_runs_give_the_same_bits() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let layout = layout(70, 250, 16);
    let known = Arc::new(interactions(70, 250, 25));
    let state = state(&layout, 0.3);
    let run = |loss: Loss| {
        let (mut device, _) = both(&layout, &state, &known);
        for epoch in 0..3 {
            device.epoch(&rules(loss, 250, 10), &UPDATE_OPTIONS, epoch).unwrap();
        }
        device.state().unwrap()
    };
    for loss in LOSSES {
        assert_eq!(run(loss), run(loss), "{loss:?}");
    }
}

#[test]
fn scores_and_ranks_are_those_of_the_cpu() {
    crate::runtime::device::test_adapter::needs_gpu!();
    for (users, items, components) in [(3, 7, 1), (50, 333, 20)] {
        let layout = layout(users, items, components);
        let (known, wanted) =
            (Arc::new(interactions(users, items, 9)), interactions(users + 1, items, 6));
        let pairs: Vec<(u32, u32)> =
            wanted.triples().filter(|t| t.0 < users).map(|t| (t.0, t.1)).collect();
        let wanted = Interactions::new(users as usize, items as usize, &pairs).unwrap();
        let state = state(&layout, 0.5);
        let (device, host) = both(&layout, &state, &known);
        let some: Vec<u32> = (0..users).rev().collect();
        let (found, exact) = (device.scores(&some).unwrap(), host.scores(&some).unwrap());
        // 24 products of numbers below 4, summed in a different order.
        let limit = 24.0 * 16.0 * f32::EPSILON;
        assert!(found.iter().zip(&exact).all(|(a, b)| (a - b).abs() <= limit));
        for excluded in [None, Some(&*known)] {
            let found = device.ranks(&wanted, excluded).unwrap();
            assert_eq!(found, host.ranks(&wanted, excluded).unwrap());
        }
    }
}

#[test]
fn a_number_that_is_not_finite_is_found_wherever_it_stands() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let layout = layout(4, 6, 5);
    let known = Arc::new(interactions(4, 6, 2));
    for place in [0, 19] {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut state = state(&layout, 0.5);
            state.users.embeddings[place] = bad;
            let (device, _) = both(&layout, &state, &known);
            assert!(!device.is_finite().unwrap());
        }
    }
    let (device, _) = both(&layout, &state(&layout, 0.5), &known);
    assert!(device.is_finite().unwrap());
}

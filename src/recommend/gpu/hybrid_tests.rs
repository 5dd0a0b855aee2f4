//! Side features on the device against the CPU; top-n selection against a sort.

use crate::Gpu;
use crate::cpu::random::Random;
use crate::recommend::best::best;
use crate::recommend::engine::{Layout, Optimizer};
use crate::recommend::features::Features;
use crate::recommend::gpu::tests::{
    LOSSES, UPDATE_OPTIONS, assert_same, both, defined, difference, interactions, layout, on,
    rules, state, variants,
};
use crate::recommend::gpu::*;
use crate::recommend::sampling::Loss;

/// Entities with zero to five of the features, sometimes one twice. The weights have few bits, so
/// that products with them are exact and the sum is the same, fused or not.
fn features(entities: u32, features: u32, identity: bool) -> Arc<Features> {
    let mut random = Random::new(u64::from(entities), 9);
    let mut triples = Vec::new();
    for entity in 0..entities {
        for _ in 0..(6.0 * random.uniform()) as u32 {
            let feature = (f64::from(features) * random.uniform()) as u32;
            triples.push((
                entity,
                feature,
                [0.5, 1.0, -0.25, 2.0][(4.0 * random.uniform()) as usize],
            ));
        }
    }
    let new = if identity { Features::with_identity } else { Features::new };
    Arc::new(new(entities as usize, features as usize, &triples).unwrap())
}

/// Features of items, of users, of both.
fn layouts(users: u32, items: u32, components: usize) -> [Layout; 3] {
    let plain = layout(users, items, components);
    let (of_users, of_items) = (Some(features(users, 7, true)), Some(features(items, 12, false)));
    [
        Layout { item_features: of_items.clone(), ..plain.clone() },
        Layout { user_features: of_users.clone(), ..plain.clone() },
        Layout { user_features: of_users, item_features: of_items, ..plain },
    ]
}

#[test]
fn sums_of_features_draw_what_the_definition_says() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let variants = variants();
    for layout in layouts(60, 200, 11) {
        let known = Arc::new(interactions(60, 200, 20));
        let state = state(&layout, 0.3);
        for (loss, gpu) in
            LOSSES.iter().flat_map(|loss| variants.each_ref().map(|gpu| (*loss, gpu)))
        {
            let rules = rules(loss, 200, 10);
            let (mut device, _) = on(gpu, &layout, &state, &known);
            let (found, _) = device.traced(
                &rules,
                &UpdateOptions { batch_size: known.len(), ..UPDATE_OPTIONS },
                4,
            );
            let exact = defined(&rules, &state, &layout, &known, known.len());
            assert_same(&found, &exact, &format!("{loss:?}"));
            assert!(
                exact.iter().filter(|sample| sample.step != 0.0).count() > known.len() / 8,
                "{loss:?}"
            );
        }
    }
}

#[test]
fn an_epoch_with_side_features_leaves_what_the_cpu_leaves() {
    crate::runtime::device::test_adapter::needs_gpu!();
    for (layout, (optimizer, alpha, bias)) in layouts(70, 250, 9).into_iter().zip([
        (Optimizer::Adagrad, 0.0, true),
        (Optimizer::Sgd, 1e-3, false),
        (Optimizer::Adagrad, 1e-3, false),
    ]) {
        let known = Arc::new(interactions(70, 250, 25));
        let state = state(&layout, 0.2);
        let learning_rate = if optimizer == Optimizer::Sgd { 0.0005 } else { 0.05 };
        let update_options = UpdateOptions {
            optimizer,
            learning_rate,
            user_alpha: alpha,
            item_alpha: 2.0 * alpha,
            user_bias_gradient: bias,
            batch_size: 100,
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
            // A feature is hit by up to half of the 3,500 interactions, twice by each, in two
            // epochs: 3,500 roundings of half an ulp of a number below the largest, half of them of
            // either sign, 3500 · 2⁻²⁴ = 2e-4.
            for (found, exact) in [(&found.users, &exact.users), (&found.items, &exact.items)] {
                for (name, a, b) in [
                    ("embeddings", &found.embeddings, &exact.embeddings),
                    ("biases", &found.biases, &exact.biases),
                    ("squares of embeddings", &found.embedding_squares, &exact.embedding_squares),
                    ("squares of biases", &found.bias_squares, &exact.bias_squares),
                ] {
                    let largest = b.iter().fold(1.0_f64, |largest, x| largest.max(x.abs()));
                    let off = difference(a, b) / largest;
                    assert!(off < 2e-4, "{loss:?} {optimizer:?} {name}: {off:e}");
                }
            }
            assert!(device.is_finite().unwrap());
            assert_eq!(device.ranks(&known, None).unwrap().len(), known.len());
        }
    }
}

#[test]
fn two_runs_with_side_features_give_the_same_bits() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let known = Arc::new(interactions(70, 250, 25));
    for layout in layouts(70, 250, 16) {
        let state = state(&layout, 0.3);
        let run = || {
            let (mut device, _) = both(&layout, &state, &known);
            for epoch in 0..2 {
                device.epoch(&rules(Loss::Warp, 250, 10), &UPDATE_OPTIONS, epoch).unwrap();
            }
            device.state().unwrap()
        };
        assert_eq!(run(), run());
    }
}

#[test]
fn scores_and_ranks_of_sums_are_those_of_the_cpu() {
    crate::runtime::device::test_adapter::needs_gpu!();
    for layout in layouts(50, 333, 20) {
        let known = Arc::new(interactions(50, 333, 9));
        let (device, host) = both(&layout, &state(&layout, 0.3), &known);
        let users: Vec<u32> = (0..50).rev().collect();
        let (found, exact) = (device.scores(&users).unwrap(), host.scores(&users).unwrap());
        // 24 products of two sums below 8, summed in a different order.
        let limit = 24.0 * 64.0 * f32::EPSILON;
        assert!(found.iter().zip(&exact).all(|(a, b)| (a - b).abs() <= limit));
        // The reference is exact without ties: items without features all tie, so they are excluded
        // from the test items.
        let scored = |item: u32| {
            layout.item_features.as_ref().is_none_or(|all| !all.of(item as usize).0.is_empty())
        };
        let pairs: Vec<(u32, u32)> =
            known.triples().map(|t| (t.0, t.1)).filter(|&(_, item)| scored(item)).collect();
        let wanted = Interactions::new(50, 333, &pairs).unwrap();
        let (found, exact) =
            (device.ranks(&wanted, None).unwrap(), host.ranks(&wanted, None).unwrap());
        let differ = found.iter().zip(&exact).filter(|(a, b)| a != b).count();
        // Ranks differ only where two scores lie within the limit.
        assert!(50 * differ <= found.len(), "{differ} of {}", found.len());
    }
}

#[test]
fn the_best_are_those_of_a_sort_ties_and_odd_numbers_too() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let gpu = Gpu::open().expect("these tests need an adapter, a software one will do");
    let mut random = Random::new(3, 3);
    for items in [1, 63, 64, 65, 1000, 20_000_usize] {
        let rows = 5;
        // Few distinct values, for many ties; the last row holds zeros of both signs and
        // infinities, the first a wide range.
        let scores: Vec<f32> = (0..rows * items)
            .map(|place| match place / items {
                0 => (random.normal() * 10f64.powf(40.0 * random.uniform() - 20.0)) as f32,
                4 => [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, 1e-40]
                    [(5.0 * random.uniform()) as usize],
                _ => (3.0 * random.normal()).round() as f32,
            })
            .collect();
        let left_out: Vec<Vec<u32>> = [0.0, 0.3, 0.99, 1.1, 0.5]
            .iter()
            .map(|share| (0..items as u32).filter(|_| random.uniform() < *share).collect())
            .collect();
        let lists: Vec<&[u32]> = left_out.iter().map(Vec::as_slice).collect();
        for n in [1, 2, 10, 64, 300].into_iter().filter(|&n| n <= items) {
            let buffer = gpu.upload("scores", &scores).unwrap();
            let found = choosing::choose(&gpu, &buffer, items, n, &lists).unwrap();
            for (row, found) in found.iter().enumerate() {
                let exact = best(&scores[row * items..][..items], n, &left_out[row]);
                let bits = |list: &[crate::recommend::best::Scored]| -> Vec<(u32, u32)> {
                    list.iter().map(|scored| (scored.item, scored.score.to_bits())).collect()
                };
                assert_eq!(bits(found), bits(&exact), "{n} of {items}, row {row}");
            }
        }
    }
}

#[test]
fn the_best_and_the_similar_are_those_of_the_cpu() {
    crate::runtime::device::test_adapter::needs_gpu!();
    for layout in [layout(30, 400, 12), layouts(30, 400, 12)[2].clone()] {
        let known = Arc::new(interactions(30, 400, 20));
        let (device, host) = both(&layout, &state(&layout, 0.4), &known);
        let users: Vec<u32> = (0..30).collect();
        // 3 of 400 are selected on the device, 399 on the host.
        for n in [0, 3, 50, 399] {
            for seen in [None, Some(&*known)] {
                let scores = device.scores(&users).unwrap();
                let found = device.best(&users, n, seen).unwrap();
                for (&user, found) in users.iter().zip(&found) {
                    let out = seen.map_or(&[][..], |seen| seen.of(user as usize));
                    assert_eq!(*found, best(&scores[user as usize * 400..][..400], n, out), "{n}");
                }
            }
        }
        for item in [0, 7, 399] {
            for n in [0, 1, 5, 60, 399] {
                let (found, exact) =
                    (device.similar(item, n).unwrap(), host.similar(item, n).unwrap());
                assert_eq!(found.len(), exact.len());
                // Cosines of twelve components: three sums of twelve products, two roots, a
                // quotient; at most 20 roundings.
                let close = |a: f32, b: f32| (a - b).abs() <= 20.0 * f32::EPSILON;
                assert!(
                    found
                        .iter()
                        .zip(&exact)
                        .all(|(a, b)| close(a.score, b.score) && a.item != item),
                    "{found:?}"
                );
            }
        }
    }
}

#[test]
fn cosines_hang_on_directions_alone() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let layout = layout(2, 40, 5);
    let known = Arc::new(interactions(2, 40, 3));
    let mut state = state(&layout, 1.0);
    let (device, _) = both(&layout, &state, &known);
    let plain = device.similar(3, 39).unwrap();
    // Squares overflow in the first and underflow in the second; scaling by a power of two changes
    // no bit of the result.
    for scale in [2f64.powi(100), 2f64.powi(-100)] {
        let mut scaled = state.clone();
        scaled.items.embeddings.iter_mut().for_each(|x| *x *= scale);
        let (device, _) = both(&layout, &scaled, &known);
        assert_eq!(device.similar(3, 39).unwrap(), plain);
    }
    state.items.embeddings[5 * 7..5 * 8].fill(0.0);
    let (device, _) = both(&layout, &state, &known);
    let zero = |list: Vec<crate::recommend::Scored>| {
        list.iter().filter(|scored| scored.score == 0.0).count()
    };
    assert_eq!(zero(device.similar(3, 39).unwrap()), 1);
    assert_eq!(zero(device.similar(7, 39).unwrap()), 39);
}

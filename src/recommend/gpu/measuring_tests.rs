//! Metrics reduced on the device, against the host's from the same ranks.

use crate::Gpu;
use crate::cpu::random::Random;
use crate::recommend::gpu::measuring::{metrics, metrics_of};
use crate::recommend::gpu::tests::{both, interactions, layout, state, variants};
use crate::recommend::gpu::*;
use crate::runtime::launch::lanes_of;

const CONVENTIONS: [Convention; 2] = [Convention::LightFm, Convention::Implicit];

/// The first `count(user)` items from `first(user)` on, wrapping around the item list.
fn chosen(
    users: usize,
    items: usize,
    first: impl Fn(usize) -> usize,
    count: impl Fn(usize) -> usize,
) -> Interactions {
    let row = |user: usize| (0..count(user)).map(move |item| (user, item));
    let pairs = (0..users)
        .flat_map(row)
        .map(|(user, item)| (user as u32, ((first(user) + item) % items) as u32));
    Interactions::new(users, items, &pairs.collect::<Vec<_>>()).unwrap()
}

/// Ranks distinct within each user: drawn from all items not excluded, unordered.
fn drawn(test: &Interactions, train: Option<&Interactions>) -> Vec<u32> {
    let mut random = Random::new(3, 1);
    let mut ranks = Vec::with_capacity(test.len());
    for user in 0..test.users() {
        let ranked = test.items() - train.map_or(0, |train| train.of(user).len());
        let mut all: Vec<u32> = (0..ranked as u32).collect();
        for place in 0..test.of(user).len() {
            let other = place + (random.uniform() * (ranked - place) as f64) as usize;
            all.swap(place, other.min(ranked - 1));
            ranks.push(all[place]);
        }
    }
    ranks
}

/// A term takes up to three conversions and sums, rounded to 2⁻²⁴ each, and two divisions, accurate
/// to 2.5 ulp of 2⁻²³: 13 · 2⁻²⁴. An invocation adds one term per iteration, the tree reduction
/// six. No term is negative, and the terms of a user sum to at most 1: the relative error of each
/// sum bounds that of a mean. The host's f64 error is negligible.
fn tolerance(gpu: &Gpu, count: usize) -> f64 {
    let lanes = lanes_of(gpu.is_software()) as usize;
    let iterations = count.div_ceil(lanes * count.div_ceil(lanes).min(1024));
    (iterations + 6 + 13) as f64 * 2_f64.powi(-24)
}

fn numbers(metrics: &Metrics) -> [f64; 6] {
    let Metrics { precision_at_k, recall_at_k, auc, mrr, map_at_k, ndcg_at_k, .. } = *metrics;
    [precision_at_k, recall_at_k, auc, mrr, map_at_k, ndcg_at_k]
}

fn assert_close(found: &Metrics, exact: &Metrics, tolerance: f64, case: &str) {
    assert_eq!((found.users, found.k), (exact.users, exact.k), "{case}");
    for (index, (found, exact)) in numbers(found).into_iter().zip(numbers(exact)).enumerate() {
        assert!(
            (found - exact).abs() <= tolerance,
            "{case}, number {index}: {found} for {exact}, within {tolerance:e}"
        );
    }
}

/// Both conventions on all kernel variants.
fn check(test: &Interactions, train: Option<&Interactions>, ranks: &[u32], k: usize, case: &str) {
    for gpu in variants() {
        for convention in CONVENTIONS {
            let exact = Metrics::new(convention, test, train, ranks, k).unwrap();
            let on_device = gpu.upload("ranks", ranks).unwrap();
            let found = metrics_of(&gpu, convention, test, train, on_device, k).unwrap();
            assert_close(
                &found,
                &exact,
                tolerance(&gpu, test.len()),
                &format!("{case}, {convention:?}, k {k}"),
            );
        }
    }
}

#[test]
fn metrics_on_the_device_are_those_of_the_host() {
    crate::runtime::device::test_adapter::needs_gpu!();
    // Users with no items, one, some, and one with all of them: no negatives.
    let counts = |user: usize| [0, 1, 3, 0, 17, 40, 2][user % 7];
    let test = chosen(50, 40, |user| 5 * user, counts);
    for k in [1, 5, 39, 40, 41, 1000] {
        check(&test, None, &drawn(&test, None), k, "no training");
    }
    // Exclusions per ranking: none for some users, all but the test items for others.
    let left_out = |user: usize| [4, 39, 7, 0, 10, 0, 38][user % 7];
    let train = chosen(50, 40, |user| 5 * user + counts(user), left_out);
    for k in [1, 5, 30, 40, usize::MAX] {
        check(&test, Some(&train), &drawn(&test, Some(&train)), k, "training items left out");
    }
    check(&chosen(1, 1, |_| 0, |_| 1), None, &[0], 1, "one item of one user");
}

#[test]
fn ties_count_against_each_other_as_on_the_host() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let test = chosen(30, 60, |user| user, |user| 1 + user % 9);
    // A model that ties all items ranks all last; one with few distinct scores ties some.
    for ranks in [vec![59; test.len()], (0..test.len() as u32).map(|place| place % 5 * 7).collect()]
    {
        for k in [1, 8, 60] {
            check(&test, None, &ranks, k, "ties");
        }
    }
}

#[test]
fn more_test_items_than_lanes_are_summed_in_turns() {
    crate::runtime::device::test_adapter::needs_gpu!();
    // 65,536 invocations on hardware, 8,192 on software.
    let test = chosen(14_000, 30, |user| user, |user| 1 + user % 11);
    assert!(test.len() > 65_536);
    check(&test, None, &drawn(&test, None), 10, "many users");
}

#[test]
fn a_user_with_twenty_thousand_test_items_is_measured() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let test = chosen(3, 50_000, |user| user, |user| [20_000, 1, 19_999][user]);
    for k in [10, 30_000] {
        check(&test, None, &drawn(&test, None), k, "20,000 items");
    }
}

#[test]
fn metrics_have_the_same_bits_in_every_run() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let test = chosen(3000, 100, |user| user, |user| user % 30);
    let ranks = drawn(&test, None);
    for gpu in variants() {
        let run = || {
            let ranks = gpu.upload("ranks", &ranks).unwrap();
            numbers(&metrics_of(&gpu, Convention::LightFm, &test, None, ranks, 10).unwrap())
                .map(f64::to_bits)
        };
        assert_eq!(run(), run());
    }
}

#[test]
fn metrics_of_a_model_are_those_of_its_ranks() {
    crate::runtime::device::test_adapter::needs_gpu!();
    let layout = layout(50, 333, 20);
    let (known, test) = (Arc::new(interactions(50, 333, 9)), interactions(50, 333, 6));
    let (device, _) = both(&layout, &state(&layout, 0.5), &known);
    for train in [None, Some(&*known)] {
        let ranks = device.ranks(&test, train).unwrap();
        for convention in CONVENTIONS {
            let exact = Metrics::new(convention, &test, train, &ranks, 10).unwrap();
            let found = metrics(&device, convention, &test, train, 10).unwrap();
            assert_close(&found, &exact, tolerance(&device.gpu, test.len()), "of a model");
        }
    }
}

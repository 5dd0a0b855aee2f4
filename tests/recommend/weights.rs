//! Counts as weights, with the same meaning on every device; and splits by time.

use gradus::Device;
use gradus::data::read_ratings;
use gradus::random::Random;
use gradus::recommend::{Confidence, Interactions, Loss, Optimizer, Recommender, most_popular};
use tempfile::TempDir;

use crate::{LOSSES, all_scores, says, support, tastes};

/// Counts from 1 to some hundreds, with a heavy tail.
fn counted(users: usize, items: usize) -> Interactions {
    let count = |user: u32, item: u32| 1.0 + ((user * 31 + item * 17) % 23).pow(2) as f32;
    let triples: Vec<(u32, u32, f32)> = tastes(users, items, 8)
        .triples()
        .map(|(user, item, _)| (user, item, count(user, item)))
        .collect();
    Interactions::weighted(users, items, &triples).unwrap()
}

#[test]
fn every_device_weighs_as_f64_does() {
    for confidence in [Confidence::Log, Confidence::Linear] {
        let chosen = counted(90, 80).with_confidence(confidence);
        let mean = chosen.triples().map(|(_, _, weight)| f64::from(weight)).sum::<f64>()
            / chosen.len() as f64;
        assert!((mean - 1.0).abs() < 1e-6, "{mean}");
        for loss in LOSSES {
            let recommender =
                Recommender::new(90, 80).loss(loss).components(12).learning_rate(0.01);
            let run = |device: &Device, chosen: &Interactions| {
                let mut model = recommender.clone().on(device).unwrap();
                let history = model.fit(chosen, 1).unwrap();
                (history.epochs[0], all_scores(&model, 90, 80))
            };
            let (double, exact) = run(&Device::reference(), &chosen);
            let (_, plain) =
                run(&Device::reference(), &counted(90, 80).with_confidence(Confidence::Binary));
            let difference =
                plain.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference > 0.01, "{loss:?}: the weights tell nothing: {difference}");
            for device in support::each_device() {
                let name = device.name();
                let (single, found) = run(&device, &chosen);
                assert_eq!(
                    (single.sampled, single.updates),
                    (double.sampled, double.updates),
                    "{loss:?} on {name}"
                );
                let error = (single.loss - double.loss).abs();
                assert!(
                    error <= 1e-5 * double.loss,
                    "{loss:?} on {name}: {} {}",
                    single.loss,
                    double.loss
                );
                // Some 60 updates of a row, each rounded to half a unit of a number below 4: 60 ·
                // 2⁻²³ · 2 · 12 in the worst case.
                let worst =
                    found.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(worst <= 60.0 * f32::EPSILON * 24.0, "{loss:?} on {name}: {worst:e}");
            }
        }
    }
}

#[test]
fn a_weight_of_three_moves_three_times_as_far() {
    for device in support::each_device() {
        for loss in [Loss::Logistic, Loss::Bpr] {
            // One SGD step: the update is the gradient of one interaction times its weight.
            let moved = |weight: f32| {
                let chosen = Interactions::weighted(2, 3, &[(0, 0, weight), (1, 1, 1e-6)]).unwrap();
                let recommender =
                    Recommender::new(2, 3).loss(loss).optimizer(Optimizer::Sgd).learning_rate(1e-3);
                let mut model = recommender.batch_size(2).max_sampled(100).on(&device).unwrap();
                let before = model.predict(&[0], &[0]).unwrap()[0];
                model.fit(&chosen, 1).unwrap();
                model.predict(&[0], &[0]).unwrap()[0] - before
            };
            let (one, three) = (moved(1.0), moved(3.0));
            // Second-order error: the step squared. Rounding: a unit of a number below 0.01.
            assert!(
                one > 1e-4 && (three / one - 3.0).abs() < 0.01,
                "{loss:?} on {}: {one} {three}",
                device.name()
            );
        }
    }
}

#[test]
fn what_is_like_the_often_played_is_recommended() {
    // Each user plays half of all items, those of its taste sixty times, the others once.
    let mut random = Random::new(5, 0);
    let mut triples = Vec::new();
    for (user, item) in (0..80).flat_map(|user| (0..40).map(move |item| (user, item))) {
        if random.uniform() < 0.5 {
            triples.push((user, item, if item % 2 == user % 2 { 60.0 } else { 1.0 }));
        }
    }
    let plays = Interactions::weighted(80, 40, &triples).unwrap();
    for device in support::each_device() {
        let share = |confidence| {
            let mut model = Recommender::new(80, 40).on(&device).unwrap();
            model.fit(&plays.clone().with_confidence(confidence), 20).unwrap();
            let lists = model.recommend_all(&(0..80).collect::<Vec<_>>(), 5, true).unwrap();
            let found = lists
                .iter()
                .enumerate()
                .flat_map(|(user, list)| list.iter().map(move |found| (user, found.item)));
            found.filter(|(user, item)| *item as usize % 2 == user % 2).count() as f64 / 400.0
        };
        let (log, binary) = (share(Confidence::Log), share(Confidence::Binary));
        // One half by chance, within 0.05 in two cases of three.
        assert!(log > 0.75 && (0.3..0.7).contains(&binary), "{log} {binary} on {}", device.name());
    }
}

#[test]
fn the_latest_are_held_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("plays.csv");
    std::fs::write(
        &path,
        "user,item,date\nb,1,2020-01-05\na,2,2020-01-03\na,1,2020-01-09\nb,2,2020-01-03\nb,3,2019-12-31\n",
    )
    .unwrap();
    let ratings = read_ratings(&path).unwrap();
    let chosen = Interactions::from_ratings(&ratings, 4.0, false).unwrap();
    let pairs =
        |of: &Interactions| of.triples().map(|(user, item, _)| (user, item)).collect::<Vec<_>>();
    let (train, test) = chosen.split_latest(0.4, &ratings).unwrap();
    assert_eq!((pairs(&test), pairs(&train)), (vec![(0, 0), (1, 0)], vec![(0, 1), (1, 1), (1, 2)]));
    // Of two on one day the later line counts as later.
    let (_, test) = chosen.split_latest(0.6, &ratings).unwrap();
    assert_eq!(pairs(&test), [(0, 0), (1, 0), (1, 1)]);
    assert_eq!(test.user_ids(), chosen.user_ids());
    says(chosen.split_latest(1.0, &ratings), &["test is 1", "[0, 1)"]);
    std::fs::write(&path, "user,item\nb,1\na,2\n").unwrap();
    says(
        chosen.split_latest(0.4, &read_ratings(&path).unwrap()),
        &["have no times", "`timestamp`"],
    );
    std::fs::write(&path, "user,item,time\nb,1,1\na,2,2\n").unwrap();
    says(
        chosen.split_latest(0.4, &read_ratings(&path).unwrap()),
        &["not those of the interactions"],
    );
}

#[test]
fn the_most_popular_are_those_that_most_users_chose() {
    let chosen = Interactions::weighted(
        3,
        4,
        &[(0, 3, 1.0), (1, 3, 9.0), (0, 1, 5.0), (2, 1, -1.0), (2, 2, 0.5)],
    )
    .unwrap();
    let found: Vec<(u32, f32)> =
        most_popular(&chosen, 3, &[]).iter().map(|found| (found.item, found.score)).collect();
    assert_eq!(found, [(3, 2.0), (1, 1.0), (2, 1.0)]);
    assert_eq!(most_popular(&chosen, 9, &[1, 3]).len(), 2);
}

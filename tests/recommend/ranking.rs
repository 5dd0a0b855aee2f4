//! Ranks, metrics from ranked lists, splits, and MovieLens against LightFM.

use gradus::Device;
use gradus::recommend::{Convention, Features, Interactions, Loss, Metrics, Model, Recommender};

use crate::{all_scores, bits, support, tastes};

#[test]
fn a_gpu_ranks_as_the_cpu_does_with_the_same_tables() {
    let Some(device) = support::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tastes.safetensors");
    let (train, test) = tastes(60, 77, 3).split(0.2, 1).unwrap();
    let mut trained = Recommender::new(60, 77).components(11).on(&device).unwrap();
    trained.fit(&train, 6).unwrap();
    trained.save(&path).unwrap();
    let single = Model::load(&path, &Device::cpu()).unwrap();
    let scores = [&trained, &single].map(|model| all_scores(model, 60, 77));
    // Eleven products and thirteen sums of numbers below 16, fused or not: 24 roundings of 2⁻²⁴ of
    // that each.
    let bound = 24.0 * 16.0 * f32::EPSILON / 2.0;
    assert!(scores[0].iter().all(|score| score.abs() < 16.0));
    assert!(scores[0].iter().zip(&scores[1]).all(|(a, b)| (a - b).abs() <= bound));
    let ranks = [&trained, &single].map(|model| model.predict_rank(&test, Some(&train)).unwrap());
    // A rank differs only where two items are within the bound: hardly ever.
    let differ = ranks[0].iter().zip(&ranks[1]).filter(|(a, b)| a != b).count();
    assert!(100 * differ <= test.len(), "{differ} of {}", test.len());
    let mut goes_on = Model::load(&path, &device).unwrap();
    assert_eq!(
        trained.fit_partial(&train, 2).unwrap().epochs[1].loss,
        goes_on.fit_partial(&train, 2).unwrap().epochs[1].loss
    );
    assert_eq!(bits(&all_scores(&trained, 60, 77)), bits(&all_scores(&goes_on, 60, 77)));
}

/// Items by score, best first, without those in `train`; among equal scores the later item first,
/// as ties count against the earlier.
fn ranking(scores: &[f32], train: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> =
        (0..scores.len() as u32).filter(|item| !train.contains(item)).collect();
    order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]));
    order
}

#[test]
fn metrics_are_those_of_the_ranked_lists() {
    let (users, items, k) = (40, 35, 10);
    let (train, test) = tastes(users, items, 8).split(0.4, 1).unwrap();
    let mut model = Recommender::new(users, items).components(4).on(&Device::cpu()).unwrap();
    model.fit(&train, 5).unwrap();
    let scores = all_scores(&model, users, items);
    let (mut lightfm, mut implicit, mut count) = ([0.0; 6], [0.0; 3], 0.0);
    for user in 0..users {
        let wanted = test.of(user);
        if wanted.is_empty() {
            continue;
        }
        count += 1.0;
        let order = ranking(&scores[user * items..][..items], train.of(user));
        let is_hit: Vec<bool> = order.iter().map(|item| wanted.contains(item)).collect();
        let hits = is_hit[..k].iter().filter(|hit| **hit).count() as f64;
        let most = wanted.len().min(k);
        let (mut above, mut pairs) = (0.0, 0.0);
        for (place, _) in is_hit.iter().enumerate().filter(|(_, hit)| **hit) {
            above += is_hit[place..].iter().filter(|hit| !**hit).count() as f64;
            pairs += is_hit.iter().filter(|hit| !**hit).count() as f64;
        }
        let (mut precision, mut gain, mut so_far) = (0.0, 0.0, 0.0);
        for (place, _) in is_hit[..k].iter().enumerate().filter(|(_, hit)| **hit) {
            so_far += 1.0;
            precision += so_far / (place as f64 + 1.0);
            gain += 1.0 / (place as f64 + 2.0).log2();
        }
        let ideal: f64 = (0..most).map(|place| 1.0 / (place as f64 + 2.0).log2()).sum();
        let first = is_hit.iter().position(|hit| *hit).unwrap() as f64;
        let values = [
            hits / k as f64,
            hits / wanted.len() as f64,
            above / pairs,
            1.0 / (first + 1.0),
            precision / most as f64,
            gain / ideal,
        ];
        lightfm.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        // implicit's loop over the list: a miss counts the hits so far, the rest is a straight
        // line.
        let (positives, negatives) = (wanted.len() as f64, (items - wanted.len()) as f64);
        let (mut hit, mut miss, mut area) = (0.0, 0.0, 0.0);
        for found in &is_hit[..k] {
            if *found {
                hit += 1.0;
            } else {
                miss += 1.0;
                area += hit;
            }
        }
        area += (hit + positives) / 2.0 * (negatives - miss);
        implicit
            .iter_mut()
            .zip([hits, most as f64, area / (positives * negatives)])
            .for_each(|(sum, value)| *sum += value);
    }
    let close =
        |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    let found = model.evaluate(&test, Some(&train), k).unwrap();
    let Metrics { precision_at_k, recall_at_k, auc, mrr, map_at_k, ndcg_at_k, .. } = found;
    let all = [precision_at_k, recall_at_k, auc, mrr, map_at_k, ndcg_at_k];
    all.into_iter().zip(lightfm).for_each(|(found, sum)| close(found, sum / count));
    assert_eq!(found.users as f64, count);
    let other = model.evaluate_as(Convention::Implicit, &test, Some(&train), k).unwrap();
    close(other.precision_at_k, implicit[0] / implicit[1]);
    close(other.auc, implicit[2] / count);
    assert_eq!((other.map_at_k, other.ndcg_at_k), (map_at_k, ndcg_at_k));
}

#[test]
fn ties_count_against_an_item() {
    // Before training all biases are 0; with embeddings of zero features all scores are 0.
    let none = Features::new(4, 1, &[]).unwrap();
    let model = Recommender::new(1, 4).item_features(none).on(&Device::cpu()).unwrap();
    let test = Interactions::new(1, 4, &[(0, 1), (0, 2)]).unwrap();
    assert_eq!(model.predict_rank(&test, None).unwrap(), [3, 3]);
    let train = Interactions::new(1, 4, &[(0, 0)]).unwrap();
    assert_eq!(model.predict_rank(&test, Some(&train)).unwrap(), [2, 2]);
    for convention in [Convention::LightFm, Convention::Implicit] {
        for k in [1, 3, 9] {
            let metrics = model.evaluate_as(convention, &test, Some(&train), k).unwrap();
            assert!(
                (0.0..=1.0).contains(&metrics.auc) && (0.0..=1.0).contains(&metrics.ndcg_at_k),
                "{metrics:?}"
            );
        }
    }
}

#[test]
fn recommendations_are_the_best_scores_without_what_was_seen() {
    let chosen = tastes(30, 40, 3);
    let mut model = Recommender::new(30, 40).on(&Device::cpu()).unwrap();
    model.fit(&chosen, 10).unwrap();
    let scores = all_scores(&model, 30, 40);
    for user in 0..30 {
        let row = &scores[user * 40..][..40];
        let expected = ranking(row, chosen.of(user));
        let found = model.recommend(user as u32, 5, true).unwrap();
        assert_eq!(found.iter().map(|scored| scored.item).collect::<Vec<_>>(), expected[..5]);
        assert!(found.iter().all(|scored| scored.score == row[scored.item as usize]));
        assert_eq!(model.recommend(user as u32, 99, false).unwrap().len(), 40);
    }
    let similar = model.similar_items(7, 39).unwrap();
    assert!(similar.iter().all(|scored| scored.item != 7) && similar.len() == 39);
    assert!(similar.windows(2).all(|two| two[0].score >= two[1].score));
    let own_taste = similar[..10].iter().filter(|scored| scored.item % 3 == 1).count();
    assert!(own_taste >= 7, "{own_taste} of the ten most similar items are of the item's taste");
}

#[test]
fn splits_part_the_interactions() {
    let all = tastes(50, 60, 4);
    let (train, test) = all.split(0.2, 3).unwrap();
    assert_eq!(test.len(), all.len() / 5);
    let mut both: Vec<_> =
        train.triples().chain(test.triples()).map(|(user, item, _)| (user, item)).collect();
    both.sort_unstable();
    assert_eq!(both, all.triples().map(|(user, item, _)| (user, item)).collect::<Vec<_>>());
    assert_eq!(all.split(0.2, 3).unwrap(), (train, test.clone()));
    assert_ne!(all.split(0.2, 4).unwrap().1, test);
    assert_eq!(all.split(0.0, 3).unwrap().1.len(), 0);
    let few = Interactions::new(2, 9, &[(0, 1), (0, 4), (1, 0), (1, 2), (1, 7)]).unwrap();
    let (train, test) = few.leave_out(2, 5).unwrap();
    assert_eq!(
        (train.of(0).len(), test.of(0).len(), train.of(1).len(), test.of(1).len()),
        (2, 0, 1, 2)
    );
    assert_eq!(few.leave_out(2, 5).unwrap(), (train, test));
}

/// LightFM 1.17 on the same file with 32 components, 20 epochs, learning rate 0.05, means over its
/// own three splits.
const LIGHTFM: [(Loss, [f64; 3]); 4] = [
    (Loss::Warp, [0.149, 0.134, 0.907]),
    (Loss::WarpKos, [0.140, 0.130, 0.875]),
    (Loss::Bpr, [0.120, 0.117, 0.846]),
    (Loss::Logistic, [0.100, 0.086, 0.867]),
];

#[test]
#[ignore = "needs GRADUS_MOVIELENS: the path of ratings.csv of MovieLens latest-small (2016)"]
fn movielens_is_ranked_as_well_as_lightfm_does() {
    let path = std::env::var("GRADUS_MOVIELENS").expect("GRADUS_MOVIELENS names ratings.csv");
    let ratings = gradus::data::read_ratings(path).unwrap();
    let all = Interactions::from_ratings(&ratings, 4.0, false).unwrap();
    assert_eq!((all.users(), all.items()), (671, 6170));
    let on = |device: &Device, recommender: Recommender| {
        let mut sums = [0.0; 3];
        for seed in 1..=3 {
            let (train, test) = all.split(0.2, seed).unwrap();
            assert_eq!(train.len(), 41_255);
            let mut model = recommender.clone().components(32).seed(seed).on(device).unwrap();
            model.fit(&train, 20).unwrap();
            let found = model.evaluate(&test, Some(&train), 10).unwrap();
            let values = [found.precision_at_k, found.recall_at_k, found.auc];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / 3.0);
        }
        sums
    };
    for device in [Some(Device::cpu()), support::gpu()].into_iter().flatten() {
        for (loss, theirs) in LIGHTFM {
            let ours = on(&device, Recommender::new(671, 6170).loss(loss));
            println!("{loss:?} on {}: {ours:.4?} against {theirs:?}", device.name());
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                assert!(ours >= theirs - 0.005, "{loss:?}");
            }
        }
    }
    let best = on(&Device::cpu(), Recommender::new(671, 6170).max_sampled(100));
    println!("WARP of 100 draws: {best:.4?}");
    assert!(best.into_iter().zip(LIGHTFM[0].1).all(|(ours, theirs)| ours > theirs));
}

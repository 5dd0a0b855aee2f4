//! Side features: their effect on every device, and the inputs that are rejected.

use gradus::Device;
use gradus::recommend::{Features, Interactions, Metrics, Model, Optimizer, Recommender};

use crate::{LOSSES, all_scores, bits, says, support, tastes};

/// Items with an own feature and one of three tastes, users of one of four groups and a half weight
/// of another.
fn hybrid(users: u32, items: u32) -> Recommender {
    let taste: Vec<(u32, u32, f32)> = (0..items).map(|item| (item, item % 3, 1.0)).collect();
    let groups: Vec<(u32, u32, f32)> =
        (0..users).flat_map(|user| [(user, user % 4, 1.0), (user, 4 + user % 3, 0.5)]).collect();
    let (users, items) = (users as usize, items as usize);
    Recommender::new(users, items)
        .item_features(Features::with_identity(items, 3, &taste).unwrap())
        .user_features(Features::with_identity(users, 7, &groups).unwrap())
}

#[test]
fn every_device_makes_the_draws_of_f64_with_side_features() {
    let chosen = tastes(90, 80, 5);
    for (loss, optimizer) in
        LOSSES.into_iter().flat_map(|loss| [(loss, Optimizer::Adagrad), (loss, Optimizer::Sgd)])
    {
        let recommender =
            hybrid(90, 80).loss(loss).optimizer(optimizer).components(12).learning_rate(0.01);
        let run = |device: &Device| {
            let mut model = recommender.clone().on(device).unwrap();
            let history = model.fit(&chosen, 1).unwrap();
            (history.epochs[0], all_scores(&model, 90, 80))
        };
        let (double, exact) = run(&Device::reference());
        for device in support::each_device() {
            let name = device.name();
            let (single, found) = run(&device);
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
            // A feature of a third of the items is updated some 1,000 times in the epoch, each
            // rounded to half a unit of a number below 4, and a score sums three of them on each
            // side: 1000 · 2⁻²³ · 2 · 3 in the worst case, a hundredth of it at random.
            let bound = 1000.0 * f32::EPSILON * 6.0;
            let worst = found.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(
                found.iter().all(|score| score.is_finite()) && worst <= bound,
                "{loss:?} on {name}: {worst:e}"
            );
        }
    }
}

#[test]
fn a_gpu_trains_ranks_and_keeps_side_features() {
    let Some(device) = support::gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hybrid.safetensors");
    let (train, test) = tastes(120, 90, 3).split(0.2, 1).unwrap();
    let run = || {
        let mut model = hybrid(120, 90).components(7).on(&device).unwrap();
        let history = model.fit(&train, 8).unwrap();
        assert!(history.epochs[7].loss < history.epochs[0].loss);
        model
    };
    let (model, again) = (run(), run());
    assert_eq!(bits(&all_scores(&model, 120, 90)), bits(&all_scores(&again, 120, 90)));
    model.save(&path).unwrap();
    let host = Model::load(&path, &Device::cpu()).unwrap();
    let ranks = [&model, &host].map(|model| model.predict_rank(&test, Some(&train)).unwrap());
    // Results may differ by eleven products and as many sums of numbers below 16: a rank differs
    // only where scores are that close.
    let differ = ranks[0].iter().zip(&ranks[1]).filter(|(a, b)| a != b).count();
    assert!(100 * differ <= test.len(), "{differ} of {}", test.len());
    let Metrics { auc, .. } = model.evaluate(&test, Some(&train), 10).unwrap();
    // Four of five of a user's test items are of the user's taste, and all of them rank above
    // nearly all others: see `every_loss_finds_the_tastes`.
    assert!(auc > 0.75, "{auc}");
    let users: Vec<u32> = (0..120).collect();
    let lists = [&model, &host].map(|model| model.recommend_all(&users, 5, true).unwrap());
    let same = lists[0].iter().zip(&lists[1]).filter(|(a, b)| a[0].item == b[0].item).count();
    assert!(same >= 118, "{same}");
    for item in [0, 44, 89] {
        let [found, exact] = [&model, &host].map(|model| model.similar_items(item, 10).unwrap());
        // Cosines of eight numbers in f32: at most 20 roundings.
        let close = |a: f32, b: f32| (a - b).abs() <= 20.0 * f32::EPSILON;
        assert!(
            found.iter().zip(&exact).all(|(a, b)| close(a.score, b.score) && a.item != item),
            "{found:?} {exact:?}"
        );
        assert_eq!((found.len(), exact.len()), (10, 10));
    }
    let mut goes_on = Model::load(&path, &device).unwrap();
    let mut model = model;
    assert_eq!(
        model.fit_partial(&train, 2).unwrap().epochs[1].loss,
        goes_on.fit_partial(&train, 2).unwrap().epochs[1].loss
    );
}

#[test]
fn more_features_of_one_item_than_a_batch_has_room_for_are_named() {
    let Some(device) = support::gpu() else { return };
    // 40,000 features of one item times 4,096 interactions of two items each: more slots than 32
    // bits can count.
    let many: Vec<(u32, u32, f32)> = (0..40_000).map(|feature| (0, feature, 0.01)).collect();
    let features = Features::new(60, 40_000, &many).unwrap();
    let chosen = tastes(400, 60, 1);
    let recommender = Recommender::new(400, 60).components(64).item_features(features);
    says(
        recommender.clone().batch_size(4096).on(&device).unwrap().fit(&chosen, 1),
        &["batch_size"],
    );
    let mut model = recommender.batch_size(20).on(&device).unwrap();
    assert!(model.fit(&Interactions::new(400, 60, &[(0, 0), (1, 1), (2, 0)]).unwrap(), 1).is_ok());
}

#[test]
fn features_of_their_own_are_no_features() {
    let chosen = tastes(60, 50, 2);
    let own = |count: u32| {
        let triples: Vec<(u32, u32, f32)> =
            (0..count).map(|entity| (entity, entity, 1.0)).collect();
        Features::new(count as usize, count as usize, &triples).unwrap()
    };
    for device in support::each_device() {
        let scores = |recommender: Recommender| {
            let mut model = recommender.components(6).on(&device).unwrap();
            model.fit(&chosen, 5).unwrap();
            bits(&all_scores(&model, 60, 50))
        };
        let plain = Recommender::new(60, 50);
        let with = plain.clone().user_features(own(60)).item_features(own(50));
        assert_eq!(scores(plain), scores(with), "{}", device.name());
    }
}

#[test]
fn features_tell_what_is_to_be_thought_of_a_new_item() {
    // Items 60 to 89 were never chosen in training: their taste is known only by a feature.
    let all = tastes(120, 90, 6);
    let part = |new: bool| {
        let pairs: Vec<(u32, u32)> = all
            .triples()
            .filter(|triple| (triple.1 >= 60) == new)
            .map(|(user, item, _)| (user, item))
            .collect();
        Interactions::new(120, 90, &pairs).unwrap()
    };
    let (train, test) = (part(false), part(true));
    let taste: Vec<(u32, u32, f32)> = (0..90).map(|item| (item, item % 3, 1.0)).collect();
    let auc = |device: &Device, features: Option<Features>| {
        let mut recommender = Recommender::new(120, 90).components(8);
        if let Some(features) = features {
            recommender = recommender.item_features(features);
        }
        let mut model = recommender.on(device).unwrap();
        model.fit(&train, 30).unwrap();
        model.evaluate(&test, Some(&train), 10).unwrap().auc
    };
    // Items of one taste tie, and ties count against: a test item of the user's taste has at worst
    // the 20 remaining of its taste above it, of 54 negatives, and five of six test items are of
    // that taste: 5/6 · (1 − 20/54) = 0.52. Without features a new item has a bias of 0 and ranks
    // below all items that training raised.
    for device in support::each_device() {
        let (with, without) =
            (auc(&device, Some(Features::new(90, 3, &taste).unwrap())), auc(&device, None));
        assert!(with > 0.52 && with > without + 0.1, "{with} {without} on {}", device.name());
    }
}

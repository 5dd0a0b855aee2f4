//! Training results: equal bits, options, weights.

use gradus::Device;
use gradus::recommend::{Interactions, Loss, Optimizer, RankWeight, Recommender};

use crate::{LOSSES, all_scores, bits, support, tastes};

#[test]
fn two_runs_and_any_number_of_threads_give_the_same_bits() {
    let chosen = tastes(200, 150, 1);
    for loss in LOSSES {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let recommender =
                    Recommender::new(200, 150).loss(loss).components(9).batch_size(700);
                let mut model = recommender.on(&Device::cpu()).unwrap();
                model.fit(&chosen, 3).unwrap();
                bits(&all_scores(&model, 200, 150))
            })
        };
        let one = run(1);
        assert_eq!(one, run(1), "{loss:?}");
        assert_eq!(one, run(2), "{loss:?}");
        assert_eq!(one, run(5), "{loss:?}");
    }
}

#[test]
fn two_runs_on_a_gpu_give_the_same_bits() {
    let Some(device) = support::gpu() else { return };
    let chosen = tastes(200, 150, 1);
    for loss in LOSSES {
        let run = || {
            let mut model = Recommender::new(200, 150)
                .loss(loss)
                .components(9)
                .batch_size(700)
                .on(&device)
                .unwrap();
            model.fit(&chosen, 3).unwrap();
            let ranks = model.predict_rank(&chosen, None).unwrap();
            (
                bits(&all_scores(&model, 200, 150)),
                ranks,
                model.recommend_all(&[0, 1, 7], 9, true).unwrap(),
            )
        };
        assert!(run() == run(), "{loss:?}");
    }
}

#[test]
fn a_training_in_parts_is_the_training_at_once() {
    let chosen = tastes(60, 50, 2);
    let new = || Recommender::new(60, 50).components(6).on(&Device::cpu()).unwrap();
    let (mut once, mut parts) = (new(), new());
    let whole = once.fit(&chosen, 7).unwrap();
    parts.fit(&chosen, 3).unwrap();
    let rest = parts.fit_partial(&chosen, 4).unwrap();
    assert_eq!(bits(&all_scores(&once, 60, 50)), bits(&all_scores(&parts, 60, 50)));
    assert_eq!(whole.epochs[6].loss, rest.epochs[3].loss);
    assert_eq!((once.epochs(), parts.epochs()), (7, 7));
    // `fit` starts from scratch.
    parts.fit(&chosen, 7).unwrap();
    assert_eq!(bits(&all_scores(&once, 60, 50)), bits(&all_scores(&parts, 60, 50)));
}

#[test]
fn every_loss_finds_the_tastes() {
    let (train, test) = tastes(150, 120, 9).split(0.2, 4).unwrap();
    for device in support::each_device() {
        for (loss, floor) in [(Loss::Warp, 0.75), (Loss::WarpKos, 0.75), (Loss::Bpr, 0.75)] {
            let mut model =
                Recommender::new(150, 120).loss(loss).components(8).on(&device).unwrap();
            let history = model.fit(&train, 40).unwrap();
            let metrics = model.evaluate(&test, Some(&train), 10).unwrap();
            // An item of the user's taste ranks above one of another with certainty, two of one
            // taste by chance. Of the 24 remaining items of the taste 4 are test items, of 80
            // others 0.8: with 4.8 in total the best AUC is about (4·0.9 + 0.8·0.3)/4.8 = 0.8.
            assert!(metrics.auc >= floor, "{loss:?} on {}: {metrics:?}", device.name());
            assert!(history.epochs[39].loss < history.epochs[0].loss, "{loss:?}");
        }
    }
}

#[test]
fn options_change_what_they_name() {
    let chosen = tastes(60, 50, 2);
    let base = || Recommender::new(60, 50).components(6);
    let scores = |recommender: Recommender| {
        let mut model = recommender.on(&Device::cpu()).unwrap();
        model.fit(&chosen, 5).unwrap();
        bits(&all_scores(&model, 60, 50))
    };
    let plain = scores(base());
    let others = [
        ("seed", base().seed(8)),
        ("margin", base().margin(0.5)),
        ("max_sampled", base().max_sampled(3)),
        ("rank_weight", base().rank_weight(RankWeight::Harmonic)),
        ("exact_rank", base().exact_rank(true)),
        ("user_alpha", base().user_alpha(0.01)),
        ("item_alpha", base().item_alpha(0.01)),
        ("user_bias_gradient", base().user_bias_gradient(true)),
        ("batch_size", base().batch_size(7)),
        ("optimizer", base().optimizer(Optimizer::Sgd)),
        ("learning_rate", base().learning_rate(0.1)),
    ];
    for (name, other) in others {
        assert_ne!(plain, scores(other), "{name}");
    }
    let kos = || base().loss(Loss::WarpKos);
    assert_ne!(scores(kos()), scores(kos().k_of_n(1, 10)));
    // No ranking depends on the users' biases.
    let rank = |recommender: Recommender| {
        let mut model = recommender.on(&Device::cpu()).unwrap();
        model.fit(&chosen, 5).unwrap();
        model.predict_rank(&chosen, None).unwrap()
    };
    assert_eq!(rank(base()), rank(base().user_bias_gradient(true)));
}

#[test]
fn l2_makes_the_vectors_shorter() {
    let chosen = tastes(60, 50, 2);
    let spread = |alpha: f64| {
        let recommender = Recommender::new(60, 50).user_alpha(alpha).item_alpha(alpha);
        let mut model = recommender.on(&Device::reference()).unwrap();
        model.fit(&chosen, 20).unwrap();
        all_scores(&model, 60, 50).into_iter().map(|score| score * score).sum::<f32>()
    };
    assert!(spread(1.0) < 0.5 * spread(0.0));
}

#[test]
fn weights_count_and_disliked_items_are_never_negatives() {
    // User 0 likes item 0 and dislikes all others: there is nothing to draw, so nothing is updated.
    let mut triples: Vec<(u32, u32, f32)> = (1..20).map(|item| (0, item, -1.0)).collect();
    triples.push((0, 0, 1.0));
    let chosen = Interactions::weighted(1, 20, &triples).unwrap();
    for loss in [Loss::Warp, Loss::WarpKos, Loss::Bpr] {
        let mut model = Recommender::new(1, 20).loss(loss).on(&Device::cpu()).unwrap();
        let history = model.fit(&chosen, 3).unwrap();
        assert!(history.epochs.iter().all(|epoch| epoch.updates == 0), "{loss:?}");
    }
    let mut model = Recommender::new(1, 20).loss(Loss::Logistic).on(&Device::cpu()).unwrap();
    model.fit(&chosen, 30).unwrap();
    let best = model.recommend(0, 1, false).unwrap();
    assert_eq!(best[0].item, 0);
    // A weight of 3 multiplies the gradient by three: with SGD and one interaction, three times the
    // step of the biases.
    let step = |weight: f32| {
        let one = Interactions::weighted(1, 2, &[(0, 0, weight)]).unwrap();
        let recommender =
            Recommender::new(1, 2).loss(Loss::Logistic).optimizer(Optimizer::Sgd).seed(1);
        let mut model = recommender.on(&Device::reference()).unwrap();
        let before = model.predict(&[0], &[0]).unwrap()[0];
        model.fit(&one, 1).unwrap();
        model.predict(&[0], &[0]).unwrap()[0] - before
    };
    // The vectors' contribution, of second order, is below 1 %.
    assert!((step(3.0) / step(1.0) - 3.0).abs() < 0.02);
}

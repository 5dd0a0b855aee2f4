//! Model files, and rejected inputs.

use gradus::recommend::{Features, Interactions, Model, Optimizer, Recommender};
use gradus::{Device, Error};

use crate::{all_scores, bits, says, support, tastes};

#[test]
fn a_saved_recommender_goes_on_as_if_nothing_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tastes.safetensors");
    let chosen = tastes(40, 45, 3);
    let genres: Vec<(u32, u32, f32)> = (0..45).map(|item| (item, item % 3, 0.5)).collect();
    for device in [Device::cpu(), Device::reference()] {
        let features = Features::with_identity(45, 3, &genres).unwrap();
        let recommender = Recommender::new(40, 45)
            .item_features(features)
            .components(5)
            .item_alpha(0.001)
            .seed(3);
        let mut model = recommender.on(&device).unwrap();
        model.fit(&chosen, 4).unwrap();
        model.save(&path).unwrap();
        let mut loaded = Model::load(&path, &device).unwrap();
        assert_eq!(bits(&all_scores(&model, 40, 45)), bits(&all_scores(&loaded, 40, 45)));
        assert_eq!(model.recommend(3, 5, true).unwrap(), loaded.recommend(3, 5, true).unwrap());
        assert_eq!(model.seen(), loaded.seen());
        assert_eq!(
            model.fit_partial(&chosen, 2).unwrap().epochs[1].loss,
            loaded.fit_partial(&chosen, 2).unwrap().epochs[1].loss
        );
        assert_eq!(bits(&all_scores(&model, 40, 45)), bits(&all_scores(&loaded, 40, 45)));
    }
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(matches!(Model::load(&path, &Device::cpu()), Err(Error::Data { .. })));
    std::fs::write(&path, b"no tensors at all").unwrap();
    assert!(matches!(Model::load(&path, &Device::cpu()), Err(Error::Data { .. })));
    assert!(matches!(
        Model::load(folder.path().join("none"), &Device::cpu()),
        Err(Error::Io { .. })
    ));
    // A dense model is not a recommender.
    let dense = gradus::Sequential::new(1).then(gradus::Dense::new(1)).on(&Device::cpu()).unwrap();
    dense.save(&path).unwrap();
    assert!(
        Model::load(&path, &Device::cpu()).unwrap_err().to_string().contains("gradus_recommender")
    );
}

#[test]
fn invalid_interactions_features_and_options_are_named() {
    says(Interactions::new(3, 4, &[(0, 0), (0, 4)]), &["item of number 1", "is 4", "0 to 3"]);
    says(Interactions::new(3, 4, &[(3, 0)]), &["user of number 0", "0 to 2"]);
    says(
        Interactions::new(3, 4, &[(1, 1), (0, 0), (1, 1)]),
        &["number 2", "user 1 and item 1 again", "number 0"],
    );
    says(Interactions::weighted(3, 4, &[(1, 1, f32::NAN)]), &["weight of number 0", "NaN"]);
    says(Interactions::weighted(3, 4, &[(1, 1, 0.0)]), &["weight of number 0", "not 0"]);
    says(Interactions::new(0, 4, &[]), &["users is 0"]);
    says(Features::new(2, 2, &[(0, 2, 1.0)]), &["feature of number 0", "0 to 1"]);
    says(Features::new(2, 2, &[(0, 1, f32::INFINITY)]), &["weight of number 0", "inf"]);
    says(Features::with_identity(2, 2, &[(0, 2, 1.0)]), &["feature of number 0", "0 to 1"]);
    let all = tastes(6, 9, 1);
    for share in [-0.1, 1.0, f64::NAN] {
        says(all.split(share, 1), &["test is", "[0, 1)"]);
    }
    says(all.leave_out(0, 1), &["k is 0"]);
    let cpu = Device::cpu();
    let base = || Recommender::new(6, 9);
    says(base().components(0).on(&cpu), &["components is 0"]);
    says(base().learning_rate(f64::NAN).on(&cpu), &["learning_rate is NaN"]);
    says(base().max_sampled(0).on(&cpu), &["max_sampled is 0"]);
    says(base().margin(f32::NAN).on(&cpu), &["margin is NaN"]);
    says(base().k_of_n(3, 2).on(&cpu), &["k is 3", "n, which is 2"]);
    says(base().k_of_n(3, 65).on(&cpu), &["n is 65", "64"]);
    says(base().user_alpha(-1.0).on(&cpu), &["user_alpha is -1"]);
    says(base().item_alpha(f64::INFINITY).on(&cpu), &["item_alpha is inf"]);
    says(base().batch_size(0).on(&cpu), &["batch_size is 0"]);
    says(
        base().user_features(Features::new(5, 1, &[]).unwrap()).on(&cpu),
        &["user features are of 5", "there are 6"],
    );
    let mut model = base().on(&cpu).unwrap();
    says(model.recommend(2, 3, true), &["user 2", "no interactions"]);
    says(model.fit(&tastes(6, 8, 1), 1), &["[6, 8]", "[6 users, 9 items]"]);
    says(model.fit(&Interactions::new(6, 9, &[]).unwrap(), 1), &["interactions hold no rows"]);
    model.fit(&Interactions::new(6, 9, &[(0, 1), (1, 2)]).unwrap(), 1).unwrap();
    says(model.recommend(6, 3, true), &["user 6", "never seen", "0 to 5"]);
    says(model.recommend(4, 3, true), &["user 4", "no interactions"]);
    says(model.predict(&[0], &[9]), &["item 9", "never seen", "0 to 8"]);
    says(model.predict(&[0, 1], &[1]), &["users are [2]", "items are [1]"]);
    says(model.similar_items(9, 1), &["item 9"]);
    says(model.evaluate(&all, None, 0), &["k is 0"]);
    says(
        model.evaluate(&Interactions::new(6, 9, &[]).unwrap(), None, 10),
        &["test interactions hold no rows"],
    );
    says(model.predict_rank(&tastes(5, 9, 1), None), &["test are [5, 9]"]);
    let mut wild = base().learning_rate(1e30).optimizer(Optimizer::Sgd).on(&cpu).unwrap();
    says(wild.fit(&all, 30), &["learning_rate is 1000", "epoch 1 did not stay finite", "lower"]);
}

#[test]
fn a_model_of_nan_ranks_last_and_not_first() {
    let all = tastes(6, 9, 1);
    // f64 does not overflow this early.
    for device in [Some(Device::cpu()), support::gpu()].into_iter().flatten() {
        let wild =
            Recommender::new(6, 9).components(4).learning_rate(1e30).optimizer(Optimizer::Sgd);
        let mut wild = wild.on(&device).unwrap();
        wild.fit(&all, 30).unwrap_err();
        let items: Vec<u32> = (0..9).collect();
        let broken = |user: u32| {
            wild.predict(&[user; 9], &items).unwrap().iter().all(|score| score.is_nan())
        };
        let users: Vec<u32> = (0..6).filter(|&user| broken(user)).collect();
        assert!(!users.is_empty(), "{}", device.name());
        let pairs: Vec<(u32, u32)> = users.iter().map(|&user| (user, 3)).collect();
        let ranks = wild.predict_rank(&Interactions::new(6, 9, &pairs).unwrap(), None).unwrap();
        assert!(ranks.iter().all(|&rank| rank == 8), "{}: {ranks:?}", device.name());
    }
}

#[test]
fn interactions_whose_rows_are_others_are_refused() {
    let of_users = |first: u32| {
        let lines: String = (0..3)
            .map(|user| format!("{},{},5\n{},9,5\n", first + user, 7 + user % 2, first + user))
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ratings.csv");
        std::fs::write(&path, format!("userId,movieId,rating\n{lines}")).unwrap();
        Interactions::from_ratings(&gradus::data::read_ratings(&path).unwrap(), 4.0, false).unwrap()
    };
    let (known, others) = (of_users(1), of_users(2));
    let mut model = Recommender::new(3, 3).components(4).on(&Device::cpu()).unwrap();
    model.fit(&known, 1).unwrap();
    says(model.fit_partial(&others, 1), &["interactions", "other users", "Ids::row"]);
    says(model.evaluate(&others, None, 1), &["test", "other users"]);
    model.fit(&others, 1).unwrap();
}

#[test]
fn a_save_replaces_the_file_in_one_move_and_a_newer_form_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [path, other] = ["model.safetensors", "other"].map(|name| folder.path().join(name));
    let model =
        |components| Recommender::new(3, 4).components(components).on(&Device::cpu()).unwrap();
    model(2).save(&path).unwrap();
    // A second hard link to the old file shows whether its bytes were overwritten.
    std::fs::hard_link(&path, &other).unwrap();
    let before = std::fs::read(&other).unwrap();
    model(3).save(&path).unwrap();
    assert_eq!(std::fs::read(&other).unwrap(), before);
    assert_ne!(std::fs::read(&path).unwrap(), before);

    let key = br#"\"version\":"#;
    let start = before.windows(key.len()).position(|bytes| bytes == key).unwrap() + key.len();
    let newer = [&before[..start], b"9", &before[start + 1..]].concat();
    std::fs::write(&path, newer).unwrap();
    says(Model::load(&path, &Device::cpu()), &["model.safetensors", "version 9", "newer gradus"]);
    // In a newer format version other fields may have other names.
    let mut renamed = std::fs::read(&path).unwrap();
    let part = br#"\"users\":"#;
    let start = renamed.windows(part.len()).position(|bytes| bytes == part).unwrap() + 2;
    renamed[start..start + 5].copy_from_slice(b"actor");
    std::fs::write(&path, renamed).unwrap();
    says(Model::load(&path, &Device::cpu()), &["version 9", "newer gradus"]);
}

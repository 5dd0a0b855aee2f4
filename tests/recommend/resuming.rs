//! An interrupted recommender training resumes as if it had not been interrupted: the files are
//! equal, byte by byte.

use std::ops::ControlFlow;

use gradus::recommend::{Fit, Interactions, Loss, Model, Recommender};
use gradus::{Device, Stop};

use crate::{support, tastes};

#[test]
fn a_training_in_pieces_leaves_the_file_of_an_unbroken_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let chosen = tastes(50, 60, 3);
    for device in support::each_device() {
        for loss in [Loss::Warp, Loss::WarpKos, Loss::Bpr, Loss::Logistic] {
            let new = || {
                let recommender = Recommender::new(50, 60)
                    .components(5)
                    .loss(loss)
                    .batch_size(12)
                    .item_alpha(1e-4);
                recommender.seed(9).on(&device).unwrap()
            };
            let whole = new().train(&chosen, Fit::new().epochs(6).checkpoint(&path)).unwrap();
            let expected = std::fs::read(&path).unwrap();
            for by_step in [true, false] {
                let cut = |fit: Fit| {
                    if by_step {
                        fit.on_step(|_, _| ControlFlow::Break(()))
                    } else {
                        fit.on_epoch(|_, _| ControlFlow::Break(()))
                    }
                };
                let mut history =
                    new().train(&chosen, cut(Fit::new().epochs(6).checkpoint(&path))).unwrap();
                let (mut pieces, mut in_midst) = (1, false);
                while let Some(Stop::Asked { batches, of, .. }) = history.stopped {
                    in_midst |= batches > 0 && batches < of;
                    let mut loaded = Model::load(&path, &device).unwrap();
                    let fit = Fit::new().epochs(loaded.epochs_left()).checkpoint(&path);
                    history = loaded.train(&chosen, cut(fit)).unwrap();
                    pieces += 1;
                }
                assert!(pieces >= 6 && in_midst == by_step, "{pieces} {in_midst}");
                let name = format!("{loss:?} on {}, by step: {by_step}", device.name());
                assert!(std::fs::read(&path).unwrap() == expected, "{name}");
                let loaded = Model::load(&path, &device).unwrap();
                assert_eq!(
                    (loaded.epochs(), loaded.epochs_left(), loaded.history().len()),
                    (6, 0, 6),
                    "{name}"
                );
                for (a, b) in loaded.history().iter().zip(&whole.epochs) {
                    assert_eq!(
                        (a.loss, a.sampled, a.updates),
                        (b.loss, b.sampled, b.updates),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn other_interactions_begin_another_epoch() {
    let mut model =
        Recommender::new(50, 60).components(5).batch_size(12).on(&Device::cpu()).unwrap();
    let cut = Fit::new().epochs(6).on_step(|_, _| ControlFlow::Break(()));
    assert!(model.train(&tastes(50, 60, 3), cut).unwrap().stopped.is_some());
    let other = tastes(50, 60, 4);
    let history = model.train(&other, Fit::new()).unwrap();
    assert!(history.epochs[0].sampled >= other.len() as u64 / 2, "{history:?}");
    assert_eq!((model.epochs(), model.epochs_left()), (1, 0));
}

#[test]
fn a_cut_epoch_belongs_to_its_own_interactions_whatever_was_seen_before() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| folder.path().join(name));
    let (first, second) = (tastes(50, 60, 3), tastes(50, 60, 4));
    let ends = |fit: Fit| fit.on_step(|_, _| ControlFlow::Break(()));
    let begun = || {
        let mut model =
            Recommender::new(50, 60).components(5).batch_size(12).on(&Device::cpu()).unwrap();
        model.train(&first, Fit::new().epochs(1)).unwrap();
        model
    };
    begun().train(&second, Fit::new().epochs(2).checkpoint(&whole)).unwrap();
    let mut model = begun();
    assert!(
        model
            .train(&second, ends(Fit::new().epochs(2).checkpoint(&cut)))
            .unwrap()
            .stopped
            .is_some()
    );
    let mut model = Model::load(&cut, &Device::cpu()).unwrap();
    model.train(&second, Fit::new().epochs(2).checkpoint(&cut)).unwrap();
    assert!(std::fs::read(&cut).unwrap() == std::fs::read(&whole).unwrap());

    // Both data sets count as seen: an epoch over both differs from the interrupted one over the
    // second alone.
    let both = first_and(&first, &second);
    let mut model = begun();
    assert!(model.train(&second, ends(Fit::new())).unwrap().stopped.is_some());
    let stopped = model.train(&both, ends(Fit::new())).unwrap().stopped;
    assert!(matches!(stopped, Some(Stop::Asked { batches: 8, .. })), "{stopped:?}");
}

/// The union of two data sets.
fn first_and(first: &Interactions, second: &Interactions) -> Interactions {
    let pairs = |of: &Interactions| -> Vec<(u32, u32)> {
        (0..50_u32)
            .flat_map(|user| of.of(user as usize).iter().map(move |&item| (user, item)))
            .collect()
    };
    let mut all = [pairs(first), pairs(second)].concat();
    all.sort_unstable();
    all.dedup();
    Interactions::new(50, 60, &all).unwrap()
}

#[test]
fn a_training_without_an_epoch_left_is_saved_where_it_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let mut model = Recommender::new(50, 60).components(5).on(&Device::cpu()).unwrap();
    model.train(&tastes(50, 60, 3), Fit::new().epochs(1)).unwrap();
    model.train(&tastes(50, 60, 3), Fit::new().epochs(0).checkpoint(&path)).unwrap();
    assert_eq!(Model::load(&path, &Device::cpu()).unwrap().epochs(), 1);
}

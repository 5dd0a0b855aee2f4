//! A recommender whose training was cut goes on as if it had not been: the files are equal, byte by byte.

use std::ops::ControlFlow;

use gradus::recommend::{Fit, Loss, Model, Recommender};
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
                let recommender = Recommender::new(50, 60).components(5).loss(loss).batch_size(12).item_alpha(1e-4);
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
                let mut history = new().train(&chosen, cut(Fit::new().epochs(6).checkpoint(&path))).unwrap();
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
                assert_eq!((loaded.epochs(), loaded.epochs_left(), loaded.history().len()), (6, 0, 6), "{name}");
                for (a, b) in loaded.history().iter().zip(&whole.epochs) {
                    assert_eq!((a.loss, a.sampled, a.updates), (b.loss, b.sampled, b.updates), "{name}");
                }
            }
        }
    }
}

#[test]
fn other_interactions_begin_another_epoch() {
    let mut model = Recommender::new(50, 60).components(5).batch_size(12).on(&Device::cpu()).unwrap();
    let cut = Fit::new().epochs(6).on_step(|_, _| ControlFlow::Break(()));
    assert!(model.train(&tastes(50, 60, 3), cut).unwrap().stopped.is_some());
    let other = tastes(50, 60, 4);
    let history = model.train(&other, Fit::new()).unwrap();
    assert!(history.epochs[0].sampled >= other.len() as u64 / 2, "{history:?}");
    assert_eq!((model.epochs(), model.epochs_left()), (1, 0));
}

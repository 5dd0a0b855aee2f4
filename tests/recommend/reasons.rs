//! The parts of a score.

use gradus::recommend::{Because, Features, Model, Reasons, Recommender};
use gradus::{Device, Error};

use crate::{support, tastes};

fn sum(reasons: &Reasons) -> f64 {
    let parts: f64 = reasons.because.iter().map(|because| because.part).sum();
    parts + reasons.rest + reasons.item_bias + reasons.user_bias
}

fn check(model: &Model, user: u32, chosen: &[u32]) {
    let items: Vec<u32> = (0..40).collect();
    let found = model.reasons(user, &items).unwrap();
    let scores = model.predict(&[user; 40], &items).unwrap();
    let device = model.device().describe();
    for ((item, found), score) in items.iter().zip(&found).zip(&scores) {
        assert_eq!((found.item, found.because.len()), (*item, chosen.len()));
        // f32 of the device: a dozen roundings of numbers below 16.
        assert!((sum(found) - f64::from(*score)).abs() < 2e-5, "{item} on {device}");
        assert!((found.score - sum(found)).abs() < 1e-9, "{item} on {device}");
        assert!(found.because.is_sorted_by(|a, b| a.part >= b.part));
        let item = |because: &Because| because.item;
        let mut named: Vec<u32> = found.because.iter().map(item).collect();
        named.sort_unstable();
        assert_eq!(named, chosen);
    }
}

#[test]
fn the_parts_add_up_to_the_score_on_every_device() {
    let chosen = tastes(30, 40, 2);
    let taste: Vec<(u32, u32, f32)> = (0..40).map(|item| (item, item % 3, 0.5)).collect();
    for device in support::each_device() {
        for features in [None, Some(Features::with_identity(40, 3, &taste).unwrap())] {
            let mut recommender = Recommender::new(30, 40).components(8);
            if let Some(features) = features {
                recommender = recommender.item_features(features);
            }
            let mut model = recommender.on(&device).unwrap();
            model.fit(&chosen, 10).unwrap();
            check(&model, 4, chosen.of(4));
        }
    }
}

/// Items of the user's taste are pulled by the user's items of that taste, not by the few others.
#[test]
fn what_pulls_an_item_is_of_its_kind() {
    let chosen = tastes(90, 60, 3);
    let mut model = Recommender::new(90, 60).components(8).on(&Device::cpu()).unwrap();
    model.fit(&chosen, 30).unwrap();
    let (mut first, mut asked) = (0, 0);
    for user in 0..90 {
        let items: Vec<u32> = (0..60)
            .filter(|item| {
                item % 3 == user % 3 && chosen.of(user as usize).binary_search(item).is_err()
            })
            .collect();
        for reasons in model.reasons(user, &items).unwrap() {
            asked += 1;
            first += usize::from(reasons.because[0].item % 3 == user % 3);
        }
    }
    // Of a user's items ten in eleven are of the taste.
    assert!(first as f64 >= 0.97 * asked as f64, "{first} of {asked}");
}

#[test]
fn who_has_no_items_has_no_reasons() {
    let chosen = gradus::recommend::Interactions::new(3, 4, &[(0, 0), (0, 1), (1, 2)]).unwrap();
    let mut model = Recommender::new(3, 4).components(4).on(&Device::cpu()).unwrap();
    assert!(model.reasons(0, &[1]).is_err());
    model.fit(&chosen, 2).unwrap();
    for (user, items) in [(2, &[0][..]), (3, &[0]), (0, &[4])] {
        let error = model.reasons(user, items).unwrap_err();
        assert!(matches!(error, Error::Input { .. }), "{error}");
    }
    assert_eq!(model.reasons(0, &[]).unwrap(), []);
    assert_eq!(model.reasons(1, &[3]).unwrap()[0].because.len(), 1);
}

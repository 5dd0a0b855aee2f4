//! Populations: each member trains exactly as it would alone.

use crate::support::each_device;
use gradus::activations::{Gelu, LeakyRelu, Relu, Sigmoid, Softmax, Tanh};
use gradus::losses::{CrossEntropy, Huber, Mse};
use gradus::optimizers::{Adam, GradientDescent, Sgd};
use gradus::random::Random;
use gradus::schedules::Cosine;
use gradus::{
    Dense, Device, EarlyStopping, Fit, History, Member, Model, Population, Sequential, Stop,
};
use ndarray::{Array1, Array2};

/// Points in three clouds: features [rows, 5], labels, and a regression target.
fn clouds(rows: usize, seed: u64) -> (Array2<f32>, Array1<i64>, Array2<f32>) {
    let mut random = Random::new(seed, 0);
    let labels = Array1::from_shape_fn(rows, |row| (row % 3) as i64);
    let features = Array2::from_shape_fn((rows, 5), |(row, k)| {
        let centre = if k == labels[row] as usize { 2.0 } else { 0.0 };
        (centre + 0.5 * random.normal()) as f32
    });
    let numbers = Array2::from_shape_fn((rows, 1), |(row, _)| features.row(row).sum() - 1.0);
    (features, labels, numbers)
}

fn description() -> Sequential {
    Sequential::new(5).then(Dense::new(16).activation(Relu)).then(Dense::new(3))
}

fn seed(member: usize) -> u64 {
    40 + 3 * member as u64
}

fn rate(member: usize) -> f64 {
    0.01 / (1.0 + member as f64)
}

/// The given number of members, each with its own seed, rate and smoothing.
fn population(members: usize, device: &Device) -> Population {
    let members = (0..members).map(|member| {
        let smoothing = 0.02 * member as f64;
        Member::new()
            .seed(seed(member))
            .learning_rate(rate(member))
            .loss("label_smoothing", smoothing)
    });
    Population::new(description(), members, device)
        .unwrap()
        .compile(CrossEntropy::new(), Adam::new())
        .unwrap()
}

/// The same member as a separate model.
fn alone(member: usize, device: &Device) -> Model {
    let loss = CrossEntropy::new().label_smoothing(0.02 * member as f64);
    let optimizer = Adam::new().learning_rate(rate(member));
    description().seed(seed(member)).on(device).unwrap().compile(loss, optimizer).unwrap()
}

fn bits(model: &Model) -> Vec<u64> {
    let layers = model.weights().unwrap();
    layers
        .iter()
        .flat_map(|(w, b)| w.iter().chain(b).map(|x| x.to_bits()).collect::<Vec<_>>())
        .collect()
}

/// Losses of steps within the rounding error of f32 over a hundred steps of Adam: see
/// tests/training/stories.rs.
fn assert_alike(name: &str, expected: &[f64], found: &[f64]) {
    assert_eq!(expected.len(), found.len(), "{name}");
    for (step, (e, f)) in expected.iter().zip(found).enumerate() {
        assert!((e - f).abs() <= 1e-4 * e.abs(), "{name}: step {step}: {f} instead of {e}");
    }
}

#[test]
fn a_member_goes_the_way_it_would_go_alone() {
    let (x, y, _) = clouds(330, 1);
    // Ten batches of 32 and one of 10, nine epochs: 99 steps.
    let fit = || Fit::new().epochs(9).batch_size(32);
    for members in [1, 3, 17] {
        for device in each_device() {
            let mut population = population(members, &device);
            let histories = population.fit(&x, &y, fit()).unwrap();
            assert_eq!(histories.len(), members);
            for member in (0..members).step_by(5) {
                let name = format!("{}, member {member} of {members}", device.describe());
                let mut model = alone(member, &device);
                let expected = model.fit(&x, &y, fit()).unwrap();
                assert_alike(&name, &expected.steps, &histories[member].steps);
                let [a, b] = [&expected, &histories[member]]
                    .map(|history| history.epochs[8].accuracy.unwrap());
                assert!((a - b).abs() <= 1.0 / 330.0, "{name}: {b} instead of {a}");
                if !matches!(device, Device::Gpu(_)) {
                    assert_eq!(bits(&model), bits(&population.member(member).unwrap()), "{name}");
                }
            }
        }
    }
}

#[test]
fn a_member_does_not_depend_on_the_others() {
    let (x, y, _) = clouds(96, 2);
    for device in each_device() {
        let run = |members: Vec<Member>| {
            let made = Population::new(description(), members, &device).unwrap();
            let mut made =
                made.compile(CrossEntropy::new(), Adam::new().learning_rate(0.01)).unwrap();
            made.fit(&x, &y, Fit::new().epochs(3).batch_size(20)).unwrap();
            (0..made.len()).map(|member| bits(&made.member(member).unwrap())).collect::<Vec<_>>()
        };
        let member = |seed: u64| Member::new().seed(seed);
        let three = run(vec![member(1), member(2), member(3)]);
        let turned = run(vec![member(3), member(1), member(2)]);
        assert_eq!(
            [&three[0], &three[1], &three[2]],
            [&turned[1], &turned[2], &turned[0]],
            "{}",
            device.describe()
        );
        assert_eq!(run(vec![member(2)])[0], three[1], "{}", device.describe());
        assert_ne!(three[0], three[1]);
    }
}

#[test]
fn two_runs_give_equal_bits() {
    let (x, y, _) = clouds(130, 3);
    for device in each_device() {
        let run = || {
            let mut made = population(5, &device);
            made.fit(&x, &y, Fit::new().epochs(4).batch_size(24).clip_norm(0.3)).unwrap();
            (0..5).map(|member| bits(&made.member(member).unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(run(), run(), "{}", device.describe());
    }
}

/// The same population on every device, compared with the reference.
fn every_device_agrees(
    make: impl Fn(&Device) -> Population,
    fit: impl Fn(&mut Population) -> Vec<History>,
) {
    let run = |device: &Device| fit(&mut make(device));
    let expected = run(&Device::reference());
    for device in each_device() {
        for (member, (e, f)) in expected.iter().zip(run(&device)).enumerate() {
            assert_alike(&format!("{}, member {member}", device.describe()), &e.steps, &f.steps);
        }
    }
}

#[test]
fn every_activation_and_penalty_learns_alike_on_every_device() {
    let (x, y, _) = clouds(96, 4);
    let make = |device: &Device| {
        let description = Sequential::new(5)
            .l2(1e-3)
            .then(Dense::new(8).activation(Gelu::default()))
            .then(Dense::new(7).activation(Tanh).l1(1e-3))
            .then(Dense::new(5).activation(Softmax))
            .then(Dense::new(9).activation(LeakyRelu::default()).bias(false))
            .then(Dense::new(3).activation(Sigmoid));
        let members = (0..3).map(|k| Member::new().seed(k).learning_rate(0.2 + 0.1 * k as f64));
        let made = Population::new(description, members, device).unwrap();
        made.compile(Mse::new(), Sgd::new().momentum(0.9).nesterov(true)).unwrap()
    };
    every_device_agrees(make, |population| {
        population.fit(&x, &y, Fit::new().epochs(4).batch_size(20)).unwrap()
    });
}

#[test]
fn options_of_optimizer_and_loss_are_each_members_own() {
    let (x, _, numbers) = clouds(96, 5);
    let make = |device: &Device| {
        let description =
            Sequential::new(5).then(Dense::new(6).activation(Tanh)).then(Dense::new(1));
        let members = (0..4).map(|k| {
            let k = f64::from(k);
            Member::new()
                .optimizer("beta1", 0.5 + 0.1 * k)
                .optimizer("weight_decay", 0.1 * k)
                .loss("delta", 0.2 + k)
        });
        let made = Population::new(description, members, device).unwrap();
        made.compile(Huber::new(), Adam::new().learning_rate(0.02)).unwrap()
    };
    every_device_agrees(make, |population| {
        let histories = population
            .fit(&x, &numbers, Fit::new().epochs(5).batch_size(32).clip_norm(0.4))
            .unwrap();
        let last: Vec<f64> = histories.iter().map(|history| history.epochs[4].loss).collect();
        assert!(last.windows(2).all(|pair| (pair[0] - pair[1]).abs() > 1e-3), "{last:?}");
        histories
    });
}

#[test]
fn gradient_descent_adds_up_the_whole_data_set_for_each_member() {
    let (x, _, numbers) = clouds(100, 6);
    let make = |device: &Device| {
        let members = (0..3).map(|k| Member::new().seed(k).learning_rate(0.02 * (1.0 + k as f64)));
        let made =
            Population::new(Sequential::new(5).then(Dense::new(1)), members, device).unwrap();
        made.compile(Mse::new(), GradientDescent::new()).unwrap()
    };
    every_device_agrees(make, |population| {
        population.fit(&x, &numbers, Fit::new().epochs(30).batch_size(33)).unwrap()
    });
}

/// A dispatch of as many steps as its time limit allows must perform all of them: a driver may cut
/// loops short.
#[test]
fn two_thousand_steps_go_as_far_in_long_dispatches_as_alone() {
    // 1,200 steps per epoch, so that a dispatch of the second takes hundreds of them.
    let (x, y, _) = clouds(38_400, 12);
    let fit = || Fit::new().epochs(2).batch_size(32);
    let expected = alone(1, &Device::reference()).fit(&x, &y, fit()).unwrap();
    for device in each_device() {
        let histories = population(2, &device).fit(&x, &y, fit()).unwrap();
        for epoch in [0, 1] {
            // Means of 1,200 losses: small differences average out, and all runs approach the same
            // minimum. Steps that skip rows or updates are off by far more than 1 %.
            let (e, f) = (expected.epochs[epoch].loss, histories[1].epochs[epoch].loss);
            assert!(
                (e - f).abs() <= 0.01 * e,
                "{}: epoch {epoch}: {f} instead of {e}",
                device.describe()
            );
        }
    }
}

#[test]
fn ignored_labels_and_validation_count_for_each_member() {
    let (x, y, _) = clouds(150, 7);
    let mut with_ignored = y.clone();
    with_ignored.iter_mut().step_by(4).for_each(|label| *label = -100);
    for device in each_device() {
        let fit = || Fit::new().epochs(3).batch_size(16).validation_split(0.2);
        let mut population = population(3, &device);
        let histories = population.fit(&x, &with_ignored, fit()).unwrap();
        let scores = population.evaluate(&x, &with_ignored).unwrap();
        for member in 0..3 {
            let mut model = alone(member, &device);
            let expected = model.fit(&x, &with_ignored, fit()).unwrap();
            let (e, f) = (
                expected.epochs[2].val_loss.unwrap(),
                histories[member].epochs[2].val_loss.unwrap(),
            );
            assert!((e - f).abs() <= 1e-4 * e, "{}: {f} instead of {e}", device.describe());
            let score = model.evaluate(&x, &with_ignored).unwrap();
            assert!(
                (score.loss - scores[member].loss).abs() <= 1e-4 * score.loss,
                "{}",
                device.describe()
            );
            assert!(
                (score.accuracy.unwrap() - scores[member].accuracy.unwrap()).abs() <= 1.0 / 112.0
            );
        }
        assert_eq!(histories[0].columns().len(), 4);
    }
}

#[test]
fn each_member_stops_for_itself_and_the_others_go_on() {
    let (x, _, numbers) = clouds(64, 8);
    for device in each_device() {
        // The first cannot learn, the second learns, the third diverges.
        let members = [0.0, 1e-2, 1e200].map(|rate| Member::new().learning_rate(rate));
        let description = Sequential::new(5).then(Dense::new(4)).then(Dense::new(1));
        let mut made = Population::new(description, members, &device)
            .unwrap()
            .compile(Mse::new(), Sgd::new())
            .unwrap();
        let fit =
            Fit::new().epochs(8).early_stopping(EarlyStopping::new().patience(2)).shuffle(false);
        let histories = made.fit(&x, &numbers, fit).unwrap();
        let name = device.describe();
        assert!(
            matches!(histories[0].stopped, Some(Stop::Early { best_epoch: 1, .. })),
            "{name}: {:?}",
            histories[0]
        );
        assert_eq!(histories[0].epochs.len(), 3, "{name}");
        assert_eq!([histories[0].restored, histories[1].restored], [Some(1), None], "{name}");
        assert_eq!((histories[1].epochs.len(), &histories[1].stopped), (8, &None), "{name}");
        assert!(
            matches!(histories[2].stopped, Some(Stop::NotFinite { epoch: 1, .. })),
            "{name}: {:?}",
            histories[2]
        );
        assert!(
            made.member(2)
                .unwrap()
                .weights()
                .unwrap()
                .iter()
                .all(|(w, _)| w.iter().all(|x| x.is_finite()))
        );
        assert_eq!(made.best(), Some(1), "{name}");
        assert_eq!(made.member(0).unwrap().steps(), 2, "{name}");
        assert_eq!(made.member(1).unwrap().steps(), 16, "{name}");
    }
}

#[test]
fn a_second_fit_goes_on_and_a_member_leaves_as_a_model() {
    let (x, y, _) = clouds(90, 9);
    let folder = tempfile::tempdir().unwrap();
    for device in each_device() {
        let fit = |epochs| Fit::new().epochs(epochs).batch_size(16);
        let mut whole = population(3, &device);
        whole.fit(&x, &y, fit(5)).unwrap();
        let mut broken = population(3, &device);
        broken.fit(&x, &y, fit(2)).unwrap();
        let path = folder.path().join(device.name());
        broken.member(1).unwrap().save(&path).unwrap();
        broken.fit(&x, &y, fit(3)).unwrap();
        for member in 0..3 {
            let [a, b] = [&whole, &broken].map(|made| bits(&made.member(member).unwrap()));
            assert_eq!(a, b, "{}, member {member}", device.describe());
        }
        let mut model = Model::load(&path, &device).unwrap();
        model.fit(&x, &y, fit(3)).unwrap();
        let (expected, found) = (model.predict(&x).unwrap(), whole.predict(&x).unwrap());
        // Seventy steps, then three sums of some ten products: as the losses of `assert_alike`.
        assert!(
            expected.iter().zip(&found[1]).all(|(e, f)| (e - f).abs() <= 1e-3 * e.abs().max(1.0))
        );
        let mean = whole.predict_mean(&x).unwrap();
        let third = (found[0][[7, 2]] + found[1][[7, 2]] + found[2][[7, 2]]) / 3.0;
        assert!((mean[[7, 2]] - third).abs() <= 1e-5 * third.abs().max(1.0));
    }
}

#[test]
fn invalid_members_and_fit_options_are_refused_by_name() {
    let (x, y, _) = clouds(12, 10);
    let device = Device::cpu();
    let made =
        |member: Member| Population::new(description(), [Member::new(), member], &device).unwrap();
    let compile = |member: Member| {
        made(member).compile(CrossEntropy::new(), Adam::new()).unwrap_err().to_string()
    };
    assert!(compile(Member::new().optimizer("momentum", 0.9)).contains("momentum"));
    assert!(compile(Member::new().learning_rate(-1.0)).contains("learning_rate is -1"));
    assert!(compile(Member::new().loss("label_smoothing", 2.0)).contains("label_smoothing is 2"));
    assert!(compile(Member::new().loss("ignore_index", 7)).contains("member 1"));
    assert!(
        Population::new(description(), [], &device).unwrap_err().to_string().contains("members")
    );
    let message = made(Member::new()).fit(&x, &y, Fit::new()).unwrap_err().to_string();
    assert!(message.contains("compile"), "{message}");
    let mut ready = made(Member::new()).compile(CrossEntropy::new(), Adam::new()).unwrap();
    let message = ready.fit(&x, &y, Fit::new().checkpoint("model")).unwrap_err().to_string();
    assert!(message.contains("checkpoint"), "{message}");
    assert!(ready.member(2).unwrap_err().to_string().contains("below 2"));
    assert_eq!(ready.best(), None);
}

#[test]
fn a_schedule_of_ones_own_is_that_of_a_model_alone() {
    let (features, labels, _) = clouds(60, 1);
    let device = Device::cpu();
    let steps = 4 * 60_u64.div_ceil(16);
    let cosine = |rate: f64| serde_json::json!({ "learning_rate": rate, "steps": steps });
    let members = [
        Member::new().seed(3).schedule("cosine", cosine(0.02)),
        Member::new().seed(4),
        Member::new().seed(5).schedule("cosine", cosine(0.005)),
    ];
    let fit = || Fit::new().epochs(4).batch_size(16).progress(false);
    let population = Population::new(description(), members, &device).unwrap();
    let mut population = population.compile(CrossEntropy::new(), Adam::new()).unwrap();
    let histories = population.fit(&features, &labels, fit()).unwrap();
    for (member, (seed, rate)) in
        [(3, Some(0.02)), (4, None), (5, Some(0.005))].into_iter().enumerate()
    {
        let model = description().seed(seed).on(&device).unwrap();
        let mut model = model.compile(CrossEntropy::new(), Adam::new()).unwrap();
        let alone = match rate {
            Some(rate) => fit().schedule(Cosine::new().learning_rate(rate).steps(steps)),
            None => fit(),
        };
        let history = model.fit(&features, &labels, alone).unwrap();
        assert_eq!(bits(&model), bits(&population.member(member).unwrap()), "member {member}");
        let rates = |history: &History| -> Vec<Option<f64>> {
            history.epochs.iter().map(|epoch| epoch.learning_rate).collect()
        };
        assert_eq!(rates(&history), rates(&histories[member]));
        assert_eq!(rates(&history)[0].is_some(), rate.is_some());
    }
    let wrong = [Member::new().schedule("cosines", serde_json::json!({}))];
    let population = Population::new(description(), wrong, &device).unwrap();
    let mut population = population.compile(CrossEntropy::new(), Adam::new()).unwrap();
    let error = population.fit(&features, &labels, fit()).unwrap_err().to_string();
    assert!(error.contains("unknown schedule `cosines`"), "{error}");
}

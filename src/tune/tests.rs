//! Whole searches on small data.

use std::fs;
use std::path::Path;

use ndarray::{Array1, Array2};

use crate::Device;
use crate::cpu::random::Random;
use crate::data::{Dataset, Target};
use crate::tune::{Budget, Metric, Tune, Tuned};

/// Two rungs of a bracket of nine on 80 to 100 rows.
const BUDGET: u64 = 60_000;

/// Rows whose target is linear in three of the features, with noise.
fn numbers(rows: usize) -> Dataset {
    let mut random = Random::new(5, 0);
    let features = Array2::from_shape_fn((rows, 4), |_| random.normal() as f32);
    let target = Array2::from_shape_fn((rows, 1), |(row, _)| {
        let at = |column| features[[row, column]];
        100.0 + 10.0 * (2.0 * at(0) - at(1) + 0.5 * at(2)) + random.normal() as f32
    });
    Dataset::new(features, Target::Values(target)).unwrap()
}

/// Rows of two classes on either side of a plane.
fn classes(rows: usize) -> Dataset {
    let mut random = Random::new(6, 0);
    let features = Array2::from_shape_fn((rows, 3), |_| random.normal() as f32);
    let side = |row: usize| i64::from(features[[row, 0]] + features[[row, 1]] > 0.0);
    let labels = Array1::from_shape_fn(rows, side);
    let classes = vec!["below".into(), "above".into()];
    Dataset::new(features.clone(), Target::Labels { labels, classes }).unwrap()
}

fn tune(study: Option<&Path>, rows: &Dataset, device: &Device) -> Tuned {
    let tune = Tune::new().budget(Budget::RowUpdates(BUDGET)).bracket(9);
    let tune = match study {
        Some(path) => tune.study(path),
        None => tune,
    };
    tune.run(rows, device).unwrap()
}

/// The lines of a journal without their times.
fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let without =
        |line: &str| line.find("\"datetime").map_or(line.to_string(), |at| line[..at].to_string());
    text.lines().map(without).collect()
}

#[test]
fn the_best_is_near_what_the_noise_allows() {
    let tune = Tune::new().budget(Budget::RowUpdates(300_000)).bracket(9);
    let tuned = tune.run(&numbers(60), &Device::cpu()).unwrap();
    assert_eq!(tuned.metric, Metric::Rmse);
    assert!(tuned.cost <= 300_000, "{}", tuned.cost);
    let best = tuned.leaderboard()[0];
    // The noise is 1 and the targets vary by 23.
    assert!(best.last() < 6.0, "{}", best.last());
    let decision = tuned.decision.unwrap();
    assert_eq!((decision.finalists[0].trial, decision.splits), (0, 10));
    assert!(decision.finalists.len() > 1);
    assert!(decision.finalists.iter().all(|one| one.value.is_finite()));
    let winner = &decision.finalists[decision.winner];
    assert!(decision.winner == 0 || winner.difference + winner.error < 0.0);
    assert!(tuned.epochs > 0 && decision.cost > 0);
}

#[test]
fn classes_are_judged_by_log_loss_on_every_device() {
    let rows = classes(90);
    for device in [Device::reference(), Device::cpu()] {
        let tuned = tune(None, &rows, &device);
        assert_eq!(tuned.metric, Metric::LogLoss);
        assert!(tuned.leaderboard()[0].last() < 0.5, "{}", tuned.leaderboard()[0].last());
        // The budget ends before all rows are held out.
        let decision = tuned.decision.unwrap();
        assert_eq!((decision.winner, decision.splits, decision.finalists.len()), (0, 0, 1));
        assert!(decision.reason.contains("a larger budget"), "{}", decision.reason);
    }
}

#[test]
fn a_study_is_the_same_for_any_number_of_threads_and_after_a_resume() {
    let (folder, rows) = (tempfile::tempdir().unwrap(), numbers(80));
    let study = |name: &str| folder.path().join(name);
    let with = |threads: usize, name: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| tune(Some(&study(name)), &rows, &Device::cpu()));
        lines(&study(name))
    };
    let (one, two) = (with(1, "one"), with(2, "two"));
    assert!(one == two);
    let text = fs::read(study("one")).unwrap();
    for share in [0.2, 0.55, 0.9] {
        fs::write(study("cut"), &text[..(text.len() as f64 * share) as usize]).unwrap();
        assert!(with(2, "cut") == one, "cut at {share}");
    }
    // Other rows do not go on with it.
    let error = Tune::new()
        .budget(Budget::RowUpdates(BUDGET))
        .bracket(9)
        .study(study("one"))
        .run(&numbers(81), &Device::cpu());
    assert!(error.unwrap_err().to_string().contains("other data"));
}

#[test]
fn options_out_of_their_domains_are_refused() {
    let run = |tune: Tune| tune.run(&numbers(40), &Device::cpu()).unwrap_err().to_string();
    assert!(run(Tune::new().budget(Budget::RowUpdates(0))).contains("budget is 0"));
    assert!(run(Tune::new().budget(Budget::Seconds(f64::NAN))).contains("seconds is NaN"));
    assert!(run(Tune::new().bracket(2)).contains("bracket is 2"));
    assert!(run(Tune::new().metric(Metric::LogLoss)).contains("whole"));
}

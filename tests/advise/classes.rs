//! Classes, steps of a scale, labels, lists.

use gradus::advise::{AdviseOptions, TaskKind, advise, advise_arrays};
use gradus::data::{Column, Dataset, Table, Target};
use ndarray::{Array1, Array2};

use crate::samples::{Sample, losses, warnings};

/// Names of four classes by the largest of four features, with noise: no order of their numbers
/// explains them.
fn nominal(sample: &mut Sample) -> Vec<f64> {
    let largest = |row: &Vec<f64>, noise: [f64; 4]| {
        let value = |place: usize| row[place] + 0.3 * noise[place];
        (0..4).fold(0, |best, place| if value(place) > value(best) { place } else { best }) as f64
    };
    let rows = sample.x.clone();
    rows.iter()
        .map(|row| {
            let noise = [sample.normal(), sample.normal(), sample.normal(), sample.normal()];
            largest(row, noise)
        })
        .collect()
}

#[test]
fn whole_numbers_that_name_classes_are_classes() {
    let mut sample = Sample::new(1500, 20);
    let classes = nominal(&mut sample);
    for names in [[0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], [3.0, 17.0, 40.0, 99.0]] {
        let advice = sample.advice(classes.iter().map(|&class| names[class as usize]).collect());
        assert_eq!(advice.task.kind, TaskKind::Classes, "{names:?}: {}", advice.task.reason);
        assert_eq!(losses(&advice)[0], "cross_entropy");
        assert!(!advice.losses[0].balanced && advice.warnings.is_empty(), "{:?}", advice.warnings);
        assert_eq!(advice.task.outputs, 4);
    }
    let signs = sample.line().into_iter().map(f64::signum).collect();
    assert_eq!(sample.advice(signs).task.kind, TaskKind::Classes);
}

#[test]
fn steps_of_a_scale_are_ordinal_also_in_half_steps() {
    let mut sample = Sample::new(1500, 21);
    let stars: Vec<f64> = sample
        .line()
        .into_iter()
        .map(|line| (3.6 + 0.4 * line + 0.5 * sample.normal()).round().clamp(1.0, 5.0))
        .collect();
    let halves = stars.iter().map(|stars| stars / 2.0).collect();
    for target in [stars, halves] {
        let advice = sample.advice(target);
        assert_eq!((advice.task.kind, losses(&advice)[0]), (TaskKind::Ordinal, "ordinal"));
    }
}

#[test]
fn half_steps_are_a_scale_up_to_twenty_of_them() {
    for (count, is_scale) in [(20, true), (21, false)] {
        let sample = Sample::new(1680, 25);
        let halves = (0..1680).map(|row| (row % count + 1) as f64 / 2.0).collect();
        let found = sample.advice(halves).task.kind;
        assert_eq!(found == TaskKind::Ordinal, is_scale, "{count}: {found:?}");
    }
}

#[test]
fn rare_classes_have_weights_and_a_warning() {
    let mut sample = Sample::new(2000, 22);
    let line = sample.line();
    let rare: Vec<f64> =
        line.iter().map(|mean| f64::from(u8::from(mean + sample.normal() > 5.5))).collect();
    let share = rare.iter().sum::<f64>() / 2000.0;
    assert!((0.005..0.05).contains(&share), "{share}");
    let advice = sample.advice(rare);
    assert!(advice.losses[0].balanced && advice.warns("imbalanced"));
    assert_eq!(advice.losses[0].metric, "balanced accuracy");
    assert!(!advice.losses[1].balanced);
    // A factor of 4 is none.
    let common =
        line.iter().map(|mean| f64::from(u8::from(mean + sample.normal() > 2.2))).collect();
    let advice = sample.advice(common);
    assert!(!advice.losses[0].balanced && warnings(&advice).is_empty());
}

/// Ten classes around corners, some of their labels wrong.
fn corners(flipped: f64) -> Dataset {
    let mut sample = Sample::new(1500, 23);
    let labels: Vec<i64> = (0..1500).map(|row| row % 8).collect();
    let features = Array2::from_shape_fn((1500, 3), |(row, axis)| {
        (8.0 * ((labels[row] >> axis) & 1) as f64 + sample.x[row][axis]) as f32
    });
    let wrong = labels.iter().map(|&label| {
        let is_wrong = sample.random.uniform() < flipped;
        if is_wrong { (label + 1 + (7.0 * sample.random.uniform()) as i64) % 8 } else { label }
    });
    let names = ('a'..='h').map(String::from).collect();
    let labels: Array1<i64> = wrong.collect();
    Dataset::new(features, Target::Labels { labels, classes: names }).unwrap()
}

#[test]
fn wrong_labels_have_a_loss_that_ignores_them() {
    let options = AdviseOptions::default();
    let clean = advise_arrays(&corners(0.0), &options).unwrap();
    assert!(!losses(&clean).contains(&"generalized_cross_entropy") && clean.warnings.is_empty());
    let noisy = advise_arrays(&corners(0.15), &options).unwrap();
    assert_eq!(losses(&noisy)[0], "generalized_cross_entropy");
    // 15 % of 375 rows: a standard error of 2 %.
    let share = noisy.statistic("label_noise").unwrap().value;
    assert!((share - 0.15).abs() < 0.06, "{share}");
}

#[test]
fn words_several_labels_and_shares_are_recognized() {
    let mut sample = Sample::new(600, 24);
    let line = sample.line();
    let size = |mean: &f64| {
        ["large", "medium", "small"][usize::from(*mean < 1.0) + usize::from(*mean < -1.0)]
    };
    let mut columns = sample.columns(vec![0.0; 600]);
    columns.pop();
    columns.push(Column::words("size", line.iter().map(size)));
    let flag = |limit: f64| line.iter().map(|mean| f64::from(u8::from(*mean > limit))).collect();
    columns.push(Column::numbers("a", flag(0.0)));
    columns.push(Column::numbers("b", flag(5.0)));
    let share = |sign: f64| -> Vec<f64> {
        line.iter().map(|mean| 1.0 / (1.0 + (sign * mean).exp())).collect()
    };
    columns.push(Column::numbers("p", share(1.0)));
    columns.push(Column::numbers("q", share(-1.0)));
    columns.push(Column::numbers("u", (0..600).map(|_| sample.normal()).collect()));
    let table = Table::new(columns).unwrap();
    let advice = |targets: &[&str]| {
        let mut options = AdviseOptions::default();
        for name in ["size", "a", "b", "p", "q", "u"] {
            if targets.contains(&name) {
                options = options.target(name);
            } else {
                options = options.without(name);
            }
        }
        advise(&table, &options).unwrap()
    };
    let found = advice(&["size"]);
    assert_eq!(
        (found.task.kind, &found.task.rivals[..]),
        (TaskKind::Classes, &[TaskKind::Ordinal][..])
    );
    assert!(found.task.reason.contains("small < medium < large"));
    let found = advice(&["a", "b"]);
    assert_eq!((found.task.kind, losses(&found)[0]), (TaskKind::Multilabel, "bce_with_logits"));
    assert_eq!(found.losses[1].pos_weight.len(), 2); // `b` is rare
    let found = advice(&["p", "q"]);
    assert_eq!((found.task.kind, losses(&found)[0]), (TaskKind::SoftLabels, "mse"));
    let found = advice(&["u", "p"]);
    assert_eq!((found.task.kind, found.task.outputs), (TaskKind::Numbers, 2));
}

#[test]
fn lists_have_list_losses_from_groups_and_from_a_column_of_queries() {
    let sample = Sample::new(600, 25);
    let grade: Vec<f64> =
        sample.line().iter().map(|line| (1.0 + line).round().clamp(0.0, 4.0)).collect();
    let mut columns = sample.columns(grade.clone());
    columns.push(Column::numbers("qid", (0..600).map(|row| f64::from(row / 10)).collect()));
    let table = Table::new(columns).unwrap();
    let advice = advise(&table, &AdviseOptions::default().target("y")).unwrap();
    assert_eq!((advice.task.kind, losses(&advice)[0]), (TaskKind::Lists, "lambda_rank"));
    assert!(!advice.losses[0].library_only.is_empty());
    assert!(advice.losses.last().unwrap().library_only.is_empty());
    let features = Array2::from_shape_fn((600, 5), |(row, place)| sample.x[row][place] as f32);
    let values = Array2::from_shape_fn((600, 1), |(row, _)| grade[row] as f32);
    let rows =
        Dataset::new(features, Target::Values(values)).unwrap().grouped(vec![10; 60]).unwrap();
    let advice = advise_arrays(&rows, &AdviseOptions::default()).unwrap();
    assert_eq!((advice.task.kind, losses(&advice)[0]), (TaskKind::Lists, "lambda_rank"));
    assert!(advice.losses.iter().all(|loss| loss.library_only.is_empty()));
    assert!(advice.losses[0].reason.contains("60 queries"));
}

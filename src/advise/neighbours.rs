//! How many labels are wrong, from the labels of the nearest rows.

use ndarray::{Array2, Axis, s};
use rayon::prelude::*;

use crate::advise::features::Features;

/// Rows whose labels are looked at, and rows among which their nearest are.
const MOST_ROWS: usize = 1_500;
const MOST_NEAR: usize = 4_000;

/// With fewer rows the estimate is too uncertain.
const FEWEST_ROWS: usize = 300;

/// Neighbours of a row.
const NEIGHBOURS: usize = 20;

/// Of the rows that the majority class leaves over, the share that the neighbours must get right:
/// otherwise wrong labels cannot be separated from overlapping classes.
const LEAST_SKILL: f64 = 0.4;

/// The same for two classes, which overlap more often than they are mistaken for each other.
const LEAST_SKILL_OF_TWO: f64 = 0.6;

/// From this share of wrong labels on they are reported, and from the second on a robust loss is
/// named.
pub(super) const NOTE: f64 = 0.03;
pub(super) const NOISE: f64 = 0.05;

/// Labels beside those of the neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Agreement {
    /// Share of the rows whose class is that of most neighbours.
    pub(super) accuracy: f64,
    /// Estimated share of wrong labels; none if it cannot be separated from overlapping classes.
    pub(super) noise: Option<f64>,
}

/// Compares each label with the majority of its nearest rows. Wrong labels lie anywhere, those of
/// overlapping classes where neighbours disagree: of the half of the rows whose neighbours agree
/// most, the more and the less unanimous quarter then differ in how many labels are against the
/// majority. The estimate is the share in the first quarter, if the second and all rows are not much worse.
pub(super) fn agreement(features: &Features, codes: &[usize], classes: usize) -> Option<Agreement> {
    let mut codes = features.of(codes);
    codes.truncate(MOST_NEAR);
    let rows = codes.len().min(MOST_ROWS);
    if rows < FEWEST_ROWS || classes < 2 {
        return None;
    }
    let places: Vec<usize> = (0..codes.len()).collect();
    let values: Array2<f32> = features.values.select(Axis(0), &places).mapv(|value| value as f32);
    let votes = votes(&values, &codes, classes, rows);
    let is_right = |row: usize| votes[row].0 == codes[row];
    let mut counts = vec![0_usize; classes];
    codes[..rows].iter().for_each(|&code| counts[code] += 1);
    let base = counts.iter().copied().max().unwrap_or(0) as f64 / rows as f64;
    let accuracy = (0..rows).filter(|&row| is_right(row)).count() as f64 / rows as f64;
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|&row| (std::cmp::Reverse(votes[row].1), row));
    let against = |rows: &[usize]| {
        rows.iter().filter(|&&row| !is_right(row)).count() as f64 / rows.len() as f64
    };
    let quarter = rows / 4;
    let (first, second) = (against(&order[..quarter]), against(&order[quarter..2 * quarter]));
    // Two standard errors of a share.
    let error = 2.0 * (second * (1.0 - second) / quarter as f64).sqrt();
    let least_skill = if classes == 2 { LEAST_SKILL_OF_TWO } else { LEAST_SKILL };
    let has_skill = base < 1.0 && (accuracy - base) / (1.0 - base) >= least_skill;
    // Overlapping classes are mostly wrong elsewhere, wrong labels as often here as there.
    let is_flat = second <= 1.5 * first + error && 1.0 - accuracy <= 2.0 * first + 0.04;
    Some(Agreement { accuracy, noise: (has_skill && is_flat).then_some(first) })
}

/// The class of most neighbours of each of the first rows, and the number of those.
fn votes(
    values: &Array2<f32>,
    codes: &[usize],
    classes: usize,
    rows: usize,
) -> Vec<(usize, usize)> {
    let squares: Vec<f32> =
        values.rows().into_iter().map(|row| row.iter().map(|value| value * value).sum()).collect();
    let products = values.slice(s![..rows, ..]).dot(&values.t());
    let vote = |row: usize| {
        // Distances without the row's own square, which all have in common.
        let mut near: Vec<(f32, usize)> = (0..codes.len())
            .filter(|&other| other != row)
            .map(|other| (squares[other] - 2.0 * products[[row, other]], other))
            .collect();
        let count = NEIGHBOURS.min(near.len());
        near.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut votes = vec![0; classes];
        near[..count].iter().for_each(|&(_, other)| votes[codes[other]] += 1);
        let best = (0..classes)
            .fold(0, |best, class| if votes[class] > votes[best] { class } else { best });
        (best, votes[best])
    };
    (0..rows).into_par_iter().map(vote).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    /// Four classes around corners; `distance` between neighbouring ones, `flipped` labels.
    fn corners(distance: f64, flipped: f64, seed: u64) -> Option<Agreement> {
        let mut random = Random::new(seed, 7);
        let rows = 1200;
        let mut codes: Vec<usize> = (0..rows).map(|row| row % 4).collect();
        let values = Array2::from_shape_fn((rows, 2), |(row, axis)| {
            (distance * ((codes[row] >> axis) & 1) as f64 + random.normal()) as f32
        });
        for code in &mut codes {
            if random.uniform() < flipped {
                *code = (*code + 1 + (3.0 * random.uniform()) as usize) % 4;
            }
        }
        let names = vec!["a".into(), "b".into()];
        agreement(&Features::new(names, &values, (0..rows).collect()), &codes, 4)
    }

    #[test]
    fn flipped_labels_are_counted_and_overlapping_classes_are_not_taken_for_them() {
        for seed in 0..3 {
            let clean = corners(8.0, 0.0, seed).unwrap();
            assert!(clean.noise.unwrap() < 0.01, "{clean:?}");
            // 300 rows of a quarter: a standard error of 0.017.
            let noisy = corners(8.0, 0.1, seed).unwrap();
            assert!((noisy.noise.unwrap() - 0.1).abs() < 0.06, "{noisy:?}");
            let overlapping = corners(2.0, 0.0, seed).unwrap();
            assert!(overlapping.noise.is_none_or(|share| share < NOTE), "{overlapping:?}");
        }
        assert!(
            agreement(
                &Features::new(Vec::new(), &Array2::zeros((10, 0)), (0..10).collect()),
                &[0; 10],
                2
            )
            .is_none()
        );
    }
}

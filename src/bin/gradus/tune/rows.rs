//! The rows of a search, read as `train` reads them.

use std::collections::BTreeMap;

use gradus::HeldOut;
use gradus::data::{Dataset, Standardization, Target, TargetKind};
use gradus::tune::Metric;

use crate::output;
use crate::output::{Failure, Outcome};
use crate::samples::Asked;
use crate::samples::source::Source;

/// Whole numbers are classes if there are few of them for the rows: up to this share of the rows,
/// for more or less than 1,000 rows. AutoGluon's thresholds.
const FEW: [f64; 2] = [0.05, 0.1];

/// The fewest rows of a class.
const LEAST: usize = 5;

/// All rows of a source with targets for a metric: numbers in their own unit, or classes.
pub fn read(source: &Source, metric: Option<Metric>, seed: u64) -> Outcome<Dataset> {
    if source.text().is_some() {
        return Err(Failure::Usage("--text: `tune` takes rows with targets, not a text".into()));
    }
    if source.path().as_os_str() == "-" {
        return Err(Failure::Usage(
            "--data: `tune` reads the rows more than once: write standard input into a file".into(),
        ));
    }
    let of = |kind| prepared(source, kind, seed);
    let rows = match metric.map(Metric::is_of_numbers) {
        Some(true) => of(TargetKind::Numbers)?,
        Some(false) => of(TargetKind::Classes)?,
        None => {
            let rows = of(TargetKind::Numbers)?;
            match classes_in(&rows) {
                None => rows,
                Some(classes) => {
                    output::note(&format!(
                        "note: the targets are {classes} whole numbers, taken for classes; `--metric rmse` takes them for quantities"
                    ));
                    of(TargetKind::Classes)?
                }
            }
        }
    };
    Ok(rows)
}

fn prepared(source: &Source, kind: TargetKind, seed: u64) -> Outcome<Dataset> {
    let asked = Asked {
        kind,
        known: None,
        held_out: HeldOut { share: 0.0, seed },
        test: None,
        standardize: true,
        sample_weight: None,
        stream: false,
    };
    let prepared = source.prepare(&asked)?;
    if prepared.large.is_some() {
        return Err(Failure::Failed(format!(
            "{}: `tune` takes tables that fit into memory; a sample of the rows serves as well",
            source.path().display()
        )));
    }
    let mut rows = prepared.train;
    if rows.groups.is_some() {
        return Err(Failure::Failed(
            "the rows are queries, and `tune` has no metric of rankings; allowed: numbers and classes".into(),
        ));
    }
    // As `train` scales the inputs of arrays.
    if !source.is_images() && !prepared.encoding.takes_tables() {
        Standardization::fit(&rows.features)?.apply(&mut rows.features)?;
    }
    Ok(rows)
}

/// The number of classes, if whole numbers are more likely names than quantities: few for the rows,
/// without a gap, and none of them rare.
fn classes_in(rows: &Dataset) -> Option<usize> {
    let Target::Values(values) = &rows.target else { return None };
    if values.ncols() != 1 || values.iter().any(|value| value.fract() != 0.0) {
        return None;
    }
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    values.iter().for_each(|&value| *counts.entry(value as i64).or_default() += 1);
    let (first, last) = (*counts.keys().next()?, *counts.keys().next_back()?);
    let share = FEW[usize::from(rows.rows() <= 1000)];
    let is_few = counts.len() as f64 <= share * rows.rows() as f64;
    let is_whole = last - first + 1 == counts.len() as i64 && counts.len() > 1;
    (is_few && is_whole && counts.values().all(|&count| count >= LEAST)).then_some(counts.len())
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    fn rows(values: impl Fn(usize) -> f32, count: usize) -> Dataset {
        let target = Array2::from_shape_fn((count, 1), |(row, _)| values(row));
        Dataset::new(Array2::zeros((count, 1)), Target::Values(target)).unwrap()
    }

    #[test]
    fn few_whole_numbers_without_a_gap_are_classes() {
        assert_eq!(classes_in(&rows(|row| (row % 3) as f32, 60)), Some(3));
        assert_eq!(classes_in(&rows(|row| (row % 3 * 2) as f32, 60)), None);
        assert_eq!(classes_in(&rows(|row| (row % 30) as f32, 60)), None);
        assert_eq!(classes_in(&rows(|row| row as f32 / 7.0, 60)), None);
        assert_eq!(classes_in(&rows(|row| f32::from(u8::from(row == 0)), 60)), None);
    }
}

//! The rows of a range test: those that its steps use, and those that its scores are of.

use ndarray::{ArrayView, Axis, IxDyn};

use crate::cpu::random::Permutation;
use crate::criterion::inputs::Floats;
use crate::nn::train::features::FeatureArray;
use crate::nn::train::options::Fit;
use crate::nn::train::validation_data::{OwnedFeatures, ValidationTargets};
use crate::nn::train::weights::Weighting;
use crate::{Error, Result, Targets};

/// Share of the rows to score by if none are held out by the caller.
const SHARE: f64 = 0.2;

/// Rows to score by, at most: a mean over them has a standard error of 2 % of the deviation.
const MOST_SCORED: usize = 2000;

/// Number of a permutation that no epoch has.
const CHOICE: u32 = u32::MAX;

/// Selected rows with the options that split them.
#[derive(Debug)]
pub(super) struct TestRows {
    pub features: OwnedFeatures,
    pub targets: ValidationTargets,
    pub fit: Fit,
}

impl TestRows {
    /// Selects rows of a data set for a number of updates.
    pub fn new(
        features: FeatureArray,
        targets: &Targets,
        fit: &Fit,
        steps: usize,
        seed: u64,
    ) -> Result<Self> {
        let has_own = fit.validation.is_some();
        if let Targets::Grouped { relevance, groups } = targets {
            // Lists are not taken apart.
            let split =
                if has_own || fit.validation_split > 0.0 { fit.validation_split } else { SHARE };
            return Ok(TestRows {
                features: selected(&features, None),
                targets: ValidationTargets::Grouped(
                    relevance.to_owned().into_owned(),
                    groups.to_vec(),
                ),
                fit: fit.clone().validation_split(split),
            });
        }
        let all = features.shape().first().copied().unwrap_or(0);
        let lengths = [all, targets_of(targets)];
        if all != lengths[1] || all > u32::MAX as usize {
            // The training's own check has the message.
            return Ok(TestRows {
                features: selected(&features, None),
                targets: of_rows(targets, None),
                fit: fit.clone(),
            });
        }
        let (training, held_out) = split(all, fit, seed);
        if training.is_empty() || (held_out.is_empty() && !has_own) {
            return Err(Error::Empty {
                operation: "a range test".into(),
                name: "the rows to train or to score on".into(),
            });
        }
        // Whole updates, so that no batch is shorter than in the training itself.
        let update = fit.batch_size.saturating_mul(fit.accumulate).max(1);
        let most = steps.saturating_mul(update).max(1);
        let training = chosen(&training, most, seed);
        let held_out = chosen(&held_out, MOST_SCORED, seed.wrapping_add(1));
        let rows: Vec<usize> = training.iter().chain(&held_out).copied().collect();
        let share = match held_out.len() {
            0 => 0.0,
            // In the middle between two counts: the product with the rows is rounded down.
            held => (held as f64 + 0.5) / rows.len() as f64,
        };
        let weights = fit.weighting.rows.as_ref().filter(|weights| weights.len() == all);
        let weights = weights.map(|weights| rows.iter().map(|&row| weights[row]).collect());
        let weighting = match weights {
            Some(weights) => Weighting { rows: Some(weights), ..fit.weighting.clone() },
            None => fit.weighting.clone(),
        };
        Ok(TestRows {
            features: selected(&features, Some(&rows)),
            targets: of_rows(targets, Some(&rows)),
            fit: Fit { validation_split: share, weighting, ..fit.clone() },
        })
    }
}

/// The rows to train on and those to score by: as the caller has split them, else by the seed.
fn split(all: usize, fit: &Fit, seed: u64) -> (Vec<usize>, Vec<usize>) {
    if fit.validation.is_some() {
        return ((0..all).collect(), Vec::new());
    }
    if fit.validation_split > 0.0 {
        let training = all - (all as f64 * fit.validation_split) as usize;
        return ((0..training).collect(), (training..all).collect());
    }
    let order = Permutation::new(all as u32, seed, CHOICE);
    let held_out = (all as f64 * SHARE) as usize;
    let mut rows: Vec<usize> = (0..all as u32).map(|place| order.at(place) as usize).collect();
    let held_out = rows.split_off(all - held_out);
    (rows, held_out)
}

/// Some of the rows, by the seed; all in their order if there are not more.
fn chosen(rows: &[usize], most: usize, seed: u64) -> Vec<usize> {
    if rows.len() <= most {
        return rows.to_vec();
    }
    let order = Permutation::new(rows.len() as u32, seed, CHOICE - 1);
    (0..most as u32).map(|place| rows[order.at(place) as usize]).collect()
}

fn targets_of(targets: &Targets) -> usize {
    let shape = match targets {
        Targets::Dense(dense) => dense.shape(),
        Targets::Wide(dense) => dense.shape(),
        Targets::Labels(labels) => labels.shape(),
        Targets::Grouped { relevance, .. } => relevance.shape(),
    };
    shape.first().copied().unwrap_or(0)
}

fn of<T: Clone>(array: &ArrayView<T, IxDyn>, rows: Option<&[usize]>) -> ndarray::ArrayD<T> {
    match rows {
        Some(rows) if array.ndim() > 0 => array.select(Axis(0), rows),
        _ => array.to_owned(),
    }
}

fn selected(features: &FeatureArray, rows: Option<&[usize]>) -> OwnedFeatures {
    match features {
        FeatureArray::Floats(Floats::Narrow(array)) => OwnedFeatures::Narrow(of(array, rows)),
        FeatureArray::Floats(Floats::Wide(array)) => OwnedFeatures::Wide(of(array, rows)),
        FeatureArray::Pixels(array) => OwnedFeatures::Pixels(of(array, rows)),
    }
}

fn of_rows(targets: &Targets, rows: Option<&[usize]>) -> ValidationTargets {
    match targets {
        Targets::Dense(dense) => ValidationTargets::Dense(of(dense, rows)),
        Targets::Wide(dense) => ValidationTargets::Wide(of(dense, rows)),
        Targets::Labels(labels) => ValidationTargets::Labels(of(&labels.view(), rows)),
        Targets::Grouped { relevance, groups } => {
            ValidationTargets::Grouped(relevance.to_owned().into_owned(), groups.to_vec())
        }
    }
}

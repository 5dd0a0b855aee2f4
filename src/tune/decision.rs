//! Whether the best configuration of a search replaces the default: only if it is better on splits
//! and seeds that the search never saw, by more than a standard error.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::random::Random;
use crate::runtime::device::Device;
use crate::tune::candidate::Candidate;
use crate::tune::halving::Trial;
use crate::tune::metric::Terms;
use crate::tune::networks::Networks;
use crate::tune::rows::{FOLDED, FOLDS, Fold};

/// At most this many trials are compared with the default.
const FINALISTS: usize = 3;

/// Resamplings of the rows for the winner's bias.
const RESAMPLINGS: usize = 500;

/// Sets the seeds of the last comparison apart from those of the search.
const ANEW: u64 = 0x6669_6e61;

/// A trial that was trained again on new splits with new seeds.
#[derive(Clone, Debug)]
pub struct Finalist {
    /// The number of the trial.
    pub trial: usize,
    /// The rung that says how long it is trained.
    pub rung: usize,
    /// Its metric in the search at that rung.
    pub searched: f64,
    /// Its metric on the new splits: the mean; NaN if a training failed.
    pub value: f64,
    /// Its metric minus that of the default on the same splits: the mean.
    pub difference: f64,
    /// The standard error of that difference, corrected for splits that share training rows.
    pub error: f64,
}

/// The result of the last comparison.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The default, then the best trials of the search.
    pub finalists: Vec<Finalist>,
    /// The place among the finalists of the one that was taken; 0 if the default was kept.
    pub winner: usize,
    /// How much too good the metric of the best of the finalists looks for having been chosen, by
    /// resampling the rows: to be added to it.
    pub bias: f64,
    /// Number of new splits.
    pub splits: usize,
    /// Why, in a sentence.
    pub reason: String,
    /// Row-updates of the comparison.
    pub cost: u64,
}

/// The rung at which a trial was best, of those that were judged on all rows.
fn best_rung(networks: &Networks, trial: &Trial) -> Option<(usize, f64)> {
    let values = trial.values.iter().copied().enumerate();
    let full = values.filter(|(rung, value)| networks.is_full(*rung) && value.is_finite());
    full.min_by(|a, b| a.1.total_cmp(&b.1))
}

/// The default and the best others, each with its rung and its metric there.
fn finalists(networks: &Networks, trials: &[Trial]) -> Vec<(usize, usize, f64)> {
    let mut found: Vec<(usize, usize, f64)> = trials
        .iter()
        .filter_map(|trial| {
            let (rung, value) = best_rung(networks, trial)?;
            Some((trial.number, rung, value))
        })
        .collect();
    let default = found.iter().position(|(number, _, _)| *number == 0);
    // A budget may end before all rows are held out: then the default has the epochs it had last.
    let reached = trials.first().map_or(0, |trial| trial.values.len().saturating_sub(1));
    let default = default.map_or((0, reached, f64::NAN), |place| found.remove(place));
    found.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.0.cmp(&b.0)));
    found.truncate(FINALISTS);
    found.insert(0, default);
    found
}

/// Splits that the search did not see: twice five folds of few rows, five folds of more, two
/// splits of many.
fn splits(networks: &Networks) -> Vec<Fold> {
    let rows = networks.rows;
    let anew = |number: u64| rows.folds(networks.seed ^ (ANEW << 32) ^ number);
    match rows.len() {
        ..2000 => anew(1).into_iter().chain(anew(2)).collect(),
        2000..FOLDED => anew(1),
        _ => [1, 2].into_iter().map(|number| anew(number).swap_remove(0)).collect(),
    }
}

/// Trains the finalists again and takes the best one if it is better than the default by more than
/// a standard error.
pub(crate) fn decide(networks: &Networks, trials: &[Trial]) -> Result<Decision> {
    let chosen = finalists(networks, trials);
    if let [(trial, rung, searched)] = chosen[..] {
        let (value, difference, error) = (f64::NAN, 0.0, 0.0);
        let finalists = vec![Finalist { trial, rung, searched, value, difference, error }];
        let reason = "the default is kept: the budget ended before another trial was measured on all rows, so that none is compared with it; a larger budget would let some".into();
        return Ok(Decision { finalists, winner: 0, bias: 0.0, splits: 0, reason, cost: 0 });
    }
    let splits = splits(networks);
    let candidates: Vec<Candidate> = chosen
        .iter()
        .map(|(number, _, _)| Candidate::of(networks.space, &trials[*number].configuration))
        .collect();
    let jobs: Vec<(usize, usize)> = (0..chosen.len())
        .flat_map(|place| (0..splits.len()).map(move |split| (place, split)))
        .collect();
    let run = |&(place, split): &(usize, usize)| -> Result<Option<Terms>> {
        let seed = networks.seed ^ (ANEW << 32) ^ (1000 + split as u64);
        let rung = chosen[place].1;
        let mut terms = networks.train(&[&candidates[place]], &splits[split], rung, seed)?;
        Ok(terms.pop().flatten())
    };
    let terms: Vec<Option<Terms>> = match networks.device {
        Device::Gpu(_) => jobs.iter().map(run).collect::<Result<_>>()?,
        _ => jobs.par_iter().map(run).collect::<Result<_>>()?,
    };
    let cost = jobs.iter().map(|&(place, split)| {
        let rows = splits[split].train.len();
        (rows * networks.epochs(&candidates[place], chosen[place].1, rows)) as u64
    });
    let cost = cost.sum();
    let share = splits[0].held_out.len() as f64 / splits[0].train.len() as f64;
    let of = |place: usize| &terms[place * splits.len()..(place + 1) * splits.len()];
    let finalists: Vec<Finalist> = chosen
        .iter()
        .enumerate()
        .map(|(place, &(trial, rung, searched))| {
            let (value, difference, error) = compared(of(place), of(0), share);
            Finalist { trial, rung, searched, value, difference, error }
        })
        .collect();
    let winner = winner(&finalists);
    let all: Option<Vec<&[Option<Terms>]>> = (0..finalists.len())
        .map(|place| Some(of(place)).filter(|terms| terms.iter().all(Option::is_some)))
        .collect();
    let bias = all.map_or(0.0, |all| bias(&all, networks.seed));
    let reason = reason(&finalists, winner, networks.metric.name());
    Ok(Decision { finalists, winner, bias, splits: splits.len(), reason, cost })
}

/// Mean of a finalist's metric, of its difference to the default's, and the standard error of the
/// difference.
///
/// The variance over the splits times 1/J + held out ÷ trained on: C. Nadeau, Y. Bengio, *Inference
/// for the generalization error*, 2003. Few splits say little about their variance: it is not less
/// than that of the mean over the held-out rows of a split.
fn compared(own: &[Option<Terms>], default: &[Option<Terms>], share: f64) -> (f64, f64, f64) {
    let value = |terms: &Option<Terms>| terms.as_ref().map_or(f64::NAN, Terms::value);
    let splits = own.len() as f64;
    let mean = own.iter().map(value).sum::<f64>() / splits;
    let differences: Vec<f64> =
        own.iter().zip(default).map(|(own, default)| value(own) - value(default)).collect();
    let difference = differences.iter().sum::<f64>() / splits;
    let over_splits = differences.iter().map(|one| (one - difference).powi(2)).sum::<f64>()
        / (splits - 1.0).max(1.0);
    let pairs = own
        .iter()
        .zip(default)
        .filter_map(|(own, default)| Some(own.as_ref()?.variance_of_difference(default.as_ref()?)));
    let over_rows = pairs.sum::<f64>() / splits;
    let variance = if splits < FOLDS as f64 { over_splits.max(over_rows) } else { over_splits };
    (mean, difference, (variance * (1.0 / splits + share)).sqrt())
}

/// The best of those that are better than the default by more than a standard error, else 0. Where
/// the default failed, the best of all.
fn winner(finalists: &[Finalist]) -> usize {
    let default_failed = !finalists[0].value.is_finite();
    let counts = |finalist: &Finalist| {
        finalist.value.is_finite() && (default_failed || finalist.difference + finalist.error < 0.0)
    };
    let better = (1..finalists.len()).filter(|&place| counts(&finalists[place]));
    better.min_by(|&a, &b| finalists[a].value.total_cmp(&finalists[b].value)).unwrap_or(0)
}

fn reason(finalists: &[Finalist], winner: usize, metric: &str) -> String {
    let number = |value: f64| format!("{value:.4}");
    let (default, best) = (&finalists[0], &finalists[winner]);
    if winner > 0 && !default.value.is_finite() {
        return "the default's training failed".into();
    }
    if winner > 0 {
        return format!(
            "trial {} has a {metric} of {} on new splits, less than the default's by {} ± {}",
            best.trial,
            number(best.value),
            number(-best.difference),
            number(best.error)
        );
    }
    let near = finalists[1..].iter().filter(|one| one.value.is_finite());
    match near.min_by(|a, b| a.value.total_cmp(&b.value)) {
        None => "the default is kept: no other trial could be compared with it".into(),
        Some(near) => format!(
            "the default is kept: trial {}, the best on new splits, differs by {} ± {}, which is not less by a standard error",
            near.trial,
            number(near.difference),
            number(near.error)
        ),
    }
}

/// Mean over resamplings of the rows of how much better the best finalist is on the rows that
/// chose it than on those left out.
///
/// Source: I. Tsamardinos, E. Greasidou, G. Borboudakis, *Bootstrapping the out-of-sample
/// predictions for efficient and accurate cross-validation*, 2018.
fn bias(all: &[&[Option<Terms>]], seed: u64) -> f64 {
    let split = |place: usize| all[place].iter().flatten();
    let mut random = Random::new(seed ^ (ANEW << 32), 3);
    let (mut sum, mut resamplings) = (0.0, 0.0);
    for _ in 0..RESAMPLINGS {
        let (mut inside, mut outside) = (vec![0.0; all.len()], vec![0.0; all.len()]);
        let mut counted = 0.0;
        for number in 0..all[0].len() {
            let rows = split(0).nth(number).map_or(0, |terms| terms.values.len());
            let drawn: Vec<usize> =
                (0..rows).map(|_| (random.uniform() * rows as f64) as usize).collect();
            let mut is_drawn = vec![false; rows];
            drawn.iter().for_each(|&row| is_drawn[row] = true);
            let left: Vec<usize> = (0..rows).filter(|&row| !is_drawn[row]).collect();
            // Of a few rows all may be drawn: then none is left to compare with.
            if left.is_empty() {
                continue;
            }
            counted += 1.0;
            for place in 0..all.len() {
                if let Some(terms) = split(place).nth(number) {
                    inside[place] += terms.over(drawn.iter().copied());
                    outside[place] += terms.over(left.iter().copied());
                }
            }
        }
        let order = |a: &usize, b: &usize| inside[*a].total_cmp(&inside[*b]);
        let best = (0..all.len()).min_by(order).unwrap_or(0);
        if counted > 0.0 {
            sum += (outside[best] - inside[best]) / counted;
            resamplings += 1.0;
        }
    }
    if resamplings > 0.0 { sum / resamplings } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::tune::metric::{Metric, Truth};

    /// Squared errors of the given spread around the target on some rows.
    fn terms(seed: u64, rows: usize, shared: f64, own: f64) -> Option<Terms> {
        let (mut one, mut other) = (Random::new(1, seed), Random::new(2, seed));
        let of = |_| shared * one.normal() + own * other.normal();
        let predictions = Array2::from_shape_fn((rows, 1), of);
        Some(Metric::Rmse.terms(predictions.view(), Truth::Numbers(&vec![0.0; rows])))
    }

    #[test]
    fn the_standard_error_is_that_of_nadeau_and_bengio() {
        let default: Vec<_> = (0..10).map(|split| terms(split, 50, 1.0, 0.0)).collect();
        let other: Vec<_> = (0..10).map(|split| terms(split, 50, 1.0, 0.5)).collect();
        let (value, difference, error) = compared(&other, &default, 0.25);
        let of = |terms: &[Option<Terms>]| -> Vec<f64> {
            terms.iter().flatten().map(Terms::value).collect()
        };
        let pairs: Vec<f64> =
            of(&other).iter().zip(of(&default)).map(|(own, default)| own - default).collect();
        let mean = pairs.iter().sum::<f64>() / 10.0;
        let variance = pairs.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / 9.0;
        assert!((difference - mean).abs() < 1e-12);
        assert!((error - (variance * 0.35).sqrt()).abs() < 1e-12);
        assert!((value - of(&other).iter().sum::<f64>() / 10.0).abs() < 1e-12);
        // One split of many rows has an error too.
        let (_, _, error) = compared(&other[..1], &default[..1], 0.25);
        assert!(error > 0.01 && error < 0.3, "{error}");
    }

    #[test]
    fn the_default_is_kept_unless_beaten() {
        let of = |trial, value, difference, error| Finalist {
            trial,
            rung: 3,
            searched: value,
            value,
            difference,
            error,
        };
        let default = of(0, 1.0, 0.0, 0.0);
        let near = of(4, 0.95, -0.05, 0.06);
        let better = of(7, 0.9, -0.1, 0.06);
        assert_eq!(winner(&[default.clone(), near.clone()]), 0);
        assert_eq!(winner(&[default.clone(), near.clone(), better.clone()]), 2);
        assert!(reason(&[default.clone(), near], 0, "rmse").contains("default is kept: trial 4"));
        let failed = Finalist { value: f64::NAN, difference: f64::NAN, ..default };
        let unknown = Finalist { difference: f64::NAN, error: f64::NAN, ..better };
        assert_eq!(winner(&[failed.clone(), unknown]), 1);
        assert_eq!(winner(&[failed]), 0);
    }

    #[test]
    fn a_choice_among_equals_has_a_bias_and_a_choice_of_one_has_none() {
        let of = |number: u64| -> Vec<Option<Terms>> {
            (0..2).map(|split| terms(split + 10 * number, 60, 0.0, 1.0)).collect()
        };
        let all: Vec<Vec<Option<Terms>>> = (0..4).map(of).collect();
        let views: Vec<&[Option<Terms>]> = all.iter().map(Vec::as_slice).collect();
        let (many, one) = (bias(&views, 1), bias(&views[..1], 1));
        assert!(many > one.abs() + 0.005, "{many} and {one}");
    }
}

//! Trains the configurations of a search: those of one shape side by side, on the same rows.

use std::collections::HashMap;

use ndarray::{Array1, Array2};
use rayon::prelude::*;

use crate::nn::population::Population;
use crate::runtime::device::Device;
use crate::tune::candidate::Candidate;
use crate::tune::halving::Evaluator;
use crate::tune::metric::{Metric, Terms};
use crate::tune::rows::{Answers, FOLDED, Fold, Rows, part};
use crate::tune::space::{Configuration, Space};
use crate::{Fit, Result, Stop};

/// The fewest updates of a training at the first rung: with fewer, rates that will diverge look
/// best.
const LEAST_UPDATES: usize = 50;

/// With as many rows to train on the first rung is a third of an epoch, on a third of the rows.
const MANY: usize = 6000;

/// How long and on what is trained at a rung.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fidelity {
    /// Share of the training rows.
    share: f64,
    /// Multiple of the epochs that have the fewest updates.
    factor: usize,
    /// Number of splits.
    folds: usize,
}

/// Trains candidates on splits of the rows.
#[derive(Debug)]
pub(crate) struct Networks<'r> {
    pub rows: &'r Rows,
    pub space: &'r Space,
    pub device: &'r Device,
    pub metric: Metric,
    pub folds: Vec<Fold>,
    pub fidelities: Vec<Fidelity>,
    pub seed: u64,
}

/// The rungs for a number of rows.
fn fidelities(rows: usize) -> Vec<Fidelity> {
    let of = |share: f64, factor: usize, folds: usize| Fidelity { share, factor, folds };
    if rows * 4 / 5 >= MANY {
        return vec![
            of(1.0 / 3.0, 1, 1),
            of(1.0, 1, 1),
            of(1.0, 3, 1),
            of(1.0, 9, 1),
            of(1.0, 27, 1),
        ];
    }
    let folds = if rows < FOLDED { [1, 2, 5, 5] } else { [1, 1, 1, 1] };
    [1, 3, 9, 27].into_iter().zip(folds).map(|(factor, folds)| of(1.0, factor, folds)).collect()
}

impl<'r> Networks<'r> {
    pub fn new(
        rows: &'r Rows,
        space: &'r Space,
        device: &'r Device,
        metric: Metric,
        seed: u64,
    ) -> Self {
        let (folds, fidelities) = (rows.folds(seed), fidelities(rows.len()));
        Networks { rows, space, device, metric, folds, fidelities, seed }
    }

    /// True if a rung is judged on all the rows that later ones are.
    pub fn is_full(&self, rung: usize) -> bool {
        let last = self.fidelities[self.fidelities.len() - 1];
        self.fidelities[rung].folds == last.folds && self.fidelities[rung].share >= 1.0
    }

    /// Epochs of a candidate at a rung, on `rows` rows to train on.
    pub fn epochs(&self, candidate: &Candidate, rung: usize, rows: usize) -> usize {
        let fidelity = self.fidelities[rung];
        let rows = ((rows as f64 * fidelity.share).ceil() as usize).max(1);
        let updates = rows.div_ceil(candidate.batch_size.min(rows));
        fidelity.factor * LEAST_UPDATES.div_ceil(updates)
    }

    /// Trains candidates of one shape on one fold: the terms of the metric on its held-out rows,
    /// or none for a training that failed.
    pub fn train(
        &self,
        candidates: &[&Candidate],
        fold: &Fold,
        rung: usize,
        seed: u64,
    ) -> Result<Vec<Option<Terms>>> {
        let leader = candidates[0];
        let train = part(&fold.train, self.fidelities[rung].share, seed);
        let epochs = self.epochs(leader, rung, fold.train.len());
        let batch = leader.batch_size.min(train.len());
        let steps = epochs * train.len().div_ceil(batch);
        let members = candidates.iter().map(|candidate| candidate.member(seed, steps));
        let (loss, optimizer) = leader.compiled()?;
        let population = Population::new(leader.layers(self.rows)?, members, self.device)?;
        let mut population = population.compile_boxed(loss, optimizer)?;
        let fit = Fit::new().epochs(epochs).batch_size(batch).progress(false);
        let features = self.rows.features(&train);
        let scale = self.scale(&leader.loss.0);
        let histories = match &self.rows.targets {
            Answers::Numbers(numbers) => {
                let of = |&row: &usize| ((numbers[row] - scale.0) / scale.1) as f32;
                let targets: Array2<f32> =
                    Array1::from_iter(train.iter().map(of)).insert_axis(ndarray::Axis(1));
                population.fit(&features, &targets, fit)?
            }
            Answers::Classes { labels, .. } => {
                let targets: Array1<i64> = train.iter().map(|&row| labels[row] as i64).collect();
                population.fit(&features, &targets, fit)?
            }
        };
        let predictions = population.predict(&self.rows.features(&fold.held_out))?;
        let is_class = matches!(self.rows.targets, Answers::Classes { .. });
        let terms = |outputs: Array2<f32>| {
            let mut outputs = outputs.mapv(f64::from);
            if is_class {
                outputs.rows_mut().into_iter().for_each(softmax);
            } else {
                outputs.mapv_inplace(|value| value * scale.1 + scale.0);
            }
            self.rows.truth(&fold.held_out, |truth| self.metric.terms(outputs.view(), truth))
        };
        let results = predictions.into_iter().zip(histories).map(|(outputs, history)| {
            let failed = matches!(history.stopped, Some(Stop::NotFinite { .. }));
            (!failed).then(|| terms(outputs))
        });
        Ok(results.collect())
    }

    /// Center and scale of the targets for a loss, as `gradus train` takes them: mean and standard
    /// deviation for squared errors, median and quartiles for the others.
    fn scale(&self, loss: &str) -> (f64, f64) {
        let Answers::Numbers(numbers) = &self.rows.targets else { return (0.0, 1.0) };
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (low, part) = (place.floor() as usize, place.fract());
            sorted[low] + part * (sorted[(low + 1).min(sorted.len() - 1)] - sorted[low])
        };
        let rows = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / rows;
        let deviation =
            (numbers.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows).sqrt();
        let spread = (at(0.75) - at(0.25)) / 1.348_979_500_392_163_5;
        let (center, scale) = match loss {
            "mse" => (mean, deviation),
            _ => (at(0.5), if spread > 0.0 { spread } else { deviation }),
        };
        (center, if scale > 0.0 { scale } else { 1.0 })
    }
}

/// Probabilities from logits.
fn softmax(mut row: ndarray::ArrayViewMut1<f64>) {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.mapv_inplace(|value| (value - largest).exp());
    let sum = row.sum();
    row.mapv_inplace(|value| value / sum);
}

impl Evaluator for Networks<'_> {
    fn rungs(&self) -> usize {
        self.fidelities.len()
    }

    fn cost(&self, configuration: &Configuration, rung: usize) -> u64 {
        let candidate = Candidate::of(self.space, configuration);
        let fidelity = self.fidelities[rung];
        let folds = &self.folds[..fidelity.folds];
        let of = |fold: &Fold| {
            let rows = (fold.train.len() as f64 * fidelity.share).ceil() as usize;
            (rows * self.epochs(&candidate, rung, fold.train.len())) as u64
        };
        folds.iter().map(of).sum()
    }

    fn groups(&self, configurations: &[&Configuration]) -> Vec<Vec<usize>> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (number, configuration) in configurations.iter().enumerate() {
            let structure = self.space.structure(configuration);
            let place = *places.entry(structure).or_insert(groups.len());
            if place == groups.len() {
                groups.push(Vec::new());
            }
            groups[place].push(number);
        }
        groups
    }

    fn evaluate(&mut self, configurations: &[&Configuration], rung: usize) -> Result<Vec<f64>> {
        let candidates: Vec<Candidate> =
            configurations.iter().map(|one| Candidate::of(self.space, one)).collect();
        let groups = self.groups(configurations);
        let folds = self.fidelities[rung].folds;
        let jobs: Vec<(usize, usize)> =
            (0..groups.len()).flat_map(|group| (0..folds).map(move |fold| (group, fold))).collect();
        let run = |&(group, fold): &(usize, usize)| {
            let members: Vec<&Candidate> =
                groups[group].iter().map(|&number| &candidates[number]).collect();
            let seed = self.seed.wrapping_add(fold as u64);
            self.train(&members, &self.folds[fold], rung, seed)
        };
        // Members do not influence each other, so the bits do not depend on the threads.
        let results: Vec<Vec<Option<Terms>>> = match self.device {
            Device::Gpu(_) => jobs.iter().map(run).collect::<Result<_>>()?,
            _ => jobs.par_iter().map(run).collect::<Result<_>>()?,
        };
        let mut sums = vec![0.0; candidates.len()];
        for ((group, _), terms) in jobs.iter().zip(results) {
            for (&number, terms) in groups[*group].iter().zip(terms) {
                sums[number] += terms.map_or(f64::NAN, |terms| terms.value()) / folds as f64;
            }
        }
        Ok(sums)
    }
}

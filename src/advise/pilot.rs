//! Pilot models: linear ones, whose residuals show how the targets scatter.

use ndarray::{Array2, Axis};
use rayon::prelude::*;

use crate::advise::features::Features;
use crate::advise::linear::{
    self, ITERATIONS, ITERATIONS_OF_A_FOLD, ITERATIONS_OF_POISSON, Weights, with_constant,
};
use crate::advise::moments::{line, mean, median, variance};

/// Parts of the rows, each predicted by a model of the others.
const FOLDS: usize = 5;

/// With fewer rows there is no model: the residuals are those of the median.
pub(super) const FEWEST_ROWS: usize = 30;

/// A model by Huber's loss.
#[derive(Debug, Clone)]
pub(super) struct Pilot {
    /// The targets of the sampled rows.
    pub(super) y: Vec<f64>,
    /// The prediction of each row by a model that has not seen it.
    pub(super) predictions: Vec<f64>,
    /// Targets minus predictions.
    pub(super) residuals: Vec<f64>,
    /// True for the model with squares and products.
    pub(super) is_bent: bool,
}

/// Rows per column from which the model with squares and products is tried.
const ROWS_PER_COLUMN: usize = 10;

impl Pilot {
    /// Fits a model on all sampled rows, then on each four fifths of them, from the weights of all;
    /// the residuals are of the fifths left out. Of a linear model and one with squares and
    /// products it is the one with the smaller absolute error: what a line misses would look like
    /// scatter.
    pub(super) fn fit(features: &Features, y: &[f64]) -> Self {
        let y = features.of(y);
        let constant = median(&y);
        let plain = || vec![constant; y.len()];
        let linear = match y.len() < FEWEST_ROWS {
            true => plain(),
            false => out_of_fold(&features.screened(&y), &y).unwrap_or_else(plain),
        };
        let linear = Pilot::new(&y, linear, false);
        let bent = features.bent(&y);
        if y.len() < FEWEST_ROWS || y.len() < ROWS_PER_COLUMN * bent.ncols() {
            return linear;
        }
        match out_of_fold(&bent, &y).map(|predictions| Pilot::new(&y, predictions, true)) {
            Some(bent) if bent.absolute_error() < linear.absolute_error() => bent,
            _ => linear,
        }
    }

    fn new(y: &[f64], predictions: Vec<f64>, is_bent: bool) -> Self {
        let residuals = y.iter().zip(&predictions).map(|(y, fit)| y - fit).collect();
        Pilot { y: y.to_vec(), predictions, residuals, is_bent }
    }

    /// Σ |e|.
    pub(super) fn absolute_error(&self) -> f64 {
        self.residuals.iter().map(|error| error.abs()).sum()
    }

    /// 1 − Σ |e| / Σ |y − median|: the share of the absolute error of the median that the model
    /// explains. It is not moved by a few gross errors.
    pub(super) fn explained(&self) -> f64 {
        let center = median(&self.y);
        let all: f64 = self.y.iter().map(|y| (y - center).abs()).sum();
        if all > 0.0 { 1.0 - self.absolute_error() / all } else { 0.0 }
    }
}

fn out_of_fold(features: &Array2<f64>, y: &[f64]) -> Option<Vec<f64>> {
    let rows = with_constant(features);
    let start = linear::huber(&rows, y, None, ITERATIONS)?;
    let fit =
        |rows: &Array2<f64>, y: &[f64]| linear::huber(rows, y, Some(&start), ITERATIONS_OF_A_FOLD);
    left_out(&rows, y, fit)
}

/// The prediction of each row by a model of the other folds. The rows are in random order already.
fn left_out(
    rows: &Array2<f64>,
    y: &[f64],
    fit: impl Fn(&Array2<f64>, &[f64]) -> Option<Weights> + Sync,
) -> Option<Vec<f64>> {
    let of_fold = |fold: usize| -> Option<Vec<(usize, f64)>> {
        let (held, others): (Vec<usize>, Vec<usize>) =
            (0..y.len()).partition(|row| row % FOLDS == fold);
        let train: Vec<f64> = others.iter().map(|&row| y[row]).collect();
        let weights = fit(&rows.select(Axis(0), &others), &train)?;
        let fits = linear::predict(&rows.select(Axis(0), &held), &weights);
        Some(held.into_iter().zip(fits).collect())
    };
    let folds: Vec<Option<Vec<(usize, f64)>>> = (0..FOLDS).into_par_iter().map(of_fold).collect();
    let mut predictions = vec![0.0; y.len()];
    for fold in folds {
        fold?.into_iter().for_each(|(row, fit)| predictions[row] = fit);
    }
    Some(predictions)
}

/// A linear model of the logarithm of the mean, by Poisson's quasi-likelihood.
#[derive(Debug, Clone)]
pub(super) struct LogPilot {
    y: Vec<f64>,
    /// The mean of each row by the model of all rows.
    means: Vec<f64>,
    /// The same by a model that has not seen it.
    unseen: Vec<f64>,
    parameters: usize,
}

/// Rows per parameter below which the model would follow the rows.
const ROWS_PER_PARAMETER: usize = 4;

/// The variance beside the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dispersion {
    /// Pearson's Σ (y − μ)²/μ over n − p: 1 for Poisson's distribution.
    pub(super) pearson: f64,
    /// t of ((y − μ)² − y)/μ on 1 (A. Cameron and P. Trivedi 1990).
    pub(super) t: f64,
}

impl LogPilot {
    /// None if there are few rows, y has a negative number, or no mean.
    pub(super) fn fit(features: &Features, y: &[f64]) -> Option<Self> {
        let y = features.of(y);
        if y.len() < FEWEST_ROWS || y.iter().any(|y| *y < 0.0) {
            return None;
        }
        let rows: Array2<f64> = with_constant(&features.screened(&y));
        if y.len() < ROWS_PER_PARAMETER * rows.ncols() {
            return None;
        }
        let weights = linear::poisson(&rows, &y, None, ITERATIONS_OF_POISSON)?;
        let start = &weights;
        let fit = |rows: &Array2<f64>, y: &[f64]| {
            linear::poisson(rows, y, Some(start), ITERATIONS_OF_A_FOLD)
        };
        let exponentials = |fits: Vec<f64>| -> Vec<f64> {
            fits.into_iter().map(|fit| fit.min(700.0).exp()).collect()
        };
        let unseen = exponentials(left_out(&rows, &y, fit)?);
        let means = exponentials(linear::predict(&rows, &weights));
        Some(LogPilot { y, means, unseen, parameters: rows.ncols() })
    }

    pub(super) fn dispersion(&self) -> Dispersion {
        let rows = self.y.len() as f64;
        // In-sample residuals are too small by the share of the parameters.
        let correction = rows / (rows - self.parameters as f64).max(1.0);
        let pairs = || self.y.iter().zip(&self.means).map(|(y, mean)| (y, mean.max(1e-9)));
        let pearson =
            correction * pairs().map(|(y, mean)| (y - mean).powi(2) / mean).sum::<f64>() / rows;
        let terms: Vec<f64> =
            pairs().map(|(y, mean)| (correction * (y - mean).powi(2) - y) / mean).collect();
        let error = (variance(&terms) / rows).sqrt();
        Dispersion { pearson, t: if error > 0.0 { mean(&terms) / error } else { 0.0 } }
    }

    /// The exponent λ of the variance as a power of the mean, and its standard error: the slope of
    /// ln mean (y − μ)² on ln mean μ over ten bins of the predictions (R. Park 1966; W. Manning and
    /// J. Mullahy 2001). None if the predictions hardly vary.
    pub(super) fn park(&self) -> Option<(f64, f64)> {
        if self.y.len() < FEWEST_FOR_PARK {
            return None;
        }
        let mut order: Vec<usize> = (0..self.y.len()).collect();
        order.sort_by(|&a, &b| self.means[a].total_cmp(&self.means[b]));
        let bin = |at: usize| &order[at * order.len() / BINS..(at + 1) * order.len() / BINS];
        let of = |rows: &[usize], value: &dyn Fn(usize) -> f64| -> f64 {
            rows.iter().map(|&row| value(row)).sum::<f64>() / rows.len() as f64
        };
        let points: Vec<(f64, f64)> = (0..BINS)
            .map(|at| {
                let square = |row: usize| (self.y[row] - self.means[row]).powi(2);
                (of(bin(at), &|row| self.means[row]).ln(), of(bin(at), &square).ln())
            })
            .filter(|(x, y)| x.is_finite() && y.is_finite())
            .collect();
        let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        let range = x.last()? - x.first()?;
        if x.len() < BINS / 2 || range < LEAST_RANGE {
            return None;
        }
        line(&x, &y, &vec![1.0; x.len()])
    }

    /// Σ |y − μ| of rows that the model has not seen.
    pub(super) fn absolute_error(&self) -> f64 {
        self.y.iter().zip(&self.unseen).map(|(y, mean)| (y - mean).abs()).sum()
    }

    /// ln y − ln μ of the rows with y > 0, which the model has not seen.
    pub(super) fn log_residuals(&self) -> Vec<f64> {
        let pairs = self.y.iter().zip(&self.unseen).filter(|(y, _)| **y > 0.0);
        pairs.map(|(y, mean)| y.ln() - mean.max(1e-300).ln()).collect()
    }

    /// The share of zeros that Poisson's distribution has at these means.
    pub(super) fn expected_zeros(&self) -> f64 {
        mean(&self.means.iter().map(|mean| (-mean).exp()).collect::<Vec<_>>())
    }
}

/// Bins of the predictions.
const BINS: usize = 10;

/// With fewer rows the variances of ten bins are too uncertain.
const FEWEST_FOR_PARK: usize = 200;

/// Least range of ln μ over which a slope is fitted: a factor of 1.5.
const LEAST_RANGE: f64 = 0.405;

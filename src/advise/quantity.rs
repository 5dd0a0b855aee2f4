//! Statistics of a target that is a quantity: tails, caps, zeros, variance beside the mean.

use crate::advise::features::Features;
use crate::advise::moments::{
    Tails, madn, mean, median, quantile, skewness, sorted, spearman, variance,
};
use crate::advise::pilot::{Dispersion, LogPilot, Pilot};
use crate::advise::task::{Task, TaskKind};

/// Distance of the quartiles of a normal distribution, in standard deviations.
const NORMAL_QUARTILES: f64 = 1.349;

/// Share of the rows at the largest or smallest value from which it is a cap.
pub(super) const CAP_SHARE: f64 = 0.01;

/// A capped value has so many times the rows of those beside it.
const CAP_RATIO: f64 = 5.0;

/// Fewer rows are no cap.
const FEWEST_AT_A_CAP: usize = 8;

/// Rank correlation of |e| with the prediction from which the variance depends on the mean.
pub(super) const HETEROSCEDASTIC: f64 = 0.2;

/// Skewness and ratio of the 95 % to the 5 % quantile from which a logarithmic link is considered.
pub(super) const SKEWED: f64 = 1.0;
pub(super) const WIDE: f64 = 5.0;

/// Mean distance of far residuals, in units of the targets, below which they are no outliers.
const LEAST_REACH: f64 = 1.0;

/// Share of ln y − ln μ above 3.5 MADN, which is 0.02 % for normal values, from which some targets
/// are wrong.
const LOG_ABOVE: f64 = 0.015;

/// The ends of the Park slope's range for squared errors, Poisson and gamma.
pub(super) const POISSON_FROM: f64 = 0.5;
pub(super) const GAMMA_FROM: f64 = 1.5;

/// Rows at one of the ends of a target's range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cap {
    pub(super) value: f64,
    pub(super) rows: usize,
    pub(super) share: f64,
    pub(super) is_capped: bool,
}

/// Statistics of one target column.
#[derive(Debug, Clone)]
pub(super) struct Quantity {
    pub(super) skewness: f64,
    pub(super) least: f64,
    /// The 5 %, 50 % and 95 % quantiles.
    pub(super) quantiles: [f64; 3],
    pub(super) largest: Cap,
    pub(super) smallest: Cap,
    pub(super) zero_share: f64,
    /// Quartile distance over that of a normal distribution: the unit of median-scaled targets.
    pub(super) unit: f64,
    pub(super) pilot: Pilot,
    pub(super) tails: Tails,
    /// Mean size of the residuals beyond 5 MADN, in the unit of median-scaled targets.
    pub(super) reach: f64,
    /// Tails of ln y − ln μ, for y > 0, and the share of it above 3.5 MADN.
    pub(super) log_tails: Option<Tails>,
    pub(super) log_above: f64,
    /// Absolute error of the model with a logarithmic link over that of the linear one.
    pub(super) log_error: Option<f64>,
    /// Park's slope with its standard error.
    pub(super) park: Option<(f64, f64)>,
    pub(super) dispersion: Option<Dispersion>,
    pub(super) expected_zeros: Option<f64>,
    /// Rank correlation of |e| with the prediction, and its t.
    pub(super) scatter: (f64, f64),
}

impl Quantity {
    pub(super) fn of(values: &[f64], features: &Features, task: &Task) -> Self {
        let ascending = sorted(values);
        let pilot = Pilot::fit(features, values);
        let tails = Tails::of(&pilot.residuals);
        let log_pilot = LogPilot::fit(features, values);
        let absolute = pilot.absolute_error();
        let sizes: Vec<f64> = pilot.residuals.iter().map(|error| error.abs()).collect();
        let is_count = task.kind == TaskKind::Counts;
        let zeros = values.iter().filter(|value| **value == 0.0).count();
        let spread = (quantile(&ascending, 0.75) - quantile(&ascending, 0.25)) / NORMAL_QUARTILES;
        let least = ascending[0];
        let unit = if spread > 0.0 { spread } else { variance(values).sqrt() };
        let logarithms =
            log_pilot.as_ref().filter(|_| least > 0.0 || is_count).map(LogPilot::log_residuals);
        Quantity {
            skewness: skewness(values),
            least,
            quantiles: [0.05, 0.5, 0.95].map(|share| quantile(&ascending, share)),
            largest: cap(ascending.iter().rev()),
            smallest: cap(ascending.iter()),
            zero_share: zeros as f64 / values.len() as f64,
            unit,
            reach: reach(&pilot.residuals, tails.madn) / unit.max(1e-300),
            log_above: logarithms.as_deref().map_or(0.0, above),
            log_tails: logarithms.as_deref().map(Tails::of),
            log_error: log_pilot
                .as_ref()
                .filter(|_| absolute > 0.0)
                .map(|pilot| pilot.absolute_error() / absolute),
            park: log_pilot.as_ref().and_then(LogPilot::park),
            dispersion: log_pilot.as_ref().filter(|_| is_count).map(LogPilot::dispersion),
            expected_zeros: log_pilot.as_ref().filter(|_| is_count).map(LogPilot::expected_zeros),
            scatter: spearman(&sizes, &pilot.predictions),
            pilot,
            tails,
        }
    }

    /// The 95 % over the 5 % quantile, if both are above 0.
    pub(super) fn width(&self) -> Option<f64> {
        (self.quantiles[0] > 0.0).then(|| self.quantiles[2] / self.quantiles[0])
    }

    /// True if the residuals are heavy-tailed: some are far beyond the others and beyond the usual
    /// distance of targets from each other. What a model explains nearly to the last digit leaves
    /// residuals of its own shape, not of the targets'.
    pub(super) fn is_heavy(&self) -> bool {
        self.tails.are_heavy() && self.reach >= LEAST_REACH && !self.is_light_in_logarithms()
    }

    /// True for positive, skewed numbers that a logarithmic link fits as well, with light tails of
    /// ln y − ln μ: far values are there by their scale, and no mistakes. A factor of ten in a few
    /// targets is above 3.5 MADN even where the logarithms scatter much.
    pub(super) fn is_light_in_logarithms(&self) -> bool {
        self.least > 0.0
            && self.skewness >= SKEWED
            && self.log_tails.is_some_and(|tails| !tails.are_heavy())
            && self.log_above <= LOG_ABOVE
            && self.log_error.is_some_and(|ratio| ratio <= 1.05)
    }

    /// True for positive numbers that scatter in proportion to a power of their mean, over a wide
    /// range: a logarithmic link fits them, and on that scale the tails are light.
    pub(super) fn is_multiplicative(&self) -> bool {
        self.is_light_in_logarithms()
            && !self.largest.is_capped
            && self.log_error.is_some_and(|ratio| ratio <= 1.03)
            && self.width().is_some_and(|width| width >= WIDE)
            && self.park.is_some_and(|(slope, error)| slope - error >= POISSON_FROM)
    }

    /// True if the variance grows or falls with the mean, by more than chance.
    pub(super) fn is_heteroscedastic(&self) -> bool {
        // t of 3.29 is p = .001.
        self.scatter.0.abs() >= HETEROSCEDASTIC && self.scatter.1.abs() > 3.29
    }

    /// The power of ten by which most far targets differ from their predictions, as a wrong decimal
    /// point or another unit gives.
    pub(super) fn wrong_by(&self) -> Option<f64> {
        let limit = 5.0 * self.tails.madn;
        let logarithms: Vec<f64> = self
            .pilot
            .residuals
            .iter()
            .zip(&self.pilot.predictions)
            .zip(&self.pilot.y)
            .filter(|((error, fit), y)| error.abs() > limit && **fit > 0.0 && **y > 0.0)
            .map(|((_, fit), y)| (y / fit).log10())
            .collect();
        if (logarithms.len() as f64) < 0.8 * self.tails.outliers as f64 || logarithms.len() < 5 {
            return None;
        }
        let ascending = sorted(&logarithms);
        let nearest = quantile(&ascending, 0.5).round();
        let [low, high] = [0.25, 0.75].map(|share| quantile(&ascending, share));
        let is_near = (quantile(&ascending, 0.5) - nearest).abs() < 0.2 && high - low < 0.6;
        (nearest != 0.0 && is_near).then(|| 10.0_f64.powf(nearest))
    }
}

/// Mean size of the residuals beyond 5 MADN; 0 without any.
fn reach(residuals: &[f64], scale: f64) -> f64 {
    let center = median(residuals);
    let far: Vec<f64> = residuals
        .iter()
        .map(|error| (error - center).abs())
        .filter(|distance| *distance > 5.0 * scale)
        .collect();
    if far.is_empty() { 0.0 } else { mean(&far) }
}

/// Share of the values more than 3.5 MADN above their median.
fn above(values: &[f64]) -> f64 {
    let limit = median(values) + 3.5 * madn(values);
    values.iter().filter(|value| **value > limit).count() as f64 / values.len().max(1) as f64
}

/// The rows at the first of ordered values, beside the twenty different values that follow.
fn cap<'a>(ordered: impl Iterator<Item = &'a f64>) -> Cap {
    let values: Vec<f64> = ordered.copied().collect();
    let mut runs = values.chunk_by(|a, b| a == b).map(<[f64]>::len);
    let rows = runs.next().unwrap_or(0);
    let beside: Vec<usize> = runs.take(20).collect();
    let usual = beside.iter().sum::<usize>() as f64 / beside.len().max(1) as f64;
    let share = rows as f64 / values.len().max(1) as f64;
    let is_capped = share >= CAP_SHARE
        && rows >= FEWEST_AT_A_CAP
        && beside.len() >= 10
        && rows as f64 >= CAP_RATIO * usual;
    Cap { value: values.first().copied().unwrap_or(f64::NAN), rows, share, is_capped }
}

//! What a range test found: scores by rate, and the rates that they suggest.

use std::fmt;

use serde::Serialize;

use crate::error::text;
use crate::nn::rates::members::AllTrained;
use crate::{Error, Result};

/// Share of what can be learnt that a rate of the band may lose.
const BAND: f64 = 0.1;

/// Share of the untrained loss that the best rate must take off it to have learnt anything.
const LEAST: f64 = 1e-4;

/// Decades between the vertices of two seeds from which on they disagree.
const DISAGREEMENT: f64 = 0.5;

/// Lengths of a test beyond which a training is a long one.
const LONG: usize = 20;

/// A rate of three significant digits.
pub(super) fn rounded(rate: f64) -> f64 {
    format!("{rate:.2e}").parse().unwrap_or(rate)
}

/// One rate of a range test.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RatePoint {
    /// The learning rate.
    pub rate: f64,
    /// The held-out loss behind the last step, the mean over the seeds; none if a seed's training
    /// was dropped.
    pub loss: Option<f64>,
    /// The held-out loss of each seed; none if its training was dropped.
    pub losses: Vec<Option<f64>>,
    /// Completed updates, of the seed with the fewest.
    pub steps: usize,
}

/// The result of a [`RangeTest`](crate::rates::RangeTest). Its text is a line with the suggestion.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LearningRates {
    /// The rate to train with: the vertex, or a third of the band's upper end if that is lower and
    /// the training is more than twenty times as long as the test, without a schedule: a constant
    /// rate then keeps the loss up by its noise (Y. Wu et al., Understanding short-horizon bias in
    /// stochastic meta-optimization, 2018).
    pub suggestion: f64,
    /// The lowest point of the parabola through the best rate and its neighbours.
    pub vertex: f64,
    /// The rates around the best one whose loss is within a tenth of what is learnt: untrained −
    /// best; the vertex is in it.
    pub band: (f64, f64),
    /// The lowest rate above the band at which a training was dropped.
    pub diverges: Option<f64>,
    /// True if the best rate is the lowest or the highest of the test: a better one may be outside.
    pub at_end: bool,
    /// Decades between the lowest and the highest vertex of the seeds.
    pub disagreement: f64,
    /// The held-out loss that learning nothing has: of the initial weights, or of the best
    /// constant for a loss of numbers if that is lower.
    pub untrained: f64,
    /// Updates of each training.
    pub steps: usize,
    /// Updates of the training that the rate is for.
    pub planned: usize,
    /// Rows, or lists, that the losses are of.
    pub held_out: usize,
    /// The rates, from low to high.
    pub points: Vec<RatePoint>,
}

impl LearningRates {
    /// From the trials of all seeds, seed after seed; `lengths` are the steps of the test and of
    /// the training, and whether the latter has a schedule.
    pub(super) fn new(
        rates: &[f64],
        seeds: usize,
        all: AllTrained,
        (steps, planned, has_schedule): (usize, usize, bool),
    ) -> Result<Self> {
        let AllTrained { trained, untrained, held_out } = all;
        let of = |seed: usize, rate: usize| trained[seed * rates.len() + rate];
        let points: Vec<RatePoint> = (0..rates.len())
            .map(|rate| {
                let losses: Vec<Option<f64>> = (0..seeds).map(|seed| of(seed, rate).loss).collect();
                let all: Option<Vec<f64>> = losses.iter().copied().collect();
                RatePoint {
                    rate: rates[rate],
                    loss: all.map(|all| all.iter().sum::<f64>() / seeds as f64),
                    losses,
                    steps: (0..seeds).map(|seed| of(seed, rate).steps).min().unwrap_or(0),
                }
            })
            .collect();
        // No training does worse than to learn nothing.
        let of_seed = |seed: usize| -> Vec<f64> {
            let most = untrained[seed];
            let capped = |loss: Option<f64>| loss.filter(|loss| *loss < most).unwrap_or(most);
            (0..rates.len()).map(|rate| capped(of(seed, rate).loss)).collect()
        };
        let mut scores = vec![0.0; rates.len()];
        for seed in 0..seeds {
            scores
                .iter_mut()
                .zip(of_seed(seed))
                .for_each(|(sum, loss)| *sum += loss / seeds as f64);
        }
        let best = lowest(&scores);
        let untrained = untrained.iter().sum::<f64>() / seeds as f64;
        let learnt = untrained - scores[best];
        if !(untrained.is_finite() && learnt > LEAST * untrained.abs()) {
            let [low, high] = [rates[0], rates[rates.len() - 1]].map(text::number);
            return Err(Error::Input {
                operation: "range test".into(),
                name: format!("the held-out loss, {} before training,", text::number(untrained)),
                found: format!("is not lowered by any rate from {low} to {high} in {steps} steps"),
                allowed: "features that say something about the targets, another range of rates, or more steps"
                    .into(),
            });
        }
        let is_within = |rate: &usize| scores[*rate] <= scores[best] + BAND * learnt;
        let first = (0..=best).rev().take_while(is_within).last().unwrap_or(best);
        let last = (best..rates.len()).take_while(is_within).last().unwrap_or(best);
        let vertices: Vec<f64> = (0..seeds)
            .map(|seed| {
                let scores = of_seed(seed);
                vertex(rates, &scores, lowest(&scores)).log10()
            })
            .collect();
        let [low, high] =
            [f64::min, f64::max].map(|of| vertices.iter().copied().reduce(of).unwrap_or_default());
        let vertex = vertex(rates, &scores, best);
        let third = rates[last] / 3.0;
        let is_long = !has_schedule && planned > LONG.saturating_mul(steps);
        let dropped = (last + 1..rates.len()).find(|&rate| points[rate].loss.is_none());
        Ok(LearningRates {
            suggestion: rounded(if is_long { vertex.min(third) } else { vertex }),
            vertex: rounded(vertex),
            // The vertex may lie beside a band of a single rate.
            band: (rates[first].min(rounded(vertex)), rates[last].max(rounded(vertex))),
            diverges: dropped.map(|rate| rates[rate]),
            at_end: best == 0 || best + 1 == rates.len(),
            disagreement: high - low,
            untrained,
            steps,
            planned,
            held_out,
            points,
        })
    }

    /// What stands in the way of trusting the suggestion, if anything: seeds that disagree, a best
    /// rate at the end of the range.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.disagreement > DISAGREEMENT {
            doubts.push(format!(
                "the seeds differ by a factor of {} in their best rate: more rows, more steps or larger batches would make it surer",
                text::significant(10_f64.powf(self.disagreement), 2)
            ));
        }
        if self.at_end {
            let end = if self.vertex <= self.points[1].rate { "lowest" } else { "highest" };
            doubts.push(format!("the best rate is the {end} of the test: try a wider range"));
        }
        doubts
    }
}

/// The place of the lowest score, the first of equals.
fn lowest(scores: &[f64]) -> usize {
    (1..scores.len()).fold(0, |best, at| if scores[at] < scores[best] { at } else { best })
}

/// The vertex of the parabola through the score of the best rate and its neighbours over ln(rate);
/// the best rate itself at an end.
fn vertex(rates: &[f64], scores: &[f64], best: usize) -> f64 {
    if best == 0 || best + 1 >= rates.len() {
        return rates[best];
    }
    let [left, middle, right] = [scores[best - 1], scores[best], scores[best + 1]];
    let [x, y, z] = [rates[best - 1], rates[best], rates[best + 1]].map(f64::ln);
    let (a, b) = ((right - middle) / (z - y), (middle - left) / (y - x));
    // Both differences are 0 on a plateau.
    if a - b <= 0.0 {
        return rates[best];
    }
    let place = 0.5 * (x + y) - b * (z - x) / (2.0 * (a - b));
    place.clamp(x, z).exp()
}

impl fmt::Display for LearningRates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [rate, low, high] = [self.suggestion, self.band.0, self.band.1].map(text::number);
        write!(f, "learning rate {rate}: within 10 % of the best from {low} to {high}")?;
        match self.diverges {
            Some(rate) => write!(f, ", diverges at {}", text::number(rate)),
            None => write!(f, ", none diverges"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vertex_is_that_of_a_parabola() {
        let rates: Vec<f64> = (0..9).map(|k| 10_f64.powf(f64::from(k) / 4.0 - 3.0)).collect();
        let at = 0.013_f64;
        let scores: Vec<f64> = rates.iter().map(|rate| 1.0 + (rate / at).ln().powi(2)).collect();
        let found = vertex(&rates, &scores, lowest(&scores));
        assert!((found / at - 1.0).abs() < 1e-9, "{found}");
        assert_eq!(vertex(&rates, &[1.0; 9], 4), rates[4]);
        assert_eq!(vertex(&rates, &scores, 0), rates[0]);
    }
}

//! How much each parameter mattered: the share of the metric's variance between its values.

use crate::tune::halving::Trial;
use crate::tune::space::{Domain, Space};

/// Bins of a number's range, each with as many trials.
const BINS: usize = 5;

/// A parameter and its main effect.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// The parameter's name.
    pub parameter: String,
    /// Share of the variance between its values among all, in [0, 1], less what chance alone would
    /// explain.
    pub share: f64,
}

/// With fewer trials each bin has one or two, and every parameter seems to explain them.
const FEWEST_TRIALS: usize = 20;

/// Main effects on the rank of the metric at the first rung, where all trials are compared; of
/// ranks, so that a few diverged trainings do not decide. Failed trials are the last of all. The
/// value of a number counts by quantiles, and not to exist as a value of its own. None with few trials.
pub(crate) fn importances(space: &Space, trials: &[Trial]) -> Vec<Importance> {
    let mut order: Vec<usize> =
        (0..trials.len()).filter(|&at| !trials[at].values.is_empty()).collect();
    if order.len() < FEWEST_TRIALS {
        return Vec::new();
    }
    let value = |at: usize| trials[at].values[0];
    order.sort_by(|&a, &b| {
        (value(a).is_nan(), value(a))
            .partial_cmp(&(value(b).is_nan(), value(b)))
            .unwrap_or(value(a).is_nan().cmp(&value(b).is_nan()))
    });
    let mut found: Vec<Importance> = space
        .parameters
        .iter()
        .enumerate()
        .map(|(place, parameter)| {
            let values: Vec<Option<f64>> =
                order.iter().map(|&at| trials[at].configuration.value(place)).collect();
            let groups = match parameter.domain {
                Domain::Categorical(_) => {
                    values.iter().map(|value| value.map_or(0, |v| v as usize + 1)).collect()
                }
                _ => quantiles(&values),
            };
            Importance { parameter: parameter.name.clone(), share: effect(&groups) }
        })
        .collect();
    found.sort_by(|a, b| b.share.total_cmp(&a.share));
    found
}

/// The bin of each value by its rank; 0 for those that do not exist.
fn quantiles(values: &[Option<f64>]) -> Vec<usize> {
    let mut sorted: Vec<f64> = values.iter().flatten().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let bin = |value: f64| {
        let below = sorted.partition_point(|other| *other < value);
        1 + below * BINS / sorted.len().max(1)
    };
    values.iter().map(|value| value.map_or(0, bin)).collect()
}

/// The share of the variance of the positions 0, 1, 2, … between groups, less that of chance
/// (ε² of T. Kelley, 1935), at least 0.
fn effect(groups: &[usize]) -> f64 {
    let rows = groups.len() as f64;
    let mean = (rows - 1.0) / 2.0;
    let all: f64 = (0..groups.len()).map(|at| (at as f64 - mean).powi(2)).sum();
    let names: std::collections::BTreeSet<usize> = groups.iter().copied().collect();
    let freedom = rows - names.len() as f64;
    if all == 0.0 || freedom <= 0.0 {
        return 0.0;
    }
    let within: f64 = names
        .iter()
        .map(|name| {
            let own: Vec<f64> =
                (0..groups.len()).filter(|&at| groups[at] == *name).map(|at| at as f64).collect();
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            own.iter().map(|at| (at - mean).powi(2)).sum::<f64>()
        })
        .sum();
    (1.0 - within / freedom / (all / (rows - 1.0))).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::halving::State;
    use crate::tune::sampler::Sampler;
    use crate::tune::space::Parameter;

    #[test]
    fn what_decides_is_found_and_what_does_not_is_not() {
        let space = Space::new([
            Parameter::choice("loss", &["a", "b", "c"]),
            Parameter::log("rate", 1e-4, 1.0),
            Parameter::float("nothing", 0.0, 1.0),
            Parameter::float("rare", 0.0, 1.0).when("loss", &["c"]),
        ])
        .unwrap();
        let drawn = Sampler::new(&space, 1, 1000).draw(0, 200, 1, &[]);
        let trials: Vec<Trial> = drawn
            .into_iter()
            .enumerate()
            .map(|(number, configuration)| {
                let at = |place| configuration.value(place).unwrap();
                let value = (at(1).log10() + 2.0).abs() + 0.3 * at(0);
                let value = if number % 40 == 7 { f64::NAN } else { value };
                let (state, values) = (State::Pruned, vec![value]);
                Trial { number, bracket: 0, configuration, values, state, cost: 1 }
            })
            .collect();
        let found = importances(&space, &trials);
        let share = |name: &str| found.iter().find(|one| one.parameter == name).unwrap().share;
        assert_eq!(found[0].parameter, "rate");
        assert!(share("rate") > 0.4 && share("loss") > 0.05, "{found:?}");
        assert!(share("nothing") < 0.05, "{found:?}");
        assert_eq!(effect(&[1, 1, 1, 2, 2, 2]), 1.0 - 4.0 / 4.0 / (17.5 / 5.0));
    }
}

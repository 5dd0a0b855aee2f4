//! Where the configurations of a search come from: a scrambled Sobol sequence, then TPE.

use std::collections::HashSet;

use crate::cpu::random::{Random, philox};
use crate::tune::parzen::{Parzen, best_of};
use crate::tune::space::{Configuration, Space};

/// Dimensions of the Sobol sequence.
const DIMENSIONS: u32 = sobol_burley::NUM_DIMENSIONS;

/// Attempts to draw a configuration that is not in the search yet.
const ATTEMPTS: u32 = 64;

/// Keeps the random numbers of a search apart from those of trainings with the same seed.
const DOMAIN: u64 = 0x7475_6e65;

/// A finished trial: what was tried, and how good it was among all. `rank` orders trials: less is
/// better.
#[derive(Clone, Debug)]
pub(crate) struct Observation {
    pub configuration: Configuration,
    pub rank: f64,
}

/// Draws configurations. Each value is a function of the seed, the number of the trial and the
/// place of the parameter, and of the observations: the same for any number of threads and after a
/// resume.
#[derive(Debug)]
pub(crate) struct Sampler<'s> {
    space: &'s Space,
    seed: u64,
    known: HashSet<String>,
    /// Number of trials with which TPE begins.
    startup: usize,
}

impl<'s> Sampler<'s> {
    pub fn new(space: &'s Space, seed: u64, startup: usize) -> Self {
        Sampler { space, seed, known: HashSet::new(), startup }
    }

    /// Excludes a configuration from the draws; false if it was excluded before.
    pub fn know(&mut self, configuration: &Configuration) -> bool {
        self.known.insert(self.space.text(configuration))
    }

    /// `count` new configurations for the trials from number `first` on, `group` at a time with the
    /// same structural values; fewer if the space has no more.
    pub fn draw(
        &mut self,
        first: usize,
        count: usize,
        group: usize,
        observations: &[Observation],
    ) -> Vec<Configuration> {
        let estimators =
            (observations.len() >= self.startup.max(1)).then(|| self.estimators(observations));
        let mut drawn = Vec::with_capacity(count);
        let mut structure = Vec::new();
        for offset in 0..count {
            let trial = first + offset;
            let leader = first + offset - offset % group.max(1);
            let mut found = None;
            for attempt in 0..ATTEMPTS {
                // In a small space a group may run out of members: then its structure is drawn
                // anew.
                let fresh = attempt >= ATTEMPTS / 2;
                if fresh || (trial == leader && attempt == 0) {
                    let number = if fresh { trial } else { leader };
                    structure = self.values(number, attempt, &[], true, estimators.as_deref());
                }
                let values = self.values(trial, attempt, &structure, false, estimators.as_deref());
                let configuration = Configuration(values);
                if self.know(&configuration) {
                    found = Some(configuration);
                    break;
                }
            }
            drawn.extend(found);
        }
        drawn
    }

    /// The structural values of a group, or all values of a trial of that structure.
    fn values(
        &self,
        trial: usize,
        attempt: u32,
        structure: &[Option<f64>],
        structural: bool,
        estimators: Option<&[Parzen]>,
    ) -> Vec<Option<f64>> {
        let mut values: Vec<Option<f64>> = Vec::with_capacity(self.space.parameters.len());
        for (place, parameter) in self.space.parameters.iter().enumerate() {
            let value = if !self.space.exists(place, &values) {
                None
            } else if parameter.structural && !structural {
                structure.get(place).copied().flatten()
            } else if !parameter.structural && structural {
                None
            } else {
                Some(match estimators {
                    Some(estimators) => {
                        estimators[place].draw(&mut self.random(trial, place, attempt))
                    }
                    None => parameter.domain.at(self.place_of(trial, place, attempt)),
                })
            };
            values.push(value);
        }
        values
    }

    fn random(&self, trial: usize, place: usize, attempt: u32) -> Random {
        let stream = (trial as u64) << 24 | (place as u64) << 8 | u64::from(attempt);
        Random::new(self.seed ^ (DOMAIN << 32), stream)
    }

    /// The place of a parameter in [0, 1): a coordinate of the scrambled Sobol sequence, or a
    /// uniform number behind its end and for a second attempt.
    fn place_of(&self, trial: usize, place: usize, attempt: u32) -> f64 {
        let index = u32::try_from(trial).ok().filter(|index| *index < 1 << 16);
        let dimension = u32::try_from(place).ok().filter(|dimension| *dimension < DIMENSIONS);
        match (index, dimension, attempt) {
            (Some(index), Some(dimension), 0) => {
                let key = [self.seed as u32, (self.seed >> 32) as u32];
                let scramble = philox([DOMAIN as u32, 0, 0, 0], key)[0];
                f64::from(sobol_burley::sample(index, dimension, scramble))
            }
            _ => self.random(trial, place, attempt).uniform(),
        }
    }

    fn estimators(&self, observations: &[Observation]) -> Vec<Parzen> {
        let mut order: Vec<usize> = (0..observations.len()).collect();
        order.sort_by(|&a, &b| observations[a].rank.total_cmp(&observations[b].rank));
        let mut is_best = vec![false; observations.len()];
        order.iter().take(best_of(order.len())).for_each(|&one| is_best[one] = true);
        let (best, rest): (Vec<_>, Vec<_>) =
            observations.iter().zip(is_best).partition(|(_, is_best)| *is_best);
        let of = |part: &[(&Observation, bool)], place: usize| -> Vec<f64> {
            part.iter().filter_map(|(one, _)| one.configuration.value(place)).collect()
        };
        let parameters = self.space.parameters.iter().enumerate();
        parameters
            .map(|(place, parameter)| {
                Parzen::new(&parameter.domain, &of(&best, place), &of(&rest, place))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tune::space::Parameter;

    /// The space and the function of the study that compared samplers: best is 0.
    fn space() -> Space {
        Space::new([
            Parameter::log("lr", 1e-5, 1.0),
            Parameter::choice("loss", &["0", "1", "2"]),
            Parameter::int("layers", 1, 4),
            Parameter::float("ls", 0.0, 0.3),
        ])
        .unwrap()
    }

    fn value(configuration: &Configuration) -> f64 {
        let at = |place| configuration.value(place).unwrap();
        (at(0).log10() + 2.5).abs() + 0.2 * at(1) + 0.05 * (at(2) - 2.0).abs() + at(3)
    }

    fn search(seed: u64, trials: usize, batch: usize) -> Vec<Observation> {
        let space = space();
        let mut sampler = Sampler::new(&space, seed, 16);
        let mut observations: Vec<Observation> = Vec::new();
        while observations.len() < trials {
            let drawn = sampler.draw(observations.len(), batch, 1, &observations);
            observations.extend(
                drawn.into_iter().map(|configuration| Observation {
                    rank: value(&configuration),
                    configuration,
                }),
            );
        }
        observations
    }

    fn best(observations: &[Observation]) -> f64 {
        observations.iter().map(|one| one.rank).fold(f64::INFINITY, f64::min)
    }

    /// Optuna's TPE finds .0040, .0019 and .0008 on this with 512 trials, random draws .093, .180
    /// and .018.
    #[test]
    fn tpe_finds_the_best_of_a_mixed_space_without_a_duplicate() {
        let mut found = Vec::new();
        for seed in 1..=3 {
            let observations = search(seed, 512, 4);
            let texts: HashSet<String> =
                observations.iter().map(|one| space().text(&one.configuration)).collect();
            assert_eq!(texts.len(), observations.len());
            found.push(best(&observations));
        }
        found.sort_by(f64::total_cmp);
        assert!(found[1] <= 0.01, "{found:?}");
    }

    #[test]
    fn draws_depend_on_the_seed_and_the_trial_alone() {
        let texts = |observations: &[Observation]| -> Vec<String> {
            observations.iter().map(|one| space().text(&one.configuration)).collect()
        };
        let [one, again, other] =
            [search(5, 64, 8), search(5, 64, 8), search(6, 64, 8)].map(|found| texts(&found));
        assert_eq!(one, again);
        assert!(one != other);
    }

    #[test]
    fn a_group_shares_its_structure_and_an_exhausted_space_ends() {
        let space = Space::new([
            Parameter::choice("width", &["16", "32", "64"]).structural(),
            Parameter::float("decay", 0.0, 1.0).when("width", &["16", "32"]),
            Parameter::log("rate", 1e-4, 1e-1),
        ])
        .unwrap();
        let mut sampler = Sampler::new(&space, 1, 1000);
        let drawn = sampler.draw(0, 24, 4, &[]);
        assert_eq!(drawn.len(), 24);
        for group in drawn.chunks(4) {
            assert!(group.iter().all(|one| one.value(0) == group[0].value(0)));
            assert!(group.iter().all(|one| one.value(1).is_some() == (one.value(0) != Some(2.0))));
        }
        let small = Space::new([Parameter::int("a", 1, 3)]).unwrap();
        let mut sampler = Sampler::new(&small, 1, 1000);
        let drawn = sampler.draw(0, 8, 2, &[]);
        assert!(drawn.len() <= 3 && !drawn.is_empty(), "{}", drawn.len());
    }
}

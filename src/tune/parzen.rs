//! Tree-structured Parzen estimators, one parameter at a time.
//!
//! The trials so far are split into the best ones and the rest. For a parameter each part gives a
//! density; candidates are drawn from that of the best, and the one with the largest ratio of the
//! two densities is taken. Numbers have a mixture of normal distributions truncated to the range,
//! one at each observation with the distance to its neighbours as deviation, and one over the whole
//! range; choices have their counts. Old observations weigh less.
//!
//! Source: J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, *Algorithms for hyper-parameter
//! optimization*, 2011; the deviations are those of Optuna's `TPESampler`.

use std::f64::consts::{PI, SQRT_2};

use crate::cpu::random::Random;
use crate::tune::space::Domain;

/// Candidates drawn for a value.
const CANDIDATES: usize = 24;

/// At most this many trials are the best ones.
const MOST_BEST: usize = 25;

/// Share of the trials that are the best ones.
const SHARE: f64 = 0.1;

/// Fewer whole numbers than this have a count each: a mixture of normal distributions never leaves
/// the number that the best trials share.
const FEW: i64 = 16;

/// Deviations beyond which a normal density is taken for 0: exp(−32) of its height.
const REACH: f64 = 8.0;

/// Number of the best trials among `trials`.
pub(super) fn best_of(trials: usize) -> usize {
    ((trials as f64 * SHARE).ceil() as usize).clamp(1, MOST_BEST)
}

/// The density of a parameter's values.
#[derive(Clone, Debug)]
enum Density {
    /// The probability of each choice.
    Choices(Vec<f64>),
    Mixture(Mixture),
}

/// A mixture of normal distributions, truncated to a range.
#[derive(Clone, Debug)]
struct Mixture {
    low: f64,
    high: f64,
    /// Ordered by mean.
    kernels: Vec<Kernel>,
    /// Sums of the weights up to each kernel.
    cumulative: Vec<f64>,
    /// The largest deviation of those that do not reach over the whole range.
    widest: f64,
}

#[derive(Clone, Copy, Debug)]
struct Kernel {
    mean: f64,
    deviation: f64,
    /// Its height at the mean, times its weight.
    height: f64,
}

/// The weights of observations in their order: the last 25 count fully, those before them less the
/// older they are, so that what the first random trials happened to be fades. Optuna's
/// `default_weights`.
fn weights(observations: usize) -> impl Iterator<Item = f64> {
    let older = observations.saturating_sub(MOST_BEST);
    let least = 1.0 / observations.max(1) as f64;
    let step = (1.0 - least) / older.saturating_sub(1).max(1) as f64;
    (0..observations).map(move |at| if at < older { least + step * at as f64 } else { 1.0 })
}

impl Mixture {
    /// Kernels at the observations, and one over the whole range. Those of whole numbers, at a
    /// distance of `step`, are not narrower than half of it.
    fn new(low: f64, high: f64, step: f64, observed: &[f64]) -> Self {
        let range = high - low;
        let all = observed.iter().zip(weights(observed.len()));
        let mut places: Vec<(f64, f64, bool)> =
            all.map(|(&at, weight)| (at, weight, false)).collect();
        places.push((0.5 * (low + high), 1.0, true));
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        let least = (range / (1.0 + places.len() as f64).min(100.0)).max(0.5 * step);
        let deviation = |number: usize| {
            let (mean, _, is_prior) = places[number];
            if is_prior {
                return range;
            }
            // The ends of the range are no neighbours.
            let before = number.checked_sub(1).map_or(mean, |number| places[number].0);
            let after = places.get(number + 1).map_or(mean, |next| next.0);
            (mean - before).max(after - mean).clamp(least, range)
        };
        let sum: f64 = places.iter().map(|(_, weight, _)| weight).sum();
        let (mut widest, mut below) = (0.0_f64, 0.0);
        let mut cumulative = Vec::with_capacity(places.len());
        let kernels = (0..places.len()).map(|number| {
            let ((mean, weight, _), deviation) = (places[number], deviation(number));
            if deviation < range {
                widest = widest.max(deviation);
            }
            below += weight / sum;
            cumulative.push(below);
            let mass = normal_cdf((high - mean) / deviation) - normal_cdf((low - mean) / deviation);
            let height = weight / (sum * deviation * (2.0 * PI).sqrt() * mass.max(1e-12));
            Kernel { mean, deviation, height }
        });
        let kernels = kernels.collect();
        Mixture { low, high, kernels, cumulative, widest }
    }

    fn draw(&self, random: &mut Random) -> f64 {
        let place = random.uniform();
        let number = self.cumulative.partition_point(|below| *below <= place);
        let Kernel { mean, deviation, .. } = self.kernels[number.min(self.kernels.len() - 1)];
        // Each kernel's mean lies in the range, so that half of the draws or more are inside.
        for _ in 0..64 {
            let value = mean + deviation * random.normal();
            if (self.low..=self.high).contains(&value) {
                return value;
            }
        }
        mean
    }

    fn density(&self, value: f64) -> f64 {
        let (range, reach) = (self.high - self.low, REACH * self.widest);
        let first = self.kernels.partition_point(|kernel| kernel.mean < value - reach);
        let last = self.kernels.partition_point(|kernel| kernel.mean <= value + reach);
        let of = |kernel: &Kernel| {
            let distance = (value - kernel.mean) / kernel.deviation;
            if distance.abs() > REACH {
                return 0.0;
            }
            kernel.height * (-0.5 * distance * distance).exp()
        };
        let near: f64 = self.kernels[first..last].iter().map(of).sum();
        // Those over the whole range reach everywhere.
        let outside = self.kernels[..first].iter().chain(&self.kernels[last..]);
        let wide: f64 = outside.filter(|kernel| kernel.deviation >= range).map(of).sum();
        near + wide
    }
}

/// The density of the standard normal distribution below x, by the complementary error function of
/// W. J. Cody's form in Numerical Recipes (`erfcc`, relative error below 1.2e-7).
fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    let terms = [
        -1.26551223,
        1.00002368,
        0.37409196,
        0.09678418,
        -0.18628806,
        0.27886807,
        -1.13520398,
        1.48851587,
        -0.82215223,
        0.17087277,
    ];
    let polynomial = terms.iter().rev().fold(0.0, |sum, term| sum * t + term);
    let tail = 0.5 * t * (-z * z + polynomial).exp();
    if x > 0.0 { 1.0 - tail } else { tail }
}

impl Density {
    fn new(domain: &Domain, observed: &[f64]) -> Self {
        match domain {
            Domain::Categorical(choices) => Self::of_choices(choices.len(), observed),
            Domain::Int { low, high } if high - low < FEW => {
                let observed: Vec<f64> = observed.iter().map(|value| value - *low as f64).collect();
                Self::of_choices((high - low + 1) as usize, &observed)
            }
            Domain::Float { low, high, log: true } => {
                let observed: Vec<f64> = observed.iter().map(|value| value.ln()).collect();
                Density::Mixture(Mixture::new(low.ln(), high.ln(), 0.0, &observed))
            }
            Domain::Float { low, high, log: false } => {
                Density::Mixture(Mixture::new(*low, *high, 0.0, observed))
            }
            Domain::Int { low, high } => {
                Density::Mixture(Mixture::new(*low as f64 - 0.5, *high as f64 + 0.5, 1.0, observed))
            }
        }
    }

    /// Counts, and one more for each choice.
    fn of_choices(choices: usize, observed: &[f64]) -> Self {
        let mut counts = vec![1.0 + 1.0 / choices as f64; choices];
        let weights = weights(observed.len());
        observed.iter().zip(weights).for_each(|(&choice, weight)| {
            counts[choice as usize] += weight;
        });
        let all: f64 = counts.iter().sum();
        Density::Choices(counts.into_iter().map(|count| count / all).collect())
    }

    fn draw(&self, random: &mut Random) -> f64 {
        match self {
            Density::Choices(shares) => {
                let mut left = random.uniform();
                let found = shares.iter().position(|share| {
                    left -= share;
                    left < 0.0
                });
                found.unwrap_or(shares.len() - 1) as f64
            }
            Density::Mixture(mixture) => mixture.draw(random),
        }
    }

    /// The density at a value of the domain's own scale.
    fn at(&self, value: f64) -> f64 {
        match self {
            Density::Choices(shares) => shares[value as usize],
            Density::Mixture(mixture) => mixture.density(value),
        }
    }
}

/// The two densities of a parameter.
#[derive(Clone, Debug)]
pub(super) struct Parzen {
    domain: Domain,
    best: Density,
    rest: Density,
}

impl Parzen {
    /// From the values of the best trials and of the others that have the parameter, each in the
    /// order of the trials.
    pub(super) fn new(domain: &Domain, best: &[f64], rest: &[f64]) -> Self {
        Parzen {
            domain: domain.clone(),
            best: Density::new(domain, best),
            rest: Density::new(domain, rest),
        }
    }

    /// The candidate with the largest ratio of the densities.
    pub(super) fn draw(&self, random: &mut Random) -> f64 {
        let (mut found, mut largest) = (0.0, f64::NEG_INFINITY);
        for _ in 0..CANDIDATES {
            let candidate = self.best.draw(random);
            let candidate = match (&self.domain, &self.best) {
                (Domain::Int { .. }, Density::Mixture(_)) => self.domain.rounded(candidate),
                _ => candidate,
            };
            let ratio = self.best.at(candidate) / self.rest.at(candidate).max(1e-300);
            if ratio > largest {
                (found, largest) = (candidate, ratio);
            }
        }
        match (&self.domain, &self.best) {
            (Domain::Float { log: true, .. }, _) => self.domain.rounded(found.exp()),
            (Domain::Int { low, .. }, Density::Choices(_)) => found + *low as f64,
            _ => self.domain.rounded(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_has_its_known_values() {
        for (x, below) in [(0.0, 0.5), (1.0, 0.841_344_746), (-2.0, 0.022_750_132), (6.0, 1.0)] {
            assert!((normal_cdf(x) - below).abs() < 2e-7, "{x}: {}", normal_cdf(x));
        }
    }

    #[test]
    fn a_density_has_the_mass_of_one() {
        let mixture = Mixture::new(-1.0, 3.0, 0.0, &[-1.0, 0.2, 0.21, 0.5, 2.9]);
        let steps = 40_000;
        let sum: f64 = (0..steps)
            .map(|at| mixture.density(-1.0 + 4.0 * (f64::from(at) + 0.5) / f64::from(steps)))
            .sum();
        assert!((sum * 4.0 / f64::from(steps) - 1.0).abs() < 1e-5);
        let Density::Choices(shares) =
            Density::new(&Domain::Categorical(vec!["a".into(), "b".into()]), &[1.0, 1.0, 0.0])
        else {
            panic!("a choice has shares")
        };
        assert_eq!(shares, [2.5 / 6.0, 3.5 / 6.0]);
    }

    #[test]
    fn draws_stay_in_the_domain_and_prefer_the_best() {
        let domain = Domain::Float { low: 0.0, high: 10.0, log: false };
        let parzen = Parzen::new(&domain, &[2.0, 2.1, 2.2], &[0.0, 5.0, 6.0, 7.0, 8.0, 9.0]);
        let drawn: Vec<f64> =
            (0..200).map(|stream| parzen.draw(&mut Random::new(1, stream))).collect();
        assert!(drawn.iter().all(|value| domain.holds(*value)));
        let near = drawn.iter().filter(|value| (*value - 2.1).abs() < 1.5).count();
        assert!(near > 150, "{near} of 200 near the best");
    }
}

//! Data of known distributions.

use gradus::advise::{Advice, AdviseOptions, advise};
use gradus::data::{Column, Table};
use gradus::random::Random;

/// Features of a standard normal distribution, and their columns `x0`, `x1` ….
pub struct Sample {
    pub x: Vec<Vec<f64>>,
    pub random: Random,
}

impl Sample {
    pub fn new(rows: usize, seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let x = (0..rows).map(|_| (0..5).map(|_| random.normal()).collect()).collect();
        Sample { x, random }
    }

    /// A linear function of the features of each row.
    pub fn line(&self) -> Vec<f64> {
        let weights = [1.0, 2.0, 0.0, -1.0, 0.5];
        let of = |row: &Vec<f64>| row.iter().zip(weights).map(|(x, weight)| x * weight).sum();
        self.x.iter().map(of).collect()
    }

    pub fn normal(&mut self) -> f64 {
        self.random.normal()
    }

    /// Student's t with ν degrees of freedom: z / √(χ²/ν).
    pub fn student(&mut self, freedom: usize) -> f64 {
        let squares: f64 = (0..freedom).map(|_| self.random.normal().powi(2)).sum();
        self.random.normal() / (squares / freedom as f64).sqrt()
    }

    /// Poisson's distribution, by the product of uniform numbers.
    pub fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.random.uniform(), 0.0);
        while product > limit {
            product *= self.random.uniform();
            count += 1.0;
        }
        count
    }

    /// The gamma distribution of a whole shape: a sum of exponential numbers.
    pub fn gamma(&mut self, shape: usize, mean: f64) -> f64 {
        let sum: f64 = (0..shape).map(|_| -(1.0 - self.random.uniform()).ln()).sum();
        mean * sum / shape as f64
    }

    /// The features with a target `y`.
    pub fn columns(&self, y: Vec<f64>) -> Vec<Column> {
        let feature = |place: usize| {
            Column::numbers(format!("x{place}"), self.x.iter().map(|row| row[place]).collect())
        };
        (0..5).map(feature).chain([Column::numbers("y", y)]).collect()
    }

    pub fn advice(&self, y: Vec<f64>) -> Advice {
        advice_on(self.columns(y))
    }
}

pub fn advice_on(columns: Vec<Column>) -> Advice {
    let table = Table::new(columns).unwrap();
    advise(&table, &AdviseOptions::default().target("y")).unwrap()
}

/// The names of the losses.
pub fn losses(advice: &Advice) -> Vec<&'static str> {
    advice.losses.iter().map(|loss| loss.loss).collect()
}

/// The kinds of the warnings.
pub fn warnings(advice: &Advice) -> Vec<&'static str> {
    advice.warnings.iter().map(|warning| warning.kind).collect()
}

pub fn value(advice: &Advice, name: &str) -> f64 {
    advice.statistic(name).unwrap_or_else(|| panic!("no {name}")).value
}

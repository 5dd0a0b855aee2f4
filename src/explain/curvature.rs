//! The curvature of the loss at a model's weights.

use ndarray::{ArrayBase, Data, Dimension};

use crate::cpu::random::Random;
use crate::explain::probe::{Probe, probed};
use crate::nn::train::features::FeatureElement;
use crate::{Device, Error, Model, Result, Targets};

const NAME: &str = "curvature";

/// Random stream of the first vector; a training has those below.
const STREAM: u64 = 0x6375_7276 << 32;

/// The largest eigenvalue of the Hessian of the mean loss by all parameters, by power iteration.
///
/// It is the sharpest direction at the weights: gradient descent with a rate above 2/λ moves away along
/// it ([`Eigenvalue::largest_rate`]), and training at a constant rate tends to just that edge (Cohen,
/// Kaur, Li, Kolter, Talwalkar 2021). Power iteration finds the eigenvalue that is largest in size:
/// at the weights of a trained model it is positive, elsewhere it may be negative.
///
/// A product of the Hessian with a vector is the central difference of two gradients (two passes over
/// the rows): it needs no second derivative of any layer, and is exact to the square root of the
/// device's precision. `Device::reference()` computes in f64.
///
/// ```
/// use gradus::explain::Curvature;
/// use gradus::{Dense, Device, Sequential, losses::Mse, optimizers::Adam};
/// use ndarray::array;
/// let mut model = Sequential::new(1)
///     .then(Dense::new(1).bias(false))
///     .on(&Device::reference())?
///     .compile(Mse::new(), Adam::new())?;
/// // The second derivative of ((3w)² + w²)/2 is 3² + 1.
/// let (x, y) = (array![[3.0_f32], [1.0]], array![[0.0_f32], [0.0]]);
/// let found = Curvature::new().largest(&mut model, &x, &y)?;
/// assert!((found.value - 10.0).abs() < 1e-6);
/// assert!((found.largest_rate() - 0.2).abs() < 1e-7);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Curvature {
    iterations: usize,
    tolerance: f64,
    seed: u64,
}

/// An eigenvalue of the Hessian.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Eigenvalue {
    /// The eigenvalue, in units of the loss over those of the squared weights.
    pub value: f64,
    /// ‖Hv − λv‖/|λ| of the vector v of length 1 that it was found with: how far it is from an
    /// eigenvector.
    pub residual: f64,
    /// Products with the Hessian that it took.
    pub iterations: usize,
}

impl Default for Curvature {
    fn default() -> Self {
        Curvature { iterations: 100, tolerance: 1e-4, seed: 0 }
    }
}

impl Curvature {
    /// Up to 100 products, until the eigenvalue moves by less than a ten-thousandth.
    pub fn new() -> Self {
        Self::default()
    }

    /// Largest number of products (default 100).
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// The relative change of the eigenvalue below which it ends (default 1e-4).
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Seed of the first vector (default 0).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The eigenvalue that is largest in size. The model is unchanged.
    ///
    /// # Errors
    /// As [`Model::gradients`]; [`Error::Option`] for no iteration or a tolerance that is not from 0
    /// on; [`Error::NonFinite`] for a gradient that is not finite.
    pub fn largest<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &self,
        model: &mut Model,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Eigenvalue> {
        if self.iterations == 0 {
            return Err(Error::option(NAME, "iterations", 0, "at least 1"));
        }
        if !(self.tolerance >= 0.0) {
            return Err(Error::option(NAME, "tolerance", self.tolerance, "from 0 on"));
        }
        let unit = unit_of(model.device());
        probed(NAME, model, features, targets, |probe| {
            let start = probe.start();
            let mut random = Random::new(self.seed, STREAM);
            let mut vector = vec![0.0; start.len()];
            // What is between the parameters pads them and is not read.
            for parameter in probe.filters() {
                vector[parameter.range].iter_mut().for_each(|number| *number = random.normal());
            }
            normalize(&mut vector);
            let mut found = Eigenvalue { value: 0.0, residual: 0.0, iterations: 0 };
            for iteration in 1..=self.iterations {
                let before = found.value;
                let mut product = product(probe, &start, &vector, unit)?;
                let value = dot(&vector, &product);
                let rest = vector.iter().zip(&product).map(|(v, p)| (p - value * v).powi(2));
                let rest = rest.sum::<f64>().sqrt();
                let residual = if rest == 0.0 { 0.0 } else { rest / value.abs() };
                found = Eigenvalue { value, residual, iterations: iteration };
                if normalize(&mut product) == 0.0
                    || (iteration > 1 && (value - before).abs() <= self.tolerance * value.abs())
                {
                    break;
                }
                vector = product;
            }
            Ok(found)
        })
    }
}

impl Eigenvalue {
    /// The largest rate of plain gradient descent that does not move away along this direction, 2/λ;
    /// with momentum β it is 1 + β times as large. Infinite where the curvature is not positive.
    pub fn largest_rate(&self) -> f64 {
        if self.value > 0.0 { 2.0 / self.value } else { f64::INFINITY }
    }
}

/// The product of the Hessian of the mean loss with a vector over all parameters, in the order of
/// [`Model::named_parameters`]: the central difference of the gradients beside the model's weights.
/// The model is unchanged.
///
/// # Errors
/// As [`Curvature::largest`]; [`Error::Shape`] for a vector of another length.
pub fn hessian_vector_product<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
    model: &mut Model,
    features: &ArrayBase<S, D>,
    targets: impl Into<Targets<'a>>,
    vector: &[f64],
) -> Result<Vec<f64>> {
    let unit = unit_of(model.device());
    probed("Hessian-vector product", model, features, targets, |probe| {
        let ranges: Vec<_> = probe.filters().into_iter().map(|parameter| parameter.range).collect();
        let length: usize = ranges.iter().map(ExactSizeIterator::len).sum();
        if vector.len() != length {
            return Err(Error::Shape {
                operation: "Hessian-vector product".into(),
                found: format!("a vector of {} numbers", vector.len()),
                allowed: format!("{length}, one for each parameter"),
            });
        }
        let start = probe.start();
        let mut whole = vec![0.0; start.len()];
        let places = || ranges.iter().cloned().flatten();
        places().zip(vector).for_each(|(place, &number)| whole[place] = number);
        let found = product(probe, &start, &whole, unit)?;
        Ok(places().map(|place| found[place]).collect())
    })
}

/// The rounding of the device's gradients.
fn unit_of(device: &Device) -> f64 {
    if matches!(device, Device::Reference) { f64::EPSILON } else { f64::from(f32::EPSILON) }
}

/// (∇L(w + hv) − ∇L(w − hv))/2h. The step h‖v‖ is the cube root of the rounding times the size of the
/// weights, at which the two errors are about equal: that of the difference, some units over h, and
/// that of the third derivatives, h².
fn product(probe: &mut Probe, start: &[f64], vector: &[f64], unit: f64) -> Result<Vec<f64>> {
    let length = dot(vector, vector).sqrt();
    if length == 0.0 {
        return Ok(vec![0.0; vector.len()]);
    }
    let size = (dot(start, start) / start.len() as f64).sqrt();
    let step = unit.cbrt() * (1.0 + size) / length;
    let moved = |sign: f64| -> Vec<f64> {
        start.iter().zip(vector).map(|(w, v)| w + sign * step * v).collect()
    };
    let (above, below) = (probe.gradient(&moved(1.0))?, probe.gradient(&moved(-1.0))?);
    Ok(above.iter().zip(&below).map(|(a, b)| (a - b) / (2.0 * step)).collect())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Divides a vector by its length, which is returned.
fn normalize(vector: &mut [f64]) -> f64 {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|number| *number /= length);
    }
    length
}

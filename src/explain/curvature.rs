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
/// It is the sharpest direction at the weights: plain gradient descent on the same rows with a rate
/// above 2/λ moves away along it ([`Eigenvalue::largest_rate`]), and its training at a constant rate
/// tends to just that edge (Cohen, Kaur, Li, Kolter, Talwalkar 2021). Other rules have other edges.
/// Power iteration finds the eigenvalue that is largest in size; where that one is negative, it is run
/// again on the Hessian moved by it, which finds the largest one.
///
/// A product of the Hessian with a vector is the central difference of two gradients (two passes over
/// the rows): it needs no second derivative of any layer. Of a smooth loss it is exact to about the
/// power 2/3 of the device's precision (2e-5 in f32); `Device::reference()` computes in f64. Where the
/// loss has kinks (ReLU, hinge, absolute errors) it is the curvature over the step and not at a point:
/// [`Eigenvalue::change`] shows it. Gradients are those of training: dropout draws one mask, and batch
/// norm normalizes by the batch.
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
    /// By how much the value changes, relative to it, with differences over a quarter of the step: near
    /// 0 for a smooth loss, large where the loss has kinks.
    pub change: f64,
    /// ‖Hv − λv‖/|λ| of the vector v of length 1 that it was found with: an eigenvalue is within this
    /// share of it. 0 where the Hessian is 0.
    pub residual: f64,
    /// Products with the Hessian that it took.
    pub iterations: usize,
}

impl Default for Curvature {
    fn default() -> Self {
        Curvature { iterations: 100, tolerance: 0.01, seed: 0 }
    }
}

impl Curvature {
    /// Up to 100 products, until the residual is a hundredth.
    pub fn new() -> Self {
        Self::default()
    }

    /// Largest number of products (default 100).
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// The residual at which it ends ([`Eigenvalue::residual`], default 0.01).
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Seed of the first vector (default 0).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The largest eigenvalue. The model is unchanged.
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
        if self.tolerance.is_nan() || self.tolerance < 0.0 {
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
            let mut hessian = |vector: &[f64], step: f64| product(probe, &start, vector, step);
            let (mut found, mut own) =
                self.iterate(&mut hessian, unit.cbrt(), vector.clone(), 0.0)?;
            if found.value < 0.0 {
                let (iterations, shift) = (found.iterations, found.value);
                (found, own) = self.iterate(&mut hessian, unit.cbrt(), vector, shift)?;
                found.iterations += iterations;
            }
            let quarter = dot(&own, &hessian(&own, 0.25 * unit.cbrt())?);
            let change = (quarter - found.value).abs();
            found.change = if change == 0.0 { 0.0 } else { change / found.value.abs() };
            found.iterations += 1;
            Ok(found)
        })
    }

    /// Power iteration on H − `shift`: the eigenvalue of H and its vector of length 1.
    fn iterate(
        &self,
        hessian: &mut impl FnMut(&[f64], f64) -> Result<Vec<f64>>,
        step: f64,
        mut vector: Vec<f64>,
        shift: f64,
    ) -> Result<(Eigenvalue, Vec<f64>)> {
        let mut iteration = 0;
        loop {
            iteration += 1;
            let mut product = hessian(&vector, step)?;
            let value = dot(&vector, &product);
            let rest = vector.iter().zip(&product).map(|(v, p)| (p - value * v).powi(2));
            let rest = rest.sum::<f64>().sqrt();
            let residual = if rest == 0.0 { 0.0 } else { rest / value.abs() };
            let found = Eigenvalue { value, change: 0.0, residual, iterations: iteration };
            if residual <= self.tolerance || iteration == self.iterations {
                return Ok((found, vector));
            }
            product.iter_mut().zip(&vector).for_each(|(p, v)| *p -= shift * v);
            normalize(&mut product);
            vector = product;
        }
    }
}

impl Eigenvalue {
    /// The largest rate of plain gradient descent on the same rows that does not move away along this
    /// direction, 2/λ; with momentum β it is 1 + β times as large. Infinite where no direction is curved
    /// upwards.
    pub fn largest_rate(&self) -> f64 {
        if self.value > 0.0 { 2.0 / self.value } else { f64::INFINITY }
    }
}

/// The product of the Hessian of the mean loss with a vector over all parameters, in the order of
/// [`Model::named_parameters`]: the central difference of the gradients beside the model's weights.
/// The model is unchanged.
///
/// # Errors
/// As [`Curvature::largest`]; [`Error::Shape`] for a vector of another length, [`Error::NonFinite`] for
/// one that is not finite.
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
        if let Some(place) = vector.iter().position(|number| !number.is_finite()) {
            return Err(Error::NonFinite {
                operation: "Hessian-vector product".into(),
                name: "the vector".into(),
                found: vector[place].to_string(),
                position: format!("number {place}"),
                count: vector.iter().filter(|number| !number.is_finite()).count(),
            });
        }
        let start = probe.start();
        let mut whole = vec![0.0; start.len()];
        let places = || ranges.iter().cloned().flatten();
        places().zip(vector).for_each(|(place, &number)| whole[place] = number);
        let found = product(probe, &start, &whole, unit.cbrt())?;
        Ok(places().map(|place| found[place]).collect())
    })
}

/// The rounding of the device's gradients.
fn unit_of(device: &Device) -> f64 {
    if matches!(device, Device::Reference) { f64::EPSILON } else { f64::from(f32::EPSILON) }
}

/// (∇L(w + hv) − ∇L(w − hv))/2h. The weights move by h‖v‖ = `share` (1 + their root mean square); at
/// the cube root of the rounding the two errors are about equal: that of the difference, the rounding
/// over h, and that of the third derivatives, h².
fn product(probe: &mut Probe, start: &[f64], vector: &[f64], share: f64) -> Result<Vec<f64>> {
    // Divided by its largest number first: squares would overflow or vanish.
    let largest = vector.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
    if largest == 0.0 {
        return Ok(vec![0.0; vector.len()]);
    }
    let unit: Vec<f64> = vector.iter().map(|number| number / largest).collect();
    let size = (dot(start, start) / start.len() as f64).sqrt();
    let step = share * (1.0 + size) / dot(&unit, &unit).sqrt();
    let moved = |sign: f64| -> Vec<f64> {
        start.iter().zip(&unit).map(|(w, v)| w + sign * step * v).collect()
    };
    let (above, below) = (probe.gradient(&moved(1.0))?, probe.gradient(&moved(-1.0))?);
    Ok(above.iter().zip(&below).map(|(a, b)| largest * ((a - b) / (2.0 * step))).collect())
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

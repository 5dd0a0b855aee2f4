//! The loss around a model, and on the way to another one.

use ndarray::{Array2, ArrayBase, Data, Dimension};

use crate::cpu::random::Random;
use crate::explain::checks::refused;
use crate::explain::probe::{Probe, probed};
use crate::nn::train::features::FeatureElement;
use crate::{Error, Model, Result, Targets};

const NAME: &str = "loss landscape";

/// First random stream of the two directions; a training has those below.
const STREAM: u64 = 0x6c61_6e64 << 32;

/// The loss on a plane through a model's weights, along two random directions that are normalized
/// filter by filter (Li, Xu, Taylor, Studer, Goldstein 2018).
///
/// The numbers of a direction that belong to one filter (the weights of one unit, convolution kernel
/// or embedded token) have the length of the model's own filter; those of biases and norms are 0. So a
/// distance of 1 adds to each filter a random vector of its own length, whatever its scale, and models
/// can be compared: the wider the bowl, the less the loss depends on single digits of the weights. The
/// filters of a model of one input are single numbers, and both directions one.
///
/// The loss is that of [`Model::evaluate`]: without dropout, and with the running statistics that batch
/// norm has at the model's own weights.
///
/// ```
/// use gradus::explain::Landscape;
/// use gradus::{Dense, Device, Sequential, losses::Mse, optimizers::Adam};
/// use ndarray::array;
/// let (x, y) = (array![[1.0_f32], [2.0]], array![[1.0_f32], [2.0]]);
/// let mut model = Sequential::new(1)
///     .then(Dense::new(1).bias(false))
///     .on(&Device::reference())?
///     .compile(Mse::new(), Adam::new())?;
/// let weight = array![[1.0]].into_dyn();
/// model.set_named_parameters([("layers.0.weight", weight.view())])?;
/// let surface = Landscape::new().points(3).measure(&mut model, &x, &y)?;
/// assert_eq!(surface.steps, [-1.0, 0.0, 1.0]);
/// assert_eq!(surface.loss[[1, 1]], 0.0); // the model itself
/// // A step of 1 along the first direction makes the weight 0 or 2: (1² + 2²)/2.
/// assert!((surface.loss[[0, 1]] - 2.5).abs() < 1e-12);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Landscape {
    points: usize,
    span: f64,
    seed: u64,
}

/// The loss at each point of a plane.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LossSurface {
    /// Distances from the model along each direction, in lengths of its filters.
    pub steps: Vec<f64>,
    /// Mean loss, [first direction, second direction]; NaN and infinite where the model's is.
    pub loss: Array2<f64>,
}

impl Default for Landscape {
    fn default() -> Self {
        Landscape { points: 41, span: 1.0, seed: 0 }
    }
}

impl Landscape {
    /// 41 × 41 points from −1 to 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Points along each direction, an odd number so that the model itself is one (default 41).
    pub fn points(mut self, points: usize) -> Self {
        self.points = points;
        self
    }

    /// The largest distance along a direction, in lengths of the filters (default 1).
    pub fn span(mut self, span: f64) -> Self {
        self.span = span;
        self
    }

    /// Seed of the directions (default 0).
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    fn check(&self) -> Result<()> {
        if self.points < 3 || self.points.is_multiple_of(2) || self.points > 1001 {
            let allowed = "an odd number from 3 to 1,001";
            return Err(Error::option(NAME, "points", self.points, allowed));
        }
        if !(self.span > 0.0 && self.span.is_finite()) {
            return Err(Error::option(NAME, "span", self.span, "finite and > 0"));
        }
        Ok(())
    }

    /// The loss of the model at each point of the plane, as in [`Model::evaluate`]. The model is
    /// unchanged.
    ///
    /// # Errors
    /// As [`Model::evaluate`]; [`Error::Option`] for a number of points that is even, below 3 or above
    /// 1,001, and a span that is not finite and above 0; [`Error::Input`] for a model without a weight of two axes, and for one that begins
    /// with an embedding of which only the rows of a batch are moved.
    pub fn measure<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &self,
        model: &mut Model,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<LossSurface> {
        self.check()?;
        probed(NAME, model, features, targets, |probe| {
            let start = probe.start();
            let directions = [0, 1].map(|number| direction(probe, &start, self.seed, number));
            if directions[0].iter().all(|&number| number == 0.0) {
                let found = "has no weight of two axes that is not 0";
                return Err(refused(NAME, "the model", found, "a model with a layer of units"));
            }
            let half = (self.points / 2) as f64;
            let step = |point: usize| self.span * (point as f64 - half) / half;
            let steps: Vec<f64> = (0..self.points).map(step).collect();
            let mut loss = Array2::zeros((self.points, self.points));
            let mut weights = start.clone();
            for ((i, j), loss) in loss.indexed_iter_mut() {
                let along =
                    weights.iter_mut().zip(&start).zip(directions[0].iter().zip(&directions[1]));
                for ((weight, start), (first, second)) in along {
                    *weight = start + steps[i] * first + steps[j] * second;
                }
                *loss = probe.loss(&weights)?;
            }
            Ok(LossSurface { steps, loss })
        })
    }
}

impl LossSurface {
    /// The loss of the model itself.
    pub fn center(&self) -> f64 {
        let middle = self.steps.len() / 2;
        self.loss[[middle, middle]]
    }

    /// The mean rise of the loss at a distance from the model, over the points of the grid that are
    /// nearest to a circle of that radius; NaN where there is none.
    pub fn rise(&self, distance: f64) -> f64 {
        let step = self.steps[1] - self.steps[0];
        let near = |(i, j): (usize, usize)| {
            (self.steps[i].hypot(self.steps[j]) - distance).abs() <= 0.5 * step
        };
        let on_circle: Vec<f64> =
            self.loss.indexed_iter().filter(|(place, _)| near(*place)).map(|(_, x)| *x).collect();
        on_circle.iter().map(|loss| loss - self.center()).sum::<f64>() / on_circle.len() as f64
    }
}

/// A direction with the lengths of the model's filters.
fn direction(probe: &Probe, start: &[f64], seed: u64, number: u64) -> Vec<f64> {
    let mut found = vec![0.0; start.len()];
    let mut random = Random::new(seed, STREAM + number);
    for parameter in probe.filters().iter().filter(|parameter| parameter.filters > 0) {
        let own = &start[parameter.range.clone()];
        let drawn = &mut found[parameter.range.clone()];
        drawn.iter_mut().for_each(|number| *number = random.normal());
        let mut squares = vec![[0.0; 2]; parameter.filters];
        for (place, (own, drawn)) in own.iter().zip(&*drawn).enumerate() {
            let [of_own, of_drawn] = &mut squares[parameter.of(place)];
            *of_own += own * own;
            *of_drawn += drawn * drawn;
        }
        for (place, drawn) in drawn.iter_mut().enumerate() {
            let [of_own, of_drawn] = squares[parameter.of(place)];
            *drawn *= if of_drawn == 0.0 { 0.0 } else { (of_own / of_drawn).sqrt() };
        }
    }
    found
}

/// The loss at `points` places on the straight line from a model's weights to those of `other`, both
/// ends among them: a barrier between two models shows that they stand in different valleys (Frankle,
/// Dziugaite, Roy, Carbin 2020). Both models are unchanged. The scaling of inputs and the running
/// statistics of batch norm are the first model's: with other ones the last point is not the second
/// model.
///
/// ```
/// use gradus::explain::loss_path;
/// use gradus::{Dense, Device, Sequential, losses::Mse, optimizers::Adam};
/// use ndarray::array;
/// let model = |weight: f64| {
///     let mut model = Sequential::new(1)
///         .then(Dense::new(1).bias(false))
///         .on(&Device::reference())?
///         .compile(Mse::new(), Adam::new())?;
///     let weight = array![[weight]].into_dyn();
///     model.set_named_parameters([("layers.0.weight", weight.view())])?;
///     Ok::<_, gradus::Error>(model)
/// };
/// let found = loss_path(&mut model(1.0)?, &model(-1.0)?, 3, &array![[1.0_f32]], &array![[0.0_f32]])?;
/// assert_eq!(found, [1.0, 0.0, 1.0]); // the square of the weight
/// # Ok::<(), gradus::Error>(())
/// ```
///
/// # Errors
/// As [`Model::evaluate`]; [`Error::Input`] if the parameters of the models have other paths or
/// shapes, and for a model that begins with an embedding of which only the rows of a batch are moved;
/// [`Error::Option`] for fewer than two points.
pub fn loss_path<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
    model: &mut Model,
    other: &Model,
    points: usize,
    features: &ArrayBase<S, D>,
    targets: impl Into<Targets<'a>>,
) -> Result<Vec<f64>> {
    const NAME: &str = "loss path";
    if points < 2 {
        return Err(Error::option(NAME, "points", points, "at least 2, the two models"));
    }
    let shapes = |model: &Model| -> Vec<(String, Vec<usize>)> {
        let of = |parameter: &crate::nn::graph::nodes::Parameter| {
            (parameter.path.clone(), parameter.shape.to_vec())
        };
        model.graph.parameters.iter().map(of).collect()
    };
    let (own, others) = (shapes(model), shapes(other));
    if own != others {
        let differs = own.iter().zip(&others).find(|(own, other)| own != other);
        let found = match differs {
            Some(((path, shape), (other, others))) => {
                format!("has {other} {others:?} where the first has {path} {shape:?}")
            }
            None => format!("has {} parameters and the first {}", others.len(), own.len()),
        };
        return Err(refused(
            NAME,
            "the other model",
            found,
            "the same parameters, by path and shape",
        ));
    }
    let end = other.engine.parameters()?;
    probed(NAME, model, features, targets, |probe| {
        let start = probe.start();
        let at = |point: usize| {
            let share = point as f64 / (points - 1) as f64;
            let weights = start.iter().zip(&end);
            probe.loss(&weights.map(|(a, b)| (1.0 - share) * a + share * b).collect::<Vec<_>>())
        };
        (0..points).map(at).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Conv2d, Flatten, LayerNorm};
    use crate::losses::CrossEntropy;
    use crate::optimizers::Adam;
    use crate::{Dense, Device, Sequential};

    /// Each filter of a direction has the length of the model's own; biases and norms stay.
    #[test]
    fn a_direction_has_the_lengths_of_the_filters() {
        let mut model = Sequential::images([4, 4, 2])
            .then(Conv2d::new(3, 3))
            .then(Flatten::new())
            .then(LayerNorm::new())
            .then(Dense::new(5))
            .then(Dense::new(3))
            .on(&Device::reference())
            .unwrap()
            .compile(CrossEntropy::new(), Adam::new())
            .unwrap();
        let named = model.named_parameters().unwrap();
        // The units of a layer of different lengths, which a direction by layers would make alike.
        for (path, array) in &named {
            let mut array = array.clone();
            let units = array.shape().last().copied().unwrap();
            array.iter_mut().enumerate().for_each(|(place, x)| *x *= (1 + place % units) as f64);
            model.set_named_parameters([(path.as_str(), array.view())]).unwrap();
        }
        let named = model.named_parameters().unwrap();
        let x = Array2::<f32>::ones((2, 32));
        let labels = ndarray::array![0_i64, 1];
        let found = probed(NAME, &mut model, &x, &labels, |probe| {
            let start = probe.start();
            let found = direction(probe, &start, 3, 0);
            let ranges = probe.filters().into_iter().map(|parameter| parameter.range);
            Ok(ranges.map(|range| found[range].to_vec()).collect::<Vec<_>>())
        })
        .unwrap();
        let mut filters = 0;
        for ((path, own), drawn) in named.iter().zip(&found) {
            if own.ndim() == 1 {
                assert!(drawn.iter().all(|&number| number == 0.0), "{path}");
                continue;
            }
            let units = own.shape().last().copied().unwrap();
            for unit in 0..units {
                let length = |numbers: &mut dyn Iterator<Item = f64>| {
                    numbers.skip(unit).step_by(units).map(|x| x * x).sum::<f64>().sqrt()
                };
                let own = length(&mut own.iter().copied());
                let drawn = length(&mut drawn.iter().copied());
                assert!((drawn / own - 1.0).abs() < 1e-12, "{path} {unit}: {drawn} {own}");
                filters += 1;
            }
        }
        assert_eq!(filters, 3 + 5 + 3);
    }
}

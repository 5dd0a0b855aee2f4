//! A training step: forward, loss, backward and update of a small network, as `fit` runs it.

use ndarray::{Array1, Array2};

use super::{Bench, cycled};
use crate::activations::Relu;
use crate::losses::CrossEntropy;
use crate::optimizers::Adam;
use crate::random::Random;
use crate::tensor::shaped;
use crate::{Dense, Device, Error, Fit, Result, Sequential};

/// Batch, inputs, hidden units, classes.
pub(super) const SHAPE: [usize; 4] = [64, 784, 128, 10];

/// Steps of an epoch, which is timed as a whole. A software adapter takes milliseconds for one.
const STEPS: usize = 200;
const STEPS_ON_SOFTWARE: usize = 20;

/// Additions and multiplications of the five products: two forward, two for the weights' gradients, one for the hidden layer's.
pub(super) fn flop() -> f64 {
    let [batch, inputs, hidden, classes] = SHAPE.map(|axis| axis as f64);
    2.0 * batch * (2.0 * inputs * hidden + 3.0 * hidden * classes)
}

/// Makes the network and its data ready on a device.
pub(super) fn prepare(device: &Device) -> Result<Bench> {
    let [batch, inputs, hidden, classes] = SHAPE;
    let is_hardware = matches!(device, Device::Gpu(gpu) if !gpu.is_software());
    let steps = if is_hardware { STEPS } else { STEPS_ON_SOFTWARE };
    let mut random = Random::new(4, 0);
    let flat = cycled(steps * batch * inputs, || random.uniform() as f32);
    let features: Array2<f32> = shaped(&[steps * batch, inputs], flat)?.into_dimensionality().map_err(|error| {
        Error::Shape { operation: "train_step".into(), found: error.to_string(), allowed: "rows of features".into() }
    })?;
    let labels = Array1::from_shape_fn(steps * batch, |_| (random.uniform() * classes as f64) as i64);
    let mut model = Sequential::new(inputs)
        .then(Dense::new(hidden).activation(Relu))
        .then(Dense::new(classes))
        .on(device)?
        .compile(CrossEntropy::new(), Adam::new())?;
    let work = Box::new(move |repeats: usize| {
        let fit = Fit::new().epochs(repeats).batch_size(batch).progress(false);
        let history = model.fit(&features, &labels, fit)?;
        // The epochs' own clocks leave out the upload of the data.
        let seconds: f64 = history.epochs.iter().map(|epoch| epoch.seconds).sum();
        Ok(seconds / (repeats * steps) as f64)
    });
    Ok(Bench { work, copy: None, clock: "wall", repeats: 1, inner: steps })
}

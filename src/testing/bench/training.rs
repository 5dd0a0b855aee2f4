//! Training steps and epochs of dense networks, as `fit` runs them.

use std::time::Instant;

use ndarray::{Array1, Array2, s};

use crate::cpu::random::Random;
use crate::losses::{CrossEntropy, Mse};
use crate::nn::activations::{Relu, Softmax};
use crate::nn::optimizers::Adam;
use crate::runtime::tensor::shaped;
use crate::testing::bench::case::{Case, Kind, cycled};
use crate::testing::bench::sampling::{Prepared, Run};
use crate::testing::bench::{gpu, host};
use crate::{Dense, Device, Error, Fit, Model, Result, Sequential};

/// Multiplications and additions that an epoch of timed steps should hold, by device: some tens of milliseconds.
const FLOPS_ON_HARDWARE: u64 = 20_000_000_000;
const FLOPS_ON_PROCESSORS: u64 = 700_000_000;

/// Steps in an epoch: enough for the loop to find its learning_rate_policy, and no more data than fits everywhere.
const STEPS: std::ops::RangeInclusive<u64> = 8..=200;

/// Rows with what they are trained towards.
struct Data {
    features: Array2<f32>,
    labels: Array1<i64>,
    /// One-hot rows, for the networks that end in a softmax.
    dense: Array2<f32>,
}

/// Makes a network and its data ready on a device. A run of a step is an epoch of several, of which the share of one is told.
pub(crate) fn prepare(case: &Case, device: &Device) -> Result<Prepared> {
    let is_epoch = case.kind == Kind::Epoch;
    let layers = &case.shape[usize::from(is_epoch)..];
    let batch = layers[0];
    let steps = if is_epoch { 1 } else { steps(case, device) };
    let data = Data::new(if is_epoch { case.shape[0] } else { steps * batch }, layers)?;
    let start = Instant::now();
    let mut model = network(layers, is_epoch, device)?;
    train(&mut model, &data, 0..batch, batch, is_epoch, 1)?;
    let first_call = start.elapsed().as_secs_f64();
    let work: Run = Box::new(move |repeats| {
        let rows = 0..data.labels.len();
        // An epoch that is not counted: `fit` uploads, and resolves its steps into commands, in the first.
        let seconds = train(&mut model, &data, rows, batch, is_epoch, 1 + repeats)?;
        Ok(seconds[1..].iter().sum::<f64>() / (repeats * steps) as f64)
    });
    let ceilings = match device {
        Device::Gpu(device) => vec![gpu::fma_beside(device)?],
        Device::Cpu => vec![host::fma_beside()],
        Device::Reference => Vec::new(),
    };
    Ok(Prepared { first_call, work, ceilings, clock: "wall", inner: steps })
}

/// How many steps a run takes.
fn steps(case: &Case, device: &Device) -> usize {
    let is_hardware = matches!(device, Device::Gpu(gpu) if !gpu.is_software());
    let flops = if is_hardware { FLOPS_ON_HARDWARE } else { FLOPS_ON_PROCESSORS };
    (flops / case.flops().unwrap_or(1).max(1)).clamp(*STEPS.start(), *STEPS.end()) as usize
}

/// [batch, inputs, units…]: relu between the layers. A step ends in logits and their cross-entropy; the example network, whose epoch is timed, in a
/// softmax and the mean squared error. Adam for both.
fn network(layers: &[usize], softmax: bool, device: &Device) -> Result<Model> {
    let (hidden, last) = (&layers[2..layers.len() - 1], layers[layers.len() - 1]);
    let mut network = Sequential::new(layers[1]);
    for &units in hidden {
        network = network.then(Dense::new(units).activation(Relu));
    }
    if softmax {
        return network
            .then(Dense::new(last).activation(Softmax))
            .on(device)?
            .compile(Mse::new(), Adam::new());
    }
    network.then(Dense::new(last)).on(device)?.compile(CrossEntropy::new(), Adam::new())
}

/// The seconds of each epoch, by the clocks of `fit`, which leave out the upload of the data.
fn train(
    model: &mut Model,
    data: &Data,
    rows: std::ops::Range<usize>,
    batch: usize,
    dense: bool,
    epochs: usize,
) -> Result<Vec<f64>> {
    let fit = Fit::new().epochs(epochs).batch_size(batch).progress(false);
    let features = data.features.slice(s![rows.clone(), ..]);
    let history = match dense {
        true => model.fit(&features, &data.dense.slice(s![rows, ..]), fit)?,
        false => model.fit(&features, &data.labels.slice(s![rows]), fit)?,
    };
    Ok(history.epochs.iter().map(|epoch| epoch.seconds).collect())
}

impl Data {
    fn new(rows: usize, layers: &[usize]) -> Result<Self> {
        let (inputs, classes) = (layers[1], layers[layers.len() - 1]);
        let mut random = Random::new(4, 0);
        let flat = cycled(rows * inputs, || random.uniform() as f32);
        let features =
            shaped(&[rows, inputs], flat)?.into_dimensionality().map_err(|error| Error::Shape {
                operation: "train_step".into(),
                found: error.to_string(),
                allowed: "rows of features".into(),
            })?;
        let labels = Array1::from_shape_fn(rows, |_| (random.uniform() * classes as f64) as i64);
        let dense = Array2::from_shape_fn((rows, classes), |(row, class)| {
            f32::from(labels[row] == class as i64)
        });
        Ok(Data { features, labels, dense })
    }
}

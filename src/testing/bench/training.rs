//! Training steps and epochs of dense networks, run by `fit`.

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

/// Target for the multiplications and additions in an epoch of timed steps, by device: some tens of
/// milliseconds.
const FLOPS_ON_HARDWARE: u64 = 20_000_000_000;
const FLOPS_ON_PROCESSORS: u64 = 700_000_000;

/// Steps per epoch: enough to reach a steady state, and little enough data to fit everywhere.
const STEPS: std::ops::RangeInclusive<u64> = 8..=200;

/// Training rows with their targets.
struct Data {
    features: Array2<f32>,
    labels: Array1<i64>,
    /// One-hot rows, for networks with a softmax output.
    dense: Array2<f32>,
}

/// Prepares a network and its data on a device. A run of `train_step` is an epoch of several steps;
/// the time per step is reported.
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
        // The first epoch is not counted: in it `fit` uploads the data and records its commands.
        let seconds = train(&mut model, &data, rows, batch, is_epoch, 1 + repeats)?;
        Ok(seconds[1..].iter().sum::<f64>() / (repeats * steps) as f64)
    });
    let ceilings = match device {
        Device::Gpu(device) => vec![gpu::common::fma_beside(device)?],
        Device::Cpu => vec![host::ceilings::fma_beside()],
        Device::Reference => Vec::new(),
    };
    Ok(Prepared { first_call, work, ceilings, clock: "wall", inner: steps })
}

/// Number of steps per run.
fn steps(case: &Case, device: &Device) -> usize {
    let is_hardware = matches!(device, Device::Gpu(gpu) if !gpu.is_software());
    let flops = if is_hardware { FLOPS_ON_HARDWARE } else { FLOPS_ON_PROCESSORS };
    (flops / case.flops().unwrap_or(1).max(1)).clamp(*STEPS.start(), *STEPS.end()) as usize
}

/// [batch, inputs, units…] with relu between the layers. A step's network ends in logits with
/// cross-entropy; the epoch's network ends in a softmax with mean squared error. Adam for both.
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

/// The seconds of each epoch, by the clocks of `fit`, which exclude the upload of the data.
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

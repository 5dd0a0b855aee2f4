//! Training: `fit`, as a user calls it, timed by the clock of its epochs, which excludes the upload
//! of the data.

use gradus::activations::{Relu, Softmax};
use gradus::losses::{CrossEntropy, Mse};
use gradus::optimizers::Adam;
use gradus::{Dense, Device, Fit, History, Model, Sequential};
use ndarray::{Array1, Array2};

use crate::protocol::{Found, Prepared, Request, Result};

pub struct Training {
    model: Model,
    features: Array2<f32>,
    labels: Array1<i64>,
    batch: usize,
    last: Option<f64>,
}

impl Training {
    pub fn new(request: &Request, device: &Device) -> Result<Self> {
        let (batch, widths, steps) = request.network()?;
        let rows = request.rows(batch, steps);
        let features = Array2::from_shape_vec((rows, widths[0]), request.floats("features")?)?;
        let labels = request.integers("labels")?.into_iter().map(i64::from).collect();
        let last = widths.len() - 2;
        let mut network = Sequential::new(widths[0]);
        for (i, &units) in widths[1..].iter().enumerate() {
            let layer = Dense::new(units);
            network = network.then(match (i == last, request.case.as_str()) {
                (false, _) => layer.activation(Relu),
                (true, "epoch") => layer.activation(Softmax),
                (true, _) => layer,
            });
        }
        // The seed of the weights in the input files.
        let model = network.seed(1).on(device)?;
        let model = match request.case.as_str() {
            "epoch" => model.compile(Mse::new(), Adam::new())?,
            _ => model.compile(CrossEntropy::new(), Adam::new())?,
        };
        Ok(Training { model, features, labels, batch, last: None })
    }

    fn fit(&mut self, times: usize) -> Result<History> {
        let fit = Fit::new().epochs(times).batch_size(self.batch).shuffle(false).progress(false);
        let history = self.model.fit(&self.features, &self.labels, fit)?;
        self.last = history.steps.last().copied();
        Ok(history)
    }
}

impl Prepared for Training {
    fn run(&mut self, times: usize) -> Result<()> {
        self.fit(times).map(|_| ())
    }

    fn clock(&mut self, times: usize) -> Result<f64> {
        Ok(self.fit(times)?.epochs.iter().map(|epoch| epoch.seconds * 1e3).sum())
    }

    fn found(&mut self) -> Result<Found> {
        let weight = self.model.weights()?.swap_remove(0).0.iter().map(|&x| x as f32).collect();
        Ok(Found { value: self.last, tensors: vec![("weight0", weight)] })
    }
}

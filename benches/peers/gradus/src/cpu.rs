//! The CPU: losses into a gradient that is used again, products into an output that is.

use gradus::host::Spread;
use gradus::host::matmul::{Layout, matmul};
use gradus::host::pointwise::Points;
use gradus::host::rowwise::{Rows, Targets};
use gradus::losses::{Family, from_name};

use crate::protocol::{Found, Prepared, Request, Result};

/// A loss with its gradient.
pub struct Loss {
    loss: Box<dyn gradus::losses::Loss>,
    predictions: Vec<f32>,
    targets: Vec<f32>,
    labels: Vec<i32>,
    columns: usize,
    gradient: Vec<f32>,
    values: Vec<f32>,
    value: f64,
}

impl Loss {
    pub fn new(request: &Request) -> Result<Self> {
        let loss = from_name(&request.case, &serde_json::Value::Null)?;
        let predictions = request.floats("predictions")?;
        let over_classes = matches!(loss.family(), Family::Rowwise(_));
        let targets = if over_classes { Vec::new() } else { request.floats("targets")? };
        let labels = if over_classes { request.integers("labels")? } else { Vec::new() };
        let columns = request.shape.last().copied().unwrap_or(1);
        let (gradient, values) = (vec![0.0; predictions.len()], vec![0.0; labels.len()]);
        Ok(Loss { loss, predictions, targets, labels, columns, gradient, values, value: f64::NAN })
    }
}

impl Prepared for Loss {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.value = match self.loss.family() {
                Family::Pointwise(host) => {
                    let points = Points {
                        predictions: &self.predictions,
                        targets: &self.targets,
                        weight: Spread::None,
                        mask: Spread::None,
                        column_weight: &[],
                        row_length: 1,
                        factor: 1.0 / self.predictions.len() as f32,
                        upstream: 1.0,
                        upstreams: &[],
                    };
                    host.run_f32(&points, &mut self.gradient, &mut [])
                }
                Family::Rowwise(host) => {
                    let rows = Rows {
                        logits: &self.predictions,
                        columns: self.columns,
                        targets: Targets::Labels(&self.labels),
                        ignored: self.loss.ignored(),
                        class_weight: &[],
                        class_mask: &[],
                        weight: &[],
                        mask: &[],
                        factor: 1.0 / self.labels.len() as f32,
                        upstream: 1.0,
                        upstreams: &[],
                    };
                    host.run_f32(&rows, &mut self.gradient, &mut self.values, &mut []);
                    self.values.iter().map(|&value| f64::from(value)).sum()
                }
            };
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Found> {
        Ok(Found { value: Some(self.value), tensors: vec![("gradient", self.gradient.clone())] })
    }
}

pub struct Matmul {
    sizes: [usize; 3],
    operands: [Vec<f32>; 2],
    product: Vec<f32>,
}

impl Matmul {
    pub fn new(request: &Request) -> Result<Self> {
        let sizes: [usize; 3] = request.sizes()?;
        let operands = [request.floats("left")?, request.floats("right")?];
        Ok(Matmul { sizes, operands, product: vec![0.0; sizes[0] * sizes[1]] })
    }
}

impl Prepared for Matmul {
    fn run(&mut self, times: usize) -> Result<()> {
        let [m, n, k] = self.sizes;
        for _ in 0..times {
            matmul(Layout::NN, m, n, k, &self.operands[0], &self.operands[1], &mut self.product, false)?;
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Found> {
        Ok(Found { value: None, tensors: vec![("product", self.product.clone())] })
    }
}

/// A layer without activation: forward, and backward from a given gradient of its output to weights, bias and input.
pub struct Dense {
    sizes: [usize; 3],
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
    upstream: Vec<f32>,
    output: Vec<f32>,
    of_weight: Vec<f32>,
    of_bias: Vec<f32>,
    of_input: Vec<f32>,
}

impl Dense {
    pub fn new(request: &Request) -> Result<Self> {
        let [rows, inputs, units] = request.sizes()?;
        Ok(Dense {
            sizes: [rows, inputs, units],
            input: request.floats("input")?,
            weight: request.floats("weight0")?,
            bias: request.floats("bias0")?,
            upstream: request.floats("upstream")?,
            output: vec![0.0; rows * units],
            of_weight: vec![0.0; inputs * units],
            of_bias: vec![0.0; units],
            of_input: vec![0.0; rows * inputs],
        })
    }
}

impl Prepared for Dense {
    fn run(&mut self, times: usize) -> Result<()> {
        let [rows, inputs, units] = self.sizes;
        for _ in 0..times {
            self.output.chunks_exact_mut(units).for_each(|row| row.copy_from_slice(&self.bias));
            matmul(Layout::NN, rows, units, inputs, &self.input, &self.weight, &mut self.output, true)?;
            matmul(Layout::TN, inputs, units, rows, &self.input, &self.upstream, &mut self.of_weight, false)?;
            matmul(Layout::NT, rows, inputs, units, &self.upstream, &self.weight, &mut self.of_input, false)?;
            self.of_bias.fill(0.0);
            for row in self.upstream.chunks_exact(units) {
                self.of_bias.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Found> {
        let tensors = vec![
            ("output", self.output.clone()),
            ("weight", self.of_weight.clone()),
            ("bias", self.of_bias.clone()),
            ("input", self.of_input.clone()),
        ];
        Ok(Found { value: None, tensors })
    }
}

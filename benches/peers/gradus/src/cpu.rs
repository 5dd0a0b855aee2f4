//! The CPU cases: losses and products write into reused outputs.

use gradus::cpu::matmul::{Layout, matmul};
use gradus::losses::from_name;
use gradus::{Criterion, Device, Evaluation, Inputs};
use ndarray::{Array1, ArrayD};

use crate::protocol::{Found, Prepared, Request, Result};

/// A loss and its gradient, which each call overwrites.
pub struct Loss {
    criterion: Criterion,
    predictions: ArrayD<f32>,
    targets: ArrayD<f32>,
    labels: Option<Array1<i64>>,
    gradient: ArrayD<f32>,
    value: f64,
}

impl Loss {
    pub fn new(request: &Request) -> Result<Self> {
        let criterion = Criterion::from_boxed(
            from_name(&request.case, &serde_json::Value::Null)?,
            &Device::cpu(),
        )?;
        let array = |name: &str| {
            Ok(ArrayD::from_shape_vec(request.shape.as_slice(), request.floats(name)?)?)
                as Result<_>
        };
        let labels = match request.case.as_str() {
            "cross_entropy" | "focal" | "nll" | "multi_margin" => {
                Some(request.integers("labels")?.into_iter().map(i64::from).collect())
            }
            _ => None,
        };
        let targets = if labels.is_some() { ArrayD::default(vec![0]) } else { array("targets")? };
        let (predictions, gradient) =
            (array("predictions")?, ArrayD::zeros(request.shape.as_slice()));
        Ok(Loss { criterion, predictions, targets, labels, gradient, value: f64::NAN })
    }
}

impl Prepared for Loss {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let (predictions, gradient) = (&self.predictions, &mut self.gradient);
            let found = match &self.labels {
                Some(labels) => {
                    self.criterion.value_and_gradient_into(predictions, labels, gradient)?
                }
                None => {
                    self.criterion.value_and_gradient_into(predictions, &self.targets, gradient)?
                }
            };
            self.value = found.value();
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Found> {
        let gradient = self.gradient.iter().copied().collect();
        Ok(Found { value: Some(self.value), tensors: vec![("gradient", gradient)] })
    }
}

/// A loss of several inputs; the gradients are allocated in each call.
pub struct Several {
    criterion: Criterion,
    arrays: Vec<(&'static str, ArrayD<f32>)>,
    integers: Vec<(&'static str, ArrayD<i64>)>,
    found: Option<Evaluation>,
}

impl Several {
    pub fn new(request: &Request) -> Result<Self> {
        let options = match request.case.as_str() {
            "info_nce" => serde_json::json!({"temperature": 0.1}),
            _ => serde_json::Value::Null,
        };
        let loss = from_name(&request.case, &options)?;
        let floats = |name: &'static str, shape: &[usize]| {
            Ok((name, ArrayD::from_shape_vec(shape, request.floats(name)?)?)) as Result<_>
        };
        let labels = |shape: &[usize]| {
            let labels = request.integers("labels")?.into_iter().map(i64::from).collect();
            Ok(("targets", ArrayD::from_shape_vec(shape, labels)?)) as Result<_>
        };
        let all = &request.shape[..];
        let (arrays, integers) = match request.case.as_str() {
            "triplet_margin" => {
                let names = ["anchor", "positive", "negative"];
                let arrays = names.into_iter().map(|name| floats(name, all));
                (arrays.collect::<Result<Vec<_>>>()?, Vec::new())
            }
            "info_nce" => (vec![floats("first", all)?, floats("second", all)?], Vec::new()),
            "ctc" => {
                let [steps, rows, classes, length] = request.sizes()?;
                let lengths = |length: usize| ArrayD::from_elem(vec![rows], length as i64);
                let integers = vec![
                    labels(&[rows, length])?,
                    ("input_lengths", lengths(steps)),
                    ("target_lengths", lengths(length)),
                ];
                (vec![floats("predictions", &[steps, rows, classes])?], integers)
            }
            _ => {
                let [rows, features, classes] = request.sizes()?;
                let arrays = vec![
                    floats("predictions", &[rows, features])?,
                    floats("linear_weight", &[classes, features])?,
                ];
                (arrays, vec![labels(&[rows])?])
            }
        };
        let criterion = Criterion::from_boxed(loss, &Device::cpu())?;
        Ok(Several { criterion, arrays, integers, found: None })
    }
}

impl Prepared for Several {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let [(first, array), rest @ ..] = &self.arrays[..] else {
                return Err("a loss of several inputs has a first one".into());
            };
            let mut inputs = Inputs::named(first, array);
            for (name, array) in rest {
                inputs = inputs.input(name, array);
            }
            for (name, array) in &self.integers {
                inputs = inputs.input(name, array);
            }
            self.found = Some(self.criterion.evaluate(&inputs)?);
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Found> {
        let found = self.found.as_ref().ok_or("nothing was run")?;
        let mut tensors = Vec::new();
        for (name, _) in &self.arrays {
            let gradient = found.gradient_of(name).ok_or("a gradient is missing")?;
            tensors.push((*name, gradient.iter().copied().collect()));
        }
        Ok(Found { value: Some(found.value()), tensors })
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
            matmul(
                Layout::NN,
                m,
                n,
                k,
                &self.operands[0],
                &self.operands[1],
                &mut self.product,
                false,
            )?;
        }
        Ok(())
    }

    fn found(&mut self) -> Result<Found> {
        Ok(Found { value: None, tensors: vec![("product", self.product.clone())] })
    }
}

/// A layer without activation: forward, and backward from a given output gradient to weights, bias
/// and input.
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
            matmul(
                Layout::NN,
                rows,
                units,
                inputs,
                &self.input,
                &self.weight,
                &mut self.output,
                true,
            )?;
            matmul(
                Layout::TN,
                inputs,
                units,
                rows,
                &self.input,
                &self.upstream,
                &mut self.of_weight,
                false,
            )?;
            matmul(
                Layout::NT,
                rows,
                inputs,
                units,
                &self.upstream,
                &self.weight,
                &mut self.of_input,
                false,
            )?;
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

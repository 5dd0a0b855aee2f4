//! The benchmark cases in candle, on the CPU or with `--device cuda` and the cargo feature of that
//! name.

#[path = "../../protocol.rs"]
mod protocol;

use candle_core::{Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use candle_nn::{loss, ops};

use protocol::{Found, Prepared, Request, Result};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let device = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["--device", "cpu"] => Device::Cpu,
        ["--device", "cuda"] => match Device::new_cuda(0) {
            Ok(device) => device,
            Err(error) => return eprintln!("no CUDA: {error}"),
        },
        _ => {
            eprintln!("--device must be cpu or cuda");
            std::process::exit(2);
        }
    };
    let name = if device.is_cpu() { "candle cpu" } else { "candle cuda" };
    protocol::serve(name, "candle 0.11.1", |request| {
        Ok(Some(match request.case.as_str() {
            "matmul" => Box::new(Matmul::new(request, &device)?) as Box<dyn Prepared>,
            "dense" => Box::new(Dense::new(request, &device)?),
            "train_step" | "epoch" => Box::new(Training::new(request, &device)?),
            "mse" | "mae" | "huber" | "bce_with_logits" | "cross_entropy" => {
                Box::new(Loss::new(request, &device)?)
            }
            _ => return Ok(None),
        }))
    });
}

fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

/// A loss and its gradient.
struct Loss {
    device: Device,
    name: String,
    predictions: Var,
    targets: Tensor,
    last: Option<(Tensor, Tensor)>,
}

impl Loss {
    fn new(request: &Request, device: &Device) -> Result<Self> {
        let predictions =
            Tensor::from_vec(request.floats("predictions")?, request.shape.as_slice(), device)?;
        let targets = if request.case == "cross_entropy" {
            let labels = request.integers("labels")?;
            let rows = labels.len();
            Tensor::from_vec(labels.into_iter().map(i64::from).collect(), rows, device)?
        } else {
            Tensor::from_vec(request.floats("targets")?, request.shape.as_slice(), device)?
        };
        let name = request.case.clone();
        Ok(Loss {
            device: device.clone(),
            name,
            predictions: Var::from_tensor(&predictions)?,
            targets,
            last: None,
        })
    }

    fn value(&self) -> Result<Tensor> {
        let (predictions, targets) = (self.predictions.as_tensor(), &self.targets);
        Ok(match self.name.as_str() {
            "mse" => loss::mse(predictions, targets)?,
            "mae" => (predictions - targets)?.abs()?.mean_all()?,
            "huber" => loss::huber(predictions, targets, 1.0)?,
            "bce_with_logits" => loss::binary_cross_entropy_with_logit(predictions, targets)?,
            _ => loss::cross_entropy(predictions, targets)?,
        })
    }
}

impl Prepared for Loss {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let value = self.value()?;
            let mut gradients = value.backward()?;
            let gradient = gradients.remove(&self.predictions).ok_or("no gradient")?;
            self.last = Some((value.detach(), gradient));
        }
        Ok(self.device.synchronize()?)
    }

    fn found(&mut self) -> Result<Found> {
        let (value, gradient) = self.last.as_ref().ok_or("nothing has run")?;
        let value = f64::from(value.to_scalar::<f32>()?);
        Ok(Found { value: Some(value), tensors: vec![("gradient", floats(gradient)?)] })
    }
}

struct Matmul {
    device: Device,
    operands: (Tensor, Tensor),
    last: Option<Tensor>,
}

impl Matmul {
    fn new(request: &Request, device: &Device) -> Result<Self> {
        let [m, n, k] = request.sizes()?;
        let left = Tensor::from_vec(request.floats("left")?, (m, k), device)?;
        let right = Tensor::from_vec(request.floats("right")?, (k, n), device)?;
        Ok(Matmul { device: device.clone(), operands: (left, right), last: None })
    }
}

impl Prepared for Matmul {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.last = Some(self.operands.0.matmul(&self.operands.1)?);
        }
        Ok(self.device.synchronize()?)
    }

    fn found(&mut self) -> Result<Found> {
        let product = floats(self.last.as_ref().ok_or("nothing has run")?)?;
        Ok(Found { value: None, tensors: vec![("product", product)] })
    }
}

/// Weights and bias of a layer; weights are [inputs, units], as in all workers.
struct Layer {
    weight: Var,
    bias: Var,
}

impl Layer {
    fn new(
        request: &Request,
        i: usize,
        inputs: usize,
        units: usize,
        device: &Device,
    ) -> Result<Self> {
        let weight =
            Tensor::from_vec(request.floats(&format!("weight{i}"))?, (inputs, units), device)?;
        let bias = Tensor::from_vec(request.floats(&format!("bias{i}"))?, units, device)?;
        Ok(Layer { weight: Var::from_tensor(&weight)?, bias: Var::from_tensor(&bias)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.matmul(&self.weight)?.broadcast_add(&self.bias)?)
    }
}

/// A layer without activation: forward, and backward from a given output gradient.
struct Dense {
    device: Device,
    layer: Layer,
    input: Var,
    upstream: Tensor,
    last: Vec<(&'static str, Tensor)>,
}

impl Dense {
    fn new(request: &Request, device: &Device) -> Result<Self> {
        let [rows, inputs, units] = request.sizes()?;
        let input = Tensor::from_vec(request.floats("input")?, (rows, inputs), device)?;
        let upstream = Tensor::from_vec(request.floats("upstream")?, (rows, units), device)?;
        let layer = Layer::new(request, 0, inputs, units, device)?;
        Ok(Dense {
            device: device.clone(),
            layer,
            input: Var::from_tensor(&input)?,
            upstream,
            last: Vec::new(),
        })
    }
}

impl Prepared for Dense {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let output = self.layer.forward(&self.input)?;
            // candle's backward takes no upstream gradient: the gradient of the sum of output ·
            // upstream is the upstream.
            let mut gradients = (&output * &self.upstream)?.sum_all()?.backward()?;
            self.last = vec![("output", output.detach())];
            for (name, var) in
                [("weight", &self.layer.weight), ("bias", &self.layer.bias), ("input", &self.input)]
            {
                self.last.push((name, gradients.remove(var).ok_or("no gradient")?));
            }
        }
        Ok(self.device.synchronize()?)
    }

    fn found(&mut self) -> Result<Found> {
        let tensors: Result<Vec<_>> =
            self.last.iter().map(|(name, tensor)| Ok((*name, floats(tensor)?))).collect();
        Ok(Found { value: None, tensors: tensors? })
    }
}

/// The requested number of Adam steps (candle's AdamW without decay), one batch each.
struct Training {
    device: Device,
    layers: Vec<Layer>,
    optimizer: AdamW,
    batches: Vec<[Tensor; 3]>,
    over_classes: bool,
    last: Option<Tensor>,
}

impl Training {
    fn new(request: &Request, device: &Device) -> Result<Self> {
        let (size, widths, steps) = request.network()?;
        let (inputs, classes) = (widths[0], widths[widths.len() - 1]);
        let (features, labels) = (request.floats("features")?, request.integers("labels")?);
        let mut batches = Vec::with_capacity(steps);
        for (features, labels) in
            features.chunks(size * inputs).zip(labels.chunks(size)).take(steps)
        {
            let rows = labels.len();
            let mut one_hot = vec![0_f32; rows * classes];
            labels
                .iter()
                .enumerate()
                .for_each(|(row, &label)| one_hot[row * classes + label as usize] = 1.0);
            let labels: Vec<i64> = labels.iter().map(|&label| i64::from(label)).collect();
            batches.push([
                Tensor::from_slice(features, (rows, inputs), device)?,
                Tensor::from_vec(labels, rows, device)?,
                Tensor::from_vec(one_hot, (rows, classes), device)?,
            ]);
        }
        let pairs = widths.windows(2).enumerate();
        let layers: Result<Vec<Layer>> =
            pairs.map(|(i, w)| Layer::new(request, i, w[0], w[1], device)).collect();
        let layers = layers?;
        let variables =
            layers.iter().flat_map(|layer| [layer.weight.clone(), layer.bias.clone()]).collect();
        let parameters =
            ParamsAdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };
        let optimizer = AdamW::new(variables, parameters)?;
        let over_classes = request.case == "train_step";
        Ok(Training {
            device: device.clone(),
            layers,
            optimizer,
            batches,
            over_classes,
            last: None,
        })
    }

    fn step(&mut self, i: usize) -> Result<()> {
        let [features, labels, one_hot] = &self.batches[i];
        let mut x = features.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x)?;
            if i + 1 < self.layers.len() {
                x = x.relu()?;
            }
        }
        // `epoch` is the README's example: softmax and the squared error of all its outputs.
        let loss = match self.over_classes {
            true => loss::cross_entropy(&x, labels)?,
            false => loss::mse(&ops::softmax(&x, 1)?, one_hot)?,
        };
        self.optimizer.backward_step(&loss)?;
        self.last = Some(loss.detach());
        Ok(())
    }
}

impl Prepared for Training {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            for i in 0..self.batches.len() {
                self.step(i)?;
            }
        }
        Ok(self.device.synchronize()?)
    }

    fn found(&mut self) -> Result<Found> {
        let value = f64::from(self.last.as_ref().ok_or("nothing has run")?.to_scalar::<f32>()?);
        Ok(Found {
            value: Some(value),
            tensors: vec![("weight0", floats(&self.layers[0].weight)?)],
        })
    }
}

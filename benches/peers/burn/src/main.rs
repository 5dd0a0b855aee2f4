//! The benchmark cases in Burn: its own losses, layers and optimizer, autodiff and, on its wgpu
//! backend, fusion and tuner.
//!
//! `burn-peer --device wgpu|flex|vulkan|cuda` (the last two with the cargo feature of that name).
//! `--sum rows` computes the mean of a pointwise loss by two sums, over columns of rows of 4096 and
//! over the result: on software Vulkan (llvmpipe, Mesa 22.3) the sum over all elements of a tensor,
//! which Burn's losses call, adds at most 2¹⁸ elements.

#[path = "../../protocol.rs"]
mod protocol;

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::nn::loss::{
    BinaryCrossEntropyLossConfig, CrossEntropyLoss, CrossEntropyLossConfig, HuberLossConfig,
    MseLoss, Reduction,
};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{log_sigmoid, relu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};

use protocol::{Found, Prepared, Request, Result};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, rows) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => ("wgpu", false),
        ["--device", name] => (name, false),
        ["--device", name, "--sum", "rows"] => (name, true),
        _ => ("", false),
    };
    let device = match name {
        "wgpu" => Device::wgpu(Default::default()),
        "flex" => Device::flex(),
        #[cfg(feature = "vulkan")]
        "vulkan" => Device::vulkan(Default::default()),
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(0),
        _ => {
            eprintln!(
                "--device must be wgpu, flex, or vulkan or cuda in a build with that feature; --sum may be rows"
            );
            std::process::exit(2);
        }
    };
    let device = device.autodiff();
    protocol::serve(
        &format!("burn {name}{}", if rows { ", mean in two sums" } else { "" }),
        "burn 0.22.1",
        |request| {
            Ok(Some(match request.case.as_str() {
                "matmul" => Box::new(Matmul::new(request, &device)?) as Box<dyn Prepared>,
                "dense" => Box::new(Dense::new(request, &device)?),
                "train_step" | "epoch" => Box::new(Training::new(request, &device)?),
                "cross_entropy" => Box::new(loss_over_classes(request, &device)?),
                "mse" | "mae" | "huber" | "bce_with_logits" => {
                    Box::new(pointwise(request, &device, rows)?)
                }
                _ => return Ok(None),
            }))
        },
    );
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn integers<const D: usize>(
    values: Vec<i32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, Int> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn floats<const D: usize>(tensor: &Tensor<D>) -> Result<Vec<f32>> {
    tensor.to_data_as::<f32>().try_to_vec::<f32>().map_err(|error| format!("{error:?}").into())
}

/// Waits until the device is idle; a lazy backend first starts its deferred work.
fn wait(device: &Device) -> Result<()> {
    device.sync().map_err(|error| format!("{error:?}").into())
}

/// A loss and its gradient.
struct Loss<const D: usize> {
    device: Device,
    predictions: Tensor<D>,
    value: Box<dyn Fn(Tensor<D>) -> Tensor<1>>,
    last: Option<(Tensor<1>, Tensor<D>)>,
}

fn pointwise(request: &Request, device: &Device, rows: bool) -> Result<Loss<1>> {
    let [length] = request.sizes()?;
    let predictions = tensor(request.floats("predictions")?, [length], device).require_grad();
    let targets = request.floats("targets")?;
    let value: Box<dyn Fn(Tensor<1>) -> Tensor<1>> = if request.case == "bce_with_logits" {
        let loss = BinaryCrossEntropyLossConfig::new().with_logits(true).init(device);
        let labels =
            integers(targets.iter().map(|&target| target as i32).collect(), [length], device);
        match rows {
            false => Box::new(move |logits| loss.forward(logits, labels.clone())),
            // `forward` without its mean.
            true => Box::new(move |logits| {
                let truth = labels.clone().float();
                mean((truth.neg() + 1.0) * logits.clone() - log_sigmoid(logits), true)
            }),
        }
    } else {
        let targets = tensor(targets, [length], device);
        match request.case.as_str() {
            "mse" => Box::new(move |p| {
                mean(MseLoss::new().forward_no_reduction(p, targets.clone()), rows)
            }),
            "huber" => {
                let loss = HuberLossConfig::new(1.0).init();
                Box::new(move |p| mean(loss.forward_no_reduction(p, targets.clone()), rows))
            }
            _ => Box::new(move |p| mean((p - targets.clone()).abs(), rows)),
        }
    };
    Ok(Loss { device: device.clone(), predictions, value, last: None })
}

/// The mean of all values, as in Burn's losses, or by two sums.
fn mean(values: Tensor<1>, rows: bool) -> Tensor<1> {
    // The fastest on llvmpipe among rows of 256 to 2¹⁸ elements and both orders of the sums: 127 ms
    // for mse of 2²⁴.
    const ROW: usize = 4096;
    let [length] = values.dims();
    match rows && length % ROW == 0 {
        true => values.reshape([length / ROW, ROW]).mean_dim(0).mean(),
        false => values.mean(),
    }
}

fn loss_over_classes(request: &Request, device: &Device) -> Result<Loss<2>> {
    let [rows, classes] = request.sizes()?;
    let predictions =
        tensor(request.floats("predictions")?, [rows, classes], device).require_grad();
    let labels = integers(request.integers("labels")?, [rows], device);
    let loss = CrossEntropyLossConfig::new().init(device);
    let value = Box::new(move |logits| loss.forward(logits, labels.clone()));
    Ok(Loss { device: device.clone(), predictions, value, last: None })
}

impl<const D: usize> Prepared for Loss<D> {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let value = (self.value)(self.predictions.clone());
            let mut gradients = value.backward();
            let gradient = self.predictions.grad_remove(&mut gradients).ok_or("no gradient")?;
            self.last = Some((value, gradient));
        }
        wait(&self.device)
    }

    fn found(&mut self) -> Result<Found> {
        let (value, gradient) = self.last.as_ref().ok_or("nothing has run")?;
        let value = floats(value)?.first().copied().map(f64::from);
        Ok(Found { value, tensors: vec![("gradient", floats(gradient)?)] })
    }
}

/// A matrix product without autodiff.
struct Matmul {
    device: Device,
    operands: (Tensor<2>, Tensor<2>),
    last: Option<Tensor<2>>,
}

impl Matmul {
    fn new(request: &Request, device: &Device) -> Result<Self> {
        let [m, n, k] = request.sizes()?;
        let device = device.clone().inner();
        let left = tensor(request.floats("left")?, [m, k], &device);
        let right = tensor(request.floats("right")?, [k, n], &device);
        Ok(Matmul { device, operands: (left, right), last: None })
    }
}

impl Prepared for Matmul {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            self.last = Some(self.operands.0.clone().matmul(self.operands.1.clone()));
        }
        wait(&self.device)
    }

    fn found(&mut self) -> Result<Found> {
        let product = floats(self.last.as_ref().ok_or("nothing has run")?)?;
        Ok(Found { value: None, tensors: vec![("product", product)] })
    }
}

/// A layer without activation: forward, and backward from a given output gradient to weights, bias
/// and input.
struct Dense {
    device: Device,
    layer: Linear,
    input: Tensor<2>,
    upstream: Tensor<2>,
    last: Option<[Tensor<2>; 3]>,
    bias: Option<Tensor<1>>,
}

impl Dense {
    fn new(request: &Request, device: &Device) -> Result<Self> {
        let [rows, inputs, units] = request.sizes()?;
        let input = tensor(request.floats("input")?, [rows, inputs], device).require_grad();
        let upstream = tensor(request.floats("upstream")?, [rows, units], device);
        let layer = layer(request, 0, inputs, units, device)?;
        Ok(Dense { device: device.clone(), layer, input, upstream, last: None, bias: None })
    }
}

impl Prepared for Dense {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            let output = self.layer.forward(self.input.clone());
            // Burn's backward takes no upstream gradient: the gradient of the sum of output ·
            // upstream is the upstream.
            let mut gradients = (output.clone() * self.upstream.clone()).sum().backward();
            let weight =
                self.layer.weight.val().grad_remove(&mut gradients).ok_or("no gradient")?;
            let bias = self.layer.bias.as_ref().ok_or("no bias")?.val().grad_remove(&mut gradients);
            let input = self.input.grad_remove(&mut gradients).ok_or("no gradient")?;
            self.last = Some([output.inner(), weight, input]);
            self.bias = bias;
        }
        wait(&self.device)
    }

    fn found(&mut self) -> Result<Found> {
        let [output, weight, input] = self.last.as_ref().ok_or("nothing has run")?;
        let bias = self.bias.as_ref().ok_or("no gradient")?;
        let tensors = vec![
            ("output", floats(output)?),
            ("weight", floats(weight)?),
            ("bias", floats(bias)?),
            ("input", floats(input)?),
        ];
        Ok(Found { value: None, tensors })
    }
}

/// Layer number `i` with the weights from the input files.
fn layer(
    request: &Request,
    i: usize,
    inputs: usize,
    units: usize,
    device: &Device,
) -> Result<Linear> {
    let weight = tensor(request.floats(&format!("weight{i}"))?, [inputs, units], device);
    let bias = tensor(request.floats(&format!("bias{i}"))?, [units], device);
    Ok(Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) })
}

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Linear>,
}

impl Network {
    fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x);
            if i + 1 < self.layers.len() {
                x = relu(x);
            }
        }
        x
    }
}

/// The requested number of Adam steps, one batch each; the batches are separate tensors before the
/// clock starts.
struct Training {
    device: Device,
    network: Network,
    optimizer: ModuleOptimizer,
    batches: Vec<Batch>,
    labels: Option<CrossEntropyLoss>,
    last: Option<Tensor<1>>,
}

struct Batch {
    features: Tensor<2>,
    labels: Tensor<1, Int>,
    one_hot: Tensor<2>,
}

impl Training {
    fn new(request: &Request, device: &Device) -> Result<Self> {
        let (size, widths, steps) = request.network()?;
        let (inputs, classes) = (widths[0], widths[widths.len() - 1]);
        let (features, labels) = (request.floats("features")?, request.integers("labels")?);
        let mut batches = Vec::with_capacity(steps);
        let plain = device.clone();
        for (features, labels) in
            features.chunks(size * inputs).zip(labels.chunks(size)).take(steps)
        {
            let rows = labels.len();
            let mut one_hot = vec![0.0; rows * classes];
            labels
                .iter()
                .enumerate()
                .for_each(|(row, &label)| one_hot[row * classes + label as usize] = 1.0);
            batches.push(Batch {
                features: tensor(features.to_vec(), [rows, inputs], &plain),
                labels: integers(labels.to_vec(), [rows], &plain),
                one_hot: tensor(one_hot, [rows, classes], &plain),
            });
        }
        let pairs = widths.windows(2).enumerate();
        let layers: Result<Vec<Linear>> =
            pairs.map(|(i, w)| layer(request, i, w[0], w[1], device)).collect();
        // `epoch` is the README's example: softmax and the squared error of all its outputs.
        let labels =
            (request.case == "train_step").then(|| CrossEntropyLossConfig::new().init(device));
        let optimizer = AdamConfig::new().with_epsilon(1e-8).init();
        Ok(Training {
            device: device.clone(),
            network: Network { layers: layers? },
            optimizer,
            batches,
            labels,
            last: None,
        })
    }

    fn step(&mut self, i: usize) {
        let batch = &self.batches[i];
        let output = self.network.forward(batch.features.clone());
        let loss = match &self.labels {
            Some(loss) => loss.forward(output, batch.labels.clone()),
            None => {
                MseLoss::new().forward(softmax(output, 1), batch.one_hot.clone(), Reduction::Mean)
            }
        };
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let network = std::mem::replace(&mut self.network, Network { layers: Vec::new() });
        self.network = self.optimizer.step(1e-3, network, gradients);
        self.last = Some(loss.inner());
    }
}

impl Prepared for Training {
    fn run(&mut self, times: usize) -> Result<()> {
        for _ in 0..times {
            (0..self.batches.len()).for_each(|i| self.step(i));
        }
        wait(&self.device)
    }

    fn found(&mut self) -> Result<Found> {
        let value =
            floats(self.last.as_ref().ok_or("nothing has run")?)?.first().copied().map(f64::from);
        let weight = floats(&self.network.layers[0].weight.val().inner())?;
        Ok(Found { value, tensors: vec![("weight0", weight)] })
    }
}

//! One layer forward and backward, through `testing::LayerPass`: the kernels that a model runs it in,
//! into memory that is there.

use gradus::Device;
use gradus::layers::{
    BatchNorm, Conv2d, Layer as Description, LayerNorm, MaxPool2d, SelfAttention,
};
use gradus::testing::LayerPass;
use ndarray::{ArrayD, Axis, IxDyn, Slice};

use crate::protocol::{Found, Prepared, Request, Result};

/// The layer of a case: its description, the shape of its input with the batch, and its parameters
/// with their shapes.
pub struct Spec {
    pub layer: Box<dyn Description>,
    pub input: Vec<usize>,
    pub output: Vec<usize>,
    pub parameters: Vec<(&'static str, Vec<usize>)>,
}

/// The layer of a case; `None` for any other case.
pub fn spec(request: &Request) -> Result<Option<Spec>> {
    Ok(Some(match request.case.as_str() {
        "conv2d" => {
            let [rows, height, width, channels, filters, kernel] = request.sizes()?;
            Spec {
                layer: Box::new(Conv2d::new(filters, kernel).padding(kernel / 2).bias(false)),
                input: vec![rows, height, width, channels],
                output: vec![rows, height, width, filters],
                parameters: vec![("weight", vec![kernel, kernel, channels, filters])],
            }
        }
        "attention" => {
            let [rows, tokens, heads, width] = request.sizes()?;
            Spec {
                layer: Box::new(SelfAttention::new(heads).causal(true).projections(false)),
                input: vec![rows, tokens, 3 * heads * width],
                output: vec![rows, tokens, heads * width],
                parameters: Vec::new(),
            }
        }
        "max_pool2d" => {
            let [rows, height, width, channels, kernel] = request.sizes()?;
            Spec {
                layer: Box::new(MaxPool2d::new(kernel)),
                input: vec![rows, height, width, channels],
                output: vec![rows, height / kernel, width / kernel, channels],
                parameters: Vec::new(),
            }
        }
        "layer_norm" | "batch_norm" => {
            let units = request.shape.last().copied().unwrap_or_default();
            let is_batch = request.case == "batch_norm";
            Spec {
                layer: match is_batch {
                    true => Box::new(BatchNorm::new()),
                    false => Box::new(LayerNorm::new()),
                },
                input: request.shape.clone(),
                output: request.shape.clone(),
                parameters: vec![("weight", vec![units]), ("bias", vec![units])],
            }
        }
        _ => return Ok(None),
    }))
}

/// A layer whose input and upstream gradient lie on the device.
pub struct Layer {
    pass: LayerPass,
    is_attention: bool,
}

impl Layer {
    pub fn new(request: &Request, spec: Spec, device: &Device) -> Result<Self> {
        let array = |name: &str, shape: &[usize]| -> Result<ArrayD<f32>> {
            Ok(ArrayD::from_shape_vec(IxDyn(shape), request.floats(name)?)?)
        };
        let (rows, sample) = spec.input.split_first().ok_or("an input without a batch")?;
        let mut pass = LayerPass::new(&*spec.layer, sample, *rows, device)?;
        for (name, shape) in &spec.parameters {
            pass.set_parameter(name, &array(name, shape)?)?;
        }
        pass.forward(&array("input", &spec.input)?)?;
        pass.backward(&array("upstream", &spec.output)?)?;
        Ok(Layer { pass, is_attention: request.case == "attention" })
    }
}

fn narrow<'a>(values: impl IntoIterator<Item = &'a f64>) -> Vec<f32> {
    values.into_iter().map(|&x| x as f32).collect()
}

impl Prepared for Layer {
    fn run(&mut self, times: usize) -> Result<()> {
        self.pass.run(times)?;
        Ok(())
    }

    fn clock(&mut self, times: usize) -> Result<f64> {
        Ok(self.pass.run(times)?.as_secs_f64() * 1e3)
    }

    fn found(&mut self) -> Result<Found> {
        let (output, gradients) = self.pass.last()?;
        let mut tensors = vec![("output", narrow(&output))];
        match self.is_attention {
            // Queries, keys and values lie side by side.
            true => {
                let width = output.shape().last().copied().unwrap_or_default();
                for (part, name) in ["query", "key", "value"].into_iter().enumerate() {
                    let range = Slice::from(part * width..(part + 1) * width);
                    tensors.push((name, narrow(gradients.input.slice_axis(Axis(2), range))));
                }
            }
            false => tensors.push(("input", narrow(&gradients.input))),
        }
        for (name, gradient) in &gradients.parameters {
            let name = if name == "bias" { "bias" } else { "weight" };
            tensors.push((name, narrow(gradient)));
        }
        Ok(Found { value: None, tensors })
    }
}

//! A layer of your own, made of the public layers: a ConvNeXt block, trained on synthetic images.
//!
//! ```text
//! cargo run --release --example own_layer
//! ```
//!
//! A layer is a name, options, and `build`, which adds other layers to the model. Its scale for each
//! channel is an op of its own, with its gradients and its kernels.

use gradus::activations::{Gelu, Relu};
use gradus::layers::{
    Builder, Conv2d, CustomOp, GlobalAvgPool2d, Layer, LayerNorm, OpGradients, OpKernels,
    OpParameter, OpPass, Residual, Value, closure,
};
use gradus::losses::CrossEntropy;
use gradus::optimizers::Adam;
use gradus::random::Random;
use gradus::{Dense, Device, Error, Fit, Sequential};
use ndarray::{Array1, Array4};

/// y = γ x with a γ for each channel: an op of its own.
#[derive(Debug)]
struct LayerScale {
    initial: f64,
}

impl CustomOp for LayerScale {
    fn name(&self) -> &str {
        "layer_scale"
    }

    fn output(&self, inputs: &[&[usize]]) -> gradus::Result<Vec<usize>> {
        Ok(inputs[0].to_vec())
    }

    fn parameters(&self, inputs: &[&[usize]]) -> Vec<OpParameter> {
        let channels = inputs[0].last().copied().unwrap_or(1);
        vec![OpParameter::constant("gamma", &[channels], self.initial)]
    }

    fn forward(&self, pass: &OpPass) -> Vec<f64> {
        pass.inputs[0].iter().zip(pass.parameters[0].iter().cycle()).map(|(x, g)| x * g).collect()
    }

    fn backward(&self, pass: &OpPass, grad_output: &[f64]) -> OpGradients {
        let (x, gamma) = (pass.inputs[0], pass.parameters[0]);
        let of_x = grad_output.iter().zip(gamma.iter().cycle()).map(|(dy, g)| dy * g).collect();
        let mut of_gamma = vec![0.0; gamma.len()];
        for (pixel, dy) in x.chunks(gamma.len()).zip(grad_output.chunks(gamma.len())) {
            of_gamma.iter_mut().zip(pixel.iter().zip(dy)).for_each(|(sum, (x, dy))| *sum += x * dy);
        }
        OpGradients { inputs: vec![of_x], parameters: vec![of_gamma] }
    }

    fn kernels(&self) -> Option<OpKernels> {
        // A thread computes one number of the result.
        Some(OpKernels {
            forward: "
fn output_at(i: u32) -> f32 { return input0(i) * parameter0(i % parameter0_length()); }",
            backward: "
fn grad_input0_at(i: u32) -> f32 { return grad_output(i) * parameter0(i % parameter0_length()); }
fn grad_parameter0_at(channel: u32) -> f32 {
    var sum = 0.0;
    for (var at = channel; at < rows() * output_length(); at += parameter0_length()) {
        sum += input0(at) * grad_output(at);
    }
    return sum;
}",
        })
    }
}

/// y = x + f(x), f: a depthwise convolution, a norm, and a dense layer of `expansion` times the
/// channels and back. Source: Z. Liu et al., *A ConvNet for the 2020s* (2022).
struct ConvNext {
    kernel: usize,
    expansion: usize,
}

impl Layer for ConvNext {
    fn name(&self) -> &str {
        "conv_next"
    }

    fn options(&self) -> serde_json::Value {
        serde_json::json!({ "kernel": self.kernel, "expansion": self.expansion })
    }

    fn build(&self, builder: &mut Builder, x: Value) -> gradus::Result<Value> {
        // The shape of one sample. What does not fit is an error, not a panic.
        let &[_, _, channels] = builder.shape(x) else {
            return Err(Error::Shape {
                operation: format!("{} (conv_next)", builder.path()),
                found: format!("an input of shape {:?}", builder.shape(x)),
                allowed: "images [height, width, channels]".into(),
            });
        };
        let depthwise = Conv2d::new(channels, self.kernel).padding(self.kernel / 2);
        let branch = Sequential::block()
            .named("dwconv", depthwise.groups(channels))
            .named("norm", LayerNorm::new())
            // A dense layer of images works on the channels of each pixel.
            .named("pwconv1", Dense::new(self.expansion * channels).activation(Gelu::new()))
            .named("pwconv2", Dense::new(channels))
            .named("scale", closure(|b, x| b.custom(LayerScale { initial: 0.1 }, &[x])));
        // With an empty name the parameters are `block.dwconv.weight` and so on.
        builder.layer("", &Residual::new(branch), x)
    }
}

/// Images of 12 × 12 with noise; the class is the direction of their stripes: 0 lie, 1 stand.
fn stripes(rows: usize, seed: u64) -> (Array4<f32>, Array1<i64>) {
    let mut random = Random::new(seed, 0);
    let images = Array4::from_shape_fn((rows, 12, 12, 1), |(row, y, x, _)| {
        let stripe = if row % 2 == 0 { y % 2 } else { x % 2 };
        (stripe as f64 + 0.5 * random.normal()) as f32
    });
    (images, Array1::from_shape_fn(rows, |row| (row % 2) as i64))
}

fn network() -> Sequential {
    Sequential::images([12, 12, 1])
        .named("stem", Conv2d::new(8, 3).padding(1).activation(Relu))
        .named("block", ConvNext { kernel: 5, expansion: 2 })
        .named("pool", GlobalAvgPool2d::new())
        .named("head", Dense::new(2))
}

fn main() -> gradus::Result<()> {
    let device = Device::auto();
    let mut model =
        network().on(&device)?.compile(CrossEntropy::new(), Adam::new().learning_rate(0.01))?;
    println!("{}", model.summary());
    let (x, y) = stripes(64, 1);
    let (test_x, test_y) = stripes(64, 2);
    let history = model.fit(&x, &y, Fit::new().epochs(5).batch_size(16))?;
    for (epoch, report) in history.epochs.iter().enumerate() {
        println!("epoch {}: loss {:.4}", epoch + 1, report.loss);
    }
    let score = model.evaluate(&test_x, &test_y)?;
    println!("other images: loss {:.4}, accuracy {:?}", score.loss, score.accuracy);

    // `Model::load` knows the layers of gradus. For a layer of your own, build the model again and
    // load its weights.
    let path = std::env::temp_dir().join(format!("gradus-own-{}.safetensors", std::process::id()));
    model.save_weights(&path)?;
    let mut again = network().seed(99).on(&device)?;
    again.load_weights(&path)?;
    println!("the same answers: {}", again.predict(&test_x)? == model.predict(&test_x)?);
    std::fs::remove_file(&path).map_err(|source| Error::Io { path, source })
}

//! Normalization: batch, layer, root mean square and group.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::{NamedActivation, activate_named, to_json};
use crate::nn::layers::layer::{Builder, Layer, image};
use crate::nn::ops;

/// Batch normalization over the last axis (channels): y = weight (x − μ)/√(σ² + ε) + bias, then an
/// activation. PyTorch `nn.BatchNorm2d` and `nn.BatchNorm1d`, Keras `BatchNormalization` (whose
/// momentum is 1 − this one and whose ε is 1e-3).
///
/// While training μ and σ² are those of the batch; `running_mean` and `running_var` move towards
/// them (σ² there divided by n − 1) and are what evaluating and predicting use. They are saved with
/// the model. A batch must have more than one value per channel.
///
/// Source: S. Ioffe, C. Szegedy, *Batch normalization: accelerating deep network training by
/// reducing internal covariate shift* (2015).
///
/// ```
/// use gradus::{Device, Sequential, layers::BatchNorm};
/// let model = Sequential::images([4, 4, 3]).named("bn", BatchNorm::new()).on(&Device::cpu())?;
/// let statistics = model.named_statistics()?;
/// assert_eq!(statistics[0], ("bn.running_mean".to_string(), vec![0.0; 3]));
/// assert_eq!(statistics[1], ("bn.running_var".to_string(), vec![1.0; 3]));
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BatchNorm {
    momentum: f64,
    epsilon: f64,
    affine: bool,
    activation: Option<NamedActivation>,
}

impl Default for BatchNorm {
    fn default() -> Self {
        BatchNorm::new()
    }
}

impl BatchNorm {
    /// Momentum 0.1, ε 1e-5, with weight and bias.
    pub fn new() -> Self {
        BatchNorm { momentum: 0.1, epsilon: 1e-5, affine: true, activation: None }
    }

    /// Weight of the batch in the running statistics (default 0.1).
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// Added to the variance below the root (default 1e-5).
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Learns weight and bias (default true).
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Activation of the output (default: none); relu runs in the same kernels.
    pub fn activation(mut self, activation: impl Activation) -> Self {
        self.activation = Some(NamedActivation::of(&activation));
        self
    }
}

impl Layer for BatchNorm {
    fn name(&self) -> &str {
        "batch_norm"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let channels = builder.shape(x).last().copied().unwrap_or(0);
        let relu = self.activation.as_ref().is_some_and(NamedActivation::is_relu);
        let op = ops::batch_norm::BatchNorm {
            channels,
            momentum: self.momentum,
            epsilon: self.epsilon,
            affine: self.affine,
            relu,
            residual: false,
        };
        let y = builder.op(op, &[x])?;
        activate_named(builder, self.activation.as_ref().filter(|_| !relu), y)
    }
}

/// Layer normalization over the last axis: y = weight (x − μ)/√(σ² + ε) + bias, with mean and
/// (biased) variance of each row. PyTorch `nn.LayerNorm`, Keras `LayerNormalization` (ε 1e-3).
///
/// Source: J. Ba, J. Kiros, G. Hinton, *Layer normalization* (2016).
///
/// ```
/// use gradus::{Device, Sequential, layers::LayerNorm};
/// use ndarray::array;
/// let mut model = Sequential::new(2).then(LayerNorm::new()).on(&Device::reference())?;
/// let y = model.predict(&array![[1.0, 3.0]])?; // mean 2, variance 1
/// assert!((y[[0, 0]] + 1.0).abs() < 1e-5 && (y[[0, 1]] - 1.0).abs() < 1e-5);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LayerNorm {
    epsilon: f64,
    affine: bool,
    bias: bool,
}

impl Default for LayerNorm {
    fn default() -> Self {
        LayerNorm::new()
    }
}

impl LayerNorm {
    /// ε 1e-5, with weight and bias.
    pub fn new() -> Self {
        LayerNorm { epsilon: 1e-5, affine: true, bias: true }
    }

    /// Added to the variance below the root (default 1e-5).
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Learns weight and bias (default true).
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// Learns a bias beside the weight (default true).
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }
}

impl Layer for LayerNorm {
    fn name(&self) -> &str {
        "layer_norm"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let width = builder.shape(x).last().copied().unwrap_or(0);
        let LayerNorm { epsilon, affine, bias } = *self;
        builder.op(ops::layer_norm::LayerNorm { width, epsilon, affine, bias }, &[x])
    }
}

/// Root mean square normalization over the last axis: y = weight x/√(mean x² + ε). PyTorch
/// `nn.RMSNorm`, Keras `RMSNormalization` (ε 1e-6).
///
/// Source: B. Zhang, R. Sennrich, *Root mean square layer normalization* (2019).
///
/// ```
/// use gradus::{Device, Sequential, layers::RmsNorm};
/// use ndarray::array;
/// let mut model = Sequential::new(2).then(RmsNorm::new()).on(&Device::reference())?;
/// let y = model.predict(&array![[1.0, 7.0]])?; // mean square 25
/// assert!((y[[0, 0]] - 0.2).abs() < 1e-6 && (y[[0, 1]] - 1.4).abs() < 1e-6);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RmsNorm {
    epsilon: f64,
    affine: bool,
}

impl Default for RmsNorm {
    fn default() -> Self {
        RmsNorm::new()
    }
}

impl RmsNorm {
    /// ε 1.19e-7 (the distance of 1 and the next number of f32, as PyTorch), with a weight.
    pub fn new() -> Self {
        RmsNorm { epsilon: f64::from(f32::EPSILON), affine: true }
    }

    /// Added to the mean square below the root (default 1.19e-7).
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Learns a weight (default true).
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }
}

impl Layer for RmsNorm {
    fn name(&self) -> &str {
        "rms_norm"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let width = builder.shape(x).last().copied().unwrap_or(0);
        let RmsNorm { epsilon, affine } = *self;
        builder.op(ops::rms_norm::RmsNorm { width, epsilon, affine }, &[x])
    }
}

/// Group normalization of images: mean and variance over the pixels of a group of channels of one
/// sample. PyTorch `nn.GroupNorm`, Keras `GroupNormalization` (ε 1e-3).
///
/// Source: Y. Wu, K. He, *Group normalization* (2018).
///
/// ```
/// use gradus::{Sequential, layers::{Conv2d, GroupNorm}};
/// let model = Sequential::images([8, 8, 3]).then(Conv2d::new(16, 3)).then(GroupNorm::new(4));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GroupNorm {
    groups: usize,
    epsilon: f64,
    affine: bool,
}

impl GroupNorm {
    /// `groups` must divide the channels. ε 1e-5, with weight and bias.
    pub fn new(groups: usize) -> Self {
        GroupNorm { groups, epsilon: 1e-5, affine: true }
    }

    /// Added to the variance below the root (default 1e-5).
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    /// Learns weight and bias (default true).
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }
}

impl Layer for GroupNorm {
    fn name(&self) -> &str {
        "group_norm"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let [_, _, channels] = image(builder, x)?;
        let GroupNorm { groups, epsilon, affine } = *self;
        builder.op(ops::group_norm::GroupNorm { channels, groups, epsilon, affine }, &[x])
    }
}

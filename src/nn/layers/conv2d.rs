//! A convolution over images.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::nn::activations::activation::Activation;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::{NamedActivation, activate_named, to_json};
use crate::nn::layers::initializer::Initializer;
use crate::nn::layers::layer::{Builder, Layer, image};
use crate::nn::layers::size::{Padding, Size};
use crate::nn::ops;
use crate::nn::ops::conv2d::same_padding;

/// A convolution (cross-correlation, as everywhere in the field) over images [height, width,
/// channels], with a bias and an activation. PyTorch `nn.Conv2d`, Keras `Conv2D`.
///
/// The output has ⌊(size + padding − dilation (kernel − 1) − 1) / stride⌋ + 1 rows and columns.
/// `weight` is [height, width, channels / groups, filters] here and [filters, channels / groups,
/// height, width] in PyTorch's files.
///
/// ```
/// use gradus::layers::{Conv2d, Padding};
/// use gradus::{Sequential, activations::Relu};
/// let model = Sequential::images([28, 28, 1])
///     .then(Conv2d::new(32, 3).padding(1).activation(Relu))
///     .then(Conv2d::new(64, [3, 5]).stride(2).padding(Padding::Same));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conv2d {
    filters: usize,
    kernel: Size,
    stride: Size,
    padding: Padding,
    dilation: Size,
    groups: usize,
    bias: bool,
    initializer: Initializer,
    l1: Option<f64>,
    l2: Option<f64>,
    activation: Option<NamedActivation>,
}

impl Conv2d {
    /// `filters` outputs per pixel from windows of `kernel`: a number or [height, width]. Stride 1,
    /// no padding, with a bias, without an activation; weights from
    /// [`Initializer::GlorotUniform`].
    pub fn new(filters: usize, kernel: impl Into<Size>) -> Self {
        Conv2d {
            filters,
            kernel: kernel.into(),
            stride: 1.into(),
            padding: 0.into(),
            dilation: 1.into(),
            groups: 1,
            bias: true,
            initializer: Initializer::default(),
            l1: None,
            l2: None,
            activation: None,
        }
    }

    /// Distance of windows (default 1).
    pub fn stride(mut self, stride: impl Into<Size>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Zeros around the image (default none): a number, [rows, columns], [above, below, left, right]
    /// or [`Padding::Same`].
    pub fn padding(mut self, padding: impl Into<Padding>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Distance of the pixels that a window reads (default 1).
    pub fn dilation(mut self, dilation: impl Into<Size>) -> Self {
        self.dilation = dilation.into();
        self
    }

    /// Groups of channels that are convolved apart (default 1); as many as channels: a depthwise
    /// convolution. They must divide channels and filters.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// Adds a bias if true (default true).
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Initializer of the weights (default [`Initializer::GlorotUniform`]); inputs and outputs of a
    /// unit count each pixel of the window.
    pub fn initializer(mut self, initializer: Initializer) -> Self {
        self.initializer = initializer;
        self
    }

    /// Adds l1 Σ|w| over the weights to the training loss (default: the model's).
    pub fn l1(mut self, l1: f64) -> Self {
        self.l1 = Some(l1);
        self
    }

    /// Adds l2 Σw² over the weights to the training loss (default: the model's).
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = Some(l2);
        self
    }

    /// Activation of the output (default: none).
    pub fn activation(mut self, activation: impl Activation) -> Self {
        self.activation = Some(NamedActivation::of(&activation));
        self
    }
}

impl Layer for Conv2d {
    fn name(&self) -> &str {
        "conv2d"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let input = image(builder, x)?;
        let (Size(kernel), Size(stride), Size(dilation)) =
            (self.kernel, self.stride, self.dilation);
        let padding = match self.padding {
            Padding::Zeros(sizes) => sizes,
            Padding::Same => {
                let [height, width] = [0, 1].map(|axis| {
                    same_padding(input[axis], kernel[axis], stride[axis], dilation[axis])
                });
                [height.0, height.1, width.0, width.1]
            }
        };
        let penalties = builder.penalties.of_layer(&builder.owner(), [self.l1, self.l2, None])?;
        let op = ops::conv2d::Conv2d {
            stride,
            padding,
            dilation,
            groups: self.groups,
            bias: self.bias,
            initializer: self.initializer,
            penalties,
            ..ops::conv2d::Conv2d::new(input, self.filters, kernel)
        };
        let y = builder.op(op, &[x])?;
        activate_named(builder, self.activation.as_ref(), y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, Sequential};

    #[test]
    fn same_padding_is_that_of_each_axis() {
        // (input, kernel, stride, dilation) and ceil(input / stride).
        for (image, kernel, stride, dilation, expected) in [
            ([7, 4], [5, 2], [1, 1], [1, 1], [7, 4]),
            ([7, 4], [5, 2], [3, 1], [1, 1], [3, 4]),
            ([4, 9], [2, 3], [1, 2], [1, 3], [4, 5]),
        ] {
            let layer = Conv2d::new(3, kernel).stride(stride).dilation(dilation);
            let layers = Sequential::images([image[0], image[1], 1]);
            let layers = layers.then(layer.padding(Padding::Same));
            let model = layers.on(&Device::cpu()).unwrap();
            assert_eq!(model.outputs(), expected[0] * expected[1] * 3, "{image:?}");
        }
    }
}

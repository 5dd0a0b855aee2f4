//! Pooling of images: maxima and means over windows, over cells of a grid, over whole images.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::Result;
use crate::nn::graph::nodes::Value;
use crate::nn::layers::form::to_json;
use crate::nn::layers::layer::{Builder, Layer, image};
use crate::nn::layers::size::Size;
use crate::nn::ops;

/// The largest number of each window of an image, per channel. PyTorch `nn.MaxPool2d`, Keras
/// `MaxPooling2D`. Of equal numbers the first in row-major order gets the gradient; padding never
/// wins, NaN always does.
///
/// The output has ⌊(size + 2 padding − kernel) / stride⌋ + 1 rows and columns.
///
/// ```
/// use gradus::{Sequential, layers::MaxPool2d};
/// let model = Sequential::images([28, 28, 8]).then(MaxPool2d::new(2));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MaxPool2d {
    kernel: Size,
    stride: Size,
    padding: Size,
    ceil_mode: bool,
}

impl MaxPool2d {
    /// Windows of `kernel`, a number or [height, width], side by side: the stride is the kernel.
    pub fn new(kernel: impl Into<Size>) -> Self {
        let kernel = kernel.into();
        MaxPool2d { kernel, stride: kernel, padding: 0.into(), ceil_mode: false }
    }

    /// Distance of windows (default: the kernel).
    pub fn stride(mut self, stride: impl Into<Size>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Rows and columns on each side that never win (default 0), at most half the kernel.
    pub fn padding(mut self, padding: impl Into<Size>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Counts windows that reach over the edge (default false): PyTorch's `ceil_mode`.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }
}

impl Layer for MaxPool2d {
    fn name(&self) -> &str {
        "max_pool2d"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let input = image(builder, x)?;
        let (Size(kernel), Size(stride), Size(padding)) = (self.kernel, self.stride, self.padding);
        let ceil_mode = self.ceil_mode;
        builder.op(ops::pool::max::MaxPool2d { input, kernel, stride, padding, ceil_mode }, &[x])
    }
}

/// The mean of each window of an image, per channel. PyTorch `nn.AvgPool2d`, Keras
/// `AveragePooling2D` (which leaves padding out of the mean).
///
/// ```
/// use gradus::{Sequential, layers::AvgPool2d};
/// let model = Sequential::images([28, 28, 8]).then(AvgPool2d::new(3).stride(2).padding(1));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AvgPool2d {
    kernel: Size,
    stride: Size,
    padding: Size,
    ceil_mode: bool,
    count_include_pad: bool,
}

impl AvgPool2d {
    /// Windows of `kernel`, a number or [height, width], side by side: the stride is the kernel.
    pub fn new(kernel: impl Into<Size>) -> Self {
        let kernel = kernel.into();
        let (padding, ceil_mode, count_include_pad) = (0.into(), false, true);
        AvgPool2d { kernel, stride: kernel, padding, ceil_mode, count_include_pad }
    }

    /// Distance of windows (default: the kernel).
    pub fn stride(mut self, stride: impl Into<Size>) -> Self {
        self.stride = stride.into();
        self
    }

    /// Rows and columns of zeros on each side (default 0), at most half the kernel.
    pub fn padding(mut self, padding: impl Into<Size>) -> Self {
        self.padding = padding.into();
        self
    }

    /// Counts windows that reach over the edge (default false): PyTorch's `ceil_mode`.
    pub fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// Zeros of the padding count in the mean (default true, as in PyTorch).
    pub fn count_include_pad(mut self, count_include_pad: bool) -> Self {
        self.count_include_pad = count_include_pad;
        self
    }
}

impl Layer for AvgPool2d {
    fn name(&self) -> &str {
        "avg_pool2d"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let op = ops::pool::average::AvgPool2d {
            input: image(builder, x)?,
            kernel: self.kernel.0,
            stride: self.stride.0,
            padding: self.padding.0,
            ceil_mode: self.ceil_mode,
            count_include_pad: self.count_include_pad,
        };
        builder.op(op, &[x])
    }
}

/// The mean of each cell of a grid laid over an image, per channel: an output of a given size from
/// any input. PyTorch `nn.AdaptiveAvgPool2d`. Cell i of n along an axis of s pixels has those from
/// ⌊i s / n⌋ to ⌈(i + 1) s / n⌉, so cells overlap where n does not divide s.
///
/// ```
/// use gradus::{Sequential, layers::AdaptiveAvgPool2d};
/// let model = Sequential::images([7, 9, 8]).then(AdaptiveAvgPool2d::new(2));
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AdaptiveAvgPool2d {
    output: Size,
}

impl AdaptiveAvgPool2d {
    /// An output of this size: a number or [height, width].
    pub fn new(output: impl Into<Size>) -> Self {
        AdaptiveAvgPool2d { output: output.into() }
    }
}

impl Layer for AdaptiveAvgPool2d {
    fn name(&self) -> &str {
        "adaptive_avg_pool2d"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let (input, Size(output)) = (image(builder, x)?, self.output);
        builder.op(ops::pool::average::AdaptiveAvgPool2d { input, output }, &[x])
    }
}

/// The mean of each channel over the whole image: [height, width, channels] → `[channels]`. Keras
/// `GlobalAveragePooling2D`; in PyTorch `adaptive_avg_pool2d(x, 1).flatten(1)`.
///
/// ```
/// use gradus::{Device, Sequential, layers::GlobalAvgPool2d};
/// use ndarray::array;
/// let mut model = Sequential::images([1, 2, 1]).then(GlobalAvgPool2d::new()).on(&Device::cpu())?;
/// assert_eq!(model.predict(&array![[1.0, 4.0]])?, array![[2.5]]);
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct GlobalAvgPool2d {}

impl GlobalAvgPool2d {
    /// The layer, which has no options.
    pub fn new() -> Self {
        GlobalAvgPool2d {}
    }
}

impl Layer for GlobalAvgPool2d {
    fn name(&self) -> &str {
        "global_avg_pool2d"
    }

    fn options(&self) -> Json {
        to_json(self)
    }

    fn build(&self, builder: &mut Builder, x: Value) -> Result<Value> {
        let input = image(builder, x)?;
        builder.op(ops::pool::global::GlobalAvgPool { input }, &[x])
    }
}

//! Options and sizes of a convolution.

use std::sync::Arc;

use crate::nn::activations::activation::Activation;
use crate::nn::graph::op::Penalties;
use crate::nn::layers::initializer::Initializer;
use crate::{Error, Result};

pub(super) const NAME: &str = "conv2d";

/// Elements of a sample that are indexed on a GPU.
pub(super) const MOST_ELEMENTS: usize = i32::MAX as usize;

/// Longest side, stride, dilation: their sums and products of two stay far inside i64 and, with
/// [`MOST_ELEMENTS`], inside i32.
const LONGEST: usize = 1 << 15;

/// The convolution of an image [height, width, channels].
#[derive(Clone, Debug)]
pub(crate) struct Conv2d {
    pub input: [usize; 3],
    pub filters: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Top, bottom, left, right.
    pub padding: [usize; 4],
    pub dilation: [usize; 2],
    pub groups: usize,
    pub bias: bool,
    pub initializer: Initializer,
    pub penalties: Penalties,
    /// Elementwise activation of the output, without groups: `fuse::epilogues`.
    pub activation: Option<Arc<dyn Activation>>,
    /// The batch norm behind it, folded into weights and bias: only in a graph that predicts, whose
    /// node has its parameters and statistics too. `fuse::folded_norms`.
    pub norm: Option<FoldedNorm>,
}

/// A batch norm by its running statistics: y = (x − mean) s + β with s = γ/√(var + ε).
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldedNorm {
    pub epsilon: f64,
    /// Has γ and β.
    pub affine: bool,
}

/// The padding before and behind an axis whose output has ⌈size / stride⌉ elements: TensorFlow's and
/// Keras's `same`; with stride 1 PyTorch's too. An odd rest is behind.
pub(crate) fn same_padding(
    size: usize,
    kernel: usize,
    stride: usize,
    dilation: usize,
) -> (usize, usize) {
    let stride = stride.max(1);
    let extent = dilation * kernel.saturating_sub(1) + 1;
    let reach = size.div_ceil(stride).saturating_sub(1) * stride + extent;
    let total = reach.saturating_sub(size);
    (total / 2, total - total / 2)
}

impl Conv2d {
    /// Stride 1, no padding, no dilation, one group, a bias.
    pub fn new(input: [usize; 3], filters: usize, kernel: [usize; 2]) -> Self {
        Conv2d {
            input,
            filters,
            kernel,
            stride: [1; 2],
            padding: [0; 4],
            dilation: [1; 2],
            groups: 1,
            bias: true,
            initializer: Initializer::default(),
            penalties: Penalties::default(),
            activation: None,
            norm: None,
        }
    }

    /// The activation whose derivative reads its input, which forward keeps.
    pub(super) fn keeps_sums(&self) -> bool {
        self.activation.as_ref().is_some_and(|activation| activation.needs_input())
    }

    /// Pixels that the taps of an axis span.
    pub(super) fn extent(&self, axis: usize) -> usize {
        self.dilation[axis] * (self.kernel[axis] - 1) + 1
    }

    /// Height and width of the output. The op has been checked.
    pub(super) fn output_size(&self) -> [usize; 2] {
        [0, 1].map(|axis| {
            let padded = self.input[axis] + self.padding[2 * axis] + self.padding[2 * axis + 1];
            (padded - self.extent(axis)) / self.stride[axis] + 1
        })
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Channels that a filter reads.
    pub(super) fn group_channels(&self) -> usize {
        self.input[2] / self.groups
    }

    /// Filters of a group.
    pub(super) fn group_filters(&self) -> usize {
        self.filters / self.groups
    }

    /// Each channel has filters of its own.
    pub(super) fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.input[2]
    }

    pub(super) fn check(&self) -> Result<()> {
        let refuse = |name: &str, found: String, allowed: &str| {
            Err(Error::option(NAME, name, found, allowed))
        };
        let numbers = [
            ("input", &self.input[..]),
            ("filters", &[self.filters]),
            ("kernel", &self.kernel),
            ("stride", &self.stride),
            ("dilation", &self.dilation),
            ("groups", &[self.groups]),
        ];
        for (name, values) in numbers {
            if values.iter().any(|value| !(1..=LONGEST).contains(value)) {
                return refuse(name, format!("{values:?}"), "from 1 to 32768");
            }
        }
        let [channels, filters] = [self.input[2], self.filters];
        if channels % self.groups != 0 || filters % self.groups != 0 {
            let allowed = format!("a divisor of the {channels} channels and {filters} filters");
            return refuse("groups", self.groups.to_string(), &allowed);
        }
        for axis in [0, 1] {
            let (sides, extent) = (&self.padding[2 * axis..][..2], self.extent(axis));
            if sides.iter().any(|&side| side >= extent) {
                let allowed = format!(
                    "below {extent}, the extent of the kernel: behind that it sees only padding"
                );
                return refuse("padding", format!("{:?}", self.padding), &allowed);
            }
            let padded = self.input[axis] + sides[0] + sides[1];
            if extent > padded {
                let name = ["height", "width"][axis];
                let allowed = format!("an extent up to the padded {name}, {padded}");
                return refuse("kernel", format!("{:?} of extent {extent}", self.kernel), &allowed);
            }
        }
        let [height, width] = self.output_size();
        let weights = [self.taps(), self.group_channels(), self.filters];
        let sizes = [&self.input[..], &[height, width, self.filters], &weights];
        for sides in sizes {
            let size = sides.iter().try_fold(1_usize, |size, &side| size.checked_mul(side));
            if size.is_none_or(|size| size > MOST_ELEMENTS) {
                return Err(Error::Shape {
                    operation: NAME.into(),
                    found: format!("an image or kernel of {sides:?} numbers"),
                    allowed: format!("up to {MOST_ELEMENTS}"),
                });
            }
        }
        Ok(())
    }
}

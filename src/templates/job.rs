//! What the templates of predictions and targets are asked for on a GPU, and the buffers that they work on.

use crate::runtime::kernel::Slice;
use crate::templates::parts::{ALIGNMENT, Part, cells};

/// An element or row with these bits for a weight is masked out (`MASKED` in lib/numbers.wgsl).
pub(crate) const MASKED: u32 = u32::MAX;

/// Ignored labels that a uniform holds.
pub(crate) const MOST_IGNORED: usize = 16;

/// Planes of the row-wise results where each is asked for: the value and five auxiliary ones.
pub(crate) const RESULT_KINDS: usize = 6;

/// The shape of a loss's inputs and what is asked of the kernel.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Rows of the row-wise frame; leading axis of the pointwise one.
    pub rows: usize,
    /// Elements in a row.
    pub row_length: usize,
    /// Length of the last axis.
    pub columns: usize,
    /// Class labels rather than dense targets.
    pub labels: bool,
    /// Reduction `none`.
    pub each: bool,
    pub factor: f32,
    pub upstream: f32,
    /// The divisor is summed on the device from the labels there.
    pub divisor: Divisor,
    pub auxiliary: bool,
    /// The diagonal of the Hessian goes where the gradient would; the values are the same.
    pub second: bool,
    /// Predictions, dense targets and gradient are f16.
    pub half: bool,
}

impl Job {
    /// Parts begin at a multiple of so many elements or rows: 256 bytes of the smallest numbers.
    pub(super) fn alignment(&self) -> usize {
        if self.half { 2 * ALIGNMENT } else { ALIGNMENT }
    }
}

/// Where the divisor of a mean comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Divisor {
    /// It is in the factor.
    Known,
    /// The sum of the class weights of the rows kept, from labels on the device.
    OfLabels,
    /// The sum of the weights of the rows kept, from labels on the device.
    OfRowWeights,
    /// It is in `result[2]` when the kernel runs.
    Ready,
}

/// The buffers of a loss. What is absent is bound to `absent`, which the kernel then never reads.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub predictions: wgpu::Buffer,
    pub targets: wgpu::Buffer,
    /// Weights with the mask folded in, for each element or for each row.
    pub weights: Option<(wgpu::Buffer, Per)>,
    /// `class_weight`, or `pos_weight` of a pointwise loss.
    pub column_weights: Option<wgpu::Buffer>,
    /// Whether the weights of the classes' positive sides lie behind those of the classes.
    pub pos_weights: bool,
    pub class_mask: Option<(wgpu::Buffer, Per)>,
    pub upstreams: Option<wgpu::Buffer>,
    /// Where it is the predictions' own buffer, the gradient is written over them.
    pub gradient: wgpu::Buffer,
    /// Partial sums, values, or the planes of the row-wise frame: [`values_length`] elements.
    pub values: wgpu::Buffer,
    /// Value, nothing, divisor.
    pub result: wgpu::Buffer,
    pub dummy: wgpu::Buffer,
}

impl Buffers {
    pub(super) fn in_place(&self) -> bool {
        self.gradient == self.predictions
    }

    /// What the kernel reads the predictions from: where it writes over them, the gradient's binding is the only one.
    pub(super) fn read_predictions(&self, part: &Part, width: usize, half: bool) -> Slice<'_> {
        if self.in_place() {
            (&self.dummy).into()
        } else {
            cells(&self.predictions, part, width, half)
        }
    }
}

/// What a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Per {
    Element,
    Row,
    /// The same for all rows.
    Column,
}

/// What the sum kernel adds up after a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parts {
    pub length: usize,
}

pub(super) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Ignored labels as the kernels read them. One outside 32 bits stands as the lowest, as such a label itself does.
pub(crate) fn ignored_words(labels: &[i64]) -> (u32, [i32; MOST_IGNORED]) {
    let mut words = [0; MOST_IGNORED];
    for (word, &label) in words.iter_mut().zip(labels) {
        *word = i32::try_from(label).unwrap_or(i32::MIN);
    }
    (labels.len().min(MOST_IGNORED) as u32, words)
}

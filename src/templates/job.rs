//! GPU call parameters for the templates of predictions and targets, and the buffers that they use.

use crate::runtime::kernel::Slice;
use crate::templates::definition::{LossDefinition, TargetDerivative};
use crate::templates::parts::{ALIGNMENT, Part, cells};

/// Bit pattern of a weight that masks its element or row (`MASKED` in lib/numbers.wgsl).
pub(crate) const MASKED: u32 = u32::MAX;

/// Maximum number of ignored labels in a uniform.
pub(crate) const MOST_IGNORED: usize = 16;

/// Number of planes in the row-wise output when auxiliary outputs are requested: the value and five
/// auxiliary outputs.
pub(crate) const RESULT_KINDS: usize = 6;

/// The shapes of a loss's inputs and the requested outputs.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// Number of rows in the row-wise template; length of the leading axis in the pointwise
    /// template.
    pub rows: usize,
    /// Number of elements in a row.
    pub row_length: usize,
    /// Length of the last axis.
    pub columns: usize,
    /// True for class labels, false for dense targets.
    pub labels: bool,
    /// True with reduction `none`.
    pub each: bool,
    pub factor: f32,
    pub upstream: f32,
    /// Source of the divisor of a mean.
    pub divisor: Divisor,
    pub auxiliary: bool,
    /// The derivatives that are written. The values are the same.
    pub written: Written,
    /// True if predictions, dense targets and gradient are f16.
    pub half: bool,
}

impl Job {
    /// Every part begins at a multiple of this number of elements or rows: 256 bytes of the
    /// smallest type.
    pub(super) fn alignment(&self) -> usize {
        if self.half { 2 * ALIGNMENT } else { ALIGNMENT }
    }
}

/// The derivatives that a kernel of predictions and targets writes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Written {
    /// With respect to the predictions.
    #[default]
    Gradient,
    /// The second derivative with respect to each prediction.
    HessianDiagonal,
    /// With respect to the targets.
    TargetGradient,
}

impl Written {
    /// Those beside the gradient for which a loss has a function of its own.
    pub(super) fn others_of(loss: &dyn LossDefinition) -> Vec<Written> {
        let spec = loss.spec();
        let target = spec
            .target_derivative
            .is_some_and(|found| !matches!(found, TargetDerivative::Opposite));
        let all = [
            (spec.hessian_diagonal.is_some(), Written::HessianDiagonal),
            (target, Written::TargetGradient),
        ];
        all.into_iter().filter_map(|(has_it, written)| has_it.then_some(written)).collect()
    }
}

/// Source of the divisor of a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Divisor {
    /// Already included in the factor.
    Known,
    /// The sum of the class weights of the unmasked rows, computed from labels on the device.
    OfLabels,
    /// The sum of the row weights of the unmasked rows, computed from labels on the device.
    OfRowWeights,
    /// Already in `result[2]` when the kernel runs.
    Ready,
}

/// The buffers of a loss. An absent input is bound to `unread`.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub predictions: wgpu::Buffer,
    pub targets: wgpu::Buffer,
    /// Weights per element or per row, with the mask folded in.
    pub weights: Option<(wgpu::Buffer, Per)>,
    /// `class_weight`, or `pos_weight` of a pointwise loss.
    pub column_weights: Option<wgpu::Buffer>,
    /// If set, `column_weights` holds the positive-side weights of the classes after the class
    /// weights.
    pub pos_weights: bool,
    pub class_mask: Option<(wgpu::Buffer, Per)>,
    /// One number per item of a list.
    pub item_weights: Option<wgpu::Buffer>,
    pub upstreams: Option<wgpu::Buffer>,
    /// If this is the predictions' buffer, the gradient overwrites the predictions.
    pub gradient: wgpu::Buffer,
    /// Partial sums, values, or the planes of the row-wise template: [`values_length`] elements.
    pub values: wgpu::Buffer,
    /// Three words: value, unused, divisor.
    pub result: wgpu::Buffer,
    /// Stands in for an input that the call does not have.
    pub unread: wgpu::Buffer,
}

impl Buffers {
    pub(super) fn in_place(&self) -> bool {
        self.gradient == self.predictions
    }

    /// The buffer that the kernel reads the predictions from. When the gradient overwrites them,
    /// the gradient's binding is the only one.
    pub(super) fn read_predictions(&self, part: &Part, width: usize, half: bool) -> Slice<'_> {
        if self.in_place() {
            (&self.unread).into()
        } else {
            cells(&self.predictions, part, width, half)
        }
    }
}

/// The axis that a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Per {
    Element,
    Row,
    /// Shared by all rows.
    Column,
}

/// The values that the sum kernel adds up after a loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parts {
    pub length: usize,
}

pub(super) fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// Ignored labels as the kernels read them. A label that does not fit 32 bits is stored as the
/// lowest i32, and so is an ignored label that does not fit.
pub(crate) fn ignored_words(labels: &[i64]) -> (u32, [i32; MOST_IGNORED]) {
    let mut words = [0; MOST_IGNORED];
    for (word, &label) in words.iter_mut().zip(labels) {
        *word = i32::try_from(label).unwrap_or(i32::MIN);
    }
    (labels.len().min(MOST_IGNORED) as u32, words)
}

//! Sampled softmax for very many classes.

use crate::losses::prelude::*;
use crate::runtime::wgsl::shader;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::softmax_shifted::{self, Shift};

options! {
    /// Sampled softmax: cross-entropy over a sample of very many classes, whose logits are corrected
    /// for how often each is sampled, so that the expected gradient is near that of the whole
    /// softmax.
    ///
    /// lse(z) − z_y with z_c = x_c − ln Q_c, Q the input `expected_count`: how often a class is
    /// expected in a sample (for one draw its probability); derivative p_c − [c = y], p the softmax
    /// of z. Predictions are logits [rows, sampled classes]: those of the labels of the batch and
    /// those drawn, the same columns for all rows; targets are the columns of the labels, `[rows]`;
    /// `expected_count` is `[sampled classes]`, 1 each without it. In a retrieval model with the
    /// batch's own items as the sample the labels are 0, 1, 2, …. A common factor of Q changes
    /// nothing. The input `class_mask` takes accidental hits out: columns that are right for a row
    /// without being its label. A class with Q = 0 or a logit of −∞ is masked unless it is the
    /// label: then the loss is ∞. `mean` divides by the number of rows.
    ///
    /// TensorFlow `sampled_softmax_loss`, which draws the sample itself, with a column of its own
    /// for the label of each row.
    /// Sources: S. Jean et al., On using very large target vocabulary for neural machine
    /// translation, 2015; X. Yi et al., Sampling-bias-corrected neural modeling for large corpus item
    /// recommendations, 2019.
    ///
    /// ```
    /// use gradus::{Device, Inputs, losses::{Loss, SampledSoftmax}};
    /// use ndarray::array;
    ///
    /// let (logits, labels, expected) = (array![[0.0, 0.0]], array![0_i64], array![0.75, 0.25]);
    /// let inputs = Inputs::new(&logits, &labels).input("expected_count", &expected);
    /// let step = SampledSoftmax::new().on(&Device::reference())?.evaluate(&inputs)?;
    /// assert!((step.value() - 4.0_f64.ln()).abs() < 1e-15); // e^z is 4/3 and 4
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.75, 0.75]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct SampledSoftmax of "sampled_softmax" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "sampled_softmax",
    summary: "a sample of very many classes, corrected for how often each is sampled",
    formula: "lse(z) − z_y, z = x − ln Q",
    options: SampledSoftmax::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "S. Jean et al., On using very large target vocabulary for neural machine translation, 2015; X. Yi et al., Sampling-bias-corrected neural modeling, 2019",
    variants: &[],
    shader: shader!("losses/sampled_softmax.wgsl"),
    make: make::<SampledSoftmax>,
};

impl LossDefinition for SampledSoftmax {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Label,
            inputs: &[EXPECTED_COUNT, CLASS_MASK],
            helpers: const { &[shader!("templates/rowwise/softmax_shifted.wgsl")] },
            ..Spec::rowwise(self)
        }
    }
}

impl Shift for SampledSoftmax {
    fn scale(&self) -> f64 {
        1.0
    }

    #[inline(always)]
    fn shift<R: Real>(&self, expected: R) -> R {
        R::select(expected == R::ZERO, R::NEG_INFINITY, -expected.ln())
    }
}

impl Rowwise for SampledSoftmax {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        softmax_shifted::row(self, row, scale, gradient)
    }

    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32, &[i32]>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        softmax_shifted::short_rows(self, rows, first, gradient, values)
    }
}

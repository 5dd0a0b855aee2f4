//! Sparsemax loss.

use crate::losses::prelude::*;
use crate::templates::rowwise::entmax;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};

options! {
    /// Sparsemax loss against class labels: the Fenchel–Young loss of the projection of the scores
    /// onto the simplex, p = [x − τ]₊, Σp = 1.
    ///
    /// ½ Σ (x² − τ²) over the support + ½ − x_y. Unlike softmax it assigns probability 0 to classes
    /// with much lower scores, and is 0 itself where the label leads by 1. Derivative p − 1 at the
    /// label, p elsewhere. Predictions are scores [rows, classes], targets labels `[rows]`. A score
    /// of −∞ is a masked class (p and derivative 0) unless it is the label: then the loss is ∞. On
    /// the GPU the threshold is found by a fixed number of Newton and bisection steps, accurate to
    /// the last digits of f32.
    ///
    /// optax `multiclass_sparsemax_loss`. Source: A. F. T. Martins and R. F. Astudillo, From
    /// softmax to sparsemax, 2016.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, Sparsemax}};
    /// use ndarray::array;
    ///
    /// let criterion = Sparsemax::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.5, 0.0, -7.0]], &array![0_i64])?;
    /// assert_eq!(step.value(), 0.0625); // p = (3/4, 1/4, 0)
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, 0.25, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Sparsemax of "sparsemax" {
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "sparsemax",
    summary: "sparsemax: classes far behind get a probability of exactly 0",
    formula: "½ Σ_S (x² − τ²) + ½ − x_y, p = [x − τ]₊",
    options: Sparsemax::OPTIONS,
    torch: "",
    keras: "",
    optax: "multiclass_sparsemax_loss",
    source: "A. F. T. Martins and R. F. Astudillo, From softmax to sparsemax, 2016",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/sparsemax.wgsl"),
    make: make::<Sparsemax>,
};

impl LossDefinition for Sparsemax {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Label,
            helpers: const { &[crate::runtime::wgsl::shader!("templates/rowwise/entmax_fold.wgsl")] },
            passes: 15,
            label_passes: 15,
            unrolled: 4,
            ..Spec::rowwise(self)
        }
    }
}

impl Rowwise for Sparsemax {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        entmax::entmax_loss(row, 2.0, scale, gradient)
    }

    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32, &[i32]>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        entmax::short_rows(self, 2.0, rows, first, gradient, values)
    }
}

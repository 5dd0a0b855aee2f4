//! Entmax loss.

use crate::losses::prelude::*;
use crate::templates::rowwise::entmax;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};

options! {
    /// α-entmax loss against class labels: the Fenchel–Young loss of p = [(α − 1)x − τ]₊^(1/(α−1)),
    /// Σp = 1.
    ///
    /// Σ p(x − x_y) + Σ (p − p^α)/(α(α − 1)). `alpha` 1 is the softmax cross-entropy, 2 the
    /// sparsemax loss; in between p has zeros, more for larger `alpha`. Derivative p − 1 at the
    /// label, p elsewhere. Predictions are scores [rows, classes], targets labels `[rows]`. A score
    /// of −∞ is a masked class (p and derivative 0) unless it is the label: then the loss is ∞. On
    /// the GPU the threshold is found by a fixed number of Newton and bisection steps, accurate to
    /// the last digits of f32.
    ///
    /// Source: B. Peters, V. Niculae and A. F. T. Martins, Sparse sequence-to-sequence
    /// models, 2019.
    ///
    /// ```
    /// use gradus::{Device, losses::{Entmax, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = Entmax::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[2.0, 0.0]], &array![0_i64])?;
    /// assert_eq!(step.value(), 0.0); // where the label leads by 1/(alpha − 1)
    /// let step = criterion.value_and_gradient(&array![[0.0, 0.0]], &array![0_i64])?;
    /// assert!((step.value() - 4.0 / 3.0 * (1.0 - 0.5_f64.sqrt())).abs() < 1e-15);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct Entmax of "entmax" {
        /// 1: softmax, 2: sparsemax.
        alpha: f64 = 1.5, "in [1, 2]" if |alpha| (1.0..=2.0).contains(&alpha);
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "entmax",
    summary: "entmax: between softmax and sparsemax",
    formula: "Σ p(x − x_y) + Σ (p − p^α)/(α(α − 1)), p = [(α − 1)x − τ]₊^(1/(α−1))",
    options: Entmax::OPTIONS,
    torch: "",
    keras: "",
    optax: "",
    source: "B. Peters, V. Niculae and A. F. T. Martins, Sparse sequence-to-sequence models, 2019",
    variants: &[r#"{"alpha": 1.0}"#, r#"{"alpha": 1.25}"#, r#"{"alpha": 2.0}"#],
    shader: crate::runtime::wgsl::shader!("losses/entmax.wgsl"),
    make: make::<Entmax>,
};

impl LossDefinition for Entmax {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec {
            targets: Domain::Label,
            helpers: const { &[crate::runtime::wgsl::shader!("templates/rowwise/entmax_fold.wgsl")] },
            passes: 15,
            label_passes: 15,
            unrolled: if self.alpha == 1.5 || self.alpha == 2.0 { 4 } else { 0 },
            ..Spec::rowwise(self)
        }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("ALPHA", self.alpha)]
    }
}

impl Rowwise for Entmax {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        entmax::entmax_loss(row, self.alpha, scale, gradient)
    }

    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32, &[i32]>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        entmax::short_rows(self, self.alpha, rows, first, gradient, values)
    }
}

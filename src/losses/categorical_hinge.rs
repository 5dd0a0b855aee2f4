//! Categorical hinge.

use crate::cpu::simd;
use crate::losses::multiclass_hinge::short_tile;
use crate::losses::prelude::*;
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::target::{Target, Targets};
use crate::templates::rowwise::tiles::{are_short, label_tiles};

options! {
    /// Categorical hinge of scores, as in Keras: the largest of the other scores and 0 should be 1
    /// below the label's score.
    ///
    /// max(1 + max_c (1 − t_c)x_c − Σ t_c x_c, 0), t the target, one-hot for a label. The label's
    /// own cell enters the maximum as 0: if all other scores are negative, the label should
    /// reach 1. Derivative where the loss is above 0: (1 − t_c) at the maximum (split evenly
    /// between ties) and −t_c everywhere. Predictions are scores [rows, classes], targets labels
    /// `[rows]` or dense [rows, classes]. `mean` divides by the number of rows. A score of −∞ is a
    /// masked class unless it is a target.
    ///
    /// Keras `CategoricalHinge`; without the 0 in the maximum it is
    /// [`crate::losses::MulticlassHinge`].
    ///
    /// ```
    /// use gradus::{Device, losses::{CategoricalHinge, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = CategoricalHinge::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[0.75, 0.5, -2.0]], &array![0_i64])?;
    /// assert_eq!(step.value(), 0.75);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.0, 1.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct CategoricalHinge of "categorical_hinge" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "categorical_hinge",
    summary: "a margin between the label and the best other class, or 0",
    formula: "max(1 + max_c (1 − t_c)x_c − Σ t_c x_c, 0)",
    options: CategoricalHinge::OPTIONS,
    torch: "",
    keras: "CategoricalHinge",
    optax: "",
    source: "F. Chollet et al., Keras, 2015",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/categorical_hinge.wgsl"),
    make: make::<CategoricalHinge>,
};

impl LossDefinition for CategoricalHinge {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Class, ..Spec::rowwise(self) }
    }
}

impl Rowwise for CategoricalHinge {
    type Target<'a, R: Real> = Target<'a, R>;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        match row.target {
            Target::Label(label) => cells(row.logits, scale, gradient, |column| {
                R::select(column == label, R::ONE, R::ZERO)
            }),
            Target::Dense(dense) => cells(row.logits, scale, gradient, |column| dense[column]),
        }
    }
    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        let Targets::Labels(labels) = rows.targets else { return false };
        if !are_short(rows) {
            return false;
        }
        label_tiles(
            rows,
            labels,
            first,
            gradient,
            values,
            // The label's own score counts as 0 among the others.
            #[inline(always)]
            |tile| short_tile(tile, 0.0),
            |index, gradient, value| by_itself(self, rows, index, gradient, value),
        );
        true
    }
}

#[inline(always)]
fn cells<R: Real>(scores: &[R], scale: R, gradient: &mut [R], truth: impl Fn(usize) -> R) -> R {
    // 0·∞ is 0: a class of weight 0 contributes nothing.
    let times = |share: R, x: R| R::select(share == R::ZERO, R::ZERO, share * x);
    for ((column, cell), &x) in gradient.iter_mut().enumerate().zip(scores) {
        *cell = times(R::ONE - truth(column), x);
    }
    let best = simd::maximum(gradient);
    let own = R::new(simd::sum_of(scores.len(), |column| times(truth(column), scores[column])));
    // Without other classes, any finite number below all scores replaces the maximum.
    let excess = R::ONE + (R::select(best == R::NEG_INFINITY, R::new(-1e38), best) - own);
    if excess > R::ZERO {
        let ties = R::new(simd::sum_of(scores.len(), |column| {
            R::select(gradient[column] == best, R::ONE, R::ZERO)
        }));
        for (column, cell) in gradient.iter_mut().enumerate() {
            let t = truth(column);
            let is_best = (*cell == best) & (best != R::NEG_INFINITY);
            *cell = scale * (R::select(is_best, (R::ONE - t) / ties, R::ZERO) - t);
        }
        return excess;
    }
    gradient.fill(R::ZERO);
    R::ZERO
}

//! Multi-class hinge loss of Crammer and Singer.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::tiles::{TILE, Tile, TileFound, are_short, label_tiles};

options! {
    /// Multi-class hinge of scores against class labels: the best of the other classes should be 1
    /// below the label.
    ///
    /// w_y max(1 + max_{c≠y} x_c − x_y, 0), w the input `class_weight`. Where it is above 0 the
    /// derivative is w_y at the best other class (split evenly between ties) and −w_y at the label;
    /// it is 0 where the label is exactly 1 above. Predictions are scores [rows, classes], targets
    /// labels `[rows]`. `mean` divides by the number of rows. A score of −∞ is a masked class
    /// unless it is the label: then the loss is ∞.
    ///
    /// optax `multiclass_hinge_loss`.
    /// Source: K. Crammer and Y. Singer, On the algorithmic implementation of multiclass
    /// kernel-based vector machines, 2001.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, MulticlassHinge}};
    /// use ndarray::array;
    ///
    /// let criterion = MulticlassHinge::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 0.5, -2.0]], &array![0_i64])?;
    /// assert_eq!(step.value(), 0.5);
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-1.0, 1.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct MulticlassHinge of "multiclass_hinge" {}
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "multiclass_hinge",
    summary: "a margin between the label and the best other class",
    formula: "w_y max(1 + max_{c≠y} x_c − x_y, 0)",
    options: MulticlassHinge::OPTIONS,
    torch: "",
    keras: "",
    optax: "multiclass_hinge_loss",
    source: "K. Crammer and Y. Singer, Multiclass kernel-based vector machines, 2001",
    variants: &[],
    shader: crate::runtime::wgsl::shader!("losses/multiclass_hinge.wgsl"),
    make: make::<MulticlassHinge>,
};

impl LossDefinition for MulticlassHinge {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Label, inputs: &[CLASS_WEIGHT], ..Spec::rowwise(self) }
    }
}

impl Rowwise for MulticlassHinge {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        let label = row.target;
        let gradient = &mut gradient[..row.logits.len()];
        gradient.copy_from_slice(row.logits);
        gradient[label] = R::NEG_INFINITY;
        let best = simd::maximum(gradient);
        // If every class but the label is masked there is no maximum: any finite number below all
        // scores replaces it.
        let excess =
            R::ONE + (R::select(best == R::NEG_INFINITY, R::new(-1e38), best) - row.logits[label]);
        let weight = row.class_weight(label);
        if excess > R::ZERO && weight != R::ZERO {
            let ties = R::new(simd::sum_of(gradient.len(), |c| {
                R::select(gradient[c] == best, R::ONE, R::ZERO)
            }));
            let share = scale * weight / ties;
            for cell in gradient.iter_mut() {
                *cell = R::select((*cell == best) & (best != R::NEG_INFINITY), share, R::ZERO);
            }
            gradient[label] = -scale * weight;
            return weight * excess;
        }
        gradient.fill(R::ZERO);
        R::ZERO
    }
    #[inline(always)]
    fn plain_rows(
        &self,
        rows: &Rows<'_, f32, &[i32]>,
        first: usize,
        gradient: &mut [f32],
        values: &mut [f32],
    ) -> bool {
        if !are_short(rows) {
            return false;
        }
        label_tiles(
            rows,
            rows.targets,
            first,
            gradient,
            values,
            #[inline(always)]
            |tile| short_tile(tile, f32::NEG_INFINITY),
            |index, gradient, value| by_itself(self, rows, index, gradient, value),
        );
        true
    }
}

/// Many short rows at once. The best score is at least `least`, a further score with the derivative
/// of none.
#[inline(always)]
pub(super) fn short_tile(mut tile: Tile<'_>, least: f32) -> TileFound {
    let taint = tile.taint();
    let own = tile.take_labels();
    let best = tile.maxima().map(|best| Real::max(best, least));
    let mut ties = best.map(|best| f32::select(best == least, 1.0, 0.0));
    for column in tile.cells.iter() {
        for ((ties, best), x) in ties.iter_mut().zip(&best).zip(column) {
            *ties += f32::select(x == best, 1.0, 0.0);
        }
    }
    let (mut value, mut label, mut share) = ([0.0; TILE], [0.0; TILE], [0.0; TILE]);
    for lane in 0..TILE {
        let excess = 1.0 + (best[lane] - own[lane]);
        let scale = f32::select(excess > 0.0, tile.scales[lane], 0.0);
        value[lane] = Real::max(excess, 0.0) + taint[lane];
        share[lane] = scale / ties[lane];
        label[lane] = -scale;
    }
    for column in tile.cells.iter_mut() {
        for (lane, x) in column.iter_mut().enumerate() {
            *x = f32::select(*x == best[lane], share[lane], 0.0);
        }
    }
    TileFound { value, label }
}

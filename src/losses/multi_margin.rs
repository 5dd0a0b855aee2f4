//! Multi-class margin loss.

use crate::cpu::simd;
use crate::losses::prelude::*;
use crate::templates::rowwise::cpu::by_itself;
use crate::templates::rowwise::rows::{Auxiliary, Row, Rows};
use crate::templates::rowwise::tiles::{TILE, Tile, TileFound, are_short, label_tiles};

options! {
    /// Multi-class margin of scores against class labels: every other class should be `margin`
    /// below the label.
    ///
    /// (w_y/C) Σ_{c≠y} max(z_c, 0)^p, z_c = margin − x_y + x_c, C the classes, w the input
    /// `class_weight`. Derivative (w_y/C) p z_c^(p−1) where z_c > 0, minus the sum of these at the
    /// label; 0 at z_c = 0, as in PyTorch. Predictions are scores [rows, classes], targets labels
    /// `[rows]`. `mean` divides by the number of rows, with class weights too, as PyTorch. A score
    /// of −∞ is a masked class unless it is the label: then the loss is ∞.
    ///
    /// PyTorch `MultiMarginLoss`. Source: J. Weston and C. Watkins, Multi-class support vector
    /// machines, 1998.
    ///
    /// ```
    /// use gradus::{Device, losses::{Loss, MultiMargin}};
    /// use ndarray::array;
    ///
    /// let criterion = MultiMargin::new().on(&Device::reference())?;
    /// let step = criterion.value_and_gradient(&array![[1.0, 0.5, -2.0, 0.0]], &array![0_i64])?;
    /// assert_eq!(step.value(), 0.125); // (1 − 1 + ½)/4; the last class lies on the margin
    /// assert_eq!(step.gradient.as_slice().unwrap(), [-0.25, 0.25, 0.0, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub struct MultiMargin of "multi_margin" {
        /// Exponent of each margin violation.
        p: u32 = 1_u32, "1 or 2" if |p| p == 1 || p == 2;
        /// Margin between the label and the other classes.
        margin: f64 = 1.0, "a finite number" if |margin| margin.is_finite();
    }
}

pub(super) static ENTRY: Entry<dyn LossDefinition> = Entry {
    name: "multi_margin",
    summary: "a margin between the label and every other class",
    formula: "(w_y/C) Σ_{c≠y} max(margin − x_y + x_c, 0)^p",
    options: MultiMargin::OPTIONS,
    torch: "MultiMarginLoss",
    keras: "",
    optax: "",
    source: "J. Weston and C. Watkins, Multi-class support vector machines, 1998",
    variants: &[r#"{"p": 2, "margin": 0.5}"#, r#"{"margin": -0.25}"#],
    shader: crate::runtime::wgsl::shader!("losses/multi_margin.wgsl"),
    make: make::<MultiMargin>,
};

impl LossDefinition for MultiMargin {
    catalogued!(entry, options, check);

    fn spec(&self) -> Spec<'_> {
        Spec { targets: Domain::Label, inputs: &[CLASS_WEIGHT], ..Spec::rowwise(self) }
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        vec![("P", f64::from(self.p)), ("MARGIN", self.margin)]
    }
}

impl Rowwise for MultiMargin {
    type Target<'a, R: Real> = usize;

    #[inline(always)]
    fn row<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        _: Option<&mut Auxiliary<R>>,
    ) -> R {
        match self.p {
            2 => self.powers(row, scale, gradient, |z| (z * z, R::new(2.0) * z)),
            _ => {
                self.powers(row, scale, gradient, |z| (z, R::select(z > R::ZERO, R::ONE, R::ZERO)))
            }
        }
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
        let (labels, margin) = (rows.targets, self.margin as f32);
        let otherwise = |index: usize, gradient: &mut [f32], value: &mut f32| {
            by_itself(self, rows, index, gradient, value);
        };
        match self.p {
            2 => label_tiles(
                rows,
                labels,
                first,
                gradient,
                values,
                #[inline(always)]
                |tile| short_tile(tile, margin, |z| (z * z, 2.0 * z)),
                otherwise,
            ),
            _ => label_tiles(
                rows,
                labels,
                first,
                gradient,
                values,
                #[inline(always)]
                |tile| short_tile(tile, margin, |z| (z, f32::select(z > 0.0, 1.0, 0.0))),
                otherwise,
            ),
        }
        true
    }
}

impl MultiMargin {
    /// `power` returns z^p and its derivative for z ≥ 0. It is a compile-time constant so that the
    /// loop is vectorised.
    #[inline(always)]
    fn powers<R: Real>(
        &self,
        row: &Row<'_, R, usize>,
        scale: R,
        gradient: &mut [R],
        power: impl Fn(R) -> (R, R),
    ) -> R {
        let label = row.target;
        let weight = row.class_weight(label) / R::new(row.logits.len() as f64);
        let (factor, margin, own) = (scale * weight, R::new(self.margin), row.logits[label]);
        let gradient = &mut gradient[..row.logits.len()];
        let total = R::new(simd::sum_blocks(
            row.logits.len(),
            #[inline(always)]
            |range, values: &mut [R]| {
                let outputs = values.iter_mut().zip(&mut gradient[range.clone()]);
                for ((column, &x), (value, derivative)) in
                    range.clone().zip(&row.logits[range]).zip(outputs)
                {
                    let z = margin + (x - own);
                    let counts = (z > R::ZERO) & (x != R::NEG_INFINITY) & (column != label);
                    (*value, *derivative) = power(R::select(counts, z, R::ZERO));
                }
            },
        ));
        let derivatives = R::new(simd::sum(gradient));
        for derivative in gradient.iter_mut() {
            *derivative = R::select(factor == R::ZERO, R::ZERO, factor * *derivative);
        }
        gradient[label] = R::select(factor == R::ZERO, R::ZERO, -factor * derivatives);
        R::select(weight == R::ZERO, R::ZERO, weight * total)
    }
}

/// Many short rows at once; `power` as in [`MultiMargin::powers`].
#[inline(always)]
fn short_tile(mut tile: Tile<'_>, margin: f32, power: impl Fn(f32) -> (f32, f32)) -> TileFound {
    let taint = tile.taint();
    let own = tile.take_labels();
    let share = 1.0 / tile.cells.len() as f32;
    let factors = tile.scales.map(|scale| scale * share);
    let (mut totals, mut derivatives) = ([0.0_f64; TILE], [0.0_f64; TILE]);
    for column in tile.cells.iter_mut() {
        for (lane, x) in column.iter_mut().enumerate() {
            let (value, derivative) = power(Real::max(margin + (*x - own[lane]), 0.0));
            totals[lane] += f64::from(value);
            derivatives[lane] += f64::from(derivative);
            *x = factors[lane] * derivative;
        }
    }
    let (mut value, mut label) = ([0.0; TILE], [0.0; TILE]);
    for lane in 0..TILE {
        value[lane] = totals[lane] as f32 * share + taint[lane];
        label[lane] = -factors[lane] * derivatives[lane] as f32;
    }
    TileFound { value, label }
}

//! Losses of boxes on the CPU: CPU implementation of `shaders/templates/boxes/boxes.wgsl`.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::boxes::{ARGUMENTS, BoxLoss, BoxPair};
use crate::templates::multi_input::cpu::{Example, MultiInput, Shapes, Units, missing};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;

/// Numbers of a box.
const CORNERS: usize = 4;

/// Number of boxes that one thread processes at a time.
const PIECE: usize = 1 << 12;

/// Kernel template around a loss.
pub struct BoxesTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
}

/// Value and gradient of one box. Of a NaN or an infinite corner both are NaN.
#[inline(always)]
fn outcome<R: Real, L: BoxLoss>(loss: &L, found: [R; 4], truth: [R; 4]) -> (R, [R; 4]) {
    if found.iter().chain(&truth).any(|x| !x.is_finite()) {
        return (R::NAN, [R::NAN; 4]);
    }
    let around = |k: usize| {
        let low = found[k].min(found[k + 2]).min(truth[k].min(truth[k + 2]));
        found[k].max(found[k + 2]).max(truth[k].max(truth[k + 2])) - low
    };
    let extent = around(0).max(around(1));
    let scale = R::select(extent > R::new(1e15), extent.scale_to_one(), R::ONE);
    let low = [0, 1].map(|k| scale * found[k].min(found[k + 2]));
    let high = [0, 1].map(|k| scale * found[k].max(found[k + 2]));
    let true_low = [0, 1].map(|k| scale * truth[k].min(truth[k + 2]));
    let true_high = [0, 1].map(|k| scale * truth[k].max(truth[k + 2]));
    let size = [0, 1].map(|k| high[k] - low[k]);
    let true_size = [0, 1].map(|k| true_high[k] - true_low[k]);
    let sides = [0, 1].map(|k| (high[k].min(true_high[k]) - low[k].max(true_low[k])).max(R::ZERO));
    let overlap = sides[0] * sides[1];
    let half = R::new(0.5);
    let pair = BoxPair {
        overlap,
        joined: size[0] * size[1] + true_size[0] * true_size[1] - overlap,
        hull: [0, 1].map(|k| high[k].max(true_high[k]) - low[k].min(true_low[k])),
        apart: [0, 1].map(|k| half * ((low[k] - true_low[k]) + (high[k] - true_high[k]))),
        size,
        true_size,
        epsilon: (R::new(loss.epsilon()) * scale * scale).max(R::new(1e-30)),
    };
    let terms = loss.terms(&pair);
    let mut gradient = [R::ZERO; 4];
    for k in 0..2 {
        // The area of the predicted box is in the union alone, that of the intersection in both.
        let d_size = terms.size[k] + terms.joined * size[1 - k];
        let through = (terms.overlap - terms.joined) * sides[1 - k];
        let d_side = R::select(overlap > R::ZERO, through, R::ZERO);
        let above = share_of_min(true_high[k], high[k]);
        let below = share_of_min(low[k], true_low[k]);
        let centre = half * terms.apart[k];
        let d_high = centre + d_size + d_side * (R::ONE - above) + terms.hull[k] * above;
        let d_low = centre - d_size - d_side * (R::ONE - below) - terms.hull[k] * below;
        let is_reversed = found[k] > found[k + 2];
        gradient[k] = scale * R::select(is_reversed, d_high, d_low);
        gradient[k + 2] = scale * R::select(is_reversed, d_low, d_high);
    }
    (terms.value, gradient)
}

/// The share of the first of two numbers in their minimum.
#[inline(always)]
fn share_of_min<R: Real>(a: R, b: R) -> R {
    R::select(a < b, R::ONE, R::select(a == b, R::new(0.5), R::ZERO))
}

impl<L: BoxLoss> MultiInputTemplate for BoxesTemplate<'_, L> {
    fn derives_its_value(&self) -> bool {
        self.loss.derives_its_value()
    }

    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let (first, words) = (ARGUMENTS[0].name, "[rows, 4]: a box in each row");
        shapes.require_axes(first, 2, words)?;
        let shape = shapes.of(first)?.to_vec();
        if shape[1] != CORNERS {
            return Err(shapes.unfit(first, &shape, words));
        }
        shapes.require(ARGUMENTS[1].name, &shape, first)?;
        Ok(Units { shape: shape[..1].to_vec(), rows: shape[0] })
    }

    fn example(&self, rows: usize, _columns: usize) -> Vec<Example> {
        ARGUMENTS.iter().map(|argument| Example::of(argument.name, &[rows, CORNERS])).collect()
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let [found, truths] =
            [call.required(ARGUMENTS[0].name)?, call.required(ARGUMENTS[1].name)?];
        let [gradient] = gradients else { return Err(missing("a gradient")) };
        let (found, _) = found.values.as_chunks::<CORNERS>();
        let (truths, _) = truths.values.as_chunks::<CORNERS>();
        let (gradient, _) = gradient.as_chunks_mut::<CORNERS>();
        let pieces = values.par_chunks_mut(PIECE).zip(gradient.par_chunks_mut(PIECE));
        pieces.enumerate().for_each(|(piece, (values, gradient))| {
            for (k, (value, slots)) in values.iter_mut().zip(gradient).enumerate() {
                let row = piece * PIECE + k;
                (*value, *slots) = (R::ZERO, [R::ZERO; CORNERS]);
                if let Some(weight) = call.weight_of(row) {
                    let (own, derivatives) = outcome(self.loss, found[row], truths[row]);
                    let factor = weight * call.upstream_of(row);
                    *value = weight * own;
                    *slots = derivatives.map(|derivative| factor * derivative);
                }
            }
        });
        Ok(())
    }
}

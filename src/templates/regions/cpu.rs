//! Regions on the CPU. CPU implementation of `shaders/templates/regions/*.wgsl`.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::multi_input::cpu::{Example, MultiInput, Shapes, Units, missing};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::regions::Regions;

/// Kernel template around a loss.
pub struct RegionsTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
}

/// Sums over a region, in f64 for both precisions: there may be millions of places.
struct Sums {
    found: f64,
    apart: f64,
    total: f64,
}

impl Sums {
    fn of<R: Real>(predictions: &[R], targets: &[R]) -> Self {
        let mut sums = Sums { found: 0.0, apart: 0.0, total: 0.0 };
        for (p, t) in predictions.iter().zip(targets) {
            let (p, t) = (p.to_f64(), t.to_f64());
            sums.found += p * t;
            sums.apart += p * (1.0 - t) + t * (1.0 - p);
            sums.total += t;
        }
        sums
    }
}

impl<L: Regions> MultiInputTemplate for RegionsTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        shapes.require_axes("predictions", 3, "[batch, classes, places]")?;
        let shape = shapes.of("predictions")?.to_vec();
        shapes.require("targets", &shape, "predictions")?;
        Ok(Units { shape: shape[..1].to_vec(), rows: shape[0] })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        let shape = [rows.div_ceil(3), 3, columns];
        ["predictions", "targets"].map(|name| Example::of(name, &shape)).into()
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let (predictions, targets) = (call.required("predictions")?, call.required("targets")?);
        let places = predictions.shape[2];
        let width = predictions.shape[1] * places;
        let gradient = gradients.first_mut().ok_or_else(|| missing("a gradient"))?;
        let items = gradient.par_chunks_mut(width).zip(values.par_iter_mut());
        items.enumerate().for_each(|(item, (gradient, value))| {
            let Some(weight) = call.weight_of(item) else {
                gradient.fill(R::ZERO);
                *value = R::ZERO;
                return;
            };
            let own = item * width..(item + 1) * width;
            let (p, t) = (&predictions.values[own.clone()], &targets.values[own]);
            let regions: Vec<Sums> = p
                .chunks_exact(places)
                .zip(t.chunks_exact(places))
                .map(|(p, t)| Sums::of(p, t))
                .collect();
            let own_weight =
                |sums: &Sums| if sums.total > 0.0 { self.loss.weight(sums.total) } else { 0.0 };
            let largest = regions.iter().map(own_weight).fold(0.0, f64::max);
            let weights: Vec<f64> = regions
                .iter()
                .map(|sums| if sums.total > 0.0 { own_weight(sums) } else { largest })
                .collect();
            let sum = |of: &dyn Fn(&Sums) -> f64| -> f64 {
                regions.iter().zip(&weights).map(|(sums, w)| w * of(sums)).sum()
            };
            let (found, apart) = (sum(&|sums| sums.found), sum(&|sums| sums.apart));
            // A comparison in the loss function would hide it.
            let [loss, near, far] =
                if apart.is_nan() { [f64::NAN; 3] } else { self.loss.finish(found, apart) };
            *value = weight * R::new(loss);
            let scale = weight * call.upstream_of(item);
            let rows = gradient.chunks_exact_mut(places).zip(t.chunks_exact(places));
            for ((gradient, t), w) in rows.zip(weights) {
                let [near, far] = [near, far].map(|derivative| scale * R::new(w * derivative));
                for (slot, &t) in gradient.iter_mut().zip(t) {
                    *slot = (R::ONE - t) * near + t * far;
                }
            }
        });
        Ok(())
    }
}

//! Proxies on the CPU. CPU implementation of `shaders/templates/proxies/proxies.wgsl`.

use rayon::prelude::*;

use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::real::Real;
use crate::templates::multi_input::cpu::{
    DivisorTerms, Example, MultiInput, Shapes, Units, clear_rows, missing,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::proxies::Proxies;
use crate::templates::similarity::cpu::{LOWEST, Side};
use crate::{Error, Result};

/// Kernel template around a loss.
pub struct ProxiesTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's name, for messages.
    pub name: &'static str,
}

/// Rows of a call.
struct Setting<'a, L> {
    loss: &'a L,
    labels: &'a [i32],
    /// The number of proxies over that of proxies with an embedding.
    share: f64,
}

impl<L: Proxies> Setting<'_, L> {
    fn is_positive(&self, row: usize, column: usize) -> bool {
        let (embedding, proxy) = if self.loss.by_proxy() { (column, row) } else { (row, column) };
        usize::try_from(self.labels[embedding]) == Ok(proxy)
    }

    /// Replaces the scores of a row by `scale` times the derivatives by them; returns its value. In
    /// f64: the exponents are differences of scores times a scale.
    fn row<R: Real>(&self, row: usize, scale: R, scores: &mut [R]) -> f64 {
        if scores.iter().any(|score| !score.is_finite()) {
            scores.fill(R::NAN);
            return f64::NAN;
        }
        let terms: Vec<(usize, [f64; 2])> = scores
            .iter()
            .enumerate()
            .map(|(column, score)| {
                let is_positive = self.is_positive(row, column);
                let pool = usize::from(!is_positive);
                (pool, self.loss.exponent(score.to_f64(), is_positive))
            })
            .collect();
        let mut peaks = [LOWEST; 2];
        terms.iter().for_each(|&(pool, [x, _])| peaks[pool] = peaks[pool].max(x));
        let mut sums = [0.0; 2];
        terms.iter().for_each(|&(pool, [x, _])| sums[pool] += (x - peaks[pool]).exp());
        let lse = [0, 1].map(|k| if sums[k] > 0.0 { peaks[k] + sums[k].ln() } else { LOWEST });
        let (value, derivatives) = self.loss.finish(lse, self.share);
        for (slot, (pool, [x, derivative])) in scores.iter_mut().zip(terms) {
            let part = derivatives[pool] / sums[pool] * (x - peaks[pool]).exp();
            *slot = scale * R::new(part * derivative);
        }
        value
    }
}

impl<L: Proxies> MultiInputTemplate for ProxiesTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        shapes.require_axes("predictions", 2, "[rows, columns]: an embedding in each row")?;
        shapes.require_axes("proxies", 2, "[classes, columns]: a proxy in each row")?;
        let (rows, columns) = (shapes.of("predictions")?[0], shapes.of("predictions")?[1]);
        let classes = shapes.of("proxies")?[0];
        shapes.require("proxies", &[classes, columns], "predictions")?;
        shapes.require("targets", &[rows], "predictions")?;
        let count = if self.loss.by_proxy() { classes } else { rows };
        Ok(Units { shape: vec![count], rows: count })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        // Normalized embeddings of one column are ±1: their derivative is a difference that cancels.
        let (classes, columns) = (rows / 2 + 2, columns.max(3));
        vec![
            Example::of("predictions", &[rows, columns]),
            Example::of("proxies", &[classes, columns]),
            Example::whole("targets", &[rows], 0, classes),
        ]
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        let classes = call.required("proxies")?.shape[0];
        let labels = call.required_integers("targets")?;
        let is_class = |label: i32| usize::try_from(label).is_ok_and(|label| label < classes);
        let counts = |row: usize| self.loss.by_proxy() || call.weight_of(row).is_some();
        let wrong = |row: &usize| counts(*row) && !is_class(labels[*row]);
        if let Some(row) = (0..labels.len()).find(wrong) {
            return Err(Error::Label {
                operation: self.name.into(),
                row,
                label: labels[row].into(),
                classes,
                ignored: String::new(),
            });
        }
        Ok(DivisorTerms::default())
    }

    fn clear(&self, call: &mut MultiInput<'_, f32>) -> Result<()> {
        let mask = call.mask.clone();
        let name = if self.loss.by_proxy() { "proxies" } else { "predictions" };
        clear_rows(call, name, |row| mask.get(row).copied().unwrap_or(true))
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let (embeddings, proxies) = (call.required("predictions")?, call.required("proxies")?);
        let labels = call.required_integers("targets")?;
        let (classes, columns) = (proxies.shape[0], proxies.shape[1]);
        let [of_embeddings, of_proxies] = gradients else { return Err(missing("a gradient")) };
        let present: std::collections::HashSet<i32> = labels.iter().copied().collect();
        let share = classes as f64 / present.len().max(1) as f64;
        let setting = Setting { loss: self.loss, labels, share };
        let left = Side::new(&embeddings.values, columns, true);
        let right = Side::new(&proxies.values, columns, true);
        let by_proxy = self.loss.by_proxy();
        let (own, other) = if by_proxy { (&right, &left) } else { (&left, &right) };
        let (m, n) = (values.len(), other.units.len() / columns);
        let mut scores = vec![R::ZERO; m * n];
        matmul(Layout::NT, m, n, columns, &own.units, &other.units, &mut scores, false)?;
        let rows = scores.par_chunks_mut(n).zip(values.par_iter_mut());
        rows.enumerate().for_each(|(row, (scores, value))| {
            let Some(weight) = call.weight_of(row) else {
                scores.fill(R::ZERO);
                *value = R::ZERO;
                return;
            };
            let scale = weight * call.upstream_of(row);
            *value = weight * R::new(setting.row(row, scale, scores));
        });
        let (of_own, of_other) =
            if by_proxy { (of_proxies, of_embeddings) } else { (of_embeddings, of_proxies) };
        matmul(Layout::NN, m, columns, n, &scores, &other.units, of_own, false)?;
        matmul(Layout::TN, n, columns, m, &scores, &own.units, of_other, false)?;
        own.backward(of_own, columns);
        other.backward(of_other, columns);
        Ok(())
    }
}

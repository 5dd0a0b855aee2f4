//! A batch's targets and weights, and its loss.

use crate::Result;
use crate::cpu::Broadcast;
use crate::cpu::real::Real;
use crate::losses::{OneInput, takes_class_prior};
use crate::nn::train::engine::{Batch, Lists, Metric, Outcome, TrainingSpec};
use crate::templates::pointwise::Points;
use crate::templates::precision::CpuReal;
use crate::templates::rowwise::rows::{Rows, is_ignored};
use crate::templates::rowwise::target::Targets;

/// Resizes a buffer; new numbers are 0.
pub(crate) fn resize<R: Real>(values: &mut Vec<R>, length: usize) {
    values.resize(length, R::ZERO);
}

/// Targets and weights of a batch, reused between steps to avoid allocation.
#[derive(Debug, Default)]
pub(crate) struct HostBatch<R> {
    pub ids: Vec<i32>,
    pub labels: Vec<i32>,
    pub dense: Vec<R>,
    /// Row weights; empty if all are 1.
    pub weights: Vec<R>,
    values: Vec<R>,
    padded: Padded<R>,
}

/// Lists of a batch, padded to the longest.
#[derive(Debug, Default)]
struct Padded<R> {
    scores: Vec<R>,
    truths: Vec<R>,
    gradient: Vec<R>,
}

/// Predicted rows of a batch, and where their gradient is written.
pub(crate) struct LossRows<'a, R> {
    /// 1 ÷ the divisor of the mean.
    pub factor: f64,
    /// The batch's row that is the first of `predictions`.
    pub first: usize,
    pub has_labels: bool,
    pub columns: usize,
    /// Weight of the positive side of each column; empty if all are 1.
    pub positive: &'a [R],
    pub predictions: &'a [R],
    pub gradient: &'a mut [R],
}

impl<R: CpuReal> HostBatch<R> {
    /// 1 ÷ the divisor of the mean over the batch, which has so many rows and columns of targets.
    pub fn factor(
        &self,
        training_spec: &TrainingSpec,
        batch: &Batch,
        has_ignored: bool,
        [rows, columns]: [usize; 2],
    ) -> f64 {
        if !has_ignored || batch.divisor_rows.is_some() {
            return training_spec.factor(batch.divisor_rows.unwrap_or(rows), columns);
        }
        let ignored = training_spec.loss.ignored();
        let kept = self.labels.iter().filter(|&&label| !is_ignored(ignored, label)).count();
        if kept == 0 { 0.0 } else { 1.0 / kept as f64 }
    }

    /// The loss of predicted rows; writes their gradient.
    pub fn loss_of_rows(
        &mut self,
        training_spec: &TrainingSpec,
        rows: LossRows<'_, R>,
    ) -> Result<Outcome> {
        let LossRows { factor, first, has_labels, columns, positive, predictions, gradient } = rows;
        let (count, ignored) = (predictions.len() / columns, training_spec.loss.ignored());
        let labels = if has_labels { &self.labels[first..][..count] } else { &[] };
        let dense =
            if has_labels { &[] } else { &self.dense[first * columns..][..count * columns] };
        let weight = if self.weights.is_empty() { &[] } else { &self.weights[first..][..count] };
        // Left out, not multiplied by 0: infinity times 0 is NaN.
        let kept: Vec<bool> = match weight.contains(&R::ZERO) {
            true => weight.iter().map(|&weight| weight != R::ZERO).collect(),
            false => Vec::new(),
        };
        let loss = match training_spec.loss.one_input()? {
            OneInput::Pointwise(cpu) => {
                let points = Points {
                    predictions,
                    targets: dense,
                    weight: if weight.is_empty() {
                        Broadcast::None
                    } else {
                        Broadcast::Row(weight)
                    },
                    mask: if kept.is_empty() { Broadcast::None } else { Broadcast::Row(&kept) },
                    column_weight: positive,
                    row_length: columns,
                    factor: R::new(factor),
                    upstream: R::ONE,
                    upstreams: &[],
                };
                R::pointwise(cpu, &points, gradient, &mut [])
            }
            OneInput::Rowwise(cpu) | OneInput::Listwise(cpu) => {
                let targets =
                    if has_labels { Targets::Labels(labels) } else { Targets::Dense(dense) };
                let (class_weight, pos_weight) = match takes_class_prior(&*training_spec.loss) {
                    true => (positive, &[][..]),
                    false => (&[][..], positive),
                };
                let rows = Rows {
                    logits: predictions,
                    columns,
                    targets,
                    ignored,
                    class_weight,
                    pos_weight,
                    class_mask: &[],
                    item_weight: &[],
                    weight,
                    mask: &kept,
                    factor: R::new(factor),
                    upstream: R::ONE,
                    upstreams: &[],
                };
                resize(&mut self.values, count);
                R::rowwise(cpu, &rows, gradient, &mut self.values, &mut [])?;
                self.values.iter().map(|value| value.to_f64()).sum()
            }
        };
        let correct = training_spec
            .metric
            .map_or(0, |metric| correct(metric, predictions, columns, labels, dense, ignored));
        Ok(Outcome { loss, correct: correct as f64 })
    }

    /// The loss of lists from their items' scores, and its gradient for each score.
    pub fn loss_of_lists(
        &mut self,
        training_spec: &TrainingSpec,
        batch: &Batch,
        lists: &Lists,
        scores: &[R],
        grad_scores: &mut [R],
    ) -> Result<Outcome> {
        let sizes: Vec<usize> = lists.of(batch).map(|list| lists.items(list).len()).collect();
        let columns = sizes.iter().copied().max().unwrap_or(0);
        let units = batch
            .divisor_rows
            .unwrap_or_else(|| lists.of(batch).map(|list| lists.units[list]).sum());
        let factor = if units == 0 { 0.0 } else { training_spec.factor(units, columns) };
        let Padded { scores: padded, truths, gradient } = &mut self.padded;
        for values in [&mut *padded, &mut *truths, &mut *gradient] {
            values.clear();
        }
        let mut first = 0;
        for (list, size) in sizes.iter().enumerate() {
            padded.extend_from_slice(&scores[first..first + size]);
            truths.extend_from_slice(&self.dense[first..first + size]);
            first += size;
            padded.resize((list + 1) * columns, R::ZERO);
            truths.resize((list + 1) * columns, -R::ONE);
        }
        resize(gradient, padded.len());
        resize(&mut self.values, sizes.len());
        let rows = Rows {
            logits: padded,
            columns,
            targets: Targets::Dense(truths),
            ignored: &[],
            class_weight: &[],
            pos_weight: &[],
            class_mask: &[],
            item_weight: &[],
            weight: &[],
            mask: &[],
            factor: R::new(factor),
            upstream: R::ONE,
            upstreams: &[],
        };
        R::rowwise(training_spec.loss.rowwise()?, &rows, gradient, &mut self.values, &mut [])?;
        let mut first = 0;
        for (padded, &size) in gradient.chunks_exact(columns.max(1)).zip(&sizes) {
            grad_scores[first..first + size].copy_from_slice(&padded[..size]);
            first += size;
        }
        Ok(Outcome { loss: self.values.iter().map(|value| value.to_f64()).sum(), correct: 0.0 })
    }
}

/// Number of rows predicted right: the argmax of several columns, the first of equals.
fn correct<R: Real>(
    metric: Metric,
    predictions: &[R],
    columns: usize,
    labels: &[i32],
    dense: &[R],
    ignored: &[i64],
) -> usize {
    let largest =
        |row: &[R]| (1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
    let is_right = |(index, row): (usize, &[R])| match labels.get(index) {
        None if columns == 1 => {
            let truth = dense[index] > R::from_f32(metric.truth_threshold);
            (row[0] > R::from_f32(metric.threshold)) == truth
        }
        Some(&label) if is_ignored(ignored, label) => false,
        Some(&label) => largest(row) == label as usize,
        None => largest(row) == largest(&dense[index * columns..][..columns]),
    };
    predictions.chunks_exact(columns).enumerate().filter(|&row| is_right(row)).count()
}

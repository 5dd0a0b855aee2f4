//! Similarity losses on the CPU: embeddings compared with each other, one row of scores at a time.
//! CPU implementation of `shaders/templates/similarity/similarity.wgsl`.
//!
//! At most 16 MiB (f32) of the rows × rows scores are stored at a time. A chunk of rows is computed
//! as a product of embeddings and replaced in place by the derivatives with respect to its scores.
//! Two more products add these to the gradients, chunk after chunk in order.

use rayon::prelude::*;

use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::real::{Real, is_too_large};
use crate::cpu::simd;
use crate::cpu::simd::LANES;
use crate::templates::argument::Argument;
use crate::templates::multi_input::cpu::{
    Array, DivisorTerms, Example, MultiInput, Shapes, Units, clear_rows, missing,
};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;
use crate::templates::similarity::{
    Candidate, Candidates, DivisorRule, Similarity, SimilarityRows, cpu as similarity,
};
use crate::{Error, Result};

/// Maximum number of scores stored at a time: 16 MiB of f32.
pub(crate) const CHUNK: usize = 1 << 22;

/// Minimum divisor of the normalization, as in PyTorch's `normalize`.
const SHORTEST: f64 = 1e-12;

/// The logarithm of an empty sum: finite, so that two of them can be added and subtracted.
pub(crate) const LOWEST: f64 = -1e38;

/// Kernel template around a loss.
pub struct SimilarityTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's name, for messages.
    pub name: &'static str,
    /// The loss's inputs.
    pub arguments: &'static [Argument],
}

/// One of the two matrices of embeddings, or the only one.
pub(crate) struct Side<R> {
    pub units: Vec<R>,
    /// Empty if the embeddings are not normalized.
    lengths: Vec<R>,
}

/// State shared by all rows of a call.
struct Setting<'a, R: Clone> {
    call: &'a MultiInput<'a, R>,
    labels: &'a [i32],
    /// Of the columns.
    candidate_labels: &'a [i32],
    /// True if the column of a row's index is its own.
    has_own: bool,
    /// ½ for each direction of a symmetric loss, otherwise 1.
    share: R,
}

/// Number of rows of the score matrix that are stored at a time.
pub(crate) fn rows_at_a_time(rows: usize, candidates: usize) -> usize {
    let most = (CHUNK / candidates.max(1)).max(1);
    // A multiple of 64 rows keeps the products aligned to vectors.
    if most >= 64 { most / 64 * 64 } else { most }.min(rows)
}

impl<R: Real> Side<R> {
    pub fn new(embeddings: &[R], columns: usize, normalizes: bool) -> Self {
        let mut units = embeddings.to_vec();
        if !normalizes {
            return Side { units, lengths: Vec::new() };
        }
        let lengths = units
            .par_chunks_mut(columns)
            .map(|row| {
                let mut square = dot(row, row);
                let mut scale = R::ONE;
                if is_too_large(square) {
                    scale = row.iter().fold(R::ZERO, |peak, x| peak.max(x.abs())).scale_to_one();
                    row.iter_mut().for_each(|x| *x *= scale);
                    square = dot(row, row);
                }
                let (root, length) = (square.sqrt(), square.sqrt() / scale);
                let divisor = R::select(length < R::new(SHORTEST), R::new(SHORTEST), root);
                row.iter_mut().for_each(|x| *x /= divisor);
                length
            })
            .collect();
        Side { units, lengths }
    }

    /// Replaces the gradient with respect to the normalized embeddings by the gradient with respect
    /// to the embeddings.
    pub fn backward(&self, gradient: &mut [R], columns: usize) {
        if self.lengths.is_empty() {
            return;
        }
        let rows =
            gradient.par_chunks_mut(columns).zip(self.units.par_chunks(columns)).zip(&self.lengths);
        rows.for_each(|((gradient, unit), &length)| {
            // Below the minimum divisor the row was divided by a constant.
            let is_short = length < R::new(SHORTEST);
            let along = R::select(is_short, R::ZERO, dot(unit, gradient));
            let divisor = length.max(R::new(SHORTEST));
            gradient
                .iter_mut()
                .zip(unit)
                .for_each(|(slot, &u)| *slot = (*slot - along * u) / divisor);
        });
    }
}

/// The rows of one side, normalized if the loss normalizes, and the gradient by them.
struct Matrix<'a, R> {
    units: &'a [R],
    gradient: &'a mut [R],
}

/// True for the inputs of a reference set.
pub(super) fn is_of_references(name: &str) -> bool {
    ["references", "reference_labels"].contains(&name)
}

impl<L: SimilarityRows> SimilarityTemplate<'_, L> {
    /// The shapes of a reference set.
    fn check_references(&self, shapes: &Shapes, columns: usize) -> Result<()> {
        let refused = |name: &str, found: &str, allowed: &str| Error::Input {
            operation: self.name.into(),
            name: name.into(),
            found: found.into(),
            allowed: allowed.into(),
        };
        let labels = shapes.get("reference_labels");
        let Some(references) = shapes.get("references") else {
            return match labels {
                Some(_) => Err(refused(
                    "reference_labels",
                    "are given without references",
                    "both are given, or neither",
                )),
                None => Ok(()),
            };
        };
        if references.len() != 2 || references[1] != columns {
            let words = format!("[references, {columns}], as many columns as the rows have");
            return Err(shapes.unfit("references", references, &words));
        }
        match labels {
            None if self.has_labels() => {
                return Err(refused(
                    "reference_labels",
                    "are missing",
                    "one label for each reference",
                ));
            }
            Some(labels) if labels != &references[..1] => {
                let words = format!("{:?}, one for each reference", &references[..1]);
                return Err(shapes.unfit("reference_labels", labels, &words));
            }
            _ => (),
        }
        if self.loss.is_symmetric() {
            let allowed =
                "left out where the loss is symmetric: no row of the batch is their partner";
            return Err(refused("references", "are given", allowed));
        }
        Ok(())
    }

    fn has_labels(&self) -> bool {
        self.arguments.iter().any(|argument| argument.role.is_integers())
    }

    /// Adds value and gradients of all rows of the left side against all of the right side.
    fn direction<R: Real>(
        &self,
        setting: &Setting<'_, R>,
        rows: &mut Matrix<R>,
        candidates: &mut Matrix<R>,
        values: &mut [R],
    ) {
        let (left, right) = (rows.units, candidates.units);
        let (left_gradient, right_gradient) = (&mut *rows.gradient, &mut *candidates.gradient);
        let rows = values.len();
        let columns = left.len() / rows.max(1);
        let others = right.len() / columns.max(1);
        let at_a_time = rows_at_a_time(rows, others);
        let mut scores = vec![R::ZERO; at_a_time * others];
        for (chunk, values) in values.chunks_mut(at_a_time).enumerate() {
            let begin = chunk * at_a_time;
            let (count, range) = (values.len(), begin * columns..(begin + values.len()) * columns);
            let (scores, left) = (&mut scores[..count * others], &left[range.clone()]);
            product(Layout::NT, count, others, columns, left, right, scores, false);
            scores.par_chunks_mut(others).zip(values.par_iter_mut()).enumerate().for_each(
                |(index, (scores, value))| {
                    *value += R::dispatch(
                        #[inline(always)]
                        || take(self.loss, setting, begin + index, scores),
                    );
                },
            );
            let of_rows = &mut left_gradient[range];
            product(Layout::NN, count, columns, others, scores, right, of_rows, true);
            product(Layout::TN, others, columns, count, scores, left, right_gradient, true);
        }
    }
}

fn dot<R: Real>(left: &[R], right: &[R]) -> R {
    R::dispatch(
        #[inline(always)]
        || simd::dot(left, right),
    )
}

#[expect(clippy::too_many_arguments, reason = "those of `matmul`")]
fn product<R: Real>(
    layout: Layout,
    m: usize,
    n: usize,
    k: usize,
    left: &[R],
    right: &[R],
    output: &mut [R],
    adds: bool,
) {
    let outcome = matmul(layout, m, n, k, left, right, output, adds);
    debug_assert!(outcome.is_ok(), "the slices are cut to m, n and k above");
}

/// Replaces the scores of a row by the derivatives with respect to them, and returns the row's
/// value.
#[inline(always)]
fn take<R: Real, L: SimilarityRows>(
    loss: &L,
    setting: &Setting<'_, R>,
    row: usize,
    scores: &mut [R],
) -> R {
    let Some(weight) = setting.call.weight_of(row) else {
        // A masked row has no value of its own, but is still a candidate of the others.
        scores.fill(R::ZERO);
        return R::ZERO;
    };
    // Of an infinite score no share can be taken: NaN, as for one that is NaN.
    if scores.iter().fold(false, |found, score| found | !score.is_finite()) {
        scores.fill(R::NAN);
        return R::NAN;
    }
    let weight = weight * setting.share;
    let derivative = weight * setting.call.upstream_of(row);
    let candidates = Candidates {
        labels: setting.candidate_labels,
        label: setting.labels[row],
        own: if setting.has_own { row } else { usize::MAX },
    };
    weight * loss.row(&candidates, derivative, scores)
}

/// The row of a loss with pooled candidates: each pool is the logarithm of a sum of exponentials.
#[inline(always)]
pub(crate) fn pooled<R: Real, L: Similarity>(
    loss: &L,
    rows: &Candidates<'_>,
    scale: R,
    scores: &mut [R],
) -> R {
    let lowest = R::new(LOWEST);
    let mut peaks = [[lowest; LANES]; 2];
    rows.each(scores, |lane, candidate| {
        let term = loss.term(candidate);
        for (peak, inside) in peaks.iter_mut().zip(term.inside) {
            let exponent = R::select(inside, term.exponent, lowest);
            peak[lane] = R::select(exponent > peak[lane], exponent, peak[lane]);
        }
    });
    let peaks =
        peaks.map(|lanes| lanes.iter().fold(lowest, |peak, &x| if x > peak { x } else { peak }));
    let mut sums = [[R::ZERO; LANES]; 3];
    rows.each(scores, |lane, candidate| {
        let term = loss.term(candidate);
        for pool in 0..2 {
            sums[pool][lane] +=
                R::select(term.inside[pool], (term.exponent - peaks[pool]).exp(), R::ZERO);
        }
        sums[2][lane] += R::select(candidate.is_positive, R::ONE, R::ZERO);
    });
    let [first, second, positives] = sums.map(total);
    let lse_of = |peak: R, sum: R| if sum > R::ZERO { peak + sum.ln() } else { lowest };
    let lse = [lse_of(peaks[0], first), lse_of(peaks[1], second)];
    let mut extras = [[R::ZERO; LANES]; 2];
    rows.each(scores, |lane, candidate| {
        let extra = loss.extra(candidate, lse);
        extras[0][lane] += extra[0];
        extras[1][lane] += extra[1];
    });
    let outcome = loss.finish(lse, extras.map(total), positives);
    // Fractions of the sums themselves. Computed as e^(exponent − lse), they would contain the
    // rounding error of the logarithm.
    let share_of = |pool: R, sum: R| if sum > R::ZERO { pool / sum } else { R::ZERO };
    let shares = [share_of(outcome.pools[0], first), share_of(outcome.pools[1], second)];
    let labels = &rows.labels[..scores.len()];
    for (column, (score, &label)) in scores.iter_mut().zip(labels).enumerate() {
        let candidate = rows.candidate(column, label, *score);
        let term = loss.term(candidate);
        let share = |pool: usize| {
            let grown = shares[pool] * (term.exponent - peaks[pool]).exp() * term.derivative;
            R::select(term.inside[pool], grown, R::ZERO)
        };
        *score = scale * (loss.extra_derivative(candidate, &outcome) + share(0) + share(1));
    }
    outcome.value
}

#[inline(always)]
fn total<R: Real>(lanes: [R; LANES]) -> R {
    let mut halves = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            halves[lane] += halves[lane + width];
        }
        width /= 2;
    }
    halves[0]
}

impl Candidates<'_> {
    /// The relation of a column to the row. The column's label is given: a loop that looks it up is
    /// not vectorised.
    #[inline(always)]
    fn candidate<R: Real>(&self, column: usize, label: i32, score: R) -> Candidate<R> {
        let is_own = column == self.own;
        Candidate { score, is_own, is_positive: !is_own & (label == self.label) }
    }

    /// True if a column is another candidate with the row's label.
    #[inline(always)]
    pub(crate) fn is_positive(&self, column: usize) -> bool {
        (column != self.own) & (self.labels[column] == self.label)
    }

    /// Calls `show` with every candidate and the lane of its sum.
    #[inline(always)]
    fn each<R: Real>(&self, scores: &[R], mut show: impl FnMut(usize, Candidate<R>)) {
        let (chunks, rest) = scores.as_chunks::<LANES>();
        let (labels, last_labels) = self.labels[..scores.len()].as_chunks::<LANES>();
        for (chunk, (scores, labels)) in chunks.iter().zip(labels).enumerate() {
            for lane in 0..LANES {
                show(lane, self.candidate(chunk * LANES + lane, labels[lane], scores[lane]));
            }
        }
        for (lane, (&score, &label)) in rest.iter().zip(last_labels).enumerate() {
            show(lane, self.candidate(chunks.len() * LANES + lane, label, score));
        }
    }
}

impl<L: SimilarityRows> MultiInputTemplate for SimilarityTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let first = self.arguments[0].name;
        shapes.require_axes(first, 2, "[rows, columns]: an embedding in each row")?;
        let shape = shapes.of(first)?.to_vec();
        for argument in self.arguments[1..].iter().filter(|a| !is_of_references(a.name)) {
            shapes.require(
                argument.name,
                if argument.role.is_integers() { &shape[..1] } else { &shape },
                first,
            )?;
        }
        self.check_references(shapes, shape[1])?;
        Ok(Units { shape: shape[..1].to_vec(), rows: shape[0] })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        // Normalized embeddings of one column are ±1. Their derivative is a difference that cancels
        // completely, so a relative error cannot be checked.
        let shape = [rows, columns.max(3)];
        // References have tests of their own.
        let arguments = self.arguments.iter().filter(|a| !is_of_references(a.name));
        arguments
            .map(|argument| {
                let is_label = argument.role.is_integers();
                // Some labels are unique, most are not.
                Example {
                    below: (rows / 3).max(2),
                    ..Example::of(argument.name, if is_label { &shape[..1] } else { &shape })
                }
            })
            .collect()
    }

    fn derives_its_value(&self) -> bool {
        self.loss.derives_its_value()
    }

    fn divisor_terms(&self, call: &MultiInput<'_, f32>) -> Result<DivisorTerms> {
        if !self.has_labels() {
            return Ok(DivisorTerms::default());
        }
        let labels = call.required_integers("targets")?;
        let of_references = call.integer("reference_labels");
        // Labels that do not fit 32 bits arrive as the lowest i32 and would all compare equal.
        for (name, labels) in [("targets", Some(labels)), ("reference_labels", of_references)] {
            let row = labels.and_then(|labels| labels.iter().position(|&label| label == i32::MIN));
            if let Some(row) = row {
                return Err(Error::Input {
                    operation: self.name.into(),
                    name: name.into(),
                    found: format!("hold a label in row {row} that 32 bits do not"),
                    allowed: "labels must lie within 32 bits".into(),
                });
            }
        }
        // A row is not its own candidate; references are others.
        let (others, own) = of_references.map_or((labels, 1), |labels| (labels, 0));
        let mut counts = std::collections::HashMap::<i32, usize>::new();
        others.iter().for_each(|&label| *counts.entry(label).or_default() += 1);
        let rows = labels.iter().map(|label| {
            let alike = counts.get(label).copied().unwrap_or(0);
            self.loss.divisor_rule().of(alike - own, others.len() - alike)
        });
        let mean: Vec<f64> = rows.collect();
        Ok(DivisorTerms {
            kept: mean.iter().map(|&share| share > 0.0).collect(),
            mean,
            scale: Vec::new(),
        })
    }

    fn clear(&self, call: &mut MultiInput<'_, f32>) -> Result<()> {
        // Rows that are compared with others, but are no candidates themselves.
        let second = call.arrays.get(1).filter(|array| array.name != "references");
        let are_candidates = match second {
            Some(_) => self.loss.is_symmetric(),
            None => call.array("references").is_none(),
        };
        if are_candidates {
            return Ok(());
        }
        let mask = call.mask.clone();
        clear_rows(call, self.arguments[0].name, |row| mask.get(row).copied().unwrap_or(true))
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let first = call.required(self.arguments[0].name)?;
        let references = call.array("references");
        let second = call.arrays.get(1).filter(|array| array.name != "references");
        let columns = first.values.len() / call.units.max(1);
        let more = references.map_or(0, |array| array.shape[0]);
        let numbers: Vec<i32> = (0..(values.len() + more) as i32).collect();
        let labels = call.integer("targets").unwrap_or(&numbers);
        let candidate_labels = match (references.is_some() && second.is_none(), &*call.integers) {
            (true, _) => call.required_integers("reference_labels")?,
            (false, []) => &numbers,
            (false, _) => labels,
        };
        values.fill(R::ZERO);
        gradients.iter_mut().for_each(|gradient| gradient.fill(R::ZERO));
        let side = |array: &Array<'_, R>| Side::new(&array.values, columns, self.loss.normalizes());
        let left = side(first);
        let both = self.loss.is_symmetric();
        let setting = Setting {
            call,
            labels,
            candidate_labels,
            has_own: references.is_none() || second.is_some(),
            share: R::new(if both { 0.5 } else { 1.0 }),
        };
        match (second, references, gradients) {
            (None, Some(references), [gradient, of_references]) => {
                let right = side(references);
                let mut rows = Matrix { units: &left.units, gradient };
                let mut candidates = Matrix { units: &right.units, gradient: of_references };
                self.direction(&setting, &mut rows, &mut candidates, values);
                left.backward(gradient, columns);
                right.backward(of_references, columns);
            }
            (Some(second), Some(references), [left_gradient, of_second, of_references]) => {
                let all = [&second.values[..], &references.values[..]].concat();
                let right = Side::new(&all, columns, self.loss.normalizes());
                let mut right_gradient = vec![R::ZERO; all.len()];
                let mut rows = Matrix { units: &left.units, gradient: left_gradient };
                let mut candidates = Matrix { units: &right.units, gradient: &mut right_gradient };
                self.direction(&setting, &mut rows, &mut candidates, values);
                left.backward(left_gradient, columns);
                right.backward(&mut right_gradient, columns);
                let (first, rest) = right_gradient.split_at(of_second.len());
                of_second.copy_from_slice(first);
                of_references.copy_from_slice(rest);
            }
            (Some(second), None, [left_gradient, right_gradient]) => {
                let right = side(second);
                let mut rows = Matrix { units: &left.units, gradient: left_gradient };
                let mut candidates = Matrix { units: &right.units, gradient: right_gradient };
                self.direction(&setting, &mut rows, &mut candidates, values);
                if both {
                    self.direction(&setting, &mut candidates, &mut rows, values);
                }
                left.backward(left_gradient, columns);
                right.backward(right_gradient, columns);
            }
            (None, None, [gradient]) => {
                let mut columns_gradient = vec![R::ZERO; gradient.len()];
                let mut rows = Matrix { units: &left.units, gradient };
                let mut candidates = Matrix { units: &left.units, gradient: &mut columns_gradient };
                self.direction(&setting, &mut rows, &mut candidates, values);
                gradient.iter_mut().zip(&columns_gradient).for_each(|(slot, &more)| *slot += more);
                left.backward(gradient, columns);
            }
            _ => return Err(missing("a gradient")),
        }
        Ok(())
    }
}

impl<L: Similarity> SimilarityRows for L {
    fn normalizes(&self) -> bool {
        Similarity::normalizes(self)
    }

    fn is_symmetric(&self) -> bool {
        Similarity::is_symmetric(self)
    }

    fn derives_its_value(&self) -> bool {
        Similarity::derives_its_value(self)
    }

    fn divisor_rule(&self) -> DivisorRule {
        Similarity::divisor_rule(self)
    }

    #[inline(always)]
    fn row<R: Real>(&self, rows: &Candidates<'_>, scale: R, scores: &mut [R]) -> R {
        similarity::pooled(self, rows, scale, scores)
    }
}

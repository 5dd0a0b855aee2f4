//! Covariance losses on the CPU. CPU implementation of `shaders/templates/covariance/*.wgsl`.

use rayon::prelude::*;

use crate::Result;
use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::real::Real;
use crate::templates::argument::Argument;
use crate::templates::covariance::{Covariance, CovarianceRule};
use crate::templates::multi_input::cpu::{Example, MultiInput, Shapes, Units, missing};
use crate::templates::multi_input::template::MultiInputTemplate;
use crate::templates::precision::CpuReal;

/// Kernel template around a loss.
pub struct CovarianceTemplate<'a, L> {
    /// The loss function.
    pub loss: &'a L,
    /// The loss's inputs.
    pub arguments: &'static [Argument],
}

/// One matrix of embeddings.
struct Side<R> {
    /// Less the means of the columns; divided by the deviations for correlations.
    centred: Vec<R>,
    deviations: Vec<R>,
    /// The derivatives by `centred`.
    derivatives: Vec<R>,
}

/// What a sum over the rows is divided by: rows for correlations, else one less, as in an unbiased
/// variance.
pub(crate) fn divisor(rule: &CovarianceRule, rows: usize) -> f64 {
    if rule.correlates { rows as f64 } else { rows.saturating_sub(1).max(1) as f64 }
}

impl<R: Real> Side<R> {
    /// Column sums in f64 for both precisions: a mean of thousands of numbers of one sign would lose
    /// digits that the differences need.
    fn new(embeddings: &[R], columns: usize, rule: &CovarianceRule) -> Self {
        let rows = embeddings.len() / columns;
        let over_rows = |term: &dyn Fn(usize, R) -> f64| {
            let mut sums = vec![0.0; columns];
            for row in embeddings.chunks_exact(columns) {
                for (column, (sum, &x)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += term(column, x);
                }
            }
            sums
        };
        let means: Vec<f64> =
            over_rows(&|_, x| x.to_f64()).iter().map(|sum| sum / rows as f64).collect();
        let squares = over_rows(&|column, x| {
            let off = x.to_f64() - means[column];
            off * off
        });
        let deviation = |sum: &f64| (sum / divisor(rule, rows) + rule.epsilon).sqrt();
        let deviations: Vec<f64> = squares.iter().map(deviation).collect();
        let centred = embeddings.iter().enumerate().map(|(i, x)| {
            let column = i % columns;
            let off = x.to_f64() - means[column];
            R::new(if rule.correlates { off / deviations[column] } else { off })
        });
        Side {
            centred: centred.collect(),
            deviations: deviations.into_iter().map(R::new).collect(),
            derivatives: vec![R::ZERO; embeddings.len()],
        }
    }

    /// Adds `factor` times the product of another side's `centred` with derivatives by the entries.
    fn add(&mut self, layout: Layout, other: &[R], entries: &[R], columns: usize) {
        let rows = other.len() / columns;
        let output = &mut self.derivatives;
        let outcome = matmul(layout, rows, columns, columns, other, entries, output, true);
        debug_assert!(outcome.is_ok(), "the slices have these sizes");
    }

    /// The derivatives by the embeddings, from those by `centred`.
    fn backward(&self, gradient: &mut [R], columns: usize, rule: &CovarianceRule) {
        let rows = gradient.len() / columns;
        let (mut means, mut along) = (vec![0.0; columns], vec![0.0; columns]);
        for (i, (derivative, centred)) in self.derivatives.iter().zip(&self.centred).enumerate() {
            means[i % columns] += derivative.to_f64() / rows as f64;
            along[i % columns] += derivative.to_f64() * centred.to_f64() / rows as f64;
        }
        for (i, slot) in gradient.iter_mut().enumerate() {
            let column = i % columns;
            let inside = self.derivatives[i] - R::new(means[column]);
            *slot = if rule.correlates {
                (inside - self.centred[i] * R::new(along[column])) / self.deviations[column]
            } else {
                inside
            };
        }
    }
}

/// Σ of the entries' values; replaces the sums of products by the derivatives by them.
fn entries<R: Real, L: Covariance>(loss: &L, products: &mut [R], columns: usize, over: f64) -> f64 {
    let (over, width) = (R::new(1.0 / over), R::new(columns as f64));
    let rows = products.par_chunks_mut(columns).enumerate().map(|(row, products)| {
        let mut sum = 0.0;
        for (column, slot) in products.iter_mut().enumerate() {
            let [value, derivative] = loss.entry(*slot * over, row == column, width);
            sum += value.to_f64();
            *slot = derivative * over;
        }
        sum
    });
    rows.collect::<Vec<f64>>().iter().sum()
}

impl<L: Covariance> CovarianceTemplate<'_, L> {
    /// The values of the deviations; adds the derivatives by them to the gradient.
    fn deviations<R: Real>(&self, side: &Side<R>, gradient: &mut [R], columns: usize) -> f64 {
        let over = divisor(&self.loss.rule(), gradient.len() / columns);
        let width = R::new(columns as f64);
        let terms: Vec<[R; 2]> =
            side.deviations.iter().map(|&d| self.loss.deviation(d, width)).collect();
        for (i, slot) in gradient.iter_mut().enumerate() {
            let (column, derivative) = (i % columns, terms[i % columns][1]);
            if derivative != R::ZERO {
                let along = side.centred[i] / (R::new(over) * side.deviations[column]);
                *slot += derivative * along;
            }
        }
        terms.iter().map(|[value, _]| value.to_f64()).sum()
    }
}

impl<L: Covariance> MultiInputTemplate for CovarianceTemplate<'_, L> {
    fn units(&self, shapes: &Shapes) -> Result<Units> {
        let (first, second) = (self.arguments[0].name, self.arguments[1].name);
        shapes.require_axes(first, 2, "[rows, columns]: an embedding in each row")?;
        let shape = shapes.of(first)?.to_vec();
        shapes.require(second, &shape, first)?;
        Ok(Units { shape: vec![1], rows: 1 })
    }

    fn example(&self, rows: usize, columns: usize) -> Vec<Example> {
        // Columns of two numbers are ±1 after the division by their deviation. Their derivative is a
        // difference that cancels, so a relative error cannot be checked.
        let shape = [rows.max(6), columns];
        self.arguments.iter().map(|argument| Example::of(argument.name, &shape)).collect()
    }

    fn run<R: CpuReal>(
        &self,
        call: &MultiInput<'_, R>,
        gradients: &mut [Vec<R>],
        values: &mut [R],
    ) -> Result<()> {
        let first = call.required(self.arguments[0].name)?;
        let second = call.required(self.arguments[1].name)?;
        let columns = first.shape.last().copied().unwrap_or(1).max(1);
        let [first_gradient, second_gradient] = gradients else {
            return Err(missing("a gradient"));
        };
        let Some(weight) = call.weight_of(0) else {
            values.fill(R::ZERO);
            first_gradient.fill(R::ZERO);
            second_gradient.fill(R::ZERO);
            return Ok(());
        };
        let rule = self.loss.rule();
        let rows = first.values.len() / columns;
        let side = |values: &[R]| Side::new(values, columns, &rule);
        let (mut left, mut right) = (side(&first.values), side(&second.values));
        let over = divisor(&rule, rows);
        let mut products = vec![R::ZERO; columns * columns];
        let multiply = |a: &[R], b: &[R], products: &mut [R]| {
            let outcome = matmul(Layout::TN, columns, columns, rows, a, b, products, false);
            debug_assert!(outcome.is_ok(), "the slices have these sizes");
        };
        let mut total = 0.0;
        if rule.correlates {
            multiply(&left.centred, &right.centred, &mut products);
            total += entries(self.loss, &mut products, columns, over);
            left.add(Layout::NT, &right.centred, &products, columns);
            right.add(Layout::NN, &left.centred, &products, columns);
        } else {
            for side in [&mut left, &mut right] {
                multiply(&side.centred, &side.centred, &mut products);
                total += entries(self.loss, &mut products, columns, over);
                let centred = std::mem::take(&mut side.centred);
                side.add(Layout::NT, &centred, &products, columns);
                side.add(Layout::NN, &centred, &products, columns);
                side.centred = centred;
            }
        }
        left.backward(first_gradient, columns, &rule);
        right.backward(second_gradient, columns, &rule);
        total += self.deviations(&left, first_gradient, columns);
        total += self.deviations(&right, second_gradient, columns);
        let elements = R::new(first.values.len() as f64);
        let pairs = first.values.iter().zip(second.values.iter());
        for (i, (&x, &y)) in pairs.enumerate() {
            let [value, derivative] = self.loss.apart(x - y, elements);
            total += value.to_f64();
            first_gradient[i] += derivative;
            second_gradient[i] -= derivative;
        }
        let scale = weight * call.upstream_of(0);
        for gradient in [first_gradient, second_gradient] {
            gradient.iter_mut().for_each(|slot| *slot *= scale);
        }
        values[0] = weight * R::new(total);
        Ok(())
    }
}

//! Bytes and operations of a case, for throughput and roofline.
//!
//! *Bytes*: each input read once, each output written once, regardless of the implementation.
//! *Operations*: for matrix products, two per multiplication. For losses and optimizers, those of
//! the formula: each +, −, ×, ÷, comparison, root, exp and ln counts as one, including the sum of
//! the values and the scaling of the gradient. A loss not listed here has no count and is absent
//! from the roofline plot.

use crate::losses::{SeveralInputs, Template};
use crate::templates::multi_input::cpu::Example;
use crate::testing::bench::case::{Case, Kind};

/// Operations per element of a loss, value and gradient.
fn operations(loss: &str) -> Option<u64> {
    Some(match loss {
        // d = p − t; d², summed; 2d, scaled
        "mse" => 5,
        // d, |d|, its sign; summed, scaled
        "mae" => 5,
        // d, |d|, the comparison; d²/2; δ(|d| − δ/2); d or ±δ; summed, scaled
        "huber" | "smooth_l1" => 11,
        // max(z, 0) − z t + ln(1 + e^−|z|); σ(z) = (1 or e)/(1 + e), minus t; summed, scaled
        "bce_with_logits" => 13,
        // 1 − t z, at least 0; −t or 0; summed, scaled
        "hinge" => 7,
        "squared_hinge" => 8,
        // the maximum; e^(z − max), summed; times 1/sum, scaled
        "cross_entropy" => 6,
        // t (ln t − p); −t, scaled; summed
        "kl_div" => 6,
        _ => return None,
    })
}

/// Operations per pair of items of a list, for the losses that compare all pairs.
fn operations_of_a_pair(loss: &str) -> Option<u64> {
    Some(match loss {
        // d = (sᵢ − sⱼ)/T; the comparison of the targets; e^−d, ln(1 + e^−d), 1/(1 + e^d); w,
        // summed; added to both gradients
        "pairwise_logistic" => 13,
        // the same with [1 − d]₊ and its step
        "pairwise_hinge" => 9,
        // the same with σ(−d) and σ(1 − σ)
        "pairwise_soft_zero_one" => 14,
        // as pairwise_logistic; the differences of gains and of discounts, their product, its
        // magnitude
        "lambda_rank" => 17,
        // σ((sⱼ − sᵢ)/T) added to both ranks; σ(1 − σ) times the difference of the ranks'
        // gradients, added to both scores
        "approx_ndcg" | "approx_mrr" => 13,
        _ => return None,
    })
}

/// Operations per parameter of an Adam step: m 3, v 4, its correction, root and ε 3, the update 3.
const ADAM_OPERATIONS: u64 = 13;

/// Bytes per parameter of an Adam step: parameter and both states read and written, the gradient
/// read.
const ADAM_BYTES: u64 = 28;

/// The bottleneck of a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    Memory,
    Arithmetic,
}

impl Case {
    pub(crate) fn bound(&self) -> Bound {
        match self.kind {
            Kind::Loss if self.pairs_and_products().is_some() => Bound::Arithmetic,
            Kind::Copy | Kind::Read | Kind::Loss | Kind::Adam | Kind::Embedding { .. } => {
                Bound::Memory
            }
            Kind::Fma | Kind::Matmul(_) | Kind::Dense | Kind::TrainStep | Kind::Epoch => {
                Bound::Arithmetic
            }
        }
    }

    /// Bytes of f32 that the work must move.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let elements = self.elements() as u64;
        let axis = |i: usize| self.shape[i] as u64;
        match self.kind {
            Kind::Copy => Some(8 * elements),
            Kind::Read => Some(4 * elements),
            Kind::Fma => None,
            // The logits read, the gradient written, a label read per row.
            Kind::Loss if self.has_labels() => {
                Some(8 * elements + 4 * (elements / self.columns() as u64))
            }
            Kind::Loss if self.several_bytes().is_some() => self.several_bytes(),
            // Predictions and targets read, the gradient written.
            Kind::Loss => Some(12 * elements),
            Kind::Adam => Some(ADAM_BYTES * elements),
            // The gradient read; parameters and state of the rows that are hit read and written.
            Kind::Embedding { dense: false } => {
                Some(4 * axis(2) * (axis(0) + 4 * self.rows_hit() as u64))
            }
            // Also a dense gradient: zeroed, accumulated at the rows that are hit, and read by a
            // step over all rows.
            Kind::Embedding { dense: true } => {
                Some(4 * axis(2) * (axis(0) + 2 * self.rows_hit() as u64 + (1 + 5) * axis(1)))
            }
            Kind::Matmul(_) => {
                Some(4 * (axis(0) * axis(2) + axis(2) * axis(1) + axis(0) * axis(1)))
            }
            // X, W, b and dL/dY read; Y, dL/dX, dL/dW and dL/db written.
            Kind::Dense => {
                Some(8 * (axis(0) * axis(1) + axis(1) * axis(2) + axis(2) + axis(0) * axis(2)))
            }
            Kind::TrainStep => Some(step_bytes(&self.shape, 1)),
            Kind::Epoch => Some(
                epoch_batches(&self.shape).map(|batch| step_bytes(&batch, self.shape[4])).sum(),
            ),
        }
    }

    /// Each of several inputs read, the gradients of the differentiable ones written.
    fn several_bytes(&self) -> Option<u64> {
        let loss = self.loss().ok()?;
        let Template::Several(_, cpu) = loss.template() else { return None };
        let gradients = loss.differentiated();
        let moved = |example: &Example| {
            let length = example.shape.iter().product::<usize>() as u64;
            if gradients.contains(&example.name) { 8 * length } else { 4 * length }
        };
        Some(cpu.example(self.elements() / self.columns(), self.columns()).iter().map(moved).sum())
    }

    /// Operations of a loss over pairs of items or over matrix products, which grow faster than its
    /// bytes.
    fn pairs_and_products(&self) -> Option<u64> {
        let (rows, columns) = ((self.elements() / self.columns()) as u64, self.columns() as u64);
        if let Some(each) = operations_of_a_pair(self.name) {
            return Some(each * rows * columns * (columns - 1) / 2);
        }
        let loss = self.loss().ok()?;
        let Template::Several(kernel, cpu) = loss.template() else { return None };
        match kernel {
            // All similarities, and the gradient of each side: for a single set of embeddings the
            // two sides are the same sum.
            SeveralInputs::Similarity(_) => {
                let inputs = cpu.example(rows as usize, columns as usize);
                let differentiated = loss.differentiated();
                let sides = inputs.iter().filter(|input| differentiated.contains(&input.name));
                Some(2 * (1 + sides.count() as u64) * rows * rows * columns)
            }
            // Logits, and the gradients of the inputs and of the weights.
            SeveralInputs::Linear | SeveralInputs::Completions { .. } => {
                let inputs = cpu.example(rows as usize, columns as usize);
                let weights = inputs.iter().find(|input| input.name == "linear_weight")?;
                Some(6 * rows * weights.shape.iter().product::<usize>() as u64)
            }
            _ => None,
        }
    }

    pub(crate) fn flops(&self) -> Option<u64> {
        let product = |axes: &[usize]| axes.iter().map(|&axis| axis as u64).product::<u64>();
        match self.kind {
            Kind::Copy => None,
            Kind::Read => Some(self.elements() as u64),
            Kind::Fma => Some(self.elements() as u64),
            Kind::Loss => {
                let of_elements = operations(self.name).map(|each| each * self.elements() as u64);
                self.pairs_and_products().or(of_elements)
            }
            Kind::Adam => Some(ADAM_OPERATIONS * self.elements() as u64),
            Kind::Embedding { .. } => None,
            Kind::Matmul(_) => Some(2 * product(&self.shape)),
            Kind::Dense => Some(6 * product(&self.shape)),
            Kind::TrainStep => Some(step_flops(&self.shape)),
            Kind::Epoch => Some(epoch_batches(&self.shape).map(|batch| step_flops(&batch)).sum()),
        }
    }
}

/// Operations of the products of a training step over [batch, inputs, units…]: each layer's output
/// and weight gradient, and the input gradient of all layers but the first.
fn step_flops(shape: &[usize]) -> u64 {
    let layers = shape[1..].windows(2).map(|pair| (pair[0] * pair[1]) as u64);
    layers
        .enumerate()
        .map(|(index, weights)| 2 * shape[0] as u64 * weights * if index == 0 { 2 } else { 3 })
        .sum()
}

/// Bytes of a training step with Adam: the batch and its targets read, parameters and both states
/// read and written. Activations between layers need not leave the chip.
fn step_bytes(shape: &[usize], target_width: usize) -> u64 {
    let parameters: usize = shape[1..].windows(2).map(|pair| pair[0] * pair[1] + pair[1]).sum();
    4 * (shape[0] * (shape[1] + target_width)) as u64 + 24 * parameters as u64
}

/// The batches of an epoch of shape [rows, batch, inputs, units…], the last one possibly shorter.
fn epoch_batches(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let (rows, batch) = (shape[0], shape[1]);
    (0..rows).step_by(batch).map(move |start| [&[batch.min(rows - start)], &shape[2..]].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::bench::case::{Size, cases};

    fn first(name: &str) -> Case {
        cases(&[name.into()], Size::Quick).unwrap().remove(0)
    }

    #[test]
    fn bytes_are_those_that_must_move() {
        let bytes = |name: &str| first(name).bytes();
        assert_eq!(bytes("mse"), Some(12 << 22));
        assert_eq!(bytes("cross_entropy"), Some(8 * 4_096_000 + 4 * 4096));
        assert_eq!(bytes("kl_div"), Some(12 << 22));
        assert_eq!(bytes("copy"), Some(8 << 22));
        assert_eq!(bytes("read"), Some(4 << 22));
        assert_eq!(bytes("fma"), None);
        assert_eq!(bytes("matmul"), Some(12 * 512 * 512));
        assert_eq!(bytes("dense"), Some(8 * (512 * 784 + 784 * 512 + 512 + 512 * 512)));
        assert_eq!(bytes("adam"), Some(28 << 20));
        // 64 rows of 784 pixels and a label; 101,770 parameters
        assert_eq!(bytes("train_step"), Some(4 * 64 * 785 + 24 * 101_770));
    }

    #[test]
    fn operations_are_those_of_the_products() {
        let flops = |name: &str| first(name).flops();
        assert_eq!(flops("matmul"), Some(2 * 512 * 512 * 512));
        assert_eq!(flops("dense"), Some(3 * 2 * 512 * 784 * 512));
        assert_eq!(flops("train_step"), Some(2 * 64 * (2 * 784 * 128 + 3 * 128 * 10)));
        assert_eq!(flops("mse"), Some(5 << 22));
        assert_eq!(flops("copy"), None);
    }

    #[test]
    fn losses_over_pairs_and_products_are_bound_by_arithmetic() {
        let lists = first("pairwise_hinge");
        assert_eq!(
            (lists.bound(), lists.flops()),
            (Bound::Arithmetic, Some(9 * 4096 * 100 * 99 / 2))
        );
        // One set of 512 embeddings of 128 numbers; two sets.
        assert_eq!(first("sup_con").flops(), Some(4 * 512 * 512 * 128));
        assert_eq!(first("info_nce").flops(), Some(6 * 512 * 512 * 128));
        assert_eq!(first("linear_cross_entropy").flops(), Some(6 * 64 * 256 * 128 * 256));
        assert_eq!(first("cross_entropy").bound(), Bound::Memory);
    }

    #[test]
    fn an_epoch_is_the_sum_of_its_batches_with_a_short_last_one() {
        let case = Case { name: "epoch", shape: vec![100, 64, 784, 10, 10], kind: Kind::Epoch };
        let (long, short) = (step_flops(&[64, 784, 10, 10]), step_flops(&[36, 784, 10, 10]));
        assert_eq!(case.flops(), Some(long + short));
        assert_eq!(case.flops(), Some(100 * 2 * (2 * 784 * 10 + 3 * 10 * 10)));
        // Ten one-hot columns per row; 7960 parameters in each of two steps.
        assert_eq!(case.bytes(), Some(4 * 100 * (784 + 10) + 2 * 24 * 7960));
    }

    #[test]
    fn a_loss_that_is_not_in_the_list_has_no_operations_but_bytes() {
        let case = Case { name: "new", shape: vec![5], kind: Kind::Loss };
        assert_eq!((case.flops(), case.bytes()), (None, Some(60)));
    }
}

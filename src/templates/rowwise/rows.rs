//! The inputs of a row-wise loss: all rows, and one row as passed to a loss function.

use crate::cpu::real::Real;
use crate::cpu::simd;
use crate::templates::rowwise::target::{RowTarget, Target, Targets};
use crate::{Error, Result};

/// The inputs of a row-wise loss, flat and validated. `T` holds the targets: of either kind, until
/// [`Rows::for_target`] has made them those that a loss takes.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, R, T = Targets<'a, R>> {
    /// [rows, columns]
    pub logits: &'a [R],
    /// Number of elements in a row.
    pub columns: usize,
    /// Labels or dense targets.
    pub targets: T,
    /// Labels that exclude their row (`ignore_index`).
    pub ignored: &'a [i64],
    /// One per class; empty for none.
    pub class_weight: &'a [R],
    /// Weight of the positive side of each class; empty for none.
    pub pos_weight: &'a [R],
    /// One per class, or one per class and row; empty for none.
    pub class_mask: &'a [bool],
    /// One per item of a list, [rows, columns]; empty for none.
    pub item_weight: &'a [R],
    /// One per row; empty for none.
    pub weight: &'a [R],
    /// True for unmasked rows; empty if all are unmasked.
    pub mask: &'a [bool],
    /// The reduction's factor on value and gradient.
    pub factor: R,
    /// The upstream gradient dL/d(value), shared by all rows.
    pub upstream: R,
    /// The upstream gradient dL/d(value) of each row, with reduction `none`; empty otherwise.
    pub upstreams: &'a [R],
}

/// One row as passed to a loss function. `T` is the kind of target that the loss takes
/// ([`Rowwise::Target`](crate::losses::Rowwise::Target)).
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, R, T = Target<'a, R>> {
    /// The predictions of this row.
    pub logits: &'a [R],
    /// Its target.
    pub target: T,
    pub(super) class_weight: &'a [R],
    pub(super) pos_weight: &'a [R],
    pub(super) class_mask: &'a [bool],
    pub(crate) item_weight: &'a [R],
    /// If set, a negative target marks padding.
    pub padded: bool,
}

/// Auxiliary outputs of a class-axis loss for one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Auxiliary<R> {
    /// Log-sum-exp of the logits.
    pub lse: R,
    /// The column of the largest logit; the first of equal ones.
    pub argmax: R,
    /// 1 if `argmax` is the label, else 0.
    pub correct: R,
    /// Entropy of the softmax, in nats.
    pub entropy: R,
    /// Probability of the label; 0 for dense targets.
    pub target_probability: R,
}

impl<'a, R: Real, T: RowTarget<'a, R>> Row<'a, R, T> {
    /// The weight of a class.
    #[inline(always)]
    pub fn class_weight(&self, column: usize) -> R {
        if self.class_weight.is_empty() { R::ONE } else { self.class_weight[column] }
    }

    /// The weight of the positive side of a class.
    #[inline(always)]
    pub fn pos_weight(&self, column: usize) -> R {
        if self.pos_weight.is_empty() { R::ONE } else { self.pos_weight[column] }
    }

    /// True if classes have weights.
    #[inline(always)]
    pub fn has_class_weight(&self) -> bool {
        !self.class_weight.is_empty()
    }

    /// True if there is a class mask.
    #[inline(always)]
    pub fn has_class_mask(&self) -> bool {
        !self.class_mask.is_empty()
    }

    /// True if a class is unmasked.
    #[inline(always)]
    pub fn keeps(&self, column: usize) -> bool {
        (self.class_mask.is_empty() || self.class_mask[column]) && !self.is_padding(column)
    }

    /// True if an item of a list is padding: its target is negative.
    #[inline(always)]
    pub fn is_padding(&self, item: usize) -> bool {
        match self.target.either() {
            Target::Dense(dense) => self.padded && dense[item] < R::ZERO,
            Target::Label(_) => false,
        }
    }

    /// The weight of a class, 0 if it is masked.
    #[inline(always)]
    pub fn kept_weight(&self, column: usize) -> R {
        R::select(self.keeps(column), self.class_weight(column), R::ZERO)
    }

    /// True if no class has a weight or a mask.
    #[inline(always)]
    pub fn has_all_classes_alike(&self) -> bool {
        self.class_weight.is_empty() && self.pos_weight.is_empty() && self.class_mask.is_empty()
    }

    /// Weight, prediction and dense target of a class; all three are 0 if it is masked, whatever
    /// the inputs are.
    #[inline(always)]
    pub fn kept_cell(&self, dense: &[R], column: usize) -> (R, R, R) {
        let keeps = self.keeps(column);
        let kept = |x: R| R::select(keeps, x, R::ZERO);
        (kept(self.class_weight(column)), kept(self.logits[column]), kept(dense[column]))
    }

    /// Σ `term(weight, prediction, target)` over the classes, with the arguments of
    /// [`Row::kept_cell`].
    #[inline(always)]
    pub fn sum_over_classes(&self, dense: &[R], term: impl Fn(R, R, R) -> R) -> R {
        let found = if self.has_all_classes_alike() && !self.padded {
            // By slices alone: the loop is not vectorised if it looks up a weight or a mask.
            simd::sum_blocks(
                dense.len(),
                #[inline(always)]
                |range, terms: &mut [R]| {
                    let inputs = self.logits[range.clone()].iter().zip(&dense[range]);
                    terms
                        .iter_mut()
                        .zip(inputs)
                        .for_each(|(slot, (&p, &t))| *slot = term(R::ONE, p, t));
                },
            )
        } else {
            simd::sum_of(dense.len(), |column| {
                let (w, p, t) = self.kept_cell(dense, column);
                term(w, p, t)
            })
        };
        R::new(found)
    }

    /// Writes `derivative(weight, target)` of each class, with the arguments of [`Row::kept_cell`].
    #[inline(always)]
    pub fn write_derivatives(
        &self,
        dense: &[R],
        gradient: &mut [R],
        derivative: impl Fn(R, R) -> R,
    ) {
        if self.has_all_classes_alike() && !self.padded {
            gradient.iter_mut().zip(dense).for_each(|(cell, &t)| *cell = derivative(R::ONE, t));
            return;
        }
        for (column, cell) in gradient.iter_mut().enumerate() {
            let (w, _, t) = self.kept_cell(dense, column);
            *cell = derivative(w, t);
        }
    }

    #[inline(always)]
    pub(super) fn is_broken(&self) -> bool {
        let truth_is_nan = |column: usize| match self.target.either() {
            Target::Dense(dense) => dense[column].is_nan(),
            Target::Label(_) => false,
        };
        if self.class_mask.is_empty() && !self.padded {
            let mut broken = false;
            for &x in self.logits {
                broken |= x.is_nan();
            }
            if let Target::Dense(dense) = self.target.either() {
                for &t in dense {
                    broken |= t.is_nan();
                }
            }
            return broken;
        }
        (0..self.logits.len())
            .any(|c| self.keeps(c) && (self.logits[c].is_nan() || truth_is_nan(c)))
    }
}

impl<R: Real> Auxiliary<R> {
    /// Fills in the fields that follow from the largest logit and the label.
    pub fn label(&mut self, row: &Row<'_, R>, probability: R) {
        let mut best = None;
        for (column, &x) in row.logits.iter().enumerate() {
            if row.keeps(column)
                && x > R::NEG_INFINITY
                && best.is_none_or(|(_, highest)| x > highest)
            {
                best = Some((column, x));
            }
        }
        self.argmax = R::new(best.map_or(f64::from(u32::MAX), |(column, _)| column as f64));
        let is_label = matches!((row.target, best), (Target::Label(label), Some((column, _))) if label == column);
        self.correct = R::select(is_label, R::ONE, R::ZERO);
        self.target_probability = probability;
    }
}

impl<'a, R: Real> Rows<'a, R> {
    /// The same rows with targets of the kind `T`.
    ///
    /// # Errors
    /// [`Error::Input`] for targets of the other kind: the domain of the targets in the loss's
    /// [`Spec`](crate::losses::Spec) contradicts
    /// [`Rowwise::Target`](crate::losses::Rowwise::Target).
    pub(super) fn for_target<T: RowTarget<'a, R>>(&self) -> Result<Rows<'a, R, T::Rows>> {
        let targets = T::of_rows(self.targets).ok_or_else(|| Error::Input {
            operation: "a row-wise loss".into(),
            name: "targets".into(),
            found: format!("are {}", self.targets.kind()),
            allowed: format!("its CPU implementation takes {}", T::TAKES),
        })?;
        let Rows { logits, columns, ignored, class_weight, pos_weight, class_mask, .. } = *self;
        let Rows { item_weight, weight, mask, factor, upstream, upstreams, .. } = *self;
        Ok(Rows {
            logits,
            columns,
            targets,
            ignored,
            class_weight,
            pos_weight,
            class_mask,
            item_weight,
            weight,
            mask,
            factor,
            upstream,
            upstreams,
        })
    }
}

impl<'a, R: Real, T: Copy> Rows<'a, R, T> {
    /// True if a row is unmasked.
    #[inline(always)]
    pub(crate) fn keeps(&self, index: usize) -> bool {
        self.mask.is_empty() || self.mask[index]
    }

    /// True if no class has a weight or a mask.
    #[inline(always)]
    pub(crate) fn has_all_classes_alike(&self) -> bool {
        self.class_weight.is_empty() && self.class_mask.is_empty()
    }

    /// The factor of a row's value, and the factor of its derivative.
    #[inline(always)]
    pub(crate) fn weight_and_scale(&self, index: usize) -> (R, R) {
        let weight = self.factor * self.weight.get(index).copied().unwrap_or(R::ONE);
        (weight, weight * self.upstream * self.upstreams.get(index).copied().unwrap_or(R::ONE))
    }

    /// A row, or `None` if it is masked or its label is ignored.
    #[inline(always)]
    pub(super) fn row<U>(&self, index: usize, padded: bool) -> Option<Row<'a, R, U>>
    where
        U: RowTarget<'a, R, Rows = T>,
    {
        if !self.keeps(index) {
            return None;
        }
        let columns = self.columns;
        let is_ignored = |label| is_ignored(self.ignored, label);
        let target = U::of_row(self.targets, index, columns, is_ignored)?;
        let mask = if self.class_mask.len() > columns {
            &self.class_mask[index * columns..][..columns]
        } else {
            self.class_mask
        };
        let logits = &self.logits[index * columns..][..columns];
        let (class_weight, pos_weight) = (self.class_weight, self.pos_weight);
        let item_weight = match self.item_weight {
            [] => self.item_weight,
            weights => &weights[index * columns..][..columns],
        };
        Some(Row {
            logits,
            target,
            class_weight,
            pos_weight,
            class_mask: mask,
            item_weight,
            padded,
        })
    }
}

/// True if a label excludes its row.
pub(crate) fn is_ignored(ignored: &[i64], label: i32) -> bool {
    ignored.iter().any(|&ignored| stored(ignored) == label)
}

/// A label as it is stored, in 32 bits: one that does not fit is the lowest i32. The same applies to
/// ignored labels, and to the GPU.
#[inline(always)]
pub(crate) fn stored(label: i64) -> i32 {
    i32::try_from(label).unwrap_or(i32::MIN)
}

//! The inputs of a row-wise loss: all rows, and one row as a loss sees it.

use crate::cpu::real::Real;
use crate::cpu::simd;

/// The inputs of a row-wise loss, flat and checked.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, R> {
    /// [rows, columns]
    pub logits: &'a [R],
    /// Length of a row.
    pub columns: usize,
    /// Labels or dense targets.
    pub targets: Targets<'a, R>,
    /// Labels whose rows are left out.
    pub ignored: &'a [i64],
    /// One for each class; empty for none.
    pub class_weight: &'a [R],
    /// Of the positive side of each class; empty for none.
    pub pos_weight: &'a [R],
    /// For each class, or each class of each row; empty for none.
    pub class_mask: &'a [bool],
    /// One for each row; empty for none.
    pub weight: &'a [R],
    /// Which rows count at all; empty for all.
    pub mask: &'a [bool],
    /// The reduction's factor on value and gradient.
    pub factor: R,
    /// dL/d(value) on the gradient: one for all.
    pub upstream: R,
    /// dL/d(value) for each row, with reduction `none`; empty otherwise.
    pub upstreams: &'a [R],
}

/// The targets of all rows.
#[derive(Clone, Copy, Debug)]
pub enum Targets<'a, R> {
    /// One label for each row; those out of range are refused or ignored before.
    Labels(&'a [i32]),
    /// [rows, columns]
    Dense(&'a [R]),
}

/// One row as a loss function sees it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a, R> {
    /// The predictions of this row.
    pub logits: &'a [R],
    /// Its target.
    pub target: Target<'a, R>,
    pub(super) class_weight: &'a [R],
    pub(super) pos_weight: &'a [R],
    pub(super) class_mask: &'a [bool],
    /// A target below 0 is padding.
    pub padded: bool,
}

/// The target of one row.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a, R> {
    /// A class.
    Label(usize),
    /// A number for each class.
    Dense(&'a [R]),
}

/// What a class-axis loss can hand back of a row besides its value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Auxiliary<R> {
    /// Log-sum-exp of the logits.
    pub lse: R,
    /// The column of the largest logit, the first of several.
    pub argmax: R,
    /// 1 if that is the label, else 0.
    pub correct: R,
    /// Entropy of the softmax, in nats.
    pub entropy: R,
    /// Probability of the label; 0 for dense targets.
    pub target_probability: R,
}

impl<R: Real> Row<'_, R> {
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

    /// Whether classes have weights.
    #[inline(always)]
    pub fn has_class_weight(&self) -> bool {
        !self.class_weight.is_empty()
    }

    /// Whether some classes may be masked.
    #[inline(always)]
    pub fn has_class_mask(&self) -> bool {
        !self.class_mask.is_empty()
    }

    /// Whether a class takes part.
    #[inline(always)]
    pub fn keeps(&self, column: usize) -> bool {
        (self.class_mask.is_empty() || self.class_mask[column]) && !self.is_padding(column)
    }

    /// Whether an item of a list is none: its truth is below 0.
    #[inline(always)]
    pub fn is_padding(&self, item: usize) -> bool {
        match self.target {
            Target::Dense(dense) => self.padded && dense[item] < R::ZERO,
            Target::Label(_) => false,
        }
    }

    /// The weight of a class, 0 if it is masked.
    #[inline(always)]
    pub fn kept_weight(&self, column: usize) -> R {
        R::select(self.keeps(column), self.class_weight(column), R::ZERO)
    }

    /// Whether no class has a weight or a mask.
    #[inline(always)]
    pub fn has_all_classes_alike(&self) -> bool {
        self.class_weight.is_empty() && self.pos_weight.is_empty() && self.class_mask.is_empty()
    }

    /// Weight, prediction and dense target of a class; 0 all three where it is masked, whatever stands there.
    #[inline(always)]
    pub fn shares(&self, dense: &[R], column: usize) -> (R, R, R) {
        let keeps = self.keeps(column);
        let kept = |x: R| R::select(keeps, x, R::ZERO);
        (kept(self.class_weight(column)), kept(self.logits[column]), kept(dense[column]))
    }

    /// Σ `share(weight, prediction, target)` over the classes, as [`Row::shares`] has them.
    #[inline(always)]
    pub fn sum_of_shares(&self, dense: &[R], share: impl Fn(R, R, R) -> R) -> R {
        let found = if self.has_all_classes_alike() && !self.padded {
            // By slices alone: with a weight or a mask to look up in it the loop is not vectorised.
            simd::sum_blocks(
                dense.len(),
                #[inline(always)]
                |range, shares: &mut [R]| {
                    let inputs = self.logits[range.clone()].iter().zip(&dense[range]);
                    shares
                        .iter_mut()
                        .zip(inputs)
                        .for_each(|(slot, (&p, &t))| *slot = share(R::ONE, p, t));
                },
            )
        } else {
            simd::sum_of(dense.len(), |column| {
                let (w, p, t) = self.shares(dense, column);
                share(w, p, t)
            })
        };
        R::new(found)
    }

    /// Writes `slope(weight, target)` of each class, as [`Row::shares`] has them.
    #[inline(always)]
    pub fn each_share(&self, dense: &[R], gradient: &mut [R], derivative: impl Fn(R, R) -> R) {
        if self.has_all_classes_alike() && !self.padded {
            gradient.iter_mut().zip(dense).for_each(|(cell, &t)| *cell = derivative(R::ONE, t));
            return;
        }
        for (column, cell) in gradient.iter_mut().enumerate() {
            let (w, _, t) = self.shares(dense, column);
            *cell = derivative(w, t);
        }
    }

    #[inline(always)]
    pub(super) fn is_broken(&self) -> bool {
        let truth_is_nan = |column: usize| match self.target {
            Target::Dense(dense) => dense[column].is_nan(),
            Target::Label(_) => false,
        };
        if self.class_mask.is_empty() && !self.padded {
            let mut broken = false;
            for &x in self.logits {
                broken |= x.is_nan();
            }
            if let Target::Dense(dense) = self.target {
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
    /// Fills in what follows from the largest logit and the label.
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
    /// Whether a row counts at all.
    #[inline(always)]
    pub(crate) fn keeps(&self, index: usize) -> bool {
        self.mask.is_empty() || self.mask[index]
    }

    /// Whether no class has a weight or a mask.
    #[inline(always)]
    pub(crate) fn has_all_classes_alike(&self) -> bool {
        self.class_weight.is_empty() && self.class_mask.is_empty()
    }

    /// What multiplies a row's value, and what multiplies its derivative.
    #[inline(always)]
    pub(crate) fn weight_and_scale(&self, index: usize) -> (R, R) {
        let weight = self.factor * self.weight.get(index).copied().unwrap_or(R::ONE);
        (weight, weight * self.upstream * self.upstreams.get(index).copied().unwrap_or(R::ONE))
    }

    /// A row, unless it is masked or its label is ignored.
    #[inline(always)]
    pub(super) fn row(&self, index: usize, padded: bool) -> Option<Row<'a, R>> {
        if !self.keeps(index) {
            return None;
        }
        let columns = self.columns;
        let target = match self.targets {
            Targets::Labels(labels) if is_ignored(self.ignored, labels[index]) => return None,
            Targets::Labels(labels) => Target::Label(labels[index] as usize),
            Targets::Dense(dense) => Target::Dense(&dense[index * columns..][..columns]),
        };
        let mask = if self.class_mask.len() > columns {
            &self.class_mask[index * columns..][..columns]
        } else {
            self.class_mask
        };
        let logits = &self.logits[index * columns..][..columns];
        let (class_weight, pos_weight) = (self.class_weight, self.pos_weight);
        Some(Row { logits, target, class_weight, pos_weight, class_mask: mask, padded })
    }
}

/// Whether a label leaves its row out. Labels are held in 32 bits, and one that does not fit stands as the lowest: so
/// does an ignored one, on the GPU too.
pub(crate) fn is_ignored(ignored: &[i64], label: i32) -> bool {
    ignored.iter().any(|&ignored| i32::try_from(ignored).unwrap_or(i32::MIN) == label)
}

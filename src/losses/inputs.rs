//! What the inputs of a loss are: names, roles, and what their numbers may be.

use serde::{Deserialize, Serialize};

use crate::cpu::real::Real;
use crate::templates::argument::{Argument, Domain, Input, Role};

/// The row-wise kernel holds this many ignored labels in its uniform.
pub(super) const MOST_IGNORED: usize = 16;

pub(super) const CLASS_WEIGHT: Input =
    Input { name: "class_weight", shape: "[classes]: weight of each class" };
pub(super) const POS_WEIGHT: Input =
    Input { name: "pos_weight", shape: "[classes]: weight of the positive side of each class" };
pub(super) const CLASS_MASK: Input =
    Input { name: "class_mask", shape: "[classes] or [rows, classes]: false leaves a class out" };

/// The inputs of the losses of one matrix of embeddings, each row of a label.
pub(super) const LABELLED_EMBEDDINGS: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[rows, columns]: an embedding in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "[rows]: a label for each",
        role: Role::Integers,
        domain: Domain::Real,
    },
];

/// How the targets of a two-class loss are written. Said by the caller, never guessed from the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// −1 and +1.
    #[default]
    Sign,
    /// 0 and 1, taken to −1 and +1.
    ZeroOne,
}

impl Labels {
    pub(super) fn constant(self) -> (&'static str, f64) {
        ("LABELS_ZERO_ONE", f64::from(u8::from(self == Labels::ZeroOne)))
    }

    pub(super) fn domain(self) -> Domain {
        if self == Labels::ZeroOne { Domain::ZeroOne } else { Domain::Sign }
    }

    #[inline(always)]
    pub(super) fn signed<R: Real>(self, truth: R) -> R {
        // As numbers, not as a branch: with one in it the loop over the elements is not vectorised (16.6 against 6 ms for 2²⁴).
        let (derivative, offset) = if self == Labels::ZeroOne { (2.0, 1.0) } else { (1.0, 0.0) };
        R::new(derivative) * truth - R::new(offset)
    }
}

//! The inputs of losses: names, roles, and domains.

use serde::{Deserialize, Serialize};

use crate::cpu::real::Real;
use crate::templates::argument::{Argument, Domain, Input, Role};

/// Maximum number of ignored labels, which the row-wise kernel stores in its uniform.
pub(super) const MOST_IGNORED: usize = 16;

pub(super) const CLASS_WEIGHT: Input =
    Input { name: "class_weight", shape: "[classes]: weight of each class" };
pub(super) const POS_WEIGHT: Input =
    Input { name: "pos_weight", shape: "[classes]: weight of the positive side of each class" };
pub(super) const CLASS_PRIOR: Input = Input {
    name: "class_prior",
    shape: "[classes]: how frequent each class is, as shares or counts",
};
pub(super) const EXPECTED_COUNT: Input = Input {
    name: "expected_count",
    shape: "[classes]: how often each class is expected in a sample",
};
pub(super) const NOISE: Input =
    Input { name: "noise", shape: "[items]: from 0 to 1 for each place of a list" };
pub(super) const ITEM_WEIGHT: Input = Input {
    name: "item_weight",
    shape: "[lists, items]: factor of the pairs in which the item is the higher one",
};
pub(super) const CLASS_MASK: Input =
    Input { name: "class_mask", shape: "[classes] or [rows, classes]: false leaves a class out" };

/// The inputs of losses over one matrix of embeddings with a label per row.
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
    REFERENCES,
    Argument {
        name: "reference_labels",
        shape: "[references]: a label for each",
        role: Role::OptionalIntegers,
        domain: Domain::Real,
    },
];

/// The inputs of losses of embeddings against proxies of the classes.
pub(super) const WITH_PROXIES: &[Argument] = &[
    Argument {
        name: "predictions",
        shape: "[rows, columns]: an embedding in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "proxies",
        shape: "[classes, columns]: a learned vector for each class",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "targets",
        shape: "[rows]: a class for each embedding",
        role: Role::Integers,
        domain: Domain::Class,
    },
];

/// A queue or a memory of embeddings beside those of the batch.
pub(super) const REFERENCES: Argument = Argument {
    name: "references",
    shape: "[references, columns]: embeddings that the rows are compared with",
    role: Role::OptionalDifferentiated,
    domain: Domain::Real,
};

/// The inputs of losses over two views of the same things.
pub(super) const TWO_VIEWS: &[Argument] = &[
    Argument {
        name: "first",
        shape: "[rows, columns]: an embedding in each row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
    Argument {
        name: "second",
        shape: "of the same shape: the other view in the same row",
        role: Role::Differentiated,
        domain: Domain::Real,
    },
];

/// Encoding of the targets of a two-class loss. Set by the caller, never inferred from the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// −1 and +1.
    #[default]
    Sign,
    /// 0 and 1, mapped to −1 and +1.
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
        // Arithmetic instead of a branch, which would prevent vectorisation of the loop over
        // elements (16.6 against 6 ms for 2²⁴).
        let (derivative, offset) = if self == Labels::ZeroOne { (2.0, 1.0) } else { (1.0, 0.0) };
        R::new(derivative) * truth - R::new(offset)
    }
}

//! From statistics to losses, each with its reason.

mod candidate;
mod labels;
mod lists;
mod network;
mod quantities;

pub(super) use labels::{of_classes, of_multilabel, of_ordinal, of_soft_labels};
pub(super) use lists::of_lists;
pub(super) use network::{network, optimizer};
pub(super) use quantities::{of_quantities, warnings};

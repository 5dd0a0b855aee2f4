//! Statistics of a target of classes.

use crate::advise::features::Features;
use crate::advise::neighbours::{Agreement, agreement};

/// Statistics of classes.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    /// Rows of the most frequent class over those of the rarest.
    pub(super) imbalance: f64,
    /// Rows of the rarest class, and its name.
    pub(super) fewest: usize,
    pub(super) rarest: String,
    pub(super) agreement: Option<Agreement>,
}

impl Classes {
    /// Of the rows' places among the named classes, none of which is without rows.
    pub(super) fn of(features: &Features, codes: &[usize], classes: &[(String, usize)]) -> Self {
        let rarest = classes.iter().min_by_key(|(_, rows)| *rows);
        let most = classes.iter().map(|(_, rows)| *rows).max().unwrap_or(0);
        let fewest = rarest.map_or(0, |(_, rows)| *rows);
        Classes {
            imbalance: most as f64 / fewest.max(1) as f64,
            fewest,
            rarest: rarest.map_or(String::new(), |(name, _)| name.clone()),
            agreement: agreement(features, codes, classes.len()),
        }
    }
}

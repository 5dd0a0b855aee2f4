//! From statistics to losses, each with its reason.

mod labels;
mod lists;
mod network;
mod quantities;

use serde_json::{Map, Value};

use crate::advise::advice::Candidate;

pub(super) use labels::{of_classes, of_multilabel, of_ordinal, of_soft_labels};
pub(super) use lists::of_lists;
pub(super) use network::{network, optimizer};
pub(super) use quantities::{of_quantities, warnings};

/// A loss, with what its predictions estimate and a metric that is consistent with it.
fn candidate(
    loss: &'static str,
    [estimates, metric]: [&'static str; 2],
    reason: impl Into<String>,
    source: &'static str,
) -> Candidate {
    Candidate {
        loss,
        options: Map::new(),
        scaled_options: Map::new(),
        balanced: false,
        pos_weight: Vec::new(),
        estimates,
        metric,
        reason: reason.into(),
        source,
        library_only: "",
    }
}

impl Candidate {
    /// An option without a unit.
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.options.insert(name.into(), value.clone());
        self.scaled_options.insert(name.into(), value);
        self
    }

    /// An option in the unit of the targets, of which a scaled target has `unit`.
    fn with_unit(mut self, name: &str, value: f64, unit: f64) -> Self {
        let scaled = if unit > 0.0 { value / unit } else { value };
        self.options.insert(name.into(), rounded(value).into());
        self.scaled_options.insert(name.into(), rounded(scaled).into());
        self
    }

    fn balanced(self) -> Self {
        Candidate { balanced: true, ..self }
    }
}

/// A number in three significant digits.
pub(super) fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// A share in percent, with three digits.
fn percent(share: f64) -> String {
    format!("{} %", crate::error::text::significant(100.0 * share, 3))
}

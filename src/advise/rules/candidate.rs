//! Making of a candidate, and its numbers.

use serde_json::{Map, Value};

use crate::advise::advice::Candidate;

/// A loss, with what its predictions estimate and a metric that is consistent with it.
pub(super) fn candidate(
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
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.options.insert(name.into(), value.clone());
        self.scaled_options.insert(name.into(), value);
        self
    }

    /// An option in the unit of the targets, of which a scaled target has `unit`.
    pub(super) fn with_unit(mut self, name: &str, value: f64, unit: f64) -> Self {
        let scaled = if unit > 0.0 { value / unit } else { value };
        self.options.insert(name.into(), rounded(value).into());
        self.scaled_options.insert(name.into(), rounded(scaled).into());
        self
    }

    pub(super) fn balanced(self) -> Self {
        Candidate { balanced: true, ..self }
    }
}

/// A number in three significant digits.
pub(super) fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// A share in percent, with three digits.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", crate::error::text::significant(100.0 * share, 3))
}

//! How long a search goes on.

/// How long a search goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Row-updates: rows times epochs, over all trials.
    RowUpdates(u64),
    /// Seconds; the search ends between two rungs, and the study says after how many.
    Seconds(f64),
    /// Rungs, over all brackets: what repeats a search that was limited by seconds.
    Rungs(usize),
}

impl Budget {
    pub(crate) fn in_words(self) -> String {
        match self {
            Budget::RowUpdates(updates) => format!("{updates} row-updates"),
            Budget::Seconds(seconds) => format!("{seconds} seconds"),
            Budget::Rungs(rungs) => format!("{rungs} rungs"),
        }
    }

    /// True if how far a search comes depends on the clock.
    pub(crate) fn is_timed(self) -> bool {
        matches!(self, Budget::Seconds(_))
    }
}

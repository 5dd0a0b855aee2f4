//! Kernel template of survival losses: lists of risk scores with times and events, each event
//! compared with the items still at risk.

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over events and those at risk.
pub trait Survival: Clone + Send + Sync {
    /// The share of the tied events that the risk set of the event of this rank among them leaves
    /// out.
    fn tied_share(&self, rank: f64, ties: f64) -> f64;
}

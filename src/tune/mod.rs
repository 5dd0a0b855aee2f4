//! The search for a loss, an optimizer, their options and a dense network: [`Tune`].
//!
//! Configurations are drawn from a [`Space`], first by a scrambled Sobol sequence, then by
//! tree-structured Parzen estimators, and compared by successive halving: all of a bracket are
//! trained a little, the best third three times as long, and so on. All are judged by one
//! [`Metric`] of predictions on rows that were held out, so that losses may differ. The first trial
//! is the default of `gradus train`; it is compared with at every rung, and only a configuration
//! that beats it on new splits with new seeds by more than a standard error replaces it
//! ([`Decision`]).
//!
//! The result is a function of rows, seed, options and budget: the same for any number of threads,
//! for a search that was ended and went on, and for several processes that share its trainings. The
//! study can be kept in a file of Optuna's format.

mod budget;
mod candidate;
mod decision;
mod halving;
mod importance;
mod journal;
mod metric;
mod networks;
mod parzen;
mod rows;
mod sampler;
mod space;
mod study;
#[cfg(test)]
mod tests;
mod worker;

pub use budget::Budget;
pub use candidate::Candidate;
pub use decision::{Decision, Finalist};
pub use halving::{Rung, State, Trial};
pub use importance::Importance;
pub use metric::Metric;
pub use space::{Configuration, Domain, Parameter, Space};
pub use study::{Tune, Tuned};

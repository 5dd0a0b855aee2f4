//! Schedules: the learning rate of each step.
//!
//! A new schedule needs an options struct with its rule in a file here, and a line in the list
//! below. Steps count from 0: updates, or epochs with [`crate::Fit::schedule_by_epoch`]. The rate
//! is uploaded with each step; changing it compiles nothing.
//!
//! ```
//! use gradus::schedules::{self, Cosine, Schedule};
//! let cosine = Cosine::new().learning_rate(0.1).steps(100_u64).minimum(0.0);
//! assert_eq!((cosine.rate(0), cosine.rate(50)), (0.1, 0.05));
//! let step = schedules::from_name("step", &serde_json::json!({"learning_rate": 0.1, "every": 7, "factor": 0.5}))?;
//! assert_eq!((step.rate(6), step.rate(7), step.rate(14)), (0.1, 0.05, 0.025));
//! # Ok::<(), gradus::Error>(())
//! ```

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::catalogue::OptionDoc;
use crate::{Error, Result};

mod cosine;
mod decay;
mod join;
mod plateau;
mod warmup;

pub use cosine::{Cosine, CosineRestarts};
pub use decay::{Constant, Exponential, Linear, MultiStep, Polynomial, Step};
pub use join::Join;
pub use plateau::{Mode, ReduceOnPlateau, ThresholdMode};
pub use warmup::{Anneal, OneCycle, Warmup, WarmupCosine};

/// Every schedule, by name.
pub static CATALOGUE: &[&Entry] = &[
    &decay::CONSTANT,
    &cosine::COSINE,
    &cosine::COSINE_RESTARTS,
    &decay::EXPONENTIAL,
    &join::ENTRY,
    &decay::LINEAR,
    &decay::MULTI_STEP,
    &warmup::ONE_CYCLE,
    &decay::POLYNOMIAL,
    &plateau::ENTRY,
    &decay::STEP,
    &warmup::WARMUP,
    &warmup::WARMUP_COSINE,
];

/// A catalogue entry.
#[derive(Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// One-line summary.
    pub summary: &'static str,
    /// The rate η of step t as a one-line formula; λ is the `learning_rate`.
    pub formula: &'static str,
    /// The options.
    pub options: &'static [OptionDoc],
    /// PyTorch equivalent.
    pub torch: &'static str,
    /// Keras equivalent.
    pub keras: &'static str,
    /// optax equivalent.
    pub optax: &'static str,
    /// Constructor from a JSON object of options; missing options take their defaults.
    pub make: fn(&Value) -> Result<Box<dyn Schedule>>,
}

/// State of a schedule that monitors a value; saved with the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    best: Option<f64>,
    /// Number of successive values without improvement.
    worse: u32,
    /// Remaining cooldown values, which are ignored.
    cooldown: u32,
    /// The rate after the reductions so far; `None` before the first.
    learning_rate: Option<f64>,
}

/// A learning rate for each step.
pub trait Schedule: Debug + Send + Sync {
    /// Its catalogue entry.
    fn entry(&self) -> &'static Entry;

    /// Its name.
    fn name(&self) -> &'static str {
        self.entry().name
    }

    /// Its options as a JSON object.
    fn options(&self) -> Value;

    /// Checks the options against their domains.
    ///
    /// # Errors
    /// [`Error::Option`] for the first value outside its domain.
    fn check(&self) -> Result<()>;

    /// The learning rate of a step, counted from 0.
    fn rate(&self, step: u64) -> f64;

    /// The learning rate of a step given the monitored values so far.
    fn rate_after(&self, step: u64, _watched: &Watched) -> f64 {
        self.rate(step)
    }

    /// Records the monitored value of an epoch: the validation loss, or the training loss without
    /// validation.
    fn observe(&self, _watched: &mut Watched, _value: f64) {}

    /// True if it uses the monitored value.
    fn monitors(&self) -> bool {
        false
    }
}

/// Aliases of schedules in other frameworks.
const ALSO: &[(&str, &str)] =
    &[("sequential", "join"), ("plateau", "reduce_on_plateau"), ("warmup_constant", "warmup")];

/// The catalogue entry of that name.
///
/// # Errors
/// [`Error::Unknown`] with the available names.
pub fn entry(name: &str) -> Result<&'static Entry> {
    let own = ALSO.iter().find(|(other, _)| *other == name).map_or(name, |(_, own)| own);
    let found = CATALOGUE.iter().copied().find(|entry| entry.name == own);
    found.ok_or_else(|| Error::unknown("schedule", name, CATALOGUE.iter().map(|entry| entry.name)))
}

/// The schedule of that name, with options from a JSON object (`null` for none).
///
/// # Errors
/// [`Error::Unknown`] for a name or an option that does not exist, [`Error::Option`] for a value
/// outside its domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Schedule>> {
    let schedule = (entry(name)?.make)(options)?;
    schedule.check()?;
    Ok(schedule)
}

/// Catalogue entry of an options struct: name, texts and constructor.
macro_rules! line {
    ($name:literal, $kind:ident, $summary:literal, $formula:literal, [$torch:literal, $keras:literal, $optax:literal]) => {
        $crate::nn::schedules::Entry {
            name: $name,
            summary: $summary,
            formula: $formula,
            options: $kind::OPTIONS,
            torch: $torch,
            keras: $keras,
            optax: $optax,
            make: |options| {
                Ok(Box::new($crate::catalogue::read::<$kind>($name, $kind::OPTIONS, options)?))
            },
        }
    };
}
pub(crate) use line;

/// Methods common to all schedules: entry, options and check. Some schedules define their own
/// check.
macro_rules! common {
    ($entry:ident) => {
        fn entry(&self) -> &'static Entry {
            &$entry
        }

        fn options(&self) -> Value {
            catalogue::write(self)
        }

        fn check(&self) -> Result<()> {
            $crate::catalogue::Options::check_domains(self)
        }
    };
}
pub(crate) use common;

/// Linear interpolation between two values at a fraction from 0 to 1.
fn between(from: f64, to: f64, share: f64) -> f64 {
    from + (to - from) * share
}

/// Half-cosine interpolation between two values at a fraction from 0 to 1.
fn half_wave(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Step t as a fraction of n steps; 1 beyond them and if n is 0.
fn share(step: u64, steps: u64) -> f64 {
    if step >= steps { 1.0 } else { step as f64 / steps as f64 }
}

#[cfg(test)]
mod tests;

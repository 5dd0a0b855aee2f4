//! The schedule trait, its catalogue entries, and the state of monitored values.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::catalogue::OptionDoc;

#[cfg(doc)]
use crate::Error;

/// One entry of the catalogue.
#[derive(Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// Purpose, in one line.
    pub summary: &'static str,
    /// The rate η of step t, in one line; λ is the `learning_rate`.
    pub formula: &'static str,
    /// The options.
    pub options: &'static [OptionDoc],
    /// The PyTorch equivalent.
    pub torch: &'static str,
    /// The Keras equivalent.
    pub keras: &'static str,
    /// The optax equivalent.
    pub optax: &'static str,
    /// Creates the schedule from a JSON object of options; missing options take their defaults.
    pub make: fn(&Value) -> Result<Box<dyn Schedule>>,
}

/// The state of a schedule that monitors a value; saved with a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    pub(super) best: Option<f64>,
    /// Number of consecutive values without improvement.
    pub(super) worse: u32,
    /// Remaining number of values to ignore after a reduction.
    pub(super) cooldown: u32,
    /// The rate after the reductions so far; `None` before the first.
    pub(super) learning_rate: Option<f64>,
}

/// A learning rate per step.
pub trait Schedule: Debug + Send + Sync {
    /// The schedule's catalogue entry.
    fn entry(&self) -> &'static Entry;

    /// The schedule's name.
    fn name(&self) -> &'static str {
        self.entry().name
    }

    /// The options as a JSON object.
    fn options(&self) -> Value;

    /// Checks the options against their domains.
    ///
    /// # Errors
    /// [`Error::Option`] with the first option outside its domain.
    fn check(&self) -> Result<()>;

    /// The learning rate of a step, counted from 0.
    fn rate(&self, step: u64) -> f64;

    /// The learning rate of a step, given the monitored values so far.
    fn rate_after(&self, step: u64, _watched: &Watched) -> f64 {
        self.rate(step)
    }

    /// Records the monitored value of an epoch: the validation loss, or the training loss without
    /// validation.
    fn observe(&self, _watched: &mut Watched, _value: f64) {}

    /// True if the rate depends on a monitored value.
    fn monitors(&self) -> bool {
        false
    }
}

/// The catalogue entry of an options struct: name, descriptions and constructor.
macro_rules! line {
    ($name:literal, $kind:ident, $summary:literal, $formula:literal, [$torch:literal, $keras:literal, $optax:literal]) => {
        $crate::nn::schedules::schedule::Entry {
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

/// The methods common to all schedules: entry, options and their check. Some schedules have an
/// additional check.
macro_rules! common {
    ($entry:ident) => {
        fn entry(&self) -> &'static $crate::nn::schedules::schedule::Entry {
            &$entry
        }

        fn options(&self) -> serde_json::Value {
            $crate::catalogue::write(self)
        }

        fn check(&self) -> $crate::Result<()> {
            $crate::catalogue::Options::check_domains(self)
        }
    };
}
pub(crate) use common;

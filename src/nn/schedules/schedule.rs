//! The trait of schedules, their entries in the list, and what a schedule remembers.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;
use crate::catalogue::OptionDoc;

#[cfg(doc)]
use crate::Error;

/// One entry of the list.
#[derive(Debug)]
pub struct Entry {
    /// The name.
    pub name: &'static str,
    /// What it is for, in one line.
    pub summary: &'static str,
    /// The rate η of step t, in one line; λ is the `learning_rate`.
    pub formula: &'static str,
    /// The options.
    pub options: &'static [OptionDoc],
    /// The same in PyTorch.
    pub torch: &'static str,
    /// The same in Keras.
    pub keras: &'static str,
    /// The same in optax.
    pub optax: &'static str,
    /// Makes it from a JSON object of options; what is left out takes its default.
    pub make: fn(&Value) -> Result<Box<dyn Schedule>>,
}

/// What a schedule that watches a value remembers of it; saved with a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    pub(super) best: Option<f64>,
    /// How many values in a row were no better.
    pub(super) worse: u32,
    /// How many values are still to be left alone.
    pub(super) cooldown: u32,
    /// The rate after the reductions so far; none before the first.
    pub(super) learning_rate: Option<f64>,
}

/// A learning rate for each step.
pub trait Schedule: Debug + Send + Sync {
    /// Its line in the list.
    fn entry(&self) -> &'static Entry;

    /// Its name.
    fn name(&self) -> &'static str {
        self.entry().name
    }

    /// Its options as a JSON object.
    fn options(&self) -> Value;

    /// Its options against their domains.
    ///
    /// # Errors
    /// [`Error::Option`] with the first one outside.
    fn check(&self) -> Result<()>;

    /// The learning rate of a step, counted from 0.
    fn rate(&self, step: u64) -> f64;

    /// The same after what it has seen of the watched value.
    fn rate_after(&self, step: u64, _watched: &Watched) -> f64 {
        self.rate(step)
    }

    /// Takes in the watched value of an epoch: the validation loss, or the training loss where nothing is validated.
    fn observe(&self, _watched: &mut Watched, _value: f64) {}

    /// Whether it goes by such a value.
    fn monitors(&self) -> bool {
        false
    }
}

/// The line of an options struct in the list: name, words, and how it is made.
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

/// What is the same in every schedule: its entry, its options, their check. Some have a check of their own besides.
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

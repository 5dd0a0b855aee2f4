//! Optimizers: how a parameter moves by its gradient.
//!
//! A new one is three things: a filling in `shaders/optimizers/`, a Rust file of the same stem here, a line in the list below. The
//! Rust file is the twin of the filling, written once over [`Real`]: at f64 it is the reference, at f32 the CPU's fast path. One
//! call moves all parameters of a model, which lie in one flat buffer; [`Segment`]s say how its parts are regularised.
//!
//! ```
//! use gradus::optimizers::{self, Optimizer, Segment};
//! let adam = optimizers::from_name("adam", &serde_json::json!({"learning_rate": 0.1}))?;
//! let (mut parameters, mut first, mut second) = ([1.0_f64], [0.0], [0.0]);
//! adam.update(&adam.step(1, 0.1), &[], &mut parameters, &[3.0], &mut first, &mut second)?;
//! assert!((parameters[0] - 0.9).abs() < 1e-8); // the first step is the learning rate, whatever the gradient's size
//! # Ok::<(), gradus::Error>(())
//! ```

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::{self, Entry, catalogue};
use crate::host::{parallel, simd};
use crate::real::Real;
use crate::{Error, Result};

mod clip;
mod sweep;

pub use clip::clip_factor;
use sweep::Slices;

catalogue! {
    /// Every optimizer, by name.
    pub static CATALOGUE: dyn Optimizer =
        adam::Adam,
        adamw::AdamW,
        gradient_descent::GradientDescent,
        rmsprop::RmsProp,
        sgd::Sgd;
}

#[cfg(test)]
mod tests;

/// What changes from step to step: the numbers of the shader's uniform `Step`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<R = f64> {
    /// The learning rate of this step.
    pub learning_rate: R,
    /// 1 − β₁ᵗ, or 1 where there is no β₁.
    pub correction_first: R,
    /// 1 − β₂ᵗ, or 1 where there is no β₂.
    pub correction_second: R,
    /// 1 in the first step, else 0.
    pub is_first: R,
}

impl Step {
    /// In another precision; the f32 form is what the shader reads.
    pub fn cast<R: Real>(&self) -> Step<R> {
        Step {
            learning_rate: R::new(self.learning_rate),
            correction_first: R::new(self.correction_first),
            correction_second: R::new(self.correction_second),
            is_first: R::new(self.is_first),
        }
    }
}

/// Consecutive parameters with the same regularisation R(w) = `l1` Σ|w| + `l2` Σw² (no ½ before `l2`, as Keras).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// The index behind its last parameter; the first segment starts at 0, each other where the one before ends.
    pub end: usize,
    /// The factor of Σ|w|.
    pub l1: f64,
    /// The factor of Σw².
    pub l2: f64,
}

/// What an optimizer remembers of one parameter; what it does not use stays 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct State<R> {
    pub first: R,
    pub second: R,
}

/// A parameter and its state after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update<R> {
    pub parameter: R,
    pub state: State<R>,
}

/// An optimizer with its options.
pub trait Optimizer: Debug + Send + Sync {
    /// Its line in the list: name, formula, filling.
    fn entry(&self) -> &'static Entry<dyn Optimizer>;

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

    /// The values of the filling's `override`s.
    fn constants(&self) -> Vec<(&'static str, f64)>;

    /// How many numbers it remembers of each parameter: 0, 1 or 2 buffers, all 0 at the start.
    fn states(&self) -> usize;

    /// The learning rate of its options, which a schedule may change.
    fn initial_learning_rate(&self) -> f64;

    /// Does it ask for the gradient of the whole data set in each step?
    fn whole_batch(&self) -> bool {
        false
    }

    /// The numbers of step `t`, counted from 1.
    fn step(&self, t: u64, learning_rate: f64) -> Step;

    /// One step at f32, on all cores; see [`dyn Optimizer::update`](trait.Optimizer.html#method.update).
    #[doc(hidden)]
    fn update_single(&self, step: &Step, segments: &[Segment], slices: Slices<'_, f32>);
    /// The same at f64, plainly.
    #[doc(hidden)]
    fn update_double(&self, step: &Step, segments: &[Segment], slices: Slices<'_, f64>);
}

impl dyn Optimizer + '_ {
    /// Moves all `parameters` by one step. `first` and `second` are the states; those above [`Optimizer::states`] may be empty.
    /// `segments` is empty without regularisation, else the last one ends with the parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length does not fit the parameters.
    pub fn update<R: Real>(
        &self,
        step: &Step,
        segments: &[Segment],
        parameters: &mut [R],
        gradients: &[R],
        first: &mut [R],
        second: &mut [R],
    ) -> Result<()> {
        self.update_scaled(step, segments, 1.0, parameters, gradients, first, second)
    }

    /// As [`update`](#method.update) with the gradient, penalties included, times `factor`, such as [`clip_factor`]
    /// gives it.
    ///
    /// # Errors
    /// As [`update`](#method.update).
    #[expect(clippy::too_many_arguments, reason = "as update, and a factor")]
    pub fn update_scaled<R: Real>(
        &self,
        step: &Step,
        segments: &[Segment],
        factor: f64,
        parameters: &mut [R],
        gradients: &[R],
        first: &mut [R],
        second: &mut [R],
    ) -> Result<()> {
        let length = parameters.len();
        self.check_length("gradients", length, gradients.len())?;
        let states = self.states();
        let (first, second) = (keep(first, states >= 1), keep(second, states >= 2));
        self.check_length("the first state", if states >= 1 { length } else { 0 }, first.len())?;
        self.check_length("the second state", if states >= 2 { length } else { 0 }, second.len())?;
        let ordered = segments.is_sorted_by_key(|segment| segment.end);
        let end = segments.last().map_or(length, |segment| segment.end);
        self.check_length("the segments", length, if ordered { end } else { usize::MAX })?;
        let slices = Slices { parameters, gradients, first, second, factor: R::new(factor) };
        match slices.into_single() {
            Ok(slices) => self.update_single(step, segments, slices),
            Err(slices) => {
                slices.into_double().into_iter().for_each(|slices| self.update_double(step, segments, slices))
            }
        }
        Ok(())
    }

    fn check_length(&self, name: &str, expected: usize, found: usize) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        Err(Error::Shape {
            operation: self.name().into(),
            found: format!("{name} have {found} elements"),
            allowed: format!("they must have {expected}, as the parameters ask for"),
        })
    }
}

/// The slice, or nothing of it.
fn keep<R>(values: &mut [R], needed: bool) -> &mut [R] {
    if needed { values } else { &mut [] }
}

/// The twin of a filling. The loops are those of the blanket [`Optimizer`].
pub(crate) trait Rule: Clone + Debug + Send + Sync + Serialize {
    const ENTRY: &'static Entry<dyn Optimizer>;
    const WHOLE_BATCH: bool = false;

    fn check_options(&self) -> Result<()>;
    fn constants(&self) -> Vec<(&'static str, f64)>;
    fn states(&self) -> usize;
    fn initial_learning_rate(&self) -> f64;

    /// (β₁, β₂), whose powers correct the running means; 0 where there is none.
    fn betas(&self) -> (f64, f64) {
        (0.0, 0.0)
    }

    /// One parameter, one step.
    fn update<R: Real>(&self, parameter: R, gradient: R, state: State<R>, step: &Step<R>) -> Update<R>;
}

impl<T: Rule> Optimizer for T {
    fn entry(&self) -> &'static Entry<dyn Optimizer> {
        T::ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn check(&self) -> Result<()> {
        self.check_options()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Rule::constants(self)
    }

    fn states(&self) -> usize {
        Rule::states(self)
    }

    fn initial_learning_rate(&self) -> f64 {
        Rule::initial_learning_rate(self)
    }

    fn whole_batch(&self) -> bool {
        T::WHOLE_BATCH
    }

    fn step(&self, t: u64, learning_rate: f64) -> Step {
        let (beta1, beta2) = self.betas();
        // βᵗ = e^(t ln β) for any t; 0 stays 0.
        let correction = |beta: f64| 1.0 - beta.powf(t as f64);
        Step {
            learning_rate,
            correction_first: correction(beta1),
            correction_second: correction(beta2),
            is_first: if t <= 1 { 1.0 } else { 0.0 },
        }
    }

    fn update_single(&self, step: &Step, segments: &[Segment], slices: Slices<'_, f32>) {
        let step = step.cast();
        slices.by_segment(segments, |penalty, slices| {
            slices.in_pieces(parallel::PIECE, &|slices: Slices<'_, f32>| {
                simd::dispatch(
                    #[inline(always)]
                    || slices.update_all(self, &step, penalty),
                );
            });
        });
    }

    fn update_double(&self, step: &Step, segments: &[Segment], slices: Slices<'_, f64>) {
        slices.by_segment(segments, |penalty, slices| slices.update_all(self, step, penalty));
    }
}

/// The list's line of that name.
///
/// # Errors
/// [`Error::Unknown`] with the names there are.
pub fn entry(name: &str) -> Result<&'static Entry<dyn Optimizer>> {
    catalogue::find("optimizer", CATALOGUE, name)
}

/// The optimizer of that name, with options from a JSON object (`null` for none); what is left out takes PyTorch's default.
///
/// # Errors
/// [`Error::Unknown`] for a name or an option that does not exist, [`Error::Option`] for a value outside its domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Optimizer>> {
    let optimizer = (entry(name)?.make)(options)?;
    optimizer.check()?;
    Ok(optimizer)
}

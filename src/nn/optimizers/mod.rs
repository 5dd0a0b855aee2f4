//! Optimizers: update rules for parameters.
//!
//! A new optimizer needs a WGSL file in `shaders/optimizers/`, a Rust file of the same name here,
//! and a line in the list below. The Rust file is the CPU implementation, written once over
//! [`Real`]: at f64 it is the reference, at f32 the fast CPU path. One call updates all parameters
//! of a model, which lie in one flat buffer; the [`ParameterSpan`]s are its tensors with their
//! regularisation.
//!
//! Most rules update each element independently, and on a GPU the whole model in one dispatch.
//! Per-tensor rules ([`Optimizer::per_tensor`]) compute a direction for each element; the kernel
//! template computes its norm and that of the parameters, and `apply_update` performs the update.
//!
//! ```
//! use gradus::optimizers::{self, Optimizer};
//! let adam = optimizers::from_name("adam", &serde_json::json!({"learning_rate": 0.1}))?;
//! let (mut parameters, mut states) = ([1.0_f64], adam.first_states(1));
//! adam.update(&adam.step(1, 0.1), &[], &mut parameters, &[3.0], &mut states)?;
//! assert!((parameters[0] - 0.9).abs() < 1e-8); // the first step is the learning rate, whatever the gradient's size
//! # Ok::<(), gradus::Error>(())
//! ```

pub(crate) mod update;

use std::fmt::Debug;

use serde_json::Value;

use crate::catalogue;
use crate::catalogue::{Entry, catalogue};
use crate::cpu::real::Real;
use crate::runtime::adaptor::{adaptor, options};
use crate::runtime::pipeline::Program;
use crate::{Error, Result};

mod clip;
mod per_tensor;
mod rule;
mod step;
mod sweep;

pub use clip::{Clip, Factors, clip_factor};
use rule::{Layer, Rule, State, Update};
pub use step::{GradientTransform, NewtonSchulz, ParameterSpan, PerTensor, Step};
use sweep::InOnePrecision;
pub(crate) use sweep::{Rows, Slices};

/// Largest number of states of an optimizer.
pub const MOST_STATES: usize = 4;

catalogue! {
    /// Every optimizer, by name.
    pub static CATALOGUE: dyn Optimizer =
        adabelief::AdaBelief,
        adadelta::Adadelta,
        adafactor::Adafactor,
        adagrad::Adagrad,
        adam::Adam,
        adamax::Adamax,
        adamw::AdamW,
        adan::Adan,
        gradient_descent::GradientDescent,
        lamb::Lamb,
        lion::Lion,
        muon::Muon,
        nadam::NAdam,
        radam::RAdam,
        rmsprop::RmsProp,
        schedule_free_adamw::ScheduleFreeAdamW,
        schedule_free_sgd::ScheduleFreeSgd,
        sgd::Sgd,
        yogi::Yogi;
}

#[cfg(test)]
mod tests;

/// Function that the kernel templates require from every optimizer.
pub(crate) const UPDATE: &str =
    "fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update";
/// Function that they also require from per-tensor optimizers.
const APPLY_UPDATE: &str =
    "fn apply_update(parameter: f32, direction: f32, layer: Layer, step: Step) -> f32";

/// Links an optimizer into a program: its file, its adaptor and its options.
pub(crate) fn link(program: &mut Program, optimizer: &dyn Optimizer) {
    let shader = optimizer.entry().shader;
    let interface: &[&str] =
        if optimizer.per_tensor().is_some() { &[UPDATE, APPLY_UPDATE] } else { &[UPDATE] };
    program.header += &adaptor(&shader, interface);
    program.files.push(shader);
    program.constants.extend(options(&shader, optimizer.constants()));
}

/// An optimizer with its options.
pub trait Optimizer: Debug + Send + Sync {
    /// Its catalogue entry: name, formula, WGSL file.
    fn entry(&self) -> &'static Entry<dyn Optimizer>;

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

    /// Values of the WGSL file's `override`s.
    fn constants(&self) -> Vec<(&'static str, f64)>;

    /// Number of states per parameter, at most [`MOST_STATES`].
    fn states(&self) -> usize;

    /// Initial value of each state.
    fn initial_states(&self) -> [f64; MOST_STATES];

    /// State that holds the weights to predict with, if these are not the parameters themselves.
    fn averaged_state(&self) -> Option<usize>;

    /// Requirements of a per-tensor rule; none for an elementwise rule.
    fn per_tensor(&self) -> Option<PerTensor>;

    /// Learning rate from the options, which a schedule may change.
    fn initial_learning_rate(&self) -> f64;

    /// True if each step needs the gradient of the whole data set.
    fn whole_batch(&self) -> bool {
        false
    }

    /// The numbers of step `t`, counted from 1.
    fn step(&self, t: u64, learning_rate: f64) -> Step;

    /// One step at f32, on all cores; see [`dyn
    /// Optimizer::update`](trait.Optimizer.html#method.update).
    #[doc(hidden)]
    fn update_single(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, f32>,
    );
    /// The same at f64, single-threaded.
    #[doc(hidden)]
    fn update_double(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, f64>,
    );
    /// One step at f32 on successive rows, for elementwise rules.
    #[doc(hidden)]
    fn update_rows_single(&self, step: &Step, rows: &mut dyn Rows<f32>);
    /// The same at f64.
    #[doc(hidden)]
    fn update_rows_double(&self, step: &Step, rows: &mut dyn Rows<f64>);
}

impl dyn Optimizer + '_ {
    /// Initial states for `length` parameters.
    pub fn first_states<R: Real>(&self, length: usize) -> Vec<Vec<R>> {
        self.initial_states()
            .iter()
            .take(self.states())
            .map(|&value| vec![R::new(value); length])
            .collect()
    }

    /// Updates all `parameters` by one step. `states` holds at least [`Optimizer::states`] states.
    /// `spans` may be empty if nothing is regularised and the rule is not per-tensor; otherwise the
    /// last span ends with the parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length does not match the parameters.
    pub fn update<R: Real>(
        &self,
        step: &Step,
        spans: &[ParameterSpan],
        parameters: &mut [R],
        gradients: &[R],
        states: &mut [Vec<R>],
    ) -> Result<()> {
        let gradient_transform = GradientTransform { spans, ..GradientTransform::default() };
        self.update_transformed(step, &gradient_transform, parameters, gradients, states).map(drop)
    }

    /// Like [`update`](#method.update) with the gradient clipped; false if the step was skipped.
    ///
    /// # Errors
    /// See [`update`](#method.update).
    pub fn update_transformed<R: Real>(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        parameters: &mut [R],
        gradients: &[R],
        states: &mut [Vec<R>],
    ) -> Result<bool> {
        let length = parameters.len();
        self.check_length("gradients", length, gradients.len())?;
        for place in 0..self.states() {
            let found = states.get(place).map_or(0, Vec::len);
            self.check_length(&format!("state {} of {}", place + 1, self.states()), length, found)?;
        }
        let spans = gradient_transform.spans;
        let ordered = spans.is_sorted_by_key(|span| span.end);
        let end = spans.last().map_or(length, |span| span.end);
        self.check_length("the segments", length, if ordered { end } else { usize::MAX })?;
        if gradient_transform.skip_non_finite
            && !gradients.iter().all(|gradient| gradient.is_finite())
        {
            return Ok(false);
        }
        let factors = Factors::new(gradient_transform.clip, spans, parameters, gradients);
        let mut slices: [&mut [R]; MOST_STATES] = Default::default();
        for (slot, state) in slices.iter_mut().zip(states).take(self.states()) {
            *slot = state.as_mut_slice();
        }
        self.update_slices(
            step,
            gradient_transform,
            &factors,
            Slices { parameters, gradients, states: slices },
        );
        Ok(true)
    }

    /// One step on successive rows, for elementwise rules.
    pub(crate) fn update_rows<R: Real>(&self, step: &Step, rows: &mut dyn Rows<R>) {
        match R::as_single(&[]) {
            Some(_) => self.update_rows_single(step, &mut InOnePrecision(rows)),
            None => self.update_rows_double(step, &mut InOnePrecision(rows)),
        }
    }

    fn update_slices<R: Real>(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, R>,
    ) {
        match slices.into_single() {
            Ok(slices) => self.update_single(step, gradient_transform, factors, slices),
            Err(slices) => {
                let update = |slices| self.update_double(step, gradient_transform, factors, slices);
                slices.into_double().into_iter().for_each(update);
            }
        }
    }

    fn check_length(&self, name: &str, expected: usize, found: usize) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        Err(Error::Shape {
            operation: self.name().into(),
            found: format!("{name}: {found} elements"),
            allowed: format!("they must have {expected}, as the parameters ask for"),
        })
    }
}

/// The catalogue entry of that name.
///
/// # Errors
/// [`Error::Unknown`] with the available names.
pub fn entry(name: &str) -> Result<&'static Entry<dyn Optimizer>> {
    catalogue::find("optimizer", CATALOGUE, name)
}

/// The optimizer of that name, with options from a JSON object (`null` for none); missing options
/// take PyTorch's defaults.
///
/// # Errors
/// [`Error::Unknown`] for a name or an option that does not exist, [`Error::Option`] for a value
/// outside its domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Optimizer>> {
    let optimizer = (entry(name)?.make)(options)?;
    optimizer.check()?;
    Ok(optimizer)
}

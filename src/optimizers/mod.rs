//! Optimizers: how a parameter moves by its gradient.
//!
//! A new one is three things: a filling in `shaders/optimizers/`, a Rust file of the same stem here, a line in the list below. The
//! Rust file is the twin of the filling, written once over [`Real`]: at f64 it is the reference, at f32 the CPU's fast path. One
//! call moves all parameters of a model, which lie in one flat buffer; [`Segment`]s are its tensors, with how they are regularised.
//!
//! Most rules move each element by itself, and on a GPU all of a model in one dispatch. A few look at a whole tensor
//! ([`Optimizer::layerwise`]): their filling gives a direction for each element, the frame its norm and that of the
//! parameters, and `settle` makes the move of it.
//!
//! ```
//! use gradus::optimizers::{self, Optimizer};
//! let adam = optimizers::from_name("adam", &serde_json::json!({"learning_rate": 0.1}))?;
//! let (mut parameters, mut states) = ([1.0_f64], adam.first_states(1));
//! adam.update(&adam.step(1, 0.1), &[], &mut parameters, &[3.0], &mut states)?;
//! assert!((parameters[0] - 0.9).abs() < 1e-8); // the first step is the learning rate, whatever the gradient's size
//! # Ok::<(), gradus::Error>(())
//! ```

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::{self, Entry, Options, catalogue};
use crate::host::{parallel, simd};
use crate::real::Real;
use crate::{Error, Result};

mod clip;
mod layerwise;
mod sweep;

pub use clip::{Clip, Factors, clip_factor};
use sweep::Frame;
pub(crate) use sweep::Slices;

/// States of an optimizer at the most.
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
    /// Numbers that the rule itself makes of the step: see its file.
    pub own: [R; 3],
    /// 1 where a rule that looks at whole tensors is at a matrix; set by the frame.
    pub is_matrix: R,
}

impl Step {
    /// In another precision; the f32 form is what the shader reads.
    pub fn cast<R: Real>(&self) -> Step<R> {
        Step {
            learning_rate: R::new(self.learning_rate),
            correction_first: R::new(self.correction_first),
            correction_second: R::new(self.correction_second),
            is_first: R::new(self.is_first),
            own: self.own.map(R::new),
            is_matrix: R::new(self.is_matrix),
        }
    }
}

impl Step<f32> {
    /// As the shader's uniform holds it.
    pub(crate) fn words(&self) -> [f32; 8] {
        let [a, b, c] = self.own;
        [self.learning_rate, self.correction_first, self.correction_second, self.is_first, a, b, c, self.is_matrix]
    }
}

/// A tensor among the parameters, and its regularisation R(w) = `l1` Σ|w| + `l2` Σw² (no ½ before `l2`, as Keras).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Segment {
    /// The index behind its last parameter; the first segment starts at 0, each other where the one before ends.
    pub end: usize,
    /// The factor of Σ|w|.
    pub l1: f64,
    /// The factor of Σw².
    pub l2: f64,
    /// The factor λ of Σ|w| that is taken as a proximal step behind the update: w ← sign(w) max(|w| − lr λ, 0), with exact zeros.
    pub proximal: f64,
    /// Columns of the matrix that it is, row-major; 0 for a vector.
    pub columns: usize,
    /// Elements at its end that belong to no tensor.
    pub padding: usize,
}

impl Segment {
    /// Whether anything is added to its loss.
    pub fn is_regularized(&self) -> bool {
        self.l1 != 0.0 || self.l2 != 0.0 || self.proximal != 0.0
    }

    /// Rows and columns of so many elements; a vector is one column.
    pub(crate) fn shape(&self, length: usize) -> [usize; 2] {
        let columns = self.columns.max(1);
        [length / columns, columns]
    }
}

/// What an optimizer remembers of one parameter; what it does not use stays 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct State<R> {
    pub first: R,
    pub second: R,
    pub third: R,
    pub fourth: R,
}

impl<R: Real> State<R> {
    pub fn zero() -> Self {
        State { first: R::ZERO, second: R::ZERO, third: R::ZERO, fourth: R::ZERO }
    }
}

/// A parameter and its state after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update<R> {
    pub parameter: R,
    pub state: State<R>,
}

/// What a rule that looks at whole tensors is told of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Layer<R> {
    /// √Σw².
    pub parameter_norm: R,
    /// √Σd² of its direction.
    pub direction_norm: R,
    pub rows: R,
    /// 1 for a vector.
    pub columns: R,
}

/// What a rule asks of the frame besides the norms of each tensor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Layerwise {
    /// Of a matrix, means of the squares by row and by column are kept instead of a state for each element.
    pub(crate) factored: bool,
    /// The direction of a matrix is made orthogonal.
    pub(crate) orthogonal: Option<NewtonSchulz>,
}

/// Newton–Schulz's iteration: X ← a X + (b A + c A²) X with A = X Xᵀ, which draws every singular value towards 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NewtonSchulz {
    pub(crate) steps: u32,
    /// a, b, c.
    pub(crate) coefficients: [f64; 3],
    /// The least norm that the matrix is divided by at first.
    pub(crate) epsilon: f64,
}

/// What happens to a gradient before the rule sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Treatment<'a> {
    /// The tensors; empty where nothing depends on them.
    pub segments: &'a [Segment],
    /// How it is cut, if it is.
    pub clip: Option<Clip>,
    /// Whether a step whose gradient is not finite is left out.
    pub skip_non_finite: bool,
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

    /// How many numbers it remembers of each parameter, [`MOST_STATES`] at the most.
    fn states(&self) -> usize;

    /// What each state begins with.
    fn initial_states(&self) -> [f64; MOST_STATES];

    /// Which of the states holds the weights to predict with, where that is not the parameters themselves.
    fn averaged_state(&self) -> Option<usize>;

    /// What it asks of whole tensors; none for a rule that moves each element by itself.
    fn layerwise(&self) -> Option<Layerwise>;

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
    fn update_single(&self, step: &Step, treatment: &Treatment, factors: &Factors, slices: Slices<'_, f32>);
    /// The same at f64, plainly.
    #[doc(hidden)]
    fn update_double(&self, step: &Step, treatment: &Treatment, factors: &Factors, slices: Slices<'_, f64>);
}

impl dyn Optimizer + '_ {
    /// The states that training begins with, for so many parameters.
    pub fn first_states<R: Real>(&self, length: usize) -> Vec<Vec<R>> {
        self.initial_states().iter().take(self.states()).map(|&value| vec![R::new(value); length]).collect()
    }

    /// Moves all `parameters` by one step. `states` are [`Optimizer::states`] of them, or more. `segments` may be empty where
    /// nothing is regularised and no tensor is looked at as a whole, else the last one ends with the parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] if a length does not fit the parameters.
    pub fn update<R: Real>(
        &self,
        step: &Step,
        segments: &[Segment],
        parameters: &mut [R],
        gradients: &[R],
        states: &mut [Vec<R>],
    ) -> Result<()> {
        let treatment = Treatment { segments, ..Treatment::default() };
        self.update_treated(step, &treatment, parameters, gradients, states).map(drop)
    }

    /// As [`update`](#method.update) with the gradient clipped; false where the step was skipped.
    ///
    /// # Errors
    /// As [`update`](#method.update).
    pub fn update_treated<R: Real>(
        &self,
        step: &Step,
        treatment: &Treatment,
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
        let segments = treatment.segments;
        let ordered = segments.is_sorted_by_key(|segment| segment.end);
        let end = segments.last().map_or(length, |segment| segment.end);
        self.check_length("the segments", length, if ordered { end } else { usize::MAX })?;
        if treatment.skip_non_finite && !gradients.iter().all(|gradient| gradient.is_finite()) {
            return Ok(false);
        }
        let factors = Factors::new(treatment.clip, segments, parameters, gradients);
        let mut slices: [&mut [R]; MOST_STATES] = Default::default();
        for (slot, state) in slices.iter_mut().zip(states).take(self.states()) {
            *slot = state.as_mut_slice();
        }
        self.update_slices(step, treatment, &factors, Slices { parameters, gradients, states: slices });
        Ok(true)
    }

    /// One step on a few of the parameters, by a rule that moves each element by itself.
    pub(crate) fn update_part<R: Real>(&self, step: &Step, slices: Slices<'_, R>) {
        self.update_slices(step, &Treatment::default(), &Factors::One(1.0), slices);
    }

    fn update_slices<R: Real>(&self, step: &Step, treatment: &Treatment, factors: &Factors, slices: Slices<'_, R>) {
        match slices.into_single() {
            Ok(slices) => self.update_single(step, treatment, factors, slices),
            Err(slices) => {
                let update = |slices| self.update_double(step, treatment, factors, slices);
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

/// The twin of a filling. The loops are those of the blanket [`Optimizer`].
pub(crate) trait Rule: Options + Clone + Debug + Send + Sync + Serialize {
    const ENTRY: &'static Entry<dyn Optimizer>;
    const WHOLE_BATCH: bool = false;

    /// The options against their domains, and against each other where that matters.
    fn check_options(&self) -> Result<()> {
        self.check_domains()
    }

    fn constants(&self) -> Vec<(&'static str, f64)>;
    fn states(&self) -> usize;
    fn initial_learning_rate(&self) -> f64;

    fn initial_states(&self) -> [f64; MOST_STATES] {
        [0.0; MOST_STATES]
    }

    fn averaged_state(&self) -> Option<usize> {
        None
    }

    fn layerwise(&self) -> Option<Layerwise> {
        None
    }

    /// (β₁, β₂), whose powers correct the running means; 0 where there is none.
    fn betas(&self) -> (f64, f64) {
        (0.0, 0.0)
    }

    /// The learning rate of step `t`, where the rule has a part in it.
    fn learning_rate_at(&self, _t: u64, learning_rate: f64) -> f64 {
        learning_rate
    }

    /// The numbers of step `t` that are the rule's own.
    fn own_numbers(&self, _t: u64, _learning_rate: f64) -> [f64; 3] {
        [0.0; 3]
    }

    /// One parameter, one step. A rule that looks at whole tensors gives back its direction in the place of the parameter.
    fn update<R: Real>(&self, parameter: R, gradient: R, state: State<R>, step: &Step<R>) -> Update<R>;

    /// The parameter moved along its direction, by a rule that looks at whole tensors.
    fn settle<R: Real>(&self, parameter: R, direction: R, _layer: &Layer<R>, step: &Step<R>) -> R {
        parameter - step.learning_rate * direction
    }
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

    fn initial_states(&self) -> [f64; MOST_STATES] {
        Rule::initial_states(self)
    }

    fn averaged_state(&self) -> Option<usize> {
        Rule::averaged_state(self)
    }

    fn layerwise(&self) -> Option<Layerwise> {
        Rule::layerwise(self)
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
            learning_rate: self.learning_rate_at(t, learning_rate),
            correction_first: correction(beta1),
            correction_second: correction(beta2),
            is_first: if t <= 1 { 1.0 } else { 0.0 },
            own: self.own_numbers(t, learning_rate),
            is_matrix: 0.0,
        }
    }

    fn update_single(&self, step: &Step, treatment: &Treatment, factors: &Factors, slices: Slices<'_, f32>) {
        let (step, limit) = (step.cast(), value_limit(treatment.clip));
        slices.by_segment(treatment.segments, |number, segment, slices| {
            let frame = Frame::of(segment, factors.of(number), limit);
            if Rule::layerwise(self).is_some() {
                return layerwise::update(self, &step, &frame, segment, slices);
            }
            slices.in_pieces(parallel::PIECE, &|slices: Slices<'_, f32>| {
                simd::dispatch(
                    #[inline(always)]
                    || slices.update_all(self, &step, &frame),
                );
            });
        });
    }

    fn update_double(&self, step: &Step, treatment: &Treatment, factors: &Factors, slices: Slices<'_, f64>) {
        let limit = value_limit(treatment.clip);
        slices.by_segment(treatment.segments, |number, segment, slices| {
            let frame = Frame::of(segment, factors.of(number), limit);
            match Rule::layerwise(self) {
                Some(_) => layerwise::update(self, step, &frame, segment, slices),
                None => slices.update_all(self, step, &frame),
            }
        });
    }
}

fn value_limit(clip: Option<Clip>) -> f64 {
    match clip {
        Some(Clip::Value(limit)) => limit,
        _ => f64::INFINITY,
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

//! The optimizer trait, used by training.

use std::fmt::Debug;

use serde_json::Value;

use crate::catalogue::Entry;
use crate::cpu::real::{ByPrecision, Real};
use crate::nn::optimizers::clip::Factors;
use crate::nn::optimizers::slices::{MOST_STATES, Rows, RowsOf, Slices, SlicesOf};
use crate::nn::optimizers::span::ParameterSpan;
use crate::nn::optimizers::step::{GradientTransform, PerTensor, Step};
use crate::{Error, Result};

/// An optimizer with its options.
pub trait Optimizer: Debug + Send + Sync {
    /// The catalogue entry: name, formula, shader.
    fn entry(&self) -> &'static Entry<dyn Optimizer>;

    /// The optimizer's name.
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

    /// Values of the shader's `override`s.
    fn constants(&self) -> Vec<(&'static str, f64)>;

    /// Number of states per parameter, at most [`MOST_STATES`].
    fn states(&self) -> usize;

    /// The initial value of each state.
    fn initial_states(&self) -> [f64; MOST_STATES];

    /// Index of the state that holds the weights used for prediction; `None` if the parameters are
    /// used.
    fn averaged_state(&self) -> Option<usize>;

    /// The requirements of a per-tensor rule; `None` for an elementwise rule.
    fn per_tensor(&self) -> Option<PerTensor>;

    /// The learning rate in the options, which a schedule may change.
    fn initial_learning_rate(&self) -> f64;

    /// The same rule without weight decay; `None` if it has none.
    ///
    /// # Errors
    /// As the rule's options; none for a rule of the catalogue.
    fn without_decay(&self) -> Result<Option<Box<dyn Optimizer>>> {
        let mut options = self.options();
        let decay = options.get_mut("weight_decay").filter(|decay| decay.as_f64() != Some(0.0));
        let Some(decay) = decay else { return Ok(None) };
        *decay = Value::from(0.0);
        (self.entry().make)(&options).map(Some)
    }

    /// True if each step needs the gradient of the whole data set.
    fn whole_batch(&self) -> bool {
        false
    }

    /// The numbers of step `t`, counted from 1.
    fn step(&self, t: u64, learning_rate: f64) -> Step;

    /// One f32 step, on all cores; see
    /// [`dyn Optimizer::update`](trait.Optimizer.html#method.update).
    #[doc(hidden)]
    fn update_single(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, f32>,
    );
    /// One f64 step, with plain loops.
    #[doc(hidden)]
    fn update_double(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, f64>,
    );
    /// One f32 step on successive rows, for elementwise rules.
    #[doc(hidden)]
    fn update_rows_single(&self, step: &Step, rows: &mut dyn Rows<f32>);
    /// One f64 step on successive rows.
    #[doc(hidden)]
    fn update_rows_double(&self, step: &Step, rows: &mut dyn Rows<f64>);
}

/// A rule without weight decay; spans for the rule with it and for the one without.
pub(crate) type Passes = (Box<dyn Optimizer>, [Vec<ParameterSpan>; 2]);

/// True if all gradients are finite; those of frozen spans are not read.
fn is_finite<R: Real>(spans: &[ParameterSpan], gradients: &[R]) -> bool {
    let mut start = 0;
    let frozen = spans.iter().map(|span| {
        let range = start..span.end;
        start = span.end;
        (range, span.is_frozen())
    });
    let rest = spans.last().map_or(0, |span| span.end)..gradients.len();
    frozen
        .chain([(rest, false)])
        .filter(|(_, is_frozen)| !is_frozen)
        .all(|(range, _)| gradients[range].iter().all(|gradient| gradient.is_finite()))
}

impl dyn Optimizer + '_ {
    /// The initial states of a given number of parameters.
    pub fn first_states<R: Real>(&self, length: usize) -> Vec<Vec<R>> {
        self.initial_states()
            .iter()
            .take(self.states())
            .map(|&value| vec![R::new(value); length])
            .collect()
    }

    /// Applies one step to all `parameters`. `states` holds at least [`Optimizer::states`] vectors
    /// of the same length. `spans` may be empty if nothing is regularised and the rule is
    /// elementwise; otherwise the last span ends with the parameters.
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

    /// As [`update`](#method.update), with a gradient transform; returns false if the step was
    /// skipped.
    ///
    /// # Errors
    /// As [`update`](#method.update).
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
        if gradient_transform.skip_non_finite && !is_finite(spans, gradients) {
            return Ok(false);
        }
        let factors = Factors::new(gradient_transform.clip, spans, parameters, gradients);
        let mut slices: [&mut [R]; MOST_STATES] = Default::default();
        for (slot, state) in slices.iter_mut().zip(states).take(self.states()) {
            *slot = state.as_mut_slice();
        }
        let Some((without, [decaying, plain])) = self.passes(spans)? else {
            let slices = Slices { parameters, gradients, states: slices };
            self.update_slices(step, gradient_transform, &factors, slices);
            return Ok(true);
        };
        let [first, second, third, fourth] = &mut slices;
        let states: [&mut [R]; MOST_STATES] = [first, second, third, fourth];
        let slices_of_decaying = Slices { parameters: &mut *parameters, gradients, states };
        let transform = GradientTransform { spans: &decaying, ..*gradient_transform };
        self.update_slices(step, &transform, &factors, slices_of_decaying);
        let transform = GradientTransform { spans: &plain, ..*gradient_transform };
        let slices = Slices { parameters, gradients, states: slices };
        without.update_slices(step, &transform, &factors, slices);
        Ok(true)
    }

    /// If weight decay leaves out some spans: the rule without it, and the spans of two passes. In
    /// the first, of this rule, the spans without decay are frozen; in the second the others are.
    pub(crate) fn passes(&self, spans: &[ParameterSpan]) -> Result<Option<Passes>> {
        if spans.iter().all(|span| span.decays) {
            return Ok(None);
        }
        let Some(without) = self.without_decay()? else { return Ok(None) };
        let of = |decays: bool| {
            let rate = |span: &ParameterSpan| if span.decays == decays { span.rate } else { 0.0 };
            spans.iter().map(|span| ParameterSpan { rate: rate(span), ..*span }).collect()
        };
        Ok(Some((without, [of(true), of(false)])))
    }

    /// One step on successive rows, for elementwise rules.
    pub(crate) fn update_rows<R: Real>(&self, step: &Step, rows: &mut dyn Rows<R>) {
        match R::by_precision::<RowsOf>(rows) {
            ByPrecision::Single(rows) => self.update_rows_single(step, rows),
            ByPrecision::Double(rows) => self.update_rows_double(step, rows),
        }
    }

    pub(super) fn update_slices<R: Real>(
        &self,
        step: &Step,
        gradient_transform: &GradientTransform,
        factors: &Factors,
        slices: Slices<'_, R>,
    ) {
        match R::by_precision::<SlicesOf>(slices) {
            ByPrecision::Single(slices) => {
                self.update_single(step, gradient_transform, factors, slices)
            }
            ByPrecision::Double(slices) => {
                self.update_double(step, gradient_transform, factors, slices)
            }
        }
    }

    pub(super) fn check_length(&self, name: &str, expected: usize, found: usize) -> Result<()> {
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

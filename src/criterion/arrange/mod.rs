//! Inputs in shapes that no template takes: classes on another axis than the last, arrays that
//! NumPy's rule repeats, a batch without rows.
//!
//! Such inputs are brought into the shapes of the templates before a call, and the gradients back
//! into the shapes that were given. Both cost a copy; other calls only a comparison of shapes.

mod axes;
pub(super) mod empty;
mod templates;
pub(super) mod weights;

use ndarray::{ArrayD, Axis};

use crate::cpu::real::Real;
use crate::criterion::arrange::axes::{from_end, of_targets, summed, with_axis};
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::Evaluation;
use crate::criterion::inputs::Inputs;
use crate::criterion::probabilities::{LogDerivatives, Probabilities};
use crate::criterion::reduction::Reduction;
use crate::runtime::tensor::shaped;
use crate::templates::definition::{OneInput, SeveralInputs, Template};
use crate::{Error, Result};

/// What has to be copied for a call, and the way back.
#[derive(Default)]
pub(super) struct Arrangement {
    numbers: Vec<(&'static str, ArrayD<f32>)>,
    /// The same of inputs that were f64, for the reference device.
    exact: Vec<(&'static str, ArrayD<f64>)>,
    labels: Vec<(&'static str, ArrayD<i64>)>,
    weight: Option<ArrayD<f32>>,
    upstream: Option<ArrayD<f32>>,
    /// The axes of rows that became one.
    rows: Option<Vec<usize>>,
    mask: Option<ArrayD<bool>>,
    class_mask: Option<ArrayD<bool>>,
    /// The axis of the predictions that was moved to the end.
    moved: Option<usize>,
    /// Inputs with a gradient that were repeated, and the shapes that they came in.
    repeated: Vec<(&'static str, Vec<usize>)>,
    /// An axis of length 1 that a single row was given: its position in the inputs. The values have
    /// it in front.
    row_axis: Option<usize>,
    /// The way from the gradient of logarithms to that of predictions that were probabilities.
    derivatives: Option<LogDerivatives>,
    /// The label of a row without an axis of rows was [1], and so is its value.
    is_single_label: bool,
    /// The weight became another input.
    drops_weight: bool,
}

impl Arrangement {
    /// What the inputs of a call need; `None` if its template takes them as they are.
    pub(super) fn of(criterion: &Criterion, inputs: &Inputs) -> Result<Option<Self>> {
        let loss = &*criterion.loss;
        let mut found = Arrangement::default();
        let template = loss.template();
        check_options(criterion)?;
        match template {
            Template::OneInput(OneInput::Rowwise(_)) => found.of_classes(criterion, inputs)?,
            Template::OneInput(OneInput::Pointwise(_)) => found.of_elements(loss, inputs)?,
            Template::Several(SeveralInputs::TwoInput, _) => found.of_pairs(loss, inputs)?,
            Template::Several(SeveralInputs::Distance, _) => found.of_vectors(loss, inputs),
            Template::Several(SeveralInputs::Sequence { .. }, _) => found.of_sequences(inputs),
            Template::OneInput(OneInput::Listwise(_)) => found.of_scalars(inputs),
            _ => (),
        }
        found.of_items(loss, inputs)?;
        if criterion.from_probabilities {
            found.of_probabilities(loss, inputs)?;
        }
        if let Some(upstream) = inputs.upstream.as_ref()
            && criterion.reduction == Reduction::None
        {
            if found.row_axis.is_some() && upstream.ndim() == 0 {
                found.upstream = Some(with_axis(upstream, 0));
            } else if found.is_single_label && upstream.shape() == [1] {
                found.upstream = Some(upstream.to_owned().remove_axis(Axis(0)));
            }
        }
        Ok((!found.is_empty()).then_some(found))
    }

    /// True if the predictions were a single number.
    fn is_scalar(&self) -> bool {
        self.row_axis == Some(0)
            && self
                .numbers
                .iter()
                .any(|(name, array)| *name == "predictions" && array.shape() == [1, 1])
    }

    fn is_empty(&self) -> bool {
        self.numbers.is_empty()
            && self.labels.is_empty()
            && self.weight.is_none()
            && self.mask.is_none()
            && self.class_mask.is_none()
    }

    /// The inputs of the templates: what was copied in place of what was given.
    pub(super) fn inputs<'b>(&'b self, given: &'b Inputs) -> Inputs<'b> {
        let mut inputs = given.reborrowed();
        for (name, array) in &self.numbers {
            inputs = inputs.input(name, array);
        }
        let is_changed = |name: &str| {
            self.numbers.iter().any(|(changed, _)| *changed == name)
                || (name == "weight" && (self.weight.is_some() || self.drops_weight))
                || (name == "upstream" && self.upstream.is_some())
        };
        inputs.exact.retain(|(name, _)| !is_changed(name));
        inputs.exact.extend(self.exact.iter().map(|(name, array)| (*name, array.view())));
        for (name, array) in &self.labels {
            inputs = inputs.input(name, array);
        }
        let view = |array: &'b Option<ArrayD<f32>>| array.as_ref().map(|array| array.view());
        inputs.weight = match self.drops_weight {
            true => None,
            false => view(&self.weight).or(inputs.weight),
        };
        inputs.upstream = view(&self.upstream).or(inputs.upstream);
        let view = |array: &'b Option<ArrayD<bool>>| array.as_ref().map(|array| array.view());
        inputs.mask = view(&self.mask).or(inputs.mask);
        inputs.class_mask = view(&self.class_mask).or(inputs.class_mask);
        inputs
    }

    /// The gradients in the shapes of the inputs that were given.
    pub(super) fn restored<R: Real>(
        &self,
        mut found: Evaluation<R>,
        is_each: bool,
    ) -> Result<Evaluation<R>> {
        if self.is_single_label && found.values.ndim() == 0 && is_each {
            found.values = found.values.insert_axis(Axis(0));
        }
        if let Some(derivatives) = &self.derivatives {
            derivatives.apply(&mut found.gradient);
        }
        if let Some(axis) = self.row_axis {
            let of_input = |array: ArrayD<R>| {
                if array.ndim() > axis && array.shape()[axis] == 1 {
                    array.remove_axis(Axis(axis))
                } else {
                    array
                }
            };
            found.gradient = of_input(found.gradient);
            for (name, gradient) in &mut found.others {
                let is_repeated = self.repeated.iter().any(|(repeated, _)| repeated == name);
                if !is_repeated {
                    *gradient = of_input(std::mem::take(gradient));
                }
            }
            if found.values.ndim() > 0 {
                found.values = found.values.remove_axis(Axis(0));
            }
            if self.is_scalar() {
                found.gradient = found.gradient.remove_axis(Axis(0));
            }
        }
        if let Some(axis) = self.moved {
            found.gradient = from_end(&found.gradient, axis);
            for (_, gradient) in &mut found.others {
                *gradient = from_end(gradient, axis);
            }
            found.hessian = found.hessian.map(|hessian| from_end(&hessian, axis));
        }
        if let Some(rows) = &self.rows {
            let in_rows = |array: &ArrayD<R>| {
                let columns = array.shape().last().copied().unwrap_or(1);
                shaped(&[&rows[..], &[columns]].concat(), array.iter().copied().collect())
            };
            found.gradient = in_rows(&found.gradient)?;
            for (_, gradient) in &mut found.others {
                *gradient = in_rows(gradient)?;
            }
            if is_each {
                found.values = shaped(rows, found.values.iter().copied().collect())?;
            }
        }
        for (name, gradient) in &mut found.others {
            if let Some((_, shape)) = self.repeated.iter().find(|(repeated, _)| repeated == name) {
                *gradient = summed(gradient, shape)?;
            }
        }
        Ok(found)
    }

    /// An error of a call with the inputs of the templates, in the shapes that were given.
    pub(super) fn error(&self, error: Error, given: &Inputs, arranged: &Inputs) -> Error {
        let shape = |inputs: &Inputs| inputs.get("predictions").map(of_targets);
        match (self.moved, shape(arranged), shape(given)) {
            (Some(_), Some(moved), Some(given)) => with_given_shape(error, &moved, &given),
            _ => error,
        }
    }

    /// The shape of values in the axes that were given.
    pub(super) fn given_shape(&self, shape: Vec<usize>) -> Vec<usize> {
        self.rows.clone().unwrap_or(shape)
    }
}

/// Rejects a class axis and probabilities for a loss that has none.
pub(super) fn check_options(criterion: &Criterion) -> Result<()> {
    let loss = &*criterion.loss;
    let is_rowwise = matches!(loss.template(), Template::OneInput(OneInput::Rowwise(_)));
    if let Some(axis) = criterion.class_axis.filter(|_| !is_rowwise) {
        let allowed = "left out: only losses over classes have a class axis";
        return Err(Error::option(loss.name(), "class_axis", axis, allowed));
    }
    if criterion.from_probabilities && Probabilities::of(loss).is_none() {
        let allowed = "false: only losses of logits and of log-probabilities have it";
        return Err(Error::option(loss.name(), "from_probabilities", true, allowed));
    }
    Ok(())
}

/// An error about predictions whose classes were moved, with the shape that was given.
fn with_given_shape(error: Error, moved: &[usize], given: &[usize]) -> Error {
    match error {
        Error::Shape { operation, found, allowed } => {
            let of = |text: String| text.replace(&format!("{moved:?}"), &format!("{given:?}"));
            Error::Shape { operation, found: of(found), allowed: of(allowed) }
        }
        other => other,
    }
}

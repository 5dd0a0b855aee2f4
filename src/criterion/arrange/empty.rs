//! A batch without rows.

use ndarray::{ArrayD, IxDyn};

use crate::Result;
use crate::cpu::real::Real;
use crate::criterion::arrange::axes::of_targets;
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::Evaluation;
use crate::criterion::inputs::{Inputs, Targets, input_error};
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::templates::definition::{LossDefinition, OneInput, SeveralInputs, Template};
use crate::templates::multi_input::cpu::Shapes;

/// The shape of the values of a call, if it has no value at all: a batch without rows. `None` where
/// there are values.
pub(in crate::criterion) fn shape_without_values(
    loss: &dyn LossDefinition,
    inputs: &Inputs,
) -> Option<Vec<usize>> {
    let shape = match loss.template() {
        Template::Several(kernel, cpu) => {
            let given = loss.arguments().iter().filter_map(|argument| {
                Some((argument.name, of_targets(inputs.get(argument.name)?)))
            });
            let shapes = Shapes { loss: loss.name(), given: given.collect() };
            let shape = cpu.units(&shapes).ok()?.shape;
            // A value of all rows at once has a shape without them.
            let has_rows = shapes.given.first().is_none_or(|(_, given)| given.first() != Some(&0));
            if is_of_all_rows(&kernel) && !has_rows {
                return Some(shape);
            }
            shape
        }
        Template::OneInput(one) => {
            let mut shape = of_targets(inputs.get("predictions")?);
            if !matches!(one, OneInput::Pointwise(_)) {
                shape.pop();
            }
            shape
        }
    };
    shape.contains(&0).then_some(shape)
}

/// True if the rows of the inputs are the items of a value and not values: survival times of one
/// list, matrices of embeddings, embeddings of a proxy.
fn is_of_all_rows(kernel: &SeveralInputs) -> bool {
    matches!(
        kernel,
        SeveralInputs::Survival | SeveralInputs::Covariance(_) | SeveralInputs::Proxies { .. }
    )
}

/// The result of a call without a value to compute: 0, or NaN for an average with
/// [`OnEmpty::Nan`], and gradients of 0.
///
/// # Errors
/// [`Error::Input`] for a missing input.
pub(in crate::criterion) fn nothing<R: Real>(
    criterion: &Criterion,
    inputs: &Inputs,
    value_shape: &[usize],
) -> Result<Evaluation<R>> {
    let loss = &*criterion.loss;
    let mut gradients = Vec::new();
    for name in loss.differentiated() {
        if let Some(array) = inputs.get(name) {
            gradients.push((name, ArrayD::from_elem(IxDyn(&of_targets(array)), R::ZERO)));
        }
    }
    if let Some(targets @ Targets::Dense(_)) = inputs.get("targets")
        && inputs.target_gradient
    {
        gradients.push(("targets", ArrayD::from_elem(IxDyn(&of_targets(targets)), R::ZERO)));
    }
    if gradients.is_empty() {
        return Err(input_error(loss, "predictions", "is missing", "it must be an array"));
    }
    let (first, gradient) = gradients.remove(0);
    let is_nan = criterion.averages() && criterion.on_empty == OnEmpty::Nan;
    let values = match criterion.reduction {
        Reduction::None => ArrayD::zeros(IxDyn(value_shape)),
        _ => ArrayD::from_elem(IxDyn(&[]), if is_nan { f64::NAN } else { 0.0 }),
    };
    let hessian = inputs.hessian.then(|| gradient.clone());
    Ok(Evaluation {
        values,
        gradient,
        others: gradients,
        count: 0,
        auxiliaries: None,
        hessian,
        first,
    })
}

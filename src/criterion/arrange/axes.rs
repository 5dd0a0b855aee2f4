//! Shapes of arrays, and copies in other shapes.

use ndarray::{ArrayD, ArrayViewD, Axis, CowArray, IxDyn};

use crate::cpu::real::Real;
use crate::criterion::criterion::Criterion;
use crate::criterion::inputs::{Inputs, Targets, shape_error};
use crate::templates::definition::{OneInput, SeveralInputs, Template};
use crate::templates::multi_input::cpu::Shapes;
use crate::{Error, Result};

pub(super) fn of_targets(targets: &Targets) -> Vec<usize> {
    match targets {
        Targets::Dense(array) => array.shape().to_vec(),
        Targets::Wide(array) => array.shape().to_vec(),
        Targets::Labels(array) => array.shape().to_vec(),
        Targets::Grouped { relevance, .. } => relevance.shape().to_vec(),
    }
}

/// The axes of the values of a call whose inputs are as they were given.
pub(super) fn value_axes(criterion: &Criterion, inputs: &Inputs) -> Result<Vec<usize>> {
    let loss = &*criterion.loss;
    let first = loss.arguments().first().map_or("predictions", |argument| argument.name);
    let mut shape = inputs.numbers(loss, first)?.shape().to_vec();
    match loss.template() {
        Template::OneInput(OneInput::Pointwise(_))
        | Template::Several(SeveralInputs::TwoInput, _) => (),
        Template::OneInput(_) if shape.is_empty() => (),
        Template::OneInput(_) => {
            shape.remove(class_axis(criterion, &shape, inputs.get("targets"))?);
        }
        Template::Several(SeveralInputs::Policy(_), _) => (),
        Template::Several(SeveralInputs::Sequence { .. }, _) => {
            shape = if shape.len() == 3 { vec![shape[1]] } else { Vec::new() };
        }
        Template::Several(SeveralInputs::Linear, _) => {
            shape.pop();
            // A layer with several positions: [classes, d₁, …, features].
            if let Some(Targets::Dense(weight)) = inputs.get("linear_weight")
                && weight.ndim() > 2
            {
                shape.extend(&weight.shape()[1..weight.ndim() - 1]);
            }
        }
        Template::Several(_, cpu) => {
            let given = loss.arguments().iter().filter_map(|argument| {
                Some((argument.name, of_targets(inputs.get(argument.name)?)))
            });
            shape = cpu.units(&Shapes { loss: loss.name(), given: given.collect() })?.shape;
        }
    }
    Ok(shape)
}

/// The class axis of the predictions.
///
/// # Errors
/// [`Error::Option`] for an axis that they do not have; [`Error::Shape`] where the classes may be
/// on the last axis, as in gradus, Keras and optax, or on axis 1, as in PyTorch.
pub(super) fn class_axis(
    criterion: &Criterion,
    shape: &[usize],
    targets: Option<&Targets>,
) -> Result<usize> {
    let (loss, rank) = (&*criterion.loss, shape.len());
    if let Some(axis) = criterion.class_axis {
        let from_start = if axis < 0 { axis + rank as isize } else { axis };
        return usize::try_from(from_start).ok().filter(|&axis| axis < rank).ok_or_else(|| {
            let allowed =
                format!("an axis of the predictions {shape:?}, from -{rank} to {}", rank - 1);
            Error::option(loss.name(), "class_axis", axis, &allowed)
        });
    }
    let last = rank - 1;
    if rank < 3 || !loss.targets().takes_labels() {
        return Ok(last);
    }
    let of_axis_one = [&shape[..1], &shape[2..]].concat();
    let asks = match targets {
        Some(Targets::Labels(labels)) => labels.shape() == of_axis_one,
        // PyTorch takes probabilities for these losses, and on axis 1.
        Some(Targets::Dense(_)) => loss.targets().takes_dense() && !loss.entry().torch.is_empty(),
        _ => false,
    };
    if !asks {
        return Ok(last);
    }
    let kind = match targets {
        Some(Targets::Labels(_)) => "labels",
        _ => "dense",
    };
    Err(shape_error(
        loss.name(),
        format!(
            "predictions are {shape:?} and targets are {kind} {:?}",
            targets.map(of_targets).unwrap_or_default()
        ),
        &format!(
            "say which axis holds the classes: class_axis = 1 ({} of them, as PyTorch) or -1 ({}, as Keras and optax)",
            shape[1], shape[last]
        ),
    ))
}

/// A copy in another shape of as many numbers; `None` if there are more or fewer.
pub(super) fn shaped_as<T: Clone>(array: &ArrayViewD<'_, T>, shape: &[usize]) -> Option<ArrayD<T>> {
    array.to_shape(IxDyn(shape)).ok().map(CowArray::into_owned)
}

/// A copy with an axis of length 1 inserted.
pub(super) fn with_axis<T: Clone>(array: &ArrayViewD<'_, T>, axis: usize) -> ArrayD<T> {
    array.to_owned().insert_axis(Axis(axis))
}

/// A view with one axis moved to the end.
pub(super) fn at_end<T>(array: ArrayViewD<'_, T>, axis: usize) -> ArrayViewD<'_, T> {
    let order: Vec<usize> =
        (0..array.ndim()).filter(|&other| other != axis).chain([axis]).collect();
    array.permuted_axes(IxDyn(&order))
}

/// The last axis moved back to `axis`.
pub(super) fn from_end<R: Clone>(array: &ArrayD<R>, axis: usize) -> ArrayD<R> {
    let last = array.ndim() - 1;
    let mut order: Vec<usize> = (0..last).collect();
    order.insert(axis, last);
    CowArray::from(array.view().permuted_axes(IxDyn(&order))).as_standard_layout().into_owned()
}

/// An array repeated to a shape by NumPy's rule: the shapes are compared from the last axis on, and
/// an axis of 1 or a missing one fits any length. `None` if it has the shape, or does not fit.
pub(super) fn repeated<T: Clone>(array: &ArrayViewD<'_, T>, shape: &[usize]) -> Option<ArrayD<T>> {
    if array.shape() == shape {
        return None;
    }
    array.broadcast(IxDyn(shape)).map(|view| view.to_owned())
}

/// As [`repeated`]; an array that does not fit, and whose axes are the leading ones of the shape,
/// is repeated over the others.
pub(super) fn spread<T: Clone>(
    array: &ArrayViewD<'_, T>,
    shape: &[usize],
    has_rows: bool,
) -> Option<ArrayD<T>> {
    if has_rows && shape.len() == 2 && array.shape() == [shape[0], 1] {
        return None;
    }
    if let Some(found) = repeated(array, shape) {
        return Some(found);
    }
    // One number per row, [rows], is an input of every template with elements.
    if (has_rows && array.ndim() < 2) || array.ndim() >= shape.len() {
        return None;
    }
    let mut view = array.view();
    while view.ndim() < shape.len() {
        let last = view.ndim();
        view = view.insert_axis(Axis(last));
    }
    view.broadcast(IxDyn(shape)).map(|view| view.to_owned())
}

/// The sum over all axes along which an array of the given shape was repeated, in f64 and in the
/// order of the elements.
pub(super) fn summed<R: Real>(array: &ArrayD<R>, shape: &[usize]) -> Result<ArrayD<R>> {
    let mut sums = ArrayD::<f64>::zeros(IxDyn(shape));
    let added = array.ndim() - shape.len();
    for (index, x) in array.indexed_iter() {
        let place: Vec<usize> = shape
            .iter()
            .enumerate()
            .map(|(axis, &length)| if length == 1 { 0 } else { index[axis + added] })
            .collect();
        sums[IxDyn(&place)] += x.to_f64();
    }
    Ok(sums.mapv(R::new))
}

//! Weights of rows and of items of lists.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

use crate::Result;
use crate::cpu::real::Real;
use crate::criterion::arrange::Arrangement;
use crate::criterion::arrange::axes::value_axes;
use crate::criterion::criterion::Criterion;
use crate::criterion::inputs::{Inputs, Targets, input_error, shape_error};
use crate::templates::definition::{ItemWeight, LossDefinition};

impl Arrangement {
    /// A weight for each item of a loss over lists: [lists, items], or `[items]` for all lists.
    pub(super) fn of_items(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) -> Result<()> {
        let meaning = loss.spec().item_weight;
        let (Some(weight), Some(Targets::Dense(predictions))) =
            (&inputs.weight, inputs.get("predictions"))
        else {
            return Ok(());
        };
        let shape = predictions.shape();
        if meaning == ItemWeight::None
            || weight.ndim() != shape.len()
            || weight.shape().last() != shape.last()
            || shape.last() == Some(&1)
        {
            return Ok(());
        }
        let Some(weights) = weight.broadcast(IxDyn(shape)) else { return Ok(()) };
        check_item_weight(loss, "weight", weights.iter().copied(), inputs.get("targets"))?;
        if inputs.get("item_weight").is_some() {
            let allowed = "left out where item_weight is given: both are weights of items";
            return Err(input_error(loss, "weight", "is given", allowed));
        }
        let exact = inputs.exact("weight").and_then(|weight| weight.broadcast(IxDyn(shape)));
        match meaning {
            ItemWeight::None => return Ok(()),
            ItemWeight::OfPairs => {
                self.drops_weight = true;
                self.numbers.push(("item_weight", weights.to_owned()));
                self.exact.extend(exact.map(|exact| ("item_weight", exact.to_owned())));
            }
            ItemWeight::OfTargets => {
                let Some(Targets::Dense(targets)) = inputs.get("targets") else { return Ok(()) };
                let Some(made) = weighted_targets(targets, &weights) else { return Ok(()) };
                self.drops_weight = true;
                self.numbers.push(("targets", made));
                let wide = |name: &str| inputs.exact(name).map(|numbers| numbers.to_owned());
                if exact.is_some() || inputs.exact("targets").is_some() {
                    let targets = wide("targets").unwrap_or_else(|| targets.mapv(f64::from));
                    let weights =
                        exact.map_or_else(|| weights.mapv(f64::from), |exact| exact.to_owned());
                    let made = weighted_targets(&targets.view(), &weights.view());
                    self.exact.extend(made.map(|made| ("targets", made)));
                }
            }
            ItemWeight::OfLists => {
                let Some(Targets::Dense(targets)) = inputs.get("targets") else { return Ok(()) };
                if targets.shape() != shape {
                    return Ok(());
                }
                let targets = inputs
                    .exact("targets")
                    .map_or_else(|| targets.mapv(f64::from), |x| x.to_owned());
                let weights =
                    exact.map_or_else(|| weights.mapv(f64::from), |exact| exact.to_owned());
                let of_lists = mean_under_targets(&targets, &weights);
                self.weight = Some(of_lists.mapv(|weight| weight as f32));
                self.exact.retain(|(name, _)| *name != "weight");
                self.exact.push(("weight", of_lists));
            }
        }
        Ok(())
    }
}

/// The weight of each row, given by name, in a shape that NumPy's rule repeats to the values.
///
/// # Errors
/// [`Error::Shape`] for a shape that is not that of the leading axes of the values;
/// [`Error::Input`] where there is a `weight` as well.
pub(in crate::criterion) fn weight_of_rows<'a>(
    criterion: &Criterion,
    inputs: &'a Inputs,
) -> Result<Option<Inputs<'a>>> {
    let loss = &*criterion.loss;
    let Some(Targets::Dense(weight)) = inputs.get("row_weight") else { return Ok(None) };
    if inputs.weight.is_some() {
        let allowed = "left out where weight is given: multiply the two, rows as [rows, 1]";
        return Err(input_error(loss, "row_weight", "is given", allowed));
    }
    let shape = value_axes(criterion, inputs)?;
    let given = weight.shape();
    let axes = given.len() - given.iter().rev().take_while(|&&length| length == 1).count();
    let fits = given.len() <= shape.len().max(1)
        && (given.len() <= shape.len() && given == &shape[..given.len()]
            || axes <= shape.len() && given[..axes] == shape[..axes]);
    if !fits {
        let found = format!("row_weight is {given:?} and the values are {shape:?}");
        let allowed = "it must have the first axes of the values, one number for each row";
        return Err(shape_error(loss.name(), found, allowed));
    }
    let mut whole = given.to_vec();
    whole.resize(shape.len(), 1);
    let mut made = inputs.reborrowed();
    made.arrays.retain(|(name, _)| *name != "row_weight");
    made.weight = weight.view().into_shape_with_order(IxDyn(&whole)).ok();
    for (name, exact) in &mut made.exact {
        if *name == "row_weight" {
            *name = "weight";
            if let Ok(array) = exact.clone().into_shape_with_order(IxDyn(&whole)) {
                *exact = array;
            }
        }
    }
    Ok(Some(made))
}

/// Refuses weights of items that are negative or NaN, except of padding, whose target is negative.
pub(in crate::criterion) fn check_item_weight(
    loss: &dyn LossDefinition,
    name: &'static str,
    weights: impl Iterator<Item = f32>,
    targets: Option<&Targets>,
) -> Result<()> {
    let is_padding = |item: usize| match targets {
        Some(Targets::Dense(targets)) => targets.iter().nth(item).is_some_and(|&x| x < 0.0),
        _ => false,
    };
    for (item, weight) in weights.enumerate() {
        if (weight.is_nan() || weight < 0.0) && !is_padding(item) {
            let found = format!("holds {weight} at element {item}");
            return Err(input_error(loss, name, found, "weights of items are from 0 on"));
        }
    }
    Ok(())
}

/// Targets times weights; a negative target, which marks padding, stays. `None` if the shapes differ.
fn weighted_targets<R: Real>(
    targets: &ArrayViewD<'_, R>,
    weights: &ArrayViewD<'_, R>,
) -> Option<ArrayD<R>> {
    if targets.shape() != weights.shape() {
        return None;
    }
    let mut made = targets.to_owned();
    made.zip_mut_with(weights, |target, &weight| {
        if *target >= R::ZERO {
            *target *= weight;
        }
    });
    Some(made)
}

/// The mean of the weights of each list under its targets, Σ wy / Σ y; 0 where no target is above 0.
fn mean_under_targets(targets: &ArrayD<f64>, weights: &ArrayD<f64>) -> ArrayD<f64> {
    let last = Axis(targets.ndim() - 1);
    let lists = targets.lanes(last).into_iter().zip(weights.lanes(last));
    let of_list = |(targets, weights): (ndarray::ArrayView1<f64>, ndarray::ArrayView1<f64>)| {
        let kept = || targets.iter().zip(weights).filter(|(target, _)| **target > 0.0);
        let total: f64 = kept().map(|(target, _)| target).sum();
        if total == 0.0 { 0.0 } else { kept().map(|(y, w)| w * y).sum::<f64>() / total }
    };
    let means: Vec<f64> = lists.map(of_list).collect();
    let shape = &targets.shape()[..targets.ndim() - 1];
    ArrayD::from_shape_vec(IxDyn(shape), means).unwrap_or_else(|_| ArrayD::zeros(IxDyn(shape)))
}

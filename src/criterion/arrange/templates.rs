//! The inputs of each template in the shapes that it takes.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

use crate::criterion::arrange::Arrangement;
use crate::criterion::arrange::axes::{at_end, class_axis, repeated, shaped_as, spread, with_axis};
use crate::criterion::criterion::Criterion;
use crate::criterion::inputs::{Inputs, Targets, shape_error};
use crate::criterion::probabilities::Probabilities;
use crate::templates::argument::Domain;
use crate::templates::definition::LossDefinition;
use crate::{Error, Result};

/// Changes an input of numbers, and its f64 numbers where it was f64: the expression is compiled for
/// both.
macro_rules! change {
    ($self:ident, $inputs:ident, $name:expr, |$array:ident| $changed:expr) => {
        if let Some(Targets::Dense($array)) = $inputs.get($name)
            && let Some(changed) = $changed
        {
            $self.numbers.push(($name, changed));
            if let Some($array) = $inputs.exact($name)
                && let Some(changed) = $changed
            {
                $self.exact.push(($name, changed));
            }
        }
    };
}

impl Arrangement {
    /// The inputs of a row-wise loss: the class axis is moved to the end.
    pub(super) fn of_classes(&mut self, criterion: &Criterion, inputs: &Inputs) -> Result<()> {
        let loss = &*criterion.loss;
        let Some(Targets::Dense(predictions)) = inputs.get("predictions") else { return Ok(()) };
        let rank = predictions.ndim();
        if rank == 0 {
            self.of_scalars(inputs);
            return Ok(());
        }
        // A column of labels is one label per row; so is [1] for a row without an axis of rows.
        if let Some(Targets::Labels(labels)) = inputs.get("targets")
            && loss.targets().takes_labels()
            && labels.ndim() == rank
            && labels.shape()[rank - 1] == 1
            && labels.shape()[..rank - 1] == predictions.shape()[..rank - 1]
            && criterion.class_axis.is_none_or(|axis| axis == -1 || axis == rank as isize - 1)
        {
            self.labels.push(("targets", labels.to_owned().remove_axis(Axis(rank - 1))));
            self.is_single_label = rank == 1;
            self.weights(inputs, &predictions.shape()[..rank - 1]);
            return Ok(());
        }
        let axis = class_axis(criterion, predictions.shape(), inputs.get("targets"))?;
        let given = predictions.shape();
        let mut shape = given.to_vec();
        let classes = shape.remove(axis);
        shape.push(classes);
        // Repeated as they stand, and then moved: NumPy's rule is that of the axes that were given.
        let fits = |array: &[usize]| {
            // A column of labels given as floats is not one probability for all classes.
            let from_end = rank - axis;
            array.len() >= from_end && array[array.len() - from_end] == classes
        };
        if axis != rank - 1 {
            self.moved = Some(axis);
            change!(self, inputs, "predictions", |array| Some(
                at_end(array.view(), axis).to_owned()
            ));
            if let Some(Targets::Labels(lists)) = inputs.get("targets")
                && lists.ndim() == rank
            {
                let is_column = lists.shape()[axis] == 1 && loss.targets().takes_labels();
                let moved = at_end(lists.view(), axis).to_owned();
                let moved = if is_column { moved.remove_axis(Axis(rank - 1)) } else { moved };
                self.labels.push(("targets", moved));
            }
        }
        if let Some(Targets::Dense(dense)) = inputs.get("targets")
            && fits(dense.shape())
            && (axis != rank - 1 || dense.shape() != given)
        {
            self.remember_targets(inputs, given);
            change!(self, inputs, "targets", |array| {
                array.broadcast(IxDyn(given)).map(|array| at_end(array, axis).to_owned())
            });
        }
        // One-hot rows of a loss that takes only labels, as Keras' users have them.
        if !loss.targets().takes_dense() {
            let moved = self.numbers.iter().position(|(name, _)| *name == "targets");
            let labels = match (moved, inputs.get("targets")) {
                (Some(place), _) => one_hot_labels(&self.numbers.swap_remove(place).1.view()),
                (None, Some(Targets::Dense(dense))) if dense.shape() == given => {
                    one_hot_labels(dense)
                }
                _ => None,
            };
            self.labels.extend(labels.map(|labels| ("targets", labels)));
        }
        if let Some(mask) = inputs.class_mask.as_ref().filter(|mask| mask.shape() != [classes])
            && (axis != rank - 1 || mask.shape() != given)
        {
            let whole = mask.broadcast(IxDyn(given));
            self.class_mask = whole.map(|mask| at_end(mask, axis).to_owned());
        }
        self.weights(inputs, &shape[..rank - 1]);
        Ok(())
    }

    /// The inputs of an elementwise loss: the targets and all weights are repeated.
    pub(super) fn of_elements(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) -> Result<()> {
        let Some(Targets::Dense(predictions)) = inputs.get("predictions") else { return Ok(()) };
        let shape = predictions.shape();
        self.remember_targets(inputs, shape);
        change!(self, inputs, "targets", |array| repeated(array, shape));
        change!(self, inputs, "pos_weight", |array| column_weight(
            loss,
            "pos_weight",
            array,
            shape
        )?);
        self.spread_weights(inputs, shape, true);
        Ok(())
    }

    /// The inputs of a loss of two numbers per value: all others are repeated to the first, and
    /// their gradients summed.
    pub(super) fn of_pairs(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) -> Result<()> {
        let [first, others @ ..] = loss.arguments() else { return Ok(()) };
        let Some(Targets::Dense(leading)) = inputs.get(first.name) else { return Ok(()) };
        let shape = leading.shape();
        for argument in others {
            let Some(Targets::Dense(array)) = inputs.get(argument.name) else { continue };
            // A number per row is an input of the template: it sums the gradient on the device.
            let rows = &shape[..shape.len().saturating_sub(1)];
            let is_per_row = array.shape() == rows || array.shape() == [rows, &[1]].concat();
            if argument.domain == Domain::Variance && shape.len() > 1 && is_per_row {
                continue;
            }
            if argument.role.is_differentiated() && array.shape() != shape {
                self.repeated.push((argument.name, array.shape().to_vec()));
            }
            if argument.name == "targets" {
                self.remember_targets(inputs, shape);
            }
            change!(self, inputs, argument.name, |array| repeated(array, shape));
        }
        self.weights(inputs, shape);
        Ok(())
    }

    /// A loss of classes or of lists with a single number, which is a row of one class.
    pub(super) fn of_scalars(&mut self, inputs: &Inputs) {
        let Some(Targets::Dense(predictions)) = inputs.get("predictions") else { return };
        if predictions.ndim() > 0 {
            return;
        }
        self.row_axis = Some(0);
        for name in ["predictions", "targets"] {
            change!(self, inputs, name, |array| shaped_as(array, &[1, 1]));
        }
        match inputs.get("targets") {
            Some(Targets::Labels(labels)) if labels.len() == 1 => {
                self.labels.extend(
                    labels.to_shape(1).ok().map(|x| ("targets", x.into_owned().into_dyn())),
                );
            }
            _ => (),
        }
    }

    /// Vectors without an axis of rows are one row; the others are repeated to the first.
    pub(super) fn of_vectors(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) {
        let [first, ..] = loss.arguments() else { return };
        let Some(Targets::Dense(leading)) = inputs.get(first.name) else { return };
        if leading.ndim() == 0 {
            return;
        }
        let is_single = leading.ndim() == 1;
        let shape = if is_single { vec![1, leading.len()] } else { leading.shape().to_vec() };
        if let Some((&columns, rows)) = shape.split_last()
            && rows.len() > 1
        {
            self.of_vectors_in_rows(loss, inputs, rows, columns);
            return;
        }
        for argument in loss.arguments() {
            let Some(Targets::Dense(array)) = inputs.get(argument.name) else { continue };
            if !argument.role.is_differentiated() {
                if is_single && (array.ndim() == 0 || array.shape() == leading.shape()) {
                    change!(self, inputs, argument.name, |array| Some(with_axis(array, 0)));
                }
            } else if is_single && array.ndim() == 1 {
                self.row_axis = Some(0);
                change!(self, inputs, argument.name, |array| Some(with_axis(array, 0)));
            } else if array.shape() != shape {
                self.repeated.push((argument.name, array.shape().to_vec()));
                change!(self, inputs, argument.name, |array| repeated(array, &shape));
            }
        }
        self.weights(inputs, &shape[..shape.len() - 1]);
    }

    /// Vectors in rows of several axes, which become one.
    fn of_vectors_in_rows(
        &mut self,
        loss: &dyn LossDefinition,
        inputs: &Inputs,
        rows: &[usize],
        columns: usize,
    ) {
        let count: usize = rows.iter().product();
        let (whole, flat) = ([rows, &[columns]].concat(), [count, columns]);
        for argument in loss.arguments() {
            let Some(Targets::Dense(array)) = inputs.get(argument.name) else { continue };
            if array.shape() == rows {
                change!(self, inputs, argument.name, |array| shaped_as(array, &[count]));
                continue;
            }
            if argument.role.is_differentiated() && array.shape() != whole {
                self.repeated.push((argument.name, array.shape().to_vec()));
            }
            change!(self, inputs, argument.name, |array| {
                array.broadcast(IxDyn(&whole)).and_then(|array| shaped_as(&array, &flat))
            });
        }
        self.weights(inputs, rows);
        let weight = self.weight.take().or_else(|| Some(inputs.weight.as_ref()?.to_owned()));
        let weight = weight.filter(|weight| weight.shape() == rows);
        self.weight = weight.and_then(|weight| shaped_as(&weight.view(), &[count]));
        let mask = self.mask.take().or_else(|| Some(inputs.mask.as_ref()?.to_owned()));
        let mask = mask.filter(|mask| mask.shape() == rows);
        self.mask = mask.and_then(|mask| shaped_as(&mask.view(), &[count]));
        self.exact.retain(|(name, _)| *name != "weight");
        if self.weight.is_some() {
            let exact = inputs.exact("weight").and_then(|weight| {
                let whole = spread(weight, rows, false).unwrap_or_else(|| weight.to_owned());
                shaped_as(&whole.view(), &[count])
            });
            self.exact.extend(exact.map(|weight| ("weight", weight)));
        }
        let upstream = inputs.upstream.as_ref().filter(|upstream| upstream.shape() == rows);
        self.upstream = upstream.and_then(|upstream| shaped_as(upstream, &[count]));
        self.rows = Some(rows.to_vec());
    }

    /// Sequences: one without a batch axis, and targets that follow each other without padding.
    pub(super) fn of_sequences(&mut self, inputs: &Inputs) {
        let Some(Targets::Dense(logits)) = inputs.get("predictions") else { return };
        let Some(Targets::Labels(targets)) = inputs.get("targets") else { return };
        let lengths = |name: &str| match inputs.get(name) {
            Some(Targets::Labels(lengths)) => Some(lengths.view()),
            _ => None,
        };
        let is_single = logits.ndim() == 2;
        if is_single {
            self.row_axis = Some(1);
            change!(self, inputs, "predictions", |array| Some(with_axis(array, 1)));
            for name in ["input_lengths", "target_lengths"] {
                if let Some(lengths) = lengths(name).filter(|lengths| lengths.ndim() == 0) {
                    self.labels.push((name, with_axis(&lengths, 0)));
                }
            }
            if targets.ndim() == 1 {
                self.labels.push(("targets", with_axis(&targets.view(), 0)));
            }
            return;
        }
        let Some(of_targets) = lengths("target_lengths").filter(|_| targets.ndim() == 1) else {
            return;
        };
        let counts: Option<Vec<usize>> =
            of_targets.iter().map(|&length| usize::try_from(length).ok()).collect();
        let Some(counts) = counts.filter(|counts| counts.iter().sum::<usize>() == targets.len())
        else {
            return;
        };
        // One column more than none: an array without columns has no rows either.
        let longest = counts.iter().copied().max().unwrap_or(0).max(1);
        let mut padded = ArrayD::zeros(IxDyn(&[counts.len(), longest]));
        let mut labels = targets.iter();
        for (item, &count) in counts.iter().enumerate() {
            for place in 0..count {
                padded[[item, place]] = labels.next().copied().unwrap_or_default();
            }
        }
        self.labels.push(("targets", padded));
    }

    /// Probabilities in place of logits or of their logarithms.
    pub(super) fn of_probabilities(
        &mut self,
        loss: &dyn LossDefinition,
        inputs: &Inputs,
    ) -> Result<()> {
        let Some(kind) = Probabilities::of(loss) else { return Ok(()) };
        if inputs.hessian {
            let allowed = "left out where predictions are probabilities";
            return Err(Error::option(loss.name(), "hessian", true, allowed));
        }
        let moved = self.numbers.iter().position(|(name, _)| *name == "predictions");
        let mut predictions = match (moved, inputs.get("predictions")) {
            (Some(place), _) => self.numbers.swap_remove(place).1,
            (None, Some(Targets::Dense(predictions))) => predictions.to_owned(),
            _ => return Ok(()),
        };
        let moved = self.exact.iter().position(|(name, _)| *name == "predictions");
        let mut exact = match moved {
            Some(place) => Some(self.exact.swap_remove(place).1),
            None => inputs.exact("predictions").map(|exact| exact.to_owned()),
        };
        // A class that is left out has no part in the sum of its row.
        let mask = self.class_mask.as_ref().map(|mask| mask.view());
        let mask = mask.or(inputs.class_mask.as_ref().map(|mask| mask.view()));
        let mask = mask.as_ref().and_then(|mask| mask.broadcast(predictions.raw_dim()));
        if let Some(mask) = &mask {
            let cells = predictions.iter_mut().zip(mask);
            cells.filter(|(_, keep)| !**keep).for_each(|(x, _)| *x = 0.0);
            if let Some(exact) = &mut exact {
                let cells = exact.iter_mut().zip(mask);
                cells.filter(|(_, keep)| !**keep).for_each(|(x, _)| *x = 0.0);
            }
        }
        let (predictions, mut derivatives) = kind.logarithms(predictions);
        self.numbers.push(("predictions", predictions));
        if let Some(exact) = exact {
            let (predictions, of_exact) = kind.logarithms(exact);
            self.exact.push(("predictions", predictions));
            derivatives = of_exact;
        }
        if let Some(mask) = &mask {
            derivatives.leave_out(mask);
        }
        self.derivatives = Some(derivatives);
        Ok(())
    }

    /// Targets that are repeated, whose gradient is then summed, if it was asked for.
    fn remember_targets(&mut self, inputs: &Inputs, shape: &[usize]) {
        if let Some(Targets::Dense(targets)) = inputs.get("targets")
            && inputs.target_gradient
            && targets.shape() != shape
        {
            self.repeated.push(("targets", targets.shape().to_vec()));
        }
    }

    /// Weight and mask of values of the given shape: by NumPy's rule, and where that does not fit,
    /// one for each index of the leading axes.
    fn weights(&mut self, inputs: &Inputs, shape: &[usize]) {
        self.spread_weights(inputs, shape, false);
    }

    /// As [`Arrangement::weights`]; `has_rows` if the template takes one number per row as [rows, 1].
    fn spread_weights(&mut self, inputs: &Inputs, shape: &[usize], has_rows: bool) {
        let spread_weight = |weight: &ArrayViewD<f32>| spread(weight, shape, has_rows);
        self.weight = inputs.weight.as_ref().and_then(spread_weight);
        if self.weight.is_some() {
            let exact = inputs.exact("weight").and_then(|weight| spread(weight, shape, has_rows));
            self.exact.extend(exact.map(|weight| ("weight", weight)));
        }
        self.mask = inputs.mask.as_ref().and_then(|mask| spread(mask, shape, has_rows));
    }
}

/// The labels of rows that are one-hot; `None` if a row is not.
fn one_hot_labels(dense: &ArrayViewD<'_, f32>) -> Option<ArrayD<i64>> {
    let last = Axis(dense.ndim().checked_sub(1)?);
    let label = |row: ndarray::ArrayView1<f32>| {
        let is_one_hot = row.iter().all(|&x| x == 0.0 || x == 1.0) && row.sum() == 1.0;
        row.iter().position(|&x| x == 1.0).filter(|_| is_one_hot).map(|class| class as i64)
    };
    let labels: Option<Vec<i64>> = dense.lanes(last).into_iter().map(label).collect();
    let rows = &dense.shape()[..dense.ndim() - 1];
    ArrayD::from_shape_vec(IxDyn(rows), labels?).ok()
}

/// A column weight, repeated to the fewest trailing axes of the predictions that hold it.
fn column_weight<T: Clone>(
    loss: &dyn LossDefinition,
    name: &str,
    weight: &ArrayViewD<'_, T>,
    shape: &[usize],
) -> Result<Option<ArrayD<T>>> {
    let trimmed = weight.shape().iter().position(|&length| length != 1).unwrap_or(weight.ndim());
    let axes = (weight.ndim() - trimmed).max(1).min(shape.len());
    let period = &shape[shape.len() - axes..];
    if weight.shape() == period && axes == 1 {
        return Ok(None);
    }
    let flat = weight.to_shape(IxDyn(&weight.shape()[trimmed..])).ok();
    let Some(found) = flat
        .as_ref()
        .and_then(|weight| weight.broadcast(IxDyn(period)).map(|view| view.to_owned()))
    else {
        let found = format!("{name} is {:?} and predictions are {shape:?}", weight.shape());
        let allowed =
            "it must have the shape of the predictions, or one that NumPy's rule repeats to it";
        return Err(shape_error(loss.name(), found, allowed));
    };
    let length = found.len();
    Ok(shaped_as(&found.view(), &[length]))
}

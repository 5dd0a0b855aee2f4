//! Inputs in shapes that no template takes: classes on another axis than the last, arrays that
//! NumPy's rule repeats, a batch without rows.
//!
//! Such inputs are brought into the shapes of the templates before a call, and the gradients back
//! into the shapes that were given. Both cost a copy; other calls only a comparison of shapes.

use ndarray::{ArrayD, ArrayViewD, Axis, CowArray, IxDyn};

use crate::cpu::real::Real;
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::Evaluation;
use crate::criterion::inputs::{Inputs, Targets, input_error, shape_error};
use crate::criterion::probabilities::{LogDerivatives, Probabilities};
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::runtime::tensor::shaped;
use crate::templates::argument::Domain;
use crate::templates::definition::{ItemWeight, LossDefinition, OneInput, SeveralInputs, Template};
use crate::templates::multi_input::cpu::Shapes;
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

    /// The inputs of a row-wise loss: the class axis is moved to the end.
    fn of_classes(&mut self, criterion: &Criterion, inputs: &Inputs) -> Result<()> {
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
    fn of_elements(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) -> Result<()> {
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

    /// Targets that are repeated, whose gradient is then summed, if it was asked for.
    fn remember_targets(&mut self, inputs: &Inputs, shape: &[usize]) {
        if let Some(Targets::Dense(targets)) = inputs.get("targets")
            && inputs.target_gradient
            && targets.shape() != shape
        {
            self.repeated.push(("targets", targets.shape().to_vec()));
        }
    }

    /// The inputs of a loss of two numbers per value: all others are repeated to the first, and
    /// their gradients summed.
    fn of_pairs(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) -> Result<()> {
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
    fn of_scalars(&mut self, inputs: &Inputs) {
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
    fn of_vectors(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) {
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
    fn of_sequences(&mut self, inputs: &Inputs) {
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

    /// A weight for each item of a loss over lists: [lists, items], or `[items]` for all lists.
    fn of_items(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) -> Result<()> {
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

    /// Probabilities in place of logits or of their logarithms.
    fn of_probabilities(&mut self, loss: &dyn LossDefinition, inputs: &Inputs) -> Result<()> {
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

/// The weight of each row, given by name, in a shape that NumPy's rule repeats to the values.
///
/// # Errors
/// [`Error::Shape`] for a shape that is not that of the leading axes of the values;
/// [`Error::Input`] where there is a `weight` as well.
pub(super) fn weight_of_rows<'a>(
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
pub(super) fn check_item_weight(
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

/// The axes of the values of a call whose inputs are as they were given.
fn value_axes(criterion: &Criterion, inputs: &Inputs) -> Result<Vec<usize>> {
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

/// The class axis of the predictions.
///
/// # Errors
/// [`Error::Option`] for an axis that they do not have; [`Error::Shape`] where the classes may be
/// on the last axis, as in gradus, Keras and optax, or on axis 1, as in PyTorch.
fn class_axis(criterion: &Criterion, shape: &[usize], targets: Option<&Targets>) -> Result<usize> {
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

fn of_targets(targets: &Targets) -> Vec<usize> {
    match targets {
        Targets::Dense(array) => array.shape().to_vec(),
        Targets::Wide(array) => array.shape().to_vec(),
        Targets::Labels(array) => array.shape().to_vec(),
        Targets::Grouped { relevance, .. } => relevance.shape().to_vec(),
    }
}

/// A copy in another shape of as many numbers; `None` if there are more or fewer.
fn shaped_as<T: Clone>(array: &ArrayViewD<'_, T>, shape: &[usize]) -> Option<ArrayD<T>> {
    array.to_shape(IxDyn(shape)).ok().map(CowArray::into_owned)
}

/// A copy with an axis of length 1 inserted.
fn with_axis<T: Clone>(array: &ArrayViewD<'_, T>, axis: usize) -> ArrayD<T> {
    array.to_owned().insert_axis(Axis(axis))
}

/// A view with one axis moved to the end.
fn at_end<T>(array: ArrayViewD<'_, T>, axis: usize) -> ArrayViewD<'_, T> {
    let order: Vec<usize> =
        (0..array.ndim()).filter(|&other| other != axis).chain([axis]).collect();
    array.permuted_axes(IxDyn(&order))
}

/// The last axis moved back to `axis`.
fn from_end<R: Clone>(array: &ArrayD<R>, axis: usize) -> ArrayD<R> {
    let last = array.ndim() - 1;
    let mut order: Vec<usize> = (0..last).collect();
    order.insert(axis, last);
    CowArray::from(array.view().permuted_axes(IxDyn(&order))).as_standard_layout().into_owned()
}

/// An array repeated to a shape by NumPy's rule: the shapes are compared from the last axis on, and
/// an axis of 1 or a missing one fits any length. `None` if it has the shape, or does not fit.
fn repeated<T: Clone>(array: &ArrayViewD<'_, T>, shape: &[usize]) -> Option<ArrayD<T>> {
    if array.shape() == shape {
        return None;
    }
    array.broadcast(IxDyn(shape)).map(|view| view.to_owned())
}

/// As [`repeated`]; an array that does not fit, and whose axes are the leading ones of the shape,
/// is repeated over the others.
fn spread<T: Clone>(
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

/// The sum over all axes along which an array of the given shape was repeated, in f64 and in the
/// order of the elements.
fn summed<R: Real>(array: &ArrayD<R>, shape: &[usize]) -> Result<ArrayD<R>> {
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

impl Arrangement {
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

/// The shape of the values of a call, if it has no value at all: a batch without rows. `None` where
/// there are values.
pub(super) fn shape_without_values(
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
/// list, matrices of embeddings.
fn is_of_all_rows(kernel: &SeveralInputs) -> bool {
    matches!(kernel, SeveralInputs::Survival | SeveralInputs::Covariance(_))
}

/// The result of a call without a value to compute: 0, or NaN for an average with
/// [`OnEmpty::Nan`], and gradients of 0.
///
/// # Errors
/// [`Error::Input`] for a missing input.
pub(super) fn nothing<R: Real>(
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

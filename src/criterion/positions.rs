//! A linear layer with several positions: a weight [classes, d₁, …, features] is one layer for each
//! position, and the loss is that of all.

use ndarray::{ArrayD, ArrayViewD, Axis, IxDyn};

use crate::Result;
use crate::cpu::real::Real;
use crate::criterion::arrange::empty;
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::Evaluation;
use crate::criterion::inputs::{Inputs, Targets, input_error, shape_error};
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::templates::definition::LossDefinition;

/// The inputs of a call with several positions, with the axes d₁, … flat.
struct Positions {
    /// The shape d₁, ….
    shape: Vec<usize>,
    rows: usize,
    /// [classes, positions, features].
    weight: ArrayD<f32>,
    /// [classes, positions].
    bias: Option<ArrayD<f32>>,
    targets: PositionTargets,
    /// [rows, positions].
    weight_of_rows: Option<ArrayD<f32>>,
    /// [rows, positions].
    mask: Option<ArrayD<bool>>,
}

enum PositionTargets {
    /// [rows, positions].
    Labels(ArrayD<i64>),
    /// [rows, classes, positions].
    Dense(ArrayD<f32>),
}

/// True if the weight of the layer has more axes than classes and features.
pub(super) fn has_positions(loss: &dyn LossDefinition, inputs: &Inputs) -> bool {
    let takes_classes = loss.inner().is_some_and(|inner| inner.targets().takes_labels());
    let weight = inputs.get("linear_weight");
    takes_classes && matches!(weight, Some(Targets::Dense(weight)) if weight.ndim() > 2)
}

impl Positions {
    fn of(loss: &dyn LossDefinition, inputs: &Inputs) -> Result<Self> {
        let predictions = inputs.numbers(loss, "predictions")?;
        let weight = inputs.numbers(loss, "linear_weight")?;
        let (classes, features) = (weight.shape()[0], weight.shape()[weight.ndim() - 1]);
        let shape = weight.shape()[1..weight.ndim() - 1].to_vec();
        let count: usize = shape.iter().product();
        let &[rows, _] = predictions.shape() else {
            let found = format!(
                "predictions are {:?} and linear_weight is {:?}",
                predictions.shape(),
                weight.shape()
            );
            return Err(shape_error(
                loss.name(),
                found,
                "with several positions predictions must be [rows, features]",
            ));
        };
        let flat = |array: &ArrayViewD<'_, f32>, name: &str, leading: &[usize], last: &[usize]| {
            let (wanted, flat) =
                ([leading, &shape, last].concat(), [leading, &[count], last].concat());
            let unfit = || {
                let found = format!(
                    "{name} is {:?} and linear_weight is {:?}",
                    array.shape(),
                    weight.shape()
                );
                shape_error(loss.name(), found, &format!("{name} must be {wanted:?}"))
            };
            if array.shape() != wanted {
                return Err(unfit());
            }
            in_order(array, &flat).ok_or_else(unfit)
        };
        let targets = match inputs.get("targets") {
            Some(Targets::Labels(labels)) => {
                let wanted = [&[rows], &shape[..]].concat();
                let unfit = || {
                    let found = format!(
                        "targets are {:?} and linear_weight is {:?}",
                        labels.shape(),
                        weight.shape()
                    );
                    shape_error(loss.name(), found, &format!("labels must be {wanted:?}"))
                };
                if labels.shape() != wanted {
                    return Err(unfit());
                }
                PositionTargets::Labels(in_order(labels, &[rows, count]).ok_or_else(unfit)?)
            }
            Some(Targets::Dense(dense)) => {
                PositionTargets::Dense(flat(dense, "targets", &[rows, classes], &[])?)
            }
            _ => return Err(input_error(loss, "targets", "is missing", "it must be an array")),
        };
        let bias = match inputs.get("linear_bias") {
            Some(Targets::Dense(bias)) => Some(flat(bias, "linear_bias", &[classes], &[])?),
            _ => None,
        };
        let weight_of_rows =
            inputs.weight.as_ref().map(|w| of_rows(loss, "weight", w, rows, &shape)).transpose()?;
        let mask =
            inputs.mask.as_ref().map(|m| of_rows(loss, "mask", m, rows, &shape)).transpose()?;
        let weight = flat(weight, "linear_weight", &[classes], &[features])?;
        Ok(Positions { shape, rows, weight, bias, targets, weight_of_rows, mask })
    }

    fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// The shape of the values: [rows, d₁, …].
    fn value_shape(&self) -> Vec<usize> {
        [&[self.rows], &self.shape[..]].concat()
    }

    /// Whether each value is included, in the order [rows, positions].
    fn kept<'s>(&'s self, loss: &'s dyn LossDefinition) -> impl Iterator<Item = bool> + 's {
        let labels = match &self.targets {
            PositionTargets::Labels(labels) => Some(labels),
            PositionTargets::Dense(_) => None,
        };
        let mask = self.mask.as_ref();
        (0..self.rows * self.count()).map(move |place| {
            let index = [place / self.count(), place % self.count()];
            mask.is_none_or(|mask| mask[index])
                && !labels.is_some_and(|labels| loss.ignored().contains(&labels[index]))
        })
    }

    /// The divisor of all positions together.
    fn divisor(&self, criterion: &Criterion, inputs: &Inputs) -> Result<f64> {
        let loss = &*criterion.loss;
        let class_weight = match inputs.get("class_weight") {
            Some(Targets::Dense(weight)) => Some(weight),
            _ => None,
        };
        Ok(match criterion.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Divisor(divisor) => divisor,
            Reduction::BatchMean => self.rows as f64,
            Reduction::WeightedMean => match &self.weight_of_rows {
                None => self.kept(loss).filter(|kept| *kept).count() as f64,
                Some(weight) => {
                    let kept = self.kept(loss).zip(weight).filter(|(kept, _)| *kept);
                    kept.map(|(_, &weight)| f64::from(weight)).sum()
                }
            },
            Reduction::Mean => match &self.targets {
                PositionTargets::Dense(_) => self.kept(loss).filter(|kept| *kept).count() as f64,
                PositionTargets::Labels(labels) => {
                    let kept = self.kept(loss).zip(labels).filter(|(kept, _)| *kept);
                    let share = |label: &i64| match (class_weight, usize::try_from(*label)) {
                        (Some(weight), Ok(label)) => {
                            weight.iter().nth(label).map_or(0.0, |&weight| f64::from(weight))
                        }
                        _ => 1.0,
                    };
                    kept.map(|(_, label)| share(label)).sum()
                }
            },
        })
    }
}

/// One number for each row and position, [rows, positions], of an array that NumPy's rule repeats to
/// [rows, d₁, …], or that holds one for each row.
fn of_rows<T: Clone>(
    loss: &dyn LossDefinition,
    name: &str,
    array: &ArrayViewD<'_, T>,
    rows: usize,
    shape: &[usize],
) -> Result<ArrayD<T>> {
    let whole = [&[rows], shape].concat();
    let count = shape.iter().product();
    let mut view = array.view();
    if array.broadcast(IxDyn(&whole)).is_none() && array.ndim() < whole.len() {
        while view.ndim() < whole.len() {
            let last = view.ndim();
            view = view.insert_axis(Axis(last));
        }
    }
    let found = view.broadcast(IxDyn(&whole)).map(|view| view.to_owned());
    found.and_then(|array| in_order(&array, &[rows, count])).ok_or_else(|| {
        let allowed = format!("it must be {whole:?}, or one number for each row, [{rows}]");
        shape_error(loss.name(), format!("{name} is {:?}", array.shape()), &allowed)
    })
}

/// The numbers in another shape and in row-major order, whatever the order of the view.
fn in_order<S: ndarray::Data<Elem: Clone>>(
    array: &ndarray::ArrayBase<S, IxDyn>,
    shape: &[usize],
) -> Option<ArrayD<S::Elem>> {
    array.to_shape(IxDyn(shape)).ok().map(|array| array.into_owned())
}

/// Value and gradients of all positions, one after the other.
pub(super) fn evaluate<R: Real>(
    criterion: &Criterion,
    inputs: &Inputs,
    run: impl Fn(&Criterion, &Inputs) -> Result<Evaluation<R>>,
) -> Result<Evaluation<R>> {
    let loss = &*criterion.loss;
    if inputs.target_gradient {
        let allowed = "left out: a loss of a layer has no gradient of its targets";
        return Err(input_error(loss, "the gradient of targets", "was asked for", allowed));
    }
    let positions = Positions::of(loss, inputs)?;
    let value_shape = positions.value_shape();
    if value_shape.contains(&0) {
        return empty::nothing(criterion, inputs, &value_shape);
    }
    let is_each = criterion.reduction == Reduction::None;
    let divisor = positions.divisor(criterion, inputs)?;
    let upstreams = match &inputs.upstream {
        Some(upstream) if is_each => {
            let flat = [positions.rows, positions.count()];
            let unfit = || {
                let found = format!("upstream is {:?}", upstream.shape());
                shape_error(
                    loss.name(),
                    found,
                    &format!("it must be of the value's shape {value_shape:?}"),
                )
            };
            if upstream.shape() != value_shape {
                return Err(unfit());
            }
            Some(in_order(upstream, &flat).ok_or_else(unfit)?)
        }
        _ => None,
    };
    let reduction = match criterion.reduction {
        Reduction::None => Reduction::None,
        _ if divisor == 0.0 => Reduction::Sum,
        _ => Reduction::Divisor(divisor),
    };
    let inside = criterion.clone().reduction(reduction);
    let shape_of = |name: &str| match inputs.get(name) {
        Some(Targets::Dense(array)) => array.shape().to_vec(),
        _ => Vec::new(),
    };
    let mut of_predictions = ArrayD::<f64>::zeros(IxDyn(&shape_of("predictions")));
    let mut of_weight = ArrayD::from_elem(positions.weight.raw_dim(), R::ZERO);
    let mut of_bias =
        positions.bias.as_ref().map(|bias| ArrayD::from_elem(bias.raw_dim(), R::ZERO));
    let mut values = ArrayD::<f64>::zeros(IxDyn(&[positions.rows, positions.count()]));
    let (mut total, mut count) = (0.0, 0);
    for position in 0..positions.count() {
        let weight = positions.weight.index_axis(Axis(1), position);
        let bias = positions.bias.as_ref().map(|bias| bias.index_axis(Axis(1), position));
        let upstream = upstreams.as_ref().map(|upstream| upstream.index_axis(Axis(1), position));
        let mut part = inputs.reborrowed().input("linear_weight", &weight);
        if let Some(bias) = &bias {
            part = part.input("linear_bias", bias);
        }
        if let Some(upstream) = &upstream {
            part = part.upstream(upstream);
        }
        let at = |array: &ArrayD<f32>| array.index_axis(Axis(1), position).to_owned();
        let weight_of_rows = positions.weight_of_rows.as_ref().map(at);
        part.weight = weight_of_rows.as_ref().map(|weight| weight.view());
        part.exact.retain(|(name, _)| *name != "weight");
        part.mask = positions.mask.as_ref().map(|mask| mask.index_axis(Axis(1), position));
        let (labels, dense);
        part = match &positions.targets {
            PositionTargets::Labels(all) => {
                labels = all.index_axis(Axis(1), position);
                part.input("targets", &labels)
            }
            PositionTargets::Dense(all) => {
                dense = all.index_axis(Axis(2), position);
                part.input("targets", &dense)
            }
        };
        let found = run(&inside, &part)?;
        of_predictions.zip_mut_with(&found.gradient, |sum, x| *sum += x.to_f64());
        for (name, gradient) in &found.others {
            match (*name, &mut of_bias) {
                ("linear_weight", _) => {
                    of_weight.index_axis_mut(Axis(1), position).assign(gradient)
                }
                ("linear_bias", Some(of_bias)) => {
                    of_bias.index_axis_mut(Axis(1), position).assign(gradient);
                }
                _ => (),
            }
        }
        if is_each {
            values.index_axis_mut(Axis(1), position).assign(&found.values);
        }
        total += found.value();
        count += found.count;
    }
    let reshaped = |array: ArrayD<R>, name: &str| {
        array.into_shape_with_order(IxDyn(&shape_of(name))).map_err(|error| {
            shape_error(loss.name(), format!("a gradient: {error}"), "the shape of its input")
        })
    };
    let mut others = vec![("linear_weight", reshaped(of_weight, "linear_weight")?)];
    if let Some(of_bias) = of_bias {
        others.push(("linear_bias", reshaped(of_bias, "linear_bias")?));
    }
    let is_nan = count == 0 && criterion.averages() && criterion.on_empty == OnEmpty::Nan;
    let values = match is_each {
        true => values.into_shape_with_order(IxDyn(&value_shape)).map_err(|error| {
            shape_error(
                loss.name(),
                format!("the values: {error}"),
                "one for each row and position",
            )
        })?,
        false => ArrayD::from_elem(IxDyn(&[]), if is_nan { f64::NAN } else { total }),
    };
    Ok(Evaluation {
        values,
        gradient: of_predictions.mapv(R::new),
        others,
        count,
        auxiliaries: None,
        hessian: None,
        first: "predictions",
    })
}

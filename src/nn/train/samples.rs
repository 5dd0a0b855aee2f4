//! Conversion of arrays to an engine's rows: checks shapes and values, converts labels to the
//! targets of the loss.

use std::borrow::Cow;

use ndarray::{Array2, ArrayViewD};

use crate::criterion::inputs::{Floats, shape_error};
use crate::criterion::{domain, inputs};
use crate::losses::{Domain, LossDefinition, takes_class_prior};
use crate::nn::graph::nodes::Graph;
use crate::nn::train::engine::{Lists, SampleTargets, Samples};
use crate::nn::train::features::{FeatureArray, Flat, FlatView, Palette};
use crate::nn::train::weights::{Classes, Held, InBlocks, Weighed, Weighting, Weights};
use crate::runtime::tensor::narrow_labels;
use crate::{Error, Result, Targets};

/// Offset subtracted from each feature, and its divisor.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Scaling {
    pub mean: Vec<f64>,
    pub scale: Vec<f64>,
}

impl Scaling {
    /// One number per feature, `inputs` in all.
    pub fn new(mean: Vec<f64>, scale: Vec<f64>, inputs: usize) -> Result<Self> {
        for (name, values) in [("mean", &mean), ("scale", &scale)] {
            if values.len() != inputs {
                let found = format!("{name} has {} numbers", values.len());
                return Err(shape_error(
                    "input scaling",
                    found,
                    &format!("it must have {inputs}, one for each feature"),
                ));
            }
        }
        if let Some(&bad) = scale.iter().find(|scale| !(scale.is_finite() && **scale != 0.0)) {
            return Err(Error::option("input scaling", "scale", bad, "finite and not 0"));
        }
        Ok(Scaling { mean, scale })
    }

    /// Scales rows of features.
    fn apply(&self, features: &mut [f32]) {
        for row in features.chunks_exact_mut(self.mean.len()) {
            for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *x = scaled(*x, *mean, *scale);
            }
        }
    }

    /// The mean and the scale, if all features have the same.
    fn of_all(&self) -> Option<[f64; 2]> {
        let (mean, scale) = (*self.mean.first()?, *self.scale.first()?);
        let is_of_all = self.mean.iter().all(|other| *other == mean)
            && self.scale.iter().all(|other| *other == scale);
        is_of_all.then_some([mean, scale])
    }
}

/// A scaled feature: in f64, then rounded.
fn scaled(x: f32, mean: f64, scale: f64) -> f32 {
    ((f64::from(x) - mean) / scale) as f32
}

/// A model's requirements on its input rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InputSpec<'m> {
    pub graph: &'m Graph,
    pub scaling: Option<&'m Scaling>,
}

/// Rows with their targets, flat and checked.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// Number of rows, or lists if the rows are items of lists.
    pub rows: usize,
    pub features: Flat<'a>,
    dense: Vec<f32>,
    labels: Vec<i32>,
    has_labels: bool,
    /// Targets that are not ignored, of which a row of a sequence has several; for lists, the count that the loss's mean divides by.
    pub kept: usize,
    /// Each row of targets names one class.
    pub one_hot: bool,
    pub lists: Option<Lists>,
    weights: Held,
    /// Numbers per row of features, and of a prediction.
    widths: [usize; 2],
    /// Targets per row: 1, or the tokens of a sequence.
    positions: usize,
    /// Number of plain rows scored at a time.
    batch: usize,
}

impl<'a> Rows<'a> {
    /// Checks features and targets against a model and its loss.
    pub fn new(
        model: InputSpec,
        loss: &dyn LossDefinition,
        operation: &str,
        features: impl Into<FeatureArray<'a>>,
        targets: &Targets,
    ) -> Result<Self> {
        let features = features.into();
        let rows = features.shape().first().copied().unwrap_or(0);
        let (outputs, positions) = (model.graph.outputs(), model.graph.positions());
        let columns = model.graph.columns();
        let features = crate::nn::train::samples::features(model, operation, features)?;
        let mut found = Rows {
            rows,
            features,
            dense: Vec::new(),
            labels: Vec::new(),
            has_labels: false,
            kept: rows * positions,
            one_hot: false,
            lists: None,
            weights: Held::default(),
            widths: [model.graph.inputs(), outputs],
            positions,
            batch: model.graph.prediction_batch(),
        };
        let is_grouped = matches!(targets, Targets::Grouped { .. });
        if is_grouped != loss.targets().pads() {
            return Err(other_targets(loss, is_grouped));
        }
        match targets {
            Targets::Grouped { relevance, groups } => {
                found.group(operation, loss, &relevance.view(), groups)?
            }
            Targets::Labels(labels) => {
                check_labels(operation, [rows, positions], labels.shape())?;
                let labels: Vec<i64> = labels.iter().copied().collect();
                // One column distinguishes two classes.
                let classes = columns.max(2);
                let takes_labels = loss.targets().takes_labels();
                let classes = if takes_labels { columns } else { classes };
                domain::check_labels(loss, &labels, classes, |_| true)?;
                if takes_labels {
                    let ignored = loss.ignored();
                    found.kept = labels.iter().filter(|label| !ignored.contains(label)).count();
                    found.labels = narrow_labels(&labels)?;
                    found.has_labels = true;
                } else {
                    found.dense = one_hot(&labels, columns, loss.targets() == Domain::Sign);
                }
                found.one_hot = true;
            }
            Targets::Wide(wide) => {
                let dense = inputs::rounded(wide);
                let dense = dense.map_err(|(element, x)| {
                    beyond_f32(operation, "targets", x, element, outputs)
                })?;
                found.take_dense(operation, loss, &dense.view())?;
            }
            Targets::Dense(dense) => found.take_dense(operation, loss, dense)?,
        }
        Ok(found)
    }

    /// Takes numbers as targets, one per output and row.
    fn take_dense(
        &mut self,
        operation: &str,
        loss: &dyn LossDefinition,
        dense: &ArrayViewD<f32>,
    ) -> Result<()> {
        let (rows, [inputs, outputs]) = (self.rows, self.widths);
        let columns = outputs / self.positions;
        let fits = dense.len() == rows * outputs
            && dense.shape().first() == Some(&rows)
            && (dense.ndim() <= 2 || dense.shape()[1..] == [self.positions, columns]);
        if !fits {
            let text =
                format!("features are [{rows}, {inputs}] but targets are {:?}", dense.shape());
            return Err(shape_error(
                operation,
                text,
                &format!("targets must be [{rows}, {outputs}]"),
            ));
        }
        self.dense = dense.iter().copied().collect();
        check_finite(operation, "targets", &self.dense, outputs)?;
        domain::check_dense(loss, &self.dense)?;
        self.one_hot = columns > 1 && self.dense.chunks_exact(columns).all(names_one_class);
        Ok(())
    }

    /// Groups the rows into lists.
    fn group(
        &mut self,
        operation: &str,
        loss: &dyn LossDefinition,
        relevance: &ArrayViewD<f32>,
        groups: &[usize],
    ) -> Result<()> {
        let (items, [inputs, outputs]) = (self.rows, self.widths);
        if outputs != 1 {
            let found = format!("the model has {outputs} outputs");
            return Err(shape_error(
                operation,
                found,
                &format!("{} takes one, the score of an item", loss.name()),
            ));
        }
        if relevance.len() != items
            || relevance.ndim() > 2
            || relevance.shape().first() != Some(&items)
        {
            let found = format!(
                "features are [{items}, {inputs}] but relevance is {:?}",
                relevance.shape()
            );
            return Err(shape_error(operation, found, &format!("relevance must be [{items}]")));
        }
        check_groups(operation, groups, items)?;
        self.dense = relevance.iter().copied().collect();
        check_finite(operation, "relevance", &self.dense, 1)?;
        domain::check_dense(loss, &self.dense)?;
        let mut start = 0;
        let units = groups.iter().map(|&size| {
            start += size;
            domain::list_units(loss, &self.dense[start - size..start])
        });
        let lists = Lists::new(groups, units.collect());
        (self.rows, self.kept) = (groups.len(), lists.units.iter().sum());
        self.lists = Some(lists);
        Ok(())
    }

    /// Sets the weights of the rows, the first `training` of which are trained on; returns the
    /// weighting of separate validation rows.
    pub fn weigh(
        &mut self,
        loss: &dyn LossDefinition,
        asked: &Weighting,
        training: usize,
    ) -> Result<Weighting> {
        let takes_prior = takes_class_prior(loss);
        if !asked.is_some() && !takes_prior {
            return Ok(Weighting::default());
        }
        if takes_prior && self.positions > 1 {
            let allowed = "one target for each row; make a criterion of this loss (`Loss::on`)";
            return Err(inputs::input_error(
                loss,
                "class_prior",
                "has several targets a row",
                allowed,
            ));
        }
        if self.lists.is_some() {
            let allowed = "left out: a loss of lists weighs the items of a list against each other";
            return Err(inputs::input_error(loss, "weights", "were given", allowed));
        }
        if self.positions > 1 {
            let allowed = "left out: a row has several targets";
            return Err(inputs::input_error(loss, "weights", "were given", allowed));
        }
        let outputs = self.widths[1];
        let classes = self.classes(loss);
        let rows = asked.rows(loss, classes.as_ref(), self.rows, training)?;
        let prior = asked.prior(loss, classes.as_ref(), training);
        let positive = asked.positive(loss, outputs)?;
        self.weights = Held { rows, positive: prior.clone().unwrap_or(positive) };
        Ok(Weighting { prior, ..asked.for_validation(loss, classes.as_ref(), training)? })
    }

    /// The classes of the rows; `None` if their targets are not classes.
    pub fn classes(&self, loss: &dyn LossDefinition) -> Option<Classes> {
        let outputs = self.widths[1] / self.positions;
        if self.has_labels {
            Some(Classes::of_labels(&self.labels, loss.ignored(), loss.classes(outputs)))
        } else {
            Classes::of_dense(loss, &self.dense, outputs, self.one_hot)
        }
    }

    /// Sets the weights of a block's rows.
    pub fn weigh_block(
        &mut self,
        loss: &dyn LossDefinition,
        asked: &InBlocks,
        given: Option<&[f64]>,
    ) -> Result<()> {
        self.weights = asked.held(loss, self.classes(loss).as_ref(), self.rows, given)?;
        Ok(())
    }

    /// The targets of some rows as by [`Rows::dense`], with their weights.
    pub fn weighed(&self, first: usize, rows: usize) -> Weighed<'_> {
        Weighed { targets: self.dense(first, rows), weights: self.weights.part(first, rows).rows }
    }

    /// Number of rows, or lists, scored at a time.
    pub fn at_once(&self) -> usize {
        // On a GPU a batch allocates the length of the longest list for each of its lists.
        const MOST_ITEMS: usize = 2048;
        self.lists
            .as_ref()
            .map_or(self.batch, |lists| (MOST_ITEMS / lists.longest).clamp(1, self.batch))
    }

    /// All rows in the engine's input format.
    pub fn all(&self) -> Samples<'_> {
        self.part(0, self.rows)
    }

    /// A range of the rows, or lists.
    pub fn part(&self, first: usize, rows: usize) -> Samples<'_> {
        let [inputs, outputs] = self.widths;
        let lists = self.lists.as_ref().map(|lists| lists.part(first, rows));
        let (first, rows) = self.lists.as_ref().map_or((first, rows), |lists| {
            let [start, end] = [first, first + rows].map(|list| lists.offsets[list] as usize);
            (start, end - start)
        });
        let targets = if self.has_labels {
            let positions = self.positions;
            SampleTargets::Labels(&self.labels[first * positions..(first + rows) * positions])
        } else {
            SampleTargets::Dense(&self.dense[first * outputs..(first + rows) * outputs])
        };
        let features = self.features.all().range(first * inputs..(first + rows) * inputs);
        let has_ignored = lists.is_none() && self.kept < self.rows * self.positions;
        let weights =
            if lists.is_some() { Weights::default() } else { self.weights.part(first, rows) };
        Samples { rows, features, targets, has_ignored, lists, weights }
    }

    /// The targets of a range of plain rows with numbers as targets; else empty.
    pub fn dense(&self, first: usize, rows: usize) -> &[f32] {
        let outputs = self.widths[1];
        match self.lists {
            None if !self.has_labels => &self.dense[first * outputs..(first + rows) * outputs],
            _ => &[],
        }
    }

    /// Number of targets in a range of rows that are not ignored.
    pub fn kept_of(&self, loss: &dyn LossDefinition, first: usize, rows: usize) -> usize {
        if let Some(lists) = &self.lists {
            return lists.units[first..first + rows].iter().sum();
        }
        let positions = self.positions;
        if self.kept == self.rows * positions {
            return rows * positions;
        }
        let ignored = loss.ignored();
        self.labels[first * positions..(first + rows) * positions]
            .iter()
            .filter(|&&label| !ignored.contains(&i64::from(label)))
            .count()
    }
}

/// A loss of lists needs their offsets; any other loss would treat items of lists as independent
/// rows.
fn other_targets(loss: &dyn LossDefinition, is_grouped: bool) -> Error {
    let (found, allowed) = if is_grouped {
        ("are in lists", "it is no loss of lists: hand it the numbers alone")
    } else {
        (
            "are no lists",
            "it takes the relevance of items and how many each list has: Targets::grouped(&relevance, &groups)",
        )
    };
    inputs::input_error(loss, "targets", found, allowed)
}

/// Rejects lists that do not cover all rows, and empty lists.
fn check_groups(operation: &str, groups: &[usize], items: usize) -> Result<()> {
    let sum = groups.iter().fold(0_usize, |sum, &size| sum.saturating_add(size));
    if sum != items {
        let found = format!(
            "{} groups have {sum} items in all but features have {items} rows",
            groups.len()
        );
        return Err(shape_error(operation, found, "the groups must be all rows"));
    }
    match groups.iter().position(|&size| size == 0) {
        Some(group) => Err(shape_error(
            operation,
            format!("group {group} has 0 items"),
            "each must have one at least",
        )),
        None => Ok(()),
    }
}

fn names_one_class(row: &[f32]) -> bool {
    row.iter().all(|&y| y == 0.0 || y == 1.0) && row.iter().filter(|&&y| y == 1.0).count() == 1
}

/// A row for each label: 1 at its class, and elsewhere 0, or −1 if the loss takes signs. A single
/// column holds the class itself.
fn one_hot(labels: &[i64], outputs: usize, signs: bool) -> Vec<f32> {
    let off = if signs { -1.0 } else { 0.0 };
    if outputs == 1 {
        return labels.iter().map(|&label| if label == 1 { 1.0 } else { off }).collect();
    }
    let mut dense = vec![off; labels.len() * outputs];
    for (row, &label) in labels.iter().enumerate() {
        dense[row * outputs + label as usize] = 1.0;
    }
    dense
}

/// Flat features, scaled by the model's input scaling; f64 is scaled before it is rounded to f32.
pub(crate) fn features<'a>(
    model: InputSpec,
    operation: &str,
    features: impl Into<FeatureArray<'a>>,
) -> Result<Flat<'a>> {
    let features = features.into();
    let (width, shape) = (model.graph.inputs(), model.graph.shape(model.graph.input()));
    let Some((&rows, of_row)) = features.shape().split_first() else {
        return Err(shape_error(operation, "features are one number".into(), "rows of them"));
    };
    if of_row != [width] && of_row != shape {
        let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let found = format!("features are {:?}", features.shape());
        let allowed = format!("the model takes [rows, {}]", axes.join(", "));
        return Err(shape_error(operation, found, &allowed));
    }
    if rows == 0 {
        return Err(Error::Empty { operation: operation.into(), name: "features".into() });
    }
    if rows > u32::MAX as usize {
        return Err(shape_error(
            operation,
            format!("features have {rows} rows"),
            "at most 4294967295",
        ));
    }
    let mut flat = match features {
        FeatureArray::Pixels(pixels) => return flat_pixels(model, operation, pixels),
        FeatureArray::Floats(Floats::Wide(wide)) => {
            return narrow(model, operation, &wide).map(|numbers| Flat::Numbers(numbers.into()));
        }
        FeatureArray::Floats(Floats::Narrow(array)) => match array.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(array.iter().copied().collect()),
        },
    };
    check_finite(operation, "features", &flat, width)?;
    if let Some(rows) = model.graph.ids_below() {
        check_ids(operation, &flat, [rows, width])?;
    }
    if let Some(scaling) = model.scaling {
        scaling.apply(flat.to_mut());
    }
    Ok(Flat::Numbers(flat))
}

/// Pixels as they are, with the number of each; as numbers if the features are scaled apart from
/// each other, or are ids.
fn flat_pixels<'a>(
    model: InputSpec,
    operation: &str,
    pixels: ArrayViewD<'a, u8>,
) -> Result<Flat<'a>> {
    let pixels: Cow<[u8]> = match pixels.to_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(pixels.iter().copied().collect()),
    };
    if let Some(rows) = model.graph.ids_below() {
        let ids: Vec<f32> = pixels.iter().map(|&pixel| f32::from(pixel)).collect();
        check_ids(operation, &ids, [rows, model.graph.inputs()])?;
        return Ok(Flat::Numbers(ids.into()));
    }
    // As the reader of IDX files.
    let mut palette: Palette = std::array::from_fn(|pixel| pixel as f32 / 255.0);
    match model.scaling {
        None => Ok(Flat::Pixels(pixels, Box::new(palette))),
        Some(scaling) => match scaling.of_all() {
            Some([mean, scale]) => {
                palette.iter_mut().for_each(|x| *x = scaled(*x, mean, scale));
                Ok(Flat::Pixels(pixels, Box::new(palette)))
            }
            None => {
                let mut numbers = FlatView::Pixels(&pixels, &palette).numbers().into_owned();
                scaling.apply(&mut numbers);
                Ok(Flat::Numbers(numbers.into()))
            }
        },
    }
}

/// As [`features`], from f64.
fn narrow(model: InputSpec, operation: &str, wide: &ArrayViewD<f64>) -> Result<Vec<f32>> {
    let width = model.graph.inputs();
    let scaled = |(place, &x): (usize, &f64)| match model.scaling {
        Some(scaling) => (x - scaling.mean[place % width]) / scaling.scale[place % width],
        None => x,
    };
    let numbers: Vec<f64> = wide.iter().enumerate().map(scaled).collect();
    if let Some(place) = numbers.iter().position(|&x| inputs::is_beyond_f32(x)) {
        let found = wide.iter().nth(place).copied().unwrap_or(f64::NAN);
        return Err(beyond_f32(operation, "features", found, place, width));
    }
    let flat: Vec<f32> = numbers.into_iter().map(|x| x as f32).collect();
    check_finite(operation, "features", &flat, width)?;
    if let Some(rows) = model.graph.ids_below() {
        check_ids(operation, &flat, [rows, width])?;
    }
    Ok(flat)
}

/// Rejects features that are not ids of a table.
fn check_ids(operation: &str, features: &[f32], [rows, width]: [usize; 2]) -> Result<()> {
    let is_id = |id: f32| id >= 0.0 && id < rows as f32 && id.fract() == 0.0;
    let Some(at) = features.iter().position(|&id| !is_id(id)) else { return Ok(()) };
    let (row, column) = (at / width, at % width);
    Err(Error::Input {
        operation: operation.into(),
        name: "features".into(),
        found: format!("hold {} in row {row}, column {column}", features[at]),
        allowed: format!("ids of the embedding's rows: whole numbers from 0 to {}", rows - 1),
    })
}

/// The error for a number that would become an infinity in f32.
fn beyond_f32(operation: &str, name: &str, x: f64, place: usize, width: usize) -> Error {
    Error::Input {
        operation: operation.into(),
        name: name.into(),
        found: format!("hold {x:e} at row {}, column {}", place / width, place % width),
        allowed: format!("they must be {}", inputs::WITHIN_F32),
    }
}

/// The predictions of all rows as an array.
pub(crate) fn predictions(rows: usize, outputs: usize, flat: Vec<f64>) -> Result<Array2<f32>> {
    let flat = flat.into_iter().map(|value| value as f32).collect();
    Array2::from_shape_vec((rows, outputs), flat)
        .map_err(|error| shape_error("predict", error.to_string(), "one prediction for each row"))
}

fn check_labels(operation: &str, [rows, positions]: [usize; 2], shape: &[usize]) -> Result<()> {
    if positions > 1 {
        // The shape and not the count: the targets of [tokens, rows] would be those of others.
        if shape == [rows, positions] || shape == [rows * positions] {
            return Ok(());
        }
        let found = format!("features have {rows} rows but targets are {shape:?}");
        return Err(shape_error(operation, found, &format!("they must be [{rows}, {positions}]")));
    }
    let targets: usize = shape.iter().product();
    if rows == targets {
        return Ok(());
    }
    let found = format!("features have {rows} rows but targets {targets}");
    Err(shape_error(operation, found, "there must be one target for each row"))
}

fn check_finite(operation: &str, name: &str, values: &[f32], width: usize) -> Result<()> {
    let bad = values.iter().filter(|value| !value.is_finite()).count();
    let Some(first) = values.iter().position(|value| !value.is_finite()) else {
        return Ok(());
    };
    Err(Error::NonFinite {
        operation: operation.into(),
        name: name.into(),
        found: values[first].to_string(),
        position: format!("row {}, column {}", first / width, first % width),
        count: bad,
    })
}

//! The loss and its gradient on fixed rows, at any weights.

use crate::explain::checks::refused;
use crate::nn::train::engine::TrainingSpec;
use crate::nn::train::features::FeatureElement;
use crate::nn::train::samples::Rows;
use crate::nn::train::training_run::{Loaded, scoring};
use crate::{Error, Model, Result, Targets};
use ndarray::{ArrayBase, Data, Dimension};

/// A model whose weights are moved, and rows on its device.
pub(super) struct Probe<'m> {
    operation: &'m str,
    model: &'m mut Model,
    training_spec: TrainingSpec,
    loaded: Loaded,
    /// The weights and running statistics of the model as it came.
    start: Vec<f64>,
    /// The weights that are set, and the same statistics.
    moved: Vec<f64>,
}

/// Hands a probe to `measure`. The model has its weights and statistics again afterwards, also
/// where that fails.
pub(super) fn probed<'a, T, S: Data<Elem: FeatureElement>, D: Dimension>(
    operation: &str,
    model: &mut Model,
    features: &ArrayBase<S, D>,
    targets: impl Into<Targets<'a>>,
    measure: impl FnOnce(&mut Probe) -> Result<T>,
) -> Result<T> {
    if model.graph.embedding().is_some() {
        return Err(refused(
            operation,
            "the model",
            "begins with an embedding of which only the rows of a batch are moved",
            "Sequential::tokens with a TokenEmbedding",
        ));
    }
    let training_spec = model.training_spec(operation)?;
    let rows = Rows::new(
        model.input_spec(),
        &*training_spec.loss,
        operation,
        FeatureElement::features(features),
        &targets.into(),
    )?;
    let start = model.engine.parameters()?;
    let loaded = Loaded::new(&rows, model.engine.load(&rows.all())?);
    let mut probe = Probe { operation, model, training_spec, loaded, moved: start.clone(), start };
    let found = measure(&mut probe);
    let Probe { model, loaded, start, .. } = probe;
    let restored = model.engine.set_parameters(&start);
    model.engine.unload(loaded.data);
    let found = found?;
    restored.map(|()| found)
}

impl Probe<'_> {
    /// The model's weights as it came.
    pub fn start(&self) -> Vec<f64> {
        self.start[..self.model.graph.length].to_vec()
    }

    /// The shapes of the parameters with their places among the weights, and the axis along which
    /// they are cut into filters: the numbers of one unit. `None` for a bias, and the scale or shift
    /// of a norm.
    pub fn filters(&self) -> Vec<Filters> {
        let of = |parameter: &crate::nn::graph::nodes::Parameter| {
            let by_column = parameter.file_order != crate::nn::graph::op::FileOrder::Same;
            let shape = &parameter.shape;
            let filters = match (shape.len(), by_column) {
                (0 | 1, _) => 0,
                (_, true) => shape[shape.len() - 1],
                (_, false) => shape[0],
            };
            Filters { range: self.model.graph.range(parameter), filters, by_column }
        };
        self.model.graph.parameters.iter().map(of).collect()
    }

    fn set(&mut self, weights: &[f64]) -> Result<()> {
        self.moved[..weights.len()].copy_from_slice(weights);
        self.model.engine.set_parameters(&self.moved)
    }

    /// The mean loss at these weights, as in [`Model::evaluate`].
    pub fn loss(&mut self, weights: &[f64]) -> Result<f64> {
        self.set(weights)?;
        Ok(self.model.score_together(&self.training_spec, self.loaded, None)?.loss)
    }

    /// The gradient of the mean loss at these weights, in training.
    pub fn gradient(&mut self, weights: &[f64]) -> Result<Vec<f64>> {
        self.set(weights)?;
        let mut batches = scoring(self.loaded);
        batches.iter_mut().skip(1).for_each(|batch| batch.accumulate = true);
        self.model.engine.train(self.loaded.data, &self.training_spec, &batches)?;
        let found = self.model.engine.gradients()?;
        match found.iter().position(|number| !number.is_finite()) {
            None => Ok(found),
            Some(place) => {
                let graph = &self.model.graph;
                let own = graph.parameters.iter().find(|p| graph.range(p).contains(&place));
                let position = own.map_or_else(String::new, |parameter| {
                    format!("number {} of {}", place - graph.range(parameter).start, parameter.path)
                });
                Err(Error::NonFinite {
                    operation: self.operation.into(),
                    name: "the gradient".into(),
                    found: found[place].to_string(),
                    position,
                    count: found.iter().filter(|number| !number.is_finite()).count(),
                })
            }
        }
    }
}

/// A parameter among the weights, and its filters.
pub(super) struct Filters {
    pub range: std::ops::Range<usize>,
    /// Number of filters; 0 for a parameter of one axis.
    pub filters: usize,
    /// True if the filters are the places of the last axis, false if they are those of the first.
    pub by_column: bool,
}

impl Filters {
    /// The filter of a number of the parameter.
    pub fn of(&self, place: usize) -> usize {
        if self.by_column {
            place % self.filters
        } else {
            place / (self.range.len() / self.filters)
        }
    }
}

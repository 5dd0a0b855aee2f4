//! Results of single rows of a model, on its device.

use ndarray::{ArrayBase, Data, Dimension};

use crate::nn::model::Model;
use crate::nn::train::engine::{Metric, TrainingSpec};
use crate::nn::train::features::{FeatureArray, FeatureElement};
use crate::nn::train::row_results::{RowResults, RowRule};
use crate::nn::train::samples::Rows;
use crate::nn::train::trace::{self, Asked, Trace, TracedLayer, traced_layers};
use crate::{Error, Result, Targets};

/// What has a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// Each row, with the norm of its gradient if asked.
    Rows { norms: bool },
    /// Each target, of which a row may have several.
    Targets,
}

impl Model {
    /// The loss of each row, the probability of its target, its margin, the class that is predicted
    /// and the squared norm of its gradient, without training.
    ///
    /// Forward and backward passes run on the model's device, as it predicts: dropout is off. Losses,
    /// probabilities and norms are computed in f64 of what they give. Where the norm is `None`
    /// ([`RowResults::squared_gradient_norm`]), only the forward pass runs.
    ///
    /// ```
    /// use gradus::{Dense, Device, Sequential, losses::CrossEntropy, optimizers::Adam};
    /// use ndarray::array;
    /// let mut model = Sequential::new(2)
    ///     .then(Dense::new(2))
    ///     .on(&Device::reference())?
    ///     .compile(CrossEntropy::new(), Adam::new())?;
    /// // A row of zeros has the outputs 0, 0: both classes have the probability 1/2.
    /// let found = model.evaluate_rows(&array![[0.0_f32, 0.0]], &array![1_i64])?;
    /// let classes = found.classes.as_ref().unwrap();
    /// assert!((found.loss[0] - 2_f64.ln()).abs() < 1e-12);
    /// assert_eq!((classes.target_probability(), classes.margin[0]), (Some(vec![0.5]), 0.0));
    /// // δ = (1/2, −1/2), and of the inputs only the bias' 1 is not 0.
    /// assert_eq!(found.squared_gradient_norm, Some(vec![0.5]));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::evaluate`]; [`Error::Input`] for a loss of lists, a model with a target for each
    /// token, and a row whose label the loss ignores.
    pub fn evaluate_rows<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<RowResults> {
        let features = FeatureElement::features(features);
        self.row_results("evaluate_rows", features, &targets.into(), true)
    }

    /// The results of each target of each row, row after row: those of [`Model::evaluate_rows`] for a
    /// model with a target for each token. Norms of gradients are `None`: the parameters' gradient of
    /// one token is not that of a row.
    ///
    /// ```
    /// use gradus::{Device, losses::CrossEntropy, optimizers::Adam, zoo::Gpt};
    /// use ndarray::array;
    /// let mut model = Gpt::new(5, 3)
    ///     .layers(1)
    ///     .heads(1)
    ///     .width(4)
    ///     .build()
    ///     .on(&Device::cpu())?
    ///     .compile(CrossEntropy::new(), Adam::new())?;
    /// let (ids, next) = (array![[0.0_f32, 1.0, 2.0], [2.0, 3.0, 4.0]], array![[1_i64, 2, 3], [3, 4, 0]]);
    /// let found = model.evaluate_tokens(&ids, &next)?;
    /// assert_eq!((found.rows(), found.outputs.dim()), (6, (6, 5)));
    /// assert_eq!(found.classes.as_ref().unwrap().target, [1, 2, 3, 3, 4, 0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Model::evaluate_rows`], but for a target for each token.
    pub fn evaluate_tokens<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        &mut self,
        features: &ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<RowResults> {
        let features = FeatureElement::features(features);
        self.results_of("evaluate_tokens", features, &targets.into(), Of::Targets)
    }

    /// Results of rows, with the norms of their gradients where they are known and asked.
    pub(crate) fn row_results(
        &mut self,
        operation: &str,
        features: FeatureArray,
        targets: &Targets,
        norms: bool,
    ) -> Result<RowResults> {
        self.results_of(operation, features, targets, Of::Rows { norms })
    }

    fn results_of(
        &mut self,
        operation: &str,
        features: FeatureArray,
        targets: &Targets,
        of: Of,
    ) -> Result<RowResults> {
        let (training_spec, rows) = self.checked_rows(operation, features, targets)?;
        let rule = match of {
            Of::Rows { .. } => self.row_rule(operation, &training_spec)?,
            Of::Targets => {
                let sizes = [self.graph.columns(), 1];
                RowRule::new(&training_spec, operation, sizes, self.graph.output_activation())?
            }
        };
        let samples = rows.all();
        rule.check(operation, samples.targets, self.graph.positions())?;
        let has_norms = of == Of::Rows { norms: true } && self.graph.statistics.is_empty();
        let layers = traced_layers(&self.graph).filter(|_| has_norms);
        let data = self.engine.load(&samples)?;
        let found = match &layers {
            Some(layers) => self.norms(data, rows.rows, &training_spec, layers),
            None => {
                let outputs = self.engine.predict(data, self.graph.prediction_batch());
                outputs.map(|outputs| (outputs, None))
            }
        };
        self.engine.unload(data);
        let (outputs, norms) = found?;
        let results = rule.results(outputs, samples.targets)?;
        Ok(RowResults { squared_gradient_norm: norms, ..results })
    }

    /// The loss of the model on checked rows; its metric says what their classes are.
    pub(crate) fn checked_rows<'f>(
        &self,
        operation: &str,
        features: FeatureArray<'f>,
        targets: &Targets,
    ) -> Result<(TrainingSpec, Rows<'f>)> {
        let mut training_spec = self.training_spec(operation)?;
        training_spec.chunked_head = false;
        let rows =
            Rows::new(self.input_spec(), &*training_spec.loss, operation, features, targets)?;
        training_spec.metric = Metric::of(&*training_spec.loss, rows.one_hot, self.graph.columns());
        Ok((training_spec, rows))
    }

    /// The rule by which outputs become results of rows.
    pub(crate) fn row_rule(
        &self,
        operation: &str,
        training_spec: &TrainingSpec,
    ) -> Result<RowRule> {
        let sizes = [self.graph.columns(), self.graph.positions()];
        RowRule::new(training_spec, operation, sizes, self.graph.output_activation())
    }

    /// Passes over rows that are loaded, a batch at a time in their order.
    pub(crate) fn traces(
        &mut self,
        data: usize,
        rows: usize,
        training_spec: &TrainingSpec,
        asked: Asked,
        mut each: impl FnMut(usize, Trace) -> Result<()>,
    ) -> Result<()> {
        let batch = self.graph.prediction_batch();
        for first in (0..rows).step_by(batch) {
            let part = first..rows.min(first + batch);
            each(first, self.engine.trace(data, training_spec, part, asked)?)?;
        }
        Ok(())
    }

    /// The layers of which a row's gradient is made.
    ///
    /// # Errors
    /// [`Error::Input`] for a model with parameters outside of dense layers of rows.
    pub(crate) fn layers_of_gradients(&self, operation: &str) -> Result<Vec<TracedLayer>> {
        trace::check(&self.graph, operation)?;
        traced_layers(&self.graph).ok_or_else(|| Error::Input {
            operation: operation.into(),
            name: "the model".into(),
            found: "has parameters outside of dense layers of rows".into(),
            allowed: "dense layers, and layers without parameters, from features to outputs".into(),
        })
    }

    /// The outputs, and the squared norms of the rows' gradients.
    fn norms(
        &mut self,
        data: usize,
        rows: usize,
        training_spec: &TrainingSpec,
        layers: &[TracedLayer],
    ) -> Result<(Vec<f64>, Option<Vec<f64>>)> {
        let (mut outputs, mut norms) = (Vec::new(), Vec::with_capacity(rows));
        let columns = self.graph.outputs();
        let asked = Asked { layers: true, input_gradient: false };
        self.traces(data, rows, training_spec, asked, |_, trace| {
            let count = trace.outputs.len() / columns;
            norms.extend((0..count).map(|row| squared_norm(&trace, layers, row)));
            outputs.extend(trace.outputs);
            Ok(())
        })?;
        Ok((outputs, Some(norms)))
    }
}

/// Σ over the layers of ‖δ‖² (‖a‖² + 1).
fn squared_norm(trace: &Trace, layers: &[TracedLayer], row: usize) -> f64 {
    let square = |values: &[f64], width: usize| -> f64 {
        values[row * width..(row + 1) * width].iter().map(|x| x * x).sum()
    };
    let of = |(layer, seen): (&TracedLayer, &trace::LayerTrace)| {
        let inputs = square(&seen.inputs, layer.inputs) + f64::from(u8::from(layer.bias));
        square(&seen.deltas, layer.units) * inputs
    };
    layers.iter().zip(&trace.layers).map(of).sum()
}

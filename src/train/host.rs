//! The host's engine: f32 on all cores, or f64 as the reference. The same steps as the GPU's, one call each.

use std::collections::HashMap;
use std::sync::Arc;

use crate::Result;
use crate::activations::Activation;
use crate::host::Spread;
use crate::host::matmul::{Layout, matmul};
use crate::host::pointwise::Points;
use crate::host::rowwise::{Rows, Targets, is_ignored};
use crate::layers::{Network, Placed};
use crate::losses::{Family, HostReal};
use crate::real::Real;
use crate::train::crowd::Shares;
use crate::train::engine::{Batch, Engine, Lists, Metric, Objective, Outcome, SampleTargets, Samples};

/// Parameters, gradients and states in the host's memory.
#[derive(Debug)]
pub(crate) struct HostEngine<R> {
    network: Network,
    parameters: Vec<R>,
    gradients: Vec<R>,
    states: Vec<Vec<R>>,
    remembered: Option<(Vec<R>, Vec<Vec<R>>)>,
    skipped: usize,
    data: HashMap<usize, Arc<Data<R>>>,
    next: usize,
    pass: Pass<R>,
}

/// A data set in the engine's precision.
#[derive(Debug)]
pub(crate) struct Data<R> {
    rows: usize,
    features: Vec<R>,
    labels: Vec<i32>,
    dense: Vec<R>,
    has_labels: bool,
    has_ignored: bool,
    lists: Option<Lists>,
}

/// What a batch leaves on its way, kept from step to step so that nothing is allocated twice.
#[derive(Debug, Default)]
struct Pass<R> {
    /// The batch's rows, then the output of each layer.
    outputs: Vec<Vec<R>>,
    /// What each activation was given; empty where its derivative does not ask.
    inputs: Vec<Vec<R>>,
    /// dL/dx of the activation, then of the layer's input.
    gradient: Vec<R>,
    below: Vec<R>,
    labels: Vec<i32>,
    dense: Vec<R>,
    values: Vec<R>,
    padded: Padded<R>,
}

/// Lists of a batch beside each other, each as long as the longest.
#[derive(Debug, Default)]
struct Padded<R> {
    scores: Vec<R>,
    truths: Vec<R>,
    gradient: Vec<R>,
}

impl<R: HostReal> HostEngine<R> {
    pub fn new(network: Network) -> Self {
        let zeros = || vec![R::ZERO; network.length];
        HostEngine {
            parameters: zeros(),
            gradients: zeros(),
            states: Vec::new(),
            remembered: None,
            skipped: 0,
            data: HashMap::new(),
            next: 0,
            pass: Pass::default(),
            network,
        }
    }

    /// Brings the batch's rows together, in the order asked for; says how many there are, items where the batch is of lists.
    fn gather(&mut self, data: usize, batch: &Batch) -> usize {
        let Some(data) = self.data.get(&data) else { return 0 };
        let (inputs, outputs) = (self.network.inputs, self.network.outputs());
        let pass = &mut self.pass;
        pass.outputs.resize_with(self.network.layers.len() + 1, Vec::new);
        pass.inputs.resize_with(self.network.layers.len(), Vec::new);
        pass.outputs[0].clear();
        pass.labels.clear();
        pass.dense.clear();
        let mut add = |rows: std::ops::Range<usize>| {
            pass.outputs[0].extend_from_slice(&data.features[rows.start * inputs..rows.end * inputs]);
            if data.has_labels {
                pass.labels.extend_from_slice(&data.labels[rows]);
            } else if !data.dense.is_empty() {
                pass.dense.extend_from_slice(&data.dense[rows.start * outputs..rows.end * outputs]);
            }
        };
        match &data.lists {
            Some(lists) => lists.of(batch).for_each(|list| add(lists.items(list))),
            None => (batch.start..batch.start + batch.rows).for_each(|place| {
                let row = batch.row(place);
                add(row..row + 1);
            }),
        }
        pass.outputs[0].len() / inputs
    }

    fn forward(&mut self, rows: usize) -> Result<()> {
        for (index, layer) in self.network.layers.iter().enumerate() {
            let (before, after) = self.pass.outputs.split_at_mut(index + 1);
            let (x, y) = (&before[index], &mut after[0]);
            resize(y, rows * layer.units);
            matmul(Layout::NN, rows, layer.units, layer.inputs, x, &self.parameters[layer.weights()], y, false)?;
            if layer.bias {
                let bias = &self.parameters[layer.biases()];
                for row in y.chunks_exact_mut(layer.units) {
                    row.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
                }
            }
            let kept = &mut self.pass.inputs[index];
            kept.clear();
            kept.extend_from_slice(y);
            layer.activation.forward(layer.units, kept, y)?;
        }
        Ok(())
    }

    /// The loss of the batch that went forward; leaves its gradient.
    fn loss(&mut self, objective: &Objective, batch: &Batch, data: usize) -> Outcome {
        let columns = self.network.outputs();
        let Some(data) = self.data.get(&data) else { return Outcome::default() };
        let pass = &mut self.pass;
        if let Some(lists) = &data.lists {
            return pass.loss_of_lists(objective, batch, lists);
        }
        let predictions = &pass.outputs[self.network.layers.len()];
        resize(&mut pass.gradient, predictions.len());
        let ignored = objective.loss.ignored();
        let mut factor = objective.factor(batch.divisor_rows.unwrap_or(batch.rows), columns);
        if data.has_ignored && batch.divisor_rows.is_none() {
            let kept = pass.labels.iter().filter(|&&label| !is_ignored(ignored, label)).count();
            factor = if kept == 0 { 0.0 } else { 1.0 / kept as f64 };
        }
        let loss = match objective.loss.family() {
            Family::Pointwise(_) => {
                let points = Points {
                    predictions,
                    targets: &pass.dense,
                    weight: Spread::None,
                    mask: Spread::None,
                    column_weight: &[],
                    row_length: columns,
                    factor: R::new(factor),
                    upstream: R::ONE,
                    upstreams: &[],
                };
                R::pointwise(&*objective.loss, &points, &mut pass.gradient, &mut [])
            }
            Family::Rowwise(_) | Family::Listwise(_) => {
                let targets = if data.has_labels { Targets::Labels(&pass.labels) } else { Targets::Dense(&pass.dense) };
                let rows = Rows {
                    logits: predictions,
                    columns,
                    targets,
                    ignored,
                    class_weight: &[],
                    pos_weight: &[],
                    class_mask: &[],
                    weight: &[],
                    mask: &[],
                    factor: R::new(factor),
                    upstream: R::ONE,
                    upstreams: &[],
                };
                resize(&mut pass.values, batch.rows);
                R::rowwise(&*objective.loss, &rows, &mut pass.gradient, &mut pass.values, &mut []);
                pass.values.iter().map(|value| value.to_f64()).sum()
            }
            // `Model::compile` refuses them.
            Family::Joint(..) => f64::NAN,
        };
        let correct = objective.metric.map_or(0, |metric| pass.correct(metric, columns, data.has_labels, ignored));
        Outcome { loss, correct: correct as f64 }
    }

    fn backward(&mut self, batch: &Batch, rows: usize) -> Result<()> {
        for index in (0..self.network.layers.len()).rev() {
            let layer = &self.network.layers[index];
            let pass = &mut self.pass;
            let activation: &dyn Activation = &*layer.activation;
            activation.backward(layer.units, &pass.inputs[index], &pass.outputs[index + 1], &mut pass.gradient)?;
            let x = &pass.outputs[index];
            let weights = &mut self.gradients[layer.weights()];
            matmul(Layout::TN, layer.inputs, layer.units, rows, x, &pass.gradient, weights, batch.accumulate)?;
            bias_gradient(layer, &pass.gradient, &mut self.gradients[layer.biases()], batch.accumulate);
            if index > 0 {
                resize(&mut pass.below, rows * layer.inputs);
                let weights = &self.parameters[layer.weights()];
                matmul(Layout::NT, rows, layer.inputs, layer.units, &pass.gradient, weights, &mut pass.below, false)?;
                std::mem::swap(&mut pass.gradient, &mut pass.below);
            }
        }
        Ok(())
    }
}

/// db: the sum of dL/dx over the rows.
fn bias_gradient<R: Real>(layer: &Placed, gradient: &[R], bias: &mut [R], accumulate: bool) {
    if !accumulate {
        bias.fill(R::ZERO);
    }
    for row in gradient.chunks_exact(layer.units) {
        bias.iter_mut().zip(row).for_each(|(sum, &g)| *sum += g);
    }
}

fn resize<R: Real>(values: &mut Vec<R>, length: usize) {
    values.resize(length, R::ZERO);
}

impl<R: HostReal> Pass<R> {
    /// The loss of lists whose items went forward, and its gradient by each item's score.
    fn loss_of_lists(&mut self, objective: &Objective, batch: &Batch, lists: &Lists) -> Outcome {
        let Some(scores) = self.outputs.last() else { return Outcome::default() };
        let sizes: Vec<usize> = lists.of(batch).map(|list| lists.items(list).len()).collect();
        let columns = sizes.iter().copied().max().unwrap_or(0);
        let units = batch.divisor_rows.unwrap_or_else(|| lists.of(batch).map(|list| lists.units[list]).sum());
        let factor = if units == 0 { 0.0 } else { objective.factor(units, columns) };
        let Padded { scores: padded, truths, gradient } = &mut self.padded;
        for values in [&mut *padded, &mut *truths, &mut *gradient] {
            values.clear();
        }
        let mut first = 0;
        for (list, size) in sizes.iter().enumerate() {
            padded.extend_from_slice(&scores[first..first + size]);
            truths.extend_from_slice(&self.dense[first..first + size]);
            first += size;
            padded.resize((list + 1) * columns, R::ZERO);
            truths.resize((list + 1) * columns, -R::ONE);
        }
        resize(gradient, padded.len());
        resize(&mut self.values, sizes.len());
        let rows = Rows {
            logits: padded,
            columns,
            targets: Targets::Dense(truths),
            ignored: &[],
            class_weight: &[],
            pos_weight: &[],
            class_mask: &[],
            weight: &[],
            mask: &[],
            factor: R::new(factor),
            upstream: R::ONE,
            upstreams: &[],
        };
        R::rowwise(&*objective.loss, &rows, gradient, &mut self.values, &mut []);
        self.gradient.clear();
        for (padded, &size) in gradient.chunks_exact(columns.max(1)).zip(&sizes) {
            self.gradient.extend_from_slice(&padded[..size]);
        }
        Outcome { loss: self.values.iter().map(|value| value.to_f64()).sum(), correct: 0.0 }
    }

    /// How many rows are predicted right: of several columns the largest, the first of equals.
    fn correct(&self, metric: Metric, columns: usize, has_labels: bool, ignored: &[i64]) -> usize {
        let Some(predictions) = self.outputs.last() else { return 0 };
        let largest = |row: &[R]| (1..row.len()).fold(0, |best, k| if row[k] > row[best] { k } else { best });
        let is_right = |(index, row): (usize, &[R])| {
            if columns == 1 && !has_labels {
                let truth = self.dense[index] > R::from_f32(metric.truth_threshold);
                return (row[0] > R::from_f32(metric.threshold)) == truth;
            }
            if has_labels && is_ignored(ignored, self.labels[index]) {
                return false;
            }
            let truth = if has_labels {
                self.labels[index] as usize
            } else {
                largest(&self.dense[index * columns..][..columns])
            };
            largest(row) == truth
        };
        predictions.chunks_exact(columns).enumerate().filter(|&row| is_right(row)).count()
    }
}

fn to_reals<R: Real>(values: &[f64]) -> Vec<R> {
    values.iter().map(|&value| R::new(value)).collect()
}

fn to_doubles<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

impl<R: HostReal> Shares for HostEngine<R> {
    type Data = Data<R>;
    const SIDE_BY_SIDE: bool = true;

    fn take_in(&self, samples: &Samples) -> Result<Arc<Data<R>>> {
        let convert = |values: &[f32]| values.iter().map(|&value| R::from_f32(value)).collect();
        let mut data = Data {
            rows: samples.rows,
            features: convert(samples.features),
            labels: Vec::new(),
            dense: Vec::new(),
            has_labels: false,
            has_ignored: samples.has_ignored,
            lists: samples.lists.clone(),
        };
        match samples.targets {
            SampleTargets::None => {}
            SampleTargets::Labels(labels) => {
                data.labels = labels.to_vec();
                data.has_labels = true;
            }
            SampleTargets::Dense(dense) => data.dense = convert(dense),
        }
        Ok(Arc::new(data))
    }

    fn adopt(&mut self, data: Arc<Data<R>>) -> usize {
        self.next += 1;
        self.data.insert(self.next, data);
        self.next
    }
}

impl<R: HostReal> Engine for HostEngine<R> {
    fn parameters(&self) -> Result<Vec<f64>> {
        Ok(to_doubles(&self.parameters))
    }

    fn set_parameters(&mut self, values: &[f64]) -> Result<()> {
        self.parameters = to_reals(values);
        Ok(())
    }

    fn states(&self) -> Result<Vec<Vec<f64>>> {
        Ok(self.states.iter().map(|state| to_doubles(state)).collect())
    }

    fn set_states(&mut self, states: &[Vec<f64>]) -> Result<()> {
        self.states = states.iter().map(|state| to_reals(state)).collect();
        Ok(())
    }

    fn take_skipped(&mut self) -> Result<usize> {
        Ok(std::mem::take(&mut self.skipped))
    }

    fn remember(&mut self) -> Result<()> {
        self.remembered = Some((self.parameters.clone(), self.states.clone()));
        Ok(())
    }

    fn recall(&mut self) -> Result<()> {
        if let Some((parameters, states)) = &self.remembered {
            self.parameters.clone_from(parameters);
            self.states.clone_from(states);
        }
        Ok(())
    }

    fn load(&mut self, samples: &Samples) -> Result<usize> {
        let data = self.take_in(samples)?;
        Ok(self.adopt(data))
    }

    fn unload(&mut self, data: usize) {
        self.data.remove(&data);
    }

    fn train(&mut self, data: usize, objective: &Objective, batches: &[Batch]) -> Result<Vec<Outcome>> {
        among_the_threads(|| self.train_here(data, objective, batches))
    }

    fn evaluate(&mut self, data: usize, objective: &Objective, batches: &[Batch]) -> Result<Vec<Outcome>> {
        among_the_threads(|| self.evaluate_here(data, objective, batches))
    }

    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>> {
        among_the_threads(|| self.predict_here(data, batch_size))
    }
}

/// Runs the whole of it on one of the pool's own threads. From outside, each of a step's parts would wake the pool and put the
/// caller to sleep: 15 to 20 µs each time, and a product of 64 × 784 × 128 takes 160 µs instead of 65 on two cores.
fn among_the_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

impl<R: HostReal> HostEngine<R> {
    fn train_here(&mut self, data: usize, objective: &Objective, batches: &[Batch]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = self.gather(data, batch);
            self.forward(rows)?;
            outcomes.push(self.loss(objective, batch, data));
            self.backward(batch, rows)?;
            if let Some(step) = &batch.update {
                let treatment = objective.treatment(&self.network);
                let (parameters, gradients) = (&mut self.parameters, &self.gradients);
                let states = &mut self.states;
                let moved = objective.optimizer.update_treated(step, &treatment, parameters, gradients, states)?;
                self.skipped += usize::from(!moved);
                if let Some(weight) = objective.aims.average.filter(|_| moved) {
                    self.average(objective.optimizer.states(), R::new(weight));
                }
            }
        }
        Ok(outcomes)
    }

    /// average += weight (parameters − average), in the state behind the optimizer's own.
    fn average(&mut self, state: usize, weight: R) {
        if let Some(average) = self.states.get_mut(state) {
            average.iter_mut().zip(&self.parameters).for_each(|(average, &w)| *average += weight * (w - *average));
        }
    }

    fn evaluate_here(&mut self, data: usize, objective: &Objective, batches: &[Batch]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = self.gather(data, batch);
            self.forward(rows)?;
            outcomes.push(self.loss(objective, batch, data));
        }
        Ok(outcomes)
    }

    fn predict_here(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>> {
        let rows = self.data.get(&data).map_or(0, |data| data.rows);
        let mut predictions = Vec::with_capacity(rows * self.network.outputs());
        for start in (0..rows).step_by(batch_size) {
            let rows = batch_size.min(rows - start);
            let batch = Batch { start, rows, order: None, divisor_rows: None, accumulate: false, update: None };
            self.gather(data, &batch);
            self.forward(rows)?;
            predictions.extend(self.pass.outputs.last().into_iter().flatten().map(|value| value.to_f64()));
        }
        Ok(predictions)
    }
}

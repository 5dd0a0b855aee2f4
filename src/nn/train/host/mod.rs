//! The host's engine: f32 on all cores, or f64 as the reference. The same steps as the GPU's, one call each.

mod pass;

use std::collections::HashMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::Result;
use crate::cpu::matmul::{Layout, matmul};
use crate::cpu::real::Real;
use crate::losses::CpuReal;
use crate::nn::activations::Activation;
use crate::nn::embedding::host::Table;
use crate::nn::layers::{Network, Placed};
use crate::nn::train::batched_engine::Shares;
use crate::nn::train::engine::{
    Batch, Engine, Lists, Outcome, SampleTargets, Samples, TrainingSpec,
};
use crate::nn::train::host::pass::{Pass, resize};
use crate::templates::linear::cpu::{MOST_BYTES_ON_CPU, chunk_rows};

/// Parameters, gradients and states in the host's memory.
#[derive(Debug)]
pub(crate) struct CpuEngine<R> {
    network: Network,
    parameters: Vec<R>,
    gradients: Vec<R>,
    states: Vec<Vec<R>>,
    /// What the model begins with, if it takes ids.
    table: Option<Table<R>>,
    remembered: Option<Remembered<R>>,
    skipped: usize,
    data: HashMap<usize, Arc<Data<R>>>,
    next: usize,
    pass: Pass<R>,
}

/// Parameters, states and table to come back to.
type Remembered<R> = (Vec<R>, Vec<Vec<R>>, Option<Table<R>>);

/// A data set in the engine's precision.
#[derive(Debug)]
pub(crate) struct Data<R> {
    rows: usize,
    features: Vec<R>,
    /// The features of a model that takes ids.
    ids: Vec<i32>,
    labels: Vec<i32>,
    dense: Vec<R>,
    has_labels: bool,
    has_ignored: bool,
    lists: Option<Lists>,
    /// How much each row counts; empty where all count alike.
    weights: Vec<R>,
    /// Weights of the positive side of each output; empty where all are 1.
    positive: Vec<R>,
}

impl<R: CpuReal> CpuEngine<R> {
    pub fn new(network: Network) -> Self {
        let zeros = || vec![R::ZERO; network.length];
        CpuEngine {
            parameters: zeros(),
            gradients: zeros(),
            states: Vec::new(),
            table: network
                .lookup
                .map(|lookup| Table::new(lookup.width, vec![R::ZERO; lookup.length()])),
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
        pass.ids.clear();
        pass.labels.clear();
        pass.dense.clear();
        pass.weights.clear();
        let mut add = |rows: std::ops::Range<usize>| {
            let features = rows.start * inputs..rows.end * inputs;
            match self.table {
                Some(_) => pass.ids.extend_from_slice(&data.ids[features]),
                None => pass.outputs[0].extend_from_slice(&data.features[features]),
            }
            if !data.weights.is_empty() {
                pass.weights.extend_from_slice(&data.weights[rows.clone()]);
            }
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
        let Some(table) = &self.table else { return pass.outputs[0].len() / inputs };
        let rows = pass.ids.len() / inputs;
        resize(&mut pass.outputs[0], rows * self.network.layers[0].inputs);
        table.gather_into(&pass.ids, &mut pass.outputs[0]);
        rows
    }

    /// Takes the batch through so many layers.
    fn forward(&mut self, rows: usize, layers: usize) -> Result<()> {
        for (index, layer) in self.network.layers[..layers].iter().enumerate() {
            let (before, after) = self.pass.outputs.split_at_mut(index + 1);
            let (x, y) = (&before[index], &mut after[0]);
            resize(y, rows * layer.units);
            matmul(
                Layout::NN,
                rows,
                layer.units,
                layer.inputs,
                x,
                &self.parameters[layer.weights()],
                y,
                false,
            )?;
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
    fn loss(&mut self, training_spec: &TrainingSpec, batch: &Batch, data: usize) -> Outcome {
        let columns = self.network.outputs();
        let Some(data) = self.data.get(&data) else { return Outcome::default() };
        let pass = &mut self.pass;
        if let Some(lists) = &data.lists {
            return pass.loss_of_lists(training_spec, batch, lists);
        }
        let factor = pass.factor(training_spec, batch, data.has_ignored, columns);
        pass.loss_of_rows(training_spec, factor, 0, data.has_labels, columns, &data.positive)
    }

    /// Takes a batch forward from its rows to its loss and, if asked, back to the gradients of all layers, and of what the table gave.
    fn go_through(
        &mut self,
        training_spec: &TrainingSpec,
        batch: &Batch,
        data: usize,
        learns: bool,
    ) -> Result<Outcome> {
        let (rows, layers) = (self.gather(data, batch), self.network.layers.len());
        let chunk = chunk_rows(rows, self.network.outputs(), MOST_BYTES_ON_CPU);
        if training_spec.in_chunks && chunk < rows {
            return self.in_chunks(training_spec, batch, data, [rows, chunk], learns);
        }
        self.forward(rows, layers)?;
        let outcome = self.loss(training_spec, batch, data);
        if learns {
            self.backward(batch, rows, layers)?;
        }
        Ok(outcome)
    }

    /// As [`CpuEngine::go_through`], of a batch whose outputs are never held all at once: the last layer, which has no activation, and the
    /// loss go over chunks of the rows. The weights' gradient is summed over the chunks in their order.
    fn in_chunks(
        &mut self,
        training_spec: &TrainingSpec,
        batch: &Batch,
        data: usize,
        [rows, chunk]: [usize; 2],
        learns: bool,
    ) -> Result<Outcome> {
        let last = self.network.layers.len() - 1;
        self.forward(rows, last)?;
        let (layer, mut all) = (&self.network.layers[last], Outcome::default());
        let Some(data) = self.data.get(&data) else { return Ok(all) };
        let (has_labels, units, inputs) = (data.has_labels, layer.units, layer.inputs);
        let factor = self.pass.factor(training_spec, batch, data.has_ignored, units);
        let (weights, bias) = (&self.parameters[layer.weights()], &self.parameters[layer.biases()]);
        let x = std::mem::take(&mut self.pass.outputs[last]);
        let mut below = std::mem::take(&mut self.pass.below);
        resize(&mut below, rows * inputs);
        for first in (0..rows).step_by(chunk) {
            let (pass, count) = (&mut self.pass, chunk.min(rows - first));
            let x = &x[first * inputs..][..count * inputs];
            let outputs = &mut pass.outputs[last + 1];
            resize(outputs, count * units);
            if layer.bias {
                outputs.par_chunks_mut(units).for_each(|row| row.copy_from_slice(bias));
            }
            matmul(Layout::NN, count, units, inputs, x, weights, outputs, layer.bias)?;
            let found =
                pass.loss_of_rows(training_spec, factor, first, has_labels, units, &data.positive);
            all = Outcome { loss: all.loss + found.loss, correct: all.correct + found.correct };
            if learns {
                let adds = batch.accumulate || first > 0;
                let of_weights = &mut self.gradients[layer.weights()];
                matmul(Layout::TN, inputs, units, count, x, &pass.gradient, of_weights, adds)?;
                bias_gradient(layer, &pass.gradient, &mut self.gradients[layer.biases()], adds);
                let below = &mut below[first * inputs..][..count * inputs];
                matmul(Layout::NT, count, inputs, units, &pass.gradient, weights, below, false)?;
            }
        }
        self.pass.outputs[last] = x;
        self.pass.below = std::mem::replace(&mut self.pass.gradient, below);
        if learns {
            self.backward(batch, rows, last)?;
        }
        Ok(all)
    }

    /// The gradients of so many layers, from that of the last one's output on.
    fn backward(&mut self, batch: &Batch, rows: usize, layers: usize) -> Result<()> {
        for index in (0..layers).rev() {
            let layer = &self.network.layers[index];
            let pass = &mut self.pass;
            let activation: &dyn Activation = &*layer.activation;
            activation.backward(
                layer.units,
                &pass.inputs[index],
                &pass.outputs[index + 1],
                &mut pass.gradient,
            )?;
            let x = &pass.outputs[index];
            let weights = &mut self.gradients[layer.weights()];
            matmul(
                Layout::TN,
                layer.inputs,
                layer.units,
                rows,
                x,
                &pass.gradient,
                weights,
                batch.accumulate,
            )?;
            bias_gradient(
                layer,
                &pass.gradient,
                &mut self.gradients[layer.biases()],
                batch.accumulate,
            );
            if index > 0 || self.table.is_some() {
                resize(&mut pass.below, rows * layer.inputs);
                let weights = &self.parameters[layer.weights()];
                matmul(
                    Layout::NT,
                    rows,
                    layer.inputs,
                    layer.units,
                    &pass.gradient,
                    weights,
                    &mut pass.below,
                    false,
                )?;
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

fn to_reals<R: Real>(values: &[f64]) -> Vec<R> {
    values.iter().map(|&value| R::new(value)).collect()
}

fn to_doubles<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

impl<R: CpuReal> Shares for CpuEngine<R> {
    type Data = Data<R>;
    const SIDE_BY_SIDE: bool = true;

    fn prepare(&self, samples: &Samples) -> Result<Arc<Data<R>>> {
        let convert = |values: &[f32]| values.iter().map(|&value| R::from_f32(value)).collect();
        let (features, ids) = match self.table {
            Some(_) => (Vec::new(), samples.features.iter().map(|&id| id as i32).collect()),
            None => (convert(samples.features), Vec::new()),
        };
        let mut data = Data {
            rows: samples.rows,
            features,
            ids,
            labels: Vec::new(),
            dense: Vec::new(),
            has_labels: false,
            has_ignored: samples.has_ignored,
            lists: samples.lists.clone(),
            weights: convert(samples.weights.rows),
            positive: convert(samples.weights.positive),
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

    fn register(&mut self, data: Arc<Data<R>>) -> usize {
        self.next += 1;
        self.data.insert(self.next, data);
        self.next
    }
}

impl<R: CpuReal> Engine for CpuEngine<R> {
    fn parameters(&self) -> Result<Vec<f64>> {
        let mut all = to_doubles(&self.parameters);
        all.extend(self.table.iter().flat_map(|table| to_doubles(table.parameters())));
        Ok(all)
    }

    fn set_parameters(&mut self, values: &[f64]) -> Result<()> {
        let (own, rows) = values.split_at(self.network.length.min(values.len()));
        self.parameters = to_reals(own);
        if let Some(table) = &mut self.table {
            table.set_parameters(to_reals(rows));
        }
        Ok(())
    }

    fn states(&self) -> Result<Vec<Vec<f64>>> {
        let mut all: Vec<Vec<f64>> = self.states.iter().map(|state| to_doubles(state)).collect();
        let of_table = self.table.iter().flat_map(|table| table.states());
        all.iter_mut().zip(of_table).for_each(|(state, rows)| state.extend(to_doubles(rows)));
        Ok(all)
    }

    fn set_states(&mut self, states: &[Vec<f64>]) -> Result<()> {
        let parts = |state: &'_ Vec<f64>| {
            let (own, rows) = state.split_at(self.network.length.min(state.len()));
            (to_reals(own), to_reals(rows))
        };
        let (own, rows) = states.iter().map(parts).unzip();
        self.states = own;
        if let Some(table) = &mut self.table {
            table.set_states(rows);
        }
        Ok(())
    }

    fn take_skipped(&mut self) -> Result<usize> {
        Ok(std::mem::take(&mut self.skipped))
    }

    fn remember(&mut self) -> Result<()> {
        self.remembered = Some((self.parameters.clone(), self.states.clone(), self.table.clone()));
        Ok(())
    }

    fn recall(&mut self) -> Result<()> {
        if let Some((parameters, states, table)) = &self.remembered {
            self.parameters.clone_from(parameters);
            self.states.clone_from(states);
            self.table.clone_from(table);
        }
        Ok(())
    }

    fn load(&mut self, samples: &Samples) -> Result<usize> {
        let data = self.prepare(samples)?;
        Ok(self.register(data))
    }

    fn unload(&mut self, data: usize) {
        self.data.remove(&data);
    }

    fn train(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        among_the_threads(|| self.train_here(data, training_spec, batches))
    }

    fn evaluate(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        among_the_threads(|| self.evaluate_here(data, training_spec, batches))
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

impl<R: CpuReal> CpuEngine<R> {
    fn train_here(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            outcomes.push(self.go_through(training_spec, batch, data, true)?);
            if let Some(step) = &batch.update {
                let gradient_transform = training_spec.gradient_transform(&self.network);
                let (parameters, gradients) = (&mut self.parameters, &self.gradients);
                let states = &mut self.states;
                let moved = training_spec.optimizer.update_transformed(
                    step,
                    &gradient_transform,
                    parameters,
                    gradients,
                    states,
                )?;
                self.skipped += usize::from(!moved);
                if let Some(table) = &mut self.table {
                    table.update(
                        &self.pass.ids,
                        &self.pass.gradient,
                        &*training_spec.optimizer,
                        step,
                    );
                }
                if let Some(weight) = training_spec.step_options.average.filter(|_| moved) {
                    self.average(training_spec.optimizer.states(), R::new(weight));
                }
            }
        }
        Ok(outcomes)
    }

    /// average += weight (parameters − average), in the state behind the optimizer's own.
    fn average(&mut self, state: usize, weight: R) {
        if let Some(average) = self.states.get_mut(state) {
            average
                .iter_mut()
                .zip(&self.parameters)
                .for_each(|(average, &w)| *average += weight * (w - *average));
        }
    }

    fn evaluate_here(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(batches.len());
        for batch in batches {
            outcomes.push(self.go_through(training_spec, batch, data, false)?);
        }
        Ok(outcomes)
    }

    fn predict_here(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>> {
        let rows = self.data.get(&data).map_or(0, |data| data.rows);
        let mut predictions = Vec::with_capacity(rows * self.network.outputs());
        for start in (0..rows).step_by(batch_size) {
            let rows = batch_size.min(rows - start);
            let batch = Batch {
                start,
                rows,
                order: None,
                divisor_rows: None,
                accumulate: false,
                update: None,
            };
            self.gather(data, &batch);
            self.forward(rows, self.network.layers.len())?;
            predictions
                .extend(self.pass.outputs.last().into_iter().flatten().map(|value| value.to_f64()));
        }
        Ok(predictions)
    }
}

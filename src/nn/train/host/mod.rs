//! The CPU engine: f32 on all cores, or f64 as the reference. The same steps as on the GPU, one
//! call each.

mod batch;
mod decode;
mod trace;
mod watch;

use std::collections::HashMap;
use std::mem::take;
use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::cpu::parallel;
use crate::cpu::real::Real;
use crate::nn::embedding::host::Table;
use crate::nn::graph::cpu::{CpuWalk, Weights};
use crate::nn::graph::decode::check_next;
use crate::nn::graph::fuse;
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::{Noise, Precision};
use crate::nn::graph::plan::{BatchRows, Plan, Request, Tensor};
use crate::nn::loss_scale::LossScale;
use crate::nn::memory::BatchPlan;
use crate::nn::ops::gather::augment::{Augment, Change, ImageAugment};
use crate::nn::optimizers::Step;
use crate::nn::train::batched_engine::Shares;
use crate::nn::train::engine::{
    Batch, Engine, Lists, Outcome, Purpose, SampleTargets, Samples, TrainingSpec,
};
use crate::nn::train::features::FlatView;
use crate::nn::train::host::batch::{HostBatch, LossRows};
use crate::nn::train::host::decode::Decoder;
use crate::nn::train::host::watch::UpdateWatch;
use crate::nn::train::reduce::{Reduce, reduce_reals};
use crate::nn::train::trace::{Asked, Trace};
use crate::nn::train::updates::UpdateSigns;
use crate::templates::linear::cpu::{MOST_BYTES_ON_CPU, chunk_rows};
use crate::templates::precision::CpuReal;

/// Parameters, gradients and states in host memory.
#[derive(Debug)]
pub(crate) struct CpuEngine<R> {
    graph: Arc<Graph>,
    /// The graph that predicts, if it is another one.
    predicting: Option<Arc<Graph>>,
    parameters: Vec<R>,
    gradients: Vec<R>,
    /// The gradient of a batch that is added to those of others; empty until there is one.
    term: Vec<R>,
    /// Running statistics of the ops.
    statistics: Vec<R>,
    states: Vec<Vec<R>>,
    /// The embedding table, if the model takes ids.
    table: Option<Table<R>>,
    remembered: Option<Remembered<R>>,
    skipped: usize,
    loss_scale: LossScale,
    data: HashMap<usize, Arc<Data<R>>>,
    next: usize,
    /// Targets and weights of the batch.
    batch: HostBatch<R>,
    walk: CpuWalk<R>,
    /// The graph with a chunked head, created on first use.
    head: Option<Arc<Graph>>,
    /// The sequence that is decoded, created on first use.
    decoder: Option<Decoder<R>>,
    /// Numbers of the watched updates.
    watch: UpdateWatch<R>,
}

/// Snapshot of a model's numbers.
#[derive(Debug)]
struct Remembered<R> {
    parameters: Vec<R>,
    states: Vec<Vec<R>>,
    table: Option<Table<R>>,
    statistics: Vec<R>,
    loss_scale: LossScale,
}

/// A data set in the engine's precision.
#[derive(Debug)]
pub(crate) struct Data<R> {
    rows: usize,
    features: Vec<R>,
    /// Features of one byte, in place of those, and the number of each byte.
    pixels: Vec<u8>,
    palette: Vec<R>,
    /// The features of a model that takes ids.
    ids: Vec<i32>,
    labels: Vec<i32>,
    dense: Vec<R>,
    has_labels: bool,
    has_ignored: bool,
    lists: Option<Lists>,
    /// Row weights; empty if all are 1.
    weights: Vec<R>,
    /// Positive-class weights of the outputs; empty if all are 1.
    positive: Vec<R>,
}

/// A batch that goes through the chunked head.
struct ChunkedHead<'a, R> {
    graph: &'a Graph,
    walk: &'a mut CpuWalk<R>,
    gradients: &'a mut [R],
    statistics: &'a mut [R],
    sizes: BatchRows,
}

impl<R: CpuReal + Precision> CpuEngine<R> {
    pub fn new(graph: Graph) -> Self {
        // The shapes of the rewrite are those of the graph.
        let graph = fuse::everywhere(&graph).unwrap_or(graph);
        let zeros = || vec![R::ZERO; graph.length];
        CpuEngine {
            parameters: zeros(),
            gradients: zeros(),
            term: Vec::new(),
            statistics: vec![R::ZERO; graph.statistic_length()],
            states: Vec::new(),
            table: graph
                .embedding()
                .map(|table| Table::new(table.width, vec![R::ZERO; table.length()])),
            remembered: None,
            skipped: 0,
            loss_scale: LossScale::default(),
            data: HashMap::new(),
            next: 0,
            batch: HostBatch::default(),
            walk: CpuWalk::default(),
            head: None,
            decoder: None,
            watch: UpdateWatch::default(),
            predicting: predicting::<R>(&graph),
            graph: Arc::new(graph),
        }
    }

    /// The graph that a pass runs.
    fn graph_of(&self, learns: bool) -> Arc<Graph> {
        self.predicting.as_ref().filter(|_| !learns).unwrap_or(&self.graph).clone()
    }

    /// Rows of a batch: items for a batch of lists.
    fn rows_of(data: &Data<R>, batch: &Batch) -> usize {
        data.lists
            .as_ref()
            .map_or(batch.rows, |lists| lists.of(batch).map(|list| lists.items(list).len()).sum())
    }

    /// Gathers the batch's rows, in the batch's order, in a walk that has begun. Rows of images
    /// are augmented, if asked.
    fn gather(&mut self, data: &Data<R>, batch: &Batch, rows: usize, augment: Option<Augment>) {
        let augment = ImageAugment::new(augment, self.graph.shape(self.graph.input()));
        let noise = batch.noise_of_rows();
        let (inputs, outputs) = (self.graph.inputs(), self.graph.outputs());
        let positions = self.graph.positions();
        let takes_ids = self.graph.takes_ids();
        let HostBatch { ids, labels, dense, weights, .. } = &mut self.batch;
        ids.clear();
        labels.clear();
        dense.clear();
        weights.clear();
        let features = self.walk.tensor_mut(Tensor::Value(0), rows * inputs);
        let mut at = 0;
        let mut add = |rows: Range<usize>| {
            let from = rows.start * inputs..rows.end * inputs;
            match takes_ids {
                true => ids.extend_from_slice(&data.ids[from.clone()]),
                false => {
                    let to = &mut features[at..at + from.len()];
                    let change = augment.as_ref().map(|images| images.change(noise, rows.start));
                    match data.palette.first_chunk::<256>() {
                        Some(palette) => {
                            let of = |pixel: u8| palette[usize::from(pixel)];
                            copy(&data.pixels[from.clone()], to, of, augment.zip(change));
                        }
                        None => {
                            let from = &data.features[from.clone()];
                            match augment.zip(change) {
                                // A copy of memory: twice as fast as one number at a time.
                                None => to.copy_from_slice(from),
                                change => copy(from, to, |x| x, change),
                            }
                        }
                    }
                }
            }
            at += from.len();
            if !data.weights.is_empty() {
                weights.extend_from_slice(&data.weights[rows.clone()]);
            }
            if data.has_labels {
                let targets = rows.start * positions..rows.end * positions;
                labels.extend_from_slice(&data.labels[targets]);
            } else if !data.dense.is_empty() {
                dense.extend_from_slice(&data.dense[rows.start * outputs..rows.end * outputs]);
            }
        };
        match &data.lists {
            Some(lists) => lists.of(batch).for_each(|list| add(lists.items(list))),
            None => (batch.start..batch.start + batch.rows).for_each(|place| {
                let row = batch.row(place);
                add(row..row + 1);
            }),
        }
    }

    /// The request for a walk over the graph.
    fn request(&self, scores: bool, learns: bool, chunked: bool) -> Request {
        let input_elsewhere = self.graph.takes_ids();
        Request {
            scores,
            learns,
            chunked,
            in_place_forward: false,
            input_elsewhere,
            shares: true,
            input_gradient: false,
            evaluates: false,
        }
    }

    /// The parameters read by the nodes. `scaled` in the passes of mixed-precision training.
    fn weights(&self, noise: Noise, scaled: bool) -> Weights<'_, R> {
        let table = self.table.as_ref().map_or(&[][..], Table::parameters);
        let loss_scale = scaled.then_some(self.loss_scale.factor);
        Weights { all: &self.parameters, table, ids: &self.batch.ids, noise, place: 0, loss_scale }
    }

    /// Runs a batch forward to its loss and, if requested, back to the gradients of all parameters
    /// and of the table's output.
    fn go_through(
        &mut self,
        training_spec: &TrainingSpec,
        batch: &Batch,
        data: usize,
        learns: bool,
    ) -> Result<Outcome> {
        let Some(data) = self.data.get(&data).cloned() else { return Ok(Outcome::default()) };
        let rows = Self::rows_of(&data, batch);
        let chunk = chunk_rows(rows, self.graph.outputs(), MOST_BYTES_ON_CPU);
        if training_spec.chunked_head && chunk < rows {
            let sizes = BatchRows { rows, chunk };
            return self.through_chunked_head(training_spec, batch, &data, sizes, learns);
        }
        let (request, graph) = (self.request(true, learns, false), self.graph_of(learns));
        self.walk.begin(&graph, request, BatchRows::whole(rows));
        self.gather(&data, batch, rows, training_spec.step_options.augment.filter(|_| learns));
        let (nodes, columns) = (0..graph.nodes.len(), graph.columns());
        let mut walk = take(&mut self.walk);
        let mut statistics = take(&mut self.statistics);
        let scaled = learns && training_spec.step_options.mixed_precision;
        let weights = self.weights(batch.noise, scaled);
        let done = walk.forward(&graph, weights, &mut statistics, nodes.clone());
        self.statistics = statistics;
        let (read, written) = (Tensor::Value(nodes.end), Tensor::Gradient(nodes.end));
        let (elements, units) = (rows * self.graph.outputs(), rows * self.graph.positions());
        let outcome = walk.with_both(read, written, elements, |predictions, gradient| {
            if let Some(lists) = &data.lists {
                let all = &mut self.batch;
                return all.loss_of_lists(training_spec, batch, lists, predictions, gradient);
            }
            let rows = LossRows {
                factor: self.batch.factor(training_spec, batch, data.has_ignored, [units, columns]),
                first: 0,
                has_labels: data.has_labels,
                columns,
                positive: &data.positive,
                predictions,
                gradient,
            };
            self.batch.loss_of_rows(training_spec, rows)
        });
        let mut gradients = self.gradients_of(batch);
        let back = done.and_then(|()| match learns {
            true => {
                let weights = self.weights(batch.noise, scaled);
                walk.backward(&graph, weights, &mut gradients, nodes, false)
            }
            false => Ok(()),
        });
        self.walk = walk;
        self.add_gradients(batch, gradients);
        back.and(outcome)
    }

    /// As [`CpuEngine::go_through`], for a batch whose outputs never exist all at once: the last
    /// node, which has no activation, and the loss run over chunks of the rows. The weight gradient
    /// is summed over the chunks in order.
    fn through_chunked_head(
        &mut self,
        training_spec: &TrainingSpec,
        batch: &Batch,
        data: &Data<R>,
        sizes: BatchRows,
        learns: bool,
    ) -> Result<Outcome> {
        if self.head.is_none() {
            self.head = fuse::chunked_head(&self.graph)?.map(Arc::new);
        }
        let request = self.request(true, learns, true);
        self.walk.begin(&self.graph, request, sizes);
        let augment = training_spec.step_options.augment.filter(|_| learns);
        self.gather(data, batch, sizes.rows, augment);
        let graph = self.head.as_ref().unwrap_or(&self.graph).clone();
        let (mut walk, mut gradients) = (take(&mut self.walk), self.gradients_of(batch));
        let mut statistics = take(&mut self.statistics);
        let head = ChunkedHead {
            graph: &graph,
            walk: &mut walk,
            gradients: &mut gradients,
            statistics: &mut statistics,
            sizes,
        };
        let outcome = self.chunks(training_spec, batch, data, head, learns);
        (self.walk, self.statistics) = (walk, statistics);
        self.add_gradients(batch, gradients);
        outcome
    }

    /// Memory for the gradients of a batch. Those that are added to others are summed apart from
    /// them, and then added in one rounding each: the sum is that of processes which have a batch
    /// each.
    fn gradients_of(&mut self, batch: &Batch) -> Vec<R> {
        if !batch.accumulate {
            return take(&mut self.gradients);
        }
        let mut term = take(&mut self.term);
        term.resize(self.gradients.len(), R::ZERO);
        term
    }

    /// Puts the gradients of a batch back, added to the earlier ones if it accumulates.
    fn add_gradients(&mut self, batch: &Batch, found: Vec<R>) {
        if !batch.accumulate {
            self.gradients = found;
            return;
        }
        parallel::fill(&mut self.gradients, parallel::PIECE, |start, sums| {
            sums.iter_mut().zip(&found[start..]).for_each(|(sum, &term)| *sum += term);
        });
        self.term = found;
    }

    fn chunks(
        &mut self,
        training_spec: &TrainingSpec,
        batch: &Batch,
        data: &Data<R>,
        head: ChunkedHead<'_, R>,
        learns: bool,
    ) -> Result<Outcome> {
        let ChunkedHead { graph, walk, gradients, statistics, sizes } = head;
        let BatchRows { rows, chunk } = sizes;
        let (last, columns, mut all) = (graph.nodes.len() - 1, graph.columns(), Outcome::default());
        let positions = graph.positions();
        let scaled = learns && training_spec.step_options.mixed_precision;
        walk.forward(graph, self.weights(batch.noise, scaled), statistics, 0..last)?;
        let units = [rows * positions, columns];
        let factor = self.batch.factor(training_spec, batch, data.has_ignored, units);
        for first in (0..rows).step_by(chunk) {
            let part = first..rows.min(first + chunk);
            let weights = self.weights(batch.noise, scaled);
            walk.forward_rows(graph, weights, statistics, last, part.clone())?;
            let (read, written) = (Tensor::Value(last + 1), Tensor::Gradient(last + 1));
            let elements = part.len() * positions * columns;
            let found = walk.with_both(read, written, elements, |predictions, gradient| {
                self.batch.loss_of_rows(
                    training_spec,
                    LossRows {
                        factor,
                        first: first * positions,
                        has_labels: data.has_labels,
                        columns,
                        positive: &data.positive,
                        predictions,
                        gradient,
                    },
                )
            })?;
            all = Outcome { loss: all.loss + found.loss, correct: all.correct + found.correct };
            if learns {
                let adds = first > 0;
                let weights = self.weights(batch.noise, scaled);
                walk.backward_rows(graph, weights, gradients, last, part, adds)?;
            }
        }
        if learns {
            let weights = self.weights(batch.noise, scaled);
            walk.backward(graph, weights, gradients, 0..last, false)?;
        }
        Ok(all)
    }
}

/// The graph that predicts, if it is another one. The reference runs the ops as they are defined.
fn predicting<R: Real>(graph: &Graph) -> Option<Arc<Graph>> {
    R::as_single(&[])?;
    // The shapes of the rewrite are those of the graph.
    fuse::predicting(graph).ok().flatten().map(Arc::new)
}

/// Copies features of a row, or of plain rows, as numbers; images may be changed.
fn copy<T: Copy, R: Real>(
    from: &[T],
    to: &mut [R],
    number: impl Fn(T) -> R,
    change: Option<(ImageAugment, Change)>,
) {
    match change {
        Some((images, change)) => images.copy_as(&change, from, to, number),
        None => to.iter_mut().zip(from).for_each(|(to, &from)| *to = number(from)),
    }
}

fn to_reals<R: Real>(values: &[f64]) -> Vec<R> {
    values.iter().map(|&value| R::new(value)).collect()
}

fn to_doubles<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|value| value.to_f64()).collect()
}

impl<R: CpuReal + Precision> Shares for CpuEngine<R> {
    type Data = Data<R>;
    const SIDE_BY_SIDE: bool = true;

    fn prepare(&self, samples: &Samples) -> Result<Arc<Data<R>>> {
        let convert = |values: &[f32]| values.iter().map(|&value| R::from_f32(value)).collect();
        let (mut features, mut ids) = (Vec::new(), Vec::new());
        let (mut pixels, mut palette) = (Vec::new(), Vec::new());
        match (samples.features, self.graph.takes_ids()) {
            (FlatView::Pixels(all, of), false) => (pixels, palette) = (all.to_vec(), convert(of)),
            (FlatView::Numbers(numbers), false) => features = convert(numbers),
            (all, true) => ids = all.numbers().iter().map(|&id| id as i32).collect(),
        }
        let mut data = Data {
            rows: samples.rows,
            features,
            pixels,
            palette,
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

impl<R: CpuReal + Precision> Engine for CpuEngine<R> {
    fn parameters(&self) -> Result<Vec<f64>> {
        let mut all = to_doubles(&self.parameters);
        all.extend(self.table.iter().flat_map(|table| to_doubles(table.parameters())));
        all.extend(to_doubles(&self.statistics));
        Ok(all)
    }

    fn set_parameters(&mut self, values: &[f64]) -> Result<()> {
        let (own, rest) = values.split_at(self.graph.length.min(values.len()));
        let rows = self.graph.all_length() - self.graph.length;
        let (rows, statistics) = rest.split_at(rows.min(rest.len()));
        (self.parameters, self.statistics) = (to_reals(own), to_reals(statistics));
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
            let (own, rows) = state.split_at(self.graph.length.min(state.len()));
            (to_reals(own), to_reals(rows))
        };
        let (own, rows) = states.iter().map(parts).unzip();
        self.states = own;
        if let Some(table) = &mut self.table {
            table.set_states(rows);
        }
        Ok(())
    }

    fn set_groups(&mut self, graph: &Graph) -> Result<()> {
        // Plans belong to the graph that they were made of.
        let graph = fuse::everywhere(graph)?;
        self.predicting = predicting::<R>(&graph);
        (self.graph, self.walk) = (Arc::new(graph), CpuWalk::default());
        (self.head, self.decoder) = (None, None);
        Ok(())
    }

    fn take_skipped(&mut self) -> Result<usize> {
        Ok(std::mem::take(&mut self.skipped))
    }

    fn loss_scale(&self) -> Result<LossScale> {
        Ok(self.loss_scale)
    }

    fn set_loss_scale(&mut self, scale: LossScale) -> Result<()> {
        self.loss_scale = scale;
        Ok(())
    }

    fn remember(&mut self) -> Result<()> {
        self.remembered = Some(Remembered {
            parameters: self.parameters.clone(),
            states: self.states.clone(),
            table: self.table.clone(),
            statistics: self.statistics.clone(),
            loss_scale: self.loss_scale,
        });
        Ok(())
    }

    fn recall(&mut self) -> Result<()> {
        if let Some(remembered) = &self.remembered {
            self.parameters.clone_from(&remembered.parameters);
            self.states.clone_from(&remembered.states);
            self.table.clone_from(&remembered.table);
            self.statistics.clone_from(&remembered.statistics);
            self.loss_scale = remembered.loss_scale;
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

    fn reduce(&mut self, has_rows: bool, tail: &mut [f64], reduce: &mut dyn Reduce) -> Result<()> {
        if !has_rows {
            self.gradients.fill(-R::ZERO);
        }
        let length = self.gradients.len();
        self.gradients.extend(tail.iter().map(|&number| R::new(number)));
        let done = reduce_reals(reduce, &mut self.gradients);
        let behind = &self.gradients[length..];
        tail.iter_mut().zip(behind).for_each(|(to, from)| *to = from.to_f64());
        self.gradients.truncate(length);
        done
    }

    fn update(&mut self, training_spec: &TrainingSpec, step: &Step) -> Result<()> {
        among_the_threads(|| self.update_here(training_spec, step))
    }

    fn gradients(&self) -> Result<Vec<f64>> {
        Ok(to_doubles(&self.gradients))
    }

    fn take_updates(&mut self) -> Result<Vec<UpdateSigns>> {
        Ok(self.watch.take())
    }

    fn evaluate(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>> {
        among_the_threads(|| self.evaluate_here(data, training_spec, batches))
    }

    fn batch_plan(&self, rows: usize, purpose: Purpose, chunked_head: bool) -> BatchPlan {
        let [scores, learns] = purpose.scores_and_learns();
        let chunk = match chunked_head {
            true => chunk_rows(rows, self.graph.outputs(), MOST_BYTES_ON_CPU),
            false => rows,
        };
        let graph = self.graph_of(learns || chunk < rows);
        let plan = Plan::new(&graph, self.request(scores, learns, chunk < rows));
        let contributions = plan.contribution_elements(&graph, rows, true);
        BatchPlan { plan, sizes: BatchRows { rows, chunk }, contributions }
    }

    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>> {
        among_the_threads(|| self.predict_here(data, batch_size))
    }

    fn trace(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        rows: Range<usize>,
        asked: Asked,
    ) -> Result<Trace> {
        among_the_threads(|| self.trace_here(data, training_spec, rows, asked))
    }

    fn decode(&mut self, ids: &[i32], place: usize) -> Result<Option<Vec<f64>>> {
        among_the_threads(|| self.decode_here(ids, place))
    }
}

/// Runs the work on one of the pool's threads. From outside, each parallel section of a step would
/// wake the pool and put the caller to sleep: 15 to 20 µs each time, and a product of 64 × 784 ×
/// 128 takes 160 µs instead of 65 on two cores.
fn among_the_threads<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| work())
}

impl<R: CpuReal + Precision> CpuEngine<R> {
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
                self.update_here(training_spec, step)?;
            }
        }
        Ok(outcomes)
    }

    /// Moves the parameters, and the rows of a table in the batch's ids.
    fn update_here(&mut self, training_spec: &TrainingSpec, step: &Step) -> Result<()> {
        let gradient_transform = training_spec.gradient_transform(&self.graph);
        let (parameters, gradients) = (&mut self.parameters, &self.gradients);
        let states = &mut self.states;
        let watches = training_spec.step_options.watch && self.table.is_none();
        match watches {
            true => self.watch.before(parameters, gradients),
            false => self.watch.pause(),
        }
        let moved = training_spec.optimizer.update_transformed(
            step,
            &gradient_transform,
            parameters,
            gradients,
            states,
        )?;
        self.skipped += usize::from(!moved);
        if training_spec.step_options.mixed_precision {
            self.loss_scale.update(moved);
        }
        if watches {
            self.watch.after(&self.parameters);
        }
        let rate = self.graph.table_rate;
        if let (Some(table), Some((node, embedding)), true) =
            (&mut self.table, self.graph.table(), rate != 0.0)
        {
            let (ids, output) = (&self.batch.ids, Tensor::Gradient(node + 1));
            let gradient = self.walk.tensor(output, ids.len() * embedding.width);
            table.update(ids, gradient, &*training_spec.optimizer, &step.at_rate(rate));
        }
        if let Some(weight) = training_spec.step_options.average.filter(|_| moved) {
            self.average(training_spec.optimizer.states(), R::new(weight));
        }
        Ok(())
    }

    /// average += weight (parameters − average), in the state after the optimizer's own.
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
        let Some(data) = self.data.get(&data).cloned() else { return Ok(Vec::new()) };
        let graph = self.graph_of(false);
        let (rows, outputs, nodes) = (data.rows, graph.outputs(), 0..graph.nodes.len());
        let mut predictions = Vec::with_capacity(rows * outputs);
        for start in (0..rows).step_by(batch_size) {
            let rows = batch_size.min(rows - start);
            let batch = Batch {
                start,
                rows,
                order: None,
                divisor_rows: None,
                accumulate: false,
                update: None,
                noise: [0; 4],
            };
            let request = self.request(false, false, false);
            self.walk.begin(&graph, request, BatchRows::whole(rows));
            self.gather(&data, &batch, rows, None);
            let mut walk = take(&mut self.walk);
            let mut statistics = take(&mut self.statistics);
            let weights = self.weights(batch.noise, false);
            let done = walk.forward(&graph, weights, &mut statistics, nodes.clone());
            self.statistics = statistics;
            predictions.extend(
                walk.tensor(Tensor::Value(nodes.end), rows * outputs)
                    .iter()
                    .map(|value| value.to_f64()),
            );
            self.walk = walk;
            done?;
        }
        Ok(predictions)
    }

    fn decode_here(&mut self, ids: &[i32], place: usize) -> Result<Option<Vec<f64>>> {
        check_next(self.graph.inputs(), ids.len(), place)?;
        if self.decoder.is_none() {
            self.decoder = Decoder::new(&self.graph)?;
        }
        match &mut self.decoder {
            Some(decoder) => decoder.decode(&self.graph, &self.parameters, ids, place),
            None => Ok(None),
        }
    }
}

//! The device interface for training. Two engines: the GPU's plan of dispatches, and the CPU's
//! loops in f32 or f64.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use crate::Result;
use crate::cpu::random::Permutation;
use crate::data::Fingerprint;
use crate::losses::{Domain, LossDefinition, Mean};
use crate::nn::graph::nodes::Graph;
use crate::nn::graph::op::Noise;
use crate::nn::loss_scale::LossScale;
use crate::nn::memory::BatchPlan;
use crate::nn::ops::gather::augment::Augment;
use crate::nn::optimizers::{Clip, GradientTransform, Optimizer, Step};
use crate::nn::train::features::FlatView;
use crate::nn::train::reduce::Reduce;
use crate::nn::train::trace::{Asked, Trace};
use crate::nn::train::updates::UpdateSigns;
use crate::nn::train::weights::Weights;

/// Training spec: loss, optimizer and options of a model's steps.
#[derive(Clone, Debug)]
pub(crate) struct TrainingSpec {
    pub loss: Arc<dyn LossDefinition>,
    /// The last layer's outputs exist only for a chunk of rows at a time.
    pub chunked_head: bool,
    pub optimizer: Arc<dyn Optimizer>,
    pub metric: Option<Metric>,
    pub step_options: StepOptions,
}

/// Step options outside the optimizer's update rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct StepOptions {
    pub clip: Option<Clip>,
    /// Skips a step whose gradient is not finite.
    pub skip_non_finite: bool,
    /// Weight of the parameters in their running average after each step.
    pub average: Option<f64>,
    /// Random changes of the images of training batches.
    pub augment: Option<Augment>,
    /// Measures each update for [`Engine::take_updates`].
    pub watch: bool,
    /// The operands of products are rounded to f16, gradients times the loss scale. Steps whose
    /// gradient is not finite are skipped then; a loss that is not finite ends the training.
    pub mixed_precision: bool,
}

/// Metric that decides if a row is predicted right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Metric {
    /// With one column, the prediction is the positive class above this.
    pub threshold: f32,
    /// The target is the positive class above this.
    pub truth_threshold: f32,
}

impl StepOptions {
    /// True if a step whose gradient is not finite is skipped, whatever its loss.
    pub fn skips(&self) -> bool {
        self.skip_non_finite || self.mixed_precision
    }
}

impl TrainingSpec {
    /// The gradient transform over a graph's parameters.
    pub fn gradient_transform<'g>(&self, graph: &'g Graph) -> GradientTransform<'g> {
        let (clip, skip_non_finite) = (self.step_options.clip, self.step_options.skips());
        GradientTransform { spans: graph.spans_for(&*self.optimizer, clip), clip, skip_non_finite }
    }

    /// True if one workgroup can train a network: no update rule or clip reads a whole tensor.
    pub fn is_elementwise(&self) -> bool {
        self.optimizer.per_tensor().is_none()
            && !matches!(self.step_options.clip, Some(Clip::Norm(_)))
    }

    /// The factor of a batch's mean: 1 ÷ its number of values.
    pub fn factor(&self, rows: usize, columns: usize) -> f64 {
        let elementwise = self.loss.is_pointwise() || self.loss.spec().mean == Mean::OverElements;
        1.0 / (rows * if elementwise { columns } else { 1 }) as f64
    }
}

impl Metric {
    /// The metric for a loss: accuracy if the targets are classes. `None` for multi-label rows,
    /// which do not name a single class.
    pub fn of(loss: &dyn LossDefinition, one_hot: bool, outputs: usize) -> Option<Self> {
        let of = |threshold, truth_threshold| Some(Metric { threshold, truth_threshold });
        if outputs > 1 && !one_hot {
            return None;
        }
        match loss.targets() {
            // Thresholds between ordered classes: their argmax is meaningless.
            _ if loss.classes(2) != 2 => None,
            Domain::Class | Domain::Label => of(0.0, 0.5),
            Domain::Sign => of(0.0, 0.0),
            Domain::Probability if loss.predictions() == Domain::Probability => of(0.5, 0.5),
            Domain::ZeroOne | Domain::Probability => of(0.0, 0.5),
            _ if one_hot => of(0.5, 0.5),
            _ => None,
        }
    }
}

/// Rows of a data set, flat and checked.
#[derive(Debug)]
pub(crate) struct Samples<'a> {
    pub rows: usize,
    pub features: FlatView<'a>,
    pub targets: SampleTargets<'a>,
    /// Some labels are ignored, so that a batch's divisor depends on its labels.
    pub has_ignored: bool,
    /// Set if the rows are items of lists: batches are then counted in lists.
    pub lists: Option<Lists>,
    pub weights: Weights<'a>,
}

impl Samples<'_> {
    /// Adds what is trained or validated on.
    pub fn add_to(&self, rows: &mut Fingerprint) {
        self.features.add_to(rows);
        match self.targets {
            SampleTargets::None => {}
            SampleTargets::Labels(labels) => rows.add_all(labels),
            SampleTargets::Dense(dense) => rows.add_all(dense),
        }
        if let Some(lists) = &self.lists {
            rows.add_all(&lists.offsets);
        }
    }
}

/// Rows grouped into consecutive lists.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    /// Start of each list, and the end of the last one.
    pub offsets: Vec<u32>,
    /// Each list's count in the loss's mean.
    pub units: Vec<usize>,
    /// Items of the longest list.
    pub longest: usize,
}

impl Lists {
    /// Lists of the given sizes, in total at most 2³² − 1 items.
    pub fn new(sizes: &[usize], units: Vec<usize>) -> Self {
        let mut offsets = vec![0; sizes.len() + 1];
        for (list, &size) in sizes.iter().enumerate() {
            offsets[list + 1] = offsets[list] + size as u32;
        }
        Lists { offsets, units, longest: sizes.iter().copied().max().unwrap_or(0) }
    }

    /// A range of the lists, with offsets from 0.
    pub fn part(&self, first: usize, lists: usize) -> Self {
        let sizes: Vec<usize> = (first..first + lists).map(|list| self.items(list).len()).collect();
        Lists::new(&sizes, self.units[first..first + lists].to_vec())
    }

    /// The rows of a list.
    pub fn items(&self, list: usize) -> std::ops::Range<usize> {
        self.offsets[list] as usize..self.offsets[list + 1] as usize
    }

    /// The lists of a batch, in its order.
    pub fn of<'l>(&'l self, batch: &'l Batch) -> impl Iterator<Item = usize> + 'l {
        (batch.start..batch.start + batch.rows).map(|place| batch.row(place))
    }
}

/// The targets of all rows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SampleTargets<'a> {
    /// No targets: for predictions.
    None,
    Labels(&'a [i32]),
    /// [rows, outputs]
    Dense(&'a [f32]),
}

/// One batch: forward, loss, backward, and optionally an update. Its rows are lists if the samples
/// are in lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Position of its first row in the order.
    pub start: usize,
    pub rows: usize,
    /// The order of the rows; `None` for the data set's own.
    pub order: Option<Permutation>,
    /// Rows over which the loss is averaged, if the batch belongs to a larger mean; `None` for its
    /// own rows that are not ignored.
    pub divisor_rows: Option<usize>,
    /// Adds the gradient to the existing one.
    pub accumulate: bool,
    /// Updates the parameters afterwards.
    pub update: Option<Step>,
    pub noise: Noise,
}

impl Batch {
    /// Rows in the data set's own order, without an update.
    pub fn of_rows(start: usize, rows: usize) -> Self {
        Batch {
            start,
            rows,
            order: None,
            divisor_rows: None,
            accumulate: false,
            update: None,
            noise: [0; 4],
        }
    }

    /// The row, or list, at a position of the order.
    pub fn row(&self, place: usize) -> usize {
        self.order.map_or(place, |order| order.at(place as u32) as usize)
    }

    /// The noise of numbers drawn by row: in the last word the number of the data set's first row,
    /// 0 unless the data set is a block.
    pub fn noise_of_rows(&self) -> Noise {
        let [low, high, epoch, first] = self.noise;
        [low, high, epoch, first.wrapping_sub(self.start as u32)]
    }
}

/// Result of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub loss: f64,
    /// Rows predicted right; 0 without a metric.
    pub correct: f64,
}

/// What a batch is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Training,
    Evaluation,
    Prediction,
}

impl Purpose {
    /// The loss is computed, and its gradients.
    pub fn scores_and_learns(self) -> [bool; 2] {
        [self != Purpose::Prediction, self == Purpose::Training]
    }
}

/// A device that trains one model.
pub(crate) trait Engine: Debug + Send + Sync {
    /// The flat parameters, followed by the running statistics.
    fn parameters(&self) -> Result<Vec<f64>>;
    fn set_parameters(&mut self, values: &[f64]) -> Result<()>;
    /// The optimizer's states, each as long as the parameters, followed by their running average,
    /// if any.
    fn states(&self) -> Result<Vec<Vec<f64>>>;
    /// Sets the states, and their number.
    fn set_states(&mut self, states: &[Vec<f64>]) -> Result<()>;
    /// Takes the options of the graph's parameter groups; the graph is otherwise the engine's own.
    fn set_groups(&mut self, graph: &Graph) -> Result<()>;
    /// Number of steps skipped since the last call.
    fn take_skipped(&mut self) -> Result<usize>;
    /// The scale of gradients in mixed precision.
    fn loss_scale(&self) -> Result<LossScale>;
    fn set_loss_scale(&mut self, scale: LossScale) -> Result<()>;
    /// Saves parameters, states and the loss scale for [`Engine::recall`].
    fn remember(&mut self) -> Result<()>;
    /// Restores what was saved last.
    fn recall(&mut self) -> Result<()>;
    /// Uploads a data set; returns its handle.
    fn load(&mut self, samples: &Samples) -> Result<usize>;
    /// Replaces a data set by another one; returns its handle. An engine may keep what it has made
    /// for rows of the same number and kinds.
    fn reload(&mut self, data: usize, samples: &Samples) -> Result<usize> {
        self.unload(data);
        self.load(samples)
    }
    /// Releases a data set.
    fn unload(&mut self, data: usize);
    /// Trains on batches in order.
    fn train(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>>;
    /// Reduces the gradients of all parameters but those of a table, with the numbers of `tail` behind
    /// them. Without rows they are −0, which adds nothing to those of others.
    fn reduce(&mut self, has_rows: bool, tail: &mut [f64], reduce: &mut dyn Reduce) -> Result<()>;
    /// Moves the parameters by the gradients that the device has.
    fn update(&mut self, training_spec: &TrainingSpec, step: &Step) -> Result<()>;
    /// Numbers of the updates of watched batches since the last call.
    fn take_updates(&mut self) -> Result<Vec<UpdateSigns>>;
    /// The gradients of all parameters but those of a table, by the last batch that was trained on.
    fn gradients(&self) -> Result<Vec<f64>>;
    /// Losses of batches without training.
    fn evaluate(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>>;
    /// The plan of a batch of `rows` rows that trains, measures or predicts; nothing is allocated.
    fn batch_plan(&self, rows: usize, purpose: Purpose, chunked_head: bool) -> BatchPlan;
    /// Predictions for all rows in order, [rows, outputs].
    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>>;
    /// Runs rows forward, and back from each row's own loss, as the model predicts; no parameter
    /// moves. The loss of a row is the mean over its targets. The graph must pass
    /// [`trace::check`](crate::nn::train::trace::check).
    fn trace(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        rows: Range<usize>,
        asked: Asked,
    ) -> Result<Trace>;
    /// The outputs of the last of `ids`, the next tokens of a sequence of ids, of which the first
    /// one stands at `place`: one token, or the first ones. What the ops need of earlier tokens is
    /// kept from one call to the next, by the weights of that call. `None` if the graph cannot be
    /// decoded token by token.
    fn decode(&mut self, ids: &[i32], place: usize) -> Result<Option<Vec<f64>>>;
}

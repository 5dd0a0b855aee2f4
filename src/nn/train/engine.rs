//! What training needs of a device. Two engines: the GPU's plan of dispatches, and the host's loops in f32 or f64.

use std::fmt::Debug;
use std::sync::Arc;

use crate::Result;
use crate::cpu::random::Permutation;
use crate::losses::{Domain, Family, Loss};
use crate::nn::graph::nodes::Graph;
use crate::nn::optimizers::{Clip, GradientTransform, Optimizer, Step};
use crate::nn::train::weights::Weights;

/// What a model is trained for.
#[derive(Clone, Debug)]
pub(crate) struct TrainingSpec {
    pub loss: Arc<dyn Loss>,
    /// The last layer's outputs are held for a chunk of rows at a time.
    pub chunked_head: bool,
    pub optimizer: Arc<dyn Optimizer>,
    pub metric: Option<Metric>,
    pub step_options: StepOptions,
}

/// What a training does around the optimizer's rule.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct StepOptions {
    pub clip: Option<Clip>,
    /// Leaves out a step whose gradient is not finite.
    pub skip_non_finite: bool,
    /// What part of the parameters goes into their running average after each step.
    pub average: Option<f64>,
}

/// How a row is found to be predicted right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Metric {
    /// With one column, the prediction is the positive class above this.
    pub threshold: f32,
    /// And so is the target above this.
    pub truth_threshold: f32,
}

impl TrainingSpec {
    /// What happens to the gradients of a graph.
    pub fn gradient_transform<'g>(&self, graph: &'g Graph) -> GradientTransform<'g> {
        let StepOptions { clip, skip_non_finite, .. } = self.step_options;
        GradientTransform { spans: graph.spans_for(&*self.optimizer, clip), clip, skip_non_finite }
    }

    /// Whether one workgroup can take a network through its steps: no rule and no clip looks at a whole tensor.
    pub fn is_elementwise(&self) -> bool {
        self.optimizer.per_tensor().is_none()
            && !matches!(self.step_options.clip, Some(Clip::Norm(_)))
    }

    /// The factor of a batch's mean: 1 ÷ its values.
    pub fn factor(&self, rows: usize, columns: usize) -> f64 {
        let elementwise =
            matches!(self.loss.family(), Family::Pointwise(_)) || self.loss.mean_over_elements();
        1.0 / (rows * if elementwise { columns } else { 1 }) as f64
    }
}

impl Metric {
    /// The metric that fits a loss: accuracy where the targets are classes. Rows of several labels, which name no one class, have none.
    pub fn of(loss: &dyn Loss, one_hot: bool, outputs: usize) -> Option<Self> {
        let of = |threshold, truth_threshold| Some(Metric { threshold, truth_threshold });
        if outputs > 1 && !one_hot {
            return None;
        }
        match loss.targets() {
            // Thresholds between ordered classes: the largest of them says nothing.
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
    pub features: &'a [f32],
    pub targets: SampleTargets<'a>,
    /// Some labels are ignored, so that a batch's divisor depends on its labels.
    pub has_ignored: bool,
    /// Where the rows are items of lists: batches are then counted in lists.
    pub lists: Option<Lists>,
    pub weights: Weights<'a>,
}

/// Rows that belong together in lists, one behind the other.
#[derive(Clone, Debug)]
pub(crate) struct Lists {
    /// Where each list begins, and where the last one ends.
    pub offsets: Vec<u32>,
    /// What a loss's mean counts in each.
    pub units: Vec<usize>,
    /// Items of the longest.
    pub longest: usize,
}

impl Lists {
    /// Lists of so many items each, in all no more than 2³² − 1.
    pub fn new(sizes: &[usize], units: Vec<usize>) -> Self {
        let mut offsets = vec![0; sizes.len() + 1];
        for (list, &size) in sizes.iter().enumerate() {
            offsets[list + 1] = offsets[list] + size as u32;
        }
        Lists { offsets, units, longest: sizes.iter().copied().max().unwrap_or(0) }
    }

    /// Some of the lists, by themselves.
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
    /// Nothing to compare with: for predictions.
    None,
    Labels(&'a [i32]),
    /// [rows, outputs]
    Dense(&'a [f32]),
}

/// One batch: forward, loss, backward, and perhaps an update. Its rows are lists where the samples are in lists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Place of its first row in the order.
    pub start: usize,
    pub rows: usize,
    /// The order of the rows; the data set's own if none.
    pub order: Option<Permutation>,
    /// Rows over which the loss is averaged, where it is a part of a greater mean; without, its own that are kept.
    pub divisor_rows: Option<usize>,
    /// Adds the gradient to the one there is.
    pub accumulate: bool,
    /// Moves the parameters afterwards.
    pub update: Option<Step>,
}

impl Batch {
    /// The row, or list, at a place of the order.
    pub fn row(&self, place: usize) -> usize {
        self.order.map_or(place, |order| order.at(place as u32) as usize)
    }
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outcome {
    pub loss: f64,
    /// Rows predicted right; 0 where there is no metric.
    pub correct: f64,
}

/// A device that trains one model.
pub(crate) trait Engine: Debug + Send {
    /// The flat parameters.
    fn parameters(&self) -> Result<Vec<f64>>;
    fn set_parameters(&mut self, values: &[f64]) -> Result<()>;
    /// The optimizer's states, each as long as the parameters; behind them their running average, if there is one.
    fn states(&self) -> Result<Vec<Vec<f64>>>;
    /// Sets them, and with them how many there are.
    fn set_states(&mut self, states: &[Vec<f64>]) -> Result<()>;
    /// How many steps were left out since the last question.
    fn take_skipped(&mut self) -> Result<usize>;
    /// Keeps parameters and states as they are now, to come back to them.
    fn remember(&mut self) -> Result<()>;
    /// Goes back to what was remembered last.
    fn recall(&mut self) -> Result<()>;
    /// Uploads a data set; the number stands for it from then on.
    fn load(&mut self, samples: &Samples) -> Result<usize>;
    /// Lets go of a data set.
    fn unload(&mut self, data: usize);
    /// Trains on batches in turn.
    fn train(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>>;
    /// Losses of batches without training.
    fn evaluate(
        &mut self,
        data: usize,
        training_spec: &TrainingSpec,
        batches: &[Batch],
    ) -> Result<Vec<Outcome>>;
    /// Predictions for all rows in their order, [rows, outputs].
    fn predict(&mut self, data: usize, batch_size: usize) -> Result<Vec<f64>>;
}

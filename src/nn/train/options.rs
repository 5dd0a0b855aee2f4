//! Training options: the arguments of [`crate::Model::fit`].

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{ArrayBase, Data, Dimension, Ix1};

use crate::criterion::inputs::{FloatElement, Floats};
use crate::nn::ops::gather::augment::Augment;
use crate::nn::optimizers::{Clip, Optimizer};
use crate::nn::schedules::Schedule;
use crate::nn::train::average::Average;
use crate::nn::train::callback::Callback;
use crate::nn::train::early_stopping::EarlyStopping;
use crate::nn::train::engine::StepOptions;
use crate::nn::train::exchange::{Exchange, Shard};
use crate::nn::train::features::FeatureElement;
use crate::nn::train::history::Epoch;
use crate::nn::train::learning_rate_policy::LearningRatePolicy;
use crate::nn::train::reduce::{Reduce, Reducer};
use crate::nn::train::validation_data::{OwnedFeatures, ValidationTargets};
use crate::nn::train::weights::{ClassWeight, Weighting};
use crate::{Error, Result};

/// Updates that are measured unless another number is asked for, those that the diagnosis was
/// measured on; and the parameters up to which they are, at two further numbers for each.
const WATCHED: usize = 200;
const MOST_WATCHED: usize = 1 << 24;

/// Options of a training run. Defaults are Keras': 1 epoch of shuffled batches of 32.
///
/// ```
/// use gradus::{EarlyStopping, Fit};
/// let fit = Fit::new().epochs(20).batch_size(64).validation_split(0.1).early_stopping(EarlyStopping::new().patience(3));
/// # let _ = fit;
/// ```
#[derive(Clone, Debug)]
pub struct Fit {
    pub(crate) epochs: usize,
    /// Updates of this training at most.
    pub(crate) steps: Option<usize>,
    /// The number of updates since the model was compiled at which a resumed training ends.
    pub(crate) steps_until: Option<u64>,
    pub(crate) batch_size: usize,
    pub(crate) accumulate: usize,
    /// Batches per update of the training that goes on, whatever the number of processes.
    pub(crate) saved_accumulate: Option<usize>,
    pub(crate) shuffle: bool,
    pub(crate) validation_split: f64,
    pub(crate) validation: Option<Arc<(OwnedFeatures, ValidationTargets)>>,
    pub(crate) early_stopping: Option<EarlyStopping>,
    pub(crate) learning_rate: Option<f64>,
    pub(crate) schedule: Option<LearningRatePolicy>,
    pub(crate) clip_norm: Option<f64>,
    pub(crate) clip_tensor_norm: Option<f64>,
    pub(crate) clip_value: Option<f64>,
    pub(crate) skip_non_finite: bool,
    pub(crate) mixed_precision: bool,
    pub(crate) average: Option<Average>,
    pub(crate) augment: Augment,
    pub(crate) weighting: Weighting,
    pub(crate) checkpoint: Option<PathBuf>,
    pub(crate) resume: bool,
    /// The rest of an interrupted epoch is none of `epochs`.
    pub(crate) finish_epoch: bool,
    pub(crate) on_step: Option<Callback<StepReport>>,
    pub(crate) on_epoch: Option<Callback<Epoch>>,
    pub(crate) reduce: Option<Reducer>,
    pub(crate) shard: Option<Shard>,
    pub(crate) progress: bool,
    /// Updates of this training to measure; none for the default.
    pub(crate) watch_updates: Option<usize>,
    pub(crate) watch_rows: bool,
}

/// Report of one step: a batch, or an epoch for an optimizer that uses all rows per update.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The number of the batch in its epoch, counted from 1; the last of those of an update
    /// ([`Fit::accumulate`]).
    pub batch: usize,
    /// Number of batches in the epoch.
    pub batches: usize,
    /// Its loss.
    pub loss: f64,
}

impl Default for Fit {
    fn default() -> Self {
        Fit {
            epochs: 1,
            steps: None,
            steps_until: None,
            batch_size: 32,
            accumulate: 1,
            saved_accumulate: None,
            shuffle: true,
            validation_split: 0.0,
            validation: None,
            early_stopping: None,
            learning_rate: None,
            schedule: None,
            clip_norm: None,
            clip_tensor_norm: None,
            clip_value: None,
            skip_non_finite: false,
            mixed_precision: false,
            average: None,
            augment: Augment::default(),
            weighting: Weighting::default(),
            checkpoint: None,
            resume: false,
            finish_epoch: false,
            on_step: None,
            on_epoch: None,
            reduce: None,
            shard: None,
            progress: true,
            watch_updates: None,
            watch_rows: false,
        }
    }
}

impl Fit {
    /// Batches of an update, of all processes.
    pub(crate) fn batches_per_update(&self) -> usize {
        self.accumulate.saturating_mul(self.shard.map_or(1, |shard| shard.world))
    }

    /// What happens to the gradient before an update.
    pub(crate) fn exchange(&self) -> Option<Exchange> {
        Some(Exchange::new(self.reduce.clone()?, self.shard))
    }

    /// What was prepared before the first exchange; of an error the other processes hear in it.
    pub(crate) fn begun<T>(&self, prepared: Result<T>) -> Result<T> {
        match (prepared, self.exchange()) {
            (Err(error), Some(exchange)) => exchange.agree_on(Err(error)),
            (prepared, _) => prepared,
        }
    }

    /// True if the process writes files and shows progress.
    pub(crate) fn is_first(&self) -> bool {
        self.shard.is_none_or(|shard| shard.rank == 0)
    }

    /// The number of updates at which a training ends that goes on behind `steps` of them.
    pub(crate) fn until(&self, steps: u64) -> Option<u64> {
        let more = self.steps.map(|more| steps.saturating_add(more as u64));
        more.or(self.steps_until)
    }

    /// Updates to measure, of a model of so many parameters.
    pub(crate) fn watched(&self, parameters: usize) -> usize {
        let own = if parameters <= MOST_WATCHED { WATCHED } else { 0 };
        self.watch_updates.unwrap_or(own)
    }

    /// One epoch of shuffled batches of 32.
    pub fn new() -> Self {
        Self::default()
    }

    /// Additional passes over the training data (default 1). The rest of an interrupted epoch is one
    /// of them, unless [`Fit::finish_epoch`] is set. Removes the limit of steps that a resumed
    /// training was begun with.
    pub fn epochs(mut self, epochs: usize) -> Self {
        (self.epochs, self.steps_until) = (epochs, None);
        self
    }

    /// Updates at most (default: no limit but the epochs): the training ends with the last of them,
    /// in the midst of an epoch if need be, which is reported and validated as a whole one. The
    /// accuracy of such an epoch is of the rows it had; it has none if labels are ignored. The next
    /// call of `fit` begins another epoch, with an order of its own.
    ///
    /// Set the epochs high enough: the training ends with whichever comes first. A training that is
    /// resumed ([`crate::Model::fit_to_resume`]) ends at the same step. `fit` returns
    /// [`Error::Option`] for 0, for rows in blocks and for a population.
    ///
    /// ```
    /// use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Adam};
    /// use ndarray::Array2;
    /// let (x, y) = (Array2::<f32>::ones((10, 1)), Array2::<f32>::ones((10, 1)));
    /// let mut model =
    ///     Sequential::new(1).then(Dense::new(1)).on(&Device::cpu())?.compile(Mse::new(), Adam::new())?;
    /// // Five batches an epoch: one epoch, and three batches of another.
    /// let history = model.fit(&x, &y, Fit::new().batch_size(2).epochs(100).steps(8))?;
    /// assert_eq!((history.steps.len(), history.epochs.len(), model.steps()), (8, 2, 8));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn steps(mut self, steps: usize) -> Self {
        (self.steps, self.steps_until) = (Some(steps), None);
        self
    }

    /// Rows per batch, or lists for grouped targets (default 32). With `gradient_descent`, which
    /// updates once per epoch, the rows per micro-batch.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Batches per update (default 1): their gradients are added up, and the update is by the mean
    /// over all their rows, as from one batch of `accumulate` · `batch_size` rows. Only one batch of
    /// activations is in memory at a time. The last update of an epoch may be of fewer batches.
    ///
    /// Steps, schedules and [`crate::History::steps`] count updates. A batch norm takes its
    /// statistics from each batch alone, as in PyTorch. `fit` returns [`Error::Option`] for
    /// 0, for a population, for rows in blocks or in lists, for ignored labels, for a model that
    /// begins with an embedding, and with `gradient_descent`, which adds up all batches.
    ///
    /// PyTorch: `loss / n` and `backward` for n batches, then `step`; optax `MultiSteps`.
    pub fn accumulate(mut self, batches: usize) -> Self {
        (self.accumulate, self.saved_accumulate) = (batches, None);
        self
    }

    /// Shuffles the rows in each epoch, from the model's seed (default true).
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Fraction of the rows, or lists, held out for validation, taken from the end (default 0). As
    /// in Keras, before shuffling.
    pub fn validation_split(mut self, share: f64) -> Self {
        self.validation_split = share;
        self
    }

    /// Separate validation rows; `validation_split` is then ignored.
    pub fn validation_data<'a, S: Data<Elem: FeatureElement>, D: Dimension>(
        mut self,
        features: &ArrayBase<S, D>,
        targets: impl Into<crate::Targets<'a>>,
    ) -> Self {
        let targets = match targets.into() {
            crate::Targets::Dense(dense) => ValidationTargets::Dense(dense.to_owned()),
            crate::Targets::Wide(dense) => ValidationTargets::Wide(dense.to_owned()),
            crate::Targets::Labels(labels) => ValidationTargets::Labels(labels.to_owned()),
            crate::Targets::Grouped { relevance, groups } => {
                ValidationTargets::Grouped(relevance.into_owned(), groups.to_vec())
            }
        };
        self.validation = Some(Arc::new((OwnedFeatures::of(features), targets)));
        self
    }

    /// Stops when the validation loss no longer improves.
    pub fn early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = Some(early_stopping);
        self
    }

    /// Overrides the optimizer's learning rate.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = Some(learning_rate);
        self
    }

    /// Sets the learning rate of each update by a schedule (see [`crate::nn::schedules`]), counted
    /// over all calls since the model was compiled, also across saving and loading.
    /// [`crate::Epoch::learning_rate`] reports the rate.
    ///
    /// A schedule that monitors a value, such as [`crate::nn::schedules::ReduceOnPlateau`], gets
    /// that of each epoch: the validation loss, or the training loss without validation.
    pub fn schedule(self, schedule: impl Schedule + 'static) -> Self {
        self.shared_schedule(Arc::new(schedule), false)
    }

    /// As [`Fit::schedule`], counted in epochs.
    pub fn schedule_by_epoch(self, schedule: impl Schedule + 'static) -> Self {
        self.shared_schedule(Arc::new(schedule), true)
    }

    /// As [`Fit::schedule`], for a schedule created by name; counted in epochs if `by_epoch`.
    pub fn shared_schedule(mut self, schedule: Arc<dyn Schedule>, by_epoch: bool) -> Self {
        self.schedule = Some(LearningRatePolicy { schedule, by_epoch });
        self
    }

    /// Clips the gradient by its global norm: g ← g · min(1, c / (‖g‖ + 1e-6)), with the norm over
    /// all parameters.
    ///
    /// g is the gradient of the full training loss, penalties `l1` and `l2` included; an
    /// optimizer's `weight_decay` comes after. Runs entirely on the device. A norm that is not
    /// finite makes the parameters NaN, which ends the training with [`crate::Stop::NotFinite`] and
    /// the weights of the last good epoch.
    ///
    /// PyTorch `clip_grad_norm_`, with the same 1e-6; Keras `global_clipnorm` and optax
    /// `clip_by_global_norm` have none. Source: R. Pascanu, T. Mikolov, Y. Bengio, On the
    /// difficulty of training recurrent neural networks, 2013.
    pub fn clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Clips the gradient of each tensor, a layer's weights or its bias, by its own norm: g ← g ·
    /// min(1, c / ‖g‖). Keras `clipnorm`.
    ///
    /// Only one kind of clip may be set. In a population on a GPU the members then train one after
    /// another.
    pub fn clip_tensor_norm(mut self, norm: f64) -> Self {
        self.clip_tensor_norm = Some(norm);
        self
    }

    /// Clips each element of the gradient to [−c, c]: PyTorch `clip_grad_value_`, Keras
    /// `clipvalue`, optax `clip`. Only one kind of clip may be set.
    pub fn clip_value(mut self, value: f64) -> Self {
        self.clip_value = Some(value);
        self
    }

    /// Skips an update whose gradient is not finite, leaving parameters and states unchanged, and
    /// counts it in [`crate::Epoch::skipped`]; if false, it ends the training (default false). optax
    /// `apply_if_finite`, PyTorch's `GradScaler`, but that the step count for Adam's bias corrections
    /// and for schedules still advances here. An epoch without a finite loss has the loss NaN.
    ///
    /// `fit` returns [`Error::Option`] for an optimizer that predicts with averages that it keeps as
    /// states, such as [`crate::optimizers::ScheduleFreeAdamW`].
    pub fn skip_non_finite(mut self, skip: bool) -> Self {
        self.skip_non_finite = skip;
        self
    }

    /// Mixed precision (default false): the operands of the products of dense layers, tied heads and
    /// convolutions are rounded to f16 while training, and their sums kept in f32. Weights, losses,
    /// normalization, attention and optimizers stay in f32, and so do validation and prediction.
    /// PyTorch `autocast(dtype=torch.float16)`, Keras `mixed_float16`.
    ///
    /// Gradients are multiplied by a loss scale before they are rounded, and the products divided by
    /// it: 65,536 at first, doubled after 2,000 steps, halved by a step whose gradient is not finite, as
    /// PyTorch's `GradScaler` has it, within 1 and 2²⁴. Such a step is skipped, and counted in
    /// [`crate::Epoch::skipped`]; the step count still advances. The scale is saved with the model. Clips, accumulated and exchanged
    /// gradients are unscaled.
    ///
    /// From 65,520 on an input, a weight or an activation is infinite in f16, and no scale helps:
    /// standardize the features. A loss that is not finite ends the training as ever, unless
    /// [`Fit::skip_non_finite`] is set too.
    ///
    /// On a device with matrix units ([`crate::GpuOptions::matrix_units`]) they run the products of
    /// dense layers and tied heads; everywhere else the operands are rounded all the same, so that the results are
    /// those of such a device up to the order of sums, and it takes longer than f32.
    ///
    /// `fit` returns [`Error::Option`] in a [`crate::Population`], for a model that starts with an
    /// [`crate::Embedding`], and for the optimizers that [`Fit::skip_non_finite`] refuses.
    pub fn mixed_precision(mut self, mixed: bool) -> Self {
        self.mixed_precision = mixed;
        self
    }

    /// Maintains a running average of the weights, saved with the model; [`crate::Model::averaged`]
    /// predicts with it. A call of `fit` without it discards an existing average.
    pub fn average(mut self, average: Average) -> Self {
        self.average = Some(average);
        self
    }

    /// Changes the images of the training batches at random, on the device; validation and
    /// evaluation see them as they are (default none). [`Augment::new`] removes it from a `Fit` of
    /// [`crate::Model::fit_to_resume`].
    ///
    /// `fit` returns [`Error::Option`] for a model whose input is not [height, width, channels],
    /// for a change larger than the images, for a loss of lists, and in a [`crate::Population`].
    pub fn augment(mut self, augment: Augment) -> Self {
        self.augment = augment;
        self
    }

    /// Weights of the classes' rows, in training and in validation: [`ClassWeight::Balanced`] if
    /// some classes are rare. Keras' `class_weight`; for a loss of labels also PyTorch's `weight`.
    ///
    /// Losses become weighted means Σ w L / Σ w, with Σ w over all training or validation rows, not
    /// over each batch. The weights of rows and classes multiply; a row of weight 0 is left out. R²
    /// is weighted too; accuracy and [`crate::Model::evaluate`] are not.
    ///
    /// `fit` returns [`Error::Input`] if the targets are not classes, or if the number of weights
    /// differs from the number of classes.
    pub fn class_weight(mut self, weight: ClassWeight) -> Self {
        self.weighting.classes = Some(weight);
        self
    }

    /// Removes [`Fit::class_weight`]: for a `Fit` from [`crate::Model::fit_to_resume`].
    pub fn clear_class_weight(mut self) -> Self {
        self.weighting.classes = None;
        self
    }

    /// The class weights, if set.
    pub fn class_weights(&self) -> Option<&ClassWeight> {
        self.weighting.classes.as_ref()
    }

    /// The positive-class weights, if set.
    pub fn pos_weights(&self) -> Option<&[f64]> {
        self.weighting.positive.as_deref()
    }

    /// Weight of each row, in training and in the fraction held out by `validation_split`: one
    /// number per row, from 0 to 10³⁰. `sample_weight` of Keras and scikit-learn. Only their
    /// proportions matter, see [`Fit::class_weight`]. Not saved in checkpoints: set them again to
    /// resume.
    ///
    /// `fit` returns [`Error::Input`] if their number differs from the number of rows, and for a
    /// loss of lists.
    pub fn sample_weight<S: Data<Elem: FloatElement>>(
        mut self,
        weight: &ArrayBase<S, Ix1>,
    ) -> Self {
        self.weighting.rows = Some(numbers(weight));
        self
    }

    /// Weight of each row of [`Fit::validation_data`], as [`Fit::sample_weight`]. `fit` returns
    /// [`Error::Input`] without validation data.
    pub fn validation_weight<S: Data<Elem: FloatElement>>(
        mut self,
        weight: &ArrayBase<S, Ix1>,
    ) -> Self {
        self.weighting.validation = Some(numbers(weight));
        self
    }

    /// Positive-class weight of each output: one number for all, or one per output. PyTorch's
    /// `pos_weight`; for [`crate::losses::BceWithLogits`] and
    /// [`crate::losses::MultilabelSoftMargin`]. `fit` returns [`Error::Input`] for any other loss.
    pub fn pos_weight(mut self, weight: Vec<f64>) -> Self {
        self.weighting.positive = Some(weight);
        self
    }

    /// Removes the learning rate and the schedule: to change those of a `Fit` from
    /// [`crate::Model::fit_to_resume`].
    pub fn clear_learning_rate(mut self) -> Self {
        (self.learning_rate, self.schedule) = (None, None);
        self
    }

    /// Removes any clip, as [`Fit::clear_learning_rate`].
    pub fn clear_clip(mut self) -> Self {
        (self.clip_norm, self.clip_tensor_norm, self.clip_value) = (None, None, None);
        self
    }

    /// The step options outside the optimizer's update rule.
    pub(crate) fn step_options(&self) -> StepOptions {
        let global = |limit| Clip::GlobalNorm { limit, epsilon: 1e-6 };
        let clip = self.clip_norm.map(global).or(self.clip_tensor_norm.map(Clip::Norm));
        StepOptions {
            clip: clip.or(self.clip_value.map(Clip::Value)),
            skip_non_finite: self.skip_non_finite,
            mixed_precision: self.mixed_precision,
            average: self.average.map(|average| average.weight()),
            augment: Some(self.augment).filter(Augment::changes),
            watch: false,
        }
    }

    /// Saves the model to this file after each epoch and at the end, with the state needed to
    /// resume ([`Fit::resume`]). `fit` first checks that the file is writable.
    pub fn checkpoint(mut self, path: impl AsRef<Path>) -> Self {
        self.checkpoint = Some(path.as_ref().into());
        self
    }

    /// Resumes the current or last training, or that of the loaded file, as if it had never been
    /// interrupted (default false): early stopping restores its best epoch and wait count, an
    /// interrupted epoch continues with its next batch, and the history begins with the completed
    /// epochs. `epochs` counts those still to run, which may be 0. [`crate::Model::fit_to_resume`]
    /// returns a `Fit` with the options and the number of epochs left.
    ///
    /// With other rows or another average, a new training starts from the model's weights, as
    /// without `resume`, and a warning is logged. The same holds after early stopping ended the
    /// training.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// With [`Fit::resume`]: an interrupted epoch is finished first, and `epochs` counts the whole
    /// ones behind it (default false: the rest of it is the first of `epochs`).
    pub fn finish_epoch(mut self, finish_epoch: bool) -> Self {
        self.finish_epoch = finish_epoch;
        self
    }

    /// Calls a function after each step, with the number of the epoch, counted from 1, and the
    /// step's report. If it breaks, the training ends with [`crate::Stop::Asked`], and the
    /// checkpoint, if set, is saved with the epoch's progress.
    ///
    /// Steps are submitted to the device in groups of about a seventh of a second: the function is
    /// called for all steps of a group when they are done.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use gradus::Fit;
    /// let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    /// let in_time = move || if std::time::Instant::now() < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    /// let fit = Fit::new().epochs(1000).on_step(move |_epoch, _step| in_time());
    /// # let _ = fit;
    /// ```
    pub fn on_step(
        mut self,
        call: impl FnMut(usize, &StepReport) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_step = Some(Callback::new(call));
        self
    }

    /// Calls a function after each epoch with its number, counted from 1; if it breaks, the
    /// training ends with [`crate::Stop::Asked`] and the weights of that epoch.
    pub fn on_epoch(
        mut self,
        call: impl FnMut(usize, &Epoch) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_epoch = Some(Callback::new(call));
        self
    }

    /// Calls a function with the gradient before each update, to change it in place: after the
    /// backward pass of all batches of the update ([`Fit::accumulate`]), before penalties, clipping
    /// and the optimizer's step. It gets the gradients of all parameters as one slice, in the order of
    /// [`crate::Model::named_parameters`] and each in row-major order; the parameters of a layer may
    /// be followed by up to three numbers that mean nothing. On a GPU the gradient is read and
    /// written once per update, and [`Fit::watch_updates`] measures none.
    ///
    /// On its own this is a place for noise or a projection. With [`Fit::shard`] it is where the
    /// processes of a data-parallel training meet. If it returns an error, `fit` ends with it, and the
    /// model has the weights from the beginning of the epoch; the file of [`Fit::checkpoint`] is that
    /// of the epoch before. `fit` returns [`Error::Option`] for a population and for a model that
    /// begins with an embedding ([`Sequential::of_ids`](crate::Sequential::of_ids)).
    ///
    /// ```
    /// use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Sgd};
    /// use ndarray::array;
    /// let mut model = Sequential::new(1)
    ///     .then(Dense::new(1).bias(false))
    ///     .on(&Device::cpu())?
    ///     .compile(Mse::new(), Sgd::new().learning_rate(0.5))?;
    /// let before = model.named_parameters()?[0].1[[0, 0]];
    /// let ones = |gradient: &mut [f32]| {
    ///     gradient.fill(1.0);
    ///     Ok(())
    /// };
    /// model.fit(&array![[1.0]], &array![[0.0]], Fit::new().reduce(ones))?;
    /// let moved = before - model.named_parameters()?[0].1[[0, 0]];
    /// assert!((moved - 0.5).abs() < 1e-6);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn reduce(mut self, reduce: impl Reduce + 'static) -> Self {
        self.reduce = Some(Reducer::new(reduce));
        self
    }

    /// Trains as process `rank` of `world`, counted from 0, on its share of the rows: data-parallel
    /// training. Each process calls `fit` on all rows, with the same options, seed and weights, and with
    /// a [`Fit::reduce`] that sums over the processes. An update is then of `world` batches in the
    /// order of the one seeded permutation, a batch for each process: that of one process with
    /// [`Fit::accumulate`] times `world`.
    ///
    /// - With a sum in the order of the ranks, weights, optimizer's state, losses and metrics have the
    ///   bits of that one process on `cpu` and on `reference` (there with [`Reduce::reduce_f64`]),
    ///   whatever the number of threads; with `accumulate` above 1 the order of the sums is another,
    ///   and they agree to rounding.
    /// - Of the last update of an epoch some processes may have no rows. The mean of the loss is over all
    ///   rows of the update, not of a process.
    /// - Validation rows are divided too; losses and metrics in the history, early stopping and
    ///   schedules are of all rows, and the same in all processes. A callback that ends the training
    ///   in one process ends it in all, after the same update.
    /// - Batch norm takes its statistics from each batch of a process; of the running ones the mean
    ///   over the processes is taken at the end of each epoch, which one process does not do.
    /// - If devices are of several kinds, the first process hands its weights to the others at the end of
    ///   each epoch. `reference` takes part only among its own.
    /// - The first process alone writes the checkpoint and shows progress. A saved training may go on in
    ///   another number of processes if that divides the batches of an update.
    ///
    /// A process that ends by an error of its own makes the others end with [`Error::Exchange`] at their
    /// next update; one that is killed leaves it to `reduce` to notice. `fit` returns [`Error::Option`]
    /// for rows in blocks or in lists and for ignored labels, and what [`Fit::reduce`] refuses;
    /// [`Error::Exchange`] if the processes do not begin with the same.
    ///
    /// PyTorch: `DistributedSampler` and `DistributedDataParallel`, whose gradient is the mean over the
    /// ranks.
    ///
    /// ```
    /// use gradus::{Dense, Device, Fit, Sequential, losses::Mse, optimizers::Adam};
    /// use ndarray::Array2;
    /// use std::sync::{Arc, Barrier, Mutex};
    ///
    /// // Two processes as two threads.
    /// let (meet, parts) = (Arc::new(Barrier::new(2)), Arc::new(Mutex::new(vec![vec![]; 2])));
    /// let train = move |rank: usize| {
    ///     let (meet, parts) = (meet.clone(), parts.clone());
    ///     let sum = move |numbers: &mut [f32]| {
    ///         parts.lock().unwrap()[rank] = numbers.to_vec();
    ///         meet.wait();
    ///         let both = parts.lock().unwrap().clone();
    ///         meet.wait();
    ///         for (place, number) in numbers.iter_mut().enumerate() {
    ///             *number = both[0][place] + both[1][place];
    ///         }
    ///         Ok(())
    ///     };
    ///     let x = Array2::from_shape_fn((10, 1), |(row, _)| row as f32);
    ///     let mut model = Sequential::new(1)
    ///         .then(Dense::new(1))
    ///         .on(&Device::cpu())?
    ///         .compile(Mse::new(), Adam::new())?;
    ///     model.fit(&x, &x, Fit::new().batch_size(3).reduce(sum).shard(rank, 2))?;
    ///     model.named_parameters()
    /// };
    /// let other = train.clone();
    /// let other = std::thread::spawn(move || other(1));
    /// assert_eq!(train(0)?, other.join().unwrap()?);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn shard(mut self, rank: usize, world: usize) -> Self {
        let divided = self.saved_accumulate.filter(|all| world > 0 && all % world == 0);
        if let Some(all) = divided {
            self.accumulate = all / world;
        }
        self.shard = Some(Shard { rank, world });
        self
    }

    /// Shows a progress bar with loss, metric and speed on a terminal (default true; feature
    /// `cli`).
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// Measures the first updates of the training for [`crate::History::updates`] and
    /// [`crate::History::diagnosis`]: size against the weights, cosine of successive gradients,
    /// gradient norm (default 200, none for more than 16 million parameters). Takes the memory of two
    /// numbers per parameter on a host, and of two on a GPU. The device sums them; the weights have the same bits
    /// with and without. Not measured in a population, for a model that begins with an embedding
    /// ([`Sequential::of_ids`](crate::Sequential::of_ids)), and on a GPU for networks so small that
    /// one workgroup trains them.
    pub fn watch_updates(mut self, updates: usize) -> Self {
        self.watch_updates = Some(updates);
        self
    }

    /// Predicts all training rows after each epoch and keeps what each of them did: mean and
    /// deviation of its loss and of the probability of its target, how often it was right and how
    /// often it was forgotten ([`crate::History::rows`]; default false). Costs a forward pass an
    /// epoch. Rows with a large loss in every epoch are hard or have a wrong label
    /// ([`crate::explain::LabelNoise`]).
    ///
    /// A resumed training watches the epochs of this call.
    ///
    /// ```
    /// use gradus::{Dense, Device, Fit, Sequential, losses::CrossEntropy, optimizers::Adam};
    /// use ndarray::array;
    /// let mut model = Sequential::new(1)
    ///     .then(Dense::new(2))
    ///     .on(&Device::cpu())?
    ///     .compile(CrossEntropy::new(), Adam::new().learning_rate(0.1))?;
    /// let (x, y) = (array![[-1.0_f32], [-2.0], [1.0], [2.0], [1.5]], array![0_i64, 0, 1, 1, 0]);
    /// let history = model.fit(&x, &y, Fit::new().epochs(50).watch_rows(true))?;
    /// let rows = history.rows.unwrap();
    /// let hardest = (0..5).max_by(|&a, &b| rows.mean_loss[a].total_cmp(&rows.mean_loss[b]));
    /// assert_eq!((rows.epochs, hardest), (50, Some(4)));
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn watch_rows(mut self, watch: bool) -> Self {
        self.watch_rows = watch;
        self
    }

    /// Rejects options that need all gradients or weights at once, for a model with sparse row
    /// updates.
    /// Refuses to skip steps for an optimizer whose states are parameters: they would begin as 0 if the
    /// first step were skipped.
    pub(crate) fn check_skipping(&self, optimizer: &dyn Optimizer) -> Result<()> {
        let asked =
            [("skip_non_finite", self.skip_non_finite), ("mixed_precision", self.mixed_precision)];
        match asked.into_iter().find(|(_, asked)| *asked && optimizer.averaged_state().is_some()) {
            None => Ok(()),
            Some((name, _)) => Err(Error::option(
                "fit",
                name,
                format!("used with {}", optimizer.name()),
                "an optimizer that predicts with the parameters themselves",
            )),
        }
    }

    pub(crate) fn check_for_embedding(&self) -> Result<()> {
        let asked = [
            ("accumulate", self.accumulate > 1),
            ("clip_norm", self.clip_norm.is_some()),
            ("clip_tensor_norm", self.clip_tensor_norm.is_some()),
            ("clip_value", self.clip_value.is_some()),
            ("skip_non_finite", self.skip_non_finite),
            ("mixed_precision", self.mixed_precision),
            ("average", self.average.is_some()),
            ("reduce", self.reduce.is_some()),
            ("shard", self.shard.is_some()),
        ];
        match asked.iter().find(|(_, is_asked)| *is_asked) {
            Some((name, _)) => Err(Error::option(
                "fit",
                name,
                "given",
                "left out: the model begins with an embedding",
            )),
            None => Ok(()),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.accumulate == 0 {
            return Err(Error::option("fit", "accumulate", 0, "at least 1"));
        }
        if let Some(shard) = self.shard {
            shard.check()?;
            if shard.world > 1 && self.reduce.is_none() {
                let found = format!("rank {} of {}", shard.rank, shard.world);
                let allowed = "given with reduce, which sums over the processes";
                return Err(Error::option("fit", "shard", found, allowed));
            }
        }
        if self.epochs == 0 && !self.resume {
            return Err(Error::option("fit", "epochs", 0, "at least 1"));
        }
        if self.steps == Some(0) {
            return Err(Error::option("fit", "steps", 0, "at least 1"));
        }
        if self.batch_size == 0 {
            return Err(Error::option("fit", "batch_size", 0, "at least 1"));
        }
        if !(0.0..1.0).contains(&self.validation_split) {
            return Err(Error::option(
                "fit",
                "validation_split",
                self.validation_split,
                "in [0, 1)",
            ));
        }
        if let Some(rate) = self.learning_rate.filter(|rate| !(*rate >= 0.0 && rate.is_finite())) {
            return Err(Error::option("fit", "learning_rate", rate, ">= 0"));
        }
        if let Some(LearningRatePolicy { schedule, .. }) = &self.schedule {
            schedule.check()?;
            if let Some(rate) = self.learning_rate {
                return Err(Error::option(
                    "fit",
                    "learning_rate",
                    rate,
                    "left out beside a schedule, which has its own",
                ));
            }
        }
        let clips = [
            ("clip_norm", self.clip_norm),
            ("clip_tensor_norm", self.clip_tensor_norm),
            ("clip_value", self.clip_value),
        ];
        let given: Vec<(&str, f64)> =
            clips.iter().filter_map(|&(name, limit)| Some((name, limit?))).collect();
        for (name, limit) in &given {
            if !(*limit > 0.0 && limit.is_finite()) {
                return Err(Error::option("fit", name, limit, "finite and > 0"));
            }
        }
        if let [_, (name, limit), ..] = given[..] {
            return Err(Error::option(
                "fit",
                name,
                limit,
                &format!("left out beside {}: one clip at a time", given[0].0),
            ));
        }
        self.weighting.check()?;
        if self.weighting.validation.is_some() && self.validation.is_none() {
            let allowed = "left out without validation_data; sample_weight weighs the rows of validation_split";
            return Err(Error::option("fit", "validation_weight", "given", allowed));
        }
        if let Some(average) = &self.average {
            average.check()?;
        }
        if let Some(early) = &self.early_stopping {
            early.check()?;
        }
        Ok(())
    }
}

/// Weights converted to f64.
fn numbers<S: Data<Elem: FloatElement>>(weight: &ArrayBase<S, Ix1>) -> Arc<[f64]> {
    match FloatElement::floats(weight) {
        Floats::Narrow(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Floats::Wide(values) => values.iter().copied().collect(),
    }
}

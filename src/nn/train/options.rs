//! How a training goes: the options of [`crate::Model::fit`].

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{ArrayBase, Data, Dimension, Ix1, Ix2};

use crate::criterion::inputs::{FloatElement, Floats};
use crate::nn::optimizers::Clip;
use crate::nn::schedules::Schedule;
use crate::nn::train::average::Average;
use crate::nn::train::callback::Callback;
use crate::nn::train::engine::StepOptions;
use crate::nn::train::history::Epoch;
use crate::nn::train::learning_rate_policy::LearningRatePolicy;
use crate::nn::train::weights::{ClassWeight, Weighting};
use crate::{Error, Result};

/// The options of a training. Defaults are Keras': 1 epoch of batches of 32, shuffled.
///
/// ```
/// use gradus::{EarlyStopping, Fit};
/// let fit = Fit::new().epochs(20).batch_size(64).validation_split(0.1).early_stopping(EarlyStopping::new().patience(3));
/// # let _ = fit;
/// ```
#[derive(Clone, Debug)]
pub struct Fit {
    pub(crate) epochs: usize,
    pub(crate) batch_size: usize,
    pub(crate) shuffle: bool,
    pub(crate) validation_split: f64,
    pub(crate) validation: Option<Arc<(OwnedFloats, ValidationTargets)>>,
    pub(crate) early_stopping: Option<EarlyStopping>,
    pub(crate) learning_rate: Option<f64>,
    pub(crate) schedule: Option<LearningRatePolicy>,
    pub(crate) clip_norm: Option<f64>,
    pub(crate) clip_tensor_norm: Option<f64>,
    pub(crate) clip_value: Option<f64>,
    pub(crate) skip_non_finite: bool,
    pub(crate) average: Option<Average>,
    pub(crate) weighting: Weighting,
    pub(crate) checkpoint: Option<PathBuf>,
    pub(crate) resume: bool,
    pub(crate) on_step: Option<Callback<StepReport>>,
    pub(crate) on_epoch: Option<Callback<Epoch>>,
    pub(crate) progress: bool,
}

/// Owned features of the validation rows.
#[derive(Clone, Debug)]
pub(crate) enum OwnedFloats {
    Narrow(ndarray::ArrayD<f32>),
    Wide(ndarray::ArrayD<f64>),
}

impl OwnedFloats {
    fn of<S: Data<Elem: FloatElement>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        match FloatElement::floats(array) {
            Floats::Narrow(array) => OwnedFloats::Narrow(array.to_owned()),
            Floats::Wide(array) => OwnedFloats::Wide(array.to_owned()),
        }
    }

    /// As they were handed in.
    pub fn floats(&self) -> Floats<'_> {
        match self {
            OwnedFloats::Narrow(array) => Floats::Narrow(array.view()),
            OwnedFloats::Wide(array) => Floats::Wide(array.view()),
        }
    }
}

/// What is told of a step: one batch, or with an optimizer that takes all rows at once one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The number of the batch in its epoch, counted from 1.
    pub batch: usize,
    /// How many batches the epoch has.
    pub batches: usize,
    /// Its loss.
    pub loss: f64,
}

/// Owned targets of the validation rows.
#[derive(Clone, Debug)]
pub(crate) enum ValidationTargets {
    Dense(ndarray::ArrayD<f32>),
    Wide(ndarray::ArrayD<f64>),
    Labels(ndarray::ArrayD<i64>),
    Grouped(ndarray::ArrayD<f32>, Vec<usize>),
}

impl ValidationTargets {
    /// As they were handed in.
    pub fn targets(&self) -> crate::Targets<'_> {
        match self {
            ValidationTargets::Dense(dense) => dense.into(),
            ValidationTargets::Wide(dense) => dense.into(),
            ValidationTargets::Labels(labels) => labels.into(),
            ValidationTargets::Grouped(relevance, groups) => {
                crate::Targets::grouped(relevance, groups)
            }
        }
    }
}

impl Default for Fit {
    fn default() -> Self {
        Fit {
            epochs: 1,
            batch_size: 32,
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
            average: None,
            weighting: Weighting::default(),
            checkpoint: None,
            resume: false,
            on_step: None,
            on_epoch: None,
            progress: true,
        }
    }
}

impl Fit {
    /// One epoch of shuffled batches of 32.
    pub fn new() -> Self {
        Self::default()
    }

    /// Passes over the training data, beyond those that the model has behind it.
    pub fn epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Rows of a batch, lists where the targets are in lists. With `gradient_descent`, which moves once per epoch, the rows that are added up at a time.
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Whether the rows are shuffled anew in each epoch, from the model's seed (default true).
    pub fn shuffle(mut self, shuffle: bool) -> Self {
        self.shuffle = shuffle;
        self
    }

    /// Share of the rows, or lists, the last ones, that are held back to validate with (default 0). As Keras, not shuffled before.
    pub fn validation_split(mut self, share: f64) -> Self {
        self.validation_split = share;
        self
    }

    /// Rows of their own to validate with; `validation_split` then holds none back.
    pub fn validation_data<'a, S: Data<Elem: FloatElement>>(
        mut self,
        features: &ArrayBase<S, Ix2>,
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
        self.validation = Some(Arc::new((OwnedFloats::of(features), targets)));
        self
    }

    /// Stops when the validation loss no longer gets better.
    pub fn early_stopping(mut self, early_stopping: EarlyStopping) -> Self {
        self.early_stopping = Some(early_stopping);
        self
    }

    /// Takes another learning rate than the optimizer's own.
    pub fn learning_rate(mut self, learning_rate: f64) -> Self {
        self.learning_rate = Some(learning_rate);
        self
    }

    /// Takes the learning rate of each update from a schedule (see [`crate::nn::schedules`]), counted over all calls since the model was
    /// compiled, also where it was saved in between. [`crate::Epoch::learning_rate`] tells what it was.
    ///
    /// One that watches a value, such as [`crate::nn::schedules::ReduceOnPlateau`], sees that of each epoch: the validation loss, or the
    /// training loss where nothing is validated.
    pub fn schedule(self, schedule: impl Schedule + 'static) -> Self {
        self.shared_schedule(Arc::new(schedule), false)
    }

    /// As [`Fit::schedule`], counted in epochs.
    pub fn schedule_by_epoch(self, schedule: impl Schedule + 'static) -> Self {
        self.shared_schedule(Arc::new(schedule), true)
    }

    /// As [`Fit::schedule`], of one that was made from its name, counted in epochs or not.
    pub fn shared_schedule(mut self, schedule: Arc<dyn Schedule>, by_epoch: bool) -> Self {
        self.schedule = Some(LearningRatePolicy { schedule, by_epoch });
        self
    }

    /// Clips the gradient by its global norm: g ← g · min(1, c / (‖g‖ + 1e-6)), with the norm over all parameters at once.
    ///
    /// g is the gradient of all that is minimised, penalties `l1` and `l2` included; an optimizer's own `weight_decay`
    /// comes after. Everything stays on the device. A norm that is not finite makes the parameters NaN, which ends the
    /// training with [`crate::Stop::NotFinite`] and the weights of the last good epoch.
    ///
    /// PyTorch `clip_grad_norm_`, whose 1e-6 this has; Keras `global_clipnorm` and optax `clip_by_global_norm` have none.
    /// Source: R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks, 2013.
    pub fn clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Clips the gradient of each tensor, a layer's weights or its bias, by its own norm: g ← g · min(1, c / ‖g‖). Keras `clipnorm`.
    ///
    /// One kind of clip at a time. In a population on a GPU the members then train in turn.
    pub fn clip_tensor_norm(mut self, norm: f64) -> Self {
        self.clip_tensor_norm = Some(norm);
        self
    }

    /// Clips each element of the gradient into [−c, c]: PyTorch `clip_grad_value_`, Keras `clipvalue`, optax `clip`. One kind of clip
    /// at a time.
    pub fn clip_value(mut self, value: f64) -> Self {
        self.clip_value = Some(value);
        self
    }

    /// Whether an update whose gradient is not finite is left out, parameters and states staying as they are, and counted in
    /// [`crate::Epoch::skipped`]; without, it ends the training (default false). The count of steps that Adam's corrections and
    /// schedules go by goes on. optax `apply_if_finite`, PyTorch's `GradScaler`.
    pub fn skip_non_finite(mut self, skip: bool) -> Self {
        self.skip_non_finite = skip;
        self
    }

    /// Keeps a running average of the weights, saved with the model; [`crate::Model::averaged`] predicts with it. A call of `fit` without
    /// it lets go of the one there is.
    pub fn average(mut self, average: Average) -> Self {
        self.average = Some(average);
        self
    }

    /// How much the rows of each class count, in training and in validation: [`ClassWeight::Balanced`] where some classes are rare.
    /// Keras' `class_weight`; for a loss of labels also PyTorch's `weight`.
    ///
    /// Losses become weighted means Σ w L / Σ w, with Σ w over all rows that are trained on, or validated on, and not over each batch.
    /// The weights of rows and classes multiply; a row of weight 0 is left out. R² is weighted too, accuracy is not, and neither is
    /// [`crate::Model::evaluate`].
    ///
    /// `fit` gives [`Error::Input`] where the targets are no classes, and where there are more or fewer weights than classes.
    pub fn class_weight(mut self, weight: ClassWeight) -> Self {
        self.weighting.classes = Some(weight);
        self
    }

    /// Takes back [`Fit::class_weight`]: for a `Fit` of [`crate::Model::fit_to_resume`].
    pub fn clear_class_weight(mut self) -> Self {
        self.weighting.classes = None;
        self
    }

    /// The weights of classes that were asked for.
    pub fn class_weights(&self) -> Option<&ClassWeight> {
        self.weighting.classes.as_ref()
    }

    /// The weights of positive sides that were asked for.
    pub fn pos_weights(&self) -> Option<&[f64]> {
        self.weighting.positive.as_deref()
    }

    /// How much each row counts, in training and in the share that `validation_split` holds back: as many numbers as rows, from 0 to 10³⁰.
    /// Keras' `sample_weight`, scikit-learn's too. Only their proportions matter, as told at [`Fit::class_weight`]. They are not saved with
    /// a checkpoint: a training that is resumed is handed them again.
    ///
    /// `fit` gives [`Error::Input`] where there are more or fewer of them than rows, and for a loss of lists.
    pub fn sample_weight<S: Data<Elem: FloatElement>>(
        mut self,
        weight: &ArrayBase<S, Ix1>,
    ) -> Self {
        self.weighting.rows = Some(numbers(weight));
        self
    }

    /// How much each row of [`Fit::validation_data`] counts, as [`Fit::sample_weight`]. `fit` gives [`Error::Input`] where there are none.
    pub fn validation_weight<S: Data<Elem: FloatElement>>(
        mut self,
        weight: &ArrayBase<S, Ix1>,
    ) -> Self {
        self.weighting.validation = Some(numbers(weight));
        self
    }

    /// The weight of the positive side of each output: one number for all, or one for each output. PyTorch's `pos_weight`; for
    /// [`crate::losses::BceWithLogits`] and [`crate::losses::MultilabelSoftMargin`]. `fit` gives [`Error::Input`] for any other loss.
    pub fn pos_weight(mut self, weight: Vec<f64>) -> Self {
        self.weighting.positive = Some(weight);
        self
    }

    /// Takes back a learning rate and a schedule: for a `Fit` of [`crate::Model::fit_to_resume`] that shall have another.
    pub fn clear_learning_rate(mut self) -> Self {
        (self.learning_rate, self.schedule) = (None, None);
        self
    }

    /// Takes back any clip, as [`Fit::clear_learning_rate`].
    pub fn clear_clip(mut self) -> Self {
        (self.clip_norm, self.clip_tensor_norm, self.clip_value) = (None, None, None);
        self
    }

    /// What is done around the optimizer's rule.
    pub(crate) fn step_options(&self) -> StepOptions {
        let global = |limit| Clip::GlobalNorm { limit, epsilon: 1e-6 };
        let clip = self.clip_norm.map(global).or(self.clip_tensor_norm.map(Clip::Norm));
        StepOptions {
            clip: clip.or(self.clip_value.map(Clip::Value)),
            skip_non_finite: self.skip_non_finite,
            average: self.average.map(|average| average.weight()),
        }
    }

    /// Saves the model to this file after each epoch and at the end, with all that the training needs to go on ([`Fit::resume`]). That
    /// the file can be written is found out first.
    pub fn checkpoint(mut self, path: impl AsRef<Path>) -> Self {
        self.checkpoint = Some(path.as_ref().into());
        self
    }

    /// Whether the training goes on that the model was saved in, or was last in, as if it had never been cut (default false): early
    /// stopping knows its best epoch and how long it has waited, an epoch that was cut goes on with its next batch, and the history
    /// begins with the epochs that were done. `epochs` are those still to come, which may be 0. [`crate::Model::fit_to_resume`] gives a
    /// `Fit` with the options and the number of epochs that are left.
    ///
    /// On other rows, or with another average, a new training begins with the model's weights, as without; a warning is logged. So it
    /// does behind one that early stopping has ended.
    pub fn resume(mut self, resume: bool) -> Self {
        self.resume = resume;
        self
    }

    /// Calls a function behind each step, with the number of the epoch, counted from 1, and what is told of the step. Where it breaks,
    /// the training ends with [`crate::Stop::Asked`], and the checkpoint, if there is one, is saved with what the epoch has done.
    ///
    /// Steps are handed to the device several at a time, for about a seventh of a second: the function is called for all of them
    /// when they are done.
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

    /// Calls a function behind each epoch with its number, counted from 1; where it breaks, the training ends with
    /// [`crate::Stop::Asked`] and the weights of that epoch.
    pub fn on_epoch(
        mut self,
        call: impl FnMut(usize, &Epoch) -> ControlFlow<()> + Send + 'static,
    ) -> Self {
        self.on_epoch = Some(Callback::new(call));
        self
    }

    /// Whether a bar shows loss, metric and speed while a terminal is there to show it (default true; feature `cli`).
    pub fn progress(mut self, progress: bool) -> Self {
        self.progress = progress;
        self
    }

    /// Refuses what looks at all gradients or weights at once, of a model whose rows are moved by themselves.
    pub(crate) fn check_for_embedding(&self) -> Result<()> {
        let asked = [
            ("clip_norm", self.clip_norm.is_some()),
            ("clip_tensor_norm", self.clip_tensor_norm.is_some()),
            ("clip_value", self.clip_value.is_some()),
            ("skip_non_finite", self.skip_non_finite),
            ("average", self.average.is_some()),
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
        if self.epochs == 0 && !self.resume {
            return Err(Error::option("fit", "epochs", 0, "at least 1"));
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

/// Weights as they were handed in.
fn numbers<S: Data<Elem: FloatElement>>(weight: &ArrayBase<S, Ix1>) -> Arc<[f64]> {
    match FloatElement::floats(weight) {
        Floats::Narrow(values) => values.iter().map(|&value| f64::from(value)).collect(),
        Floats::Wide(values) => values.iter().copied().collect(),
    }
}

/// When to stop before the last epoch. Watches the validation loss, or the training loss where nothing is validated.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EarlyStopping {
    pub(crate) patience: usize,
    pub(crate) min_delta: f64,
    pub(crate) restore_best: bool,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        EarlyStopping { patience: 0, min_delta: 0.0, restore_best: true }
    }
}

impl EarlyStopping {
    /// Stops at the first epoch that is no better, and goes back to the best.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops after so many epochs without getting better, as Keras; 0 counts as 1 (default 0).
    pub fn patience(mut self, epochs: usize) -> Self {
        self.patience = epochs;
        self
    }

    /// How much lower a loss must be to count as better, ≥ 0 (default 0).
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Whether the weights of the best epoch are put back (default true; Keras' default is false).
    pub fn restore_best(mut self, restore_best: bool) -> Self {
        self.restore_best = restore_best;
        self
    }

    fn check(&self) -> Result<()> {
        if self.min_delta >= 0.0 && self.min_delta.is_finite() {
            return Ok(());
        }
        Err(Error::option("early stopping", "min_delta", self.min_delta, ">= 0"))
    }
}

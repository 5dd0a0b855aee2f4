//! A loss made ready on a device: checked options, a reduction, and the calls that give value and gradient.

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension};

use crate::device::{Device, Gpu};
use crate::host::Spread;
use crate::host::pointwise::Points;
use crate::host::rowwise::{Auxiliary, Rows, Targets as RowTargets};
use crate::inputs::{self, Inputs, Sizes, Targets, shape_error};
use crate::kernel::Command;
use crate::kernels::loss::{self as kernel, Buffers, Divisor, Job, MASKED, PLANES, Per};
use crate::losses::{Domain, Family, HostReal, Loss};
use crate::real::Real;
use crate::tensor::{Storage, Tensor, narrow_labels, shaped};
use crate::{Error, Result};

/// How the values of all elements or rows become one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Reduction {
    /// They stay as they are; the gradient takes an upstream of their shape.
    None,
    /// Σ
    Sum,
    /// Σ ÷ number of values; for class labels ÷ Σ of the class weights of the rows kept. As PyTorch.
    #[default]
    Mean,
    /// Σ ÷ number of rows. PyTorch's `batchmean`.
    BatchMean,
    /// Σ ÷ Σ weight. Keras' `mean_with_sample_weight`.
    WeightedMean,
    /// Σ ÷ a given number: for gradient accumulation and several devices, where the count is global.
    Divisor(f64),
}

impl Reduction {
    /// The reduction of a name: `none`, `sum`, `mean`, `batch_mean`, `weighted_mean`, `divisor(8)`.
    ///
    /// # Errors
    /// [`Error::Option`] with the names there are.
    pub fn named(name: &str) -> Result<Self> {
        let divisor = name.strip_prefix("divisor(").and_then(|rest| rest.strip_suffix(')')?.parse().ok());
        match (name, divisor) {
            ("none", _) => Ok(Reduction::None),
            ("sum", _) => Ok(Reduction::Sum),
            ("mean", _) => Ok(Reduction::Mean),
            ("batch_mean", _) => Ok(Reduction::BatchMean),
            ("weighted_mean", _) => Ok(Reduction::WeightedMean),
            (_, Some(divisor)) => Ok(Reduction::Divisor(divisor)),
            _ => Err(Error::option(
                "loss",
                "reduction",
                name,
                "none, sum, mean, batch_mean, weighted_mean or divisor(NUMBER)",
            )),
        }
    }
}

/// What the value is where nothing is left to average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OnEmpty {
    /// 0, and `count` says that it was nothing. As Keras and Liger.
    #[default]
    Zero,
    /// NaN, as PyTorch.
    Nan,
}

/// A loss made ready on a device. Made by [`Loss::on`]; cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Criterion {
    loss: Arc<dyn Loss>,
    device: Device,
    reduction: Reduction,
    on_empty: OnEmpty,
}

/// Value and gradient of a loss, on the host.
#[derive(Clone, Debug)]
pub struct Evaluation<R = f32> {
    /// Of shape [] when reduced; one for each element or row with [`Reduction::None`].
    pub values: ArrayD<f64>,
    /// The gradient with respect to the predictions, of their shape.
    pub gradient: ArrayD<R>,
    /// How many elements or rows took part: 0 if all were masked or ignored.
    pub count: usize,
    /// What was asked for with [`Inputs::auxiliary`].
    pub auxiliaries: Option<Auxiliaries>,
}

impl<R> Evaluation<R> {
    /// The reduced value; the sum of the values where they are not reduced.
    pub fn value(&self) -> f64 {
        self.values.sum()
    }
}

/// What a class-axis loss hands back from the same pass, one for each row. Rows left out hold what is there.
#[derive(Clone, Debug)]
pub struct Auxiliaries {
    /// The values before the reduction, times the reduction's factor.
    pub values: Vec<f64>,
    /// Log-sum-exp of the logits.
    pub lse: Vec<f64>,
    /// The column of the largest logit, the first of several.
    pub argmax: Vec<usize>,
    /// Whether that is the label.
    pub correct: Vec<bool>,
    /// Entropy of the softmax, in nats.
    pub entropy: Vec<f64>,
    /// Probability of the label; 0 for dense targets.
    pub target_probability: Vec<f64>,
}

/// Value and gradient of a loss on its device: nothing has been waited for.
#[derive(Clone, Debug)]
pub struct DeviceEvaluation {
    loss: Arc<dyn Loss>,
    classes: usize,
    labels: Option<Tensor>,
    result: Option<wgpu::Buffer>,
    has_status: bool,
    value: Option<f64>,
    /// The gradient with respect to the predictions, of their shape.
    pub gradient: Tensor,
}

/// What a reduction multiplies by, and how many values took part.
struct Share {
    factor: f64,
    count: usize,
}

impl Criterion {
    pub(crate) fn new(loss: Arc<dyn Loss>, device: &Device) -> Result<Self> {
        loss.check()?;
        Ok(Criterion { loss, device: device.clone(), reduction: Reduction::Mean, on_empty: OnEmpty::Zero })
    }

    /// A boxed loss made ready on a device, as [`Loss::on`].
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its domain.
    pub fn from_boxed(loss: Box<dyn Loss>, device: &Device) -> Result<Self> {
        Self::new(Arc::from(loss), device)
    }

    /// How the values become one (default [`Reduction::Mean`]).
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// What the value is where nothing is left to average (default 0).
    pub fn on_empty(mut self, on_empty: OnEmpty) -> Self {
        self.on_empty = on_empty;
        self
    }

    /// The loss.
    pub fn loss(&self) -> &dyn Loss {
        &*self.loss
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Value and gradient of predictions against targets: `jax.value_and_grad`.
    ///
    /// # Errors
    /// Shapes that do not fit, labels that are no class, targets of the wrong kind; what the device reports.
    pub fn value_and_gradient<'a, S: Data<Elem = f32>, D: Dimension>(
        &self,
        predictions: &'a ArrayBase<S, D>,
        targets: impl Into<Targets<'a>>,
    ) -> Result<Evaluation> {
        self.evaluate(&Inputs::new(predictions, targets))
    }

    /// Value and gradient with weights, masks and whatever else the loss takes.
    ///
    /// # Errors
    /// As [`Criterion::value_and_gradient`].
    pub fn evaluate(&self, inputs: &Inputs) -> Result<Evaluation> {
        let call = Call::check(self, inputs)?;
        match &self.device {
            Device::Gpu(gpu) => call.on_gpu(gpu),
            Device::Cpu => call.on_host::<f32>(),
            Device::Reference => {
                let exact = call.on_host::<f64>()?;
                Ok(Evaluation {
                    values: exact.values,
                    gradient: exact.gradient.mapv(|g| g as f32),
                    count: exact.count,
                    auxiliaries: exact.auxiliaries,
                })
            }
        }
    }

    /// As [`Criterion::evaluate`] with the gradient in f64: all digits of the reference device.
    ///
    /// # Errors
    /// As [`Criterion::evaluate`].
    pub fn evaluate_f64(&self, inputs: &Inputs) -> Result<Evaluation<f64>> {
        if matches!(self.device, Device::Reference) {
            return Call::check(self, inputs)?.on_host::<f64>();
        }
        let rounded = self.evaluate(inputs)?;
        Ok(Evaluation {
            values: rounded.values,
            gradient: rounded.gradient.mapv(f64::from),
            count: rounded.count,
            auxiliaries: rounded.auxiliaries,
        })
    }

    /// Value and gradient of tensors that live on the device already. Never waits; a wrong label is reported when the
    /// value is read.
    ///
    /// # Errors
    /// Shapes that do not fit; tensors of another device; [`Reduction::None`], which has no upstream here;
    /// [`Error::OutOfMemory`].
    pub fn backward(&self, predictions: &Tensor, targets: &Tensor) -> Result<DeviceEvaluation> {
        let name = self.loss.entry().name;
        for (which, tensor) in [("predictions", predictions), ("targets", targets)] {
            if !tensor.device().is_same(&self.device) {
                return Err(Error::Input {
                    operation: name.into(),
                    name: which.into(),
                    found: format!("live on another device ({})", tensor.device().name()),
                    allowed: format!("the criterion is on {}", self.device.describe()),
                });
            }
        }
        if self.reduction == Reduction::None {
            return Err(Error::option(
                name,
                "reduction",
                "none",
                "one that gives a single value; use `evaluate` for each value",
            ));
        }
        let sizes = Sizes::of(&*self.loss, predictions.shape(), targets.shape(), targets.is_labels())?;
        match &self.device {
            Device::Gpu(gpu) => self.backward_on_gpu(gpu, predictions, targets, &sizes),
            _ => self.backward_on_host(predictions, targets),
        }
    }

    fn backward_on_host(&self, predictions: &Tensor, targets: &Tensor) -> Result<DeviceEvaluation> {
        let p = predictions.to_array()?;
        let labels;
        let dense;
        let inputs = match &targets.storage {
            Storage::Labels(values) => {
                let wide: Vec<i64> = values.iter().map(|&label| i64::from(label)).collect();
                labels = shaped(targets.shape(), wide)?;
                Inputs::new(&p, &labels)
            }
            _ => {
                dense = targets.to_array()?;
                Inputs::new(&p, &dense)
            }
        };
        let evaluation = self.evaluate(&inputs)?;
        Ok(DeviceEvaluation {
            loss: self.loss.clone(),
            classes: 0,
            labels: None,
            result: None,
            has_status: false,
            value: Some(evaluation.value()),
            gradient: Tensor::from_array(&self.device, evaluation.gradient.view())?,
        })
    }

    fn backward_on_gpu(
        &self,
        gpu: &Gpu,
        predictions: &Tensor,
        targets: &Tensor,
        sizes: &Sizes,
    ) -> Result<DeviceEvaluation> {
        let labels = targets.is_labels();
        let (commands, buffers) = self.plan_on_gpu(gpu, predictions, targets, sizes)?;
        gpu.submit(&commands)?;
        Ok(DeviceEvaluation {
            loss: self.loss.clone(),
            classes: sizes.columns,
            labels: labels.then(|| targets.clone()),
            result: Some(buffers.result),
            has_status: matches!(self.loss.family(), Family::Rowwise(_)),
            value: None,
            gradient: Tensor::new(&self.device, predictions.shape(), Storage::Gpu(buffers.gradient)),
        })
    }

    /// The commands of [`Criterion::backward`], which may be submitted more than once, and the buffers they work on.
    pub(crate) fn plan_on_gpu(
        &self,
        gpu: &Gpu,
        predictions: &Tensor,
        targets: &Tensor,
        sizes: &Sizes,
    ) -> Result<(Vec<Command>, Buffers)> {
        let (p, t) = (gpu_buffer(predictions)?, gpu_buffer(targets)?);
        let labels = targets.is_labels();
        // Which labels are ignored is known on the device alone, so the device counts.
        let divisor = match self.reduction {
            Reduction::Mean | Reduction::WeightedMean if labels => Divisor::OfLabels,
            _ => Divisor::Known,
        };
        let elements = sizes.rows * sizes.row_length;
        let values = if self.mean_is_over_elements() { elements } else { sizes.rows };
        let factor = match (divisor, self.reduction) {
            (Divisor::Known, Reduction::Mean | Reduction::WeightedMean) => 1.0 / values as f64,
            (Divisor::Known, Reduction::BatchMean) => 1.0 / sizes.rows as f64,
            (Divisor::Known, Reduction::Divisor(divisor)) => 1.0 / check_divisor(&*self.loss, divisor)?,
            _ => 1.0,
        };
        let job = Job {
            rows: sizes.rows,
            row_length: sizes.row_length,
            columns: sizes.columns,
            labels,
            each: false,
            factor: factor as f32,
            upstream: 1.0,
            divisor,
            auxiliary: false,
        };
        let buffers = Buffers {
            predictions: p,
            targets: t,
            weights: None,
            column_weights: None,
            class_mask: None,
            upstreams: None,
            gradient: gpu.buffer("a gradient", elements)?,
            values: gpu.buffer("partial sums", kernel::values_length(gpu, &*self.loss, &job))?,
            result: gpu.buffer("a loss", 4)?,
            absent: gpu.buffer("nothing", 4)?,
        };
        Ok((kernel::commands(gpu, &*self.loss, &job, &buffers)?, buffers))
    }

    fn mean_is_over_elements(&self) -> bool {
        matches!(self.loss.family(), Family::Pointwise(_)) || self.loss.mean_over_elements()
    }
}

impl DeviceEvaluation {
    /// Reads the value: a wait.
    ///
    /// # Errors
    /// [`Error::Label`] for a label on the device that is no class; what the device reports.
    pub fn value(&self) -> Result<f64> {
        let (Some(buffer), Device::Gpu(gpu)) = (&self.result, self.gradient.device()) else {
            return Ok(self.value.unwrap_or(f64::NAN));
        };
        let words: Vec<u32> = pollster::block_on(gpu.download(buffer, 0, 2))?;
        if self.has_status && words[1] != u32::MAX {
            let row = words[1] as usize;
            let label = match self.labels.as_ref().map(|labels| &labels.storage) {
                Some(Storage::GpuLabels(labels)) => {
                    pollster::block_on(gpu.download::<i32>(labels, row, 1))?.first().copied().unwrap_or(-1)
                }
                _ => -1,
            };
            return Err(inputs::label_error(&*self.loss, row, i64::from(label), self.classes));
        }
        Ok(f64::from(f32::from_bits(words[0])))
    }
}

fn gpu_buffer(tensor: &Tensor) -> Result<wgpu::Buffer> {
    match &tensor.storage {
        Storage::Gpu(buffer) | Storage::GpuLabels(buffer) => Ok(buffer.clone()),
        _ => Err(Error::Input {
            operation: "backward".into(),
            name: "a tensor".into(),
            found: "lives on the host".into(),
            allowed: "make it with Tensor::from_array on the criterion's device".into(),
        }),
    }
}

fn check_divisor(loss: &dyn Loss, divisor: f64) -> Result<f64> {
    if divisor > 0.0 && divisor.is_finite() {
        return Ok(divisor);
    }
    Err(Error::option(loss.entry().name, "reduction's divisor", divisor, "> 0"))
}

/// One call whose inputs fit: everything flat, row-major, and the reduction's factor known.
struct Call<'c, 'a> {
    criterion: &'c Criterion,
    sizes: Sizes,
    shape: Vec<usize>,
    predictions: Cow<'a, [f32]>,
    dense: Cow<'a, [f32]>,
    labels: Option<Vec<i32>>,
    weight: Option<(Cow<'a, [f32]>, Per)>,
    mask: Option<(Cow<'a, [bool]>, Per)>,
    column_weight: Cow<'a, [f32]>,
    class_mask: Option<(Cow<'a, [bool]>, Per)>,
    upstreams: Cow<'a, [f32]>,
    upstream: f32,
    share: Share,
    auxiliary: bool,
}

/// The elements of a view in row-major order, borrowed where they lie so already.
fn flat<'a, T: Clone>(view: &ArrayViewD<'a, T>) -> Cow<'a, [T]> {
    match view.to_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(view.iter().cloned().collect()),
    }
}

impl<'c, 'a> Call<'c, 'a> {
    fn check(criterion: &'c Criterion, inputs: &Inputs<'a>) -> Result<Self> {
        let loss = &*criterion.loss;
        let shape = inputs.predictions.shape().to_vec();
        let (target_shape, is_labels) = match &inputs.targets {
            Targets::Dense(dense) => (dense.shape(), false),
            Targets::Labels(labels) => (labels.shape(), true),
        };
        let sizes = Sizes::of(loss, &shape, target_shape, is_labels)?;
        let per = |name: &str, shape: &[usize]| {
            sizes.is_per_row(loss, name, shape).map(|per_row| if per_row { Per::Row } else { Per::Element })
        };
        let weight = inputs.weight.as_ref().map(|w| Ok((flat(w), per("weight", w.shape())?))).transpose()?;
        let mask = inputs.mask.as_ref().map(|m| Ok((flat(m), per("mask", m.shape())?))).transpose()?;
        let column_weight = Self::column_weight(loss, inputs, &sizes)?;
        let class_mask = match &inputs.class_mask {
            None => None,
            Some(mask) => {
                inputs::check_known(loss, "class_mask")?;
                let per_column = sizes.is_per_column(loss, &shape, mask.shape())?;
                Some((flat(mask), if per_column { Per::Column } else { Per::Element }))
            }
        };
        let (dense, wide): (Cow<[f32]>, Option<Vec<i64>>) = match &inputs.targets {
            Targets::Dense(dense) => (flat(dense), None),
            Targets::Labels(labels) => (Cow::Borrowed(&[]), Some(labels.iter().copied().collect())),
        };
        let keeps = |row: usize| mask.as_ref().is_none_or(|(mask, _)| mask[row]);
        match &wide {
            Some(labels) => inputs::check_labels(loss, labels, sizes.columns, keeps)?,
            None => inputs::check_dense(loss, &dense)?,
        }
        let (upstream, upstreams) = Self::upstream(criterion, inputs, &sizes)?;
        let mut call = Call {
            criterion,
            shape,
            predictions: flat(&inputs.predictions),
            dense,
            // A row that is masked out may hold any label; what does not fit 32 bits becomes one that is no class.
            labels: wide.as_ref().map(|wide| narrow_labels(wide).unwrap_or_else(|_| clamp_labels(wide))),
            weight,
            mask,
            column_weight,
            class_mask,
            upstreams,
            upstream,
            share: Share { factor: 1.0, count: 0 },
            auxiliary: inputs.auxiliary && loss.targets() == Domain::Class,
            sizes,
        };
        call.share = call.share(wide.as_deref())?;
        Ok(call)
    }

    fn column_weight(loss: &dyn Loss, inputs: &Inputs<'a>, sizes: &Sizes) -> Result<Cow<'a, [f32]>> {
        let given = [("class_weight", &inputs.class_weight), ("pos_weight", &inputs.pos_weight)];
        let mut found = Cow::Borrowed(&[][..]);
        for (name, array) in given {
            let Some(array) = array else { continue };
            inputs::check_known(loss, name)?;
            if array.len() != sizes.columns || array.ndim() > 1 {
                let allowed = format!("it must be [{}], one for each column of the predictions", sizes.columns);
                return Err(shape_error(loss.entry().name, format!("{name} is {:?}", array.shape()), &allowed));
            }
            found = flat(array);
        }
        Ok(found)
    }

    /// The upstream for all, and for each where the reduction is `none`.
    fn upstream(criterion: &Criterion, inputs: &Inputs<'a>, sizes: &Sizes) -> Result<(f32, Cow<'a, [f32]>)> {
        let none = Cow::Borrowed(&[][..]);
        let Some(upstream) = &inputs.upstream else {
            return Ok((1.0, none));
        };
        let wanted: &[usize] = if criterion.reduction == Reduction::None { &sizes.value_shape } else { &[] };
        if upstream.shape() == wanted {
            if criterion.reduction == Reduction::None {
                return Ok((1.0, flat(upstream)));
            }
            return Ok((upstream.sum(), none));
        }
        let found = format!("upstream is {:?}", upstream.shape());
        Err(shape_error(criterion.loss.entry().name, found, &format!("it must be of the value's shape {wanted:?}")))
    }

    fn keeps(&self, element: usize) -> bool {
        match &self.mask {
            None => true,
            Some((mask, Per::Element)) => mask[element],
            Some((mask, _)) => mask[element / self.sizes.row_length],
        }
    }

    fn weight_at(&self, element: usize) -> f64 {
        match &self.weight {
            None => 1.0,
            Some((weight, Per::Element)) => f64::from(weight[element]),
            Some((weight, _)) => f64::from(weight[element / self.sizes.row_length]),
        }
    }

    /// Count and factor of the reduction, from masks, weights and labels.
    fn share(&self, labels: Option<&[i64]>) -> Result<Share> {
        let loss = &*self.criterion.loss;
        let rowwise = matches!(loss.family(), Family::Rowwise(_));
        let elements = self.predictions.len();
        // The first element of each unit that has a value of its own.
        let step = if rowwise { self.sizes.row_length } else { 1 };
        let ignored = loss.ignored();
        let kept =
            |unit: usize| self.keeps(unit * step) && !labels.is_some_and(|labels| ignored.contains(&labels[unit]));
        let units = elements / step;
        let all = self.mask.is_none() && labels.is_none();
        let count = if all { units } else { (0..units).filter(|&unit| kept(unit)).count() };
        let kept_units = || (0..units).filter(|&unit| kept(unit));
        let divisor = match self.criterion.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Divisor(divisor) => check_divisor(loss, divisor)?,
            Reduction::BatchMean => self.sizes.rows as f64,
            Reduction::WeightedMean => kept_units().map(|unit| self.weight_at(unit * step)).sum(),
            Reduction::Mean => match labels {
                Some(labels) if !self.column_weight.is_empty() => {
                    kept_units().map(|unit| f64::from(self.column_weight[labels[unit] as usize])).sum()
                }
                _ if rowwise && loss.mean_over_elements() => (count * step) as f64,
                _ => count as f64,
            },
        };
        // Nothing to average: the values are all 0, and so is their mean.
        let factor = if divisor == 0.0 { 0.0 } else { 1.0 / divisor };
        Ok(Share { factor, count })
    }

    /// The value that is reported: what was summed, unless there was nothing.
    fn reported(&self, value: f64) -> f64 {
        let averages = !matches!(self.criterion.reduction, Reduction::None | Reduction::Sum | Reduction::Divisor(_));
        if self.share.count == 0 && averages && self.criterion.on_empty == OnEmpty::Nan { f64::NAN } else { value }
    }

    fn each(&self) -> bool {
        self.criterion.reduction == Reduction::None
    }

    fn on_host<R: HostReal>(&self) -> Result<Evaluation<R>> {
        match self.criterion.loss.family() {
            Family::Pointwise(_) => self.pointwise_on_host(),
            Family::Rowwise(_) => self.rowwise_on_host(),
        }
    }

    fn pointwise_on_host<R: HostReal>(&self) -> Result<Evaluation<R>> {
        let (predictions, targets) = (R::from_f32s(&self.predictions), R::from_f32s(&self.dense));
        let weight = self.weight.as_ref().map(|(weight, per)| (R::from_f32s(weight), *per));
        let (column_weight, upstreams) = (R::from_f32s(&self.column_weight), R::from_f32s(&self.upstreams));
        let points = Points {
            predictions: &predictions,
            targets: &targets,
            weight: weight.as_ref().map_or(Spread::None, |(weight, per)| spread(weight, *per)),
            mask: self.mask.as_ref().map_or(Spread::None, |(mask, per)| spread(mask, *per)),
            column_weight: &column_weight,
            row_length: self.sizes.row_length,
            factor: R::new(self.share.factor),
            upstream: R::from_f32(self.upstream),
            upstreams: &upstreams,
        };
        let mut gradient = vec![R::ZERO; predictions.len()];
        let mut values = vec![R::ZERO; if self.each() { predictions.len() } else { 0 }];
        let sum = R::pointwise(&*self.criterion.loss, &points, &mut gradient, &mut values);
        self.evaluation(sum, gradient, values.into_iter().map(Real::to_f64).collect(), None)
    }

    fn rowwise_on_host<R: HostReal>(&self) -> Result<Evaluation<R>> {
        let (logits, dense) = (R::from_f32s(&self.predictions), R::from_f32s(&self.dense));
        let weight = self.weight.as_ref().map(|(weight, _)| R::from_f32s(weight)).unwrap_or_default();
        let (class_weight, upstreams) = (R::from_f32s(&self.column_weight), R::from_f32s(&self.upstreams));
        let rows = Rows {
            logits: &logits,
            columns: self.sizes.columns,
            targets: match &self.labels {
                Some(labels) => RowTargets::Labels(labels),
                None => RowTargets::Dense(&dense),
            },
            ignored: self.criterion.loss.ignored(),
            class_weight: &class_weight,
            class_mask: self.class_mask.as_ref().map_or(&[], |(mask, _)| &mask[..]),
            weight: &weight,
            mask: self.mask.as_ref().map_or(&[], |(mask, _)| &mask[..]),
            factor: R::new(self.share.factor),
            upstream: R::from_f32(self.upstream),
            upstreams: &upstreams,
        };
        let mut gradient = vec![R::ZERO; logits.len()];
        let mut values = vec![R::ZERO; self.sizes.rows];
        let mut auxiliary = vec![Auxiliary::default(); if self.auxiliary { self.sizes.rows } else { 0 }];
        R::rowwise(&*self.criterion.loss, &rows, &mut gradient, &mut values, &mut auxiliary);
        let values: Vec<f64> = values.into_iter().map(Real::to_f64).collect();
        let auxiliaries = self.auxiliary.then(|| Auxiliaries {
            values: values.clone(),
            lse: auxiliary.iter().map(|a| a.lse.to_f64()).collect(),
            argmax: auxiliary.iter().map(|a| a.argmax.to_f64() as usize).collect(),
            correct: auxiliary.iter().map(|a| a.correct.to_f64() != 0.0).collect(),
            entropy: auxiliary.iter().map(|a| a.entropy.to_f64()).collect(),
            target_probability: auxiliary.iter().map(|a| a.target_probability.to_f64()).collect(),
        });
        self.evaluation(crate::host::parallel::pairwise(&values), gradient, values, auxiliaries)
    }

    fn evaluation<R: Clone>(
        &self,
        sum: f64,
        gradient: Vec<R>,
        each: Vec<f64>,
        auxiliaries: Option<Auxiliaries>,
    ) -> Result<Evaluation<R>> {
        let values =
            if self.each() { shaped(&self.sizes.value_shape, each)? } else { shaped(&[], vec![self.reported(sum)])? };
        Ok(Evaluation { values, gradient: shaped(&self.shape, gradient)?, count: self.share.count, auxiliaries })
    }

    fn on_gpu(&self, gpu: &Gpu) -> Result<Evaluation> {
        let loss = &*self.criterion.loss;
        let job = Job {
            rows: self.sizes.rows,
            row_length: self.sizes.row_length,
            columns: self.sizes.columns,
            labels: self.labels.is_some(),
            each: self.each(),
            factor: self.share.factor as f32,
            upstream: self.upstream,
            divisor: Divisor::Known,
            auxiliary: self.auxiliary,
        };
        let upload = |values: &[f32]| gpu.upload("an input", values);
        let ones;
        let upstreams: &[f32] = match (self.each(), self.upstreams.is_empty()) {
            (false, _) => &[],
            (true, false) => &self.upstreams,
            (true, true) => {
                ones = vec![1.0; self.sizes.value_shape.iter().product()];
                &ones
            }
        };
        let optional = |values: &[f32]| if values.is_empty() { Ok(None) } else { upload(values).map(Some) };
        let buffers = Buffers {
            predictions: upload(&self.predictions)?,
            targets: match &self.labels {
                Some(labels) => gpu.upload("labels", labels)?,
                None => upload(&self.dense)?,
            },
            weights: self
                .packed_weights()
                .map(|(packed, per)| Ok((gpu.upload("weights", &packed)?, per)))
                .transpose()?,
            column_weights: optional(&self.column_weight)?,
            class_mask: self
                .class_mask
                .as_ref()
                .map(|(mask, per)| {
                    let words: Vec<u32> = mask.iter().map(|&keep| u32::from(keep)).collect();
                    Ok((gpu.upload("a class mask", &words)?, *per))
                })
                .transpose()?,
            upstreams: optional(upstreams)?,
            gradient: gpu.buffer("a gradient", self.predictions.len())?,
            values: gpu.buffer("values", kernel::values_length(gpu, loss, &job))?,
            result: gpu.buffer("a loss", 4)?,
            absent: gpu.buffer("nothing", 4)?,
        };
        gpu.submit(&kernel::commands(gpu, loss, &job, &buffers)?)?;
        self.read_back(gpu, &buffers)
    }

    fn read_back(&self, gpu: &Gpu, buffers: &Buffers) -> Result<Evaluation> {
        let read = |buffer: &wgpu::Buffer, first: usize, length: usize| -> Result<Vec<f32>> {
            pollster::block_on(gpu.download(buffer, first, length))
        };
        let gradient = read(&buffers.gradient, 0, self.predictions.len())?;
        let rows = self.sizes.rows;
        let auxiliaries = if self.auxiliary {
            let planes = read(&buffers.values, 0, PLANES * rows)?;
            let wide = |n: usize| planes[n * rows..][..rows].iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
            Some(Auxiliaries {
                values: wide(0),
                lse: wide(2),
                argmax: wide(3).into_iter().map(|x| x as usize).collect(),
                correct: wide(4).into_iter().map(|x| x != 0.0).collect(),
                entropy: wide(5),
                target_probability: wide(6),
            })
        } else {
            None
        };
        let (sum, each) = if self.each() {
            let values = read(&buffers.values, 0, self.sizes.value_shape.iter().product())?;
            (0.0, values.into_iter().map(f64::from).collect())
        } else {
            (f64::from(read(&buffers.result, 0, 1)?[0]), Vec::new())
        };
        self.evaluation(sum, gradient, each, auxiliaries)
    }

    /// Weight and mask as one: the bits of [`MASKED`] where the mask is false.
    fn packed_weights(&self) -> Option<(Vec<u32>, Per)> {
        let pack = |count: usize, stride: usize| {
            (0..count).map(move |unit| match self.keeps(unit * stride) {
                true => (self.weight_at(unit * stride) as f32).to_bits(),
                false => MASKED,
            })
        };
        match (&self.weight, &self.mask) {
            (None, None) => None,
            (None | Some((_, Per::Row)), None | Some((_, Per::Row))) => {
                Some((pack(self.sizes.rows, self.sizes.row_length).collect(), Per::Row))
            }
            _ => Some((pack(self.predictions.len(), 1).collect(), Per::Element)),
        }
    }
}

fn clamp_labels(labels: &[i64]) -> Vec<i32> {
    labels.iter().map(|&label| i32::try_from(label).unwrap_or(i32::MIN)).collect()
}

fn spread<T>(values: &[T], per: Per) -> Spread<'_, T> {
    if per == Per::Element { Spread::Element(values) } else { Spread::Row(values) }
}

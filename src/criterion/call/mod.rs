//! One call of a criterion with arrays: the inputs are checked and flattened, then run on the CPU
//! or on the GPU.

mod host;

use std::borrow::Cow;

use ndarray::ArrayViewD;

use crate::criterion::arrange::weights::check_item_weight;
use crate::criterion::criterion::Criterion;
use crate::criterion::evaluation::{Auxiliaries, Evaluation};
use crate::criterion::inputs::{Inputs, Targets, shape_error};
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::criterion::sizes::Sizes;
use crate::criterion::{domain, inputs};
use crate::runtime::device::{Device, Gpu};
use crate::runtime::tensor::shaped;
use crate::templates::argument::{Domain, of_columns};
use crate::templates::definition::{LossDefinition, Mean, TargetDerivative};
use crate::templates::job::{Buffers, Divisor, Job, MASKED, Per, RESULT_KINDS, Written};
use crate::templates::launch as kernel;
use crate::{Error, Result};

/// The reduction's factor and the number of included values.
struct ReductionFactor {
    factor: f64,
    count: usize,
}

/// One call with checked inputs: all arrays flat and row-major, the reduction's factor computed.
pub(super) struct Call<'c, 'a> {
    criterion: &'c Criterion,
    sizes: Sizes,
    shape: Vec<usize>,
    predictions: Cow<'a, [f32]>,
    dense: Cow<'a, [f32]>,
    labels: Option<Vec<i32>>,
    weight: Option<(Cow<'a, [f32]>, Per)>,
    mask: Option<(Cow<'a, [bool]>, Per)>,
    column_weight: Cow<'a, [f32]>,
    /// Positive class weights of a row-wise loss; a pointwise loss has them in `column_weight`.
    pos_weight: Cow<'a, [f32]>,
    class_mask: Option<(Cow<'a, [bool]>, Per)>,
    /// One per item of a list; empty for none.
    item_weight: Cow<'a, [f32]>,
    upstreams: Cow<'a, [f32]>,
    upstream: f64,
    /// The f64 numbers of inputs that were rounded, on the reference device.
    exact: Exact<'a>,
    reduction: ReductionFactor,
    auxiliary: bool,
    hessian: bool,
    target_gradient: bool,
}

/// The f64 numbers of inputs by name, flat.
#[derive(Default)]
pub(super) struct Exact<'a>(Vec<(&'a str, Cow<'a, [f64]>)>);

impl<'a> Exact<'a> {
    /// Those of a call on the reference device; other devices compute with the rounded ones.
    pub fn of(device: &Device, inputs: &Inputs<'a>) -> Self {
        if !matches!(device, Device::Reference) {
            return Exact::default();
        }
        Exact(inputs.exact.iter().map(|(name, array)| (*name, flat(array))).collect())
    }

    /// The numbers of an input that was f64.
    pub fn get(&self, name: &str) -> Option<&[f64]> {
        self.0.iter().find(|(given, _)| *given == name).map(|(_, numbers)| &**numbers)
    }
}

/// The elements of a view in row-major order, borrowed if the view is already contiguous in that
/// order.
pub(super) fn flat<'a, T: Clone>(view: &ArrayViewD<'a, T>) -> Cow<'a, [T]> {
    match view.to_slice() {
        Some(slice) => Cow::Borrowed(slice),
        None => Cow::Owned(view.iter().cloned().collect()),
    }
}

/// The targets as numbers or as labels; class lists are returned as numbers.
fn numbers_or_labels<'a, 't>(
    loss: &dyn LossDefinition,
    targets: &'t Targets<'a>,
) -> (Cow<'a, [f32]>, Option<Cow<'t, [i64]>>) {
    match targets {
        Targets::Dense(dense) => (flat(dense), None),
        Targets::Grouped { relevance, .. } => (relevance.iter().copied().collect(), None),
        Targets::Labels(lists) if loss.targets() == Domain::ClassList => {
            (lists.iter().map(|&class| class as f32).collect(), None)
        }
        Targets::Wide(numbers) => (numbers.iter().map(|&x| x as f32).collect(), None),
        Targets::Labels(labels) => {
            let wide =
                labels.as_slice().map_or_else(|| labels.iter().copied().collect(), Cow::Borrowed);
            (Cow::Borrowed(&[]), Some(wide))
        }
    }
}

impl<'c, 'a> Call<'c, 'a> {
    pub fn check(criterion: &'c Criterion, inputs: &Inputs<'a>) -> Result<Self> {
        let loss = &*criterion.loss;
        for (name, _) in &inputs.arrays {
            inputs::check_known(loss, name)?;
        }
        let predictions = inputs.numbers(loss, "predictions")?;
        let shape = predictions.shape().to_vec();
        let targets = inputs.get("targets");
        let targets = targets.ok_or_else(|| {
            inputs::input_error(loss, "targets", "is missing", "it must be an array")
        })?;
        let (target_shape, is_labels) = match targets {
            Targets::Dense(dense) => (dense.shape(), false),
            Targets::Wide(dense) => (dense.shape(), false),
            Targets::Labels(labels) => (labels.shape(), loss.targets() != Domain::ClassList),
            Targets::Grouped { .. } => return Err(inputs::no_lists(loss, "targets")),
        };
        let sizes = Sizes::of(loss, &shape, target_shape, is_labels)?;
        let per = |name: &str, shape: &[usize]| {
            sizes
                .is_per_row(loss, name, shape)
                .map(|per_row| if per_row { Per::Row } else { Per::Element })
        };
        let weight =
            inputs.weight.as_ref().map(|w| Ok((flat(w), per("weight", w.shape())?))).transpose()?;
        let mask =
            inputs.mask.as_ref().map(|m| Ok((flat(m), per("mask", m.shape())?))).transpose()?;
        let own = of_columns(loss.inputs()).unwrap_or("class_weight");
        let mut column_weight = Self::column_weight(loss, inputs, &sizes, own)?;
        let mut pos_weight = Self::column_weight(loss, inputs, &sizes, "pos_weight")?;
        if loss.is_pointwise() {
            column_weight = std::mem::take(&mut pos_weight);
        }
        let class_mask = Self::class_mask(loss, inputs, &sizes, &shape)?;
        let item_weight = Self::item_weight(loss, inputs, &shape)?;
        let (dense, wide) = numbers_or_labels(loss, targets);
        let keeps = |row: usize| mask.as_ref().is_none_or(|(mask, _)| mask[row]);
        match &wide {
            Some(labels) => domain::check_labels(loss, labels, sizes.columns, keeps)?,
            None => domain::check_dense(loss, &dense)?,
        }
        if loss.targets() == Domain::ClassList {
            domain::check_class_lists(loss, &dense, sizes.columns, keeps)?;
        }
        inputs::check_auxiliary(loss, inputs.auxiliary)?;
        inputs::check_hessian(loss, inputs.hessian)?;
        if inputs.target_gradient {
            inputs::target_derivative_of(loss, inputs)?;
        }
        let exact = Exact::of(&criterion.device, inputs);
        let (upstream, upstreams) = Self::upstream(criterion, inputs, &sizes, &exact)?;
        let mut call = Call {
            criterion,
            shape,
            predictions: flat(predictions),
            dense,
            // A masked row may hold any label; a label outside 32 bits is replaced by an invalid
            // one.
            labels: wide.as_ref().map(|wide| clamp_labels(wide)),
            weight,
            mask,
            column_weight,
            pos_weight,
            class_mask,
            item_weight,
            upstreams,
            upstream,
            exact,
            reduction: ReductionFactor { factor: 1.0, count: 0 },
            auxiliary: inputs.auxiliary,
            hessian: inputs.hessian,
            target_gradient: inputs.target_gradient,
            sizes,
        };
        call.reduction = call.reduction_factor(wide.as_deref())?;
        Ok(call)
    }

    fn class_mask(
        loss: &dyn LossDefinition,
        inputs: &Inputs<'a>,
        sizes: &Sizes,
        shape: &[usize],
    ) -> Result<Option<(Cow<'a, [bool]>, Per)>> {
        let Some(mask) = &inputs.class_mask else { return Ok(None) };
        inputs::check_known(loss, "class_mask")?;
        let per_column = sizes.is_per_column(loss, shape, mask.shape())?;
        Ok(Some((flat(mask), if per_column { Per::Column } else { Per::Element })))
    }

    /// One number per item of a list; empty if the input is absent.
    fn item_weight(
        loss: &dyn LossDefinition,
        inputs: &Inputs<'a>,
        shape: &[usize],
    ) -> Result<Cow<'a, [f32]>> {
        if inputs.get("item_weight").is_none() {
            return Ok(Cow::Borrowed(&[]));
        }
        let array = inputs.numbers(loss, "item_weight")?;
        if array.shape() != shape {
            let found = format!("item_weight is {:?}", array.shape());
            let allowed = format!("it must be {shape:?}, one for each item");
            return Err(shape_error(loss.name(), found, &allowed));
        }
        let weights = array.iter().copied();
        check_item_weight(loss, "item_weight", weights, inputs.get("targets"))?;
        Ok(flat(array))
    }

    /// One number per column; empty if the input is absent.
    fn column_weight(
        loss: &dyn LossDefinition,
        inputs: &Inputs<'a>,
        sizes: &Sizes,
        name: &str,
    ) -> Result<Cow<'a, [f32]>> {
        if inputs.get(name).is_none() {
            return Ok(Cow::Borrowed(&[]));
        }
        let array = inputs.numbers(loss, name)?;
        // Their logarithms are taken, and a NaN would hide in a comparison.
        if ["class_prior", "expected_count"].contains(&name)
            && let Some(class) = array.iter().position(|x| x.is_nan() || *x < 0.0)
        {
            let found = format!(
                "holds {} at element {class}",
                array.iter().nth(class).copied().unwrap_or(f32::NAN)
            );
            return Err(inputs::input_error(loss, name, found, "it must hold numbers from 0 on"));
        }
        // The weights of a pointwise loss may repeat with several axes: `arrange` has made one axis
        // of them.
        let is_period = loss.is_pointwise()
            && !array.is_empty()
            && (sizes.rows * sizes.row_length).is_multiple_of(array.len());
        if !(array.len() == sizes.columns || is_period) || array.ndim() > 1 {
            let allowed =
                format!("it must be [{}], one for each column of the predictions", sizes.columns);
            return Err(shape_error(
                loss.name(),
                format!("{name} is {:?}", array.shape()),
                &allowed,
            ));
        }
        Ok(flat(array))
    }

    /// The column weights in the layout of the kernels: class weights, followed by the positive
    /// class weights if present.
    fn packed_column_weight(&self) -> Cow<'_, [f32]> {
        if self.pos_weight.is_empty() {
            return Cow::Borrowed(&self.column_weight);
        }
        let ones = vec![1.0; self.pos_weight.len()];
        let classes = if self.column_weight.is_empty() { &ones } else { &*self.column_weight };
        [classes, &self.pos_weight].concat().into()
    }

    /// The upstream gradient as a scalar, and per value if the reduction is `none`.
    fn upstream(
        criterion: &Criterion,
        inputs: &Inputs<'a>,
        sizes: &Sizes,
        exact: &Exact,
    ) -> Result<(f64, Cow<'a, [f32]>)> {
        let none = Cow::Borrowed(&[][..]);
        let Some(upstream) = &inputs.upstream else {
            return Ok((1.0, none));
        };
        let wanted: &[usize] =
            if criterion.reduction == Reduction::None { &sizes.value_shape } else { &[] };
        if upstream.shape() == wanted {
            if criterion.reduction == Reduction::None {
                return Ok((1.0, flat(upstream)));
            }
            let exact = exact.get("upstream").map(|numbers| numbers.iter().sum());
            return Ok((exact.unwrap_or_else(|| f64::from(upstream.sum())), none));
        }
        let found = format!("upstream is {:?}", upstream.shape());
        Err(shape_error(
            criterion.loss.name(),
            found,
            &format!("it must be of the value's shape {wanted:?}"),
        ))
    }

    fn keeps(&self, element: usize) -> bool {
        match &self.mask {
            None => true,
            Some((mask, Per::Element)) => mask[element],
            Some((mask, _)) => mask[element / self.sizes.row_length],
        }
    }

    fn weight_at(&self, element: usize) -> f64 {
        let Some((weight, per)) = &self.weight else { return 1.0 };
        let place = if *per == Per::Element { element } else { element / self.sizes.row_length };
        self.exact.get("weight").map_or_else(|| f64::from(weight[place]), |exact| exact[place])
    }

    /// The weight of each class: those of a row-wise loss.
    fn class_weight_at(&self, class: usize) -> f64 {
        let exact = self.exact.get("class_weight");
        exact.map_or_else(|| f64::from(self.column_weight[class]), |exact| exact[class])
    }

    /// Count and factor of the reduction, computed from masks, weights and labels.
    fn reduction_factor(&self, labels: Option<&[i64]>) -> Result<ReductionFactor> {
        let loss = &*self.criterion.loss;
        if loss.targets().pads() {
            return self.reduction_factor_of_lists();
        }
        let rowwise = !loss.is_pointwise();
        let elements = self.predictions.len();
        // The first element of each unit with its own value.
        let step = if rowwise { self.sizes.row_length } else { 1 };
        let ignored = loss.ignored();
        let kept = |unit: usize| {
            self.keeps(unit * step) && !labels.is_some_and(|labels| ignored.contains(&labels[unit]))
        };
        let units = elements / step;
        let count = match (&self.mask, labels, ignored) {
            (None, None, _) | (None, _, []) => units,
            // The common case, without a branch per label.
            (None, Some(labels), [ignored]) => {
                labels.len()
                    - labels.iter().map(|label| usize::from(label == ignored)).sum::<usize>()
            }
            _ => (0..units).filter(|&unit| kept(unit)).count(),
        };
        let kept_units = || (0..units).filter(|&unit| kept(unit));
        let divisor = match self.criterion.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Divisor(divisor) => check_divisor(loss, divisor)?,
            Reduction::BatchMean => self.sizes.rows as f64,
            Reduction::WeightedMean => kept_units().map(|unit| self.weight_at(unit * step)).sum(),
            Reduction::Mean => match labels {
                Some(labels)
                    if loss.spec().mean == Mean::OverClassWeights
                        && !self.column_weight.is_empty() =>
                {
                    kept_units().map(|unit| self.class_weight_at(labels[unit] as usize)).sum()
                }
                _ if rowwise && loss.spec().mean == Mean::OverElements => (count * step) as f64,
                _ => count as f64,
            },
        };
        // Nothing to average: all values are 0, so their mean is 0.
        let factor = if divisor == 0.0 { 0.0 } else { 1.0 / divisor };
        Ok(ReductionFactor { factor, count })
    }

    /// As [`Call::reduction_factor`], for list-wise losses: the mean divides by the number of pairs or of
    /// non-empty lists.
    fn reduction_factor_of_lists(&self) -> Result<ReductionFactor> {
        let loss = &*self.criterion.loss;
        let items = self.sizes.row_length;
        let units = |list: usize| match self.keeps(list * items) {
            true => domain::list_units(loss, &self.dense[list * items..][..items]),
            false => 0,
        };
        let count = (0..self.sizes.rows).map(units).sum();
        let divisor = match self.criterion.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Divisor(divisor) => check_divisor(loss, divisor)?,
            Reduction::BatchMean => self.sizes.rows as f64,
            Reduction::WeightedMean => (0..self.sizes.rows)
                .map(|list| match units(list) {
                    0 => 0.0,
                    units => {
                        self.weight_at(list * items) * self.mean_item_weight(list) * units as f64
                    }
                })
                .sum(),
            Reduction::Mean => count as f64,
        };
        Ok(ReductionFactor { factor: if divisor == 0.0 { 0.0 } else { 1.0 / divisor }, count })
    }

    /// The mean over the pairs of a list of the weight of the higher item; 1 without item weights.
    fn mean_item_weight(&self, list: usize) -> f64 {
        let items = self.sizes.row_length;
        let at = list * items;
        if self.item_weight.is_empty() {
            return 1.0;
        }
        let exact = self.exact.get("item_weight");
        let truths = &self.dense[at..][..items];
        let (mut weights, mut pairs) = (0.0, 0);
        for (item, &truth) in truths.iter().enumerate() {
            let below = truths.iter().filter(|&&other| other >= 0.0 && other < truth).count();
            let weight =
                exact.map_or_else(|| f64::from(self.item_weight[at + item]), |w| w[at + item]);
            if below > 0 {
                weights += weight * below as f64;
            }
            pairs += below;
        }
        if pairs == 0 { 0.0 } else { weights / pairs as f64 }
    }

    /// The reported value: the sum, or NaN for an empty average with [`OnEmpty::Nan`].
    fn reported(&self, value: f64) -> f64 {
        let criterion = self.criterion;
        let is_nan =
            self.reduction.count == 0 && criterion.averages() && criterion.on_empty == OnEmpty::Nan;
        if is_nan { f64::NAN } else { value }
    }

    fn each(&self) -> bool {
        self.criterion.reduction == Reduction::None
    }

    fn evaluation<R: Clone>(
        &self,
        sum: f64,
        gradient: Vec<R>,
        each: Vec<f64>,
        auxiliaries: Option<Auxiliaries>,
        hessian: Option<Vec<R>>,
    ) -> Result<Evaluation<R>> {
        let values = if self.each() {
            shaped(&self.sizes.value_shape, each)?
        } else {
            shaped(&[], vec![self.reported(sum)])?
        };
        let gradient = shaped(&self.shape, gradient)?;
        let hessian = hessian.map(|hessian| shaped(&self.shape, hessian)).transpose()?;
        Ok(Evaluation {
            values,
            gradient,
            others: Vec::new(),
            count: self.reduction.count,
            auxiliaries,
            hessian,
            first: "predictions",
        })
    }

    fn job(&self) -> Job {
        Job {
            rows: self.sizes.rows,
            row_length: self.sizes.row_length,
            columns: match self.criterion.loss.is_pointwise() && !self.column_weight.is_empty() {
                true => self.column_weight.len(),
                false => self.sizes.columns,
            },
            labels: self.labels.is_some(),
            each: self.each(),
            factor: self.reduction.factor as f32,
            upstream: self.upstream as f32,
            divisor: Divisor::Known,
            auxiliary: self.auxiliary,
            written: Written::Gradient,
            half: false,
        }
    }

    /// Uploads the inputs and allocates the output buffers.
    fn buffers(&self, gpu: &Gpu, job: &Job) -> Result<Buffers> {
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
        let optional =
            |values: &[f32]| if values.is_empty() { Ok(None) } else { upload(values).map(Some) };
        Ok(Buffers {
            predictions: upload(&self.predictions)?,
            targets: match &self.labels {
                Some(labels) => gpu.upload("labels", labels)?,
                None => upload(&self.dense)?,
            },
            weights: self
                .packed_weights()
                .map(|(packed, per)| Ok((gpu.upload("weights", &packed)?, per)))
                .transpose()?,
            column_weights: optional(&self.packed_column_weight())?,
            pos_weights: !self.pos_weight.is_empty(),
            class_mask: self
                .class_mask
                .as_ref()
                .map(|(mask, per)| {
                    let words: Vec<u32> = mask.iter().map(|&keep| u32::from(keep)).collect();
                    Ok((gpu.upload("a class mask", &words)?, *per))
                })
                .transpose()?,
            item_weights: optional(&self.item_weight)?,
            upstreams: optional(upstreams)?,
            gradient: gpu.buffer("a gradient", self.predictions.len())?,
            values: gpu
                .buffer("values", kernel::values_length(gpu, &*self.criterion.loss, job)?)?,
            result: gpu.buffer("a loss", 4)?,
            unread: gpu.unread_binding()?,
        })
    }

    pub fn on_gpu(&self, gpu: &Gpu) -> Result<Evaluation> {
        let loss = &*self.criterion.loss;
        let job = self.job();
        let buffers = self.buffers(gpu, &job)?;
        let mut commands = kernel::commands(gpu, loss, &job, &buffers)?;
        let hessian = if self.hessian {
            // The same kernel with the second derivative in place of the first; it writes the same
            // values again.
            let gradient = gpu.buffer("a Hessian's diagonal", self.predictions.len())?;
            let (job, buffers) = (
                Job { written: Written::HessianDiagonal, ..job },
                Buffers { gradient, ..buffers.clone() },
            );
            commands.extend(kernel::kernel_commands(gpu, loss, &job, &buffers)?.0);
            Some(buffers.gradient)
        } else {
            None
        };
        let has_kernel =
            !matches!(loss.spec().target_derivative, None | Some(TargetDerivative::Opposite));
        let of_targets = if self.target_gradient && has_kernel {
            let gradient = gpu.buffer("the gradient of targets", self.predictions.len())?;
            let (job, buffers) = (
                Job { written: Written::TargetGradient, ..self.job() },
                Buffers { gradient, ..buffers.clone() },
            );
            commands.extend(kernel::kernel_commands(gpu, loss, &job, &buffers)?.0);
            Some(buffers.gradient)
        } else {
            None
        };
        gpu.submit(&commands)?;
        let mut found = self.read_back(gpu, &buffers, hessian.as_ref())?;
        if let Some(buffer) = of_targets {
            let read = pollster::block_on(gpu.download(&buffer, 0, self.predictions.len()))?;
            found.others.push(("targets", shaped(&self.shape, read)?));
        } else if self.target_gradient {
            found.others.push(("targets", found.gradient.mapv(|g: f32| -g)));
        }
        Ok(found)
    }

    fn read_back(
        &self,
        gpu: &Gpu,
        buffers: &Buffers,
        hessian: Option<&wgpu::Buffer>,
    ) -> Result<Evaluation> {
        let read = |buffer: &wgpu::Buffer, first: usize, length: usize| -> Result<Vec<f32>> {
            pollster::block_on(gpu.download(buffer, first, length))
        };
        let gradient = read(&buffers.gradient, 0, self.predictions.len())?;
        let hessian = hessian.map(|buffer| read(buffer, 0, self.predictions.len())).transpose()?;
        let rows = self.sizes.rows;
        let auxiliaries = if self.auxiliary {
            Some(Auxiliaries::of_planes(&read(&buffers.values, 0, RESULT_KINDS * rows)?, rows))
        } else {
            None
        };
        let (sum, each) = if self.each() {
            let values = read(&buffers.values, 0, self.sizes.value_shape.iter().product())?;
            (0.0, values.into_iter().map(f64::from).collect())
        } else {
            (f64::from(read(&buffers.result, 0, 1)?[0]), Vec::new())
        };
        self.evaluation(sum, gradient, each, auxiliaries, hessian)
    }

    /// Weight and mask combined: the bits of [`MASKED`] where the mask is false.
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

pub(super) fn clamp_labels(labels: &[i64]) -> Vec<i32> {
    let fits = |label: i64| i64::from(label as i32) == label;
    labels.iter().map(|&label| if fits(label) { label as i32 } else { i32::MIN }).collect()
}

/// The given divisor, after a check that it is positive and finite.
pub(super) fn check_divisor(loss: &dyn LossDefinition, divisor: f64) -> Result<f64> {
    if divisor > 0.0 && divisor.is_finite() {
        return Ok(divisor);
    }
    Err(Error::option(loss.name(), "reduction's divisor", divisor, "> 0"))
}

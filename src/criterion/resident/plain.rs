//! A call with tensors of predictions and targets on a GPU: the known sizes, the counts taken on
//! the device, and the commands.

use crate::criterion::criterion::Criterion;
use crate::criterion::inputs;
use crate::criterion::inputs::shape_error;
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::criterion::resident::evaluation::{Check, DeviceEvaluation, Notes, Outcome};
use crate::criterion::resident::gpu_buffer;
use crate::criterion::sizes::Sizes;
use crate::criterion::tensor_inputs::TensorInputs;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Command;
use crate::runtime::tensor::{Storage, Tensor};
use crate::templates::argument::{Domain, of_columns};
use crate::templates::definition::Mean;
use crate::templates::job::{Buffers, Divisor, Job, Per, Written};
use crate::templates::listwise::gpu::units_of_lists;
use crate::templates::normalizer::{DivisorTerm, Labels, NOTES, Values};
use crate::templates::{launch as kernel, normalizer};
use crate::{Error, Result};

/// One call with checked inputs.
struct Call<'t> {
    criterion: &'t Criterion,
    gpu: &'t Gpu,
    sizes: Sizes,
    predictions: &'t Tensor,
    targets: &'t Tensor,
    weight: Option<(wgpu::Buffer, Per)>,
    mask: Option<(wgpu::Buffer, Per)>,
    column_weight: Option<wgpu::Buffer>,
    /// Positive class weights of a row-wise loss.
    pos_weight: Option<wgpu::Buffer>,
    class_mask: Option<(wgpu::Buffer, Per)>,
    item_weight: Option<wgpu::Buffer>,
    /// dL/d(value) as a scalar, and as a tensor if given.
    upstream: (f32, Option<&'t Tensor>),
    in_place: bool,
}

impl Criterion {
    /// The commands, their buffers and the results to read.
    pub(super) fn plain_on_gpu(
        &self,
        gpu: &Gpu,
        inputs: &TensorInputs,
    ) -> Result<(Vec<Command>, Buffers, DeviceEvaluation)> {
        inputs::check_auxiliary(&*self.loss, inputs.auxiliary)?;
        inputs::check_hessian(&*self.loss, inputs.hessian)?;
        let call = Call::check(self, gpu, inputs)?;
        let mut commands = Vec::new();
        let (job, buffers) = call.prepare(inputs.auxiliary, &mut commands)?;
        commands.extend(kernel::commands(gpu, &*self.loss, &job, &buffers)?);
        let tensor = |shape: &[usize], buffer: &wgpu::Buffer| {
            Tensor::new(&self.device, shape, Storage::Gpu(buffer.clone()))
        };
        let like_predictions = |buffer: &wgpu::Buffer| {
            let storage = if job.half {
                Storage::GpuHalf(buffer.clone())
            } else {
                Storage::Gpu(buffer.clone())
            };
            Tensor::new(&self.device, call.predictions.shape(), storage)
        };
        let hessian = if inputs.hessian {
            // The same kernel with the second derivative in place of the first; it writes the same
            // values again.
            let gradient = gpu.buffer("a Hessian's diagonal", call.words())?;
            let (job, buffers) = (
                Job { written: Written::HessianDiagonal, ..job.clone() },
                Buffers { gradient, ..buffers.clone() },
            );
            commands.extend(kernel::kernel_commands(gpu, &*self.loss, &job, &buffers)?.0);
            Some(like_predictions(&buffers.gradient))
        } else {
            None
        };
        let evaluation = DeviceEvaluation {
            loss: self.loss.clone(),
            outcome: Outcome::OnGpu(Notes {
                gpu: gpu.clone(),
                buffer: buffers.result.clone(),
                count: (!call.keeps_depend()).then(|| call.units()),
                nan_if_empty: self.averages()
                    && self.on_empty == OnEmpty::Nan
                    && call.keeps_depend(),
                check: call.checked(),
                planes: inputs.auxiliary.then(|| (buffers.values.clone(), call.sizes.rows)),
            }),
            gradient: like_predictions(&buffers.gradient),
            others: Vec::new(),
            values: self.each().then(|| tensor(&call.sizes.value_shape, &buffers.values)),
            hessian,
        };
        let scaled: Vec<&Tensor> =
            std::iter::once(&evaluation.gradient).chain(&evaluation.hessian).collect();
        self.scale(gpu, call.upstream.1, &scaled, &mut commands)?;
        Ok((commands, buffers, evaluation))
    }
}

impl<'t> Call<'t> {
    fn check(criterion: &'t Criterion, gpu: &'t Gpu, inputs: &TensorInputs<'t>) -> Result<Self> {
        let loss = &*criterion.loss;
        let (predictions, targets) =
            (inputs.required(loss, "predictions")?, inputs.required(loss, "targets")?);
        let has_labels = targets.is_labels() && loss.targets() != Domain::ClassList;
        let sizes = Sizes::of(loss, predictions.shape(), targets.shape(), has_labels)?;
        let spread = |name: &str, tensor: Option<&Tensor>| {
            let per = |tensor: &Tensor| match sizes.is_per_row(loss, name, tensor.shape())? {
                true => Ok((gpu_buffer(tensor)?, Per::Row)),
                false => Ok((gpu_buffer(tensor)?, Per::Element)),
            };
            tensor.map(per).transpose()
        };
        let (weight, mask) = (spread("weight", inputs.weight)?, spread("mask", inputs.mask)?);
        let per_column = |name: &str| {
            let Some(tensor) = inputs.get(name) else { return Ok(None) };
            if tensor.len() != sizes.columns || tensor.shape().len() > 1 {
                let allowed = format!(
                    "it must be [{}], one for each column of the predictions",
                    sizes.columns
                );
                return Err(shape_error(
                    loss.name(),
                    format!("{name} is {:?}", tensor.shape()),
                    &allowed,
                ));
            }
            gpu_buffer(tensor).map(Some)
        };
        let own = of_columns(loss.inputs()).unwrap_or("class_weight");
        let (mut column_weight, mut pos_weight) = (per_column(own)?, per_column("pos_weight")?);
        if loss.is_pointwise() {
            column_weight = pos_weight.take();
        }
        let class_mask = match inputs.class_mask {
            None => None,
            Some(mask) => {
                let per_column = sizes.is_per_column(loss, predictions.shape(), mask.shape())?;
                Some((gpu_buffer(mask)?, if per_column { Per::Column } else { Per::Element }))
            }
        };
        let item_weight = match inputs.get("item_weight") {
            None => None,
            Some(tensor) if tensor.shape() != predictions.shape() => {
                let allowed = format!("it must be {:?}, one for each item", predictions.shape());
                let found = format!("item_weight is {:?}", tensor.shape());
                return Err(shape_error(loss.name(), found, &allowed));
            }
            Some(_) if criterion.reduction == Reduction::WeightedMean => {
                let allowed = "another one: item weights of tensors are not summed";
                return Err(Error::option(loss.name(), "reduction", "weighted_mean", allowed));
            }
            Some(tensor) => Some(gpu_buffer(tensor)?),
        };
        let upstream = inputs.upstreams(loss, criterion.each(), &sizes.value_shape)?;
        let in_place = inputs.in_place;
        Ok(Call {
            criterion,
            gpu,
            sizes,
            predictions,
            targets,
            weight,
            mask,
            column_weight,
            pos_weight,
            class_mask,
            item_weight,
            upstream,
            in_place,
        })
    }

    /// The column weights in the layout of the kernels: class weights, followed by the positive
    /// class weights if present.
    fn packed_column_weight(&self, commands: &mut Vec<Command>) -> Result<Option<wgpu::Buffer>> {
        let Some(positive) = &self.pos_weight else { return Ok(self.column_weight.clone()) };
        let columns = self.sizes.columns;
        let packed = self.gpu.upload("weights of the columns", &vec![1.0_f32; 2 * columns])?;
        let size = 4 * columns as u64;
        for (from, to_offset) in [(self.column_weight.as_ref(), 0), (Some(positive), size)] {
            let Some(from) = from.cloned() else { continue };
            commands.push(Command::Copy {
                from,
                from_offset: 0,
                to: packed.clone(),
                to_offset,
                size,
            });
        }
        Ok(Some(packed))
    }

    fn is_pointwise(&self) -> bool {
        self.criterion.loss.is_pointwise()
    }

    /// Number of memory words for one number per prediction.
    fn words(&self) -> usize {
        let elements = self.predictions.len();
        if self.predictions.is_half() { elements.div_ceil(2) } else { elements }
    }

    fn has_labels(&self) -> bool {
        self.targets.is_labels() && !self.has_lists()
    }

    /// True if the targets are class lists.
    fn has_lists(&self) -> bool {
        self.criterion.loss.targets() == Domain::ClassList
    }

    /// True if the targets hold padding.
    fn pads(&self) -> bool {
        self.criterion.loss.targets().pads()
    }

    /// Number of values before the reduction.
    fn units(&self) -> usize {
        self.sizes.value_shape.iter().product()
    }

    /// True if the set of included values or their weights is known only on the device.
    fn keeps_depend(&self) -> bool {
        self.mask.is_some()
            || self.pads()
            || self.has_labels() && !self.criterion.loss.ignored().is_empty()
    }

    /// True if a mean divides by the class weights.
    fn has_class_weights(&self) -> bool {
        let is_mean = self.criterion.reduction == Reduction::Mean;
        let by_class = self.criterion.loss.spec().mean == Mean::OverClassWeights;
        is_mean && by_class && self.has_labels() && self.column_weight.is_some()
    }

    /// True if the divisor is computed on the device.
    fn divides_on_device(&self) -> bool {
        match self.criterion.reduction {
            Reduction::Mean => self.keeps_depend() || self.has_class_weights(),
            Reduction::WeightedMean => self.keeps_depend() || self.weight.is_some(),
            _ => false,
        }
    }

    /// True if weights or masks are per element; false if all are per row.
    fn is_per_element(&self) -> bool {
        [&self.weight, &self.mask].into_iter().flatten().any(|(_, per)| *per == Per::Element)
    }

    fn checked(&self) -> Check {
        let classes = self.criterion.loss.classes(self.sizes.columns);
        match (self.has_labels(), self.has_lists()) {
            (true, _) => Check::Labels { classes },
            (_, true) => Check::Lists { lists: self.targets.clone(), classes },
            _ => Check::Nothing,
        }
    }

    /// The included values in the layout of the counting kernels.
    fn values<'v>(
        &'v self,
        targets: &'v wgpu::Buffer,
        units_of_lists: Option<&'v wgpu::Buffer>,
    ) -> Values<'v> {
        let (loss, reduction) = (&*self.criterion.loss, self.criterion.reduction);
        let length = if self.is_per_element() { self.predictions.len() } else { self.sizes.rows };
        let spread = |input: &'v Option<(wgpu::Buffer, Per)>| {
            let width = |per: &Per| {
                if self.is_per_element() && *per == Per::Row { self.sizes.row_length } else { 1 }
            };
            input.as_ref().map(|(buffer, per)| (buffer, width(per)))
        };
        let classes = loss.classes(self.sizes.columns);
        let whole_rows = self.is_pointwise() && !self.is_per_element();
        let of_elements = whole_rows
            || !self.is_pointwise()
                && reduction == Reduction::Mean
                && loss.spec().mean == Mean::OverElements;
        let scale = |wide: bool| if wide { self.sizes.row_length } else { 1 };
        Values {
            weight: spread(&self.weight),
            mask: spread(&self.mask),
            labels: match (self.has_labels(), self.has_lists()) {
                (true, _) => Labels::Classes { labels: targets, classes, ignored: loss.ignored() },
                (_, true) => {
                    Labels::Lists { lists: targets, classes, floats: !self.targets.is_labels() }
                }
                _ => Labels::None,
            },
            term: match (units_of_lists, &self.column_weight) {
                (Some(units), _) => DivisorTerm::Several(units),
                (None, Some(weights)) if self.has_class_weights() => DivisorTerm::OfClass(weights),
                _ => DivisorTerm::One,
            },
            by_weight: reduction == Reduction::WeightedMean && self.weight.is_some(),
            scales: [scale(whole_rows), scale(of_elements)],
            ..Values::plain(length)
        }
    }

    /// Parameters of the kernels. `on_device`: the divisor of a mean is counted on the device;
    /// `packs`: it is folded into the weights.
    fn job(&self, on_device: bool, packs: bool, auxiliary: bool) -> Result<Job> {
        let (criterion, sizes) = (self.criterion, &self.sizes);
        let by_element = self.is_pointwise() || criterion.loss.spec().mean == Mean::OverElements;
        let means = [if by_element { self.predictions.len() } else { sizes.rows }, self.units()];
        Ok(Job {
            rows: sizes.rows,
            row_length: sizes.row_length,
            columns: sizes.columns,
            labels: self.has_labels(),
            each: criterion.each(),
            factor: if on_device { 1.0 } else { criterion.known_factor(sizes.rows, means)? },
            upstream: self.upstream.0,
            divisor: if on_device && !packs { Divisor::Ready } else { Divisor::Known },
            auxiliary,
            written: Written::Gradient,
            half: self.predictions.is_half(),
        })
    }

    /// The preparation before the loss's own kernels: counts, checks and packs the included values.
    fn prepare(&self, auxiliary: bool, commands: &mut Vec<Command>) -> Result<(Job, Buffers)> {
        let (gpu, criterion) = (self.gpu, self.criterion);
        let loss = &*criterion.loss;
        let on_device = self.divides_on_device();
        let packs =
            self.mask.is_some() || on_device && (self.weight.is_some() || self.is_pointwise());
        let job = self.job(on_device, packs, auxiliary)?;
        let (predictions, mut targets) = (gpu_buffer(self.predictions)?, gpu_buffer(self.targets)?);
        let given = targets.clone();
        if self.has_lists() && self.targets.is_labels() {
            let (made, floats) =
                crate::templates::on_device::floats_of(gpu, &targets, self.targets.len())?;
            commands.extend(made);
            targets = floats;
        }
        let mut buffers = Buffers {
            gradient: if self.in_place {
                predictions.clone()
            } else {
                gpu.buffer("a gradient", self.words())?
            },
            predictions,
            targets,
            weights: self.weight.clone(),
            column_weights: self.packed_column_weight(commands)?,
            pos_weights: self.pos_weight.is_some(),
            class_mask: self.class_mask.clone(),
            item_weights: self.item_weight.clone(),
            upstreams: criterion.upstreams(gpu, self.upstream.1, self.units(), commands)?,
            values: gpu.buffer("partial sums", kernel::values_length(gpu, loss, &job)?)?,
            result: gpu.buffer("a loss", NOTES)?,
            unread: gpu.unread_binding()?,
        };
        let units = match self.pads() {
            true => {
                let (made, units) = units_of_lists(gpu, loss, &job, &buffers)?;
                commands.extend(made);
                Some(units)
            }
            false => None,
        };
        let values = self.values(&given, units.as_ref());
        if self.keeps_depend() || on_device || self.has_labels() || self.has_lists() {
            commands.extend(normalizer::count(gpu, &values, &buffers.result)?);
        }
        if packs {
            let (made, packed) =
                normalizer::pack(gpu, &values, on_device.then_some(&buffers.result))?;
            commands.extend(made);
            buffers.weights =
                Some((packed, if self.is_per_element() { Per::Element } else { Per::Row }));
        }
        Ok((job, buffers))
    }
}

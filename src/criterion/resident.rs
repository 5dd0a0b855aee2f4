//! Calls of a criterion with tensors that live on its device already: nothing is waited for until the value is read.

use std::sync::Arc;

use super::call::check_divisor;
use super::{Criterion, OnEmpty, Reduction};
use crate::device::{Device, Gpu};
use crate::inputs::{self, Inputs, Sizes};
use crate::kernel::Command;
use crate::kernels::loss::{self as kernel, Buffers, Divisor, Job};
use crate::losses::{Family, Loss};
use crate::tensor::{Storage, Tensor, shaped};
use crate::{Error, Result};

/// Value and gradient of a loss on its device: nothing has been waited for.
#[derive(Clone, Debug)]
pub struct DeviceEvaluation {
    loss: Arc<dyn Loss>,
    classes: usize,
    labels: Option<Tensor>,
    result: Option<wgpu::Buffer>,
    /// The divisor was summed on the device: 0 is nothing, which gives this.
    empty: Option<f64>,
    value: Option<f64>,
    /// The gradient with respect to the predictions, of their shape.
    pub gradient: Tensor,
}

/// What is asked of a call on tensors besides value and gradient.
#[derive(Clone, Copy, Debug)]
struct Wish {
    upstream: f32,
    /// The gradient goes over the predictions.
    in_place: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Wish { upstream: 1.0, in_place: false }
    }
}

impl Criterion {
    /// Value and gradient of tensors that live on the device already. Never waits; a wrong label is reported when the
    /// value is read.
    ///
    /// # Errors
    /// Shapes that do not fit; tensors of another device; [`Reduction::None`], which has no upstream here;
    /// [`Error::OutOfMemory`].
    pub fn backward(&self, predictions: &Tensor, targets: &Tensor) -> Result<DeviceEvaluation> {
        self.backward_into(predictions, targets, &Wish::default())
    }

    /// As [`Criterion::backward`] with the gradient times an upstream, dL/d(value): the same pass, no second one to scale
    /// it.
    ///
    /// # Errors
    /// As [`Criterion::backward`].
    pub fn backward_with_upstream(
        &self,
        predictions: &Tensor,
        targets: &Tensor,
        upstream: f32,
    ) -> Result<DeviceEvaluation> {
        self.backward_into(predictions, targets, &Wish { upstream, in_place: false })
    }

    /// As [`Criterion::backward`] with the gradient written over the predictions: a third less memory moved for a
    /// pointwise loss, and no buffer for the gradient. The same numbers, bit for bit. On a GPU clones of the predictions share
    /// their memory and hold the gradient afterwards; on the host the gradient is a new tensor.
    ///
    /// ```
    /// use gradus::{Device, Tensor, losses::{Huber, Loss}};
    /// use ndarray::array;
    ///
    /// let device = Device::cpu();
    /// let predictions = Tensor::from_array(&device, array![0.5_f32, 3.0].view().into_dyn())?;
    /// let targets = Tensor::from_array(&device, array![0.0_f32, 0.0].view().into_dyn())?;
    /// let step = Huber::new().on(&device)?.backward_in_place(predictions, &targets)?;
    /// assert_eq!(step.gradient.to_array()?.as_slice().unwrap(), [0.25, 0.5]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Criterion::backward`].
    pub fn backward_in_place(&self, predictions: Tensor, targets: &Tensor) -> Result<DeviceEvaluation> {
        self.backward_into(&predictions, targets, &Wish { in_place: true, ..Wish::default() })
    }

    fn backward_into(&self, predictions: &Tensor, targets: &Tensor, wish: &Wish) -> Result<DeviceEvaluation> {
        let sizes = self.check_tensors(predictions, targets)?;
        match &self.device {
            Device::Gpu(gpu) => {
                let (commands, evaluation) = self.backward_on_gpu(gpu, [predictions, targets], &sizes, wish)?;
                gpu.submit(&commands)?;
                Ok(evaluation)
            }
            _ => self.backward_on_host(predictions, targets, wish.upstream),
        }
    }

    /// The work of [`Criterion::backward`] and the GPU that can run it as often as wanted into the same gradient.
    pub(crate) fn resolve(
        &self,
        predictions: &Tensor,
        targets: &Tensor,
    ) -> Result<(&Gpu, Vec<Command>, DeviceEvaluation)> {
        let sizes = self.check_tensors(predictions, targets)?;
        let Device::Gpu(gpu) = &self.device else {
            return Err(Error::Input {
                operation: self.loss.name().into(),
                name: "the criterion".into(),
                found: format!("is on the host ({})", self.device.name()),
                allowed: "a plan needs a GPU; on the host use `evaluate`".into(),
            });
        };
        let (commands, evaluation) = self.backward_on_gpu(gpu, [predictions, targets], &sizes, &Wish::default())?;
        Ok((gpu, commands, evaluation))
    }

    /// Whether tensors live on this device and fit the loss and each other.
    fn check_tensors(&self, predictions: &Tensor, targets: &Tensor) -> Result<Sizes> {
        let name = self.loss.name();
        if let Family::Joint(..) = self.loss.family() {
            let allowed = format!("it takes {}: use `evaluate`", inputs::known(&*self.loss).join(", "));
            return Err(inputs::input_error(&*self.loss, "predictions and targets", "were given", allowed));
        }
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
        Sizes::of(&*self.loss, predictions.shape(), targets.shape(), targets.is_labels())
    }

    fn backward_on_host(&self, predictions: &Tensor, targets: &Tensor, upstream: f32) -> Result<DeviceEvaluation> {
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
        let upstream = ndarray::arr0(upstream);
        let evaluation = self.evaluate(&inputs.upstream(&upstream))?;
        Ok(DeviceEvaluation {
            loss: self.loss.clone(),
            classes: 0,
            labels: None,
            result: None,
            empty: None,
            value: Some(evaluation.value()),
            gradient: Tensor::from_array(&self.device, evaluation.gradient.view())?,
        })
    }

    fn backward_on_gpu(
        &self,
        gpu: &Gpu,
        [predictions, targets]: [&Tensor; 2],
        sizes: &Sizes,
        wish: &Wish,
    ) -> Result<(Vec<Command>, DeviceEvaluation)> {
        let labels = targets.is_labels();
        let counted = labels || self.loss.targets().pads();
        let by_labels = counted && matches!(self.reduction, Reduction::Mean | Reduction::WeightedMean);
        let (commands, buffers) = self.plan_as_wished(gpu, [predictions, targets], sizes, wish)?;
        let evaluation = DeviceEvaluation {
            loss: self.loss.clone(),
            classes: sizes.columns,
            labels: labels.then(|| targets.clone()),
            result: Some(buffers.result),
            empty: by_labels.then_some(if self.on_empty == OnEmpty::Nan { f64::NAN } else { 0.0 }),
            value: None,
            gradient: Tensor::new(&self.device, predictions.shape(), Storage::Gpu(buffers.gradient)),
        };
        Ok((commands, evaluation))
    }

    /// The commands of [`Criterion::backward`], which may be submitted more than once, and the buffers they work on.
    pub(crate) fn plan_on_gpu(
        &self,
        gpu: &Gpu,
        predictions: &Tensor,
        targets: &Tensor,
        sizes: &Sizes,
    ) -> Result<(Vec<Command>, Buffers)> {
        self.plan_as_wished(gpu, [predictions, targets], sizes, &Wish::default())
    }

    fn plan_as_wished(
        &self,
        gpu: &Gpu,
        [predictions, targets]: [&Tensor; 2],
        sizes: &Sizes,
        wish: &Wish,
    ) -> Result<(Vec<Command>, Buffers)> {
        let (p, t) = (gpu_buffer(predictions)?, gpu_buffer(targets)?);
        let labels = targets.is_labels();
        // Which labels are ignored, and which items are padding, is known on the device alone, so the device counts.
        let divisor = match self.reduction {
            Reduction::Mean | Reduction::WeightedMean if labels => Divisor::OfLabels,
            Reduction::Mean | Reduction::WeightedMean if self.loss.targets().pads() => Divisor::OfLists,
            _ => Divisor::Known,
        };
        let elements = sizes.rows * sizes.row_length;
        let values = if self.mean_is_over_elements() { elements } else { sizes.rows };
        // Without weights each value weighs 1: the divisor is the number of values that `none` would give.
        let units = if matches!(self.loss.family(), Family::Pointwise(_)) { elements } else { sizes.rows };
        let factor = match (divisor, self.reduction) {
            (Divisor::Known, Reduction::Mean) => 1.0 / values as f64,
            (Divisor::Known, Reduction::WeightedMean) => 1.0 / units as f64,
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
            upstream: wish.upstream,
            divisor,
            auxiliary: false,
            second: false,
        };
        let buffers = Buffers {
            gradient: if wish.in_place { p.clone() } else { gpu.buffer("a gradient", elements)? },
            predictions: p,
            targets: t,
            weights: None,
            column_weights: None,
            pos_weights: false,
            class_mask: None,
            upstreams: None,
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
        let words: Vec<u32> = pollster::block_on(gpu.download(buffer, 0, 3))?;
        if let (true, Some(labels)) = (f32::from_bits(words[0]).is_nan(), &self.labels) {
            self.check_labels(gpu, labels)?;
        }
        let nothing = self.empty.filter(|_| f32::from_bits(words[2]) == 0.0);
        Ok(nothing.unwrap_or(f64::from(f32::from_bits(words[0]))))
    }

    /// A label that is no class makes the value NaN; which one it was, if one it was, is looked up here.
    fn check_labels(&self, gpu: &Gpu, labels: &Tensor) -> Result<()> {
        let Storage::GpuLabels(buffer) = &labels.storage else { return Ok(()) };
        let labels: Vec<i32> = pollster::block_on(gpu.download(buffer, 0, labels.shape().iter().product()))?;
        let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
        inputs::check_labels(&*self.loss, &labels, self.classes, |_| true)
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

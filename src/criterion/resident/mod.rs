//! Calls of a criterion with tensors on its device: nothing waits until a result is read.

pub(super) mod evaluation;
mod host;
mod multi_input;
mod plain;

use crate::criterion::call::check_divisor;
use crate::criterion::criterion::Criterion;
use crate::criterion::reduction::Reduction;
use crate::criterion::resident::evaluation::DeviceEvaluation;
use crate::criterion::tensor_inputs::TensorInputs;
use crate::runtime::device::{Device, Gpu};
use crate::runtime::kernel::Command;
use crate::runtime::tensor::{Storage, Tensor};
use crate::templates::argument::Domain;
use crate::templates::definition::Template;
use crate::templates::job::Buffers;
use crate::templates::normalizer::Values;
use crate::templates::{normalizer, on_device as kernel};
use crate::{Error, Result};

impl Criterion {
    /// Value and gradient of tensors on the device. Never waits; an invalid label is reported when
    /// the value is read. [`Criterion::evaluate_tensors`] accepts weights, masks and losses with
    /// several inputs.
    ///
    /// Tensors of f16 ([`Tensor::from_half`], predictions and dense targets both) move half the
    /// memory. All arithmetic, including the value, is in f32. The gradient is rounded once to f16,
    /// to nearest even. Magnitudes below 3e-8 become 0 and magnitudes of 65,520 or more become
    /// infinite: with many elements use [`Reduction::Sum`] or an upstream gradient
    /// ([`Criterion::backward_with_upstream`]) instead of a mean. Pointwise and row-wise losses
    /// accept f16 of any shape; all others return an error. On the CPU the numbers are first
    /// converted to f32.
    ///
    /// # Errors
    /// As [`Criterion::evaluate_tensors`].
    pub fn backward(&self, predictions: &Tensor, targets: &Tensor) -> Result<DeviceEvaluation> {
        self.evaluate_tensors(&TensorInputs::new(predictions, targets))
    }

    /// As [`Criterion::backward`], with the gradient multiplied by an upstream gradient,
    /// dL/d(value). The scaling happens in the same pass.
    ///
    /// # Errors
    /// As [`Criterion::evaluate_tensors`].
    pub fn backward_with_upstream(
        &self,
        predictions: &Tensor,
        targets: &Tensor,
        upstream: f32,
    ) -> Result<DeviceEvaluation> {
        self.evaluate_tensors(&TensorInputs::new(predictions, targets).upstream(upstream))
    }

    /// As [`Criterion::backward`], with the gradient written over the predictions. This moves a
    /// third less memory for a pointwise loss and allocates no gradient buffer. The numbers are
    /// bit-identical. On a GPU, clones of the predictions share their memory and hold the gradient
    /// afterwards; on the CPU the gradient is a new tensor.
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
    /// As [`Criterion::evaluate_tensors`]; a loss with several inputs.
    pub fn backward_in_place(
        &self,
        predictions: Tensor,
        targets: &Tensor,
    ) -> Result<DeviceEvaluation> {
        self.evaluate_tensors(&TensorInputs::new(&predictions, targets).in_place())
    }

    /// Value and gradients of tensors on the device: the counterpart of [`Criterion::evaluate`] for
    /// arrays. Never waits for a GPU: the divisor of a mean is counted on the device, and an
    /// invalid label is reported when a result is read ([`DeviceEvaluation::value`]).
    ///
    /// On a GPU the numbers are bit-identical to those of the array call, except where a mean
    /// divides by a sum of weights, which is computed in f32. Labels, class lists and lengths are
    /// checked on the device. The domain of float targets is not checked, because that would take a
    /// separate pass.
    ///
    /// ```
    /// use gradus::{Device, Tensor, TensorInputs, losses::{Loss, MarginRanking}};
    /// use ndarray::array;
    ///
    /// let device = Device::cpu();
    /// let tensor = |numbers: [f32; 2]| Tensor::from_array(&device, array![numbers[0], numbers[1]].view().into_dyn());
    /// let (first, second, targets, weight) =
    ///     (tensor([1.0, 2.0])?, tensor([3.0, 0.0])?, tensor([1.0, 1.0])?, tensor([3.0, 1.0])?);
    /// let inputs = TensorInputs::named("first", &first).input("second", &second).input("targets", &targets);
    /// let step = MarginRanking::new().on(&device)?.evaluate_tensors(&inputs.weight(&weight))?;
    /// assert_eq!(step.value()?, 3.0); // ½(3 · 2 + 1 · 0)
    /// assert_eq!(step.gradient_of("second").unwrap().to_array()?.as_slice().unwrap(), [1.5, 0.0]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// Unknown or missing inputs, inputs of the wrong kind, mismatched shapes, tensors of another
    /// device; [`Error::OutOfMemory`].
    pub fn evaluate_tensors(&self, inputs: &TensorInputs) -> Result<DeviceEvaluation> {
        self.check_for_tensors()?;
        let Device::Gpu(gpu) = &self.device else {
            return self.tensors_on_host(inputs);
        };
        let (commands, evaluation) = self.tensors_on_gpu(gpu, inputs)?;
        gpu.submit(&commands)?;
        Ok(evaluation)
    }

    /// The work of [`Criterion::evaluate_tensors`] and the GPU to run it on, repeatable into the
    /// same gradients.
    pub(crate) fn resolve(
        &self,
        inputs: &TensorInputs,
    ) -> Result<(&Gpu, Vec<Command>, DeviceEvaluation)> {
        let Device::Gpu(gpu) = &self.device else {
            return Err(Error::Input {
                operation: self.loss.name().into(),
                name: "the criterion".into(),
                found: format!("is on the host ({})", self.device.name()),
                allowed: "a plan needs a GPU; on the host use `evaluate`".into(),
            });
        };
        let (commands, evaluation) = self.tensors_on_gpu(gpu, inputs)?;
        Ok((gpu, commands, evaluation))
    }

    fn tensors_on_gpu(
        &self,
        gpu: &Gpu,
        inputs: &TensorInputs,
    ) -> Result<(Vec<Command>, DeviceEvaluation)> {
        inputs.check(&*self.loss, &self.device, &self.whole())?;
        if let Template::Several(kernel, cpu) = self.loss.template() {
            return self.several_on_gpu(gpu, kernel, &*cpu, inputs);
        }
        let (commands, _, evaluation) = self.plain_on_gpu(gpu, inputs)?;
        Ok((commands, evaluation))
    }

    /// The commands of [`Criterion::backward`], which may be submitted repeatedly, and their
    /// buffers.
    pub(crate) fn plan_on_gpu(
        &self,
        gpu: &Gpu,
        predictions: &Tensor,
        targets: &Tensor,
    ) -> Result<(Vec<Command>, Buffers)> {
        let (commands, buffers, _) =
            self.plain_on_gpu(gpu, &TensorInputs::new(predictions, targets))?;
        Ok((commands, buffers))
    }

    /// The inputs that may hold integers.
    fn whole(&self) -> Vec<&'static str> {
        match self.loss.arguments() {
            [] if self.loss.targets().takes_labels()
                || self.loss.targets() == Domain::ClassList =>
            {
                vec!["targets"]
            }
            arguments => {
                arguments.iter().filter(|a| a.role.is_integers()).map(|a| a.name).collect()
            }
        }
    }

    fn each(&self) -> bool {
        self.reduction == Reduction::None
    }

    /// 1 over the reduction's divisor, if it is known: `means` are the divisors of `mean` and
    /// `weighted_mean`.
    fn known_factor(&self, rows: usize, means: [usize; 2]) -> Result<f32> {
        let divisor = match self.reduction {
            Reduction::None | Reduction::Sum => 1.0,
            Reduction::Mean => means[0] as f64,
            Reduction::WeightedMean => means[1] as f64,
            Reduction::BatchMean => rows as f64,
            Reduction::Divisor(divisor) => check_divisor(&*self.loss, divisor)?,
        };
        Ok((1.0 / divisor) as f32)
    }

    /// dL/d(value) per value: the given tensor, or ones.
    fn upstreams(
        &self,
        gpu: &Gpu,
        given: Option<&Tensor>,
        length: usize,
        commands: &mut Vec<Command>,
    ) -> Result<Option<wgpu::Buffer>> {
        match given {
            _ if !self.each() => Ok(None),
            Some(tensor) => gpu_buffer(tensor).map(Some),
            None => {
                let (made, ones) = normalizer::pack(gpu, &Values::plain(length), None)?;
                commands.extend(made);
                Ok(Some(ones))
            }
        }
    }

    /// Multiplies the gradients by the upstream gradient of a reduced value, held on the device.
    fn scale(
        &self,
        gpu: &Gpu,
        upstream: Option<&Tensor>,
        gradients: &[&Tensor],
        commands: &mut Vec<Command>,
    ) -> Result<()> {
        let Some(upstream) = upstream.filter(|_| !self.each()) else { return Ok(()) };
        let upstream = gpu_buffer(upstream)?;
        for gradient in gradients {
            commands.extend(kernel::multiply_by_upstream(
                gpu,
                &gpu_buffer(gradient)?,
                gradient.len(),
                &upstream,
            )?);
        }
        Ok(())
    }
}

fn gpu_buffer(tensor: &Tensor) -> Result<wgpu::Buffer> {
    match &tensor.storage {
        Storage::Gpu(buffer) | Storage::GpuLabels(buffer) | Storage::GpuHalf(buffer) => {
            Ok(buffer.clone())
        }
        _ => Err(Error::Input {
            operation: "backward".into(),
            name: "a tensor".into(),
            found: "lives on the host".into(),
            allowed: "make it with Tensor::from_array on the criterion's device".into(),
        }),
    }
}

//! Calls of a criterion with tensors that live on its device already: nothing is waited for until a number is read.

mod host;
mod multi_input;
mod plain;

use std::sync::Arc;

use crate::criterion::call::check_divisor;
use crate::criterion::inputs::input_error;
use crate::criterion::tensor_inputs::TensorInputs;
use crate::criterion::{Auxiliaries, Criterion, Reduction, inputs};
use crate::losses::{Domain, Family, Loss};
use crate::runtime::device::{Device, Gpu};
use crate::runtime::kernel::Command;
use crate::runtime::tensor::{Storage, Tensor};
use crate::templates::multi_input::cpu::{Array, MultiInput};
use crate::templates::normalizer::{NOTES, Values};
use crate::templates::{Buffers, RESULT_KINDS, normalizer, on_device as kernel};
use crate::{Error, Result};

/// Value and gradients of a loss on its device: nothing has been waited for. A label that is no class makes value and gradient
/// of its row NaN, and is the error of whatever is read through a method here.
#[derive(Clone, Debug)]
pub struct DeviceEvaluation {
    loss: Arc<dyn Loss>,
    outcome: Outcome,
    /// The gradient with respect to the predictions, of their shape; with respect to the first of several inputs.
    pub gradient: Tensor,
    /// The gradients with respect to the other inputs of a loss of several, by name.
    pub others: Vec<(&'static str, Tensor)>,
    /// With [`Reduction::None`] the value of each element or row.
    pub values: Option<Tensor>,
    /// What was asked for with [`TensorInputs::hessian`].
    pub hessian: Option<Tensor>,
}

/// What is read besides tensors.
#[derive(Clone, Debug)]
enum Outcome {
    OnCpu { value: f64, count: usize, auxiliaries: Option<Auxiliaries> },
    OnGpu(Notes),
}

/// Where a GPU leaves what is read besides tensors.
#[derive(Clone, Debug)]
struct Notes {
    gpu: Gpu,
    /// As `kernels::loss::shares` says: the value, the first wrong label, the divisor, the count.
    buffer: wgpu::Buffer,
    /// How many values take part, where it does not depend on what the device holds.
    count: Option<usize>,
    /// Nothing to average is NaN.
    nan_if_empty: bool,
    check: Check,
    /// The auxiliary outputs of so many rows.
    planes: Option<(wgpu::Buffer, usize)>,
}

/// What the device has checked, and how the host says what is wrong.
#[derive(Clone, Debug)]
enum Check {
    Nothing,
    /// One label for each row, of so many classes.
    Labels {
        classes: usize,
    },
    /// Lists of classes, looked at again by the host.
    Lists {
        lists: Tensor,
        classes: usize,
    },
    /// The inputs of sequences by name, looked at again by the host.
    Sequences {
        inputs: Vec<(&'static str, Tensor)>,
        mask: Option<Tensor>,
    },
}

impl Criterion {
    /// Value and gradient of tensors that live on the device already. Never waits; a wrong label is reported when the
    /// value is read. [`Criterion::evaluate_tensors`] takes weights, masks and losses of several inputs.
    ///
    /// Tensors of f16 ([`Tensor::from_half`], predictions and dense targets both) move half the memory. Every calculation is in
    /// f32, the value too, and the gradient is rounded once to f16: to the nearest, of two as near to the even one. What is below
    /// 3e-8 becomes 0 and what is 65,520 or more infinite: with many elements take [`Reduction::Sum`] or an upstream
    /// ([`Criterion::backward_with_upstream`]) rather than a mean. Pointwise and row-wise losses take f16, of any shape; the others
    /// refuse. On the host the numbers are widened first.
    ///
    /// # Errors
    /// As [`Criterion::evaluate_tensors`].
    pub fn backward(&self, predictions: &Tensor, targets: &Tensor) -> Result<DeviceEvaluation> {
        self.evaluate_tensors(&TensorInputs::new(predictions, targets))
    }

    /// As [`Criterion::backward`] with the gradient times an upstream, dL/d(value): the same pass, no second one to scale
    /// it.
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
    /// As [`Criterion::evaluate_tensors`]; a loss of several inputs.
    pub fn backward_in_place(
        &self,
        predictions: Tensor,
        targets: &Tensor,
    ) -> Result<DeviceEvaluation> {
        self.evaluate_tensors(&TensorInputs::new(&predictions, targets).in_place())
    }

    /// Value and gradients of tensors that live on the device: everything that [`Criterion::evaluate`] does with arrays. Never
    /// waits for a GPU: what a mean divides by is counted there, and a wrong label is reported when a number is read
    /// ([`DeviceEvaluation::value`]).
    ///
    /// On a GPU the numbers are those of the arrays' call, bit for bit, but where a mean divides by a sum of weights, which is
    /// taken in f32. Labels, lists of classes and lengths are checked there; that targets of floats lie in the domain of the
    /// loss is not: it would be a pass of its own.
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
    /// Inputs that the loss does not know, that are missing or of the wrong kind; shapes that do not fit; tensors of another
    /// device; [`Error::OutOfMemory`].
    pub fn evaluate_tensors(&self, inputs: &TensorInputs) -> Result<DeviceEvaluation> {
        let Device::Gpu(gpu) = &self.device else {
            return self.tensors_on_host(inputs);
        };
        let (commands, evaluation) = self.tensors_on_gpu(gpu, inputs)?;
        gpu.submit(&commands)?;
        Ok(evaluation)
    }

    /// The work of [`Criterion::evaluate_tensors`] and the GPU that can run it as often as wanted into the same gradients.
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
        if let Family::MultiInput(frame, host) = self.loss.family() {
            return self.several_on_gpu(gpu, frame, &*host, inputs);
        }
        let (commands, _, evaluation) = self.plain_on_gpu(gpu, inputs)?;
        Ok((commands, evaluation))
    }

    /// The commands of [`Criterion::backward`], which may be submitted more than once, and the buffers they work on.
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

    /// The inputs that may hold whole numbers.
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

    fn averages(&self) -> bool {
        !matches!(self.reduction, Reduction::None | Reduction::Sum | Reduction::Divisor(_))
    }

    /// 1 over what the reduction divides by, where that is known: `means` are the divisors of `mean` and `weighted_mean`.
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

    /// dL/d(value) for each of so many values: what was given, or ones.
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

    /// A reduced value's upstream that lives on the device, taken into the gradients.
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

impl DeviceEvaluation {
    /// Reads the value, the sum of the values where they are not reduced: a wait.
    ///
    /// # Errors
    /// [`Error::Label`] for a label on the device that is no class; what the device reports.
    pub fn value(&self) -> Result<f64> {
        let notes = match &self.outcome {
            Outcome::OnCpu { value, .. } => return Ok(*value),
            Outcome::OnGpu(notes) => notes,
        };
        let (value, count) = self.read(notes)?;
        match &self.values {
            Some(values) => Ok(values.to_array()?.mapv(f64::from).sum()),
            None if notes.nan_if_empty && count == 0 => Ok(f64::NAN),
            None => Ok(f64::from(value)),
        }
    }

    /// Reads how many elements or rows took part, 0 if all were masked or ignored: a wait, unless it does not depend on what the
    /// device holds. TwoInput of items beyond 2³² count as so many.
    ///
    /// # Errors
    /// As [`DeviceEvaluation::value`].
    pub fn count(&self) -> Result<usize> {
        match &self.outcome {
            Outcome::OnCpu { count, .. } => Ok(*count),
            Outcome::OnGpu(Notes { count: Some(count), check: Check::Nothing, .. }) => Ok(*count),
            Outcome::OnGpu(notes) => Ok(self.read(notes)?.1),
        }
    }

    /// Reads what was asked for with [`TensorInputs::auxiliary`]: a wait.
    ///
    /// # Errors
    /// As [`DeviceEvaluation::value`].
    pub fn auxiliaries(&self) -> Result<Option<Auxiliaries>> {
        let notes = match &self.outcome {
            Outcome::OnCpu { auxiliaries, .. } => return Ok(auxiliaries.clone()),
            Outcome::OnGpu(notes) => notes,
        };
        let Some((buffer, rows)) = &notes.planes else { return Ok(None) };
        self.read(notes)?;
        let planes: Vec<f32> =
            pollster::block_on(notes.gpu.download(buffer, 0, RESULT_KINDS * rows))?;
        Ok(Some(Auxiliaries::of_planes(&planes, *rows)))
    }

    /// The gradient with respect to an input, by its name: the predictions, the first of several inputs or one of
    /// [`DeviceEvaluation::others`]. None for an input that the loss gives no gradient for.
    pub fn gradient_of(&self, name: &str) -> Option<&Tensor> {
        if self.loss.differentiated().first() == Some(&name) {
            return Some(&self.gradient);
        }
        self.others.iter().find(|(other, _)| *other == name).map(|(_, gradient)| gradient)
    }

    /// Value and count, if no label is wrong.
    fn read(&self, notes: &Notes) -> Result<(f32, usize)> {
        let words: Vec<u32> = pollster::block_on(notes.gpu.download(&notes.buffer, 0, NOTES))?;
        if words[1] > 0 {
            return Err(self.refusal(notes, (words[1] - 1) as usize, i64::from(words[4] as i32)));
        }
        Ok((f32::from_bits(words[0]), notes.count.unwrap_or(words[3] as usize)))
    }

    /// What is wrong with a row, as the host says it of arrays.
    fn refusal(&self, notes: &Notes, row: usize, label: i64) -> Error {
        let loss = &*self.loss;
        let again = match &notes.check {
            Check::Nothing => Ok(()),
            Check::Labels { classes } => Err(inputs::label_error(loss, row, label, *classes)),
            Check::Lists { lists, classes } => check_list(loss, lists, *classes, row, label),
            Check::Sequences { inputs, mask } => check_sequences(loss, inputs, mask.as_ref()),
        };
        let found = || {
            input_error(loss, "targets", format!("hold {label} in row {row}"), "it must be a class")
        };
        again.err().unwrap_or_else(found)
    }
}

/// What is wrong with a row's list of classes.
fn check_list(
    loss: &dyn Loss,
    lists: &Tensor,
    classes: usize,
    row: usize,
    label: i64,
) -> Result<()> {
    if !lists.is_labels() {
        inputs::check_dense(loss, lists.to_array()?.as_slice().unwrap_or_default())?;
    }
    if label < -1 {
        let found = format!("hold {label} in row {row}");
        return Err(input_error(
            loss,
            "targets",
            found,
            "they must be class numbers, each row's list ended by -1",
        ));
    }
    Err(inputs::label_error(loss, row, label, classes))
}

/// What is wrong with sequences: the host's own check over the same numbers.
fn check_sequences(
    loss: &dyn Loss,
    inputs: &[(&'static str, Tensor)],
    mask: Option<&Tensor>,
) -> Result<()> {
    let Family::MultiInput(_, host) = loss.family() else { return Ok(()) };
    let mut multi_input = MultiInput::<f32> {
        arrays: Vec::new(),
        integers: Vec::new(),
        units: 0,
        weight: Vec::new().into(),
        mask: Vec::new().into(),
        factor: 1.0,
        upstream: 1.0,
        upstreams: Vec::new().into(),
    };
    for (name, tensor) in inputs {
        let shape = tensor.shape().to_vec();
        if tensor.is_labels() {
            multi_input.integers.push(Array { name, shape, values: tensor.integers()?.into() });
        } else {
            // Its shape alone is looked at.
            multi_input.arrays.push(Array { name, shape, values: Vec::new().into() });
        }
    }
    if let Some(mask) = mask {
        multi_input.mask =
            mask.integers()?.into_iter().map(|keep| keep != 0).collect::<Vec<bool>>().into();
    }
    host.shares(&multi_input).map(|_| ())
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

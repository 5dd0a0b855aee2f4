//! Value and gradients on a device, and the results read back from them.

use std::sync::Arc;

use crate::criterion::domain;
use crate::criterion::evaluation::Auxiliaries;
use crate::criterion::inputs::input_error;
use crate::runtime::device::Gpu;
use crate::runtime::tensor::Tensor;
use crate::templates::definition::LossDefinition;
use crate::templates::job::RESULT_KINDS;
use crate::templates::multi_input::cpu::{Array, MultiInput};
use crate::templates::normalizer::NOTES;
use crate::{Error, Result};

/// Value and gradients of a loss on its device; nothing has been waited for. An invalid label makes
/// the value and gradient of its row NaN. Every method that reads a result reports it as an error.
#[derive(Clone, Debug)]
pub struct DeviceEvaluation {
    pub(super) loss: Arc<dyn LossDefinition>,
    pub(super) outcome: Outcome,
    /// The gradient with respect to the predictions, with their shape; for a loss with several
    /// inputs, with respect to the first.
    pub gradient: Tensor,
    /// The gradients with respect to the other inputs of a loss with several inputs, by name.
    pub others: Vec<(&'static str, Tensor)>,
    /// The value of each element or row, with [`Reduction::None`](crate::Reduction::None).
    pub values: Option<Tensor>,
    /// The hessian diagonal, if requested with [`TensorInputs::hessian`](crate::TensorInputs::hessian).
    pub hessian: Option<Tensor>,
}

/// The results other than tensors.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    OnCpu { value: f64, count: usize, auxiliaries: Option<Auxiliaries> },
    OnGpu(Notes),
}

/// The GPU buffers of the results other than tensors.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    pub(super) gpu: Gpu,
    /// The [`NOTES`] words of `templates::normalizer`: value, 1 + position of the first invalid
    /// label, divisor, count, that label.
    pub(super) buffer: wgpu::Buffer,
    /// Number of included values, if it does not depend on data on the device.
    pub(super) count: Option<usize>,
    /// An empty reduction is NaN.
    pub(super) nan_if_empty: bool,
    pub(super) check: Check,
    /// The auxiliary outputs and their number of rows.
    pub(super) planes: Option<(wgpu::Buffer, usize)>,
}

/// The checks run on the device, with the data needed to report a failure.
#[derive(Clone, Debug)]
pub(super) enum Check {
    Nothing,
    /// One label per row, with the number of classes.
    Labels {
        classes: usize,
    },
    /// Class lists, checked again on the CPU to build the error.
    Lists {
        lists: Tensor,
        classes: usize,
    },
    /// The inputs of sequences by name, checked again on the CPU to build the error.
    Sequences {
        inputs: Vec<(&'static str, Tensor)>,
        mask: Option<Tensor>,
    },
}

impl DeviceEvaluation {
    /// Reads the reduced value, or the sum of unreduced values. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Label`] for an invalid label on the device; device errors.
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

    /// Reads the number of included elements or rows, 0 if all were masked or ignored. Waits,
    /// unless the number does not depend on data on the device. The number of pairs of items
    /// saturates at 2³² − 1.
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

    /// Reads the auxiliary outputs requested with [`TensorInputs::auxiliary`](crate::TensorInputs::auxiliary). Waits for the
    /// device.
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

    /// The gradient with respect to a named input: the predictions, the first of several inputs or
    /// one of [`DeviceEvaluation::others`]. `None` for an input without a gradient.
    pub fn gradient_of(&self, name: &str) -> Option<&Tensor> {
        if self.loss.differentiated().first() == Some(&name) {
            return Some(&self.gradient);
        }
        self.others.iter().find(|(other, _)| *other == name).map(|(_, gradient)| gradient)
    }

    /// Value and count, or an error for an invalid label.
    pub(super) fn read(&self, notes: &Notes) -> Result<(f32, usize)> {
        let words: Vec<u32> = pollster::block_on(notes.gpu.download(&notes.buffer, 0, NOTES))?;
        if words[1] > 0 {
            return Err(self.refusal(notes, (words[1] - 1) as usize, i64::from(words[4] as i32)));
        }
        Ok((f32::from_bits(words[0]), notes.count.unwrap_or(words[3] as usize)))
    }

    /// The error for a row, with the message of the array call.
    pub(super) fn refusal(&self, notes: &Notes, row: usize, label: i64) -> Error {
        let loss = &*self.loss;
        let again = match &notes.check {
            Check::Nothing => Ok(()),
            Check::Labels { classes } => Err(domain::label_error(loss, row, label, *classes)),
            Check::Lists { lists, classes } => check_list(loss, lists, *classes, row, label),
            Check::Sequences { inputs, mask } => check_sequences(loss, inputs, mask.as_ref()),
        };
        let found = || {
            input_error(loss, "targets", format!("hold {label} in row {row}"), "it must be a class")
        };
        again.err().unwrap_or_else(found)
    }
}

/// The error for a row's class list.
pub(super) fn check_list(
    loss: &dyn LossDefinition,
    lists: &Tensor,
    classes: usize,
    row: usize,
    label: i64,
) -> Result<()> {
    if !lists.is_labels() {
        let numbers: Vec<f32> = lists.to_array()?.into_iter().collect();
        domain::check_dense(loss, &numbers)?;
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
    Err(domain::label_error(loss, row, label, classes))
}

/// The error for sequences, from the CPU implementation's check of the same numbers.
pub(super) fn check_sequences(
    loss: &dyn LossDefinition,
    inputs: &[(&'static str, Tensor)],
    mask: Option<&Tensor>,
) -> Result<()> {
    let (_, cpu) = loss.several()?;
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
            // Only its shape is used.
            multi_input.arrays.push(Array { name, shape, values: Vec::new().into() });
        }
    }
    if let Some(mask) = mask {
        multi_input.mask =
            mask.integers()?.into_iter().map(|keep| keep != 0).collect::<Vec<bool>>().into();
    }
    cpu.divisor_terms(&multi_input).map(|_| ())
}

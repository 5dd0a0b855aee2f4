//! Value and gradients on a device, and what is read of them.

use std::sync::Arc;

use crate::criterion::evaluation::Auxiliaries;
use crate::criterion::inputs;
use crate::criterion::inputs::input_error;
use crate::runtime::device::Gpu;
use crate::runtime::tensor::Tensor;
use crate::templates::definition::{LossDefinition, Template};
use crate::templates::job::RESULT_KINDS;
use crate::templates::multi_input::cpu::{Array, MultiInput};
use crate::templates::normalizer::NOTES;
use crate::{Error, Result};

/// Value and gradients of a loss on its device: nothing has been waited for. A label that is no class makes value and gradient
/// of its row NaN, and is the error of whatever is read through a method here.
#[derive(Clone, Debug)]
pub struct DeviceEvaluation {
    pub(super) loss: Arc<dyn LossDefinition>,
    pub(super) outcome: Outcome,
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
pub(super) enum Outcome {
    OnCpu { value: f64, count: usize, auxiliaries: Option<Auxiliaries> },
    OnGpu(Notes),
}

/// Where a GPU leaves what is read besides tensors.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    pub(super) gpu: Gpu,
    /// As `kernels::loss::shares` says: the value, the first wrong label, the divisor, the count.
    pub(super) buffer: wgpu::Buffer,
    /// How many values take part, where it does not depend on what the device holds.
    pub(super) count: Option<usize>,
    /// Nothing to average is NaN.
    pub(super) nan_if_empty: bool,
    pub(super) check: Check,
    /// The auxiliary outputs of so many rows.
    pub(super) planes: Option<(wgpu::Buffer, usize)>,
}

/// What the device has checked, and how the host says what is wrong.
#[derive(Clone, Debug)]
pub(super) enum Check {
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
    pub(super) fn read(&self, notes: &Notes) -> Result<(f32, usize)> {
        let words: Vec<u32> = pollster::block_on(notes.gpu.download(&notes.buffer, 0, NOTES))?;
        if words[1] > 0 {
            return Err(self.refusal(notes, (words[1] - 1) as usize, i64::from(words[4] as i32)));
        }
        Ok((f32::from_bits(words[0]), notes.count.unwrap_or(words[3] as usize)))
    }

    /// What is wrong with a row, as the host says it of arrays.
    pub(super) fn refusal(&self, notes: &Notes, row: usize, label: i64) -> Error {
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
pub(super) fn check_list(
    loss: &dyn LossDefinition,
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
pub(super) fn check_sequences(
    loss: &dyn LossDefinition,
    inputs: &[(&'static str, Tensor)],
    mask: Option<&Tensor>,
) -> Result<()> {
    let Template::Several(_, host) = loss.template() else { return Ok(()) };
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

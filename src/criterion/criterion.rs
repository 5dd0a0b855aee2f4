//! A loss function bound to a device.

use std::sync::Arc;

use crate::Result;
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::runtime::device::Device;
use crate::templates::definition::LossDefinition;

/// A loss function bound to a device. Created by [`Loss::on`](crate::losses::Loss::on); cheap to clone.
#[derive(Clone, Debug)]
pub struct Criterion {
    pub(super) loss: Arc<dyn LossDefinition>,
    pub(super) device: Device,
    pub(super) reduction: Reduction,
    pub(super) on_empty: OnEmpty,
    pub(super) class_axis: Option<isize>,
    pub(super) from_probabilities: bool,
    /// True if inputs have the shapes of tensors on a device: nothing is repeated or moved.
    pub(super) has_tensor_shapes: bool,
}

impl Criterion {
    pub(crate) fn new(loss: Arc<dyn LossDefinition>, device: &Device) -> Result<Self> {
        loss.check()?;
        Ok(Criterion {
            loss,
            device: device.clone(),
            reduction: Reduction::Mean,
            on_empty: OnEmpty::Zero,
            class_axis: None,
            from_probabilities: false,
            has_tensor_shapes: false,
        })
    }

    /// Binds a boxed loss to a device, as [`Loss::on`](crate::losses::Loss::on).
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for an option outside its domain.
    pub fn from_boxed(loss: Box<dyn LossDefinition>, device: &Device) -> Result<Self> {
        Self::new(Arc::from(loss), device)
    }

    /// Sets the reduction (default [`Reduction::Mean`]).
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// Sets the value of an empty reduction (default 0).
    pub fn on_empty(mut self, on_empty: OnEmpty) -> Self {
        self.on_empty = on_empty;
        self
    }

    /// Sets the axis of the classes, for a loss over classes: 1 as in PyTorch, whose predictions are
    /// [rows, classes, …], or −1 as in Keras and optax. Negative axes count from the end. The other
    /// axes are rows; targets are labels of the shape without this axis, or dense targets with it.
    ///
    /// Without it the classes are on the last axis. Predictions of three axes and more whose targets
    /// fit PyTorch's axis as well are an error that asks for it. Arrays alone
    /// ([`Criterion::evaluate`]); tensors on a device have their classes on the last axis.
    ///
    /// ```
    /// use gradus::{Device, losses::{CrossEntropy, Loss}};
    /// use ndarray::array;
    ///
    /// // One image of two pixels: the logits of two classes, each a plane.
    /// let (logits, labels) = (array![[[0.0, 2.0], [0.0, 0.0]]], array![[1_i64, 0]]);
    /// let criterion = CrossEntropy::new().on(&Device::reference())?;
    /// assert!(criterion.value_and_gradient(&logits, &labels).is_err()); // which axis?
    /// let step = criterion.class_axis(1).value_and_gradient(&logits, &labels)?;
    /// let expected = 0.5 * (2.0_f64.ln() + (-2.0_f64).exp().ln_1p());
    /// assert!((step.value() - expected).abs() < 1e-15);
    /// assert_eq!(step.gradient.shape(), [1, 2, 2]);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn class_axis(mut self, axis: isize) -> Self {
        self.class_axis = Some(axis);
        self
    }

    /// Takes predictions that are probabilities, for a loss of logits over classes or of
    /// log-probabilities: Keras' `from_logits=False`.
    ///
    /// As in Keras each row is divided by its sum (not for log-probabilities) and clipped to 1e-7
    /// from 0 and 1; the gradient is that of the probabilities, 0 where they were clipped. Logits
    /// lose fewer digits. Arrays alone ([`Criterion::evaluate`]).
    ///
    /// ```
    /// use gradus::{Device, losses::{CrossEntropy, Loss}};
    /// use ndarray::array;
    ///
    /// let criterion = CrossEntropy::new().on(&Device::reference())?.from_probabilities(true);
    /// let step = criterion.value_and_gradient(&array![[0.25, 0.75]], &array![1_i64])?;
    /// assert!((step.value() - (4.0_f64 / 3.0).ln()).abs() < 1e-7);
    /// assert!((step.gradient[[0, 0]] - 1.0).abs() < 1e-6); // of a row that is divided by its sum
    /// assert!((step.gradient[[0, 1]] + 1.0 / 3.0).abs() < 1e-6);
    /// # Ok::<(), gradus::Error>(())
    /// ```
    pub fn from_probabilities(mut self, from_probabilities: bool) -> Self {
        self.from_probabilities = from_probabilities;
        self
    }

    /// Takes inputs in the shapes of tensors on a device.
    pub(crate) fn with_tensor_shapes(mut self) -> Self {
        self.has_tensor_shapes = true;
        self
    }

    /// Rejects options that only arrays have.
    pub(super) fn check_for_tensors(&self) -> Result<()> {
        let given = [
            ("class_axis", self.class_axis.filter(|axis| *axis != -1).map(|axis| axis.to_string())),
            ("from_probabilities", self.from_probabilities.then(|| "true".to_string())),
        ];
        match given.into_iter().find_map(|(name, value)| Some((name, value?))) {
            None => Ok(()),
            Some((name, value)) => {
                let allowed =
                    "left out: tensors on a device hold logits with the classes on the last axis";
                Err(crate::Error::option(self.loss.name(), name, value, allowed))
            }
        }
    }

    /// True if the reduction is an average, which has no value where nothing is included.
    pub(super) fn averages(&self) -> bool {
        !matches!(self.reduction, Reduction::None | Reduction::Sum | Reduction::Divisor(_))
    }

    /// The loss.
    pub fn loss(&self) -> &dyn LossDefinition {
        &*self.loss
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

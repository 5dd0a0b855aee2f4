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
}

impl Criterion {
    pub(crate) fn new(loss: Arc<dyn LossDefinition>, device: &Device) -> Result<Self> {
        loss.check()?;
        Ok(Criterion {
            loss,
            device: device.clone(),
            reduction: Reduction::Mean,
            on_empty: OnEmpty::Zero,
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

    /// The loss.
    pub fn loss(&self) -> &dyn LossDefinition {
        &*self.loss
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

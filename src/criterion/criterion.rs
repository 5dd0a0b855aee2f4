//! A loss made ready on a device.

use std::sync::Arc;

use crate::Result;
use crate::criterion::reduction::{OnEmpty, Reduction};
use crate::runtime::device::Device;
use crate::templates::definition::LossDefinition;

/// A loss made ready on a device. Made by [`Loss::on`]; cloning it is cheap.
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

    /// A boxed loss made ready on a device, as [`Loss::on`].
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its domain.
    pub fn from_boxed(loss: Box<dyn LossDefinition>, device: &Device) -> Result<Self> {
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
    pub fn loss(&self) -> &dyn LossDefinition {
        &*self.loss
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }
}

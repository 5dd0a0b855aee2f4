//! Loss functions as called by users.

use std::sync::Arc;

use crate::Result;
use crate::criterion::criterion::Criterion;
use crate::runtime::device::Device;
use crate::templates::definition::LossDefinition;

#[cfg(doc)]
use crate::Error;

/// A loss function that can be bound to a device. Implemented for every [`LossDefinition`].
pub trait Loss: LossDefinition {
    /// Checks the options and binds the loss to a device.
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its domain.
    fn on(self, device: &Device) -> Result<Criterion>
    where
        Self: Sized + 'static,
    {
        Criterion::new(Arc::new(self), device)
    }
}

impl<T: LossDefinition + ?Sized> Loss for T {}

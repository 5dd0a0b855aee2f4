//! Losses as users call them.

use std::sync::Arc;

use crate::Result;
use crate::criterion::criterion::Criterion;
use crate::runtime::device::Device;
use crate::templates::definition::LossDefinition;

#[cfg(doc)]
use crate::Error;

/// A loss that can be made ready on a device. Every [`LossDefinition`] is one.
pub trait Loss: LossDefinition {
    /// The loss made ready on a device, its options checked.
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

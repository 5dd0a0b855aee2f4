//! Tensors on a device: their memory, what losses make of them, what is refused, random numbers.

mod chunks;
mod device;
mod drawn;
mod random;
mod refusals;
mod resident;
#[path = "../support/mod.rs"]
mod support;

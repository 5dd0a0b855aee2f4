//! Device tensors: memory, losses, rejected inputs, random numbers.

mod chunks;
mod device;
mod drawn;
mod random;
mod refusals;
mod resident;
#[path = "../support/mod.rs"]
mod support;

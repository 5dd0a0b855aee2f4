//! The adapter that a test needs, or a line that says that the test is ignored.

use crate::runtime::device::backends::adapters;
use crate::runtime::device::{Device, Gpu};

#[path = "../../../tests/support/ignored.rs"]
mod ignored;

/// The GPU that there is.
pub(crate) fn gpu() -> Option<Gpu> {
    open(&ignored::running(), "needs a GPU")
}

/// The CPU's two devices, and the GPU if there is one.
pub(crate) fn each_device() -> Vec<Device> {
    let mut devices = vec![Device::Reference, Device::Cpu];
    devices.extend(open(&ignored::running(), "its part on a GPU needs one").map(Device::Gpu));
    devices
}

/// Whether the test of a function within it may go on; for [`needs_gpu`].
pub(crate) fn goes_on(place: &str) -> bool {
    let test = place.rsplit_once("::").map_or(place, |(test, _)| test);
    open(test.trim_start_matches("gradus::"), "needs a GPU").is_some()
}

/// Only the want of any adapter excuses a test: one that does not open is a failure.
fn open(test: &str, why: &str) -> Option<Gpu> {
    match Gpu::open() {
        Ok(gpu) => Some(gpu),
        Err(error) if adapters().is_empty() => {
            ignored::ignored(test, &format!("{why}: {error}"));
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Ends the test where the machine has no adapter, and says that it is ignored.
macro_rules! needs_gpu {
    () => {
        fn here() {}
        if !$crate::runtime::device::test_adapter::goes_on(std::any::type_name_of_val(&here)) {
            return;
        }
    };
}
pub(crate) use needs_gpu;

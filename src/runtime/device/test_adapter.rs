//! Adapters for tests; a test without a suitable adapter is ignored with a message.

use crate::runtime::device::backends::adapters;
use crate::runtime::device::{Device, Gpu};

#[path = "../../../tests/support/ignored.rs"]
mod ignored;

/// The GPU, if there is one.
pub(crate) fn gpu() -> Option<Gpu> {
    open(&ignored::running(), "needs a GPU")
}

/// Both CPU devices, and the GPU if there is one.
pub(crate) fn each_device() -> Vec<Device> {
    let mut devices = vec![Device::Reference, Device::Cpu];
    devices.extend(open(&ignored::running(), "its part on a GPU needs one").map(Device::Gpu));
    devices
}

/// True if the test containing this function may run; for [`needs_gpu`].
pub(crate) fn goes_on(place: &str) -> bool {
    let test = place.rsplit_once("::").map_or(place, |(test, _)| test);
    open(test.trim_start_matches("gradus::"), "needs a GPU").is_some()
}

/// A test is ignored only if there is no adapter at all: one that fails to open is a failure.
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

/// Returns from the test if there is no adapter, and reports it as ignored.
macro_rules! needs_gpu {
    () => {
        fn here() {}
        if !$crate::runtime::device::test_adapter::goes_on(std::any::type_name_of_val(&here)) {
            return;
        }
    };
}
pub(crate) use needs_gpu;

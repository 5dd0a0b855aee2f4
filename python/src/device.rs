//! Devices.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::errors::{raised, refused};
use crate::threads::{Threads, detached};

/// Where a loss or a model runs: "cpu" (f32 on all cores), "gpu" (Vulkan, Metal or DX12),
/// "reference" (f64 on one core, slow), or "auto" (a hardware GPU if there is one, else the CPU).
///
/// Args:
///     name: one of the four.
///     threads: how many of its own the device "cpu" computes with, 1 to 1024; by default it has those
///         of the process (`set_num_threads`). Results do not depend on it.
///
/// Raises:
///     ValueError: for another name or number, and for threads of another device.
///     RuntimeError: for "gpu" where there is none.
///
/// Example:
///     >>> import gradus_ml as gm
///     >>> gm.Device("reference").name
///     'reference'
#[pyclass(frozen, module = "gradus_ml")]
#[derive(Clone)]
pub struct Device {
    pub device: gradus::Device,
    pub threads: Threads,
}

impl Device {
    fn named(py: Python<'_>, name: &str) -> PyResult<Self> {
        let device = detached(py, || gradus::Device::named(name)).map_err(raised)?;
        Ok(Device { device, threads: Threads::default() })
    }
}

#[pymethods]
impl Device {
    #[new]
    #[pyo3(signature = (name="auto", /, *, threads=None))]
    fn new(py: Python<'_>, name: &str, threads: Option<usize>) -> PyResult<Self> {
        let found = Device::named(py, name)?;
        let Some(number) = threads else { return Ok(found) };
        if !matches!(found.device, gradus::Device::Cpu) {
            let given = format!("is {number} for the device {name}");
            return Err(refused("device", "threads", &given, "the device cpu alone has threads"));
        }
        Ok(Device { threads: Threads::own(number)?, ..found })
    }

    /// "cpu", "gpu" or "reference".
    #[getter]
    fn name(&self) -> &'static str {
        self.device.name()
    }

    /// The adapter and its driver, or the number of threads.
    #[getter]
    fn description(&self, py: Python<'_>) -> String {
        self.threads.detached(py, || self.device.describe())
    }

    /// The number of threads of its own; None for those of the process.
    #[getter(threads)]
    fn own_threads(&self) -> Option<usize> {
        self.threads.number()
    }

    /// Waits for the work that was handed to the device.
    fn synchronize(&self, py: Python<'_>) -> PyResult<()> {
        self.threads.detached(py, || self.device.synchronize()).map_err(raised)
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let threads =
            self.threads.number().map_or(String::new(), |number| format!(", threads={number}"));
        format!("Device({:?}{threads}): {}", self.device.name(), self.description(py))
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<((&'static str,), Bound<'py, PyDict>)> {
        let named = PyDict::new(py);
        named.set_item("threads", self.threads.number())?;
        Ok(((self.name(),), named))
    }
}

/// The device that an argument names: a `Device` or its name.
pub fn device_of(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<Device> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(Device { device: gradus::Device::cpu(), threads: Threads::default() });
    };
    if let Ok(device) = given.cast::<Device>() {
        return Ok(device.get().clone());
    }
    if let Ok(name) = given.cast::<PyString>() {
        return Device::named(py, &name.to_cow()?);
    }
    Err(PyTypeError::new_err(
        "device must be a Device or one of \"cpu\", \"gpu\", \"reference\", \"auto\"",
    ))
}

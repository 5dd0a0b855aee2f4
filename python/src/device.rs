//! Devices.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::errors::raised;
use crate::threads::detached;

/// Where a loss or a model runs: "cpu" (f32 on all cores), "gpu" (Vulkan, Metal or DX12),
/// "reference" (f64 on one core, slow), or "auto" (a hardware GPU if there is one, else the CPU).
///
/// Raises:
///     ValueError: for another name.
///     RuntimeError: for "gpu" where there is none.
///
/// Example:
///     >>> import gradus_ml as gm
///     >>> gm.Device("reference").name
///     'reference'
#[pyclass(frozen, module = "gradus_ml")]
pub struct Device {
    pub device: gradus::Device,
}

#[pymethods]
impl Device {
    #[new]
    #[pyo3(signature = (name="auto", /))]
    fn new(py: Python<'_>, name: &str) -> PyResult<Self> {
        let device = detached(py, || gradus::Device::named(name)).map_err(raised)?;
        Ok(Device { device })
    }

    /// "cpu", "gpu" or "reference".
    #[getter]
    fn name(&self) -> &'static str {
        self.device.name()
    }

    /// The adapter and its driver, or the number of threads.
    #[getter]
    fn description(&self) -> String {
        self.device.describe()
    }

    /// Waits for the work that was handed to the device.
    fn synchronize(&self, py: Python<'_>) -> PyResult<()> {
        detached(py, || self.device.synchronize()).map_err(raised)
    }

    fn __repr__(&self) -> String {
        format!("Device({:?}): {}", self.device.name(), self.device.describe())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (&'static str,))> {
        Ok((slf.get_type().into_any(), (slf.get().name(),)))
    }
}

/// The device that an argument names: a `Device` or its name.
pub fn device_of(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<gradus::Device> {
    let Some(given) = given.filter(|given| !given.is_none()) else {
        return Ok(gradus::Device::cpu());
    };
    if let Ok(device) = given.cast::<Device>() {
        return Ok(device.get().device.clone());
    }
    if let Ok(name) = given.cast::<PyString>() {
        let name: String = name.extract()?;
        return detached(py, || gradus::Device::named(&name)).map_err(raised);
    }
    Err(PyTypeError::new_err(
        "device must be a Device or one of \"cpu\", \"gpu\", \"reference\", \"auto\"",
    ))
}

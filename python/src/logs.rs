//! TensorBoard's event files.

use std::path::PathBuf;

use pyo3::prelude::*;

use crate::errors::raised;

/// An event file in a folder; `gradus_ml.callbacks.TensorBoard` writes it.
#[pyclass(frozen, module = "gradus_ml._gradus")]
pub struct EventFile {
    log: gradus::TensorBoard,
}

#[pymethods]
impl EventFile {
    #[new]
    fn new(folder: PathBuf) -> PyResult<Self> {
        gradus::TensorBoard::new(folder).map(|log| EventFile { log }).map_err(raised)
    }

    /// Writes a number under a name at a step.
    fn scalar(&self, tag: &str, step: u64, value: f64) -> PyResult<()> {
        self.log.scalar(tag, step, value).map_err(raised)
    }

    #[getter]
    fn path(&self) -> PathBuf {
        self.log.path().to_path_buf()
    }
}

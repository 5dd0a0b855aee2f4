//! Errors of gradus as Python's exceptions.

use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// The exception for an error: `OSError` for files that cannot be read or written, `RuntimeError`
/// for what a device refuses, `ValueError` for everything that was handed in.
pub fn raised(error: gradus::Error) -> PyErr {
    use gradus::Error;
    let text = error.to_string();
    match error {
        Error::Io { .. } => PyOSError::new_err(text),
        Error::NoAdapter { .. }
        | Error::DeviceLost { .. }
        | Error::OutOfMemory { .. }
        | Error::TooLarge { .. }
        | Error::Timeout { .. }
        | Error::Exchange { .. }
        | Error::Gpu { .. } => PyRuntimeError::new_err(text),
        _ => PyValueError::new_err(text),
    }
}

/// A `ValueError` of the binding itself, in the form of gradus's messages.
pub fn refused(owner: &str, name: &str, found: &str, allowed: &str) -> PyErr {
    PyValueError::new_err(format!("{owner}: {name} {found}; {allowed}"))
}

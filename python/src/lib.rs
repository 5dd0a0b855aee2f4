//! The extension module of the Python package `gradus_ml`.

use pyo3::prelude::*;

mod arrays;
mod device;
mod errors;
mod json;
mod loss;
mod model;
mod names;
mod recommender;
mod threads;

#[pymodule]
mod _gradus {
    #[pymodule_export]
    use super::device::Device;
    #[pymodule_export]
    use super::loss::{Loss, catalogue};
    #[pymodule_export]
    use super::model::{Model, activation};
    #[pymodule_export]
    use super::names::{activations, layers, optimizers, schedules};
    #[pymodule_export]
    use super::recommender::Recommender;
    #[pymodule_export]
    use super::threads::{_after_fork, get_num_threads, set_num_threads};
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

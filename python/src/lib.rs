//! The extension module of the Python package `gradus_ml`.

use pyo3::prelude::*;

mod arrays;
mod device;
mod errors;
mod explain;
mod guidance;
mod json;
mod logs;
mod loss;
mod model;
mod names;
mod recommender;
mod rule;
mod threads;
mod zoo;

#[pymodule]
mod _gradus {
    #[pymodule_export]
    use super::device::Device;
    #[pymodule_export]
    use super::explain::{
        evaluate_rows, influences, integrated_gradients, label_noise, permutation_importance,
        slices,
    };
    #[pymodule_export]
    use super::guidance::{advise_arrays, advise_table, tune};
    #[pymodule_export]
    use super::logs::EventFile;
    #[pymodule_export]
    use super::loss::{Loss, catalogue};
    #[pymodule_export]
    use super::model::{Model, activation};
    #[pymodule_export]
    use super::names::{activations, layers, optimizers, schedules};
    #[pymodule_export]
    use super::recommender::Recommender;
    #[pymodule_export]
    use super::rule::Rule;
    #[pymodule_export]
    use super::threads::{_after_fork, get_num_threads, set_num_threads};
    #[pymodule_export]
    use super::zoo::zoo;
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

//! A loss function bound to a device: checked options, a reduction, and the calls that return value
//! and gradient.

mod arrange;
mod call;
#[allow(clippy::module_inception)] // the file of `Criterion`
mod criterion;
pub(crate) mod domain;
mod evaluate;
mod evaluation;
pub(crate) mod inputs;
mod loss;
mod multi_input;
mod positions;
mod probabilities;
mod reduction;
mod resident;
mod reuse;
mod sizes;
mod tensor_inputs;

pub use criterion::Criterion;
pub use evaluation::{Auxiliaries, Evaluation};
pub use loss::Loss;
pub use reduction::{OnEmpty, Reduction};
pub use resident::evaluation::DeviceEvaluation;
pub use reuse::Values;
pub use tensor_inputs::{TensorInputs, Upstream};

//! Optimizers: update rules for parameters.
//!
//! A new optimizer needs a WGSL file in `shaders/optimizers/`, a Rust file of the same name here,
//! and a line in the list below. The Rust file is the CPU implementation, written once over
//! [`Real`](crate::Real): at f64 it is the reference, at f32 the fast CPU path. One call updates all parameters
//! of a model, stored in one flat buffer; the [`ParameterSpan`]s are its tensors with their
//! regularisation.
//!
//! Most rules update each element independently, and on a GPU the whole model in one dispatch.
//! Per-tensor rules ([`Optimizer::per_tensor`]) compute a direction per element; the kernel
//! template computes its norm and that of the parameters, and `apply_update` performs the update.
//!
//! ```
//! use gradus::optimizers::{self, Optimizer};
//! let adam = optimizers::from_name("adam", &serde_json::json!({"learning_rate": 0.1}))?;
//! let (mut parameters, mut states) = ([1.0_f64], adam.first_states(1));
//! adam.update(&adam.step(1, 0.1), &[], &mut parameters, &[3.0], &mut states)?;
//! assert!((parameters[0] - 0.9).abs() < 1e-8); // the first step is the learning rate, whatever the gradient's size
//! # Ok::<(), gradus::Error>(())
//! ```

mod blanket;
mod clip;
mod groups;
mod link;
mod optimizer;
mod per_tensor;
mod rule;
mod slices;
mod span;
mod step;
mod sweep;
pub(crate) mod update;

use serde_json::Value;

use crate::catalogue::{Entry, catalogue};
use crate::{Result, catalogue};

pub use clip::{Clip, Factors, clip_factor};
pub use groups::ParameterGroups;
pub(crate) use link::{UPDATE, link};
pub use optimizer::Optimizer;
pub use slices::MOST_STATES;
pub(crate) use slices::{Rows, Slices};
pub use span::ParameterSpan;
pub use step::{GradientTransform, NewtonSchulz, PerTensor, Step};

catalogue! {
    /// Every optimizer, by name.
    pub static CATALOGUE: dyn Optimizer =
        adabelief::AdaBelief,
        adadelta::Adadelta,
        adafactor::Adafactor,
        adagrad::Adagrad,
        adam::Adam,
        adamax::Adamax,
        adamw::AdamW,
        adan::Adan,
        gradient_descent::GradientDescent,
        lamb::Lamb,
        lion::Lion,
        muon::Muon,
        nadam::NAdam,
        radam::RAdam,
        rmsprop::RmsProp,
        schedule_free_adamw::ScheduleFreeAdamW,
        schedule_free_sgd::ScheduleFreeSgd,
        sgd::Sgd,
        yogi::Yogi;
}

#[cfg(test)]
mod tests;

/// The catalogue entry with the given name.
///
/// # Errors
/// [`Error::Unknown`](crate::Error::Unknown) with the available names.
pub fn entry(name: &str) -> Result<&'static Entry<dyn Optimizer>> {
    catalogue::find("optimizer", CATALOGUE, name)
}

/// The optimizer with the given name, with options from a JSON object (`null` for none); missing
/// options take PyTorch's defaults.
///
/// # Errors
/// [`Error::Unknown`](crate::Error::Unknown) for a name or an option that does not exist, [`Error::Option`](crate::Error::Option) for a value
/// outside its domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Optimizer>> {
    let optimizer = (entry(name)?.make)(options)?;
    optimizer.check()?;
    Ok(optimizer)
}

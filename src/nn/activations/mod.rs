//! Activations: functions applied to the outputs of a layer, and their derivatives.
//!
//! A new activation needs a WGSL file in `shaders/activations/`, a Rust file of the same name here,
//! and a line in the list below. The Rust file is the CPU implementation, written once over
//! [`Real`](crate::Real): at f64 it is the reference, at f32 the fast CPU path.
//!
//! ```
//! use gradus::activations::{self, Activation, Gelu};
//! let gelu = activations::from_name("gelu", &serde_json::json!({"approximate": "tanh"}))?;
//! let mut output = [0.0_f64; 2];
//! gelu.forward(1, &[1.0, -1.0], &mut output)?;
//! assert!((output[0] - 0.8411919906082768).abs() < 1e-15);
//! assert_eq!(gelu.options()["approximate"], "tanh");
//! # Ok::<(), gradus::Error>(())
//! ```

pub(crate) mod activation;

use serde_json::Value;

use crate::catalogue::{Entry, catalogue};
use crate::runtime::adaptor::{adaptor, options};
use crate::runtime::kernel::Program;
use crate::{Result, catalogue};

catalogue! {
    /// Every activation, by name.
    pub static CATALOGUE: dyn Activation =
        elu::Elu,
        gelu::Gelu,
        hard_sigmoid::HardSigmoid,
        hard_swish::HardSwish,
        identity::Identity,
        leaky_relu::LeakyRelu,
        mish::Mish,
        relu::Relu,
        relu6::Relu6,
        selu::Selu,
        sigmoid::Sigmoid,
        silu::Silu,
        softmax::Softmax,
        softplus::Softplus,
        tanh::Tanh;
}

pub use crate::nn::activations::activation::Activation;
pub use gelu::Approximate;

#[cfg(test)]
mod tests;

/// Function that the kernel templates require from an activation.
pub(crate) const ACTIVATE: &str = "fn activate(x: f32) -> f32";
pub(crate) const DERIVATIVE: &str = "fn derivative(x: f32, y: f32) -> f32";

/// Links an activation into a program: its file, its adaptor and its options.
pub(crate) fn link(program: &mut Program, activation: &dyn Activation) {
    let shader = activation.entry().shader;
    program.header += &adaptor(&shader, &[ACTIVATE, DERIVATIVE]);
    program.files.push(shader);
    program.constants.extend(options(&shader, activation.constants()));
}

/// The list's line of that name.
///
/// # Errors
/// [`Error::Unknown`](crate::Error::Unknown) with the available names.
pub fn entry(name: &str) -> Result<&'static Entry<dyn Activation>> {
    catalogue::find("activation", CATALOGUE, name)
}

/// An activation as it stands in files: name and options.
pub(crate) fn described(activation: &dyn Activation) -> Value {
    serde_json::json!({ "name": activation.name(), "options": activation.options() })
}

/// The activation of that name, with options from a JSON object (`null` for none); missing options
/// take their defaults.
///
/// # Errors
/// [`Error::Unknown`](crate::Error::Unknown) for a name or an option that does not exist, [`Error::Option`](crate::Error::Option) for a value
/// outside its domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Activation>> {
    let activation = (entry(name)?.make)(options)?;
    activation.check()?;
    Ok(activation)
}

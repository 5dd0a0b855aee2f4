//! Activations: what a layer does to its sums, and the derivative that sends the gradient back.
//!
//! A new one is three things: a filling in `shaders/activations/`, a Rust file of the same stem here, a line in the list below. The
//! Rust file is the twin of the filling, written once over [`Real`]: at f64 it is the reference, at f32 the CPU's fast path.
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
        gelu::Gelu,
        identity::Identity,
        leaky_relu::LeakyRelu,
        relu::Relu,
        sigmoid::Sigmoid,
        silu::Silu,
        softmax::Softmax,
        tanh::Tanh;
}

pub use crate::nn::activations::activation::Activation;
pub use gelu::Approximate;

#[cfg(test)]
mod tests;

/// What the kernel templates take from an activation.
pub(crate) const ACTIVATE: &str = "fn activate(x: f32) -> f32";
pub(crate) const DERIVATIVE: &str = "fn derivative(x: f32, y: f32) -> f32";

/// Adds an activation to a program: its file, its adaptor and its options.
pub(crate) fn link(program: &mut Program, activation: &dyn Activation) {
    let shader = activation.entry().shader;
    program.header += &adaptor(&shader, &[ACTIVATE, DERIVATIVE]);
    program.files.push(shader);
    program.constants.extend(options(&shader, activation.constants()));
}

/// The list's line of that name.
///
/// # Errors
/// [`Error::Unknown`] with the names there are.
pub fn entry(name: &str) -> Result<&'static Entry<dyn Activation>> {
    catalogue::find("activation", CATALOGUE, name)
}

/// The activation of that name, with options from a JSON object (`null` for none); what is left out takes its default.
///
/// # Errors
/// [`Error::Unknown`] for a name or an option that does not exist, [`Error::Option`] for a value outside its domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Activation>> {
    let activation = (entry(name)?.make)(options)?;
    activation.check()?;
    Ok(activation)
}

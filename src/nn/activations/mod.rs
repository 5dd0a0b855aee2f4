//! Activations: functions applied to the outputs of a layer, and their derivatives.
//!
//! A new activation needs a WGSL file in `shaders/activations/`, a Rust file of the same name here,
//! and a line in the list below. The Rust file is the CPU implementation, written once over
//! [`Real`]: at f64 it is the reference, at f32 the fast CPU path.
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

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue;
use crate::catalogue::{Entry, catalogue};
use crate::cpu::real::Real;
use crate::cpu::{parallel, simd};
use crate::runtime::adaptor::{adaptor, options};
use crate::runtime::pipeline::Program;
use crate::{Error, Result};

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

/// An activation with its options.
pub trait Activation: Debug + Send + Sync {
    /// Its catalogue entry: name, formula, WGSL file.
    fn entry(&self) -> &'static Entry<dyn Activation>;

    /// Its name.
    fn name(&self) -> &'static str {
        self.entry().name
    }

    /// Its options as a JSON object.
    fn options(&self) -> Value;

    /// Checks the options against their domains.
    ///
    /// # Errors
    /// [`Error::Option`] for the first value outside its domain.
    fn check(&self) -> Result<()>;

    /// Values of the WGSL file's `override`s.
    fn constants(&self) -> Vec<(&'static str, f64)>;

    /// True if the derivative needs the input; otherwise it follows from the output and the input
    /// need not be stored.
    fn needs_input(&self) -> bool;

    /// True if an output depends on its whole row: the row-wise kernels compute it instead of an
    /// elementwise WGSL file.
    fn rowwise(&self) -> bool {
        false
    }

    /// `output` = f(`input`) at f32, on all cores; see [`dyn
    /// Activation::forward`](trait.Activation.html#method.forward).
    #[doc(hidden)]
    fn forward_single(&self, width: usize, input: &[f32], output: &mut [f32]);
    /// The same at f64, single-threaded.
    #[doc(hidden)]
    fn forward_double(&self, width: usize, input: &[f64], output: &mut [f64]);
    /// `gradient` ← `gradient` · df/dx at f32, on all cores.
    #[doc(hidden)]
    fn backward_single(&self, width: usize, input: &[f32], output: &[f32], gradient: &mut [f32]);
    /// The same at f64, single-threaded.
    #[doc(hidden)]
    fn backward_double(&self, width: usize, input: &[f64], output: &[f64], gradient: &mut [f64]);
}

impl dyn Activation + '_ {
    /// Writes f(`input`) into `output`; rows have length `width` (used by softmax only).
    ///
    /// # Errors
    /// [`Error::Shape`] if the two lengths differ or are not a multiple of `width`.
    pub fn forward<R: Real>(&self, width: usize, input: &[R], output: &mut [R]) -> Result<()> {
        self.check_lengths(width, "input", input.len(), "output", output.len())?;
        if let (Some(input), Some(output)) = (R::as_single(input), R::as_single_mut(output)) {
            self.forward_single(width, input, output);
        }
        if let (Some(input), Some(output)) = (R::as_double(input), R::as_double_mut(output)) {
            self.forward_double(width, input, output);
        }
        Ok(())
    }

    /// Replaces dL/dy in `gradient` by dL/dx. `input` may be empty unless
    /// [`Activation::needs_input`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ or are not a multiple of `width`.
    pub fn backward<R: Real>(
        &self,
        width: usize,
        input: &[R],
        output: &[R],
        gradient: &mut [R],
    ) -> Result<()> {
        self.check_lengths(width, "output", output.len(), "gradient", gradient.len())?;
        if self.needs_input() {
            self.check_lengths(width, "input", input.len(), "gradient", gradient.len())?;
        }
        // An unused input may be missing; the output replaces it so that the loops see one length.
        let input = if self.needs_input() { input } else { output };
        if let (Some(input), Some(output)) = (R::as_single(input), R::as_single(output)) {
            R::as_single_mut(gradient)
                .into_iter()
                .for_each(|g| self.backward_single(width, input, output, g));
        }
        if let (Some(input), Some(output)) = (R::as_double(input), R::as_double(output)) {
            R::as_double_mut(gradient)
                .into_iter()
                .for_each(|g| self.backward_double(width, input, output, g));
        }
        Ok(())
    }

    fn check_lengths(
        &self,
        width: usize,
        first: &str,
        found: usize,
        second: &str,
        other: usize,
    ) -> Result<()> {
        if found == other && width > 0 && found.is_multiple_of(width) {
            return Ok(());
        }
        Err(Error::Shape {
            operation: self.name().into(),
            found: format!("{first} has {found} elements and {second} {other}, in rows of {width}"),
            allowed: "both need the same whole number of rows".into(),
        })
    }
}

/// CPU implementation of an elementwise activation. The blanket [`Activation`] provides the loops.
pub(crate) trait Pointwise: Clone + Debug + Send + Sync + Serialize {
    const ENTRY: &'static Entry<dyn Activation>;
    const NEEDS_INPUT: bool = false;

    fn check_options(&self) -> Result<()> {
        Ok(())
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// y = f(x).
    fn activate<R: Real>(&self, x: R) -> R;

    /// f'(x), from x or from y = f(x) alone, depending on [`Pointwise::NEEDS_INPUT`].
    fn derivative<R: Real>(&self, x: R, y: R) -> R;
}

impl<T: Pointwise> Activation for T {
    fn entry(&self) -> &'static Entry<dyn Activation> {
        T::ENTRY
    }

    fn options(&self) -> Value {
        catalogue::write(self)
    }

    fn check(&self) -> Result<()> {
        self.check_options()
    }

    fn constants(&self) -> Vec<(&'static str, f64)> {
        Pointwise::constants(self)
    }

    fn needs_input(&self) -> bool {
        T::NEEDS_INPUT
    }

    fn forward_single(&self, _: usize, input: &[f32], output: &mut [f32]) {
        parallel::fill(output, parallel::PIECE, |start, output| {
            let input = &input[start..start + output.len()];
            simd::dispatch(
                #[inline(always)]
                || activate_all(self, input, output),
            );
        });
    }

    fn forward_double(&self, _: usize, input: &[f64], output: &mut [f64]) {
        activate_all(self, input, output);
    }

    fn backward_single(&self, _: usize, input: &[f32], output: &[f32], gradient: &mut [f32]) {
        parallel::fill(gradient, parallel::PIECE, |start, gradient| {
            let range = start..start + gradient.len();
            let (input, output) = (&input[range.clone()], &output[range]);
            simd::dispatch(
                #[inline(always)]
                || differentiate_all(self, input, output, gradient),
            );
        });
    }

    fn backward_double(&self, _: usize, input: &[f64], output: &[f64], gradient: &mut [f64]) {
        differentiate_all(self, input, output, gradient);
    }
}

#[inline(always)]
fn activate_all<R: Real>(activation: &impl Pointwise, input: &[R], output: &mut [R]) {
    // Cloned because options behind a reference would be reloaded for each element (possible
    // aliasing).
    let activation = &activation.clone();
    for (y, &x) in output.iter_mut().zip(input) {
        *y = activation.activate(x);
    }
}

#[inline(always)]
fn differentiate_all<R: Real>(
    activation: &impl Pointwise,
    input: &[R],
    output: &[R],
    gradient: &mut [R],
) {
    let activation = &activation.clone();
    for ((slot, &x), &y) in gradient.iter_mut().zip(input).zip(output) {
        *slot *= activation.derivative(x, y);
    }
}

/// The catalogue entry of that name.
///
/// # Errors
/// [`Error::Unknown`] with the available names.
pub fn entry(name: &str) -> Result<&'static Entry<dyn Activation>> {
    catalogue::find("activation", CATALOGUE, name)
}

/// The activation of that name, with options from a JSON object (`null` for none); missing options
/// take their defaults.
///
/// # Errors
/// [`Error::Unknown`] for a name or an option that does not exist, [`Error::Option`] for a value
/// outside its domain.
pub fn from_name(name: &str, options: &Value) -> Result<Box<dyn Activation>> {
    let activation = (entry(name)?.make)(options)?;
    activation.check()?;
    Ok(activation)
}

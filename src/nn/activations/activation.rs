//! The trait of activations, and what an activation of one number states.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::catalogue::Entry;
use crate::cpu::real::Real;
use crate::cpu::{parallel, simd};
use crate::{Error, Result, catalogue};

/// An activation with its options.
pub trait Activation: Debug + Send + Sync {
    /// Entry in the catalogue: name, formula, shader.
    fn entry(&self) -> &'static Entry<dyn Activation>;

    /// Its name.
    fn name(&self) -> &'static str {
        self.entry().name
    }

    /// Its options as a JSON object.
    fn options(&self) -> Value;

    /// Its options against their domains.
    ///
    /// # Errors
    /// [`Error::Option`] with the first one outside.
    fn check(&self) -> Result<()>;

    /// Values of the `override`s of its shader.
    fn constants(&self) -> Vec<(&'static str, f64)>;

    /// Does the derivative need the input? If not, it follows from the output and the input need not be stored.
    fn needs_input(&self) -> bool;

    /// True if an output depends on its whole row: row-wise kernels compute it.
    fn rowwise(&self) -> bool {
        false
    }

    /// `output` = f(`input`) at f32, on all cores; see [`dyn Activation::forward`](trait.Activation.html#method.forward).
    #[doc(hidden)]
    fn forward_single(&self, width: usize, input: &[f32], output: &mut [f32]);
    /// The same at f64, plainly.
    #[doc(hidden)]
    fn forward_double(&self, width: usize, input: &[f64], output: &mut [f64]);
    /// `gradient` ← `gradient` · df/dx at f32, on all cores.
    #[doc(hidden)]
    fn backward_single(&self, width: usize, input: &[f32], output: &[f32], gradient: &mut [f32]);
    /// The same at f64, plainly.
    #[doc(hidden)]
    fn backward_double(&self, width: usize, input: &[f64], output: &[f64], gradient: &mut [f64]);
}

impl dyn Activation + '_ {
    /// Writes f(`input`) into `output`; rows are `width` long (only softmax looks at them).
    ///
    /// # Errors
    /// [`Error::Shape`] if the two lengths differ or are no multiple of `width`.
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

    /// Turns dL/dy in `gradient` into dL/dx. `input` may be empty unless [`Activation::needs_input`].
    ///
    /// # Errors
    /// [`Error::Shape`] if the lengths differ or are no multiple of `width`.
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
        // An input that is not needed may be missing; the output takes its place, so that the loops see one length.
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

    pub(super) fn check_lengths(
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

/// An activation of one number, the CPU implementation of its shader. The loops are in the blanket
/// [`Activation`].
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

    /// f'(x), from x or from y = f(x) alone, as [`Pointwise::NEEDS_INPUT`] says.
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
pub(super) fn activate_all<R: Real>(activation: &impl Pointwise, input: &[R], output: &mut [R]) {
    // Options behind a reference would be read again for each number, since the output might lie over them.
    let activation = &activation.clone();
    for (y, &x) in output.iter_mut().zip(input) {
        *y = activation.activate(x);
    }
}

#[inline(always)]
pub(super) fn differentiate_all<R: Real>(
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

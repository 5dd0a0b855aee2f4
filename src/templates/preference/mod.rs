//! Kernel template of losses of up to four log-probabilities per value.

use crate::Result;
use crate::cpu::real::Real;
use crate::templates::multi_input::cpu::MultiInput;

pub mod cpu;
pub(crate) mod gpu;

/// CPU implementation of a shader over up to four numbers per value.
pub trait Preference: Clone + Send + Sync {
    /// Checks the numbers of a call beyond the domains of its inputs.
    ///
    /// # Errors
    /// [`crate::Error::Input`] with the first invalid row.
    fn check_numbers(&self, _call: &MultiInput<'_, f32>) -> Result<()> {
        Ok(())
    }

    /// Value and derivatives. An omitted input is 0.
    fn terms<R: Real>(&self, numbers: [R; 4]) -> PreferenceTerms<R>;
}

/// Result of a preference loss for one value.
#[derive(Clone, Copy, Debug)]
pub struct PreferenceTerms<R> {
    /// The value.
    pub value: R,
    /// Its derivatives with respect to the first two numbers.
    pub derivatives: [R; 2],
}

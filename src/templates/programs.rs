//! Every program of a loss: for the checks of the shaders.

use crate::Result;
use crate::runtime::kernel::Program;
use crate::templates::definition::{LossDefinition, Template};
use crate::templates::{launch, multi_input};

/// Every program of a loss, with all its inputs and with none.
///
/// # Errors
/// [`crate::Error::Input`] if a loss is fused with another one that its template does not run.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Result<Vec<Program>> {
    match loss.template() {
        Template::Several(kernel, _) => multi_input::gpu::programs(loss, kernel),
        Template::OneInput(_) => launch::programs(loss),
    }
}

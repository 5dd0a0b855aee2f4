//! All programs of a loss, for the shader checks.

use crate::Result;
use crate::runtime::kernel::Program;
use crate::templates::definition::{LossDefinition, Template};
use crate::templates::{launch, multi_input};

/// All programs of a loss, with all optional inputs and without any.
///
/// # Errors
/// [`crate::Error::Input`] if the loss is fused with another one that its template does not
/// support.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Result<Vec<Program>> {
    match loss.template() {
        Template::Several(kernel, _) => multi_input::gpu::programs(loss, kernel),
        Template::OneInput(_) => launch::programs(loss),
    }
}

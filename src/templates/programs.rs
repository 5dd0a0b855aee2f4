//! Every program of a loss: for the checks of the shaders.

use crate::runtime::kernel::Program;
use crate::templates::definition::{Family, LossDefinition};
use crate::templates::{launch, multi_input};

/// Every program of a loss, with all its inputs and with none.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    match loss.family() {
        Family::MultiInput(..) => multi_input::gpu::programs(loss),
        _ => launch::programs(loss),
    }
}

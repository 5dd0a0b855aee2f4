//! Links an optimizer into a GPU program.

use crate::nn::optimizers::optimizer::Optimizer;
use crate::runtime::adaptor::{adaptor, options};
use crate::runtime::kernel::Program;

/// The function required from every optimizer by the kernel templates.
pub(crate) const UPDATE: &str =
    "fn update(parameter: f32, gradient: f32, state: State, step: Step) -> Update";

/// The additional function required from a per-tensor rule.
pub(super) const APPLY_UPDATE: &str =
    "fn apply_update(parameter: f32, direction: f32, layer: Layer, step: Step) -> f32";

/// Adds an optimizer to a program: its file, its adaptor and its options.
pub(crate) fn link(program: &mut Program, optimizer: &dyn Optimizer) {
    let shader = optimizer.entry().shader;
    let interface: &[&str] =
        if optimizer.per_tensor().is_some() { &[UPDATE, APPLY_UPDATE] } else { &[UPDATE] };
    program.header += &adaptor(&shader, interface);
    program.files.push(shader);
    program.constants.extend(options(&shader, optimizer.constants()));
}

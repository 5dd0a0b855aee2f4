//! The program of a loss, and shader files that the templates share.

use crate::runtime::kernel::Program;
use crate::runtime::wgsl::File;
use crate::templates::adaptor;
use crate::templates::definition::LossDefinition;
use crate::templates::job::Written;

pub(super) const LANES: File = crate::runtime::wgsl::shader!("lib/lanes.wgsl");

pub(super) const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");

pub(super) const HALF: File = crate::runtime::wgsl::shader!("lib/half.wgsl");

pub(super) const PARTIALS_LANE: File = crate::runtime::wgsl::shader!("lib/partials_lane.wgsl");

pub(super) const PARTIALS_TREE: File = crate::runtime::wgsl::shader!("lib/partials_tree.wgsl");

/// The kernel of a loss: the template's files, the loss function and the constants of both.
pub(super) fn program(
    loss: &dyn LossDefinition,
    template_files: &[File],
    constants: Vec<(&'static str, f64)>,
) -> Program {
    program_of(loss, Written::Gradient, template_files, constants)
}

/// As [`program`], for the derivatives that are written.
pub(super) fn program_of(
    loss: &dyn LossDefinition,
    written: Written,
    template_files: &[File],
    mut constants: Vec<(&'static str, f64)>,
) -> Program {
    let mut files = template_files.to_vec();
    let shader = loss.entry().shader;
    files.push(shader);
    files.extend(loss.spec().helpers);
    constants.extend(crate::runtime::adaptor::options(&shader, loss.constants()));
    let header = adaptor::adaptor(loss, written);
    Program {
        label: format!("{} ({})", loss.name(), template_files[0].name),
        header,
        files,
        constants,
    }
}

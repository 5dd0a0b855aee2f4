//! Boxes template: its parameters and its commands.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::File;
use crate::templates::boxes::ARGUMENTS;
use crate::templates::definition::LossDefinition;
use crate::templates::distance::gpu::SCALE;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::{along, binding_elements, parts};
use crate::templates::program::{NUMBERS, program};

const BOXES: File = crate::runtime::wgsl::shader!("templates/boxes/boxes.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct BoxesParams {
    rows: u32,
    reserved: u32,
    factor: f32,
    upstream: f32,
}

fn template_program(
    loss: &dyn LossDefinition,
    software: bool,
    has_weight: bool,
    each: bool,
) -> Program {
    let constants = vec![
        ("WORKGROUP", lanes_of(software).into()),
        ("HAS_WEIGHT", flag(has_weight)),
        ("REDUCTION_NONE", flag(each)),
    ];
    program(loss, &[BOXES, NUMBERS, SCALE], constants)
}

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let sets =
        [true, false].into_iter().flat_map(|software| [true, false].map(|on| (software, on)));
    sets.map(|(software, on)| template_program(loss, software, on, on)).collect()
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let rows = job.length();
    let [found, truths] = [job.required(ARGUMENTS[0].name)?, job.required(ARGUMENTS[1].name)?];
    let values = gpu.buffer("values", rows)?;
    let gradient = gpu.buffer("a gradient", 4 * rows)?;
    let unread = gpu.unread_binding()?;
    let software = gpu.is_software();
    let kernel = gpu.kernel(&template_program(loss, software, job.weights.is_some(), job.each))?;
    let mut commands = Vec::new();
    for part in parts(rows, binding_elements(gpu) / 4) {
        let params = BoxesParams {
            rows: part.length as u32,
            reserved: 0,
            factor: job.factor,
            upstream: job.upstream,
        };
        let storage: [Slice; 6] = [
            along(&found.buffer, &part, 4, true),
            along(&truths.buffer, &part, 4, true),
            along(job.weights.as_ref().unwrap_or(&unread), &part, 1, job.weights.is_some()),
            along(job.upstreams.as_ref().unwrap_or(&unread), &part, 1, job.upstreams.is_some()),
            along(&gradient, &part, 4, true),
            along(&values, &part, 1, true),
        ];
        let groups = (part.length as u32).div_ceil(lanes_of(software));
        commands.push(gpu.dispatch(&kernel, &params, &storage, groups)?);
    }
    let results =
        MultiInputResults { gradients: vec![gradient], values, result: gpu.buffer("a loss", 4)? };
    Ok((commands, results, rows))
}

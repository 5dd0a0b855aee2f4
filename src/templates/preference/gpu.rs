//! Preference template, over up to four numbers per value: its parameters and its commands.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::program::{NUMBERS, program};

const PREFERENCE: File = crate::runtime::wgsl::shader!("templates/preference/preference.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct PreferenceParams {
    length: u32,
    stride: u32,
    planes: u32,
    gradients: u32,
    factor: f32,
    upstream: f32,
    reserved: [u32; 2],
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
    program(loss, &[PREFERENCE, NUMBERS], constants)
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
    let length = job.length();
    let arguments = loss.arguments();
    let is_differentiated =
        |name: &str| arguments.iter().any(|a| a.name == name && a.role.is_differentiated());
    let gradients = job.arguments.iter().filter(|bound| is_differentiated(bound.name)).count();
    // A new buffer is zeroed, and an omitted input is 0.
    let numbers = gpu.buffer("the numbers of a loss", arguments.len() * length)?;
    let packed = gpu.buffer("gradients", gradients.max(1) * length)?;
    let values = gpu.buffer("values", length)?;
    let unread = gpu.unread_binding()?;
    let size = 4 * length as u64;
    let mut commands = Vec::new();
    for (plane, argument) in arguments.iter().enumerate() {
        if let Some(bound) = job.get(argument.name) {
            let to_offset = plane as u64 * size;
            commands.push(Command::Copy {
                from: bound.buffer.clone(),
                from_offset: 0,
                to: numbers.clone(),
                to_offset,
                size,
            });
        }
    }
    let params = PreferenceParams {
        length: length as u32,
        stride: length as u32,
        planes: arguments.len() as u32,
        gradients: gradients as u32,
        factor: job.factor,
        upstream: job.upstream,
        reserved: [0; 2],
    };
    let software = gpu.is_software();
    let kernel = gpu.kernel(&template_program(loss, software, job.weights.is_some(), job.each))?;
    let (weights, upstreams) =
        (job.weights.as_ref().unwrap_or(&unread), job.upstreams.as_ref().unwrap_or(&unread));
    let storage = [&numbers, weights, upstreams, &packed, &values].map(Into::into);
    commands.push(gpu.dispatch(
        &kernel,
        &params,
        &storage,
        (length as u32).div_ceil(lanes_of(software)),
    )?);
    let mut each = Vec::new();
    for plane in 0..gradients {
        let gradient = gpu.buffer("a gradient", length)?;
        let from_offset = plane as u64 * size;
        commands.push(Command::Copy {
            from: packed.clone(),
            from_offset,
            to: gradient.clone(),
            to_offset: 0,
            size,
        });
        each.push(gradient);
    }
    Ok((
        commands,
        MultiInputResults { gradients: each, values, result: gpu.buffer("a loss", 4)? },
        length,
    ))
}

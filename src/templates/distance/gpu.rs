//! Distance template: its variants by row length, its parameters and its commands.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::{ALIGNMENT, along, binding_elements, parts};
use crate::templates::program::{NUMBERS, program};
use crate::templates::variant::{Adapter, Variant};
use crate::{Error, Result};

const VECTORS: File = crate::runtime::wgsl::shader!("templates/distance/distance.wgsl");
const SCALAR: File = crate::runtime::wgsl::shader!("templates/distance/vectors_scalar.wgsl");
pub(crate) const SCALE: File = crate::runtime::wgsl::shader!("lib/scale.wgsl");
const VEC4: File = crate::runtime::wgsl::shader!("templates/distance/vectors_vec4.wgsl");

/// Maximum number of groups of four columns that a lane keeps in registers. Three vectors of this
/// size take 48 registers.
const MOST_HELD: usize = 4;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct DistanceParams {
    rows: u32,
    columns: u32,
    first_row: u32,
    block: u32,
    first_partial: u32,
    factor: f32,
    upstream: f32,
    reserved: u32,
}

fn variant(adapter: &Adapter, columns: usize, loss: &dyn LossDefinition) -> Variant {
    let variant = Variant::new(adapter, columns, 1);
    let most = MOST_HELD.min(loss.spec().unrolled);
    // On software Vulkan the second read is served from the cache.
    let held = if adapter.software || variant.held > most { 0 } else { variant.held };
    Variant { held, ..variant }
}

fn template_program(
    loss: &dyn LossDefinition,
    variant: &Variant,
    has_weights: bool,
    each: bool,
) -> Program {
    let gradients = loss.differentiated().len();
    let third = loss.arguments().get(2);
    let has_third = third.is_some_and(|argument| argument.role.is_differentiated());
    let mut constants = vec![
        ("HAS_WEIGHT", flag(has_weights)),
        ("REDUCTION_NONE", flag(each)),
        ("HAS_THIRD", flag(has_third)),
        ("HAS_TRUTH", flag(third.is_some() && !has_third)),
        ("GRADIENTS", gradients as f64),
    ];
    let mut files = vec![VECTORS, if variant.vec4 { VEC4 } else { SCALAR }, NUMBERS, SCALE];
    let header = variant.add_row_group(&mut files, &mut constants);
    program(loss, &files, constants).with_header(&header)
}

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut variants = Vec::new();
    for software in [true, false] {
        for subgroups in [None, Some(if software { [8, 8] } else { [32, 32] }), Some([8, 32])] {
            for columns in [10, 12, 64, 128, 129, 1025, 32_768] {
                let adapter = Adapter { software, subgroups, lanes: 1024 };
                let variant = variant(&adapter, columns, loss);
                if !variants.contains(&variant) {
                    variants.push(variant);
                }
            }
        }
    }
    variants
        .iter()
        .flat_map(|variant| [false, true].map(|on| template_program(loss, variant, on, on)))
        .collect()
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let rows = job.length();
    let columns = job.arguments[0].shape.last().copied().unwrap_or(1);
    let most = binding_elements(gpu) / columns.max(1);
    if most < ALIGNMENT && rows > most {
        return Err(Error::TooLarge {
            name: format!("{ALIGNMENT} rows of {columns} columns in {}", loss.name()),
            bytes: 4 * (ALIGNMENT * columns) as u64,
            limit: gpu.limits().max_storage_buffer_binding_size,
            advice: "use fewer columns or the device `cpu`".into(),
        });
    }
    let variant = variant(&Adapter::of(gpu), columns, loss);
    let software = gpu.is_software();
    let partials: usize =
        parts(rows, most).map(|part| variant.partials(software, part.length)).sum();
    let values = gpu.buffer("values", if job.each { rows } else { partials })?;
    let count = loss.differentiated().len();
    // A missing gradient is still bound, and no two bindings may use the same buffer.
    let gradients: Vec<wgpu::Buffer> = (0..3)
        .map(|number| gpu.buffer("a gradient", if number < count { rows * columns } else { 4 }))
        .collect::<Result<_>>()?;
    let unread = gpu.unread_binding()?;
    let mut commands = Vec::new();
    if let Some(upstreams) = job.upstreams.as_ref().filter(|_| job.each) {
        let size = 4 * rows as u64;
        commands.push(Command::Copy {
            from: upstreams.clone(),
            from_offset: 0,
            to: values.clone(),
            to_offset: 0,
            size,
        });
    }
    let kernel = gpu.kernel(&template_program(loss, &variant, job.weights.is_some(), job.each))?;
    let third_width = if count > 2 { columns } else { 1 };
    let mut length = 0;
    for part in parts(rows, most) {
        let block = variant.block(software, part.length);
        let params = DistanceParams {
            rows: part.length as u32,
            columns: columns as u32,
            first_row: part.first as u32,
            block: block as u32,
            first_partial: length as u32,
            factor: job.factor,
            upstream: job.upstream,
            reserved: 0,
        };
        let third = job.arguments.get(2).map(|bound| &bound.buffer);
        let storage: [Slice; 8] = [
            along(&job.arguments[0].buffer, &part, columns, true),
            along(&job.arguments[1].buffer, &part, columns, true),
            along(third.unwrap_or(&unread), &part, third_width, third.is_some()),
            along(job.weights.as_ref().unwrap_or(&unread), &part, 1, job.weights.is_some()),
            along(&gradients[0], &part, columns, true),
            along(&gradients[1], &part, columns, count > 1),
            along(&gradients[2], &part, columns, count > 2),
            (&values).into(),
        ];
        commands.push(gpu.dispatch(
            &kernel,
            &params,
            &storage,
            part.length.div_ceil(block) as u32,
        )?);
        length += variant.partials(software, part.length);
    }
    let gradients = gradients.into_iter().take(count).collect();
    Ok((
        commands,
        MultiInputResults { gradients, values, result: gpu.buffer("a loss", 4)? },
        length,
    ))
}

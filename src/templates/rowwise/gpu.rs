//! Row-wise template: its variants by row length, its parameters and its commands.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::wgsl::File;
use crate::templates::definition::{LossDefinition, Mean};
use crate::templates::job::{
    Buffers, Divisor, Job, MOST_IGNORED, Parts, Per, RESULT_KINDS, Written, flag, ignored_words,
};
use crate::templates::parts::{Part, along, binding_elements, cells, parts};
use crate::templates::program::{NUMBERS, PARTIALS_LANE, PARTIALS_TREE};
use crate::templates::sum::sum;
use crate::templates::variant::{Adapter, ROWS, RowGroup, Variant};
use crate::{Error, Result};

const ROW_DIVISOR: File = crate::runtime::wgsl::shader!("templates/rowwise/row_divisor.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct RowwiseParams {
    pub rows: u32,
    pub columns: u32,
    pub plane: u32,
    pub first_row: u32,
    pub block: u32,
    pub first_partial: u32,
    pub factor: f32,
    pub upstream: f32,
    pub ignored_count: u32,
    pub reserved: [u32; 3],
    pub ignored: [i32; MOST_IGNORED],
}

pub(crate) fn values_length(gpu: &Gpu, loss: &dyn LossDefinition, job: &Job) -> usize {
    match (job.auxiliary, job.each) {
        (true, _) => job.rows * RESULT_KINDS,
        (_, true) => job.rows,
        _ => {
            let software = gpu.is_software();
            let variant = variant(gpu, loss, job);
            let own = |part: &Part| variant.partials(software, part.length);
            // The partial sums of the divisor are written to the same buffer first.
            let divisor =
                |part: &Part| divisor_variant(software, job).partials(software, part.length);
            let sum_of = |of: &dyn Fn(&Part) -> usize| {
                parts(job.rows, most_rows(gpu, job)).map(|part| of(&part)).sum()
            };
            match job.divisor {
                Divisor::Known | Divisor::Ready => sum_of(&own),
                _ => sum_of(&|part| own(part).max(divisor(part))),
            }
        }
    }
}

/// All programs of a loss, with all optional inputs and without any, for the shader checks.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut variants = Vec::new();
    for software in [true, false] {
        for subgroups in [None, Some(if software { [8, 8] } else { [32, 32] }), Some([8, 32])] {
            for columns in [10, 12, 1000, 1001, 1025, 4096, 32_768, 32_769] {
                let variant = Variant::new(
                    &Adapter { software, subgroups, lanes: 1024 },
                    columns,
                    loss.spec().passes,
                );
                if !variants.contains(&variant) {
                    variants.push(variant);
                }
            }
        }
    }
    let mut programs = Vec::new();
    for on in [0.0, 1.0] {
        let switches = [
            "HAS_LABELS",
            "HAS_WEIGHT",
            "HAS_CLASS_WEIGHT",
            "CLASS_MASK",
            "HAS_POS_WEIGHT",
            "REDUCTION_NONE",
            "DIVISOR_ON_DEVICE",
            "AUXILIARY",
            "IN_PLACE",
        ];
        for written in std::iter::once(Written::Gradient).chain(Written::others_of(loss)) {
            let constants = || switches.map(|switch| (switch, on)).to_vec();
            programs.extend(variants.iter().map(|v| v.program(loss, written, constants())));
        }
        if loss.spec().peaks_first {
            // Its own way through rows of labels, of which the switches of either kind are no part.
            let constants = || {
                switches.map(|switch| {
                    let is_on = switch == "HAS_LABELS" || (on != 0.0 && switch != "AUXILIARY");
                    (switch, flag(is_on))
                })
            };
            programs.extend(
                variants.iter().map(|v| v.program(loss, Written::Gradient, constants().to_vec())),
            );
        }
        let constants = || switches.map(|switch| (switch, on)).to_vec();
        programs.extend(
            variants
                .iter()
                .map(|v| v.of_halves(true).program(loss, Written::Gradient, constants())),
        );
        for (software, half) in [(true, false), (false, false), (true, true), (false, true)] {
            let constants = switches[..4].iter().map(|switch| (*switch, on)).collect();
            programs.push(divisor_program(
                &Variant::alone(software, 1).of_halves(half),
                constants,
                on != 0.0,
            ));
        }
    }
    programs
}

/// Maximum number of rows that fit a binding, rounded so that every part begins at a valid binding
/// offset.
fn most_rows(gpu: &Gpu, job: &Job) -> usize {
    let most = (binding_elements(gpu) / job.row_length.max(1)).min(u32::MAX as usize);
    if most < job.rows { most / job.alignment() * job.alignment() } else { most }
}

fn variant(gpu: &Gpu, loss: &dyn LossDefinition, job: &Job) -> Variant {
    Variant::new(&Adapter::of(gpu), job.row_length, loss.spec().passes).of_halves(job.half)
}

fn divisor_variant(software: bool, job: &Job) -> Variant {
    Variant::alone(software, 1).of_halves(job.half)
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &Job,
    buffers: &Buffers,
) -> Result<(Vec<Command>, Parts)> {
    let most = most_rows(gpu, job);
    if most == 0 && job.rows > 0 {
        return Err(Error::TooLarge {
            name: format!(
                "{} rows of {} columns in {}",
                job.alignment(),
                job.row_length,
                loss.name()
            ),
            bytes: 4 * (job.alignment() * job.row_length) as u64,
            limit: gpu.limits().max_storage_buffer_binding_size,
            advice: "use fewer columns or the device `cpu`".into(),
        });
    }
    let mut commands = Vec::new();
    let mut upstreams = buffers.upstreams.clone();
    if job.divisor != Divisor::Known {
        if job.divisor != Divisor::Ready {
            divide_by_labels(gpu, loss, job, buffers, &mut commands)?;
        }
        upstreams = Some(buffers.result.clone());
    }
    let variant = variant(gpu, loss, job);
    let mut constants = inputs(loss, job, buffers);
    constants.extend([
        ("REDUCTION_NONE", flag(job.each)),
        ("DIVISOR_ON_DEVICE", flag(job.divisor != Divisor::Known)),
        ("AUXILIARY", flag(job.auxiliary)),
        ("IN_PLACE", flag(buffers.in_place())),
    ]);
    let kernel = gpu.kernel(&variant.program(loss, job.written, constants))?;
    let mut length = 0;
    for part in parts(job.rows, most) {
        let block = variant.block(gpu.is_software(), part.length);
        let params = RowwiseParams {
            block: block as u32,
            first_partial: length as u32,
            ..params(loss, job, &part)
        };
        let storage = storage(job, buffers, upstreams.as_ref(), &part);
        commands.push(gpu.dispatch(
            &kernel,
            &params,
            &storage,
            part.length.div_ceil(block) as u32,
        )?);
        length += variant.partials(gpu.is_software(), part.length);
    }
    // With auxiliary outputs there is one value per row.
    Ok((commands, Parts { length: if job.auxiliary { job.rows } else { length } }))
}

/// Constants for the inputs that were passed.
fn inputs(loss: &dyn LossDefinition, job: &Job, buffers: &Buffers) -> Vec<(&'static str, f64)> {
    let class_mask = match buffers.class_mask {
        None => 0.0,
        Some((_, Per::Column)) => 1.0,
        Some(_) => 2.0,
    };
    vec![
        ("HAS_LABELS", flag(job.labels)),
        ("HAS_WEIGHT", flag(buffers.weights.is_some())),
        ("HAS_CLASS_WEIGHT", flag(buffers.column_weights.is_some())),
        ("HAS_POS_WEIGHT", flag(buffers.pos_weights)),
        ("CLASS_MASK", class_mask),
        ("EXTRA_CLASSES", (loss.classes(job.row_length) - job.row_length) as f64),
    ]
}

fn params(loss: &dyn LossDefinition, job: &Job, part: &Part) -> RowwiseParams {
    let (ignored_count, ignored) = ignored_words(loss.ignored());
    RowwiseParams {
        rows: part.length as u32,
        columns: job.row_length as u32,
        plane: job.rows as u32,
        first_row: part.first as u32,
        block: 0,
        first_partial: 0,
        factor: job.factor,
        upstream: job.upstream,
        ignored_count,
        reserved: [0; 3],
        ignored,
    }
}

fn storage<'a>(
    job: &Job,
    buffers: &'a Buffers,
    upstreams: Option<&'a wgpu::Buffer>,
    part: &Part,
) -> [Slice<'a>; 8] {
    let unread = &buffers.unread;
    let (mask, mask_runs) =
        buffers.class_mask.as_ref().map_or((unread, false), |(b, per)| (b, *per == Per::Element));
    let weights = buffers.weights.as_ref().map(|(buffer, _)| buffer);
    let width = job.row_length;
    [
        buffers.read_predictions(part, width, job.half),
        if job.labels {
            along(&buffers.targets, part, 1, true)
        } else {
            cells(&buffers.targets, part, width, job.half)
        },
        buffers.column_weights.as_ref().unwrap_or(unread).into(),
        along(mask, part, width, mask_runs),
        along(weights.unwrap_or(unread), part, 1, weights.is_some()),
        along(upstreams.unwrap_or(unread), part, 1, job.each),
        cells(&buffers.gradient, part, width, job.half),
        (&buffers.values).into(),
    ]
}

fn divisor_program(
    variant: &Variant,
    mut constants: Vec<(&'static str, f64)>,
    by_row_weight: bool,
) -> Program {
    constants.extend([("WORKGROUP", variant.lanes as f64), ("BY_ROW_WEIGHT", flag(by_row_weight))]);
    let partials = if variant.row_group == (RowGroup::Lane { tree: true }) {
        PARTIALS_TREE
    } else {
        PARTIALS_LANE
    };
    let mut files = vec![ROW_DIVISOR, ROWS, NUMBERS, partials];
    files.extend(variant.cells());
    Program { label: "divisor of a mean".into(), header: String::new(), files, constants }
}

/// Sums the divisor of the mean from labels on the device into `result[2]`. The loss's kernel reads
/// it there, and so does the host: 0 means that every row is excluded.
fn divide_by_labels(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &Job,
    buffers: &Buffers,
    commands: &mut Vec<Command>,
) -> Result<()> {
    let software = gpu.is_software();
    let variant = divisor_variant(software, job);
    let mut constants = inputs(loss, job, buffers);
    if loss.spec().mean != Mean::OverClassWeights {
        constants.retain(|(name, _)| *name != "HAS_CLASS_WEIGHT");
    }
    constants.push(("IN_PLACE", flag(buffers.in_place())));
    let kernel =
        gpu.kernel(&divisor_program(&variant, constants, job.divisor == Divisor::OfRowWeights))?;
    let mut length = 0;
    for part in parts(job.rows, most_rows(gpu, job)) {
        let block = variant.block(software, part.length);
        let params = RowwiseParams {
            block: block as u32,
            first_partial: length as u32,
            ..params(loss, job, &part)
        };
        let storage = storage(job, buffers, None, &part);
        commands.push(gpu.dispatch(
            &kernel,
            &params,
            &storage,
            part.length.div_ceil(block) as u32,
        )?);
        length += variant.partials(software, part.length);
    }
    commands.push(sum(gpu, &buffers.values, length, &buffers.result, 2)?);
    Ok(())
}

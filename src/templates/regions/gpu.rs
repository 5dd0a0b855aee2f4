//! Regions template: sums over the regions, and the kernel of the gradients.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::MAX_LOOP_ITERATIONS;
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{MultiInputJob, MultiInputResults};
use crate::templates::parts::binding_elements;
use crate::templates::program::{LANES, NUMBERS, program};
use crate::{Error, Result};

const REGIONS: File = crate::runtime::wgsl::shader!("templates/regions/regions.wgsl");
const SUMS: File = crate::runtime::wgsl::shader!("templates/regions/region_sums.wgsl");
const GRADIENTS: File = crate::runtime::wgsl::shader!("templates/regions/region_gradients.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct RegionsParams {
    batch: u32,
    classes: u32,
    places: u32,
    factor: f32,
    upstream: f32,
    reserved: [u32; 3],
}

fn sums_program(lanes: usize) -> Program {
    Program {
        label: SUMS.name.into(),
        header: String::new(),
        files: vec![SUMS, REGIONS, LANES, NUMBERS],
        constants: vec![("WORKGROUP", lanes as f64)],
    }
}

fn gradients_program(
    loss: &dyn LossDefinition,
    lanes: usize,
    has_weight: bool,
    each: bool,
) -> Program {
    let constants = vec![
        ("WORKGROUP", lanes as f64),
        ("HAS_WEIGHT", flag(has_weight)),
        ("REDUCTION_NONE", flag(each)),
    ];
    program(loss, &[GRADIENTS, REGIONS, LANES, NUMBERS], constants)
}

const LANE_COUNTS: [usize; 3] = [8, 64, 256];

pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut programs = Vec::new();
    for lanes in LANE_COUNTS {
        programs.push(sums_program(lanes));
        programs.extend([false, true].map(|on| gradients_program(loss, lanes, on, on)));
    }
    programs
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let (predictions, targets) = (job.required("predictions")?, job.required("targets")?);
    let batch = job.length();
    let (classes, places) = (predictions.shape[1], predictions.shape[2]);
    let elements = batch * classes * places;
    let too_large = |name: String| Error::TooLarge {
        name,
        bytes: 4 * elements as u64,
        limit: gpu.limits().max_storage_buffer_binding_size,
        advice: "use a smaller batch or the device `cpu`".into(),
    };
    if elements > binding_elements(gpu) {
        return Err(too_large(format!("predictions of {}", loss.name())));
    }
    // The kernels loop over the places and twice over the classes.
    let longest = 2 * classes.max(places);
    let usual = if places <= 1024 { 64 } else { 256 };
    let fits = |lanes: &usize| longest.div_ceil(*lanes) <= MAX_LOOP_ITERATIONS;
    let lanes = if gpu.is_software() { LANE_COUNTS.into_iter().find(fits) } else { Some(usual) };
    let name = || format!("regions of {places} places on a software adapter");
    let lanes = lanes.ok_or_else(|| too_large(name()))?;
    let params = RegionsParams {
        batch: batch as u32,
        classes: classes as u32,
        places: places as u32,
        factor: job.factor,
        upstream: job.upstream,
        reserved: [0; 3],
    };
    let regions = (batch * classes) as u32;
    let sums = gpu.buffer("sums over regions", 4 * batch * classes)?;
    let (gradient, values) = (gpu.buffer("a gradient", elements)?, gpu.buffer("values", batch)?);
    let unread = gpu.unread_binding()?;
    let (weights, upstreams) =
        (job.weights.as_ref().unwrap_or(&unread), job.upstreams.as_ref().unwrap_or(&unread));
    let inputs = [&predictions.buffer, &targets.buffer, &sums];
    let kernel = gpu.kernel(&sums_program(lanes))?;
    let first = gpu.dispatch(&kernel, &params, &inputs.map(Slice::from), regions)?;
    let program = gradients_program(loss, lanes, job.weights.is_some(), job.each);
    let storage: Vec<Slice> = inputs
        .into_iter()
        .chain([weights, upstreams, &gradient, &values])
        .map(Slice::from)
        .collect();
    let second = gpu.dispatch(&gpu.kernel(&program)?, &params, &storage, regions)?;
    let results =
        MultiInputResults { gradients: vec![gradient], values, result: gpu.buffer("a loss", 4)? };
    Ok((vec![first, second], results, batch))
}

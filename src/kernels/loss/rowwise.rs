//! The row-wise frame: its variants by row length, its parameters, its commands.

use super::{
    ALIGNMENT, Buffers, Divisor, Job, MOST_IGNORED, NUMBERS, PARTIALS_LANE, PARTIALS_TREE, PLANES, Part, Parts, Per,
    along, binding_elements, flag, ignored_words, parts, program, sum,
};
use crate::device::Gpu;
use crate::kernel::{Command, Program, Slice};
use crate::losses::Loss;
use crate::wgsl::File;
use crate::{Error, Result};

const ROWS: File = crate::wgsl::shader!("kernels/rows.wgsl");
const ROWWISE: File = crate::wgsl::shader!("kernels/rowwise.wgsl");
const LANE: File = crate::wgsl::shader!("kernels/rowwise_lane.wgsl");
const SUBGROUPS: File = crate::wgsl::shader!("kernels/rowwise_subgroups.wgsl");
const MEMORY: File = crate::wgsl::shader!("kernels/rowwise_memory.wgsl");
const ROW_DIVISOR: File = crate::wgsl::shader!("kernels/row_divisor.wgsl");
const CELLS_VEC4: File = crate::wgsl::shader!("helpers/cells_vec4.wgsl");
const CELLS_SCALAR: File = crate::wgsl::shader!("helpers/cells_scalar.wgsl");

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
pub(super) struct RowwiseParams {
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

/// The longest row that one lane takes, all of it in registers. On software Vulkan 48 columns take 6.1 ms by eight
/// lanes and 3.2 by one (32,768 rows).
const MOST_ALONE: usize = 64;

/// Who takes a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Team {
    /// One lane; on hardware the workgroup adds its rows' values up in a tree.
    Lane { tree: bool },
    /// A workgroup, which is one subgroup or several.
    Subgroups { one: bool },
    /// A workgroup where there are no subgroups.
    Memory,
}

/// How rows of a length are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variant {
    pub team: Team,
    /// Of the workgroup.
    pub lanes: usize,
    /// Groups of four cells that a lane keeps in registers between the two passes; 0 if the row is read twice.
    pub held: usize,
    /// The length of a row that is compiled in; 0 if it is a parameter.
    pub columns: usize,
    pub vec4: bool,
}

/// What the choice of a variant must know of an adapter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adapter {
    pub software: bool,
    /// The smallest and the largest subgroup; `None` without.
    pub subgroups: Option<[u32; 2]>,
    /// The most lanes of a workgroup.
    pub lanes: u32,
}

impl Adapter {
    fn of(gpu: &Gpu) -> Self {
        let limits = gpu.limits();
        Adapter {
            software: gpu.is_software(),
            subgroups: gpu.subgroups(),
            lanes: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
        }
    }
}

impl Variant {
    /// The variant for rows of a length.
    ///
    /// On software Vulkan a workgroup is one vector of eight lanes: more of them only add barriers (3 to 6 times
    /// slower), and the second read of a long row comes out of the cache. On hardware a row stays in registers up to
    /// 8 vectors in each lane of the largest workgroup; a longer one is read again while it is in the second cache.
    pub fn new(adapter: &Adapter, columns: usize) -> Self {
        if columns <= MOST_ALONE {
            return Variant::alone(adapter.software, columns);
        }
        let subgroup = adapter.subgroups.map_or(64, |[_, largest]| largest.clamp(32, 64)) as usize;
        let lanes = match columns {
            _ if adapter.software => 8,
            ..=1024 => subgroup,
            1025..=8192 => 256,
            _ => (adapter.lanes as usize).clamp(256, 1024),
        };
        let team = match adapter.subgroups {
            Some([smallest, _]) => Team::Subgroups { one: lanes <= smallest as usize },
            None => Team::Memory,
        };
        let groups = columns.div_ceil(4 * lanes).next_power_of_two();
        let held = if adapter.software || groups > 8 { 0 } else { groups };
        Variant { team, lanes, held, columns: 0, vec4: columns.is_multiple_of(4) }
    }

    /// A lane takes a row.
    fn alone(software: bool, columns: usize) -> Self {
        let lanes = if software { 8 } else { 64 };
        let vec4 = columns.is_multiple_of(4);
        Variant { team: Team::Lane { tree: !software }, lanes, held: columns.div_ceil(4), columns, vec4 }
    }

    /// Rows that one workgroup takes: on software Vulkan several, since starting one costs as much as a short row.
    fn block(&self, software: bool, rows: usize) -> usize {
        let turns = |units: usize| if software { (units / 512).clamp(1, 32) } else { 1 };
        match self.team {
            Team::Lane { .. } => self.lanes * turns(rows / self.lanes),
            _ => turns(rows),
        }
    }

    /// Partial sums that so many rows leave.
    fn partials(&self, software: bool, rows: usize) -> usize {
        let workgroups = rows.div_ceil(self.block(software, rows));
        if self.team == (Team::Lane { tree: false }) { workgroups * self.lanes } else { workgroups }
    }

    /// The kernel with a filling and its switches.
    fn program(&self, loss: &dyn Loss, mut constants: Vec<(&'static str, f64)>) -> Program {
        let cells = if self.vec4 { CELLS_VEC4 } else { CELLS_SCALAR };
        let mut files = vec![ROWWISE, ROWS, cells, NUMBERS];
        constants.extend([
            ("WORKGROUP", self.lanes as f64),
            ("COLUMNS", self.columns as f64),
            ("HOLDS", flag(self.held > 0)),
        ]);
        match self.team {
            Team::Lane { tree } => files.extend([LANE, if tree { PARTIALS_TREE } else { PARTIALS_LANE }]),
            Team::Subgroups { one } => {
                files.push(SUBGROUPS);
                constants.push(("ONE_SUBGROUP", flag(one)));
            }
            Team::Memory => files.push(MEMORY),
        }
        let header = format!("const HELD: u32 = {}u;\n", self.held.max(1));
        Program { header, ..program(loss, &files, constants) }
    }
}

pub(super) fn values_length(gpu: &Gpu, job: &Job) -> usize {
    match (job.auxiliary, job.each) {
        (true, _) => job.rows * PLANES,
        (_, true) => job.rows,
        _ => {
            let software = gpu.is_software();
            let variant = Variant::new(&Adapter::of(gpu), job.row_length);
            let own = |part: &Part| variant.partials(software, part.length);
            // The divisor leaves its partial sums there first.
            let divisor = |part: &Part| Variant::alone(software, 1).partials(software, part.length);
            let most =
                |part: Part| if job.divisor == Divisor::Known { own(&part) } else { own(&part).max(divisor(&part)) };
            parts(job.rows, most_rows(gpu, job)).map(most).sum()
        }
    }
}

/// Every program of a loss, with all its inputs and with none: for the checks of the shaders.
pub(super) fn programs(loss: &dyn Loss) -> Vec<Program> {
    let mut variants = Vec::new();
    for software in [true, false] {
        for subgroups in [None, Some(if software { [8, 8] } else { [32, 32] }), Some([8, 32])] {
            for columns in [10, 12, 1000, 1001, 1025, 4096, 32_768, 32_769] {
                let variant = Variant::new(&Adapter { software, subgroups, lanes: 1024 }, columns);
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
            "EACH",
            "DIVISOR_ON_DEVICE",
            "AUXILIARY",
            "IN_PLACE",
        ];
        programs.extend(variants.iter().map(|v| v.program(loss, switches.map(|switch| (switch, on)).to_vec())));
        for variant in [true, false].map(|software| Variant::alone(software, 1)) {
            let constants = switches[..4].iter().map(|switch| (*switch, on)).collect();
            programs.push(divisor_program(&variant, constants, on != 0.0));
        }
    }
    programs
}

/// Rows that fit a binding.
fn most_rows(gpu: &Gpu, job: &Job) -> usize {
    (binding_elements(gpu) / job.row_length.max(1)).min(u32::MAX as usize)
}

pub(super) fn commands(gpu: &Gpu, loss: &dyn Loss, job: &Job, buffers: &Buffers) -> Result<(Vec<Command>, Parts)> {
    let most = most_rows(gpu, job);
    if most < ALIGNMENT && job.rows > most {
        return Err(Error::TooLarge {
            name: format!("{} rows of {} columns in {}", ALIGNMENT, job.row_length, loss.name()),
            bytes: 4 * (ALIGNMENT * job.row_length) as u64,
            limit: gpu.limits().max_storage_buffer_binding_size,
            advice: "use fewer columns or the device `cpu`".into(),
        });
    }
    let mut commands = Vec::new();
    let mut upstreams = buffers.upstreams.clone();
    if job.divisor != Divisor::Known {
        divide_by_labels(gpu, loss, job, buffers, &mut commands)?;
        upstreams = Some(buffers.result.clone());
    }
    let variant = Variant::new(&Adapter::of(gpu), job.row_length);
    let mut constants = inputs(job, buffers);
    constants.extend([
        ("EACH", flag(job.each)),
        ("DIVISOR_ON_DEVICE", flag(job.divisor != Divisor::Known)),
        ("AUXILIARY", flag(job.auxiliary)),
        ("IN_PLACE", flag(buffers.in_place())),
    ]);
    let kernel = gpu.kernel(&variant.program(loss, constants))?;
    let mut length = 0;
    for part in parts(job.rows, most) {
        let block = variant.block(gpu.is_software(), part.length);
        let params = RowwiseParams { block: block as u32, first_partial: length as u32, ..params(loss, job, &part) };
        let storage = storage(job, buffers, upstreams.as_ref(), &part);
        commands.push(gpu.dispatch(&kernel, &params, &storage, part.length.div_ceil(block) as u32)?);
        length += variant.partials(gpu.is_software(), part.length);
    }
    // With its auxiliary outputs each row has left its value.
    Ok((commands, Parts { length: if job.auxiliary { job.rows } else { length } }))
}

/// The switches of what is handed in.
fn inputs(job: &Job, buffers: &Buffers) -> Vec<(&'static str, f64)> {
    let class_mask = match buffers.class_mask {
        None => 0.0,
        Some((_, Per::Column)) => 1.0,
        Some(_) => 2.0,
    };
    vec![
        ("HAS_LABELS", flag(job.labels)),
        ("HAS_WEIGHT", flag(buffers.weights.is_some())),
        ("HAS_CLASS_WEIGHT", flag(buffers.column_weights.is_some())),
        ("CLASS_MASK", class_mask),
    ]
}

fn params(loss: &dyn Loss, job: &Job, part: &Part) -> RowwiseParams {
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

fn storage<'a>(job: &Job, buffers: &'a Buffers, upstreams: Option<&'a wgpu::Buffer>, part: &Part) -> [Slice<'a>; 8] {
    let absent = &buffers.absent;
    let (mask, mask_runs) = buffers.class_mask.as_ref().map_or((absent, false), |(b, per)| (b, *per == Per::Element));
    let weights = buffers.weights.as_ref().map(|(buffer, _)| buffer);
    let width = job.row_length;
    [
        buffers.read_predictions(part, width),
        along(&buffers.targets, part, if job.labels { 1 } else { width }, true),
        buffers.column_weights.as_ref().unwrap_or(absent).into(),
        along(mask, part, width, mask_runs),
        along(weights.unwrap_or(absent), part, 1, weights.is_some()),
        along(upstreams.unwrap_or(absent), part, 1, job.each),
        along(&buffers.gradient, part, width, true),
        (&buffers.values).into(),
    ]
}

fn divisor_program(variant: &Variant, mut constants: Vec<(&'static str, f64)>, by_row_weight: bool) -> Program {
    constants.extend([("WORKGROUP", variant.lanes as f64), ("BY_ROW_WEIGHT", flag(by_row_weight))]);
    let partials = if variant.team == (Team::Lane { tree: true }) { PARTIALS_TREE } else { PARTIALS_LANE };
    Program {
        label: "divisor of a mean".into(),
        header: String::new(),
        files: vec![ROW_DIVISOR, ROWS, CELLS_SCALAR, NUMBERS, partials],
        constants,
    }
}

/// Sums the divisor of the mean from labels on the device into `result[2]`, where the loss's kernel reads it, and the
/// host too: 0 says that every row was left out.
fn divide_by_labels(
    gpu: &Gpu,
    loss: &dyn Loss,
    job: &Job,
    buffers: &Buffers,
    commands: &mut Vec<Command>,
) -> Result<()> {
    let software = gpu.is_software();
    let variant = Variant::alone(software, 1);
    let mut constants = inputs(job, buffers);
    constants.push(("IN_PLACE", flag(buffers.in_place())));
    let kernel = gpu.kernel(&divisor_program(&variant, constants, job.divisor == Divisor::OfRowWeights))?;
    let mut length = 0;
    for part in parts(job.rows, most_rows(gpu, job)) {
        let block = variant.block(software, part.length);
        let params = RowwiseParams { block: block as u32, first_partial: length as u32, ..params(loss, job, &part) };
        let storage = storage(job, buffers, None, &part);
        commands.push(gpu.dispatch(&kernel, &params, &storage, part.length.div_ceil(block) as u32)?);
        length += variant.partials(software, part.length);
    }
    commands.push(sum(gpu, &buffers.values, length, &buffers.result, 2)?);
    Ok(())
}

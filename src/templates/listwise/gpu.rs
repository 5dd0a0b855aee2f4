//! Listwise template: two kernels over the items of each list, their bindings, and the units that
//! `mean` counts in each list.

use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::wgsl::File;
use crate::templates::argument::Domain;
use crate::templates::definition::{LossDefinition, Mean};
use crate::templates::job::{Buffers, Job, Parts, flag};
use crate::templates::parts::{Part, along, binding_elements, cells, parts};
use crate::templates::program::{NUMBERS, PARTIALS_LANE, PARTIALS_TREE, program};
use crate::{Error, Result};

const LISTS: File = crate::runtime::wgsl::shader!("templates/listwise/lists.wgsl");
const RECORDS: File = crate::runtime::wgsl::shader!("templates/listwise/list_records.wgsl");
const LISTWISE: File = crate::runtime::wgsl::shader!("templates/listwise/listwise.wgsl");
const UNITS: File = crate::runtime::wgsl::shader!("templates/listwise/list_units.wgsl");
const VALUES: File = crate::runtime::wgsl::shader!("templates/listwise/list_values.wgsl");
const ITEMS_FLOAT: File = crate::runtime::wgsl::shader!("templates/listwise/items_float.wgsl");
const ITEMS_HALF: File = crate::runtime::wgsl::shader!("templates/listwise/items_half.wgsl");
const GAINS: File = crate::runtime::wgsl::shader!("templates/listwise/gains.wgsl");

/// Target number of iterations per lane on software Vulkan: a long list is split over several
/// workgroups, and a workgroup processes several short lists.
const ITERATIONS: usize = 20_000;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ListParams {
    lists: u32,
    items: u32,
    blocks: u32,
    block: u32,
    iterations: u32,
    first_partial: u32,
    factor: f32,
    upstream: f32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct ValuesParams {
    lists: u32,
    count: u32,
    first: u32,
    reserved: u32,
}

/// Partition of lists of a given length into blocks and workgroups.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Layout {
    software: bool,
    lanes: usize,
    /// Number of items in a block.
    block: usize,
    /// Number of blocks in a list.
    blocks: usize,
}

impl Layout {
    /// On software Vulkan a workgroup is one vector of eight lanes. On hardware each item has its
    /// own lane: a list of 64 items is one workgroup, a longer list several.
    fn new(software: bool, items: usize) -> Self {
        let lanes = lanes_of(software) as usize;
        let rounds = if software {
            (ITERATIONS / iterations_of_item(items)).clamp(1, items.div_ceil(lanes).max(1))
        } else {
            1
        };
        let block = lanes * rounds;
        Layout { software, lanes, block, blocks: items.div_ceil(block) }
    }

    fn of(gpu: &Gpu, job: &Job) -> Self {
        Layout::new(gpu.is_software(), job.row_length)
    }

    /// Number of blocks that one workgroup processes, for `lists` lists.
    fn iterations(&self, items: usize, lists: usize) -> usize {
        if !self.software {
            return 1;
        }
        let iterations_of_block = self.block / self.lanes * iterations_of_item(items) + 1;
        (ITERATIONS / iterations_of_block).clamp(1, (lists * self.blocks / 64).max(1))
    }

    fn workgroups(&self, items: usize, lists: usize) -> usize {
        (lists * self.blocks).div_ceil(self.iterations(items, lists))
    }

    /// Number of partial sums for `lists` lists.
    fn partials(&self, items: usize, lists: usize) -> usize {
        self.workgroups(items, lists) * if self.software { self.lanes } else { 1 }
    }

    /// Number of partial sums per list with reduction `none`.
    fn parts_of_list(&self) -> usize {
        self.blocks * self.lanes
    }

    fn params(&self, job: &Job, part: &Part, first_partial: usize) -> ListParams {
        ListParams {
            lists: part.length as u32,
            items: job.row_length as u32,
            blocks: self.blocks as u32,
            block: self.block as u32,
            iterations: self.iterations(job.row_length, part.length) as u32,
            first_partial: first_partial as u32,
            factor: job.factor,
            upstream: job.upstream,
        }
    }
}

/// Number of iterations of a lane for one item: the other items, in runs of 64.
fn iterations_of_item(items: usize) -> usize {
    items + items.div_ceil(64) + 2
}

/// Maximum number of lists for which four numbers per item fit one binding.
fn most_lists(gpu: &Gpu, job: &Job) -> usize {
    let most = (binding_elements(gpu) / 4 / job.row_length.max(1)).min(u32::MAX as usize);
    if most < job.rows { most / job.alignment() * job.alignment() } else { most }
}

pub(crate) fn values_length(gpu: &Gpu, job: &Job) -> usize {
    if job.each {
        return job.rows;
    }
    parts(job.rows, most_lists(gpu, job))
        .map(|part| Layout::of(gpu, job).partials(job.row_length, part.length))
        .sum()
}

fn with_constants(
    layout: &Layout,
    mut constants: Vec<(&'static str, f64)>,
) -> Vec<(&'static str, f64)> {
    constants.push(("WORKGROUP", layout.lanes as f64));
    constants
}

fn partials(layout: &Layout) -> File {
    if layout.software { PARTIALS_LANE } else { PARTIALS_TREE }
}

fn template_program(
    loss: &dyn LossDefinition,
    kernel: File,
    layout: &Layout,
    constants: Vec<(&'static str, f64)>,
) -> Program {
    let mut files = vec![kernel, LISTS, ITEMS_FLOAT, NUMBERS, GAINS];
    if kernel == LISTWISE {
        files.push(partials(layout));
    }
    let mut constants = with_constants(layout, constants);
    constants.push(("CLASS_LIST", flag(loss.targets() == Domain::ClassList)));
    program(loss, &files, constants)
}

fn units_program(
    layout: &Layout,
    over_pairs: bool,
    half: bool,
    constants: Vec<(&'static str, f64)>,
) -> Program {
    let mut constants = with_constants(layout, constants);
    constants.push(("OVER_PAIRS", flag(over_pairs)));
    let items = if half { ITEMS_HALF } else { ITEMS_FLOAT };
    let files = vec![UNITS, LISTS, items, NUMBERS];
    Program { label: "units of lists".into(), header: String::new(), files, constants }
}

fn values_program(layout: &Layout) -> Program {
    Program {
        label: "values of lists".into(),
        header: String::new(),
        files: vec![VALUES],
        constants: with_constants(layout, Vec::new()),
    }
}

/// All programs of a loss, with all optional inputs and without any, for the shader checks.
pub(crate) fn programs(loss: &dyn LossDefinition) -> Vec<Program> {
    let mut programs = Vec::new();
    for layout in [true, false].map(|software| Layout::new(software, 100)) {
        for on in [0.0, 1.0] {
            let given =
                |names: &[&'static str]| names.iter().map(|&name| (name, on)).collect::<Vec<_>>();
            programs.push(template_program(loss, RECORDS, &layout, given(&["IN_PLACE"])));
            programs.push(template_program(
                loss,
                LISTWISE,
                &layout,
                given(&["HAS_WEIGHT", "HAS_ITEM_WEIGHT", "REDUCTION_NONE", "DIVISOR_ON_DEVICE"]),
            ));
            for half in [false, true] {
                programs.push(units_program(&layout, on != 0.0, half, given(&["IN_PLACE"])));
            }
        }
        programs.push(values_program(&layout));
    }
    programs
}

/// Returns an error for lists that exceed the size of a binding or the driver's loop limit.
fn check(gpu: &Gpu, loss: &dyn LossDefinition, job: &Job) -> Result<()> {
    let too_large = |name: String, bytes: usize, limit: u64| Error::TooLarge {
        name,
        bytes: bytes as u64,
        limit,
        advice: "use shorter lists or the device `cpu`".into(),
    };
    let most = most_lists(gpu, job);
    if most == 0 && job.rows > 0 {
        let name = format!(
            "records of {} lists of {} items in {}",
            job.alignment(),
            job.row_length,
            loss.name()
        );
        return Err(too_large(
            name,
            16 * job.alignment() * job.row_length,
            gpu.limits().max_storage_buffer_binding_size,
        ));
    }
    if gpu.is_software() && iterations_of_item(job.row_length) > MAX_LOOP_ITERATIONS {
        let name =
            format!("a list of {} items in {} on a software adapter", job.row_length, loss.name());
        return Err(too_large(
            name,
            4 * job.row_length,
            4 * (MAX_LOOP_ITERATIONS * 64 / 65) as u64,
        ));
    }
    Ok(())
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &Job,
    buffers: &Buffers,
) -> Result<(Vec<Command>, Parts)> {
    check(gpu, loss, job)?;
    let mut commands = Vec::new();
    let on_device = job.divisor != crate::templates::job::Divisor::Known;
    let upstreams = if on_device { Some(&buffers.result) } else { buffers.upstreams.as_ref() };
    let (layout, items) = (Layout::of(gpu, job), job.row_length);
    let records = gpu.kernel(&template_program(
        loss,
        RECORDS,
        &layout,
        vec![("IN_PLACE", flag(buffers.in_place()))],
    ))?;
    let switches = vec![
        ("HAS_WEIGHT", flag(buffers.weights.is_some())),
        ("HAS_ITEM_WEIGHT", flag(buffers.item_weights.is_some())),
        ("REDUCTION_NONE", flag(job.each)),
        ("DIVISOR_ON_DEVICE", flag(on_device)),
    ];
    let listwise = gpu.kernel(&template_program(loss, LISTWISE, &layout, switches))?;
    let longest = parts(job.rows, most_lists(gpu, job)).map(|part| part.length).max().unwrap_or(0);
    let kept = gpu.buffer("records of lists", 4 * longest * items)?;
    let each = if job.each {
        Some(gpu.buffer("parts of lists", longest * layout.parts_of_list())?)
    } else {
        None
    };
    let mut length = 0;
    for part in parts(job.rows, most_lists(gpu, job)) {
        let params = layout.params(job, &part, length);
        let workgroups = layout.workgroups(items, part.length) as u32;
        let values = each.as_ref().unwrap_or(&buffers.values);
        let storage = storage(job, buffers, upstreams, &part, values, &kept);
        commands.push(gpu.dispatch(&records, &params, &storage, workgroups)?);
        commands.push(gpu.dispatch(&listwise, &params, &storage, workgroups)?);
        if let Some(each) = &each {
            let kernel = gpu.kernel(&values_program(&layout))?;
            let params = ValuesParams {
                lists: part.length as u32,
                count: layout.parts_of_list() as u32,
                first: part.first as u32,
                reserved: 0,
            };
            let workgroups = part.length.div_ceil(layout.lanes) as u32;
            commands.push(gpu.dispatch(
                &kernel,
                &params,
                &[each.into(), (&buffers.values).into()],
                workgroups,
            )?);
        }
        length += layout.partials(items, part.length);
    }
    Ok((commands, Parts { length }))
}

fn storage<'a>(
    job: &Job,
    buffers: &'a Buffers,
    upstreams: Option<&'a wgpu::Buffer>,
    part: &Part,
    values: &'a wgpu::Buffer,
    records: &'a wgpu::Buffer,
) -> [Slice<'a>; 8] {
    let items = buffers.item_weights.as_ref();
    let weights = buffers.weights.as_ref().map(|(buffer, _)| buffer);
    [
        buffers.read_predictions(part, job.row_length, job.half),
        cells(&buffers.targets, part, job.row_length, job.half),
        along(weights.unwrap_or(&buffers.unread), part, 1, weights.is_some()),
        along(upstreams.unwrap_or(&buffers.unread), part, 1, job.each),
        cells(&buffers.gradient, part, job.row_length, job.half),
        values.into(),
        records.into(),
        match items {
            Some(items) => cells(items, part, job.row_length, false),
            None => (&buffers.unread).into(),
        },
    ]
}

/// The number of units that `mean` counts in each list: the pairs of items whose targets differ, or
/// 1 if the list has an item.
pub(crate) fn units_of_lists(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    job: &Job,
    buffers: &Buffers,
) -> Result<(Vec<Command>, wgpu::Buffer)> {
    check(gpu, loss, job)?;
    let (layout, items) = (Layout::of(gpu, job), job.row_length);
    let constants = vec![("IN_PLACE", flag(buffers.in_place()))];
    let kernel = gpu.kernel(&units_program(
        &layout,
        loss.spec().mean == Mean::OverPairs,
        job.half,
        constants,
    ))?;
    let join = gpu.kernel(&values_program(&layout))?;
    let longest = parts(job.rows, most_lists(gpu, job)).map(|part| part.length).max().unwrap_or(0);
    let each = gpu.buffer("parts of lists", longest * layout.parts_of_list())?;
    let units = gpu.buffer("units of lists", job.rows)?;
    // Weights and upstream gradients are not used here: every list is counted.
    let plain = Job { each: false, ..job.clone() };
    let buffers = Buffers { weights: None, ..buffers.clone() };
    let mut commands = Vec::new();
    for part in parts(job.rows, most_lists(gpu, job)) {
        let storage = storage(&plain, &buffers, None, &part, &each, &buffers.result);
        let workgroups = layout.workgroups(items, part.length) as u32;
        commands.push(gpu.dispatch(
            &kernel,
            &layout.params(job, &part, 0),
            &storage,
            workgroups,
        )?);
        let params = ValuesParams {
            lists: part.length as u32,
            count: layout.parts_of_list() as u32,
            first: part.first as u32,
            reserved: 0,
        };
        let workgroups = part.length.div_ceil(layout.lanes) as u32;
        commands.push(gpu.dispatch(
            &join,
            &params,
            &[(&each).into(), (&units).into()],
            workgroups,
        )?);
    }
    Ok((commands, units))
}

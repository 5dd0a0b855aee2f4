//! Embedding kernels: gather rows by ids, and an optimizer step on only the rows that were hit.

use crate::nn::optimizers;
use crate::nn::optimizers::update::STEP;
use crate::nn::optimizers::{MOST_STATES, Optimizer, Step};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::sort::Sorter;
use crate::runtime::wgsl::File;
use crate::{Error, Result};

const NUMBERS: File = crate::runtime::wgsl::shader!("lib/numbers.wgsl");
const SCALAR: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_scalar.wgsl");
const VEC4: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_vec4.wgsl");
const MOVE_SCALAR: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_move_scalar.wgsl");
const MOVE_VEC4: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_move_vec4.wgsl");
const RUNS: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_runs.wgsl");
const GATHER: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_gather.wgsl");
const CHECK_IDS: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_check_ids.wgsl");
const PARTS: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_parts.wgsl");
const UPDATE: File = crate::runtime::wgsl::shader!("ops/embedding/embedding_update.wgsl");

/// Positions after which a run of equal ids is split: `BLOCK` in the shaders.
pub(crate) const BLOCK: usize = 256;

/// Maximum ids per call: at this size the 256 threads of the id check, and the thread that joins
/// the blocks of one id, run 61,440 iterations and a few more. Software Vulkan silently exits loops
/// after 65,535 iterations in total.
const MOST_IDS: usize = 15 << 20;

/// Sizes of a table and of a batch of ids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sizes {
    pub ids: usize,
    pub rows: usize,
    pub width: usize,
}

impl Sizes {
    /// Checks that the sizes fit the kernels' 32-bit counts.
    pub fn check(&self, operation: &str) -> Result<()> {
        let most = u32::MAX as usize;
        if self.ids > MOST_IDS || self.ids.saturating_mul(self.width) > most {
            return Err(Error::Shape {
                operation: operation.into(),
                found: format!("{} ids in one call, rows of {}", self.ids, self.width),
                allowed: format!("up to {} there", MOST_IDS.min(most / self.width.max(1))),
            });
        }
        Ok(())
    }

    fn is_vec4(&self) -> bool {
        self.width.is_multiple_of(4)
    }

    /// Cells per row.
    fn cells(&self) -> usize {
        if self.is_vec4() { self.width / 4 } else { self.width }
    }
}

impl Sizes {
    /// Threads per row. A GPU takes one thread per cell. Software Vulkan runs eight threads at a
    /// time, also at positions that begin no run: there eight share a row (7.0 ms instead of 16.6
    /// for 4,096 ids and rows of 256), or more if they would exceed its loop limit.
    fn threads_per_row(&self, software: bool) -> usize {
        if !software {
            return self.cells();
        }
        let iterations_of_cell = BLOCK + self.ids.div_ceil(BLOCK) + 2;
        let cells_of_lane = ((MAX_LOOP_ITERATIONS - BLOCK) / iterations_of_cell).max(1);
        self.cells().div_ceil(cells_of_lane).max(self.cells().min(lanes_of(software) as usize))
    }
}

/// Parameters of the row kernels.
#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct RowsParams {
    ids: u32,
    cells: u32,
    rows: u32,
    threads_per_row: u32,
    step: [f32; 8],
}

impl RowsParams {
    pub fn new(gpu: &Gpu, sizes: &Sizes, step: &Step) -> Self {
        let threads_per_row = sizes.threads_per_row(gpu.is_software());
        let [ids, cells, rows, threads_per_row] =
            [sizes.ids, sizes.cells(), sizes.rows, threads_per_row].map(|number| number as u32);
        RowsParams { ids, cells, rows, threads_per_row, step: step.cast::<f32>().words() }
    }
}

/// Finds ids out of range; stores the first in `found` as (1 + position, id).
pub(crate) fn check(
    gpu: &Gpu,
    sizes: &Sizes,
    ids: &wgpu::Buffer,
    found: &wgpu::Buffer,
) -> Result<Command> {
    let params = [sizes.ids as u32, sizes.rows as u32, 0, 0];
    gpu.dispatch(&gpu.kernel(&plain("ids", &[CHECK_IDS]))?, &params, &[ids.into(), found.into()], 1)
}

/// output[i] = table[ids[i]].
pub(crate) fn gather(
    gpu: &Gpu,
    sizes: &Sizes,
    [ids, table, output]: [&wgpu::Buffer; 3],
) -> Result<Command> {
    let params = [sizes.ids as u32, sizes.cells() as u32, sizes.rows as u32, f32::NAN.to_bits()];
    let kernel = gpu.kernel(&gather_program(sizes.is_vec4(), lanes_of(gpu.is_software())))?;
    let workgroups = (sizes.ids * sizes.cells()).div_ceil(lanes_of(gpu.is_software()) as usize);
    gpu.dispatch(&kernel, &params, &[ids, table, output].map(Slice::from), workgroups as u32)
}

/// An optimizer step on rows of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowStep<'a> {
    pub sizes: Sizes,
    pub optimizer: &'a dyn Optimizer,
    pub table: &'a wgpu::Buffer,
    /// The optimizer's states, each of the table's size.
    pub states: &'a [wgpu::Buffer],
    /// Dummy binding for missing states: 256 bytes each.
    pub dummy: &'a wgpu::Buffer,
}

/// Scratch buffers of a step over a given number of ids; allocated once per size.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    sorter: Sorter,
    /// Block sums of long runs.
    parts: wgpu::Buffer,
    /// Holds [`RowsParams`].
    uniform: wgpu::Buffer,
}

impl Workspace {
    pub fn new(gpu: &Gpu, sizes: &Sizes) -> Result<Self> {
        let uniform = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: Some("a step on rows"),
            size: size_of::<RowsParams>() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        gpu.check("a step on rows", size_of::<RowsParams>() as u64)?;
        Self::with_uniform(gpu, sizes, uniform)
    }

    /// Creates the workspace with the given buffer for [`RowsParams`].
    pub fn with_uniform(gpu: &Gpu, sizes: &Sizes, uniform: wgpu::Buffer) -> Result<Self> {
        let parts =
            gpu.buffer("parts of a row's gradient", sizes.ids.div_ceil(BLOCK) * sizes.width)?;
        Ok(Workspace { sorter: Sorter::new(gpu, sizes.ids)?, parts, uniform })
    }

    /// Writes the step's parameters for the next run of the commands.
    pub fn set(&self, gpu: &Gpu, sizes: &Sizes, step: &Step) {
        gpu.queue().write_buffer(
            &self.uniform,
            0,
            bytemuck::bytes_of(&RowsParams::new(gpu, sizes, step)),
        );
    }

    /// The commands of a step: sort ids, sum gradients, update rows. The commands that read the
    /// step's parameters come last, from the returned index on.
    pub fn update(
        &self,
        gpu: &Gpu,
        job: &RowStep,
        ids: &wgpu::Buffer,
        gradients: &wgpu::Buffer,
    ) -> Result<(Vec<Command>, usize)> {
        let (sizes, lanes) = (&job.sizes, lanes_of(gpu.is_software()));
        let (mut commands, sorted) = self.sorter.sort(gpu, ids, sizes.rows)?;
        let stepped = commands.len();
        let uniform =
            Slice { buffer: &self.uniform, offset: 0, size: Some(size_of::<RowsParams>() as u64) };
        let mut push = |program: &Program, storage: &[Slice], row_groups: usize| -> Result<()> {
            let kernel = gpu.kernel(program)?;
            let bindings = gpu.bind(&kernel, uniform, storage)?;
            let workgroups = (row_groups * sizes.threads_per_row(gpu.is_software()))
                .div_ceil(lanes as usize) as u32;
            commands.push(Command::Dispatch { kernel, bindings, parameters: 0, workgroups });
            Ok(())
        };
        let blocks = sizes.ids.div_ceil(BLOCK);
        if blocks > 1 {
            let storage = [sorted, gradients, &self.parts].map(Slice::from);
            push(&parts_program(sizes.is_vec4(), lanes), &storage, blocks - 1)?;
        }
        let mut storage = [sorted, gradients, &self.parts, job.table].map(Slice::from).to_vec();
        for number in 0..MOST_STATES {
            let dummy = Slice { buffer: job.dummy, offset: 256 * number as u64, size: Some(256) };
            storage.push(job.states.get(number).map_or(dummy, Slice::from));
        }
        push(&update_program(job.optimizer, sizes.is_vec4(), lanes), &storage, sizes.ids)?;
        Ok((commands, stepped))
    }
}

fn plain(label: &str, files: &[File]) -> Program {
    Program {
        label: label.into(),
        header: String::new(),
        files: files.to_vec(),
        constants: Vec::new(),
    }
}

fn with_lanes(mut program: Program, lanes: u32) -> Program {
    program.constants.push(("WORKGROUP", lanes.into()));
    program
}

fn cells(vec4: bool) -> File {
    if vec4 { VEC4 } else { SCALAR }
}

fn gather_program(vec4: bool, lanes: u32) -> Program {
    with_lanes(plain("embedding", &[GATHER, cells(vec4)]), lanes)
}

fn parts_program(vec4: bool, lanes: u32) -> Program {
    with_lanes(plain("embedding, its gradient's parts", &[PARTS, RUNS, cells(vec4), STEP]), lanes)
}

fn update_program(optimizer: &dyn Optimizer, vec4: bool, lanes: u32) -> Program {
    let moves = if vec4 { MOVE_VEC4 } else { MOVE_SCALAR };
    let files = [UPDATE, RUNS, cells(vec4), moves, STEP, NUMBERS];
    let mut program =
        with_lanes(plain(&format!("embedding ({})", optimizer.name()), &files), lanes);
    program.constants.push(("STATES", optimizer.states() as f64));
    optimizers::link(&mut program, optimizer);
    program
}

/// True if the update rule may run on a subset of rows.
pub(crate) fn takes_rows(optimizer: &dyn Optimizer) -> bool {
    optimizer.per_tensor().is_none()
        && optimizer.averaged_state().is_none()
        && !optimizer.whole_batch()
}

/// All programs of this file, for the shader checks.
pub(crate) fn programs(optimizers: &[Box<dyn Optimizer>]) -> Vec<Program> {
    let mut programs = vec![plain("ids", &[CHECK_IDS])];
    for (vec4, lanes) in [(false, 8), (true, 8), (false, 64), (true, 64)] {
        programs.extend([gather_program(vec4, lanes), parts_program(vec4, lanes)]);
        let fitting = optimizers.iter().filter(|optimizer| takes_rows(&***optimizer));
        programs.extend(fitting.map(|optimizer| update_program(&**optimizer, vec4, lanes)));
    }
    programs
}

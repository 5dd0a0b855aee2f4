//! Similarity template: embedding norms, scores chunk by chunk, the kernel over their rows, and the
//! matrix products of the gradients.

use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::product;
use crate::nn::ops::matmul::shape::Shape;
use crate::nn::ops::matmul::{Layout, Params};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::wgsl::File;
use crate::templates::definition::LossDefinition;
use crate::templates::distance::gpu::SCALE;
use crate::templates::job::flag;
use crate::templates::multi_input::job::{Bound, MultiInputJob, MultiInputResults};
use crate::templates::program::{NUMBERS, program};
use crate::templates::similarity::Comparison;
use crate::templates::similarity::cpu::rows_at_a_time;
use crate::templates::variant::{Adapter, RowGroup, Variant};
use crate::{Error, Result};

const SIMILARITY: File = crate::runtime::wgsl::shader!("templates/similarity/similarity.wgsl");
const TRIPLETS: File = crate::runtime::wgsl::shader!("templates/similarity/triplets.wgsl");
const SCORE_ROWS: File = crate::runtime::wgsl::shader!("templates/similarity/score_rows.wgsl");
pub(crate) const UNIT_ROWS: File =
    crate::runtime::wgsl::shader!("templates/similarity/unit_rows.wgsl");
pub(crate) const UNIT_ROWS_BACKWARD: File =
    crate::runtime::wgsl::shader!("templates/similarity/unit_rows_backward.wgsl");

/// The longest row that eight lanes process on software Vulkan. Four passes of one cell per
/// iteration stay below 65,535 iterations, after which the driver ends the loops of an invocation
/// without an error.
const MOST_BY_EIGHT_LANES: usize = 1 << 16;

/// Maximum number of rows of mined triplets on software Vulkan, for the same reason. One lane loops
/// over a whole row. With several pairs per row (semi-hard) a lane loops over it for every 256th
/// positive, which may be all of them.
const MOST_MINED: usize = 1 << 15;
const MOST_MINED_IN_PAIRS: usize = 3800;

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct SimilarityParams {
    rows: u32,
    columns: u32,
    first_row: u32,
    block: u32,
    factor: f32,
    upstream: f32,
    first_label: u32,
    reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct UnitRowsParams {
    rows: u32,
    columns: u32,
    block: u32,
    reserved: u32,
}

/// The row group for a row of this length, one cell at a time.
fn row_group_variant(adapter: &Adapter, columns: usize) -> Variant {
    let subgroup = adapter.subgroups.map_or(64, |[_, largest]| largest.clamp(32, 64)) as usize;
    let lanes = match (adapter.software, columns) {
        (true, ..=MOST_BY_EIGHT_LANES) => 8,
        (false, ..=1024) => subgroup,
        _ => 256,
    };
    let row_group = match adapter.subgroups {
        Some([smallest, _]) => RowGroup::Subgroups { one: lanes <= smallest as usize },
        None => RowGroup::Memory,
    };
    Variant { row_group, lanes, held: 0, columns: 0, vec4: false, half: false }
}

fn scores_program(
    loss: &dyn LossDefinition,
    is_mined: bool,
    variant: &Variant,
    mut constants: Vec<(&'static str, f64)>,
) -> Program {
    let mut files = vec![if is_mined { TRIPLETS } else { SIMILARITY }, SCORE_ROWS, NUMBERS];
    let header = variant.add_row_group(&mut files, &mut constants);
    program(loss, &files, constants).with_header(&header)
}

fn unit_program(file: File, variant: &Variant) -> Program {
    let (mut files, mut constants) = (vec![file, SCALE], Vec::new());
    let header = variant.add_row_group(&mut files, &mut constants);
    Program { label: file.name.into(), header, files, constants }
}

pub(crate) fn programs(loss: &dyn LossDefinition, comparison: Comparison) -> Vec<Program> {
    let mut variants = Vec::new();
    for software in [true, false] {
        for subgroups in [None, Some(if software { [8, 8] } else { [32, 32] }), Some([8, 32])] {
            for columns in [128, 2000, 100_000] {
                let variant =
                    row_group_variant(&Adapter { software, subgroups, lanes: 1024 }, columns);
                if !variants.contains(&variant) {
                    variants.push(variant);
                }
            }
        }
    }
    let mut programs = Vec::new();
    for variant in &variants {
        for on in [0.0, 1.0] {
            let switches = ["HAS_LABELS", "HAS_OWN", "HAS_WEIGHT", "REDUCTION_NONE", "ADDS"]
                .map(|switch| (switch, on));
            programs.push(scores_program(loss, comparison.is_mined, variant, switches.to_vec()));
        }
        programs.extend([UNIT_ROWS, UNIT_ROWS_BACKWARD].map(|file| unit_program(file, variant)));
    }
    programs
}

/// One matrix of embeddings: the factors of the scores, and the buffer that accumulates its
/// gradient.
struct Side {
    rows: usize,
    units: wgpu::Buffer,
    /// The norms, if the embeddings are normalized.
    lengths: Option<wgpu::Buffer>,
    gradient: wgpu::Buffer,
}

/// Number of workgroups for `rows` rows, and number of rows in each. On software Vulkan several rows,
/// because starting a workgroup costs as much as a short row, but few enough to keep its loops below
/// 65,535 iterations: four passes, eight cells per iteration.
fn blocks(gpu: &Gpu, variant: &Variant, rows: usize, columns: usize) -> (u32, u32) {
    let block = variant.block(gpu.is_software(), rows).min((1 << 16) / columns.max(1)).max(1);
    (rows.div_ceil(block) as u32, block as u32)
}

/// Divides the rows of a matrix by their norms (`UNIT_ROWS`: embeddings, directions, norms), or takes
/// a gradient back to before that (`UNIT_ROWS_BACKWARD`: directions, norms, gradient).
pub(crate) fn unit_rows(
    gpu: &Gpu,
    file: File,
    [rows, columns]: [usize; 2],
    storage: &[Slice],
) -> Result<Command> {
    let variant = row_group_variant(&Adapter::of(gpu), columns);
    let (workgroups, block) = blocks(gpu, &variant, rows, columns);
    let params = UnitRowsParams { rows: rows as u32, columns: columns as u32, block, reserved: 0 };
    gpu.dispatch(&gpu.kernel(&unit_program(file, &variant))?, &params, storage, workgroups)
}

/// State shared by the commands of one call.
struct Plan<'a> {
    gpu: &'a Gpu,
    loss: &'a dyn LossDefinition,
    job: &'a MultiInputJob,
    rows: usize,
    /// Number of rows that each row is compared with.
    candidates: usize,
    columns: usize,
    /// The labels of the rows, and those of references behind them.
    labels: Option<wgpu::Buffer>,
    first_label: usize,
    /// True if the candidate of a row's index is its own.
    has_own: bool,
    scores: wgpu::Buffer,
    /// For mined triplets: one mark per score.
    marks: Option<wgpu::Buffer>,
    values: wgpu::Buffer,
    unread: wgpu::Buffer,
    commands: Vec<Command>,
}

impl Plan<'_> {
    fn unit_rows(&mut self, file: File, rows: usize, storage: &[Slice]) -> Result<()> {
        self.commands.push(unit_rows(self.gpu, file, [rows, self.columns], storage)?);
        Ok(())
    }

    fn side(&mut self, embeddings: &wgpu::Buffer, rows: usize, normalizes: bool) -> Result<Side> {
        let elements = rows * self.columns;
        let gradient = self.gpu.buffer("a gradient", elements)?;
        if !normalizes {
            return Ok(Side { rows, units: embeddings.clone(), lengths: None, gradient });
        }
        let units = self.gpu.buffer("directions", elements)?;
        let lengths = self.gpu.buffer("lengths", rows)?;
        let storage = [embeddings.into(), (&units).into(), (&lengths).into()];
        self.unit_rows(UNIT_ROWS, rows, &storage)?;
        Ok(Side { rows, units, lengths: Some(lengths), gradient })
    }

    fn backward(&mut self, side: &Side) -> Result<()> {
        match &side.lengths {
            Some(lengths) => {
                let storage = [(&side.units).into(), lengths.into(), (&side.gradient).into()];
                self.unit_rows(UNIT_ROWS_BACKWARD, side.rows, &storage)
            }
            None => Ok(()),
        }
    }

    fn product(
        &mut self,
        layout: Layout,
        params: Params,
        storage: [&wgpu::Buffer; 3],
    ) -> Result<()> {
        let commands = product(self.gpu, &Kind::plain(layout), &params, &storage.map(Slice::from))?;
        self.commands.extend(commands);
        Ok(())
    }

    /// All rows of one side against all of the other. `adds` is true for gradients, of rows and of
    /// columns, that are accumulated.
    fn direction(
        &mut self,
        [left, right]: [&Side; 2],
        adds: [bool; 2],
        share: f32,
        is_second: bool,
    ) -> Result<()> {
        let (candidates, columns) = (self.candidates as u32, self.columns as u32);
        let at_a_time = rows_at_a_time(self.rows, self.candidates);
        let scores = self.scores.clone();
        for begin in (0..self.rows).step_by(at_a_time) {
            let count = at_a_time.min(self.rows - begin) as u32;
            let offset = begin as u32 * columns;
            let shape = |m, n, k| Params::new(Shape { m, n, k });
            let params = Params { left_offset: offset, ..shape(count, candidates, columns) };
            self.product(Layout::NT, params, [&left.units, &right.units, &scores])?;
            self.take_rows(begin, count, share, is_second)?;
            // The columns' gradient first: with a single matrix it writes the gradient that the
            // rows' gradient is added to.
            let accumulate = u32::from(adds[1] || begin > 0);
            let params =
                Params { right_offset: offset, accumulate, ..shape(candidates, columns, count) };
            self.product(Layout::TN, params, [&scores, &left.units, &right.gradient])?;
            let params = Params {
                output_offset: offset,
                accumulate: u32::from(adds[0]),
                ..shape(count, columns, candidates)
            };
            self.product(Layout::NN, params, [&scores, &right.units, &left.gradient])?;
        }
        Ok(())
    }

    fn take_rows(&mut self, begin: usize, count: u32, share: f32, is_second: bool) -> Result<()> {
        let job = self.job;
        let labels = self.labels.as_ref();
        // Many lanes if each has its own pairs to search.
        let variant = row_group_variant(
            &Adapter::of(self.gpu),
            if self.marks.is_some() { usize::MAX } else { self.candidates },
        );
        let (workgroups, block) = match self.marks {
            Some(_) => (count, 1),
            None => blocks(self.gpu, &variant, count as usize, self.candidates),
        };
        let params = SimilarityParams {
            rows: count,
            columns: self.candidates as u32,
            first_row: begin as u32,
            block,
            factor: job.factor * share,
            upstream: job.upstream,
            first_label: self.first_label as u32,
            reserved: 0,
        };
        let constants = vec![
            ("HAS_LABELS", flag(labels.is_some())),
            ("HAS_OWN", flag(self.has_own)),
            ("HAS_WEIGHT", flag(job.weights.is_some())),
            ("REDUCTION_NONE", flag(job.each)),
            ("ADDS", flag(is_second)),
        ];
        let kernel = self.gpu.kernel(&scores_program(
            self.loss,
            self.marks.is_some(),
            &variant,
            constants,
        ))?;
        let mut storage: Vec<Slice> = vec![
            (&self.scores).into(),
            labels.unwrap_or(&self.unread).into(),
            job.weights.as_ref().unwrap_or(&self.unread).into(),
            job.upstreams.as_ref().filter(|_| job.each).unwrap_or(&self.unread).into(),
            (&self.values).into(),
        ];
        storage.extend(self.marks.as_ref().map(Slice::from));
        self.commands.push(self.gpu.dispatch(&kernel, &params, &storage, workgroups)?);
        Ok(())
    }
}

/// The two buffers one behind the other.
fn joined(
    gpu: &Gpu,
    name: &str,
    parts: [(&wgpu::Buffer, usize); 2],
    commands: &mut Vec<Command>,
) -> Result<wgpu::Buffer> {
    let [(first, length), (second, more)] = parts;
    let to = gpu.buffer(name, length + more)?;
    for (from, to_offset, length) in [(first, 0, length), (second, length, more)] {
        commands.push(Command::Copy {
            from: from.clone(),
            from_offset: 0,
            to: to.clone(),
            to_offset: 4 * to_offset as u64,
            size: 4 * length as u64,
        });
    }
    Ok(to)
}

fn check_mined(gpu: &Gpu, loss: &dyn LossDefinition, rows: usize) -> Result<()> {
    let in_pairs = loss.constants().contains(&("SEMI_HARD", 1.0));
    let most = if in_pairs { MOST_MINED_IN_PAIRS } else { MOST_MINED };
    if !gpu.is_software() || rows <= most {
        return Ok(());
    }
    Err(Error::TooLarge {
        name: format!("{rows} rows of {} on a software adapter, which takes {most}", loss.name()),
        bytes: 4 * (rows * rows) as u64,
        limit: 4 * (most * most) as u64,
        advice: "use smaller batches or the device `cpu`".into(),
    })
}

pub(crate) fn commands(
    gpu: &Gpu,
    loss: &dyn LossDefinition,
    comparison: Comparison,
    job: &MultiInputJob,
) -> Result<(Vec<Command>, MultiInputResults, usize)> {
    let rows = job.length();
    let columns = job.arguments[0].shape.last().copied().unwrap_or(1);
    let references = job.get("references");
    let is_second = |bound: &&Bound| !["targets", "references"].contains(&bound.name);
    let second = job.arguments.get(1).filter(is_second);
    let more = references.map_or(0, |bound| bound.shape[0]);
    let candidates = if second.is_none() && references.is_some() { more } else { rows + more };
    if comparison.is_mined {
        check_mined(gpu, loss, rows.max(candidates))?;
    }
    let mut commands = Vec::new();
    let labels = match (job.get("targets"), job.get("reference_labels")) {
        (Some(targets), Some(of_references)) => {
            let parts = [(&targets.buffer, rows), (&of_references.buffer, more)];
            Some(joined(gpu, "labels", parts, &mut commands)?)
        }
        (targets, _) => targets.map(|bound| bound.buffer.clone()),
    };
    let cells = rows_at_a_time(rows, candidates) * candidates;
    let mut plan = Plan {
        gpu,
        loss,
        job,
        rows,
        candidates,
        columns,
        labels,
        first_label: if job.get("reference_labels").is_some() { rows } else { 0 },
        has_own: references.is_none() || second.is_some(),
        scores: gpu.buffer("scores", cells)?,
        marks: comparison.is_mined.then(|| gpu.buffer("marks", cells)).transpose()?,
        values: gpu.buffer("values", rows)?,
        unread: gpu.unread_binding()?,
        commands,
    };
    let left = plan.side(&job.arguments[0].buffer, rows, comparison.normalizes)?;
    let mut gradients = vec![left.gradient.clone()];
    match (second, references) {
        (None, Some(references)) => {
            let right = plan.side(&references.buffer, more, comparison.normalizes)?;
            plan.direction([&left, &right], [false, false], 1.0, false)?;
            plan.backward(&left)?;
            plan.backward(&right)?;
            gradients.push(right.gradient);
        }
        (Some(second), Some(references)) => {
            let parts = [(&second.buffer, rows * columns), (&references.buffer, more * columns)];
            let all = joined(gpu, "candidates", parts, &mut plan.commands)?;
            let right = plan.side(&all, candidates, comparison.normalizes)?;
            plan.direction([&left, &right], [false, false], 1.0, false)?;
            plan.backward(&left)?;
            plan.backward(&right)?;
            for (first, count) in [(0, rows), (rows, more)] {
                let to = gpu.buffer("a gradient", count * columns)?;
                plan.commands.push(Command::Copy {
                    from: right.gradient.clone(),
                    from_offset: 4 * (first * columns) as u64,
                    to: to.clone(),
                    to_offset: 0,
                    size: 4 * (count * columns) as u64,
                });
                gradients.push(to);
            }
        }
        (Some(second), None) => {
            let right = plan.side(&second.buffer, rows, comparison.normalizes)?;
            let share = if comparison.is_symmetric { 0.5 } else { 1.0 };
            plan.direction([&left, &right], [false, false], share, false)?;
            if comparison.is_symmetric {
                plan.direction([&right, &left], [true, true], share, true)?;
            }
            plan.backward(&left)?;
            plan.backward(&right)?;
            gradients.push(right.gradient);
        }
        (None, None) => {
            plan.direction([&left, &left], [true, false], 1.0, false)?;
            plan.backward(&left)?;
        }
    }
    let results =
        MultiInputResults { gradients, values: plan.values, result: gpu.buffer("a loss", 4)? };
    Ok((plan.commands, results, rows))
}

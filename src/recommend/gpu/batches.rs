//! The batches of an epoch as commands, recorded once and run with new parameters each time.

use std::ops::Range;

use crate::cpu::random::Permutation;
use crate::nn::embedding::kernels::{Sizes, gather};
use crate::recommend::engine::{Optimizer, Tally, UpdateOptions};
use crate::recommend::gpu::state::{Batches, GpuEngine, Resident, Rows};
use crate::recommend::kernels::{
    BATCH_STRIDE, BatchParams, Choice, batch_uniform, sample_iterations, tally_program,
};
use crate::recommend::sampling::{Loss, Rules};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::runtime::sort::Sorter;
use crate::{Error, Result};

/// Batches per submission: short, to stay below the driver's watchdog and to keep the host one
/// submission ahead.
const BATCHES_IN_SUBMISSION: usize = 16;

/// The rows of users or of items that a batch updates.
#[derive(Clone, Copy)]
struct Side<'a> {
    rows: &'a Rows,
    /// The row that each hit updates.
    hits: &'a wgpu::Buffer,
    /// Number of hits.
    count: usize,
    /// The samples of the batch.
    records: &'a wgpu::Buffer,
    /// The vectors of the other side.
    other: &'a wgpu::Buffer,
}

impl GpuEngine {
    /// The batches for these rules; `None` without interactions.
    pub(super) fn prepared(
        &mut self,
        rules: &Rules,
        update_options: &UpdateOptions,
    ) -> Result<Option<&Batches>> {
        let count = match &self.interactions {
            Some(resident) if resident.count > 0 => resident.count,
            _ => return Ok(None),
        };
        let params = BatchParams {
            seed: [rules.seed as u32, (rules.seed >> 32) as u32],
            count: count as u32,
            users: self.layout.users,
            items: self.layout.items,
            cells: self.cells() as u32,
            max_sampled: rules.max_sampled,
            k: rules.k,
            n: rules.n,
            margin: rules.margin,
            learning_rate: update_options.learning_rate as f32,
            user_alpha: update_options.user_alpha as f32,
            item_alpha: update_options.item_alpha as f32,
            capacity: update_options.batch_size.clamp(1, count) as u32,
            user_rows: self.users.rows as u32,
            item_rows: self.items.rows as u32,
            ..BatchParams::default()
        };
        let repeats = [&self.users, &self.items]
            .map(|rows| rows.hybrid.as_ref().map_or(1, |hybrid| hybrid.repeats));
        // Each interaction of a batch may hit an item twice.
        let longest = params.capacity as usize * repeats[0].max(2 * repeats[1]);
        let choice = choose(&self.gpu, rules, update_options, &params, longest)?;
        let fits = |batches: &Batches| {
            batches.choice == choice
                && bytemuck::bytes_of(&batches.params) == bytemuck::bytes_of(&params)
                && batches.rank_weights == rules.rank_weights
        };
        if !self.batches.as_ref().is_some_and(fits) {
            self.batches = None; // release its buffers before allocating new ones
            let Some(resident) = &self.interactions else { return Ok(None) };
            self.batches = Some(Batches::new(self, resident, choice, params, rules)?);
        }
        Ok(self.batches.as_ref())
    }
}

/// Selects the kernels for at most `longest` hits per row; an error if that exceeds the counters of
/// a software adapter.
fn choose(
    gpu: &Gpu,
    rules: &Rules,
    update_options: &UpdateOptions,
    params: &BatchParams,
    longest: usize,
) -> Result<Choice> {
    let user_bias = match (rules.loss, update_options.user_bias_gradient) {
        (Loss::Logistic, _) => -1.0,
        (_, true) => 1.0,
        (_, false) => 0.0,
    };
    let loss = match rules.loss {
        Loss::Warp => 0,
        Loss::WarpKos => 1,
        Loss::Bpr => 2,
        Loss::Logistic => 3,
    };
    let exact_rank = rules.exact_rank && loss < 2;
    let adagrad = match update_options.optimizer {
        Optimizer::Adagrad => true,
        Optimizer::Sgd => false,
        Optimizer::Adadelta { .. } => {
            let allowed = "adagrad or sgd on a GPU; the device `cpu` has adadelta";
            return Err(Error::option("recommend", "optimizer", "adadelta", allowed));
        }
    };
    let mut choice = Choice {
        loss,
        exact_rank,
        adagrad,
        user_bias,
        lanes: lanes_of(gpu.is_software()),
        uses_row_group: !gpu.is_software() && loss < 3,
    };
    if !gpu.is_software() {
        return Ok(choice);
    }
    if sample_iterations(&choice, params) > MAX_LOOP_ITERATIONS as u64 {
        choice.uses_row_group = true;
    }
    let refused = |name: &str, found: String| {
        let allowed =
            "smaller on a software adapter, whose loops end early; or take the device `cpu`";
        Err(Error::option("recommend", name, found, allowed))
    };
    if sample_iterations(&choice, params) > MAX_LOOP_ITERATIONS as u64 {
        return refused(
            "max_sampled, items and components",
            format!("{}, {}, {}", params.max_sampled, params.items, 4 * params.cells - 4),
        );
    }
    if longest > MAX_LOOP_ITERATIONS {
        return refused("batch_size", params.capacity.to_string());
    }
    Ok(choice)
}

impl Batches {
    fn new(
        engine: &GpuEngine,
        resident: &Resident,
        choice: Choice,
        params: BatchParams,
        rules: &Rules,
    ) -> Result<Self> {
        let gpu = &engine.gpu;
        let (capacity, cells) = (params.capacity as usize, params.cells as usize);
        let batches = resident.count.div_ceil(capacity);
        let numbers = |purpose: &str, each: usize| gpu.buffer(purpose, each * capacity);
        let rank_weights =
            if rules.rank_weights.is_empty() { &[0.0][..] } else { &rules.rank_weights };
        let weights = gpu.upload("rank weights", rank_weights)?;
        let (records, losses) = (numbers("samples", 4)?, numbers("losses", 1)?);
        let (user_hits, item_hits) = (numbers("hits of users", 1)?, numbers("hits of items", 2)?);
        let before = numbers("users before", 4 * cells)?;
        let (users, items) = (&engine.users, &engine.items);
        let mut made = Batches {
            choice,
            params,
            rank_weights: rules.rank_weights.clone(),
            commands: Vec::new(),
            uniform: batch_uniform(gpu, batches)?,
            tallies: gpu.buffer("tallies", 4 * batches)?,
            records,
        };
        let records = made.records.clone();
        let storage = [
            &resident.known,
            users.vectors(),
            items.vectors(),
            &weights,
            &records,
            &losses,
            &user_hits,
            &item_hits,
        ];
        made.push(gpu, &choice.sample(), &storage, choice.sample_workgroups(capacity))?;
        let tallies = made.tallies.clone();
        made.push(gpu, &tally_program(), &[&records, &losses, &tallies], 1)?;
        let sizes = Sizes { ids: capacity, rows: users.entities, width: 4 * cells };
        sizes.check("recommend")?;
        made.commands.push((gather(gpu, &sizes, [&user_hits, users.vectors(), &before])?, false));
        // Users first: they read the items before their update, the items read a copy of the users.
        let side = Side {
            rows: users,
            hits: &user_hits,
            count: capacity,
            records: &records,
            other: items.vectors(),
        };
        made.move_side(gpu, &side, |most| choice.users(most))?;
        let side = Side {
            rows: items,
            hits: &item_hits,
            count: 2 * capacity,
            records: &records,
            other: &before,
        };
        made.move_side(gpu, &side, |most| choice.items(most))?;
        Ok(made)
    }

    /// The commands that update a side's rows: sort hits by row, apply each row's hits, recompute
    /// entities from their features.
    fn move_side(
        &mut self,
        gpu: &Gpu,
        side: &Side,
        program: impl Fn(Option<u32>) -> Program,
    ) -> Result<()> {
        let Side { rows, hits, count, records, other } = *side;
        let most = rows.hybrid.as_ref().map(|hybrid| hybrid.most());
        let shares =
            rows.hybrid.as_ref().map(|hybrid| hybrid.shares(gpu, hits, count)).transpose()?;
        self.commands.extend(shares.iter().map(|shares| (shares.command.clone(), false)));
        let places = count * most.unwrap_or(1) as usize;
        let sorter = Sorter::new(gpu, places)?;
        let (commands, sorted) =
            sorter.sort(gpu, shares.as_ref().map_or(hits, |shares| &shares.rows), rows.rows)?;
        self.commands.extend(commands.into_iter().map(|command| (command, false)));
        let mut storage = vec![sorted, records, other, &rows.parameters, &rows.squares];
        storage.extend(shares.iter().map(|shares| &shares.shares));
        let lanes = places as u64 * u64::from(self.params.cells);
        self.push(gpu, &program(most), &storage, lanes.div_ceil(self.choice.lanes.into()) as u32)?;
        if let Some(hybrid) = &rows.hybrid {
            self.commands.push((hybrid.sums(gpu, &rows.parameters)?, false));
        }
        Ok(())
    }

    /// A command that reads the uniform of its batch.
    fn push(
        &mut self,
        gpu: &Gpu,
        program: &Program,
        storage: &[&wgpu::Buffer],
        workgroups: u32,
    ) -> Result<()> {
        let kernel = gpu.kernel(program)?;
        let uniform =
            Slice { buffer: &self.uniform, offset: 0, size: Some(size_of::<BatchParams>() as u64) };
        let storage: Vec<Slice> = storage.iter().map(|buffer| Slice::from(*buffer)).collect();
        let bindings = gpu.bind(&kernel, uniform, &storage)?;
        self.commands
            .push((Command::Dispatch { kernel, bindings, parameters: 0, workgroups }, true));
        Ok(())
    }

    /// The range clipped to the existing batches.
    pub fn within(&self, which: Range<usize>) -> Range<usize> {
        let count = (self.params.count as usize).div_ceil(self.params.capacity as usize);
        which.start.min(count)..which.end.min(count)
    }

    /// Submits a range of an epoch's batches; `behind` returns commands to run after those of a
    /// batch.
    pub fn run(
        &self,
        gpu: &Gpu,
        rules: &Rules,
        epoch: u32,
        which: Range<usize>,
        behind: impl Fn(usize) -> Vec<Command>,
    ) -> Result<()> {
        if which.is_empty() {
            return Ok(());
        }
        let keys = Permutation::new(self.params.count, rules.seed, epoch).keys();
        let (capacity, stride) = (self.params.capacity, BATCH_STRIDE as usize);
        let mut bytes = vec![0; stride * which.len()];
        for (batch, slot) in which.clone().zip(bytes.chunks_mut(stride)) {
            let first = batch as u32 * capacity;
            let length = capacity.min(self.params.count - first);
            let params =
                BatchParams { epoch, batch: batch as u32, keys, first, length, ..self.params };
            slot[..size_of::<BatchParams>()].copy_from_slice(bytemuck::bytes_of(&params));
        }
        gpu.queue().write_buffer(&self.uniform, (stride * which.start) as u64, &bytes);
        let mut commands = Vec::new();
        for batch in which.clone() {
            commands.extend(self.commands.iter().map(|(command, reads)| match (command, reads) {
                (Command::Dispatch { kernel, bindings, workgroups, .. }, true) => {
                    Command::Dispatch {
                        kernel: kernel.clone(),
                        bindings: bindings.clone(),
                        parameters: (batch * stride) as u32,
                        workgroups: *workgroups,
                    }
                }
                _ => command.clone(),
            }));
            commands.extend(behind(batch));
            if (batch + 1) % BATCHES_IN_SUBMISSION == 0 || batch + 1 == which.end {
                gpu.submit(&commands)?;
                commands.clear();
            }
        }
        Ok(())
    }

    /// Waits for a range of batches and adds their totals to `tally`.
    pub fn add_to(&self, gpu: &Gpu, which: Range<usize>, tally: &mut Tally) -> Result<()> {
        if which.is_empty() {
            return Ok(());
        }
        let words: Vec<u32> =
            pollster::block_on(gpu.download(&self.tallies, 4 * which.start, 4 * which.len()))?;
        for batch in words.chunks(4) {
            tally.loss += f64::from(f32::from_bits(batch[0]));
            tally.draws += u64::from(batch[1]) | u64::from(batch[3]) << 32;
            tally.updates += u64::from(batch[2]);
        }
        Ok(())
    }
}

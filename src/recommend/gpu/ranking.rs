//! Scores and ranks of all items: a matrix product over as many users at a time as fit the score
//! buffer, then counting.

use crate::nn::ops::matmul::kind::Kind;
use crate::nn::ops::matmul::product::product;
use crate::nn::ops::matmul::{Layout, Params};
use crate::recommend::gpu::state::{GpuEngine, Rows};
use crate::recommend::interactions::Interactions;
use crate::recommend::kernels::{finite_program, pack_program, rank_program};
use crate::runtime::kernel::{Command, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};
use crate::{Error, Result};

/// Maximum number of scores per buffer: 64 MiB.
const MOST_SCORES: usize = 1 << 24;

/// The items' rows, packed for products.
pub(super) struct Scorer<'a> {
    engine: &'a GpuEngine,
    items: wgpu::Buffer,
    /// Users per batch.
    pub users: usize,
    pub scores: wgpu::Buffer,
}

impl<'a> Scorer<'a> {
    pub fn new(engine: &'a GpuEngine, users: usize) -> Result<Self> {
        let (gpu, rows) = (&engine.gpu, &engine.items);
        let items = gpu.buffer("items, ready", rows.entities * 4 * engine.cells())?;
        let users = users.min(MOST_SCORES / rows.entities).max(1);
        let scores = gpu.buffer("scores", users * rows.entities)?;
        let scorer = Scorer { engine, items, users, scores };
        let dummy = gpu.buffer("nobody", 4)?;
        gpu.submit(&[scorer.pack(true, rows.entities, &dummy, rows.vectors(), &scorer.items)?])?;
        Ok(scorer)
    }

    fn pack(
        &self,
        items: bool,
        rows: usize,
        chosen: &wgpu::Buffer,
        table: &wgpu::Buffer,
        packed: &wgpu::Buffer,
    ) -> Result<Command> {
        let (gpu, cells) = (&self.engine.gpu, self.engine.cells());
        let kernel = gpu.kernel(&pack_program(items, lanes_of(gpu.is_software())))?;
        let params = [rows as u32, cells as u32, 0, 0];
        let workgroups = (rows * cells).div_ceil(lanes_of(gpu.is_software()) as usize) as u32;
        gpu.dispatch(&kernel, &params, &[chosen, table, packed].map(Slice::from), workgroups)
    }

    /// The commands that compute the scores of these users, at most `self.users`.
    pub fn score(&self, users: &[u32]) -> Result<Vec<Command>> {
        let (gpu, k) = (&self.engine.gpu, 4 * self.engine.cells());
        let chosen = gpu.upload("users", users)?;
        let packed = gpu.buffer("users, ready", users.len() * k)?;
        let mut commands =
            vec![self.pack(false, users.len(), &chosen, self.engine.users.vectors(), &packed)?];
        let [m, n, k] = [users.len(), self.engine.items.entities, k].map(|axis| axis as u32);
        let params = Params { m, n, k, ..Params::default() };
        let storage = [&packed, &self.items, &self.scores].map(Slice::from);
        commands.extend(product(gpu, &Kind::plain(Layout::NT), &params, &storage)?);
        Ok(commands)
    }
}

/// [users, items].
pub(super) fn scores(engine: &GpuEngine, users: &[u32]) -> Result<Vec<f32>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let scorer = Scorer::new(engine, users.len())?;
    let mut all = Vec::with_capacity(users.len() * engine.items.entities);
    for users in users.chunks(scorer.users) {
        engine.gpu.submit(&scorer.score(users)?)?;
        let length = users.len() * engine.items.entities;
        all.extend(pollster::block_on(engine.gpu.download::<f32>(&scorer.scores, 0, length))?);
    }
    Ok(all)
}

/// For each wanted interaction: the number of other items, except those of `excluded`, that score
/// at least as high.
pub(super) fn ranks(
    engine: &GpuEngine,
    wanted: &Interactions,
    excluded: Option<&Interactions>,
) -> Result<Vec<u32>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let found = ranks_on_device(engine, wanted, excluded)?;
    pollster::block_on(engine.gpu.download(&found, 0, wanted.len()))
}

/// As [`ranks`], for at least one interaction; the ranks stay on the device.
pub(super) fn ranks_on_device(
    engine: &GpuEngine,
    wanted: &Interactions,
    excluded: Option<&Interactions>,
) -> Result<wgpu::Buffer> {
    let (gpu, items) = (&engine.gpu, engine.items.entities);
    let users: Vec<u32> = (0..wanted.users())
        .filter(|&user| !wanted.of(user).is_empty())
        .map(|user| user as u32)
        .collect();
    let scorer = Scorer::new(engine, users.len())?;
    let lanes = if items > 8 * MAX_LOOP_ITERATIONS / 2 { 64 } else { lanes_of(gpu.is_software()) };
    if gpu.is_software() && items > 64 * MAX_LOOP_ITERATIONS / 2 {
        return Err(Error::option(
            "recommend",
            "items",
            items,
            "fewer on a software adapter; or take the device `cpu`",
        ));
    }
    let none = [0];
    let left_out = gpu.upload(
        "items left out",
        excluded.map_or(&none[..], |excluded| nonempty(excluded.known().items)),
    )?;
    let places =
        gpu.upload("wanted items", &wanted_words(wanted, excluded, &users, scorer.users))?;
    let found = gpu.buffer("ranks", wanted.len())?;
    let kernel = gpu.kernel(&rank_program(lanes))?;
    let mut first = 0;
    for users in users.chunks(scorer.users) {
        let count: usize = users.iter().map(|&user| wanted.of(user as usize).len()).sum();
        let params = [first as u32, count as u32, items as u32, 0];
        let storage = [&scorer.scores, &places, &left_out, &found].map(Slice::from);
        let mut commands = scorer.score(users)?;
        commands.push(gpu.dispatch(&kernel, &params, &storage, count as u32)?);
        gpu.submit(&commands)?;
        first += count;
    }
    Ok(found)
}

/// (row of the scores, item, begin and end of its exclusions) of each wanted interaction.
fn wanted_words(
    wanted: &Interactions,
    excluded: Option<&Interactions>,
    users: &[u32],
    rows: usize,
) -> Vec<u32> {
    let mut words = Vec::with_capacity(4 * wanted.len());
    for (number, &user) in users.iter().enumerate() {
        let out = excluded.map_or(0..0, |excluded| excluded.range(user as usize));
        for &item in wanted.of(user as usize) {
            words.extend([(number % rows) as u32, item, out.start as u32, out.end as u32]);
        }
    }
    words
}

fn nonempty(items: &[u32]) -> &[u32] {
    if items.is_empty() { &[0] } else { items }
}

/// True if all rows are finite.
pub(super) fn is_finite(engine: &GpuEngine) -> Result<bool> {
    let gpu = &engine.gpu;
    let found = gpu.upload("numbers that are not finite", &[0_u32; 4])?;
    let kernel = gpu.kernel(&finite_program(lanes_of(gpu.is_software())))?;
    let look = |rows: &Rows| {
        let length = (rows.length() / 4) as u32;
        let storage = [&rows.parameters, &found].map(Slice::from);
        gpu.dispatch(
            &kernel,
            &[length, 0, 0, 0],
            &storage,
            length.div_ceil(lanes_of(gpu.is_software())),
        )
    };
    gpu.submit(&[look(&engine.users)?, look(&engine.items)?])?;
    let found: Vec<u32> = pollster::block_on(gpu.download(&found, 0, 1))?;
    Ok(found[0] == 0)
}

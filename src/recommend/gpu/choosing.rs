//! Top-n items and nearest items selected on the device, so that only the results are read back.

use crate::Result;
use crate::recommend::best::{Scored, best, in_order};
use crate::recommend::gpu::ranking::Scorer;
use crate::recommend::gpu::state::GpuEngine;
use crate::recommend::interactions::Interactions;
use crate::recommend::kernels::{best_iterations, best_program, similar_program};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Slice};
use crate::runtime::launch::{MAX_LOOP_ITERATIONS, lanes_of};

/// True if selecting on the device moves fewer bytes than reading the scores, and fits its
/// counters.
fn is_worth(gpu: &Gpu, items: usize, n: usize) -> bool {
    4 * n <= items && !(gpu.is_software() && best_iterations(items) > MAX_LOOP_ITERATIONS)
}

/// Top-n selection from rows of scores.
struct Choice {
    command: Command,
    /// [rows, n] of (item, score).
    found: wgpu::Buffer,
    n: usize,
    /// Results per row.
    counts: Vec<usize>,
}

impl Choice {
    /// `left_out` lists the items excluded from each row, each once.
    fn new(
        gpu: &Gpu,
        scores: &wgpu::Buffer,
        items: usize,
        n: usize,
        left_out: &[&[u32]],
    ) -> Result<Self> {
        let rows = left_out.len();
        let mut words = Vec::with_capacity(rows + 1);
        let mut start = rows + 1;
        for row in left_out {
            words.push(start as u32);
            start += row.len();
        }
        words.push(start as u32);
        left_out.iter().for_each(|row| words.extend_from_slice(row));
        let words = gpu.upload("items left out", &words)?;
        let found = gpu.buffer("best items", 2 * rows * n)?;
        let storage = [&words, scores, &found].map(Slice::from);
        let params = [rows as u32, items as u32, n as u32, 0];
        let command =
            gpu.dispatch(&gpu.kernel(&best_program())?, &params, &storage, rows as u32)?;
        let counts = left_out.iter().map(|row| n.min(items - row.len())).collect();
        Ok(Choice { command, found, n, counts })
    }

    fn read(&self, gpu: &Gpu) -> Result<Vec<Vec<Scored>>> {
        let words: Vec<u32> =
            pollster::block_on(gpu.download(&self.found, 0, 2 * self.n * self.counts.len()))?;
        let scored = |pair: &[u32]| Scored { item: pair[0], score: f32::from_bits(pair[1]) };
        let rows = words.chunks(2 * self.n).zip(&self.counts);
        Ok(rows
            .map(|(row, &count)| in_order(row[..2 * count].chunks(2).map(scored).collect()))
            .collect())
    }
}

/// The `n` best of each row of scores; excluded items are masked in the scores.
#[cfg(test)]
pub(super) fn choose(
    gpu: &Gpu,
    scores: &wgpu::Buffer,
    items: usize,
    n: usize,
    left_out: &[&[u32]],
) -> Result<Vec<Vec<Scored>>> {
    let choice = Choice::new(gpu, scores, items, n, left_out)?;
    gpu.submit([&choice.command])?;
    choice.read(gpu)
}

/// The `n` best items of each of these users, excluding those of `seen`.
pub(super) fn best_of(
    engine: &GpuEngine,
    users: &[u32],
    n: usize,
    seen: Option<&Interactions>,
) -> Result<Vec<Vec<Scored>>> {
    let (gpu, items) = (&engine.gpu, engine.items.entities);
    if users.is_empty() || n == 0 {
        return Ok(vec![Vec::new(); users.len()]);
    }
    let scorer = Scorer::new(engine, users.len())?;
    let mut lists = Vec::with_capacity(users.len());
    for users in users.chunks(scorer.users) {
        let left_out: Vec<&[u32]> =
            users.iter().map(|&user| seen.map_or(&[][..], |seen| seen.of(user as usize))).collect();
        let mut commands = scorer.score(users)?;
        if !is_worth(gpu, items, n) {
            gpu.submit(&commands)?;
            let scores: Vec<f32> =
                pollster::block_on(gpu.download(&scorer.scores, 0, users.len() * items))?;
            lists.extend(
                scores.chunks(items).zip(left_out).map(|(row, left_out)| best(row, n, left_out)),
            );
            continue;
        }
        let choice = Choice::new(gpu, &scorer.scores, items, n, &left_out)?;
        commands.push(choice.command.clone());
        gpu.submit(&commands)?;
        lists.extend(choice.read(gpu)?);
    }
    Ok(lists)
}

/// The `n` items with the highest cosine similarity to this one, excluding itself.
pub(super) fn similar(engine: &GpuEngine, item: u32, n: usize) -> Result<Vec<Scored>> {
    let (gpu, items, lanes) =
        (&engine.gpu, engine.items.entities, lanes_of(engine.gpu.is_software()));
    if n == 0 {
        return Ok(Vec::new());
    }
    let cosines = gpu.buffer("cosines", items)?;
    let params = [items as u32, engine.cells() as u32, item, 0];
    let storage = [engine.items.vectors(), &cosines].map(Slice::from);
    let kernel = gpu.kernel(&similar_program(lanes))?;
    let compare = gpu.dispatch(&kernel, &params, &storage, (items as u32).div_ceil(lanes))?;
    if !is_worth(gpu, items, n) {
        gpu.submit(&[compare])?;
        let cosines: Vec<f32> = pollster::block_on(gpu.download(&cosines, 0, items))?;
        return Ok(best(&cosines, n, &[item]));
    }
    let choice = Choice::new(gpu, &cosines, items, n, &[&[item]])?;
    gpu.submit(&[compare, choice.command.clone()])?;
    Ok(choice.read(gpu)?.remove(0))
}

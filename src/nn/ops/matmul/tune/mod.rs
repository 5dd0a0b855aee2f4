//! Autotunes matmul tiles by timing candidates, once per bucket of sizes, and caches the choice.
//!
//! Each candidate runs the real program on its own buffers, filled with random numbers (zeros draw
//! less power and seem faster). **No choice changes a bit**: all tiles sum in the same order
//! (`matmul::Variant`), and a candidate whose product differs from the default tile's is discarded,
//! in case a driver miscompiles it. The split of k does change bits; it is determined by the shape
//! and never tuned.

use std::time::{Duration, Instant};

use crate::Result;
use crate::cpu::random::Random;
use crate::nn::ops::matmul;
use crate::nn::ops::matmul::kind::{Kind, adapter};
use crate::nn::ops::matmul::shape::Shape;
use crate::nn::ops::matmul::tile::{TILES, Tile};
use crate::nn::ops::matmul::{Epilogue, Layout, Params, Variant};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Slice};

/// Time limit per bucket. No work that is predicted to exceed it is started. Tuning may take half a
/// second in all, and the difference allows for one compilation slower than those before.
const BUDGET: Duration = Duration::from_millis(350);

/// Below this many multiplications, launching a kernel takes longer than running it: use the
/// default.
const LEAST_PRODUCT: u64 = 1 << 21;

/// Longest matrix side in trials: larger products behave the same, and buffers are 64 MiB.
const LONGEST: u32 = 4096;

/// The default tile is replaced only by one that takes less than this fraction of its time: smaller
/// differences are noise.
const MARGIN: f64 = 0.97;

/// Rounds over all candidates; the best time of each counts.
const ROUNDS: usize = 3;

/// Minimum length of a sample in seconds, so that submission overhead is negligible.
const SAMPLE: f64 = 4e-3;

/// Output elements compared.
const COMPARED: usize = 1 << 18;

/// The variant for a product: cached, or tuned now; the default if tuning is off or impossible.
pub(crate) fn variant(gpu: &Gpu, kind: &Kind, params: &Params) -> Result<Variant> {
    let adapter = adapter(gpu);
    let rule = matmul::variant(params, kind.layout, &adapter);
    if !gpu.autotunes() || params.shape().products() < LEAST_PRODUCT {
        return Ok(rule);
    }
    let candidates = matmul::candidates(params.shape(), &adapter);
    if candidates.len() < 2 {
        return Ok(rule);
    }
    let key = bucket(params, kind.layout, rule.vec4);
    // Held until the choice is made: two concurrent tunings would disturb each other's timings.
    let mut choices = gpu.choices(fingerprint);
    let tile = match choices.get(&key) {
        // A choice made for another size in the bucket may be invalid for this one.
        Some(name) => {
            candidates.iter().copied().find(|tile| tile.name() == name).unwrap_or(rule.tile)
        }
        None => match measure(gpu, kind, params, rule.vec4, &candidates) {
            Ok(tile) => {
                choices.remember(key, tile.name());
                tile
            }
            // For example, no memory for the trial. If the device is lost, the caller's own work
            // reports it.
            Err(error) => {
                log::warn!("tuning {key}: {error}; the rule's tile is taken");
                rule.tile
            }
        },
    };
    Ok(Variant { tile, ..rule })
}

/// Bucket key: sizes with the same next powers of two share a choice.
fn bucket(params: &Params, layout: Layout, vec4: bool) -> String {
    let side = |length: u32| length.min(LONGEST).next_power_of_two();
    let (m, n, k) = (side(params.m - params.ones), side(params.n), side(params.k));
    format!("{layout:?} {} {m}x{n}x{k}", if vec4 { "vec4" } else { "scalar" })
}

/// Fingerprint of everything a choice depends on except the adapter.
fn fingerprint() -> u64 {
    let mut texts: Vec<String> = Vec::new();
    for tile in TILES {
        for vec4 in [false, true] {
            for layout in [Layout::NN, Layout::NT, Layout::TN] {
                let variant = Variant { tile, vec4, split: false };
                texts.push(variant.header());
                let files = variant.sources(layout, Epilogue::Forward);
                texts.extend(files.iter().map(|file| file.text.to_string()));
            }
        }
    }
    crate::runtime::cache::fingerprint(texts.iter().map(String::as_bytes))
}

/// A candidate under trial.
struct Trial {
    tile: Tile,
    command: Command,
    /// Seconds of the best run.
    best: f64,
}

/// Times the candidates, the default first, and returns the best.
fn measure(
    gpu: &Gpu,
    kind: &Kind,
    params: &Params,
    vec4: bool,
    candidates: &[Tile],
) -> Result<Tile> {
    let start = Instant::now();
    let time_for = |seconds: f64| start.elapsed().as_secs_f64() + seconds < BUDGET.as_secs_f64();
    let scratch = Scratch::new(gpu, kind, params)?;
    let mut trials: Vec<Trial> = Vec::new();
    let mut expected: Vec<f32> = Vec::new();
    let mut longest = 0.0;
    for &tile in candidates {
        if !trials.is_empty() && !time_for(longest) {
            break;
        }
        let begun = Instant::now();
        let command = scratch.command(gpu, kind, &Variant { tile, vec4, split: false })?;
        // The first run compiles.
        run(gpu, &command, 1)?;
        let found = scratch.sample(gpu)?;
        longest = begun.elapsed().as_secs_f64().max(longest);
        if trials.is_empty() {
            expected = found;
        } else if found != expected {
            log::warn!(
                "{} gives other sums than {} on this driver and is left out",
                tile.name(),
                candidates[0].name()
            );
            continue;
        }
        let best = run(gpu, &command, 1)?;
        trials.push(Trial { tile, command, best });
    }
    let fastest =
        |trials: &[Trial]| trials.iter().map(|trial| trial.best).fold(f64::INFINITY, f64::min);
    // One run rules out slow candidates; the default stays as the baseline.
    let limit = 2.0 * fastest(&trials);
    let rule = candidates[0];
    trials.retain(|trial| trial.tile == rule || trial.best <= limit);
    // The single runs above include the wait: measure again, all candidates or none.
    let mut best = vec![f64::INFINITY; trials.len()];
    for _ in 0..ROUNDS {
        let repeats = |trial: &Trial| ((SAMPLE / trial.best).ceil() as usize).clamp(1, 64);
        let round: f64 = trials.iter().map(|trial| trial.best * repeats(trial) as f64).sum();
        if !time_for(round) {
            break;
        }
        for (trial, best) in trials.iter().zip(&mut best) {
            *best = run(gpu, &trial.command, repeats(trial))?.min(*best);
        }
    }
    if best[0].is_finite() {
        trials.iter_mut().zip(best).for_each(|(trial, best)| trial.best = best);
    }
    let chosen = trials.iter().min_by(|a, b| a.best.total_cmp(&b.best));
    let chosen = chosen
        .filter(|trial| trial.best < MARGIN * trials[0].best)
        .map_or(rule, |trial| trial.tile);
    log::info!(
        "tuned {:?} {:?} to {} in {:.0?}",
        Kind { half: None, ..*kind },
        params.shape(),
        chosen.name(),
        start.elapsed()
    );
    Ok(chosen)
}

/// Seconds per run of `repeats` runs, including the wait for the last.
fn run(gpu: &Gpu, command: &Command, repeats: usize) -> Result<f64> {
    let start = Instant::now();
    gpu.submit(std::iter::repeat_n(command, repeats))?;
    gpu.wait()?;
    Ok(start.elapsed().as_secs_f64() / repeats as f64)
}

/// Buffers of a trial, separate from the user's.
struct Scratch {
    params: Params,
    /// Contents of the epilogue's bindings, in order.
    buffers: Vec<wgpu::Buffer>,
    output: usize,
}

impl Scratch {
    fn new(gpu: &Gpu, kind: &Kind, real: &Params) -> Result<Self> {
        let side = |length: u32| length.min(LONGEST);
        let (m, n, k) = (side(real.m - real.ones), side(real.n), side(real.k));
        let params = Params { ones: real.ones, ..Params::new(Shape { m: m + real.ones, n, k }) };
        let (stored, out) = ((m * k) as usize, ((m + real.ones) * n) as usize);
        let (right, bias) = ((k * n) as usize, n as usize);
        let (lengths, output) = match kind.epilogue {
            Epilogue::Forward => (vec![stored, right, bias, out, out], 3),
            Epilogue::InputGradient => (vec![stored, right, out, out, out], 2),
            Epilogue::WeightGradient => (vec![stored, right, out], 2),
        };
        let mut random = Random::new(0, 0);
        let numbers: Vec<f32> = (0..1 << 16).map(|_| random.normal() as f32).collect();
        let numbers = gpu.upload("numbers to tune with", &numbers)?;
        let mut buffers = Vec::new();
        let mut copies = Vec::new();
        for length in lengths {
            let buffer = gpu.buffer("a matrix to tune with", length)?;
            let mut to_offset = 0;
            while to_offset < buffer.size() {
                let size = numbers.size().min(buffer.size() - to_offset);
                let (from, to) = (numbers.clone(), buffer.clone());
                copies.push(Command::Copy { from, from_offset: 0, to, to_offset, size });
                to_offset += size;
            }
            buffers.push(buffer);
        }
        gpu.submit(&copies)?;
        Ok(Scratch { params, buffers, output })
    }

    fn command(&self, gpu: &Gpu, kind: &Kind, variant: &Variant) -> Result<Command> {
        let storage: Vec<Slice> = self.buffers.iter().map(Slice::from).collect();
        let kernel = gpu.kernel(&kind.program(variant))?;
        gpu.dispatch(&kernel, &self.params, &storage, variant.workgroups(self.params.shape()))
    }

    /// The beginning of the output.
    fn sample(&self, gpu: &Gpu) -> Result<Vec<f32>> {
        let length = (self.params.m * self.params.n) as usize;
        pollster::block_on(gpu.download(&self.buffers[self.output], 0, length.min(COMPARED)))
    }
}

#[cfg(test)]
mod tests;

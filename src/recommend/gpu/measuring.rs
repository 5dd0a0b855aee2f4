//! Metrics reduced on the device: each user's ranks are sorted, reduced per workgroup, and only the
//! partial sums are read back.

use crate::Result;
use crate::recommend::gpu::ranking::ranks_on_device;
use crate::recommend::gpu::state::GpuEngine;
use crate::recommend::interactions::Interactions;
use crate::recommend::kernels::{measure_program, order_program};
use crate::recommend::metrics::{Convention, Metrics, Sums, check};
use crate::runtime::device::Gpu;
use crate::runtime::kernel::Slice;
use crate::runtime::launch::lanes_of;

/// Maximum number of reducing workgroups: enough to fill a device, and 32 KiB of partial sums to
/// read back.
const MOST_WORKGROUPS: usize = 1024;

/// Words per workgroup's partial sums.
const WORDS: usize = 8;

/// Ranking metrics of `test`, excluding the items of `train`.
pub(super) fn metrics(
    engine: &GpuEngine,
    convention: Convention,
    test: &Interactions,
    train: Option<&Interactions>,
    k: usize,
) -> Result<Metrics> {
    check(test, k)?;
    let ranks = ranks_on_device(engine, test, train)?;
    metrics_of(&engine.gpu, convention, test, train, ranks, k)
}

/// As [`Metrics::new`], from ranks on the device, which are sorted in the process. Requires a
/// non-empty `test` and `k` > 0.
pub(super) fn metrics_of(
    gpu: &Gpu,
    convention: Convention,
    test: &Interactions,
    train: Option<&Interactions>,
    ranks: wgpu::Buffer,
    k: usize,
) -> Result<Metrics> {
    let (count, lanes) = (test.len(), lanes_of(gpu.is_software()));
    let longest = (0..test.users()).map(|user| test.of(user).len()).max().unwrap_or(0);
    let owners = gpu.upload("users of test items", test.known().users)?;
    let excluded =
        (0..test.users()).map(|user| train.map_or(0, |train| train.of(user).len()) as u32);
    let rows: Vec<u32> = test.known().starts.iter().copied().chain(excluded).collect();
    let rows = gpu.upload("rows of test items", &rows)?;
    let (mut from, mut to) = (ranks, gpu.buffer("sorted ranks", count)?);
    let mut commands = Vec::new();
    let order = gpu.kernel(&order_program(lanes))?;
    let mut width = 1;
    while width < longest {
        let storage = [&owners, &rows, &from, &to].map(Slice::from);
        let params = [count as u32, width as u32, 0, 0];
        commands.push(gpu.dispatch(&order, &params, &storage, (count as u32).div_ceil(lanes))?);
        std::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    let places = k.min(test.items());
    let discounts = gpu.upload("discounts", &discounts(places, places.min(longest)))?;
    let workgroups = count.div_ceil(lanes as usize).min(MOST_WORKGROUPS);
    let sums = gpu.buffer("metrics", WORDS * workgroups)?;
    let [users, items] = [test.users(), test.items()].map(|number| number as u32);
    let params = [count as u32, users, items, places as u32, workgroups as u32, 0, 0, 0];
    let measure = gpu.kernel(&measure_program(convention == Convention::Implicit, lanes))?;
    let storage = [&owners, &rows, &from, &discounts, &sums].map(Slice::from);
    commands.push(gpu.dispatch(&measure, &params, &storage, workgroups as u32)?);
    gpu.submit(&commands)?;
    let words: Vec<u32> = pollster::block_on(gpu.download(&sums, 0, WORDS * workgroups))?;
    Ok(Metrics::from_sums(convention, test, k, &added_up(&words)))
}

/// 1 / log₂(r + 2) for ranks below `places`, then the prefix sums of the first 1, 2, … `most` of
/// them.
fn discounts(places: usize, most: usize) -> Vec<f32> {
    let discount = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
    let sums = (0..most).scan(0.0, |sum, rank| {
        *sum += discount(rank);
        Some(*sum)
    });
    (0..places).map(discount).chain(sums).map(|number| number as f32).collect()
}

/// Adds the workgroups' partial sums in order, in f64.
fn added_up(words: &[u32]) -> Sums {
    let mut sums = Sums::default();
    for words in words.chunks(WORDS) {
        let number = |word: usize| f64::from(f32::from_bits(words[word]));
        sums.hits += u64::from(words[0]);
        sums.recall += number(1);
        sums.auc += number(2);
        sums.reciprocal_rank += number(4);
        sums.average_precision += number(5);
        sums.ndcg += number(6);
    }
    sums
}

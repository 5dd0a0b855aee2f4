//! Stable sort of ids on the device: a radix sort without atomics, four bits at a time.

use crate::Result;
use crate::runtime::device::Gpu;
use crate::runtime::kernel::{Command, Program};
use crate::runtime::launch::lanes_of;
use crate::runtime::wgsl::File;

const HELPERS: File = crate::runtime::wgsl::shader!("ops/sort/sort.wgsl");
const COUNT: File = crate::runtime::wgsl::shader!("ops/sort/sort_count.wgsl");
const SCAN: File = crate::runtime::wgsl::shader!("ops/sort/sort_scan.wgsl");
const PLACE: File = crate::runtime::wgsl::shader!("ops/sort/sort_place.wgsl");

/// Values of a digit (`DIGITS` in the shaders).
const DIGITS: usize = 16;

/// Maximum number of runs: one workgroup sums their counts.
const MOST_RUNS: usize = 8192;

/// Minimum ids per run, to amortize an invocation's private counters.
const LEAST_RUN: usize = 16;

#[repr(C)]
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
struct SortParams {
    count: u32,
    limit: u32,
    shift: u32,
    run: u32,
    runs: u32,
    reserved: [u32; 3],
}

/// The buffers of a sort of `count` ids.
#[derive(Clone, Debug)]
pub(crate) struct Sorter {
    count: usize,
    run: usize,
    /// (id, position), alternating between the two with each digit.
    pairs: [wgpu::Buffer; 2],
    counts: wgpu::Buffer,
}

impl Sorter {
    /// Buffers for `count` ids.
    pub fn new(gpu: &Gpu, count: usize) -> Result<Self> {
        let run = count.div_ceil(MOST_RUNS).max(LEAST_RUN);
        let pairs = || gpu.buffer("sorted ids", 2 * count);
        let counts = gpu.buffer("counts of digits", DIGITS * count.div_ceil(run))?;
        Ok(Sorter { count, run, pairs: [pairs()?, pairs()?], counts })
    }

    /// The commands that sort, and the buffer of the sorted (id, position): by id, then by
    /// position. Ids of `limit` or more, or below 0, are moved to the end as `limit`.
    pub fn sort(
        &self,
        gpu: &Gpu,
        ids: &wgpu::Buffer,
        limit: usize,
    ) -> Result<(Vec<Command>, &wgpu::Buffer)> {
        let runs = self.count.div_ceil(self.run);
        let bits = usize::BITS - limit.leading_zeros();
        let (mut commands, mut from, mut to) = (Vec::new(), &self.pairs[1], &self.pairs[0]);
        for shift in (0..bits.max(1)).step_by(DIGITS.ilog2() as usize) {
            let [count, run, runs, limit] =
                [self.count, self.run, runs, limit].map(|number| number as u32);
            let params = SortParams { count, limit, shift, run, runs, reserved: [0; 3] };
            let workgroups = runs.div_ceil(lanes_of(gpu.is_software()));
            let kernel = gpu.kernel(&count_program(lanes_of(gpu.is_software()), shift == 0))?;
            let storage = [ids, from, &self.counts].map(Into::into);
            commands.push(gpu.dispatch(&kernel, &params, &storage, workgroups)?);
            let kernel = gpu.kernel(&scan_program())?;
            let length = [DIGITS as u32 * runs, 0, 0, 0];
            commands.push(gpu.dispatch(&kernel, &length, &[(&self.counts).into()], 1)?);
            let kernel = gpu.kernel(&place_program(lanes_of(gpu.is_software()), shift == 0))?;
            let storage = [ids, from, &self.counts, to].map(Into::into);
            commands.push(gpu.dispatch(&kernel, &params, &storage, workgroups)?);
            (from, to) = (to, from);
        }
        Ok((commands, from))
    }
}

fn program(label: &str, files: &[File], constants: &[(&'static str, f64)]) -> Program {
    Program {
        label: label.into(),
        header: String::new(),
        files: files.to_vec(),
        constants: constants.to_vec(),
    }
}

fn each(lanes: u32, first: bool) -> [(&'static str, f64); 2] {
    [("WORKGROUP", lanes.into()), ("IS_FIRST", f64::from(u8::from(first)))]
}

fn count_program(lanes: u32, first: bool) -> Program {
    program("sort, its counts", &[COUNT, HELPERS], &each(lanes, first))
}

fn scan_program() -> Program {
    program("sort, its places", &[SCAN], &[])
}

fn place_program(lanes: u32, first: bool) -> Program {
    program("sort", &[PLACE, HELPERS], &each(lanes, first))
}

/// Every program of this file, for the shader checks.
pub(crate) fn programs() -> Vec<Program> {
    let mut programs = vec![scan_program()];
    for (lanes, first) in [(8, true), (8, false), (64, true), (64, false)] {
        programs.extend([count_program(lanes, first), place_program(lanes, first)]);
    }
    programs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::random::Random;

    /// (id, position) as sorted by the device and by the standard library.
    fn both(count: usize, limit: usize, spread: f64) -> [Vec<u32>; 2] {
        let gpu = Gpu::open().expect("these tests need an adapter, a software one will do");
        let mut random = Random::new(count as u64, 0);
        let ids: Vec<i32> = (0..count).map(|_| (random.uniform() * spread) as i32 - 2).collect();
        let buffer = gpu.upload("ids", &ids).unwrap();
        let sorter = Sorter::new(&gpu, count).unwrap();
        let (commands, sorted) = sorter.sort(&gpu, &buffer, limit).unwrap();
        gpu.submit(&commands).unwrap();
        let found = pollster::block_on(gpu.download(sorted, 0, 2 * count)).unwrap();
        let key = |id: i32| (id as u32).min(limit as u32);
        let mut exact: Vec<[u32; 2]> = ids.iter().zip(0..).map(|(&id, at)| [key(id), at]).collect();
        exact.sort();
        [found, exact.concat()]
    }

    #[test]
    fn ids_come_in_order_and_equal_ones_in_the_order_of_their_positions() {
        crate::runtime::device::test_adapter::needs_gpu!();
        for (count, limit) in
            [(1, 1), (15, 3), (17, 16), (1000, 255), (4096, 14_563), (9000, 1 << 20)]
        {
            let [found, exact] = both(count, limit, limit as f64 + 4.0);
            assert_eq!(found, exact, "{count} ids below {limit}");
        }
    }

    #[test]
    fn a_run_grows_where_there_would_be_too_many() {
        crate::runtime::device::test_adapter::needs_gpu!();
        let count = MOST_RUNS * LEAST_RUN + 5;
        let [found, exact] = both(count, 300, 40.0);
        assert!(found == exact, "{count} ids, each some 3000 times");
    }
}

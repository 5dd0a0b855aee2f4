//! Measures: how fast a device computes each loss with its gradient, the matrix product and a training step.
//!
//! Losses move bytes, so their measure is bytes ÷ time as a fraction of what a copy kernel of our own reaches in the same process on buffers of the same
//! size, the samples of both taken in turns. Counted are the bytes that the loss *must* move, each input read and each output written
//! once: whoever moves more gets a smaller fraction. The tensors live on the device, and buffers are used again; nothing is
//! uploaded, allocated or read back within a sample.
//!
//! ```
//! use gradus::{Device, bench};
//! let cases = bench::cases(&["mse".into()], true)?;
//! let found = bench::measure(&cases[0], &Device::cpu(), 3)?;
//! assert_eq!((found.name, found.device), ("mse", "cpu"));
//! assert!(found.seconds >= found.seconds_min && found.seconds_min > 0.0);
//! # Ok::<(), gradus::Error>(())
//! ```

mod case;
mod gpu;
mod host;
mod step;

use serde::Serialize;

use crate::{Device, Result};

pub use case::{Case, cases};
pub(crate) use gpu::copy_program;

use case::{Kind, cycled};

/// Samples of a measure whose median is taken.
pub const SAMPLES: usize = 20;

/// A sample runs its work as often as fits this many seconds, so that the clock's grain and the submission do not show.
const SAMPLE_SECONDS: f64 = 2e-3;

/// What was found: one object of `gradus bench --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The loss's name, `copy` or `matmul`.
    pub name: &'static str,
    /// `gpu`, `cpu` or `reference`.
    pub device: &'static str,
    /// The adapter, or the CPU with its threads.
    pub adapter: String,
    /// The shape of the predictions; [m, n, k] of a matrix product.
    pub shape: Vec<usize>,
    /// What the numbers are: `f32`, on `reference` `f64`.
    pub dtype: &'static str,
    /// Median of the samples.
    pub seconds: f64,
    /// The fastest sample.
    pub seconds_min: f64,
    /// Bytes that must be moved; none where arithmetic is the bound.
    pub bytes: Option<u64>,
    /// `bytes` ÷ `seconds` ÷ 10⁹.
    pub gb_per_s: Option<f64>,
    /// `gb_per_s` as a fraction of what the copy kernel reached on the same buffers in the same run.
    pub copy_fraction: Option<f64>,
    /// 10⁹ additions and multiplications of matrix products a second.
    pub gflop_per_s: Option<f64>,
    /// What the copy kernel reached.
    pub copy_gb_per_s: Option<f64>,
    /// `timestamps` of the device, or `wall`: the host's clock, with a wait for the device.
    pub clock: &'static str,
    /// How many samples were taken.
    pub samples: usize,
}

/// Measures a case on a device.
///
/// # Errors
/// What the device reports: no room, or lost.
pub fn measure(case: &Case, device: &Device, samples: usize) -> Result<Measurement> {
    let mut bench = match device {
        _ if case.kind == Kind::TrainStep => step::prepare(device)?,
        Device::Gpu(gpu) => gpu::prepare(case, gpu)?,
        Device::Cpu => host::prepare::<f32>(case)?,
        Device::Reference => host::prepare::<f64>(case)?,
    };
    let samples = samples.max(1);
    let found = bench.sample(samples)?;
    let precision = if matches!(device, Device::Reference) { 2 } else { 1 };
    let bytes = case.bytes().map(|bytes| bytes * precision);
    let gb_per_s = bytes.map(|bytes| bytes as f64 / found.work.median / 1e9);
    let copy_gb_per_s = found.copy.map(|copy| (precision * case.copy_bytes()) as f64 / copy.median / 1e9);
    Ok(Measurement {
        name: case.name,
        device: device.name(),
        adapter: match device {
            Device::Gpu(gpu) => gpu.info().name.clone(),
            _ => device.describe(),
        },
        shape: case.shape.clone(),
        dtype: if precision == 2 { "f64" } else { "f32" },
        seconds: found.work.median,
        seconds_min: found.work.least,
        bytes,
        gb_per_s,
        copy_fraction: gb_per_s.zip(copy_gb_per_s).map(|(own, copy)| own / copy),
        gflop_per_s: case.flop().map(|flop| flop / found.work.median / 1e9),
        copy_gb_per_s,
        clock: bench.clock,
        samples,
    })
}

/// Runs something so many times and tells the seconds that one run took.
type Run = Box<dyn FnMut(usize) -> Result<f64>>;

/// A case made ready on a device, with the copy to compare it to.
struct Bench {
    work: Run,
    copy: Option<Run>,
    clock: &'static str,
    /// How often a sample repeats its work at the least.
    repeats: usize,
    /// How many times the work is done in one run.
    inner: usize,
}

/// Median and least of some samples.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seconds {
    median: f64,
    least: f64,
}

struct Samples {
    work: Seconds,
    copy: Option<Seconds>,
}

impl Bench {
    /// Takes samples of the work and of the copy in turns, so that both see the same neighbours on the machine.
    fn sample(&mut self, samples: usize) -> Result<Samples> {
        let repeats = self.warm_up()?;
        let (mut work, mut copy) = (Vec::with_capacity(samples), Vec::with_capacity(samples));
        for _ in 0..samples {
            work.push((self.work)(repeats.0)?);
            if let Some(run) = &mut self.copy {
                copy.push(run(repeats.1)?);
            }
        }
        Ok(Samples { work: Seconds::of(work), copy: self.copy.is_some().then(|| Seconds::of(copy)) })
    }

    /// Runs both twice, so that pipelines are made and memory is there, and finds how often a sample repeats them.
    fn warm_up(&mut self) -> Result<(usize, usize)> {
        let least = self.repeats;
        let fitting = |seconds: f64| ((SAMPLE_SECONDS / seconds.max(1e-9)).ceil() as usize).clamp(least, 1000);
        (self.work)(1)?;
        let work = fitting(self.inner as f64 * (self.work)(1)?);
        let copy = match &mut self.copy {
            None => 1,
            Some(run) => {
                run(1)?;
                fitting(run(1)?)
            }
        };
        Ok((work, copy))
    }
}

impl Seconds {
    fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let middle = samples.len() / 2;
        let median =
            if samples.len() % 2 == 1 { samples[middle] } else { (samples[middle - 1] + samples[middle]) / 2.0 };
        Seconds { median, least: samples[0] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(Seconds::of(vec![4.0, 1.0, 2.0, 9.0]), Seconds { median: 3.0, least: 1.0 });
        assert_eq!(Seconds::of(vec![5.0, 1.0, 2.0]), Seconds { median: 2.0, least: 1.0 });
    }
}

//! Measures: how fast a device computes losses with their gradients, matrix products, layers, training steps and epochs, and how
//! far that is from what it could.
//!
//! **Ceilings.** In the same process, on buffers of the same size, three kernels of our own find out what the device gives: a copy
//! (read and written), a read (summed), and chains of fused multiply-adds in registers; on the CPU `memcpy`, a sum and the same chains
//! on all threads. A loss or an optimizer moves bytes, and is told as a fraction of the copy's GB/s: counted are the bytes that it
//! *must* move, each input read and each output written once, so whoever moves more gets a smaller fraction. More than 100 % is
//! possible on a CPU: a copy also reads the lines that it overwrites, a step of Adam has read them anyway. Products, layers, steps
//! and epochs compute, and are told as a fraction of the chains' GFLOP/s. The CPU's `mse` is held against a loop written by hand as well.
//!
//! **Samples.** Twenty, taken in turns: the case, its ceilings, the same on the CPU, and again. Each is run twice before, untimed, and what
//! takes less than 10 ms once more before each sample, which then repeats it for 10 ms. Told are the median and the 10th and 90th percentile.
//! A case whose samples would take longer than its time ([`Effort`], 40 s without a word) gets fewer, at least three, and says how many.
//!
//! **Clock.** On a GPU the device's timestamps around the pass where it has them and they agree with the host's clock in a trial, else
//! the host's around submission and wait; each result says which. Within a sample nothing is uploaded, allocated or read back;
//! `train_step` and `epoch` are whole calls of `fit` by its own clock, the first epoch left out.
//!
//! ```
//! use gradus::{Device, bench};
//! let cases = bench::cases(&["mse".into()], bench::Size::Quick)?;
//! let effort = bench::Effort { samples: 3, ..Default::default() };
//! let found = &bench::measure(&cases[0], &[Device::cpu()], effort)?.rows[0];
//! assert_eq!((found.name, found.device, found.samples), ("mse", "cpu", 3));
//! assert!(found.seconds_p10 <= found.seconds && found.seconds <= found.seconds_p90);
//! # Ok::<(), gradus::Error>(())
//! ```

mod case;
mod count;
mod gpu;
mod host;
mod report;
mod sampling;
mod statistics;
mod training;

use serde::Serialize;

use crate::{Device, Error, Result};

pub use case::{Case, Size, cases, ceilings};
pub(crate) use gpu::programs;
pub use report::{Ceilings, DeviceReport, Report, now};

use count::Bound;
use sampling::{Ceiling, Prepared, Sampled};

/// How thoroughly a case is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Samples whose median is taken, at the most. By default 20.
    pub samples: usize,
    /// Seconds that the samples of a case may take on all its devices; there are three all the same, one where three would take ten times as long. By default 40.
    pub seconds: f64,
}

impl Default for Effort {
    fn default() -> Self {
        Effort { samples: 20, seconds: 40.0 }
    }
}

/// What was found of a case on a device: one of the `rows` of `gradus bench --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// The loss's name, or that of another benchmark, as in [`cases`].
    pub name: &'static str,
    /// What the case belongs to, as [`Case::group`].
    pub group: &'static str,
    /// `gpu`, `cpu` or `reference`.
    pub device: &'static str,
    /// The adapter, or the CPU with its threads.
    pub adapter: String,
    /// The shape, as [`Case::shape`].
    pub shape: Vec<usize>,
    /// What the numbers are: `f32`, on `reference` `f64`.
    pub dtype: &'static str,
    /// Median of the samples: seconds of one run of the work.
    pub seconds: f64,
    /// The 10th percentile of the samples.
    pub seconds_p10: f64,
    /// The 90th percentile of the samples.
    pub seconds_p90: f64,
    /// The fastest sample.
    pub seconds_min: f64,
    /// How many samples were taken.
    pub samples: usize,
    /// How many runs each sample is the mean of.
    pub repeats: usize,
    /// `timestamps` of the device, or `wall`: the host's clock, with a wait for the device.
    pub clock: &'static str,
    /// Seconds of the very first call, from inputs that lie on the device to a result: pipelines and buffers are made in it. Of a
    /// training step or an epoch: the network is made and takes one step.
    pub first_call_seconds: f64,
    /// Bytes that must be moved: each input read once, each output written once.
    pub bytes: Option<u64>,
    /// Operations of the products; of losses and optimizers those of the formula, where they are known.
    pub flops: Option<u64>,
    /// `memory` or `arithmetic`: which ceiling the work is held against.
    pub bound: &'static str,
    /// `bytes` ÷ `seconds` ÷ 10⁹.
    pub gb_per_s: Option<f64>,
    /// `flops` ÷ `seconds` ÷ 10⁹.
    pub gflop_per_s: Option<f64>,
    /// What the copy kernel reached beside it, read and written.
    pub copy_gb_per_s: Option<f64>,
    /// What the read kernel reached beside it.
    pub read_gb_per_s: Option<f64>,
    /// What the FMA kernel reached beside it.
    pub fma_gflop_per_s: Option<f64>,
    /// `gb_per_s` ÷ `copy_gb_per_s`.
    pub copy_fraction: Option<f64>,
    /// `gflop_per_s` ÷ `fma_gflop_per_s`.
    pub fma_fraction: Option<f64>,
    /// What a loop written by hand for this loss alone took beside it, on the same threads; of the CPU's `mse` only.
    pub fused_seconds: Option<f64>,
    /// `fused_seconds` ÷ `seconds`.
    pub fused_fraction: Option<f64>,
    /// How many times as long the CPU took, in turns with this device.
    pub cpu_ratio: Option<f64>,
}

/// A case that a device has no room for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skipped {
    /// As [`Measurement::name`].
    pub name: &'static str,
    /// As [`Measurement::shape`].
    pub shape: Vec<usize>,
    /// As [`Measurement::device`].
    pub device: &'static str,
    /// What it has no room for.
    pub reason: String,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// One for each device that could run it, in their order.
    pub rows: Vec<Measurement>,
    /// Those that have no room for it.
    pub skipped: Vec<Skipped>,
}

/// Measures a case on several devices, with samples taken in turns.
///
/// # Errors
/// What a device reports, but that it has no room: such a case is skipped there.
pub fn measure(case: &Case, devices: &[Device], effort: Effort) -> Result<Measured> {
    let (mut prepared, mut on, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for device in devices {
        match prepare(case, device) {
            Ok(ready) => {
                prepared.push(ready);
                on.push(device);
            }
            Err(error @ (Error::TooLarge { .. } | Error::OutOfMemory { .. })) => {
                skipped.push(Skipped {
                    name: case.name,
                    shape: case.shape.clone(),
                    device: device.name(),
                    reason: error.to_string(),
                })
            }
            Err(error) => return Err(error),
        }
    }
    let sampled = sampling::sample(&mut prepared, &effort)?;
    let found = prepared.iter().zip(&sampled).zip(&on);
    let mut rows: Vec<Measurement> = found
        .map(|((prepared, sampled), device)| summed_up(case, device, prepared, sampled))
        .collect();
    if let Some(cpu) = rows.iter().find(|row| row.device == "cpu").map(|row| row.seconds) {
        rows.iter_mut().for_each(|row| row.cpu_ratio = Some(cpu / row.seconds));
    }
    Ok(Measured { rows, skipped })
}

fn prepare(case: &Case, device: &Device) -> Result<Prepared> {
    match device {
        Device::Gpu(gpu) => gpu::prepare(case, gpu),
        Device::Cpu => host::prepare::<f32>(case),
        Device::Reference => host::prepare::<f64>(case),
    }
}

fn summed_up(case: &Case, device: &Device, prepared: &Prepared, sampled: &Sampled) -> Measurement {
    let is_reference = matches!(device, Device::Reference);
    // f64 is twice as wide.
    let width = if is_reference { 2 } else { 1 };
    let seconds = sampled.work.median;
    let of = |ceiling| {
        sampled
            .ceilings
            .iter()
            .find(|(found, _)| *found == ceiling)
            .map(|(_, spread)| spread.median)
    };
    let giga = |amount: u64, seconds: f64| amount as f64 / seconds / 1e9;
    let elements = width * case.elements() as u64;
    let bytes = case.bytes().map(|bytes| width * bytes);
    let (gb_per_s, gflop_per_s) =
        (bytes.map(|n| giga(n, seconds)), case.flops().map(|n| giga(n, seconds)));
    let copy_gb_per_s = of(Ceiling::Copy).map(|seconds| giga(8 * elements, seconds));
    let fma_gflop_per_s = of(Ceiling::Fma).map(|seconds| giga(case::FMA_FLOPS as u64, seconds));
    let fraction = |own: Option<f64>, ceiling: Option<f64>| {
        own.zip(ceiling).map(|(own, ceiling)| own / ceiling)
    };
    let fused_seconds = of(Ceiling::Fused);
    Measurement {
        name: case.name,
        group: case.group(),
        device: device.name(),
        adapter: match device {
            Device::Gpu(gpu) => gpu.info().name.clone(),
            _ => device.describe(),
        },
        shape: case.shape.clone(),
        dtype: if is_reference { "f64" } else { "f32" },
        seconds,
        seconds_p10: sampled.work.p10,
        seconds_p90: sampled.work.p90,
        seconds_min: sampled.work.least,
        samples: sampled.samples,
        repeats: sampled.repeats,
        clock: prepared.clock,
        first_call_seconds: prepared.first_call,
        bytes,
        flops: case.flops(),
        bound: if case.bound() == Bound::Memory { "memory" } else { "arithmetic" },
        gb_per_s,
        gflop_per_s,
        copy_gb_per_s,
        read_gb_per_s: of(Ceiling::Read).map(|seconds| giga(4 * elements, seconds)),
        fma_gflop_per_s,
        copy_fraction: fraction(gb_per_s, copy_gb_per_s),
        fma_fraction: fraction(gflop_per_s, fma_gflop_per_s),
        fused_seconds,
        fused_fraction: fused_seconds.map(|fused| fused / seconds),
        cpu_ratio: None,
    }
}

#[cfg(test)]
mod tests {
    use super::statistics::Percentiles;
    use super::*;

    fn spread(median: f64) -> Percentiles {
        Percentiles { median, p10: 0.9 * median, p90: 1.1 * median, least: 0.8 * median }
    }

    #[test]
    fn rates_and_fractions_are_those_of_the_medians() {
        let case = &cases(&["mse".into()], Size::Quick).unwrap()[0];
        let run = Box::new(|_: usize| Ok(1.0));
        let prepared =
            Prepared { first_call: 0.5, work: run, ceilings: Vec::new(), clock: "wall", inner: 1 };
        let ceilings = [(Ceiling::Copy, 0.002), (Ceiling::Read, 0.001), (Ceiling::Fused, 0.003)]
            .map(|(c, s)| (c, spread(s)));
        let sampled =
            Sampled { work: spread(0.004), ceilings: ceilings.into(), repeats: 3, samples: 20 };
        let found = summed_up(case, &Device::Cpu, &prepared, &sampled);
        let n = f64::from(1 << 22);
        let near = |found: Option<f64>, exact: f64| {
            assert!((found.unwrap() / exact - 1.0).abs() < 1e-12, "{found:?}")
        };
        near(found.gb_per_s, 12.0 * n / 0.004 / 1e9);
        near(found.gflop_per_s, 5.0 * n / 0.004 / 1e9);
        near(found.copy_gb_per_s, 8.0 * n / 0.002 / 1e9);
        near(found.read_gb_per_s, 4.0 * n / 0.001 / 1e9);
        near(found.copy_fraction, (12.0 / 0.004) / (8.0 / 0.002));
        near(found.fused_fraction, 0.75);
        assert_eq!(
            (found.fma_fraction, found.bound, found.first_call_seconds),
            (None, "memory", 0.5)
        );
        assert_eq!((found.seconds_p10, found.seconds_p90), (0.9 * 0.004, 1.1 * 0.004));
        let twice = summed_up(case, &Device::Reference, &prepared, &sampled);
        assert_eq!((twice.bytes, twice.dtype), (Some(24 << 22), "f64"));
    }

    #[test]
    fn every_case_runs_on_the_cpu_and_has_its_ceiling() {
        for mut case in cases(&[], Size::Quick).unwrap() {
            // As small as they go: what is measured here is whether they run.
            case.shape.iter_mut().filter(|axis| **axis > 784).for_each(|axis| *axis = 512);
            let found = measure(&case, &[Device::cpu()], Effort { samples: 1, seconds: 1.0 })
                .unwrap()
                .rows
                .remove(0);
            assert!(found.seconds > 0.0 && found.first_call_seconds > 0.0, "{}", case.name);
            let ceiling =
                if found.bound == "memory" { found.copy_gb_per_s } else { found.fma_gflop_per_s };
            assert_eq!(
                ceiling.is_some(),
                !["copy", "read", "fma"].contains(&case.name),
                "{}",
                case.name
            );
            assert_eq!(found.fused_seconds.is_some(), case.name == "mse");
            assert_eq!((found.samples, found.cpu_ratio), (1, Some(1.0)));
        }
    }
}

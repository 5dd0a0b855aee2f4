//! Benchmarks: the speed of losses with their gradients, matrix products, layers, training steps
//! and epochs on a device, relative to its ceilings.
//!
//! **Ceilings.** In the same process, on buffers of the same size, three kernels measure the limits
//! of the device: a copy (read and written), a read (summed), and chains of fused multiply-adds in
//! registers; on the CPU `memcpy`, a sum and the same chains on all threads. A loss or an optimizer
//! is memory-bound and is reported as a fraction of the copy's GB/s. Only the bytes that it *must*
//! move count, each input read and each output written once, so an implementation that moves more
//! gets a smaller fraction. More than 100 % is possible on a CPU: a copy also reads the lines that
//! it overwrites, which an Adam step has read anyway. Products, layers, steps and epochs are
//! compute-bound and are reported as a fraction of the chains' GFLOP/s. The CPU's `mse` is also
//! compared with a hand-written loop.
//!
//! **Samples.** Twenty, interleaved: the case, its ceilings, the same on the CPU, and again. Each
//! is run twice untimed for warm-up, and work under 10 ms once more before each sample, which then
//! repeats it for 10 ms. The report gives the median and the 10th and 90th percentile. A case whose
//! samples would exceed its time limit ([`Effort`], 40 s by default) gets fewer, at least three,
//! and reports the number.
//!
//! **Clock.** On a GPU, the device's timestamps around the pass if available and consistent with
//! the host's clock in a trial, else the host's clock around submission and wait; each result names
//! its clock. Nothing is uploaded, allocated or read back within a sample; `train_step` and `epoch`
//! are whole calls of `fit` by its own clock, without the first epoch.
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
pub(crate) mod measurement;
mod report;
mod sampling;
mod statistics;
mod training;

use crate::testing::bench::count::Bound;
use crate::testing::bench::sampling::{Ceiling, Prepared, Sampled};
use crate::{Device, Error, Result};

pub use case::{Case, Size, cases, ceilings};
pub(crate) use gpu::programs;
pub use report::{Ceilings, DeviceReport, Report, now};

pub use crate::testing::bench::measurement::{Effort, Measured, Measurement, Skipped};

/// Measures a case on several devices with interleaved samples.
///
/// # Errors
/// Errors of a device, except lack of memory: that device is skipped.
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
            // Smallest sizes: this test only checks that the cases run.
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

//! Settings and result of a measurement.

use serde::Serialize;

/// Effort spent on measuring a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Maximum number of samples, whose median is reported. Default 20.
    pub samples: usize,
    /// Time limit in seconds for the samples of a case on all its devices; at least three samples
    /// are taken, one if three would take ten times the limit. Default 40.
    pub seconds: f64,
}

impl Default for Effort {
    fn default() -> Self {
        Effort { samples: 20, seconds: 40.0 }
    }
}

/// Result of a case on a device: one of the `rows` of `gradus bench --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Name of the loss or of another benchmark, as in [`cases`](crate::testing::bench::cases).
    pub name: &'static str,
    /// The group, as [`Case::group`](crate::testing::bench::Case::group).
    pub group: &'static str,
    /// `gpu`, `cpu` or `reference`.
    pub device: &'static str,
    /// The adapter, or the CPU with its threads.
    pub adapter: String,
    /// The shape, as [`Case::shape`](crate::testing::bench::Case::shape).
    pub shape: Vec<usize>,
    /// Number type: `f32`, on `reference` `f64`.
    pub dtype: &'static str,
    /// Median of the samples: seconds per run of the work.
    pub seconds: f64,
    /// The 10th percentile of the samples.
    pub seconds_p10: f64,
    /// The 90th percentile of the samples.
    pub seconds_p90: f64,
    /// The fastest sample.
    pub seconds_min: f64,
    /// Number of samples.
    pub samples: usize,
    /// Number of runs averaged in each sample.
    pub repeats: usize,
    /// `timestamps` (the device's clock) or `wall` (the host's clock, including a wait for the
    /// device).
    pub clock: &'static str,
    /// Seconds of the very first call, from inputs on the device to a result, including the
    /// creation of pipelines and buffers. For a training step or an epoch: creation of the network
    /// and one step.
    pub first_call_seconds: f64,
    /// Bytes that must be moved: each input read once, each output written once.
    pub bytes: Option<u64>,
    /// Operations of the products; for losses and optimizers those of the formula, if known.
    pub flops: Option<u64>,
    /// `memory` or `arithmetic`: the relevant ceiling.
    pub bound: &'static str,
    /// `bytes` ÷ `seconds` ÷ 10⁹.
    pub gb_per_s: Option<f64>,
    /// `flops` ÷ `seconds` ÷ 10⁹.
    pub gflop_per_s: Option<f64>,
    /// Throughput of the copy kernel in the same run, read and written.
    pub copy_gb_per_s: Option<f64>,
    /// Throughput of the read kernel in the same run.
    pub read_gb_per_s: Option<f64>,
    /// Throughput of the FMA kernel in the same run.
    pub fma_gflop_per_s: Option<f64>,
    /// `gb_per_s` ÷ `copy_gb_per_s`.
    pub copy_fraction: Option<f64>,
    /// `gflop_per_s` ÷ `fma_gflop_per_s`.
    pub fma_fraction: Option<f64>,
    /// Time of a loop hand-written for this loss, in the same run on the same threads; only for the
    /// CPU's `mse`.
    pub fused_seconds: Option<f64>,
    /// `fused_seconds` ÷ `seconds`.
    pub fused_fraction: Option<f64>,
    /// CPU time divided by this device's, from interleaved samples.
    pub cpu_ratio: Option<f64>,
}

/// A case that does not fit on a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Skipped {
    /// As [`Measurement::name`].
    pub name: &'static str,
    /// As [`Measurement::shape`].
    pub shape: Vec<usize>,
    /// As [`Measurement::device`].
    pub device: &'static str,
    /// The tensor that does not fit.
    pub reason: String,
}

/// Results of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// One per device that ran it, in order.
    pub rows: Vec<Measurement>,
    /// Devices on which it does not fit.
    pub skipped: Vec<Skipped>,
}

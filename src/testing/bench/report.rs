//! Benchmark report: system, devices, date and results.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::Device;
use crate::testing::bench::case::Size;
use crate::testing::bench::measurement::{Measured, Measurement, Skipped};

/// One run of the benchmark; `gradus bench --json` prints its rows. All times are medians in
/// seconds, all rates 10⁹ per second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The version of this crate.
    pub gradus: &'static str,
    /// Start time, UTC: `2026-11-22T15:04:05Z`.
    pub date: String,
    /// The operating system and its architecture: `linux x86_64`.
    pub system: String,
    /// The processor's name, if the system reports it.
    pub processor: Option<String>,
    /// Threads of the `cpu` device.
    pub threads: usize,
    /// `quick`, `standard` or `large`.
    pub size: &'static str,
    /// The devices with their ceilings.
    pub devices: Vec<DeviceReport>,
    /// One per case and device.
    pub rows: Vec<Measurement>,
    /// Cases that did not fit on a device.
    pub skipped: Vec<Skipped>,
}

/// A device and its ceilings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DeviceReport {
    /// `gpu`, `cpu` or `reference`.
    pub device: &'static str,
    /// One-line description.
    pub description: String,
    /// The adapter's name; `None` for the CPU, like the next three.
    pub adapter: Option<String>,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: Option<String>,
    /// The driver with its version.
    pub driver: Option<String>,
    /// `discrete`, `integrated`, `virtual`, `software` or `other`.
    pub kind: Option<&'static str>,
    /// Results of the ceiling cases.
    pub ceilings: Ceilings,
}

/// Ceilings of a device, from the cases `copy`, `read` and `fma` of the same run; `None` if they
/// were not run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ceilings {
    /// Bytes read and written by a copy, 10⁹ per second.
    pub copy_gb_per_s: Option<f64>,
    /// Bytes read by a sum.
    pub read_gb_per_s: Option<f64>,
    /// Operations of fused multiply-adds in registers.
    pub fma_gflop_per_s: Option<f64>,
}

impl Report {
    /// An empty report that starts now.
    pub fn new(devices: &[Device], size: Size) -> Self {
        Report {
            gradus: env!("CARGO_PKG_VERSION"),
            date: now(),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            processor: processor(),
            threads: rayon::current_num_threads(),
            size: match size {
                Size::Quick => "quick",
                Size::Standard => "standard",
                Size::Large => "large",
            },
            devices: devices.iter().map(DeviceReport::new).collect(),
            rows: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// Number of cases with a row.
    pub fn measured(&self) -> usize {
        let mut cases: Vec<_> = self.rows.iter().map(|row| (row.name, &row.shape)).collect();
        cases.dedup();
        cases.len()
    }

    /// Adds the results of a case.
    pub fn add(&mut self, measured: Measured) {
        for row in &measured.rows {
            let Some(device) = self.devices.iter_mut().find(|device| device.device == row.device)
            else {
                continue;
            };
            match row.name {
                "copy" => device.ceilings.copy_gb_per_s = row.gb_per_s,
                "read" => device.ceilings.read_gb_per_s = row.gb_per_s,
                "fma" => device.ceilings.fma_gflop_per_s = row.gflop_per_s,
                _ => {}
            }
        }
        self.rows.extend(measured.rows);
        self.skipped.extend(measured.skipped);
    }
}

impl DeviceReport {
    fn new(device: &Device) -> Self {
        let info = match device {
            Device::Gpu(gpu) => Some(gpu.info()),
            _ => None,
        };
        DeviceReport {
            device: device.name(),
            description: device.describe(),
            adapter: info.map(|info| info.name.clone()),
            backend: info.map(|info| info.backend.to_str().to_string()),
            driver: info
                .map(|info| format!("{} {}", info.driver, info.driver_info).trim().to_string()),
            kind: info.map(|info| match info.device_type {
                wgpu::DeviceType::DiscreteGpu => "discrete",
                wgpu::DeviceType::IntegratedGpu => "integrated",
                wgpu::DeviceType::VirtualGpu => "virtual",
                wgpu::DeviceType::Cpu => "software",
                wgpu::DeviceType::Other => "other",
            }),
            ceilings: Ceilings::default(),
        }
    }
}

/// The processor's name, from `/proc/cpuinfo`: only on Linux.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The current date and time in UTC, ISO 8601: `2026-11-28T20:05:00Z`.
pub fn now() -> String {
    date(SystemTime::now())
}

fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    let [hour, minute, second] = [seconds / 3600 % 24, seconds / 60 % 60, seconds % 60];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days after 1970-01-01, in the Gregorian calendar: counted in
/// eras of 400 years from the first of March, so that the leap day comes last (H. Hinnant,
/// chrono-compatible low-level date algorithms, public domain).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::bench::Effort;

    #[test]
    fn dates_are_those_of_the_calendar() {
        let at = |seconds| date(UNIX_EPOCH + Duration::from_secs(seconds));
        // date -u -d @1795359845 +%FT%TZ, and so on
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_359_845, "2026-11-22T15:04:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(at(seconds), expected);
        }
    }

    #[test]
    fn the_ceilings_of_a_device_are_those_of_its_own_cases() {
        let mut report = Report::new(&[Device::cpu()], Size::Quick);
        for case in crate::testing::bench::ceilings(Size::Quick) {
            report.add(
                crate::testing::bench::measure(
                    &case,
                    &[Device::cpu()],
                    Effort { samples: 1, seconds: 1.0 },
                )
                .unwrap(),
            );
        }
        let ceilings = report.devices[0].ceilings;
        assert_eq!(ceilings.copy_gb_per_s, report.rows[0].gb_per_s);
        assert_eq!(ceilings.read_gb_per_s, report.rows[1].gb_per_s);
        assert_eq!(ceilings.fma_gflop_per_s, report.rows[2].gflop_per_s);
        assert!(ceilings.fma_gflop_per_s > Some(0.0) && ceilings.copy_gb_per_s > Some(0.0));
    }
}

//! Benchmark results as text for a terminal.

use gradus::Device;
use gradus::bench::{Measurement, Report};

use crate::bench::machines;
use crate::bench::quantities::{fraction, rate, shape, time};
use crate::bench::run::Listener;
use crate::output;
use crate::output::Outcome;

/// Widths of the columns for a case, and for a time, a fraction of a ceiling and a ratio: 80 in
/// all.
const CASE: usize = 40;
const TIME: usize = 10;
const SHARE: usize = 7;
const RATIO: usize = 6;

/// Prints a line for each case as it is measured, all devices side by side, grouped by the kind of
/// case.
pub struct Lines {
    devices: Vec<&'static str>,
    group: &'static str,
}

impl Lines {
    /// For a device and the CPU.
    pub fn new(device: &Device) -> Self {
        let mut devices = vec![device.name()];
        if device.name() != "cpu" {
            devices.push("cpu");
        }
        Lines { devices, group: "" }
    }

    fn heading(&self, group: &str) -> String {
        let columns =
            self.devices.iter().map(|device| format!("{device:>TIME$}{:>SHARE$}", "of max"));
        let ratio =
            if self.devices.len() > 1 { format!("{:>RATIO$}", "cpu÷") } else { String::new() };
        format!("\n{group:CASE$}{}{ratio}\n", columns.collect::<String>())
    }

    fn line(&self, rows: &[Measurement]) -> String {
        let Some(first) = rows.first() else { return String::new() };
        let mut line =
            format!("{:CASE$}", format!("{} {}", first.name, shape(first.name, &first.shape)));
        for device in &self.devices {
            let row = rows.iter().find(|row| row.device == *device);
            line += &format!("{:>TIME$}", row.map_or("-".into(), |row| time(row.seconds)));
            line += &format!(
                "{:>SHARE$}",
                row.and_then(|row| fraction(row).map(percent)).unwrap_or_default()
            );
        }
        let ratio = first.cpu_ratio.filter(|_| self.devices.len() > 1 && first.device != "cpu");
        line += &ratio.map_or(String::new(), |ratio| format!("{:>RATIO$}", ratio_in_digits(ratio)));
        format!("{}\n", line.trim_end())
    }
}

impl Listener for Lines {
    fn measured(&mut self, report: &Report, new: usize) -> Outcome {
        let rows = &report.rows[report.rows.len() - new..];
        let mut text = String::new();
        if let Some(row) = rows.first().filter(|row| row.group != self.group) {
            self.group = row.group;
            text += &self.heading(self.group);
        }
        output::print(&(text + &self.line(rows)))
    }

    fn ended(&mut self, report: &Report) -> Outcome {
        output::print(&format!("{}{}", headlines(report), machines::table(report)))
    }
}

/// 98 %, 0.4 %.
fn percent(fraction: f64) -> String {
    let percent = 100.0 * fraction;
    if percent < 1.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// 0.21, 3.4, 120.
fn ratio_in_digits(ratio: f64) -> String {
    match ratio {
        _ if ratio < 1.0 => format!("{ratio:.2}"),
        _ if ratio < 10.0 => format!("{ratio:.1}"),
        _ => format!("{ratio:.0}"),
    }
}

/// Two lines per device: its name and ceilings, and the fraction of them that the losses and
/// products reach.
fn headlines(report: &Report) -> String {
    let with_unit = |name: &str, value: Option<f64>, unit: &str| {
        value.map(|value| format!("{name} {} {unit}", rate(value)))
    };
    let lines = report.devices.iter().map(|device| {
        let found = device.ceilings;
        // The demo measures no ceilings of their own.
        let ceilings: Vec<String> = [
            with_unit("copy", found.copy_gb_per_s, "GB/s"),
            with_unit("read", found.read_gb_per_s, "GB/s"),
            with_unit("multiply-add", found.fma_gflop_per_s, "GFLOP/s"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let most = match &ceilings[..] {
            [] => String::new(),
            ceilings => format!("     at most: {}\n", ceilings.join(", ")),
        };
        let reached = |bound: &str, what: &str| {
            let of = |row: &&Measurement| {
                row.device == device.device && row.bound == bound && row.group != "ceilings"
            };
            let mut fractions: Vec<f64> =
                report.rows.iter().filter(of).filter_map(fraction).collect();
            fractions.sort_by(f64::total_cmp);
            let middle = fractions.get(fractions.len() / 2).copied();
            middle
                .map(|middle| format!("{} of {what} ({} cases)", percent(middle), fractions.len()))
        };
        let shares = [reached("memory", "copy"), reached("arithmetic", "multiply-add")];
        let shares: Vec<String> = shares.into_iter().flatten().collect();
        let shares = if shares.is_empty() {
            String::new()
        } else {
            format!("     reached, median: {}\n", shares.join(", "))
        };
        let description = match (&device.adapter, &device.backend, &device.driver) {
            (Some(adapter), Some(backend), Some(driver)) => {
                format!("{adapter}\n     {backend}, {driver}")
            }
            _ => device.description.clone(),
        };
        format!("\n{}: {description}\n{most}{shares}", device.device)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_written_as_they_are_spoken() {
        assert_eq!(shape("mse", &[1 << 24]), "2²⁴");
        assert_eq!(shape("mse", &[1000]), "1000");
        assert_eq!(shape("cross_entropy", &[4096, 1000]), "4096×1000");
        assert_eq!(shape("train_step", &[64, 784, 128, 10]), "64×784-128-10");
        assert_eq!(shape("epoch", &[10_000, 64, 784, 10, 10]), "10000/64×784-10-10");
    }

    #[test]
    fn times_keep_three_digits_and_a_unit() {
        for (seconds, text) in
            [(2.5, "2.50 s"), (0.036_34, "36.3 ms"), (0.000_412, "412 µs"), (1e-6, "1.00 µs")]
        {
            assert_eq!(time(seconds), text);
        }
        assert_eq!([5.543, 27.88, 47_000.4].map(rate), ["5.54", "27.9", "47000"]);
    }
}

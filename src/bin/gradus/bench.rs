//! `gradus bench`: the speed of every loss, the matrix product and a training step, on a device and on the CPU beside it.

use clap::Args;
use gradus::Device;
use gradus::bench::{self, Case, Measurement};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::output::{self, DeviceChoice, Failure, Outcome};

/// Measures every loss, the matrix product and a training step on a device and on the CPU
#[derive(Args)]
pub struct Bench {
    /// What to measure: losses, copy, matmul, train_step; all of them without a name
    names: Vec<String>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Smaller shapes
    #[arg(long)]
    quick: bool,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub fn run(&self) -> Outcome {
        let cases = bench::cases(&self.names, self.quick).map_err(Failure::usage)?;
        let device = self.device.open_and_tell()?;
        let rows = measure(&cases, &device)?;
        if self.json {
            return output::print_json(&rows.iter().map(Row::as_json).collect());
        }
        output::print(&as_table(&rows))
    }
}

/// A measure, and how many times as long the CPU takes.
pub struct Row {
    found: Measurement,
    cpu_ratio: Option<f64>,
}

impl Row {
    fn as_json(&self) -> Value {
        let mut object = json!(self.found);
        object["cpu_ratio"] = json!(self.cpu_ratio);
        object
    }
}

/// Measures each case on the CPU and on the device, one behind the other.
pub fn measure(cases: &[Case], device: &Device) -> Outcome<Vec<Row>> {
    let bar = ProgressBar::new(cases.len() as u64);
    // A template that cannot be read leaves the bar as it is.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let mut rows = Vec::new();
    for case in cases {
        bar.set_message(format!("{} {:?}", case.name, case.shape));
        let cpu = bench::measure(case, &Device::cpu(), bench::SAMPLES)?;
        if !matches!(device, Device::Cpu) {
            let found = bench::measure(case, device, samples(device))?;
            let cpu_ratio = Some(cpu.seconds / found.seconds);
            rows.push(Row { found, cpu_ratio });
        }
        rows.push(Row { found: cpu, cpu_ratio: Some(1.0) });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// The reference is for its digits; a few samples tell its order of magnitude.
fn samples(device: &Device) -> usize {
    if matches!(device, Device::Reference) { 3 } else { bench::SAMPLES }
}

/// The measures for people.
pub fn as_table(rows: &[Row]) -> String {
    let headings =
        ["what", "device", "shape", "median ms", "min ms", "GB/s", "of copy", "GFLOP/s", "CPU ÷ device", "clock"];
    let mut table = output::table(&headings);
    for Row { found, cpu_ratio } in rows {
        let shape: Vec<String> = found.shape.iter().map(ToString::to_string).collect();
        let number = |value: Option<f64>, digits: usize| value.map_or("".into(), |value| format!("{value:.digits$}"));
        table.add_row(vec![
            found.name.into(),
            found.device.into(),
            shape.join("×"),
            format!("{:.3}", 1e3 * found.seconds),
            format!("{:.3}", 1e3 * found.seconds_min),
            number(found.gb_per_s, 1),
            found.copy_fraction.map_or("".into(), |fraction| format!("{:.0} %", 100.0 * fraction)),
            number(found.gflop_per_s, 1),
            number(*cpu_ratio, 2),
            found.clock.into(),
        ]);
    }
    for column in 3..=8 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(comfy_table::CellAlignment::Right);
        }
    }
    format!("{table}\n")
}

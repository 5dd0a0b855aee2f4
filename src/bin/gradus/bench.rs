//! `gradus bench`: how fast a device is, and how far from what it could be, with the CPU beside it.

mod page;
mod plots;
mod table;

use std::path::PathBuf;

use clap::Args;
use gradus::bench::{self, Case, Measurement, Report, Size};
use gradus::{Device, files};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::saved;

pub use table::as_table;

/// Measures losses, products, training steps and epochs, against what the device can do at the most and against the CPU
#[derive(Args)]
pub struct Bench {
    /// What to measure: losses, copy, read, fma, matmul, matmul_nt, matmul_tn, dense, adam, embedding, embedding_dense, train_step, epoch; all without a name
    names: Vec<String>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Smaller shapes, one of each
    #[arg(long, conflicts_with = "large")]
    quick: bool,
    /// Shapes that fill a card's memory as well
    #[arg(long)]
    large: bool,
    /// One JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Writes a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Bench {
    pub fn run(&self) -> Outcome {
        let size = self.size();
        let mut cases = bench::cases(&self.names, size).map_err(Failure::usage)?;
        // Everything is held against the ceilings, so they are always measured, and first.
        cases.splice(0..0, bench::ceilings(size));
        let mut seen = Vec::new();
        cases.retain(|case| {
            !seen.contains(case) && {
                seen.push(case.clone());
                true
            }
        });
        // An hour of measuring should not end with a file that cannot be written.
        if let Some(file) = &self.html {
            saved::check_out("--html", file, &[])?;
        }
        let device = self.device.open_and_tell()?;
        let report = measure(&cases, &device, size)?;
        for skipped in &report.skipped {
            let shape = table::shape(skipped.name, &skipped.shape);
            output::note(&format!("skipped: {} {shape} on {}: {}", skipped.name, skipped.device, skipped.reason));
        }
        if let Some(file) = &self.html {
            let page = page::page(&report)?;
            files::write(file, page.as_bytes()).map_err(|error| Failure::from(error).of("--html"))?;
            output::note(&format!("page: {}", file.display()));
        }
        if self.json {
            return output::print_json(&rows(&report));
        }
        output::print(&format!("{}{}", table::ceilings(&report), as_table(&report.rows)))
    }

    fn size(&self) -> Size {
        match (self.quick, self.large) {
            (true, _) => Size::Quick,
            (_, true) => Size::Large,
            _ => Size::Standard,
        }
    }
}

/// A row for each case and device, each with where and when it was measured: rows of several runs can lie in one list.
fn rows(report: &Report) -> Value {
    let row = |found: &Measurement| {
        let mut row = json!(found);
        row["driver"] = json!(report.devices.iter().find(|of| of.device == found.device).map(|of| &of.driver));
        row["gradus"] = json!(report.gradus);
        row["date"] = json!(report.date);
        row["system"] = json!(report.system);
        row["processor"] = json!(report.processor);
        row["threads"] = json!(report.threads);
        row
    };
    report.rows.iter().map(row).collect()
}

/// Measures each case on a device and on the CPU, in turns.
pub fn measure(cases: &[Case], device: &Device, size: Size) -> Outcome<Report> {
    let bar = ProgressBar::new(cases.len() as u64);
    // A template that cannot be read leaves the bar as it is.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let mut devices = vec![device.clone()];
    if !matches!(device, Device::Cpu) {
        devices.push(Device::cpu());
    }
    let mut report = Report::new(&devices, size);
    for case in cases {
        bar.set_message(format!("{} {}", case.name, table::shape(case.name, &case.shape)));
        report.add(bench::measure(case, &devices, samples(device))?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(report)
}

/// The reference is for its digits; a few samples tell its order of magnitude.
fn samples(device: &Device) -> usize {
    if matches!(device, Device::Reference) { 3 } else { bench::SAMPLES }
}

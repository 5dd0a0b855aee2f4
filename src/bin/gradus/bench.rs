//! `gradus bench`: speed of a device relative to its hardware ceilings, with the CPU for
//! comparison.

mod machines;
mod page;
mod plots;
pub(crate) mod quantities;
mod run;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gradus::bench::{Case, Report, Size};
use gradus::{Device, bench};
use serde_json::{Value, json};

use crate::bench::run::{Ended, Listener};
use crate::interrupt::Interrupt;
use crate::output::{DeviceChoice, Failure, Outcome};
use crate::{numbers, output, saved};

/// Default time limit of a run in seconds: two minutes less the expected overrun of the last case.
const SECONDS: f64 = 105.0;

/// Measures losses, products, training steps and epochs, relative to the device's ceilings and to
/// the CPU
#[derive(Args)]
pub struct Bench {
    /// Cases to measure: losses, copy, read, fma, matmul, matmul_nt, matmul_tn, dense, adam,
    /// embedding, embedding_dense, train_step, epoch [default: all]
    names: Vec<String>,
    #[command(flatten)]
    device: DeviceChoice,
    /// Smaller shapes, one per case
    #[arg(long, conflicts_with = "large")]
    quick: bool,
    /// Adds shapes that fill the device's memory
    #[arg(long)]
    large: bool,
    /// Time limit of the whole run, divided among the cases; a short limit takes fewer samples
    /// [default: 105; no limit with --large]
    #[arg(long, value_name = "SECONDS", value_parser = numbers::seconds, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// Prints a JSON list on stdout, one row per line, each as it is measured
    #[arg(long)]
    json: bool,
    /// Writes an HTML page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Bench {
    pub fn run(&self) -> Outcome {
        let cases = self.cases()?;
        // Fail now: an hour of measurements must not end with an unwritable file.
        if let Some(file) = &self.html {
            saved::check_out("--html", file, &[])?;
        }
        let device = self.device.open_and_report()?;
        let interrupt = Interrupt::listen()?;
        let mut listener: Box<dyn Listener> =
            if self.json { Box::<Rows>::default() } else { Box::new(table::Lines::new(&device)) };
        let (report, ended) =
            run::measure(&cases, &device, self.size(), self.time(), &interrupt, &mut *listener)?;
        if let Some(file) = &self.html {
            page::page(&report)?.write(file)?;
        }
        match ended {
            Ended::Interrupted => {
                let message = format!(
                    "{} of {} cases were measured and printed",
                    report.measured(),
                    cases.len()
                );
                Err(Failure::Interrupted(message))
            }
            Ended::Whole => Ok(()),
        }
    }

    /// The cases, ordered by group. The ceilings come first and are always measured, since all
    /// other cases are compared with them.
    fn cases(&self) -> Outcome<Vec<Case>> {
        let size = self.size();
        let mut cases = bench::ceilings(size);
        for case in bench::cases(&self.names, size).map_err(Failure::usage)? {
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
        cases.sort_by_key(Case::place);
        Ok(cases)
    }

    /// Time limit of the run.
    fn time(&self) -> Option<Duration> {
        let default = if self.large { None } else { Some(SECONDS) };
        self.seconds.or(default).map(Duration::from_secs_f64)
    }

    fn size(&self) -> Size {
        match (self.quick, self.large) {
            (true, _) => Size::Quick,
            (_, true) => Size::Large,
            _ => Size::Standard,
        }
    }
}

/// Prints a table of a few cases, for the demo.
pub fn show(names: &[String], device: &Device) -> Outcome {
    let cases = bench::cases(names, Size::Quick)?;
    let mut lines = table::Lines::new(device);
    run::measure(&cases, device, Size::Quick, None, &Interrupt::none(), &mut lines)?;
    Ok(())
}

/// Rows of `--json`: a list with one row per line, written as they are measured. Each row carries
/// its machine and time, so that rows of several runs can be combined in one list.
#[derive(Default)]
struct Rows {
    written: usize,
}

impl Listener for Rows {
    fn measured(&mut self, report: &Report, new: usize) -> Outcome {
        for found in &report.rows[report.rows.len() - new..] {
            let mut row = json!(found);
            row["driver"] = json!(
                report.devices.iter().find(|of| of.device == found.device).map(|of| &of.driver)
            );
            row["gradus"] = json!(report.gradus);
            row["date"] = json!(report.date);
            row["system"] = json!(report.system);
            row["processor"] = json!(report.processor);
            row["threads"] = json!(report.threads);
            self.write(&row)?;
        }
        Ok(())
    }

    fn ended(&mut self, _: &Report) -> Outcome {
        output::print(if self.written == 0 { "[]\n" } else { "\n]\n" })
    }
}

impl Rows {
    fn write(&mut self, row: &Value) -> Outcome {
        output::print(&format!("{}{row}", if self.written == 0 { "[\n" } else { ",\n" }))?;
        self.written += 1;
        Ok(())
    }
}

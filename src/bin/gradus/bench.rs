//! `gradus bench`: how fast a device is, and how far from what it could be, with the CPU beside it.

mod machines;
mod page;
mod plots;
mod run;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gradus::bench::{self, Case, Report, Size};
use gradus::{Device, files};
use serde_json::{Value, json};

use crate::interrupt::Interrupt;
use crate::output::{self, DeviceChoice, Failure, Outcome};
use crate::{numbers, saved};

use run::{Ended, Listener};

/// Seconds that a run takes without a word: two minutes, less what the last case takes longer than its share.
const SECONDS: f64 = 105.0;

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
    /// Time for the whole run: each case gets a share and fewer samples where it is short [default: 105; no limit with --large]
    #[arg(long, value_name = "SECONDS", value_parser = numbers::seconds, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// A JSON list on stdout, a row a line, each as it is measured
    #[arg(long)]
    json: bool,
    /// Writes a page with plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Bench {
    pub fn run(&self) -> Outcome {
        let cases = self.cases()?;
        // An hour of measuring should not end with a file that cannot be written.
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
            let page = page::page(&report)?;
            files::write(file, page.as_bytes())
                .map_err(|error| Failure::from(error).of("--html"))?;
            output::note(&format!("page: {}", file.display()));
        }
        match ended {
            Ended::Interrupted => {
                let report = format!(
                    "{} of {} cases were measured and told",
                    report.measured(),
                    cases.len()
                );
                Err(Failure::Interrupted(report))
            }
            Ended::Whole => Ok(()),
        }
    }

    /// The cases in the order of their groups. Everything is held against the ceilings, so they are always measured, and first.
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

    /// How long the run may take.
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

/// A table of a few cases, for the demo.
pub fn show(names: &[String], device: &Device) -> Outcome {
    let cases = bench::cases(names, Size::Quick)?;
    let mut lines = table::Lines::new(device);
    run::measure(&cases, device, Size::Quick, None, &Interrupt::none(), &mut lines)?;
    Ok(())
}

/// The rows of `--json`: a list with a row a line, written as they come. Each says where and when it was measured, so that rows of several
/// runs can lie in one list.
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

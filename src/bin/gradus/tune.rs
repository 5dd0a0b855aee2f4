//! `gradus tune`: searches for a loss, an optimizer, their options and a network.

mod page;
mod report;
mod rows;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use gradus::text;
use gradus::tune::{Budget, Metric, Rung, Trial, Tune as Search, Tuned};

use crate::interrupt::Interrupt;
use crate::output::{DeviceChoice, Failure, Outcome};
use crate::samples::source::Source;
use crate::train::refit::refit;
use crate::tune::report::Report;
use crate::{numbers, output, saved};

/// Searches for a loss, an optimizer, their options and a network: many are trained a little, the
/// best third longer, and so on; the default of `train` is kept unless it is beaten on new splits
#[derive(Args)]
pub struct Tune {
    #[command(flatten)]
    pub(super) source: Source,
    /// What is made small, on rows held out: rmse, mae, log_loss, error (1 − accuracy) or
    /// balanced_error [default: rmse for numbers, log_loss for classes]
    #[arg(long, value_name = "METRIC")]
    metric: Option<String>,
    /// Length of the search in row-updates: rows times epochs, over all trainings [default: 600
    /// passes over the rows, at least 3000000]
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true)]
    budget: Option<NonZeroUsize>,
    /// Length of the search in seconds, in place of --budget; it ends between two rungs, and says
    /// after how many
    #[arg(long, value_name = "S", value_parser = numbers::seconds, allow_negative_numbers = true, conflicts_with = "budget")]
    seconds: Option<f64>,
    /// Length of the search in rungs, in place of --budget: repeats one that was limited by seconds
    #[arg(long, value_name = "N", value_parser = numbers::count, allow_negative_numbers = true, conflicts_with_all = ["budget", "seconds"])]
    rungs: Option<NonZeroUsize>,
    /// Trials that begin together, at least 3
    #[arg(long, value_name = "N", default_value = "54", value_parser = numbers::count, allow_negative_numbers = true)]
    bracket: NonZeroUsize,
    /// Trials of the same shape, which train side by side
    #[arg(long, value_name = "N", default_value = "3", value_parser = numbers::count, allow_negative_numbers = true)]
    group: NonZeroUsize,
    /// The file of the study, in the format of Optuna's JournalStorage; an interrupted search goes
    /// on where it was
    #[arg(long, value_name = "FILE")]
    study: Option<PathBuf>,
    /// File in which the winner is saved, trained on all rows
    #[arg(long, value_name = "MODEL")]
    out: Option<PathBuf>,
    /// Writes an HTML page with pictures: what was taken and why, the leaderboard, what mattered
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Seed of the search, the splits and the trainings
    #[arg(long, value_name = "SEED", default_value_t = 7, value_parser = numbers::seed, allow_negative_numbers = true)]
    seed: u64,
    #[command(flatten)]
    pub(super) device: DeviceChoice,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
}

impl Tune {
    pub fn run(&self) -> Outcome {
        let metric = self.metric.as_deref().map(Metric::from_name).transpose();
        let metric = metric.map_err(|error| Failure::usage(error).of("--metric"))?;
        let inputs = self.source.files();
        if let Some(path) = &self.out {
            saved::check_out("--out", path, &inputs)?;
        }
        if let Some(path) = &self.study {
            self.check_study(path, &inputs)?;
            self.check_beside_study()?;
        }
        if let Some(path) = &self.html {
            self.check_html(path, &inputs)?;
        }
        let rows = rows::read(&self.source, metric, self.seed)?;
        let search = self.search(metric);
        search.check(&rows)?;
        let interrupt = Interrupt::listen()?;
        let device = self.device.open_and_report()?;
        let mut rungs: Vec<Rung> = Vec::new();
        let tuned = search.run_with(&rows, &device, |rung, trials| {
            self.tell(rung, trials);
            rungs.push(*rung);
            interrupt.flow()
        })?;
        if tuned.stopped {
            interrupt.end_at_once();
            return Err(self.interrupted(&tuned));
        }
        if let Some(budget) = self.budget.map(|budget| budget.get() as u64)
            && tuned.cost > budget
        {
            output::note(&format!(
                "note: {} row-updates were spent, more than --budget {}: the first rung of three trials, and what the study's file has, are done whatever they cost",
                text::count(tuned.cost),
                text::count(budget)
            ));
        }
        let arguments = self.arguments(&tuned);
        if self.out.is_some() {
            refit(&self.source, &arguments, self.device, self.out.as_deref())?;
        }
        interrupt.end_at_once();
        let out = self.out.as_deref();
        let report = Report { tuned: &tuned, command: self.command(&arguments), out };
        if let Some(file) = &self.html {
            page::page(&report, &rungs, &self.origin(&tuned, &device.describe()))?.write(file)?;
        }
        if self.json {
            return output::print_beside(out, &output::document(&report.as_json()));
        }
        output::print_beside(out, &report.as_text())
    }

    fn search(&self, metric: Option<Metric>) -> Search {
        let mut search =
            Search::new().seed(self.seed).bracket(self.bracket.get()).group(self.group.get());
        if let Some(metric) = metric {
            search = search.metric(metric);
        }
        if let Some(path) = &self.study {
            search = search.study(path);
        }
        match (self.budget, self.seconds, self.rungs) {
            (Some(budget), ..) => search.budget(Budget::RowUpdates(budget.get() as u64)),
            (_, Some(seconds), _) => search.budget(Budget::Seconds(seconds)),
            (.., Some(rungs)) => search.budget(Budget::Rungs(rungs.get())),
            _ => search,
        }
    }

    /// Rejects a study that is one of the input files or the model.
    fn check_study(&self, path: &Path, inputs: &[(&'static str, PathBuf)]) -> Outcome {
        saved::check_out("--study", path, inputs)?;
        if self.out.as_deref().is_some_and(|out| saved::is_same(path, out)) {
            let path = path.display();
            return Err(Failure::Usage(format!(
                "--study: {path} is the file of --out too; name another file"
            )));
        }
        Ok(())
    }

    /// Rejects an output in the place of the lock of a study or of the folder of those who share it.
    fn check_beside_study(&self) -> Outcome {
        let Some(study) = &self.study else { return Ok(()) };
        for (flag, output) in [("--out", &self.out), ("--html", &self.html)] {
            for end in [".lock", ".work"] {
                let mut beside = study.clone().into_os_string();
                beside.push(end);
                if output
                    .as_deref()
                    .is_some_and(|output| saved::is_same(output, Path::new(&beside)))
                {
                    return Err(Failure::Usage(format!(
                        "{flag}: {} is used by the search over --study while it runs; name another file",
                        Path::new(&beside).display()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Rejects a page that is one of the input files, the model or the study.
    fn check_html(&self, path: &Path, inputs: &[(&'static str, PathBuf)]) -> Outcome {
        saved::check_out("--html", path, inputs)?;
        for (flag, other) in [("--out", &self.out), ("--study", &self.study)] {
            if other.as_deref().is_some_and(|other| saved::is_same(path, other)) {
                return Err(Failure::Usage(format!(
                    "--html: {} is the file of {flag} too; name another file",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// What was searched: data, metric, seed, device.
    fn origin(&self, tuned: &Tuned, device: &str) -> String {
        format!(
            "gradus {} · {} · {} on rows held out, less is better · seed {} · {device}",
            env!("CARGO_PKG_VERSION"),
            self.source.path().display(),
            tuned.metric.name(),
            self.seed
        )
    }

    /// A line for each rung that was done.
    fn tell(&self, rung: &Rung, trials: &[Trial]) {
        let metric = text::number(rung.best);
        let failed = match rung.failed {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        let read = if rung.from_file { ", from the study" } else { "" };
        output::note(&format!(
            "bracket {}, rung {}: {} of {} trials{failed}; best {metric} (trial {}); {} row-updates{read}",
            rung.bracket + 1,
            rung.rung + 1,
            rung.trials,
            trials.len(),
            rung.leader,
            report::grouped(rung.cost)
        ));
    }

    fn interrupted(&self, tuned: &Tuned) -> Failure {
        let rungs = tuned.rungs;
        Failure::Interrupted(match &self.study {
            Some(path) => format!(
                "after {rungs} rungs, which are in {}: the same command goes on",
                path.display()
            ),
            None => format!("after {rungs} rungs; nothing is saved: --study was not given"),
        })
    }

    /// The options of `gradus train` for the winner.
    fn arguments(&self, tuned: &Tuned) -> Vec<String> {
        let mut arguments = tuned.winner.arguments(tuned.epochs, self.seed);
        arguments.extend(["--validation".into(), "0".into()]);
        arguments
    }

    /// The command line that trains the winner.
    fn command(&self, arguments: &[String]) -> String {
        let mut words: Vec<String> = vec!["gradus".into(), "train".into()];
        words.extend(self.source.arguments());
        words.extend(arguments.to_vec());
        let out = self.out.as_ref().map(|path| path.display().to_string());
        words.extend(["--out".into(), out.unwrap_or_else(|| "MODEL".into())]);
        words.iter().map(|word| report::quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

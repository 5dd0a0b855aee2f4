//! `gradus explain`: where the loss of a saved model comes from, in the order of what can be acted
//! on: labels to correct, rows and slices to look at, classes, features, probabilities.

mod found;
mod json;
mod page;
mod subject;
mod words;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use gradus::Model;
use gradus::data::Target;

use crate::explain::found::{Effort, Found};
use crate::explain::subject::Subject;
use crate::output::{DeviceChoice, Failure, Outcome};
use crate::samples::Task;
use crate::samples::source::Source;
use crate::{language, numbers, output, saved};

/// Shows where the loss of a saved model comes from, on rows with targets: labels that are probably
/// wrong, the rows with the largest loss, slices, pairs of classes, features, and whether the
/// probabilities are right
#[derive(Args)]
pub struct Explain {
    /// A model that `gradus train --out` saved
    model: PathBuf,
    #[command(flatten)]
    source: Source,
    /// Rows shown in each list
    #[arg(long, value_name = "N", default_value = "10", value_parser = numbers::count)]
    top: NonZeroUsize,
    /// Leaves out the search for wrong labels, which trains two networks like the model's
    #[arg(long)]
    no_labels: bool,
    /// Epochs of each of these two trainings [default: as many as make 800 updates, from 10 to 100]
    #[arg(long, value_name = "N", value_parser = numbers::count, conflicts_with = "no_labels")]
    epochs: Option<NonZeroUsize>,
    /// Seed of shuffles and halves of the rows
    #[arg(long, value_name = "SEED", default_value = "0", value_parser = numbers::seed)]
    seed: u64,
    #[command(flatten)]
    device: DeviceChoice,
    /// Prints one JSON document on stdout
    #[arg(long)]
    json: bool,
    /// Writes a page with tables and pictures too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Explain {
    pub fn run(&self) -> Outcome {
        saved::check_kind("MODEL", &self.model, saved::Kind::Network)?;
        if self.source.text().is_some() {
            let name = self.model.display();
            return Err(Failure::Usage(format!(
                "--text: a model of text has a target for each character, and rows are explained; `gradus evaluate {name} --text FILE` \
                 measures it"
            )));
        }
        if let Some(html) = &self.html {
            let mut inputs = self.source.files();
            inputs.push(("MODEL", self.model.clone()));
            saved::check_out("--html", html, &inputs)?;
        }
        let device = self.device.open(false)?;
        let mut model =
            Model::load(&self.model, &device).map_err(|error| Failure::from(error).of("MODEL"))?;
        if model.keeps_average() {
            model = model.averaged()?;
        }
        language::refuse(&model, &self.model, "rows are explained, not texts")?;
        let rows = self.source.answered_for(&model)?;
        if rows.dataset.target == Target::None {
            return Err(Failure::Failed(rows.no_targets.unwrap_or_else(|| {
                "--data: the rows have no answers, so they have no loss; the target's column is missing (--target names it)".into()
            })));
        }
        let Some(loss) = model.loss() else {
            return Err(Failure::Failed(format!(
                "{}: the model was saved without a loss",
                self.model.display()
            )));
        };
        let task = Task::of(loss, &rows.dataset)?;
        let effort = Effort {
            top: self.top.get(),
            labels: !self.no_labels,
            epochs: self.epochs.map(NonZeroUsize::get),
            seed: self.seed,
        };
        let truth = task.truth(&rows.dataset)?;
        let mut subject = Subject::new(&model, &rows)?;
        // A dense network takes the pixels of an image as a row.
        subject.image = subject.image.or(self.source.image().ok().flatten());
        let found = Found::of(&mut model, &rows.dataset, &truth, &subject, &effort)?;
        if let Some(html) = &self.html {
            let origin = format!(
                "{} on {}; {}; gradus {}",
                self.model.display(),
                self.source.path().display(),
                device.describe(),
                env!("CARGO_PKG_VERSION")
            );
            let mut photographs = page::Photographs {
                image: subject.image,
                model: &mut model,
                rows: &rows.dataset,
                truth: &truth,
            };
            page::of(&found, &subject, &mut photographs, &origin)?.write(html)?;
        }
        match self.json {
            true => output::print_json(&json::of(&found, &subject, device.name())),
            false => output::print(&words::of(&found, &subject)),
        }
    }
}
